"""
Leases: which instance may do a thing that only one may do, in the table ``leases``.

A lease ends by itself, so an instance that dies keeps nobody waiting for longer than it was taken for.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.adapters.table_client import Entity, Table

TABLE = "leases"
_ROW = "lease"


class TableLeases:
    """One lease for each name; whoever writes it first, or after its end, holds it."""

    def __init__(self, table: Table, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = table
        self._clock = clock

    def acquire(self, name: str, duration: timedelta) -> str:
        """Take the lease for ``duration``; returns the mark that gives it back, or "" when another has it."""
        now = self._clock()
        entity: Entity = {
            "PartitionKey": name,
            "RowKey": _ROW,
            "holder": str(uuid.uuid4()),
            "until": now + duration,
        }
        if mark := self._table.insert(entity):
            return mark
        found = self._table.get(name, _ROW)
        if found and found["holder"] == entity["holder"]:
            return str(found["etag"])  # the SDK repeated an insert whose answer was lost
        if found is None or found["until"].timestamp() > now.timestamp():
            return ""
        return self._table.replace(entity, etag=found["etag"]) or ""

    def release(self, name: str, mark: str) -> None:
        """Give the lease back; harmless when it has ended and another has taken it, or for ""."""
        if mark:
            self._table.delete(name, _ROW, etag=mark)
