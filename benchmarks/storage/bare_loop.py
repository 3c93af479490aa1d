"""
What storage and Microsoft's SDK allow by themselves: the operations of each message, and nothing else.

A message is received from a queue, written to a table as many times as the ledger writes it (each time the
entry and its change, in one transaction on the version that was read), and removed from the queue. The rows
are those that the ledger has written for a real one.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient, UpdateMode
from azure.storage.queue import QueueClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_QUEUE = "bare-loop"
_TABLE = "bareloop"
_LOCK_SECONDS = 600
_ENTRY = "message"


class BareLoop:
    """A queue and a table of its own on the same account."""

    def __init__(self, connection_string: str, message: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._queue = QueueClient.from_connection_string(connection_string, _QUEUE)
        self._table = TableClient.from_connection_string(connection_string, _TABLE)
        self._message = message
        self._entry = next(dict(row) for row in rows if row["RowKey"] == _ENTRY)
        self._changes = [dict(row) for row in rows if row["RowKey"] != _ENTRY]
        self._done: list[float] = []

    def fill(self, count: int, threads: int) -> None:
        """Make both and put so many messages on the queue."""
        with contextlib.suppress(ResourceExistsError):
            self._queue.create_queue()
        with contextlib.suppress(ResourceExistsError):
            self._table.create_table()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: self._queue.send_message(self._message), range(count)))

    def run(self, threads: int, batch: int) -> list[float]:
        """Do them all, and return when each was done (``time.time``)."""
        with ThreadPoolExecutor(threads) as pool:
            for working in [pool.submit(self._work, batch) for _ in range(threads)]:
                working.result()
        return sorted(self._done)

    def _work(self, batch: int) -> None:
        while messages := list(
            self._queue.receive_messages(
                messages_per_page=batch, max_messages=batch, visibility_timeout=_LOCK_SECONDS
            )
        ):
            for message in messages:
                self._write(message.id)
                self._queue.delete_message(message)
                self._done.append(time.time())

    def _write(self, partition: str) -> None:
        key = {"PartitionKey": partition}
        entry = self._entry | key
        first, *later = self._changes
        made = self._table.submit_transaction([("create", entry), ("create", first | key)])
        for change in later:
            same = {
                "mode": UpdateMode.REPLACE,
                "etag": made[0]["etag"],
                "match_condition": MatchConditions.IfNotModified,
            }
            made = self._table.submit_transaction([("update", entry, same), ("create", change | key)])

    def close(self) -> None:
        """Close both clients."""
        self._queue.close()
        self._table.close()
