"""
Serving lines: which process, and which of its threads, serves a sender's line, so that nobody waits unseen.

A process that serves promises to look at the line again until a moment; whoever joins a line relies on that
without asking storage. So a promise is kept whatever happens: a line is called empty only after the last look
that was promised, a promise that is taken back is owed until its time, and a mark in the register says that a
line has mail even where the one that served it has died.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.holds import OWED
from shared.desk import AMPLE, PROMISE, Desk, Office, Service, live

if TYPE_CHECKING:
    from shared.core.holds import SenderState
    from shared.core.sender import Sender

_LOOK_TAKES: Final = timedelta(seconds=1)
# In the place of an instance's name: a call for one to serve is on the outbox, and is taken up within this.
_CALLED: Final = "called"
_CALL_TAKES: Final = timedelta(seconds=8)


class LineService(Office):
    """Decides who serves a line. ``most_served`` is how many this process serves at a time."""

    most_served: int

    def begin_serving(self, sender: Sender, *, called: bool = False) -> Service:
        """
        Note that mail waits in the sender's line, and decide who serves it.

        ``called`` says that this is the answer to a call: nothing new was put there.
        """
        desk = self._desk(sender)
        with desk.changed:
            if self._helps(desk, sender):
                return Service.MINE
            now = self._clock()
            # A promise holds whatever has happened since it was read; a hold may be over, and is read anew.
            if not called and desk.promised(now, own=False):
                return Service.SEEN_TO
            service = self._mark(desk, sender, called=called)
            if service is Service.MINE:
                desk.servers.add(threading.get_ident())
            return service

    def hand_over(self, sender: Sender) -> None:
        """Serve no longer although there is mail: a call is to be put on the outbox."""
        desk = self._desk(sender)
        with desk.changed:
            desk.servers.discard(threading.get_ident())
            self._mark(desk, sender, called=True, hand_over=True)

    def withdraw(self, sender: Sender) -> None:
        """Take a promise back: nothing may go just now, and whoever knows when it may calls."""
        desk = self._desk(sender)

        def decide(state: SenderState) -> SenderState:
            serving = dict(state.serving)
            promised = serving.pop(self._holder, None)
            if promised is None:
                return state
            return replace(state, serving={**serving, OWED: max(promised, serving.get(OWED, promised))})

        with desk.changed:
            desk.servers.discard(threading.get_ident())
            _, desk.state = self._register.change(sender.name, decide)
            desk.read_at = desk.promise = self._clock()

    def end_serving(self, sender: Sender) -> None:
        """Serve no longer, whatever the reason; the promise that was given ends by itself."""
        desk = self._desk(sender)
        with desk.changed:
            desk.servers.discard(threading.get_ident())

    def line_is_empty(self, sender: Sender, *, looked_at: datetime | None = None) -> timedelta | None:
        """
        Say that the line was found empty; returns how long to wait before it is looked at again, or None.

        While the promise lasts that others rely on, it has to be looked at once more; so it has to where the
        look began, ``looked_at``, too long ago.
        """
        desk = self._desk(sender)
        with desk.changed:
            now = self._clock()
            if looked_at is not None and now - looked_at > _LOOK_TAKES:
                return timedelta(milliseconds=1)
            if desk.promise > now:
                return min(desk.promise - now, timedelta(seconds=1))
            # From here on nobody of this process relies on this thread.
            desk.servers.discard(threading.get_ident())
            if desk.from_line:
                return None  # another thread has one of the line in hand; the mark stays for as long

            def decide(state: SenderState) -> SenderState:
                others = {name: until for name, until in live(state, now).items() if name != self._holder}
                return replace(state, serving=others, line=bool(others))

            _, desk.state = self._register.change(sender.name, decide, known=desk.state)
            desk.read_at = self._clock()
            return None

    def _helps(self, desk: Desk, sender: Sender) -> bool:
        """Whether another thread of this process is of use where one serves the line already."""
        most = min(desk.places, sender.limits.connections)
        if desk.at_once and 0 < len(desk.servers) < most:
            desk.servers.add(threading.get_ident())
            return True
        return False

    def _may_serve(self) -> bool:
        served = sum(1 for _, desk in list(self._desks.values()) if desk.servers)
        return served < self.most_served

    def _mark(self, desk: Desk, sender: Sender, *, called: bool, hand_over: bool = False) -> Service:
        """Write that the line has mail and, where nobody else does, who serves it."""
        mine = not hand_over and self._may_serve()
        service: list[Service] = []

        def decide(state: SenderState) -> SenderState:
            now = self._clock()
            service.clear()
            serving = live(state, now)
            promised = [
                serving.pop(name)
                for name, over in ((self._holder, hand_over), (_CALLED, called), (OWED, True))
                if over and name in serving
            ]
            if _somebody_sees_to_it(replace(state, serving=serving), now):
                service.append(Service.SEEN_TO)
                return state if state.line else replace(state, line=True)
            service.append(Service.MINE if mine else Service.CALL)
            who, until = (self._holder, now + PROMISE + AMPLE) if mine else (_CALLED, now + _CALL_TAKES)
            # Others may rely on the promise that this one takes the place of.
            return replace(state, line=True, serving={**serving, who: max([until, *promised])})

        known = desk.current() if desk.known(self._clock()) else None
        _, desk.state = self._register.change(sender.name, decide, known=known)
        desk.read_at = self._clock()
        desk.promise = desk.state.serving.get(self._holder, desk.read_at)
        return service[-1]


def _somebody_sees_to_it(state: SenderState, now: datetime) -> bool:
    """Whether nobody need begin to serve: another does, or nothing may go, and `release` sees when it may."""
    held = state.hold is not None and not state.hold.trying
    return held or state.paused(now) is not None or state.is_served(now + AMPLE)
