"""
The pacer: who in this process may hand a message over now, so that all processes together keep the limits.

It holds what the register has granted to this process: permits for messages and places for connections. A
message takes a *seat*, which is one of each; only where none is left is storage asked. What cannot have a
seat goes to the sender's line, and one process or another serves that (`shared.line_service`). A thread looks
after the places (`shared.tender`).
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.pacing import Ask, Permit
from shared.desk import (
    AHEAD,
    DAY_IS_FULL,
    LONG_AGO,
    MINUTE_IS_FULL,
    NO_PLACE,
    Desk,
    NotNow,
    Seat,
    blocked,
)
from shared.line_service import LineService
from shared.tender import Tender

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.holds import Hold, SenderState
    from shared.core.sender import Sender
    from shared.register import Register

_SLOTS_AHEAD: Final = 4
_LONGEST_PROMISE: Final = timedelta(seconds=30)
# A message waits in its thread for a slot that is this near, or for a connection of this process for so long;
# else it goes to the line.
_NEAR: Final = timedelta(seconds=1.2)
_PATIENCE: Final = timedelta(seconds=10)
# Where every connection is taken by others, one may be free again soon.
_PLACE_AGAIN: Final = timedelta(seconds=1)


class Pacer(LineService, Tender):
    """
    Seats for messages; safe to use from many threads.

    ``trim`` closes resting connections of a sender until no more than so many are open.
    """

    def __init__(
        self,
        register: Register,
        *,
        holder: str,
        trim: Callable[[str, int], object],
        clock: Callable[[], datetime],
        most_served: int,
        tend: bool = True,
    ) -> None:
        super().__init__(register, holder=holder, clock=clock)
        self.trim = trim
        self.most_served = most_served
        self.by_itself = tend
        self.stopping = threading.Event()

    def admit(
        self,
        sender: Sender,
        *,
        recipients: int,
        address: str,
        urgent: bool = False,
        from_line: bool = False,
        behind: int = 0,
    ) -> Seat | NotNow:
        """
        Return a seat for one message, or why there is none just now.

        Waits for a slot or a connection that is near. ``from_line`` is for the message whose turn it is,
        ``behind`` how many are known to wait with it.
        """
        desk = self._desk(sender)
        busy_for = behind * timedelta(minutes=1) / sender.limits.messages_per_minute
        desk.busy_with_line_for = min(busy_for, _LONGEST_PROMISE)
        waited_for = AHEAD + _PATIENCE if from_line else _PATIENCE
        give_up_at = self._clock() + waited_for
        with desk.changed:
            desk.waiting += 1
            try:
                while True:
                    found = self._seat(desk, sender, recipients, address, urgent=urgent, from_line=from_line)
                    if not isinstance(found, timedelta):
                        return found
                    left = give_up_at - self._clock()
                    if left <= timedelta():
                        return NotNow(NO_PLACE)
                    desk.changed.wait(max(0.001, min(found, left).total_seconds()))
            finally:
                desk.waiting -= 1

    def leave(self, seat: Seat, *, used: bool, recipients: int | None = None) -> None:
        """
        Give the seat up; where the message went to the server, it is counted as of now at the latest.

        ``recipients`` is how many it had, where that is not what the seat was asked for.
        """
        _, desk = self._desks[seat.sender]
        now = self._clock()
        with desk.changed:
            desk.busy -= 1
            desk.from_line -= seat.from_line
            if used:
                desk.spent += 0 if recipients is None else recipients - seat.recipients
                if now > seat.permit.counted_at:
                    desk.late.append((seat.permit.counted_at, now))
            else:
                desk.spent -= seat.recipients
                if now < seat.permit.until:
                    desk.permits.appendleft((seat.permit, 1))
            desk.changed.notify_all()

    def begin_trial(self, sender: Sender, address: str) -> bool:
        """Whether this message may try the hold of its From address, or that is over."""
        mine: list[bool] = []

        def decide(state: SenderState) -> SenderState:
            hold = state.address_holds.get(address)
            mine.append(hold is None or hold.trying)
            if hold is None or not hold.trying:
                return state
            holds = {**state.address_holds, address: replace(hold, trying=False)}
            return replace(state, address_holds=holds)

        self._register.change(sender.name, decide)
        return mine[-1]

    def _seat(
        self, desk: Desk, sender: Sender, recipients: int, address: str, *, urgent: bool, from_line: bool
    ) -> Seat | NotNow | timedelta:
        """Return a seat, or why not, or how long to wait before it is tried again; called with the lock."""
        now = self._clock()
        # Who serves believes what it read for as long as it has slots.
        known = desk.known(now) or desk.promised(now, own=from_line)
        if known and (no := blocked(known, address, now, from_line=from_line)):
            return no
        if desk.asking:
            return _PATIENCE
        untold = desk.may_stay_untold(recipients, sender, now)
        if known and untold and desk.busy < desk.live_places(now) and not known.hold_for(address):
            if permit := desk.take(now):
                desk.spent += recipients
                return self._sit(desk, sender, permit, recipients, from_line=from_line)
            if from_line and (slot := desk.next_slot(now)):
                return slot - now
        elif desk.busy and desk.busy >= desk.live_places(now) and self._has_all(desk, sender):
            return _PATIENCE  # one of this process's own is soon free
        return self._ask(desk, sender, recipients, address, urgent=urgent, from_line=from_line)

    @staticmethod
    def _sit(
        desk: Desk,
        sender: Sender,
        permit: Permit,
        recipients: int,
        *,
        from_line: bool,
        trial: Hold | None = None,
    ) -> Seat:
        desk.busy += 1
        desk.from_line += from_line
        return Seat(sender.name, permit, recipients, from_line=from_line, trial=trial)

    @staticmethod
    def _has_all(desk: Desk, sender: Sender) -> bool:
        return desk.places >= sender.limits.connections or desk.crowded

    def _ask(
        self, desk: Desk, sender: Sender, recipients: int, address: str, *, urgent: bool, from_line: bool
    ) -> Seat | NotNow | timedelta:
        """Ask the register, with the lock let go meanwhile; take the seat that it grants."""
        later, why = desk.later.get((urgent, from_line), (LONG_AGO, ""))
        if later > (now := self._clock()):
            return _wait_or_not(later, why, now, from_line=from_line)
        ask = Ask(
            self._holder,
            messages=_SLOTS_AHEAD if from_line else desk.waiting,
            recipients=recipients,
            places=max(
                desk.live_places(self._clock()), min(sender.limits.connections, desk.busy + desk.waiting)
            ),
            ahead=AHEAD if from_line else timedelta(),
            urgent=urgent,
        )
        told = self._consult(desk, sender, ask, address, serving=from_line)
        now = self._clock()
        if isinstance(told, NotNow):
            return told
        grant, trial = told
        counted = bool(grant.permits)  # its recipients with them
        may_go = counted or desk.may_stay_untold(recipients, sender, now)
        if may_go and desk.busy < desk.live_places(now) and (permit := desk.take(now)):
            desk.spent += 0 if counted else recipients
            return self._sit(desk, sender, permit, recipients, from_line=from_line, trial=trial)
        if may_go and 0 < desk.live_places(now) <= desk.busy:
            return _PATIENCE
        if may_go and (slot := desk.next_slot(now)) and desk.live_places(now):
            return max(slot - now, timedelta(milliseconds=1))
        later = grant.later or now + _PLACE_AGAIN
        why = DAY_IS_FULL if grant.day_is_full else MINUTE_IS_FULL if grant.places else NO_PLACE
        desk.later[urgent, from_line] = later, why
        return _wait_or_not(later, why, now, from_line=from_line)


def _wait_or_not(later: datetime, why: str, now: datetime, *, from_line: bool) -> timedelta | NotNow:
    """Return how long to wait for what is near, else that it is not."""
    if later - now <= (AHEAD if from_line else _NEAR):
        return max(later - now, timedelta(milliseconds=1))
    return NotNow(why, later=later)
