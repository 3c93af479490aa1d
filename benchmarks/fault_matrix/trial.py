"""
A cell, tried: the attempt under its fault, what the ledger and the server have then, and a delivery after it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.fault_matrix.expected import ACCEPTED, ALL
from benchmarks.fault_matrix.mail_servers import MAILBOX
from benchmarks.fault_matrix.stories import STORIES
from benchmarks.fault_matrix.teller import Said, tell
from benchmarks.fault_matrix.world import RECIPIENTS, World
from shared.adapters.smtp_session import Timeouts
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.fault_matrix.expected import Cell
    from benchmarks.fault_matrix.instance import Stores
    from benchmarks.fault_matrix.listening import Listener
    from benchmarks.fault_matrix.mail_servers import MailServers
    from local.microsoft.exchange import ReceivedMessage
    from shared.core.delivery import Entry

# Seconds that a silent server is waited for: long against what an answer takes on a busy machine.
_IMPATIENT = 1.0
# Seconds that everything else may take, and by which one may tell that something waited for what cannot come.
_PATIENT = 12.0
_STALLED = 10.0
_EVERY_PHASE = (
    "connect", "greeting", "command", "tls", "auth", "envelope", "body", "end_of_data", "check", "quit"
)  # fmt: skip
_PATIENT_ONES = Timeouts(**dict.fromkeys(_EVERY_PHASE, _PATIENT))
# Which of the session's waits is the one for a server that is silent at a point.
_WAITS = {
    "connect": "greeting",
    "starttls": "command",
    "tls": "tls",
    "ehlo": "command",
    "auth": "auth",
    "mail": "envelope",
    "rcpt": "envelope",
    "data": "envelope",
    "body": "end_of_data",
    "after_dot": "end_of_data",
    "quit": "quit",
}
_RECIPIENT_OF = {"RCPT, first": 0, "RCPT, middle": 1, "RCPT, last": 2}


@dataclass(slots=True)
class Outcome:
    """How a cell ended: the state, the copies at the server, and everything that is not as it must be."""

    cell: Cell
    state: str = "not tried"
    copies: int = 0
    #: Why, as the ledger has it.
    reason: str = ""
    wrong: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether it ended as it must."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Trials:
    """What all cells share; safe to use from many threads, a cell each."""

    servers: MailServers
    stores: Stores
    listener: Listener
    #: Goes into every id, so that two runs on one table do not meet.
    run: str

    def try_out(self, cell: Cell, number: int) -> Outcome:
        """Try one cell; what a part of it raises is an outcome too."""
        outcome = Outcome(cell)
        name = f"{self.run}-{number}"
        world = World(name, self.servers, self.stores, timeouts=_timeouts(cell))
        self.listener.take()
        try:
            _Trial(cell, world, self.listener, outcome, name).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the cell ended wrongly by it
            outcome.wrong.append(f"raised {type(error).__name__}: {error}")
        finally:
            world.close()
        return outcome

    def tell(self, story: str) -> list[Said]:
        """Tell one story of several messages."""
        name = f"{self.run}-story-{list(STORIES).index(story)}"
        world = World(name, self.servers, self.stores, timeouts=_PATIENT_ONES)
        return tell(STORIES[story], world)


def _timeouts(cell: Cell) -> Timeouts:
    return replace(_PATIENT_ONES, **{_WAITS[cell.silent_at]: _IMPATIENT}) if cell.silent_at else _PATIENT_ONES


@dataclass(slots=True)
class _Trial:
    """One cell under way."""

    cell: Cell
    world: World
    listener: Listener
    outcome: Outcome
    name: str
    #: What the register had of the sender after the fault.
    registered: str = ""

    def run(self) -> None:
        cell, world, expected = self.cell, self.world, self.cell.expected
        body = world.message(self.name, on_doubt=cell.on_doubt, large=cell.large)
        if cell.warm:
            self._warm_up()
        sessions, began = world.server.sessions(), time.monotonic()
        with_fault = self._under_fault(body)
        if (seconds := time.monotonic() - began) > _STALLED:
            self.outcome.wrong.append(f"it waited {seconds:.0f} s for what could not come any more")
        self.outcome.state, self.outcome.reason = with_fault.state.value, with_fault.reason
        self.registered = repr(world.state())
        received = self._received(body, with_fault)
        self.outcome.copies = len(received)
        self._check("state", expected.state.value, with_fault.state.value)
        self._check("attempts counted", expected.attempts, with_fault.attempts)
        self._check("copies at the server", expected.copies, len(received))
        self._check("steps of the fault that did not happen", 0, world.server.unplayed())
        self._check_recipients(with_fault, received)
        if cell.warm:
            # Only where it is accepted in spite of everything, and before QUIT, did another session have it.
            another = expected == ACCEPTED and cell.row != "warm: QUIT"
            self._check("new sessions", int(another), world.server.sessions() - sessions)
        self._check_afterwards(body, with_fault)
        self._check_secrets(with_fault)

    # The fault.

    def _warm_up(self) -> None:
        name = f"{self.name}-before"
        self.world.deliver(self.world.message(name), queue_id=f"queue-{name}")
        self._check("state of the message before", State.ACCEPTED, self.world.find(name).state)

    def _under_fault(self, body: bytes) -> Entry:
        cell, world = self.cell, self.world
        if cell.cut_idle:
            world.server.cut_idle()
        world.server.tell([self._filled(dict(step)) for step in cell.steps])
        stranger = world.stranger() if cell.listens == "stranger" else None
        if cell.listens != "exchange":
            world.server.close()
        if stranger is not None:
            stranger.open()
        try:
            world.deliver(body, queue_id=f"queue-{self.name}")
            if cell.row.endswith("QUIT"):
                world.close_sessions()
        finally:
            if stranger is not None:
                stranger.close()
            if cell.listens != "exchange":
                world.server.open()
        return world.find(self.name)

    def _filled(self, step: dict[str, object]) -> dict[str, object]:
        """Have the server quote what it was told."""
        if isinstance(reply := step.get("reply"), str):
            step["reply"] = self._quoting(reply)
        return step

    def _quoting(self, reply: str) -> str:
        token, next_token = self.world.tokens.as_sent
        recipient = RECIPIENTS[_RECIPIENT_OF.get(self.cell.row.removeprefix("warm: "), 0)]
        return reply.format(token=token, next_token=next_token, recipient=recipient)

    # What came of it.

    def _received(self, body: bytes, entry: Entry) -> list[ReceivedMessage]:
        """Return what the server has of this message, once it is sure that each copy is whole."""
        wanted = self.world.octets(body, entry)
        found = [
            message for message in self.world.server.received() if entry.message_id.encode() in message.raw
        ]
        for message in found:
            self._check("whole, with the first Message-ID and Date", True, message.raw == wanted)
        return found

    def _check_recipients(self, entry: Entry, received: list[ReceivedMessage]) -> None:
        expected = self.cell.expected
        wanted = list(RECIPIENTS)
        if expected.reached < ALL:
            del wanted[_RECIPIENT_OF[self.cell.row.removeprefix("warm: ")]]
        for message in received:
            self._check("recipients", wanted, list(message.rcpt_to))
        if entry.state is State.ACCEPTED:
            refused = [each for each in RECIPIENTS if each not in wanted]
            said = [f"{each} was refused: {self._quoting(self.cell.steps[0]['reply'])}" for each in refused]
            self._check("refused recipients on record", "; ".join(said), entry.reason)

    def _check_afterwards(self, body: bytes, before: Entry) -> None:
        """Deliver it again without a fault: what is to go goes, what is settled stays as it is."""
        expected, world = self.cell.expected, self.world
        if expected.goes_again:
            if before.state is State.HELD:
                world.resume()
            world.let_time_pass(until=lambda: world.find(self.name).state.is_settled)
            after = world.find(self.name)
            self._check("state after a delivery without fault", State.ACCEPTED, after.state)
            self._check("attempts counted in the end", expected.attempts + 1, after.attempts)
            self._check("its Message-ID", before.message_id, after.message_id)
            self._check("its Date", before.date, after.date)
        else:
            world.deliver(body, queue_id=f"queue-{self.name}", times=2)
            self._check("the record after one more delivery", before, world.find(self.name))
        self._check("left in the line and aside", [], [*world.waiting(), *world.waiting(MAILBOX)])
        copies = len(self._received(body, before))
        self._check("copies in the end", expected.copies + expected.goes_again, copies)

    def _check_secrets(self, entry: Entry) -> None:
        logged = self.listener.take()
        told = "\n".join(put.text for put in self.world.told.puts)
        kept = "\n".join(f"{change.reply} {change.reason}" for change in self.world.history(entry.id))
        found = (
            ("the log", logged),
            ("an event", told),
            ("the history", kept),
            ("the register", self.registered),
        )
        for where, text in found:
            self._check(f"secrets in {where}", [], [secret[:20] for secret in self._leaks(text)])
        self._check("recipients in the log", [], [each for each in RECIPIENTS if each in logged])
        self._check("lines in the log", True, entry.id in logged)

    def _leaks(self, text: str) -> Iterator[str]:
        return (secret for secret in self.world.secrets() if secret in text)

    def _check(self, what: str, wanted: object, found: object) -> None:
        if wanted != found:
            self.outcome.wrong.append(f"{what}: must be {_said(wanted)}, is {_said(found)}")


def _said(value: object) -> str:
    return value.value if isinstance(value, State) else str(value)
