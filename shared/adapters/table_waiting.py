"""
The waiting room, in the table ``waiting``: the lines of the senders, and what waits for a time.

Keys: a partition for each sender's line, its rows in the order in which they go, so the next one is the first
row; and eight partitions for what waits for a time, their rows in the order of that time, so what is due is a
range at their beginning. Either is found in work that grows with what is taken, not with what waits.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from shared.core.waiting import DUE_SHARDS, Due, InLine, due_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from shared.adapters.table_client import Entity, Table

TABLE = "waiting"
_MOST_IN_A_TRANSACTION = 100  # the service's limit
_PAGE = 1000  # rows in one answer, the service's limit


class TableWaiting:
    """Rows that say who waits; what they wait with stands in the ledger."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def join(self, place: InLine) -> None:
        """Put a message in a line; harmless when it stands there."""
        self._table.upsert(_row(place, place.line))

    def head(self, line: str, *, most: int) -> list[InLine]:
        """Return the first of a line, in the order in which they go."""
        rows, _ = self._table.page("PartitionKey eq @line", {"line": line}, token="", limit=most)
        return [_place(line, row) for row in rows]

    def oldest(self, line: str) -> datetime | None:
        """
        Return since when the one waits that waits longest, None where none does or it is not known.

        Of a line of more than a thousand, that is the longest among those that go next.
        """
        return min((place.since for place in self.head(line, most=_PAGE) if place.since), default=None)

    def leave(self, places: Sequence[InLine]) -> None:
        """Take messages out of one line; who has left it already is no matter."""
        self._remove([(place.line, place.key) for place in places])

    def move(self, line: str, into: str, *, most: int | None = None) -> int:
        """
        Move one line, or its first ``most``, into another, where each keeps its order; returns how many.

        Each stands in the other before it leaves the one, so nothing is lost where this breaks off.
        """
        moved = 0
        while places := self.head(line, most=min(most or _MOST_IN_A_TRANSACTION, _MOST_IN_A_TRANSACTION)):
            self._table.write([("upsert", _row(place, into)) for place in places])
            self.leave(places)
            moved += len(places)
            if most and moved >= most:
                break
        return moved

    def wait(self, due: Due) -> None:
        """Note that a message waits for a time; harmless when it does already."""
        self._table.upsert(
            {"PartitionKey": due.shard, "RowKey": due.key, "message": due.message_id, "at": due.at}
        )

    def due(self, until: datetime) -> Iterator[list[Due]]:
        """
        Give what is due by ``until``, a page at a time, the earliest of each shard first.

        What was given is to be removed before the next page is asked for.
        """
        for number in range(DUE_SHARDS):
            shard = f"due-{number}"
            while True:
                rows, following = self._table.page(
                    "PartitionKey eq @shard and RowKey lt @until",
                    {"shard": shard, "until": due_key(until)},
                    token="",
                    limit=_PAGE,
                )
                if rows:
                    yield [
                        Due(shard, row["RowKey"], row["message"], row["at"].astimezone(UTC)) for row in rows
                    ]
                if not following:
                    break

    def forget(self, dues: Sequence[Due]) -> None:
        """Remove what waits no longer; all of one shard."""
        self._remove([(due.shard, due.key) for due in dues])

    def _remove(self, keys: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(keys), _MOST_IN_A_TRANSACTION):
            batch = keys[start : start + _MOST_IN_A_TRANSACTION]
            operations = [("delete", {"PartitionKey": part, "RowKey": row}) for part, row in batch]
            if self._table.write(operations) is None:
                # One of them was gone, which undid the others.
                for part, row in batch:
                    self._table.remove(part, row)


def _row(place: InLine, line: str) -> Entity:
    row: Entity = {
        "PartitionKey": line,
        "RowKey": place.key,
        "message": place.message_id,
        "recipients": place.recipients,
    }
    return {**row, "since": place.since} if place.since else row


def _place(line: str, row: Entity) -> InLine:
    since = row.get("since")
    return InLine(
        line, row["RowKey"], row["message"], row["recipients"], since.astimezone(UTC) if since else None
    )
