"""
A world that runs by itself: a queue, a timer, a mail server, and an instance that may die at any write.

Time passes from one thing that happens to the next. Every write to storage and every message that the server
is handed is a *point*, before it and after it; what happens there is said by ``at``.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

from tests.twins import NOON, Crash, MemoryOutbox, ScriptedMailer
from tests.workflows.conftest import UNHURRIED, Bench, mail

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from email.headerregistry import Address

    from shared.core.grant import AccessToken
    from shared.core.sender import Sender
    from shared.core.smtp import Envelope, Octets, Submission
    from tests.twins import Clock

# How long the queue hides what an instance had in hand when it died, and what one could not do (host.json).
LOCK = timedelta(minutes=10)
HIDDEN_AFTER_FAILURE = timedelta(seconds=30)
MOST_DELIVERIES = 10
MINUTE = timedelta(minutes=1)
# Deliveries at one moment; whatever makes more of them goes round in a circle.
MOST_AT_ONCE = 300


@dataclass
class Queued:
    """One message on the queue."""

    text: str
    visible_at: datetime
    id: str
    times: int = 0


class LiveOutbox(MemoryOutbox):
    """The outbox, with what is on it at any time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.queue: list[Queued] = []
        self.poison: list[Queued] = []
        self.after: Callable[[str], object] = lambda _: None

    def put(self, text: str, *, delay: timedelta = timedelta()) -> None:
        super().put(text, delay=delay)
        self.queue.append(Queued(text, self._clock() + delay, f"queue-id-{len(self.puts)}"))
        self.after("put")


class Server(ScriptedMailer):
    """
    The mail server: takes a moment for each message, and what it accepted stays accepted.

    ``of_address`` is the script for mail from that one From address.
    """

    def __init__(self, clock: Clock, *script: Submission | BaseException) -> None:
        super().__init__(*script)
        self._clock = clock
        self.of_address: dict[str, list[Submission]] = {}
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None
        self.accepted: list[int] = []
        self.accepted_at: list[datetime] = []

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        self.before("submit")
        self._clock.advance(timedelta(milliseconds=100))
        (name,) = (each.addr_spec for each in _from(b"".join(mime.chunks())))
        if script := self.of_address.get(name):
            self.script.insert(0, script.pop(0))
        answer = super().submit(sender, token, envelope, mime, smtputf8=smtputf8)
        if answer.accepted:
            self.accepted.append(len(self.submitted) - 1)
            self.accepted_at.append(self._clock())
        self.after("submit")
        return answer


def _from(mime: bytes) -> tuple[Address, ...]:
    header = message_from_bytes(mime, policy=policy.default)["From"]
    addresses: tuple[Address, ...] = header.addresses
    return addresses


