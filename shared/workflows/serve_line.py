"""
``serve_line``: the mail that waits in a sender's line goes, in its order and within the limits.

Any instance may serve any line, and one at a time does; it says so in the register, for a few seconds ahead,
and whoever puts mail in the line relies on that.

1. Find out whether this process is to serve; where it has enough to do, call another.
2. Take a seat: wait until the mailbox may send one more.
3. Take who is next at that moment: by priority, then by age.
4. Claim it, carry it, record what came of it; then it leaves the line.
5. Go on until the line is empty, the sender is held or paused, or somebody else should have a turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.core import claims, holds, intake, outcomes, timing
from shared.core.claims import Doubt, Expire, LookAgain, Take
from shared.core.delivery import Delivery, Entry, State
from shared.core.intake import Amendment, Call, ClaimCheck, Waiting, call_body
from shared.core.waiting import InLine, standing
from shared.desk import NotNow, Seat, Service
from shared.errors import MessageError, StorageError
from shared.scribe import Scribe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from shared.core.holds import SenderState
    from shared.core.message import Message
    from shared.core.sender import Sender
    from shared.ports import Courier, Holds, Payloads
    from shared.scribe import ScribeTools

# One run of a function, well within host.json's functionTimeout; after it, another instance or a new run goes
# on, so that none runs for ever. Those that began together do not end together.
SERVE_FOR: Final = timedelta(minutes=20)
_SPREAD: Final = timedelta(minutes=5)
# Storage that does not answer so often, one after the other, is away; the queue delivers the call again.
_MOST_FAILURES: Final = 20
_AFTER_FAILURE_SECONDS: Final = 1.0
# How soon a call is answered by another where this process serves as many lines as it can.
_CALL_AGAIN: Final = timedelta(seconds=2)
# Holds the place of the queue message that a message in line does not have.
_FROM_LINE: Final = "line"


class Pacer(Protocol):
    """Who in this process may hand a message over now, and who serves."""

    @property
    def holder(self) -> str:
        """The name of this process among the instances."""
        ...

    def admit(
        self, sender: Sender, *, recipients: int, address: str, from_line: bool = False, behind: int = 0
    ) -> Seat | NotNow:
        """Return a seat for one message, or why there is none just now."""
        ...

    def leave(self, seat: Seat, *, used: bool, recipients: int | None = None) -> None:
        """Give the seat up."""
        ...

    def begin_serving(self, sender: Sender, *, called: bool = False) -> Service:
        """Decide who serves the sender's line."""
        ...

    def end_serving(self, sender: Sender) -> None:
        """Serve no longer."""
        ...

    def withdraw(self, sender: Sender) -> None:
        """Take a promise back."""
        ...

    def hand_over(self, sender: Sender) -> None:
        """Serve no longer although there is mail."""
        ...

    def line_is_empty(self, sender: Sender, *, looked_at: datetime | None = None) -> timedelta | None:
        """Say that it was found empty; returns how long to wait before it is looked at again, or None."""
        ...

    def known(self, sender: Sender) -> SenderState | None:
        """Return what was last read of a sender."""
        ...

    def alive(self, sender: Sender) -> Collection[str]:
        """Return the instances that are known to live."""
        ...

    def begin_trial(self, sender: Sender, address: str) -> bool:
        """Whether this message is the one that may try the hold of its From address."""
        ...


class Lines(Protocol):
    """The heads of the lines, as this process knows them."""

    def look(self, sender: str) -> InLine | None:
        """Return somebody who waits."""
        ...

    def waiting(self, sender: str) -> int:
        """Return how many are known to wait."""
        ...

    def take(self, sender: str) -> InLine | None:
        """Take the one that is next as of now."""
        ...

    def put_back(self, sender: str, place: InLine) -> None:
        """Leave one in the line that was taken."""
        ...

    def pass_over(self, sender: str, place: InLine) -> None:
        """Leave one in the line that is in other hands."""
        ...

    def somebody_passed(self, sender: str) -> bool:
        """Whether one was left in the line because it is in other hands."""
        ...

    def done(self, sender: str, place: InLine) -> None:
        """Let one leave the line."""
        ...

    def tidy(self, sender: str) -> None:
        """Write down who has left."""
        ...


@dataclass(frozen=True, slots=True)
class ServeTools:
    """
    What serving a line needs of the world.

    ``pause`` waits for so many seconds, ``jitter`` gives a number from 0 to 1.
    """

    scribe: ScribeTools
    payloads: Payloads
    pacer: Pacer
    lines: Lines
    holds: Holds
    courier: Courier
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    pause: Callable[[float], object]


