"""
The ledger: every message, and every change it went through, in the table ``ledger``.

Keys: a partition for each message (its id), in it the row ``message`` and a row ``change-000001`` … for each
change. A partition is what Azure Tables scale by (2,000 entities a second each), so no two messages ever wait
for one another; and an entry and its change are written together, in one transaction on the bill.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.table_client import plain_moment, replace_if
from shared.core.delivery import Delivery, Entry, State

if TYPE_CHECKING:
    from shared.adapters.table_client import Entity, Table

TABLE = "ledger"
_ENTRY = "message"
_CHANGE = "change-"
_SWEEP = " sweep"  # no message's: an id has no spaces
_REST = timedelta(days=1)
_MOST_SWEPT = 5_000  # messages in one call, two requests each: a minute or two
_MOST_IN_A_TRANSACTION = 100  # the service's limit
_SETTLED = " or ".join(f"state eq '{state.value}'" for state in State if state.is_settled)
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

    def page(
        self,
        *,
        token: str,
        limit: int,
        state: State | None = None,
        sender: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[list[Entry], str]:
        """
        Return some entries, and the token of the next page, "" at the end.

        A page is what one request looked through, so it may be shorter than ``limit``, and empty.
        """
        filters: dict[str, tuple[str, Any]] = {"RowKey eq @row": ("row", _ENTRY)}
        if state is not None:
            filters["state eq @state"] = ("state", state.value)
        if sender:
            filters["sender eq @sender"] = ("sender", sender)
        if since is not None:
            filters["created_at ge @since"] = ("since", since)
        if until is not None:
            filters["created_at lt @until"] = ("until", until)
        rows, following = self._table.page(
            " and ".join(filters), dict(filters.values()), token=token, limit=limit, with_etag=True
        )
        return [_entry(row) for row in rows], following

    def sweep(self, *, before: datetime, now: datetime, pages: int) -> int:
        """
        Remove what was settled ``before``, with its history; returns how many messages that were.

        The table is looked through once a day, ``pages`` requests at a time: how far it came stands in the
        table, so the next call goes on from there, in whatever instance. That is a request for every thousand
        rows, where an index by date would be a second write for every message.
        """
        state = self._table.get(_SWEEP, _SWEEP) or {}
        rest_until = _optional_moment(state.get("rest_until"))
        if rest_until is not None and rest_until > now:
            return 0
        token, swept = str(state.get("token", "")), 0
        for _ in range(pages):
            found, following = self._table.page(
                f"RowKey eq '{_ENTRY}' and updated_at lt @before and ({_SETTLED})",
                {"before": before},
                select=("PartitionKey",),
                token=token,
            )
            for row in found:
                self._remove(row["PartitionKey"])
            swept += len(found)
            token = following
            # A page holds a thousand at most; so much and no more in one run of a function.
            if not token or swept >= _MOST_SWEPT:
                break
        reached: Entity = {"PartitionKey": _SWEEP, "RowKey": _SWEEP, "token": token}
        if not token:
            reached["rest_until"] = now + _REST
        self._table.upsert(reached)
        return swept

    def _remove(self, message_id: str) -> None:
        rows = self._table.query("PartitionKey eq @id", {"id": message_id})
        # The entry goes last: where this breaks off, the next sweep finds it again.
        rows.sort(key=lambda row: row["RowKey"] == _ENTRY)
        for start in range(0, len(rows), _MOST_IN_A_TRANSACTION):
            batch = rows[start : start + _MOST_IN_A_TRANSACTION]
            self._table.write(
                [("delete", {"PartitionKey": message_id, "RowKey": row["RowKey"]}) for row in batch]
            )

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
        "metadata": json.dumps(dict(entry.metadata), ensure_ascii=False) if entry.metadata else "",
    }
    for name in ("date", "due_at", "expires_at", "planned_at", "lease_until"):
        if (moment := getattr(entry, name)) is not None:
            entity[name] = moment
    if entry.claimed_by:
        entity["claimed_by"] = entry.claimed_by.queue_id
        entity["claimed_at_dequeue"] = entry.claimed_by.dequeue_count
        entity["claim_holder"] = entry.claimed_by.holder
    return entity


def _entry(entity: Entity) -> Entry:
    claimed_by = entity.get("claimed_by")
    return Entry(
        id=entity["PartitionKey"],
        state=State(entity["state"]),
        content_hash=entity["content_hash"],
        created_at=plain_moment(entity["created_at"]),
        updated_at=plain_moment(entity["updated_at"]),
        sender=entity["sender"],
        attempts=entity["attempts"],
        waits=entity["waits"],
        changes=entity["changes"],
        message_id=entity["message_id"],
        date=_optional_moment(entity.get("date")),
        due_at=_optional_moment(entity.get("due_at")),
        expires_at=_optional_moment(entity.get("expires_at")),
        planned_at=_optional_moment(entity.get("planned_at")),
        lease_until=_optional_moment(entity.get("lease_until")),
        claimed_by=(
            Delivery(claimed_by, entity["claimed_at_dequeue"], entity.get("claim_holder", ""))
            if claimed_by
            else None
        ),
        reply=entity["reply"],
        reason=entity["reason"],
        body=bytes(entity["body"]),
        metadata=json.loads(entity["metadata"]) if entity["metadata"] else {},
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
        at=plain_moment(entity["at"]),
        state=State(entity["state"]),
        attempt=entity["attempt"],
        reply=entity["reply"],
        reason=entity["reason"],
    )


def _optional_moment(value: Any) -> datetime | None:
    return None if value is None else plain_moment(value)