@dataclass
class World:
    """One deployment; ``at`` is called at every point with its number and its name, and may raise."""

    script: tuple[Submission, ...] = ()
    sender: Sender = UNHURRIED
    # What people and apps ask over HTTP, by its time; what they were answered, or None where nobody answered.
    asked: list[tuple[datetime, Callable[[Bench], object]]] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)
    at: Callable[[int, str], object] = lambda _number, _name: None
    points: list[str] = field(default_factory=list)
    started: int = 0
    crashed: str = ""

    def __post_init__(self) -> None:
        self.instance = Bench(senders={"noreply": self.sender}, holder="instance-0")
        self.clock = self.instance.clock
        self.server = Server(self.clock, *self.script)
        self.outbox = LiveOutbox(self.clock)
        self.instance.mailer, self.instance.outbox = self.server, self.outbox
        self.start()
        for twin in (
            *(self.instance.ledger, self.instance.states, self.instance.room),
            *(self.instance.schedules, self.instance.events, self.outbox, self.server),
        ):
            name = type(twin).__name__.removeprefix("Memory").removeprefix("Live").lower()
            for moment in ("before", "after"):
                if hasattr(twin, moment):
                    setattr(twin, moment, self._point(moment, name))
        self._next_release = NOON + MINUTE
        self._at_once, self._delivered_at = 0, NOON

    def start(self) -> None:
        """Let a new process take the place of the one there was."""
        self.started += 1
        self.crashed = ""
        self.instance = self.instance.another(f"instance-{self.started}")

    def put(self, body: bytes, *, after: float = 0) -> None:
        """Put a message on the queue as an app does, ``after`` so many seconds."""
        number = len(self.outbox.queue) + 1
        self.outbox.queue.append(
            Queued(body.decode(), self.clock() + timedelta(seconds=after), f"app-id-{number}")
        )

    def ask(self, what: Callable[[Bench], object], *, after: float = 0) -> None:
        """Ask something over HTTP ``after`` so many seconds; the answer, if there is one, is kept."""
        self.asked.append((self.clock() + timedelta(seconds=after), what))

    def pass_by(self, minutes: int) -> None:
        """Let time pass in an outage: nothing happens in it."""
        self.clock.advance(timedelta(minutes=minutes))

    def run(self, minutes: int) -> None:
        """Let time pass, and everything happen in it that is due."""
        end = self.clock() + timedelta(minutes=minutes)
        while True:
            first = min(self.outbox.queue, key=lambda each: each.visible_at, default=None)
            asked = min(self.asked, key=lambda each: each[0], default=None)
            at = min(
                self._next_release,
                first.visible_at if first else self._next_release,
                asked[0] if asked else self._next_release,
            )
            if max(at, self.clock()) > end:
                return
            self.clock.now = max(at, self.clock())
            if asked and asked[0] <= at:
                self._answer(asked)
            elif first and first.visible_at <= at:
                self._deliver(first)
            else:
                self._next_release = self.clock() + MINUTE
                self._happen(self._release)

    def _answer(self, asked: tuple[datetime, Callable[[Bench], object]]) -> None:
        self.asked.remove(asked)
        number = len(self.answers)
        self.answers.append(None)

        def ask() -> None:
            self.answers[number] = asked[1](self.instance)

        self._happen(ask)

    def _release(self) -> None:
        """Do what the timer does."""
        self.instance.fire()
        self.instance.release()

    def _deliver(self, queued: Queued) -> None:
        self._at_once = self._at_once + 1 if self.clock() == self._delivered_at else 0
        self._delivered_at = self.clock()
        assert self._at_once < MOST_AT_ONCE, f"{queued.text} goes round in a circle"
        queued.times += 1
        if queued.times > MOST_DELIVERIES:
            self.outbox.queue.remove(queued)
            self.outbox.poison.append(queued)
            return
        queued.visible_at = self.clock() + LOCK
        ended = self._happen(
            lambda: self.instance.deliver(queued.text.encode(), queue_id=queued.id, times=queued.times)
        )
        if ended is None:
            self.outbox.queue.remove(queued)
        elif not isinstance(ended, Crash):
            queued.visible_at = self.clock() + HIDDEN_AFTER_FAILURE

    def _happen(self, what: Callable[[], object]) -> Exception | None:
        """Let a function run; returns how it failed. Where the process died, another takes its place."""
        try:
            what()
        except Crash as crash:
            self.start()
            return crash
        except Exception as error:  # noqa: BLE001 - what the host does with any
            return error
        return None

    def _point(self, moment: str, twin: str) -> Callable[[str], None]:
        def reached(name: str) -> None:
            if self.crashed:
                raise Crash  # the process is gone: what it still tries to write is not written
            point = f"{moment} {twin}.{name}"
            self.points.append(point)
            try:
                self.at(len(self.points), point)
            except Crash:
                self.crashed = point
                raise

        return reached

    # What there is to see.

    @property
    def accepted(self) -> Counter[str]:
        """How often the server accepted each message, by its subject."""
        return Counter(mail(self.instance, number)["Subject"] for number in self.server.accepted)

    def accepted_after(self, subject: str) -> list[float]:
        """Return how many seconds after the beginning the server accepted each copy of a mail."""
        return [
            (at - NOON).total_seconds()
            for at, number in zip(self.server.accepted_at, self.server.accepted, strict=True)
            if mail(self.instance, number)["Subject"] == subject
        ]

    def states(self) -> dict[str, str]:
        """Return the state of each message that the ledger has."""
        found = {name: self.instance.ledger.find(name) for name in sorted(self.instance.ledger.ids())}
        return {name: entry.state.value for name, entry in found.items() if entry}

    def left(self) -> list[str]:
        """Return what is still on the queue, in the lines or waits for a time: nothing, when all is done."""
        on_queue = [json.dumps(each.text) for each in (*self.outbox.queue, *self.outbox.poison)]
        return [*on_queue, *self.instance.line, *(due.message_id for due in self.instance.room.dues())]
