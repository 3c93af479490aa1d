"""
Recurring schedules, in the table ``schedules``.

Keys: the schedules themselves in one partition, by name; and in another, ``due``, a row for each that occurs
again, in the order of its next time, so what is due is a range at the beginning. A row of ``due`` that no
longer says what its schedule says is of no use and is removed by whoever meets it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.adapters.table_client import plain_moment
from shared.core.schedule import Schedule, ScheduleFields
from shared.core.waiting import due_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.adapters.table_client import Entity, Table

TABLE = "schedules"
_SCHEDULES = "schedule"
_DUE = "due"
_PAGE = 100


class TableSchedules:
    """Schedules; each write succeeds only on the version that was read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, name: str) -> Schedule | None:
        """Return a schedule, or None."""
        found = self._table.get(_SCHEDULES, name)
        return _schedule(found) if found else None

    def page(self, *, token: str, limit: int) -> tuple[list[Schedule], str]:
        """Return some schedules, by name, and the token of the next page, "" at the end."""
        rows, following = self._table.page(
            "PartitionKey eq @part", {"part": _SCHEDULES}, token=token, limit=limit, with_etag=True
        )
        return [_schedule(row) for row in rows], following

    def save(self, schedule: Schedule) -> Schedule | None:
        """
        Write a schedule and when it is due; None when somebody else changed it since it was read.

        The row of when it is due is written first, for one too few would be an occurrence that nobody finds,
        and once more after it: who looks in between finds a row that nobody stands by, and may remove that.
        """
        self._note_due(schedule)
        entity = _entity(schedule)
        if schedule.version:
            version = self._table.replace(entity, etag=schedule.version)
        else:
            version = self._table.insert(entity)
        if not version:
            return None
        self._note_due(schedule)
        return replace(schedule, version=version)

    def _note_due(self, schedule: Schedule) -> None:
        if schedule.next_at is not None:
            key = _due_key(schedule.next_at, schedule.name)
            self._table.upsert({"PartitionKey": _DUE, "RowKey": key, "name": schedule.name})

    def remove(self, name: str) -> None:
        """Remove a schedule; harmless when it is gone."""
        self._table.remove(_SCHEDULES, name)

    def due(self, until: datetime) -> Iterator[Schedule]:
        """
        Give every schedule that is due by ``until``; one that is saved and due again is given again.
        """
        while True:
            rows, _ = self._table.page(
                "PartitionKey eq @part and RowKey lt @until",
                {"part": _DUE, "until": due_key(until)},
                token="",
                limit=_PAGE,
                with_etag=True,
            )
            for row in rows:
                if schedule := self._still_due(row):
                    yield schedule
                if not self._still_due(row):
                    self._table.delete(_DUE, row["RowKey"], etag=row["etag"])
            if not rows:
                return

    def _still_due(self, row: Entity) -> Schedule | None:
        """Return the schedule of a row, where the row says what it says."""
        schedule = self.find(row["name"])
        if schedule is None or schedule.next_at is None:
            return None
        return schedule if _due_key(schedule.next_at, schedule.name) == row["RowKey"] else None


def _due_key(at: datetime, name: str) -> str:
    return f"{due_key(at)}-{name}"


def _entity(schedule: Schedule) -> Entity:
    fields = schedule.fields.model_dump(mode="json", exclude_unset=True)
    entity: Entity = {
        "PartitionKey": _SCHEDULES,
        "RowKey": schedule.name,
        "fields": json.dumps(fields, ensure_ascii=False).encode(),
        "created_at": schedule.created_at,
        "occurred": schedule.occurred,
        "last_id": schedule.last_id,
    }
    for name in ("next_at", "last_at"):
        if (moment := getattr(schedule, name)) is not None:
            entity[name] = moment
    return entity


def _schedule(entity: Entity) -> Schedule:
    next_at, last_at = entity.get("next_at"), entity.get("last_at")
    return Schedule(
        entity["RowKey"],
        ScheduleFields.model_validate(json.loads(bytes(entity["fields"]))),
        created_at=plain_moment(entity["created_at"]),
        next_at=plain_moment(next_at) if next_at else None,
        occurred=entity["occurred"],
        last_id=entity["last_id"],
        last_at=plain_moment(last_at) if last_at else None,
        version=entity["etag"],
    )
