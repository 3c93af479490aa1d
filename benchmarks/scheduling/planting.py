"""
Messages that wait for a time, written straight into the tables ``ledger`` and ``waiting``.

The entry, its key and its row are made by the app's own code; what is saved is the way over the queue.
"""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient

from shared.adapters import table_ledger, table_waiting
from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_ledger import TableLedger
from shared.core import intake, outcomes
from shared.core.delivery import State
from shared.core.message import Message
from shared.core.waiting import due

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.core.delivery import Entry
    from shared.core.waiting import Due

_THREADS = 8  # below the ten connections that the SDK keeps
_BATCH = 100  # rows in a transaction, the service's limit


def plant(facts: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> None:
    """Let each message wait for its ``send_at``, as ``send`` would have let it wait."""
    ledger = TableLedger(_table(facts, table_ledger.TABLE))
    entries = [_entry(message) for message in messages]
    with ThreadPoolExecutor(_THREADS) as pool:
        if not all(pool.map(ledger.add, entries)):
            raise AssertionError("an id is in the ledger already")
    _note(facts, [due(entry, entry.due_at) for entry in entries if entry.due_at])


def plant_rows(facts: Mapping[str, Any], ids: Iterable[str], at: Sequence[datetime]) -> None:
    """Fill the waiting room alone: what is not due is a row there, and `release` reads no ledger."""
    now = datetime.now(UTC)
    _note(facts, [due(_bare(message_id, now), moment) for message_id, moment in zip(ids, at, strict=True)])


def waiting(facts: Mapping[str, Any]) -> int:
    """Return how many wait for a time."""
    with TableClient.from_connection_string(facts["storage"], table_waiting.TABLE) as table:
        try:
            rows = table.query_entities(
                "PartitionKey ge 'due-' and PartitionKey lt 'due.'", select=["RowKey"]
            )
            return sum(1 for _ in rows)
        except ResourceNotFoundError:
            return 0


def _note(facts: Mapping[str, Any], dues: Iterable[Due]) -> None:
    """Write the rows of the waiting room, a hundred of one shard at a time."""
    table = _table(facts, table_waiting.TABLE)
    table.create()
    shards: defaultdict[str, list[Due]] = defaultdict(list)
    for each in dues:
        shards[each.shard].append(each)
    batches = [
        rows[start : start + _BATCH] for rows in shards.values() for start in range(0, len(rows), _BATCH)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        for written in [pool.submit(table.write, [_row(each) for each in batch]) for batch in batches]:
            written.result()


def _row(each: Due) -> tuple[str, dict[str, Any]]:
    entity = {"PartitionKey": each.shard, "RowKey": each.key, "message": each.message_id, "at": each.at}
    return "upsert", entity


def _table(facts: Mapping[str, Any], name: str) -> Table:
    return Table(name, Account(facts["storage"]))


def _entry(message: Mapping[str, Any]) -> Entry:
    body = json.dumps(message).encode()
    read = intake.read(body, fallback_id=message["id"])
    if not isinstance(read, Message):
        raise TypeError(f"{message['id']} is no message")
    return outcomes.first_waiting(
        message_id=read.id,
        content_hash=read.content_hash,
        sender=message["sender"],
        mail_id=f"<{read.id}@contoso.com>",
        metadata={},
        now=datetime.now(UTC),
        body=body,
        reason="",
        state=State.SCHEDULED,
        due_at=read.fields.send_at,
    )


def _bare(message_id: str, now: datetime) -> Entry:
    return outcomes.first_waiting(
        message_id=message_id,
        content_hash="",
        sender="",
        mail_id="",
        metadata={},
        now=now,
        body=b"",
        reason="",
        state=State.SCHEDULED,
    )
