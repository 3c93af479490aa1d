"""
Holding senders and letting them go on, and saying so: in the register, as an event, in the log.

A hold is told when it begins, by the instance that made it, once a day while it lasts, and when it ends.
There is one way out, `resume`, whoever asks for it: a probe that passes, a message that goes through, a
consent, a person.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.core import holds
from shared.core.intake import call_body
from shared.core.waiting import line_of
from shared.log_words import Word
from shared.scribe import SOON

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.core.holds import Finding, Hold, Pause, SenderState
    from shared.core.sender import Sender
    from shared.ports import Outbox, WaitingRoom
    from shared.register import Register

log = logging.getLogger(__name__)

# Longer than a failure to get a token is remembered, so that a new consent is seen by every instance.
_CALL_AFTER: Final = timedelta(seconds=2)


class Alarms(Protocol):
    """Says what happens to senders."""

    def held(self, sender: Sender, hold: Hold, address: str) -> None:
        """Say that a sender, or one From address of it, is held."""
        ...

    def resumed(self, sender: Sender, address: str, *, why: str) -> None:
        """Say that a hold is over."""
        ...


class Holds:
    """Holds, pauses and resumes senders. ``forget`` is told whose state was changed."""

    def __init__(
        self,
        register: Register,
        *,
        room: WaitingRoom,
        outbox: Outbox,
        alarms: Alarms,
        forget: Callable[[str], object],
        clock: Callable[[], datetime],
    ) -> None:
        self._register = register
        self._room = room
        self._outbox = outbox
        self._alarms = alarms
        self._forget = forget
        self._clock = clock

    def state(self, sender: str) -> SenderState:
        """Return what stands in the register."""
        return self._register.read(sender)

    def stands_aside(self, sender: Sender, address: str) -> bool:
        """Whether held mail of a From address lets the others of its sender pass: not where all are held."""
        state = self._register.read(sender.name)
        return state.hold is None and address in state.address_holds

    def bring_back(self, sender: Sender, address: str) -> None:
        """Bring the mail of an address that is no longer held back to its sender's line."""
        self._room.move(line_of(sender.name, address), line_of(sender.name))
        self._register.change(sender.name, lambda state: holds.returned(state, address))

    def tell(self, sender: Sender, address: str) -> None:
        """Tell of a hold where that is due: it was not told, or not for a day."""
        state = self._register.read(sender.name)
        hold = state.address_holds.get(address) if address else state.hold
        if hold and hold.is_to_be_told(self._clock()):
            self._held(sender, hold, address)

    def look_back(self, sender: Sender, address: str) -> None:
        """Bring mail back that has just stepped aside, where its address was resumed meanwhile."""
        if address not in self._register.read(sender.name).address_holds:
            self._room.move(line_of(sender.name, address), line_of(sender.name))

    def found(self, sender: Sender, finding: Finding) -> None:
        """Take in what an attempt that failed says about its sender."""
        before, after = self._register.change(sender.name, lambda state: holds.after_finding(state, finding))
        if before is after:
            return
        self._forget(sender.name)
        self._say(sender, before, after, finding.address)

    def hold(self, sender: Sender, hold: Hold, *, address: str = "") -> None:
        """Hold a sender, or one From address of it."""
        before, after = self._register.change(sender.name, lambda state: holds.held(state, hold, address))
        self._forget(sender.name)
        self._say(sender, before, after, address)

    def wait(self, sender: Sender, pause: Pause) -> None:
        """Let a sender wait for time alone."""
        before, after = self._register.change(sender.name, lambda state: holds.paused(state, pause))
        self._forget(sender.name)
        self._say(sender, before, after, "")

    def succeeded(self, sender: Sender, address: str) -> None:
        """Take in that a message was accepted: what was counted against its sender is forgotten."""
        before, after = self._register.change(sender.name, lambda state: holds.after_success(state, address))
        self._forget(sender.name)
        for each in _ended(before, after):
            self._resumed(sender, each, why="a message went through")

    def resume(
        self, sender: Sender, *, address: str = "", why: str, only: frozenset[str] = frozenset()
    ) -> bool:
        """
        End a hold and have its mail flow; False where nothing was held.

        ``only`` names the remedies of the holds that may be ended, where not any.
        """

        def decide(state: SenderState) -> SenderState:
            hold = state.address_holds.get(address) if address else state.hold
            if only and (hold is None or hold.remedy not in only):
                return state
            return holds.resumed(state, address)

        before, after = self._register.change(sender.name, decide)
        self._forget(sender.name)
        ended = _ended(before, after)
        for each in ended:
            self._resumed(sender, each, why=why)
        if before is not after and not ended:  # it was paused
            self._outbox.put(call_body(sender.name), delay=timedelta())
        return bool(ended)

    def _resumed(self, sender: Sender, address: str, *, why: str) -> None:
        if address:
            self.bring_back(sender, address)
        self._outbox.put(call_body(sender.name), delay=_CALL_AFTER)
        self._alarms.resumed(sender, address, why=why)

    def _say(self, sender: Sender, before: SenderState, after: SenderState, address: str) -> None:
        """Say what is new: a hold, or a pause."""
        if after.hold and (before.hold is None or before.hold.remedy != after.hold.remedy):
            self._held(sender, after.hold, "")
        of_address = after.address_holds.get(address)
        if of_address and address not in before.address_holds:
            self._held(sender, of_address, address)
        if after.pause and after.pause != before.pause:
            log.warning(
                "mail of %s waits until %s: %s",
                sender.name,
                after.pause.until.isoformat(timespec="seconds"),
                after.pause.reason,
                extra={"event": Word.SENDER_PAUSED, "sender": sender.name},
            )
            wait = after.pause.until - self._clock()
            if wait <= SOON:  # `release` calls at the end of a longer one
                self._outbox.put(call_body(sender.name), delay=wait)

    def _held(self, sender: Sender, hold: Hold, address: str) -> None:
        self._alarms.held(sender, hold, address)
        now = self._clock()
        self._register.change(sender.name, lambda state: holds.told(state, address, now))


def _ended(before: SenderState, after: SenderState) -> list[str]:
    """Return what was held before and is not now: "" for the sender itself, else a From address."""
    ended = [address for address in before.address_holds if address not in after.address_holds]
    return ["", *ended] if before.hold and not after.hold else ended
