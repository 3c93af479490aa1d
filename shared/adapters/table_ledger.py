"""
The ledger: every message, and every change it went through, in the table ``ledger``.

Keys: a partition for each message (its id), in it the row ``message`` and a row ``change-000001`` … for each
change. A partition is what Azure Tables scale by (2,000 entities a second each), so no two messages ever wait
for one another; and an entry and its change are written together, in one transaction on the bill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.table_client import replace_if
from shared.core.delivery import Delivery, Entry, State

if TYPE_CHECKING:
    from shared.adapters.table_client import Entity, Table

TABLE = "ledger"
_ENTRY = "message"
_CHANGE = "change-"
# Octets. A string property holds 64 KiB of UTF-16; a reason that lists a hundred problems must still fit.
_LONGEST_TEXT = 60_000


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a message's history."""

    number: int
    at: datetime
    state: State
    attempt: int
    reply: str
    reason: str


class TableLedger:
    """Entries and their history; each write succeeds only on the version that was read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, message_id: str) -> Entry | None:
        """Return the entry of a message, or None."""
        found = self._table.get(message_id, _ENTRY)
        return _entry(found) if found else None

    def add(self, entry: Entry) -> Entry | None:
        """Write a new entry and its first change; None when the id is taken."""
        entry = _fitting(entry)
        version = self._table.write([("create", _entity(entry)), ("create", _change(entry))])
        return replace(entry, version=version) if version else self._written_before(entry)

    def update(self, entry: Entry) -> Entry | None:
        """
        Write the next state of an entry and its change; None when somebody else changed it since it was read.
        """
        entry = _fitting(entry)
        version = self._table.write([replace_if(_entity(entry), entry.version), ("create", _change(entry))])
        return replace(entry, version=version) if version else self._written_before(entry)

    def _written_before(self, entry: Entry) -> Entry | None:
        """
        Return ``entry`` when it stands in the table just as it was to be written.

        The SDK repeats a write whose answer was lost, and the repetition is refused because of the first.
        """
        found = self.find(entry.id)
        return found if found and replace(found, version=entry.version) == entry else None

    def history(self, message_id: str) -> list[Change]:
        """Return every change of a message, the first one first."""
        rows = self._table.query(
            "PartitionKey eq @id and RowKey ge @first and RowKey lt @last",
            {"id": message_id, "first": _CHANGE, "last": f"{_CHANGE}:"},
        )
        return [_read_change(row) for row in rows]

    def check(self) -> None:
        """Raise when the table cannot be reached; a cheap read."""
        self._table.get("-", "-")


def _fitting(entry: Entry) -> Entry:
    """Return the entry with texts that a property can hold."""
    return replace(entry, reply=_cut(entry.reply), reason=_cut(entry.reason))


def _cut(text: str) -> str:
    return text.encode("utf-16-le", "replace")[:_LONGEST_TEXT].decode("utf-16-le", "ignore")


def _entity(entry: Entry) -> Entity:
    entity: Entity = {
        "PartitionKey": entry.id,
        "RowKey": _ENTRY,
        "state": entry.state.value,
        "content_hash": entry.content_hash,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "sender": entry.sender,
        "attempts": entry.attempts,
        "waits": entry.waits,
        "changes": entry.changes,
        "message_id": entry.message_id,
        "reply": entry.reply,
        "reason": entry.reason,
        "body": entry.body,
    }
    for name in ("date", "due_at", "lease_until"):
        if (moment := getattr(entry, name)) is not None:
            entity[name] = moment
    if entry.claimed_by:
        entity["claimed_by"] = entry.claimed_by.queue_id
        entity["claimed_at_dequeue"] = entry.claimed_by.dequeue_count
    return entity


def _entry(entity: Entity) -> Entry:
    claimed_by = entity.get("claimed_by")
    return Entry(
        id=entity["PartitionKey"],
        state=State(entity["state"]),
        content_hash=entity["content_hash"],
        created_at=_moment(entity["created_at"]),
        updated_at=_moment(entity["updated_at"]),
        sender=entity["sender"],
        attempts=entity["attempts"],
        waits=entity["waits"],
        changes=entity["changes"],
        message_id=entity["message_id"],
        date=_optional_moment(entity.get("date")),
        due_at=_optional_moment(entity.get("due_at")),
        lease_until=_optional_moment(entity.get("lease_until")),
        claimed_by=Delivery(claimed_by, entity["claimed_at_dequeue"]) if claimed_by else None,
        reply=entity["reply"],
        reason=entity["reason"],
        body=bytes(entity["body"]),
        version=entity["etag"],
    )


def _change(entry: Entry) -> Entity:
    return {
        "PartitionKey": entry.id,
        "RowKey": f"{_CHANGE}{entry.changes:06d}",
        "at": entry.updated_at,
        "state": entry.state.value,
        "attempt": entry.attempt if entry.state is State.SENDING else entry.attempts,
        "reply": entry.reply,
        "reason": entry.reason,
    }


def _read_change(entity: Entity) -> Change:
    return Change(
        number=int(entity["RowKey"].removeprefix(_CHANGE)),
        at=_moment(entity["at"]),
        state=State(entity["state"]),
        attempt=entity["attempt"],
        reply=entity["reply"],
        reason=entity["reason"],
    )


def _moment(value: Any) -> datetime:
    """Return the SDK's own kind of datetime as the plain, aware one, exact to the microsecond."""
    return datetime.combine(value.date(), value.timetz()).astimezone(UTC)


def _optional_moment(value: Any) -> datetime | None:
    return None if value is None else _moment(value)
