"""When a timer is due: NCRONTAB of five or six fields, or a TimeSpan, always in UTC."""

import calendar
import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from croniter import croniter

from local.host.host_json import parse_time_span

#: NCRONTAB knows numbers, names, `*`, lists, ranges and steps; croniter knows more, which Azure would refuse.
_FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
_NAME = re.compile(r"[A-Za-z]+")
_NAMES = frozenset(name.lower() for name in (*calendar.month_abbr, *calendar.day_abbr) if name)

#: With seconds in front, as the timer trigger writes it.
_FIELDS_WITH_SECONDS = 6
_FIELDS_WITHOUT_SECONDS = 5


class Schedule(Protocol):
    """Anything that can say when it is next due."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence strictly after `moment`."""


@dataclasses.dataclass(frozen=True, slots=True)
class CronSchedule:
    """An NCRONTAB expression."""

    expression: str

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence strictly after `moment`."""
        seconds_first = len(self.expression.split()) == _FIELDS_WITH_SECONDS
        # NCrontab wants the day of the month and of the week both to match; croniter's default is either.
        occurrences = croniter(
            self.expression, moment.astimezone(UTC), second_at_beginning=seconds_first, day_or=False
        )
        due: datetime = occurrences.get_next(datetime)
        return due.astimezone(UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """A fixed time between runs."""

    interval: timedelta

    def next_after(self, moment: datetime) -> datetime:
        """Return `moment` and one interval."""
        return moment.astimezone(UTC) + self.interval


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that a timer trigger writes as `text`; ValueError says why it is none."""
    fields = text.split()
    if len(fields) == 1:
        interval = parse_time_span(text)
        if interval <= timedelta(0):
            raise ValueError(f"a timer needs a time span above zero, not {text!r}")
        return IntervalSchedule(interval)
    if len(fields) not in (_FIELDS_WITHOUT_SECONDS, _FIELDS_WITH_SECONDS):
        raise ValueError(f"NCRONTAB has six fields (second minute hour day month weekday), not {text!r}")
    names = {name.lower() for field in fields for name in _NAME.findall(field)}
    if not all(_FIELD.fullmatch(field) for field in fields) or not names <= _NAMES:
        raise ValueError(f"not NCRONTAB: {text!r}")
    schedule = CronSchedule(" ".join(fields))
    try:
        schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC))
    except (ValueError, KeyError) as error:  # croniter's errors are ValueErrors, a bad name may be a KeyError
        raise ValueError(f"not NCRONTAB: {text!r} ({error})") from None
    return schedule


def is_monitored(schedule: Schedule, moment: datetime) -> bool:
    """Return whether missed runs are caught up: the real host gives that up for schedules under a minute."""
    first = schedule.next_after(moment)
    return schedule.next_after(first) - first >= timedelta(minutes=1)
