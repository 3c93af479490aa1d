"""
The herald: puts what happens to messages on the queue ``mail-events``, for those who listen.

An event that cannot be put there is a failure of storage and raises; the queue then delivers the message
again, finds it settled, and the event is told again with the same id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import events

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from shared.core.delivery import Entry
    from shared.ports import Outbox


class Herald:
    """Tells the kinds of events that this deployment wants."""

    def __init__(self, queue: Outbox, *, source: str, opted_in: frozenset[str]) -> None:
        self._queue = queue
        self._source = source
        self._silent = events.OPT_IN - opted_in

    def tell(self, entry: Entry) -> None:
        """Put the event of a message's present state on the queue."""
        if events.OF_STATE.get(entry.state) in self._silent:
            return
        event = events.of_message(entry, source=self._source)
        if event is not None:
            self._queue.put(event, delay=timedelta())

    def tell_of_sender(self, kind: str, sender: str, data: Mapping[str, Any], *, at: datetime) -> None:
        """Put an event about a sender on the queue."""
        self._queue.put(events.of_sender(kind, sender, data, source=self._source, at=at), delay=timedelta())