def serve_line(tools: ServeTools, name: str, *, called: bool = False) -> int:
    """
    Serve a sender's line, where this process is the one to do so; returns how many messages went.

    ``called`` says that a call on the outbox asked for it.
    """
    sender = tools.senders.get(name)
    if sender is None:
        return 0  # it is in mail.toml no longer: what waits for it waits in the ledger
    service = tools.pacer.begin_serving(sender, called=called)
    if service is Service.CALL:
        tools.scribe.outbox.put(call_body(name), delay=_CALL_AGAIN)
    if service is not Service.MINE:
        return 0
    try:
        return _serve(tools, sender)
    finally:
        try:
            tools.lines.tidy(name)
        finally:
            tools.pacer.end_serving(sender)


def _serve(tools: ServeTools, sender: Sender) -> int:
    ends_at, went, failures = tools.clock() + SERVE_FOR - _SPREAD * tools.jitter(), 0, 0
    while tools.clock() < ends_at:
        try:
            step = _step(tools, sender)
        except StorageError:
            # One answer that does not come is no reason to leave a line that others rely on being served.
            failures += 1
            if failures > _MOST_FAILURES:
                raise
            tools.pause(_AFTER_FAILURE_SECONDS)
            continue
        failures = 0
        if isinstance(step, timedelta):
            tools.pause(step.total_seconds())
        elif step is None:
            return went
        else:
            went += step
    tools.pacer.hand_over(sender)
    tools.scribe.outbox.put(call_body(sender.name), delay=timedelta())
    return went


def _step(tools: ServeTools, sender: Sender) -> int | timedelta | None:
    """
    Let one go; returns how many went, how long to wait before the next step, or None where there is none.
    """
    looked_at = tools.clock()
    waiting = tools.lines.look(sender.name)
    if waiting is None:
        if tools.lines.somebody_passed(sender.name):
            return None  # the line stays marked, and `release` has it looked at again
        return tools.pacer.line_is_empty(sender, looked_at=looked_at)
    behind = tools.lines.waiting(sender.name)
    seat = tools.pacer.admit(sender, recipients=waiting.recipients, address="", from_line=True, behind=behind)
    if isinstance(seat, NotNow):
        # Held or paused, or no connection is free: `release` has it served when that is over.
        tools.pacer.withdraw(sender)
        return None
    return int(_Serving(tools, sender, seat).run())


