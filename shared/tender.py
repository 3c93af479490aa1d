"""
The tender: looks after the connections that this process holds, in a thread of its own.

It renews the lease of those in use, however long a message takes, and gives back what nobody uses.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.core.pacing import Ask
from shared.desk import DROP_BEFORE, Desk, Office

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.sender import Sender

log = logging.getLogger(__name__)

# Before its lease ends: renewed where it is in use, and given up where it is not.
_RENEW_BEFORE: Final = timedelta(seconds=25)
_RUNS_OUT: Final = DROP_BEFORE + timedelta(seconds=3)
# Where no connection is left for others, one that rests so long is given back.
_REST_WHEN_CROWDED: Final = timedelta(seconds=2)
# How long a sent message may stay untold where the server counted it late; it matters after a minute.
_TELL_WITHIN: Final = timedelta(seconds=20)
_AT_A_TIME: Final = 8  # senders that are looked after side by side
_TEND_EVERY_SECONDS: Final = 1.0


class Tender(Office):
    """
    Tends the desks.

    ``trim`` closes resting connections of a sender until no more than so many are open.
    """

    trim: Callable[[str, int], object]
    #: Whether a thread does it; else whoever calls ``tend``.
    by_itself: bool
    stopping: threading.Event
    _tender: threading.Thread | None = None

    def tend(self) -> bool:
        """Renew leases that are in use and give up what is not; returns whether anything is held still."""
        desks = sorted(self._desks.values(), key=lambda each: each[1].places_until)
        held = [(sender, desk) for sender, desk in desks if desk.places or desk.spent or desk.late]
        # Side by side: one server that is slow to say goodbye, or one answer of storage that does not come,
        # must not let the leases of other senders run out.
        with ThreadPoolExecutor(_AT_A_TIME) as at_a_time:
            for done in [at_a_time.submit(self._look_after, sender, desk) for sender, desk in held]:
                done.result()
        return any(desk.places or desk.spent or desk.late for _, desk in list(self._desks.values()))

    def close_what_runs_out(self) -> None:
        """
        Close resting connections whose lease ends soon, whatever storage does: they are another's then.

        It waits for no answer of storage and for no desk's lock, which is held while one is awaited.
        """
        now = self._clock()
        ending = [
            (sender.name, desk.busy)
            for sender, desk in list(self._desks.values())
            if desk.places and desk.places_until - now < _RUNS_OUT
        ]
        with ThreadPoolExecutor(_AT_A_TIME) as at_a_time:
            for done in [at_a_time.submit(self.trim, name, busy) for name, busy in ending]:
                done.result()

    def close(self) -> None:
        """Give back every connection of this process, which is about to end."""
        self.stopping.set()
        try:
            for sender, desk in list(self._desks.values()):
                with desk.changed:
                    if desk.live_places(self._clock()) and not desk.asking:
                        self._give_back(sender, desk, keep=0)
        except Exception:  # storage is away: the leases end by themselves
            log.debug("the leases of this instance could not be given back", exc_info=True)

    def place_for_probe(self, sender: Sender) -> bool:
        """Take a connection for a probe; False where none is free. It is given back by itself."""
        desk = self._desk(sender)
        with desk.changed:
            if desk.asking:
                return False
            places = max(desk.live_places(self._clock()), min(desk.busy + 1, sender.limits.connections))
            self._consult(desk, sender, Ask(self._holder, places=places))
            return desk.live_places(self._clock()) > desk.busy

    def _renewed_or_rests(self, sender: Sender, desk: Desk) -> bool:
        """Renew the lease where it is in use; whether connections rest that are to be given back."""
        now = self._clock()
        left = desk.places_until - now
        told_late = bool(desk.late) and now - desk.late[0][1] > _TELL_WITHIN
        if (desk.busy and left < _RENEW_BEFORE) or (told_late and desk.live_places(now)):
            self._consult(desk, sender, Ask(self._holder, places=desk.places))
            return False
        spare = desk.places > desk.needed and desk.crowded
        if not spare:
            desk.spare_since = None
        elif desk.spare_since is None:
            desk.spare_since = now
        rests_among_others = desk.spare_since is not None and now - desk.spare_since > _REST_WHEN_CROWDED
        runs_out = not desk.busy and desk.places > 0 and left < _RUNS_OUT
        return rests_among_others or runs_out or told_late

    def _look_after(self, sender: Sender, desk: Desk) -> None:
        with desk.changed:
            if not desk.asking and self._renewed_or_rests(sender, desk):
                self._give_back(sender, desk, keep=desk.needed)

    def _give_back(self, sender: Sender, desk: Desk, *, keep: int) -> None:
        """Close what rests, then say so; a lease that is nearly over ends by itself."""
        desk.places, desk.spare_since = keep, None
        # Nobody asks meanwhile: what was granted in between would be given back with its connection open.
        desk.asking = True
        desk.changed.release()
        try:
            self.trim(sender.name, keep)
        finally:
            desk.changed.acquire()
            desk.asking = False
            desk.changed.notify_all()
        ends_by_itself = desk.places_until - self._clock() < _RUNS_OUT and not desk.busy
        if ends_by_itself and not desk.spent and not desk.late:
            desk.places = 0
            return
        self._consult(desk, sender, Ask(self._holder, places=max(keep, desk.busy)))

    def _holds_something(self) -> None:
        with self._lock:
            if self.by_itself and self._tender is None:
                self._tender = threading.Thread(target=self._keep_tending, name="tender", daemon=True)
                self._tender.start()
                threading.Thread(
                    target=self._keep_closing, args=[self._tender], name="tender-closing", daemon=True
                ).start()

    def _keep_closing(self, tender: threading.Thread) -> None:
        while tender.is_alive() and not self.stopping.wait(_TEND_EVERY_SECONDS):
            self.close_what_runs_out()

    def _keep_tending(self) -> None:
        while not self.stopping.wait(_TEND_EVERY_SECONDS):
            try:
                held = self.tend()
            except Exception:  # storage is away: the leases end, and it is tried again
                log.debug("the leases of this instance could not be looked after", exc_info=True)
                held = True
            with self._lock:
                if not held:
                    self._tender = None
                    return
