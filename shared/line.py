"""
The lines as one process serves them: who is next, asked of storage as seldom as the order allows.

Several threads may serve one line; none gets a message that another has in hand.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.waiting import line_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.waiting import InLine
    from shared.ports import WaitingRoom

# How old the head of a line may be when the next message is chosen: an urgent one waits no longer than this.
_FRESH_FOR: Final = timedelta(seconds=3)
_ROWS_AT_A_TIME: Final = 32
_MOST_ROWS: Final = 1000  # what one answer of the service holds
_PASSED_FOR: Final = timedelta(seconds=30)
# Those that have gone leave the line together.
_LEAVE_TOGETHER: Final = 20
_LEAVE_WITHIN: Final = timedelta(seconds=5)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Head:
    """What this process knows of one line."""

    rows: list[InLine] = field(default_factory=list)
    read_at: datetime = _LONG_AGO
    #: Ids of messages: one that came back to the line may stand there twice for a moment.
    in_hand: set[str] = field(default_factory=set)
    #: In other hands, and until when that is believed.
    passed: dict[str, datetime] = field(default_factory=dict)
    #: Settled, or elsewhere, and their rows not yet removed.
    gone: list[InLine] = field(default_factory=list)
    going: set[str] = field(default_factory=set)
    gone_since: datetime = _LONG_AGO


class Lines:
    """The heads of the lines; safe to use from many threads."""

    def __init__(self, room: WaitingRoom, *, clock: Callable[[], datetime]) -> None:
        self._room = room
        self._clock = clock
        self._heads: dict[str, _Head] = {}
        self._lock = threading.Lock()

    def look(self, sender: str) -> InLine | None:
        """Return somebody who waits, known from before or read now; None where the line is empty."""
        head = self._head(sender)
        with self._lock:
            if waiting := _first(head):
                return waiting
        self._read(sender, head)
        with self._lock:
            return _first(head)

    def waiting(self, sender: str) -> int:
        """Return how many are known to wait; there may be more."""
        head = self._head(sender)
        with self._lock:
            return sum(1 for row in head.rows if _is_free(head, row))

    def take(self, sender: str) -> InLine | None:
        """Take the one that is next as of now."""
        head = self._head(sender)
        if self._clock() - head.read_at > _FRESH_FOR:
            self._read(sender, head)
        with self._lock:
            if place := _first(head):
                head.in_hand.add(place.message_id)
            return place

    def put_back(self, sender: str, place: InLine) -> None:
        """Leave one in the line that was taken."""
        head = self._head(sender)
        with self._lock:
            head.in_hand.discard(place.message_id)

    def pass_over(self, sender: str, place: InLine) -> None:
        """Leave one in the line that is in other hands, and look at it no more for a while."""
        head = self._head(sender)
        with self._lock:
            head.in_hand.discard(place.message_id)
            head.passed[place.key] = self._clock() + _PASSED_FOR

    def somebody_passed(self, sender: str) -> bool:
        """Whether one was left in the line because it is in other hands."""
        head = self._head(sender)
        with self._lock:
            return bool(head.passed)

    def done(self, sender: str, place: InLine) -> None:
        """Let one leave the line that is settled, or stands elsewhere."""
        head = self._head(sender)
        with self._lock:
            head.in_hand.discard(place.message_id)
            if not head.gone:
                head.gone_since = self._clock()
            head.gone.append(place)
            head.going.add(place.key)
            together = len(head.gone) >= _LEAVE_TOGETHER or self._clock() - head.gone_since >= _LEAVE_WITHIN
        if together:
            self.tidy(sender)

    def tidy(self, sender: str) -> None:
        """Write down who has left."""
        head = self._head(sender)
        with self._lock:
            gone, head.gone = head.gone, []
        if gone:
            try:
                self._room.leave(gone)
            except BaseException:
                with self._lock:
                    head.gone = [*gone, *head.gone]
                raise
            left = {place.key for place in gone}
            with self._lock:
                head.rows = [row for row in head.rows if row.key not in left]
                head.going -= left

    def _read(self, sender: str, head: _Head) -> None:
        with self._lock:
            now = self._clock()
            head.passed = {key: until for key, until in head.passed.items() if until > now}
            most = min(_ROWS_AT_A_TIME + len(head.in_hand) + len(head.passed) + len(head.going), _MOST_ROWS)
        rows = self._room.head(line_of(sender), most=most)
        with self._lock:
            head.rows, head.read_at = rows, now

    def _head(self, sender: str) -> _Head:
        with self._lock:
            return self._heads.setdefault(sender, _Head())


def _first(head: _Head) -> InLine | None:
    return next((row for row in head.rows if _is_free(head, row)), None)


def _is_free(head: _Head, row: InLine) -> bool:
    return row.message_id not in head.in_hand and row.key not in head.passed and row.key not in head.going