class _Serving:
    """One message out of the line."""

    def __init__(self, tools: ServeTools, sender: Sender, seat: Seat) -> None:
        self._tools = tools
        self._sender = sender
        self._seat = seat
        self._came = Delivery(_FROM_LINE, 1, holder=tools.pacer.holder)
        self._scribe = Scribe(self._came, tools.scribe)

    def run(self) -> bool:
        """Send who is next; whether a message went to the server."""
        counted, place = False, self._tools.lines.take(self._sender.name)
        try:
            if place is not None:
                counted = self._send(place)
        except BaseException:
            if place is not None:
                self._tools.lines.put_back(self._sender.name, place)
            raise
        finally:
            recipients = place.recipients if place else 0
            self._tools.pacer.leave(self._seat, used=counted, recipients=recipients)
        return counted

    def _send(self, place: InLine) -> bool:
        lines, name = self._tools.lines, self._sender.name
        entry = self._tools.scribe.ledger.find(place.message_id)
        if entry is None or entry.state.is_settled or not entry.body:
            if entry is not None:
                # Whoever settled it ended before its row was gone, and perhaps before it was told.
                self._tools.scribe.events.tell(entry)
            lines.done(name, place)
            return False
        try:
            message = self._message(entry)
        except MessageError as error:
            return self._refuse(entry, place, error)
        try:
            address = self._sender.from_for(message).key
        except MessageError as error:
            return self._keep_waiting(entry, place, error)
        return self._send_message(entry, message, address, place)

    def _send_message(self, entry: Entry, message: Message, address: str, place: InLine) -> bool:
        lines, name = self._tools.lines, self._sender.name
        if entry.due_at is not None and entry.due_at > self._tools.clock():
            lines.done(name, place)  # it was given another time since it joined the line, and waits for that
            return False
        # One that an instance left unfinished is taken over first.
        if entry.state is not State.SENDING and self._is_held(address):
            self._set_aside(entry, message, address)
            lines.done(name, place)
            return False
        opens_at = timing.within_window(message.fields, self._tools.clock())
        if opens_at > self._tools.clock() and entry.state is not State.SENDING:
            # Its turn has come while its window is closed; the others pass.
            now, why = self._tools.clock(), "its window is closed"
            waits = outcomes.scheduled(entry, due_at=opens_at, now=now, body=entry.body, reason=why)
            self._scribe.amended(waits, lambda _: place)
            lines.done(name, place)
            return False
        claimed = self._claim(entry, message, place)
        if claimed is None:
            return False
        carried = self._tools.courier.carry(message, self._sender, claimed, entry.body)
        self._scribe.settle(carried.entry, self._stand(carried.entry, message, address))
        lines.done(name, place)
        if carried.entry.state is State.HELD:
            self._tools.holds.look_back(self._sender, address)
        known = self._tools.pacer.known(self._sender)
        if carried.accepted and known and holds.something_to_clear(known, address):
            self._tools.holds.succeeded(self._sender, address)
        return carried.counted

    def _message(self, entry: Entry) -> Message:
        found = intake.read(entry.body, fallback_id=entry.id)
        if isinstance(found, ClaimCheck):
            found = intake.fetch(found, self._tools.payloads.read, fallback_id=entry.id)
        if isinstance(found, Waiting | Call | Amendment):
            raise MessageError(("message: what waits under this id is no message",))
        if (found.id, found.content_hash) != (entry.id, entry.content_hash):
            raise MessageError(("blob: it holds another message now than the one that waits",))
        return found

    def _claim(self, entry: Entry, message: Message, place: InLine) -> Entry | None:
        decision = claims.claim(
            entry,
            delivery=self._came,
            content_hash=entry.content_hash,
            now=self._tools.clock(),
            hold_on_doubt=message.fields.on_doubt == "hold",
            alive=self._tools.pacer.alive(self._sender),
        )
        lines, name = self._tools.lines, self._sender.name
        if isinstance(decision, Take):
            if claimed := self._tools.scribe.ledger.update(decision.entry):
                return claimed
            lines.put_back(name, place)  # somebody was faster; the next look says what they made of it
        elif isinstance(decision, Doubt | Expire):
            self._scribe.settle(decision.entry, lambda _: place)
            lines.done(name, place)
        elif isinstance(decision, LookAgain):
            self._scribe.park(entry, lambda _: place)
            lines.done(name, place)
        elif entry.state is State.SENDING and entry.claimed_by and entry.claimed_by.holder:
            lines.pass_over(name, place)  # the instance that has it lives, or has only just died
        else:
            lines.done(name, place)  # the queue message that holds the claim sees to it
        return None

    def _is_held(self, address: str) -> bool:
        known = self._tools.pacer.known(self._sender)
        if known is None or address not in known.address_holds:
            return False
        return not self._tools.pacer.begin_trial(self._sender, address)

    def _set_aside(self, entry: Entry, message: Message, address: str) -> None:
        """Let the others pass one whose From address is held."""
        known = self._tools.pacer.known(self._sender)
        reason = known.address_holds[address].reason if known else ""
        waits = outcomes.in_line(entry, now=self._tools.clock(), body=entry.body, reason=reason, held=True)
        stand = self._stand(waits, message, address)
        if waits is entry:
            self._scribe.park(entry, stand)
        else:
            self._scribe.settle(waits, stand)
        self._tools.holds.look_back(self._sender, address)

    def _stand(self, entry: Entry, message: Message, address: str) -> Callable[[Entry], InLine]:
        """Return what says where in the line, or aside with its From address, a message stands."""
        aside = entry.state is State.HELD and self._tools.holds.stands_aside(self._sender, address)
        return standing(message, address=address if aside else "")

    def _keep_waiting(self, entry: Entry, place: InLine, error: MessageError) -> bool:
        """Its From address was taken out of mail.toml after it was accepted: nothing of it is thrown away."""
        if self._claim_without_message(entry, place):
            reason, now, jitter = "; ".join(error.problems), self._tools.clock(), self._tools.jitter()
            waits = outcomes.waiting(entry, reason=reason, now=now, jitter=jitter, body=entry.body)
            self._scribe.settle(waits, lambda _: place)
            self._tools.lines.done(self._sender.name, place)
        return False

    def _refuse(self, entry: Entry, place: InLine, error: MessageError) -> bool:
        """What it waits to send is gone or another: its own record says so."""
        decision = self._claim_without_message(entry, place)
        if decision and (claimed := self._tools.scribe.ledger.update(decision.entry)):
            reason = "\n".join(error.problems)
            refused = outcomes.refuse(claimed, reason=reason, now=self._tools.clock())
            self._scribe.settle(refused, lambda _: place)
            self._tools.lines.done(self._sender.name, place)
        return False

    def _claim_without_message(self, entry: Entry, place: InLine) -> Take | None:
        """Decide about one whose message cannot be read or sent; one in other hands is passed over."""
        alive = self._tools.pacer.alive(self._sender)
        decision = claims.claim(
            entry,
            delivery=self._came,
            content_hash=entry.content_hash,
            now=self._tools.clock(),
            alive=alive,
        )
        if isinstance(decision, Take):
            return decision
        self._tools.lines.pass_over(self._sender.name, place)
        return None
