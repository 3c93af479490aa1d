"""
What an app may ask of a recurring schedule: every field, declared here and nowhere else.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from shared.core import recurrence
from shared.core.field_types import Moment, ZoneName, without_nulls
from shared.core.recurrence import Recurrence, WorkingDays, occurrence_id
from shared.core.timetable import zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

# Octets. The message of an occurrence goes on the queue with its id and time; larger files lie in blobs.
_LARGEST_MESSAGE_BYTES = 48_000
_MOST_HOLIDAYS = 500
NAME = r"[A-Za-z0-9._-]{1,100}"


def _date(value: str) -> str:
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a date such as 2026-12-25") from None
    return value


def _cron(value: str) -> str:
    return recurrence.cron(value)


def _duration(value: str) -> str:
    recurrence.duration(value)
    return value


Date = Annotated[str, AfterValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Cron = Annotated[str, Field(max_length=200), AfterValidator(_cron)]
Duration = Annotated[str, AfterValidator(_duration), WithJsonSchema({"type": "string", "format": "duration"})]


class WorkingDaysFields(BaseModel):
    """What becomes of an occurrence on a Saturday, a Sunday or a holiday."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="WorkingDays")

    rule: Annotated[
        Literal["next", "previous", "skip"],
        Field(description="It moves to the next or the previous working day, or is left out"),
    ] = "next"
    holidays: Annotated[
        tuple[Date, ...], Field(strict=False, max_length=_MOST_HOLIDAYS, description="Days without work")
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return without_nulls(value, cls.model_fields)


class ScheduleFields(BaseModel):
    """A message that is sent again and again."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="Schedule")

    cron: Annotated[Cron | None, Field(description="Five fields, on the clocks of time_zone")] = None
    every: Annotated[
        Duration | None, Field(description="Or a fixed interval, PT1M to P366D, counted from start")
    ] = None
    time_zone: Annotated[ZoneName, Field(description="Whose clocks these are, such as Europe/Vienna")] = "UTC"
    start: Annotated[Moment | None, Field(description="Nothing occurs before; now where it is left out")] = (
        None
    )
    end: Annotated[Moment | None, Field(description="Nothing occurs after this")] = None
    count: Annotated[int | None, Field(ge=1, le=1_000_000, description="It ends after so many")] = None
    working_days: Annotated[
        WorkingDaysFields | None, Field(description="Occurrences on days without work move")
    ] = None
    missed: Annotated[
        Literal["latest", "all"],
        Field(description="Of those that an outage made late: the latest one is sent, or all are"),
    ] = "latest"
    expires_after: Annotated[
        Duration | None, Field(description="An occurrence is of no more use after so long")
    ] = None
    paused: Annotated[bool, Field(description="Nothing occurs while this is true")] = False
    message: Annotated[
        dict[str, Any], Field(repr=False, description="The message, without id, send_at and expires_at")
    ]

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return without_nulls(value, cls.model_fields)


def contradictions(fields: ScheduleFields) -> Iterator[str]:
    """Give what no field is wrong with alone: each as ``field: what is wrong``."""
    if (fields.cron is None) == (fields.every is None):
        yield 'cron: give cron, such as "0 9 * * mon", or every, such as "PT6H": one of the two'
    if fields.start is not None and fields.end is not None and fields.end <= fields.start:
        yield "end: it is not after start, so nothing ever occurs"
    for name in ("id", "send_at", "expires_at"):
        if fields.message.get(name) is not None:
            instead = "give expires_after beside the message" if name == "expires_at" else "leave it out"
            yield f"message.{name}: each occurrence has one of its own; {instead}"
    octets = len(json.dumps(fields.message, ensure_ascii=False).encode())
    if octets > _LARGEST_MESSAGE_BYTES:
        yield (
            f"message: has {octets} octets and {_LARGEST_MESSAGE_BYTES} fit on the queue; "
            "use a template, or files in the container mail-payloads"
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A schedule as it stands.

    ``next_at`` is when it occurs next, None where it does no more, or is paused. ``occurred`` is how often it
    has; ``last_id`` is the id of the latest occurrence's message, ``last_at`` the time of the latest that is
    done with, sent or left out.
    """

    name: str
    fields: ScheduleFields
    created_at: datetime
    next_at: datetime | None
    occurred: int = 0
    last_id: str = ""
    last_at: datetime | None = None
    version: str = ""

    @property
    def recurrence(self) -> Recurrence:
        """When it occurs."""
        fields = self.fields
        days = fields.working_days
        return Recurrence(
            zone=zone(fields.time_zone),
            start=fields.start or self.created_at,
            line=fields.cron or "",
            every=recurrence.duration(fields.every) if fields.every else None,
            end=fields.end,
            working_days=(
                WorkingDays(days.rule, frozenset(dt.date.fromisoformat(day) for day in days.holidays))
                if days
                else None
            ),
        )

    def upcoming(self, now: datetime, count: int) -> list[datetime]:
        """Return its next occurrences, fewer where it ends."""
        if self.fields.paused:
            return []
        if self.fields.count is not None:
            count = min(count, self.fields.count - self.occurred)
        after = max(now, self.last_at or now)
        return self.recurrence.next_ones(after, count) if count > 0 else []

    def message_of(self, at: datetime) -> str:
        """
        Return the message of one occurrence, as it goes on the outbox; always the same for the same one.
        """
        value = {**self.fields.message, "id": occurrence_id(self.name, at), "send_at": at.isoformat()}
        if self.fields.expires_after:
            value["expires_at"] = (at + recurrence.duration(self.fields.expires_after)).isoformat()
        return json.dumps(value, ensure_ascii=False)


def begin(name: str, fields: ScheduleFields, *, now: datetime) -> Schedule:
    """Return a schedule that begins now."""
    schedule = Schedule(name, fields, created_at=now, next_at=None)
    return replace(schedule, next_at=next(iter(schedule.upcoming(now, 1)), None))


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be sent in one round, and the schedule after it."""

    occurrences: tuple[datetime, ...]
    schedule: Schedule


def due_round(schedule: Schedule, *, now: datetime, until: datetime, most: int) -> Round:
    """
    Return the occurrences of a schedule that are due by ``until``, ``most`` at a time.

    Of those that were missed, because nothing ran when it was time, the latest alone or all of them.
    """
    if schedule.next_at is None or schedule.next_at > until:
        return Round((), schedule)
    # The moment before the next one: what was decided stays decided, whatever the time is now.
    before = schedule.next_at - dt.timedelta(microseconds=1)
    found: list[datetime] = []
    following: datetime | None = None
    last_at, occurred = schedule.last_at, schedule.occurred
    for at in schedule.recurrence.after(before):
        if schedule.fields.count is not None and occurred >= schedule.fields.count:
            break
        if schedule.fields.missed == "latest" and at <= min(until, now - MISSED_AFTER):
            found.clear()  # the one before it was missed too, and this is later
        if at > until or len(found) >= most:
            following = at
            break
        last_at, occurred = at, occurred + 1
        found.append(at)
    last = occurrence_id(schedule.name, found[-1]) if found else schedule.last_id
    after = replace(schedule, next_at=following, occurred=occurred, last_id=last, last_at=last_at)
    return Round(tuple(found), after)


#: An occurrence that is this late was missed. The timer comes by every minute and looks over a minute ahead.
MISSED_AFTER = dt.timedelta(minutes=2)
