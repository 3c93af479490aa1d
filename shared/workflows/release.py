"""
``release``: every minute, what waits is let go.

1. What is due before the next run, or soon after, is put on the outbox, to be seen at its very time.
2. Held senders are probed, at growing intervals and without sending anything; where the cause is gone, their
   mail flows. What a probe cannot see is tried with one of the messages that wait.
3. Lines that have mail and are served by nobody, because an instance ended or a pause is over, are served
   again.
4. How long the oldest mail of each line has waited is told, so that an alert can ask for it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.core.holds import Proof
from shared.core.intake import call_body, waiting_body
from shared.core.metrics import Metric
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.core.waiting import line_of
from shared.log_words import Word
from shared.scribe import SOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from shared.core.holds import Hold, SenderState
    from shared.core.sender import Sender
    from shared.ports import Telemetry, WaitingRoom

log = logging.getLogger(__name__)

# The timer's own period; what ends within it is called for now.
_PERIOD: Final = timedelta(minutes=1)
# Probes may wait for a network that does not answer; the next run goes on with the others.
_PROBE_FOR: Final = timedelta(seconds=40)


class Outbox(Protocol):
    """The queue that messages come from."""

    def put(self, text: str, *, delay: timedelta) -> None:
        """Put ``text`` on the queue, to be seen after ``delay``."""
        ...

    def put_all(self, texts: Iterable[tuple[str, timedelta]]) -> None:
        """Put many on the queue, several at a time."""
        ...


class Register(Protocol):
    """What every instance agrees on about each sender."""

    def all(self) -> list[SenderState]:
        """Return the state of every sender that has one."""
        ...

    def change(
        self, sender: str, decide: Callable[[SenderState], SenderState]
    ) -> tuple[SenderState, SenderState]:
        """Change a sender's state; returns what stood there before and after."""
        ...


class Holds(Protocol):
    """What lets senders go on."""

    def resume(self, sender: Sender, *, address: str = "", why: str) -> bool:
        """End a hold and have the mail flow."""
        ...

    def tell(self, sender: Sender, address: str) -> None:
        """Tell of a hold where that is due: it was not told, or not for a day."""
        ...

    def bring_back(self, sender: Sender, address: str) -> None:
        """Bring the mail of an address that is no longer held back to its sender's line."""
        ...


class Prober(Protocol):
    """Finds out whether a sender could send."""

    def probe(self, sender: Sender, *, new_token: bool) -> str:
        """Return what is wrong, "" if nothing; ``new_token`` asks whether the provider still gives one."""
        ...


class Places(Protocol):
    """The connections that this process may open."""

    def place_for_probe(self, sender: Sender) -> bool:
        """Take one for a probe."""
        ...


@dataclass(frozen=True, slots=True)
class ReleaseTools:
    """What letting go needs of the world."""

    room: WaitingRoom
    outbox: Outbox
    register: Register
    holds: Holds
    prober: Prober
    places: Places
    telemetry: Telemetry
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]


def release(tools: ReleaseTools) -> int:
    """Let go what may go; returns how many messages were due."""
    due = _release_what_is_due(tools)
    probed = _probe(tools)
    states = tools.register.all()
    called = _call(tools, states)
    _tell_oldest(tools, states)
    if due or probed or called:
        log.info(
            "released %d messages that were due; probed %d holds; had %d lines served",
            due,
            probed,
            called,
            extra={"event": Word.RELEASED},
        )
    return due


# 1. What is due.


def _release_what_is_due(tools: ReleaseTools) -> int:
    released = 0
    for page in tools.room.due(tools.clock() + SOON):
        now = tools.clock()
        # Put first and removed after: what is put twice, where this breaks off, is sent once all the same.
        early = now + BROUGHT_BACK_EARLY
        tools.outbox.put_all((waiting_body(due.message_id), max(due.at - early, timedelta())) for due in page)
        tools.room.forget(page)
        released += len(page)
    return released


# 2. Held senders.


def _probe(tools: ReleaseTools) -> int:
    probed, ends_at = 0, tools.clock() + _PROBE_FOR
    for state in tools.register.all():
        sender = tools.senders.get(state.sender)
        if sender is None:
            continue
        for address in state.returning:  # an instance ended while it brought them back
            tools.holds.bring_back(sender, address)
        holds = {"": state.hold, **state.address_holds}
        for address, hold in holds.items():
            now = tools.clock()
            if hold and hold.is_to_be_told(now):
                tools.holds.tell(sender, address)
            if hold and hold.probe_at and hold.probe_at <= now < ends_at:
                _probe_one(tools, sender, address)
                probed += 1
    return probed


def _probe_one(tools: ReleaseTools, sender: Sender, address: str) -> None:
    """Probe one hold; the next probe is set before this one begins, so that no crash repeats it at once."""
    if not tools.places.place_for_probe(sender):
        return  # every connection is in use by mail from other addresses; the next run tries again
    begun: list[Hold] = []

    def decide(state: SenderState) -> SenderState:
        begun.clear()
        hold = state.address_holds.get(address) if address else state.hold
        if hold is None:
            return state
        begun.append(hold)
        return _with(state, address, hold.probed(tools.clock()))

    tools.register.change(sender.name, decide)
    if not begun:
        return
    if wrong := tools.prober.probe(sender, new_token=begun[0].proof is Proof.TOKEN):
        log.warning(
            "probed %s: %s",
            sender.name,
            wrong,
            extra={"event": Word.PROBE_FAILED, "sender": sender.name},
        )
    elif begun[0].proof is Proof.TOKEN:
        tools.holds.resume(sender, address=address, why="the provider gives tokens again")
    elif begun[0].proof is Proof.SESSION:
        tools.holds.resume(sender, address=address, why="a probe could sign in again")
    else:
        _try_one(tools, sender, address)


def _try_one(tools: ReleaseTools, sender: Sender, address: str) -> None:
    """Let one message of those that wait find out whether the cause is gone."""

    def decide(state: SenderState) -> SenderState:
        hold = state.address_holds.get(address) if address else state.hold
        if hold is None:
            return state
        return replace(_with(state, address, replace(hold, trying=True)), line=True)

    tools.register.change(sender.name, decide)
    if address:
        tools.room.move(line_of(sender.name, address), line_of(sender.name), most=1)
    tools.outbox.put(call_body(sender.name), delay=timedelta())


def _with(state: SenderState, address: str, hold: Hold) -> SenderState:
    if address:
        return replace(state, address_holds={**state.address_holds, address: hold})
    return replace(state, hold=hold)


# 3. Lines that stand still.


def _call(tools: ReleaseTools, states: Sequence[SenderState]) -> int:
    called = 0
    for state in states:
        now = tools.clock()
        held = state.hold is not None and not state.hold.trying
        if state.sender not in tools.senders or not state.line or held or state.is_served(now):
            continue
        pause = state.paused(now)
        if pause and pause.until - now > _PERIOD:
            continue
        tools.outbox.put(call_body(state.sender), delay=pause.until - now if pause else timedelta())
        called += 1
    return called


# 4. Who waits longest.


def _tell_oldest(tools: ReleaseTools, states: Sequence[SenderState]) -> None:
    """Say of each sender with mail in its line how long the oldest waits; a held one has its own alarm."""
    for state in states:
        if state.sender not in tools.senders or not state.line or state.hold is not None:
            continue
        since, now = tools.room.oldest(line_of(state.sender)), tools.clock()
        if since is not None:
            seconds = max(0.0, (now - since).total_seconds())
            tools.telemetry.gauge(Metric.OLDEST_WAITING, seconds, sender=state.sender)
