"""
``schedules``: recurring mail, as those who write schedules see it, and as it occurs.

An occurrence is a message with an id made of the schedule's name and its time, put on the outbox a little
before that time. Whatever puts it there twice has sent it once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import ValidationError

from shared.core import intake
from shared.core import schedule as schedules
from shared.core.schedule import Schedule, ScheduleFields
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.errors import MessageError
from shared.log_words import Word
from shared.scribe import SOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from shared.core.sender import Sender

log = logging.getLogger(__name__)

_SHOWN: Final = 10
# Occurrences of one schedule that are put on the outbox together; an outage of a month may leave thousands.
_AT_A_TIME: Final = 500


class Store(Protocol):
    """Where schedules are kept; a write succeeds only on the version that was read."""

    def find(self, name: str) -> Schedule | None:
        """Return a schedule, or None."""
        ...

    def page(self, *, token: str, limit: int) -> tuple[list[Schedule], str]:
        """Return some schedules, by name, and the token of the next page, "" at the end."""
        ...

    def save(self, schedule: Schedule) -> Schedule | None:
        """Write a schedule; None when somebody else changed it first."""
        ...

    def remove(self, name: str) -> None:
        """Remove a schedule."""
        ...

    def due(self, until: datetime) -> Iterator[Schedule]:
        """Give every schedule that is due by ``until``."""
        ...


class Outbox(Protocol):
    """The queue that messages come from."""

    def put_all(self, texts: Iterable[tuple[str, timedelta]]) -> None:
        """Put many on the queue, several at a time."""
        ...


@dataclass(frozen=True, slots=True)
class SchedulesTools:
    """What schedules need of the world."""

    store: Store
    outbox: Outbox
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]


def put(tools: SchedulesTools, name: str, value: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """
    Write a schedule under a name; returns how it stands, and whether it is new.

    Raises ``MessageError`` with every problem.
    """
    fields = read(value)
    while True:
        now = tools.clock()
        known = tools.store.find(name)
        fresh = schedules.begin(name, fields, now=now)
        if known is not None:
            # What it has done it has done: a count goes on, and so does an interval.
            kept = replace(
                fresh,
                created_at=known.created_at,
                occurred=known.occurred,
                last_id=known.last_id,
                last_at=known.last_at,
            )
            following = next(iter(kept.upcoming(now, 1)), None)
            fresh = replace(kept, next_at=following, version=known.version)
        if saved := tools.store.save(fresh):
            return view(saved, now), known is None


def read(value: Mapping[str, Any]) -> ScheduleFields:
    """Read what a schedule is to be; raises ``MessageError`` with every problem."""
    try:
        fields = ScheduleFields.model_validate(value)
    except ValidationError as error:
        raise MessageError(intake.problems_of(error)) from None
    problems = list(schedules.contradictions(fields))
    try:
        intake.read_value({**fields.message, "id": "an.id"})
    except MessageError as error:
        problems += [f"message.{problem}" for problem in error.problems]
    if problems:
        raise MessageError(tuple(dict.fromkeys(problems)))
    return fields


def show(tools: SchedulesTools, name: str) -> dict[str, Any] | None:
    """Return how a schedule stands, None where there is none of that name."""
    found = tools.store.find(name)
    return view(found, tools.clock()) if found else None


def show_all(tools: SchedulesTools, *, token: str, limit: int) -> tuple[list[dict[str, Any]], str]:
    """Return how some schedules stand, and the token of the next page, "" at the end."""
    found, following = tools.store.page(token=token, limit=limit)
    now = tools.clock()
    return [view(schedule, now) for schedule in found], following


def remove(tools: SchedulesTools, name: str) -> bool:
    """Remove a schedule; False where there is none. Messages that it has put on the outbox are sent."""
    if tools.store.find(name) is None:
        return False
    tools.store.remove(name)
    return True


def view(schedule: Schedule, now: datetime) -> dict[str, Any]:
    """Return a schedule as JSON shows it."""
    fields = schedule.fields
    state = "paused" if fields.paused else "active" if schedule.next_at else "ended"
    return {
        "name": schedule.name,
        "state": state,
        **fields.model_dump(mode="json", exclude_unset=True, by_alias=True),
        "occurred": schedule.occurred,
        "last_message_id": schedule.last_id or None,
        "next": [_said(at) for at in schedule.upcoming(now, _SHOWN)],
    }


def fire(tools: SchedulesTools) -> int:
    """Put the messages of every occurrence that is due on the outbox; returns how many."""
    fired = 0
    until = tools.clock() + SOON
    for schedule in tools.store.due(until):
        now = tools.clock()
        found = schedules.due_round(schedule, now=now, until=until, most=_AT_A_TIME)
        early = now + BROUGHT_BACK_EARLY
        tools.outbox.put_all(
            (schedule.message_of(at), max(at - early, timedelta())) for at in found.occurrences
        )
        if tools.store.save(found.schedule) is None:
            continue  # it was changed meanwhile, and is looked at again as it is now
        fired += len(found.occurrences)
        log.info(
            "schedule %s occurs: %s",
            schedule.name,
            ", ".join(_said(at) for at in found.occurrences) or "what it missed is left out",
            extra={"event": Word.SCHEDULE_OCCURRED},
        )
    return fired


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
