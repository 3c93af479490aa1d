"""
When a schedule occurs: a cron line on the clocks of a time zone, or a fixed interval, and working days.

Clocks that are changed (the rules of Debian's cron, as the library ``cronsim`` has them): a line whose minute
and hour both begin with a number occurs once for every time that it names. Where that time is skipped in
spring, it occurs at the moment of the change; where it comes twice in autumn, the first time alone. A line
whose minute or hour begins with ``*``, ``*/2`` too, goes by the time that passes: it occurs in both of the
hours that come twice, and not in the one that is skipped. An interval knows no clocks at all.
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?)?", re.ASCII)
_SHORTEST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=366)
_FIELDS: Final = 5
_CRON_EXAMPLE = 'write five fields such as "0 9 * * mon" (minute, hour, day, month, day of the week)'
# A working day is found within this, or the list of holidays is no list of holidays.
_MOST_DAYS_OFF: Final = 60
_INSTANT: Final = timedelta(seconds=1)


def duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of days, hours and minutes; raises ``ValueError``."""
    parts = _DURATION.fullmatch(text)
    if parts is None or text.endswith(("P", "T")):
        raise ValueError("is not a duration such as PT15M, PT6H or P1D")
    days, hours, minutes = (int(part or 0) for part in parts.groups())
    found = timedelta(days=days, hours=hours, minutes=minutes)
    if not _SHORTEST <= found <= _LONGEST:
        raise ValueError("is not between a minute (PT1M) and a year (P366D)")
    return found


def cron(text: str) -> str:
    """Check a five-field cron line; raises ``ValueError`` with what is wrong and a valid example."""
    if len(text.split()) != _FIELDS:
        found = len(text.split())
        raise ValueError(f"has {found} field{'' if found == 1 else 's'}; {_CRON_EXAMPLE}")
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"is not a cron line ({str(error).lower()}); {_CRON_EXAMPLE}") from None
    except StopIteration:
        raise ValueError(f"never occurs; {_CRON_EXAMPLE}") from None
    return text


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """
    What becomes of an occurrence on a Saturday, a Sunday or a holiday.

    It moves to the ``next`` or the ``previous`` working day, at the same time of day, or is left out
    (``skip``).
    """

    rule: str
    holidays: frozenset[dt.date]

    def moved(self, at: datetime) -> datetime | None:
        """Return when an occurrence takes place that was to be at ``at``; None where it is left out."""
        if self.works(at.date()):
            return at
        if self.rule == "skip":
            return None
        step = timedelta(days=1 if self.rule == "next" else -1)
        date = at.date()
        for _ in range(_MOST_DAYS_OFF):
            date += step
            if self.works(date):
                return _wall(datetime.combine(date, at.time()), at.tzinfo)
        return None

    def back(self, at: datetime) -> datetime:
        """Return from when on to look for what may take place after ``at``: days without work move on."""
        if self.rule != "next":
            return at
        date = at.date() - timedelta(days=1)
        for _ in range(_MOST_DAYS_OFF):
            if self.works(date):
                break
            date -= timedelta(days=1)
        return _wall(datetime.combine(date, dt.time()), at.tzinfo)

    def earliest(self, date: dt.date) -> dt.date:
        """Return the first day on which anything takes place that is named on this day or later."""
        if self.rule != "previous":
            return date
        for _ in range(_MOST_DAYS_OFF):
            if self.works(date):
                break
            date -= timedelta(days=1)
        return date

    def works(self, date: dt.date) -> bool:
        """Whether it is a working day."""
        return date.weekday() < 5 and date not in self.holidays  # noqa: PLR2004 - Monday is 0, Saturday 5


def _wall(wall: datetime, zone: dt.tzinfo | None) -> datetime:
    """Return the moment at which the zone's clocks show this, or, where that is skipped, soon after."""
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something occurs; either ``line`` (cron) or ``every``."""

    zone: dt.tzinfo
    start: datetime
    line: str = ""
    every: timedelta | None = None
    end: datetime | None = None
    working_days: WorkingDays | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Give the occurrences after a moment, the first one first, in UTC."""
        last = max(moment, self.start - timedelta(microseconds=1))
        try:
            for occurs in self._in_order(last):
                if self.end is not None and occurs > self.end:
                    return
                if occurs > last:
                    last = occurs
                    yield occurs
        except OverflowError:  # the calendar ends before it occurs again
            return

    def _in_order(self, last: datetime) -> Iterator[datetime]:
        """Give what takes place, in order; what is moved may overtake what was named after it."""
        days = self.working_days
        if days is None:
            yield from (named.astimezone(UTC) for named in self._named(last))
            return
        waiting: list[datetime] = []
        for named in self._named(max(days.back(last.astimezone(self.zone)), self.start - _INSTANT)):
            earliest = days.earliest(named.date())
            while waiting and waiting[0].astimezone(self.zone).date() < earliest:
                yield heapq.heappop(waiting)
            if moved := days.moved(named):
                heapq.heappush(waiting, moved.astimezone(UTC))
        while waiting:
            yield heapq.heappop(waiting)

    def next_ones(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next ``count`` occurrences after a moment, or as many as there are."""
        return list(islice(self.after(moment), count))

    def _named(self, moment: datetime) -> Iterator[datetime]:
        """Give what the line or the interval names after a moment, on the zone's clocks."""
        if self.every is not None:
            steps = max(0, (moment - self.start) // self.every)
            at = self.start + steps * self.every
            while True:
                if at > moment:
                    yield at.astimezone(self.zone)
                at += self.every
        if any(part.startswith("*") for part in self.line.split()[:2]):
            yield from _by_passing_time(self.line, self.zone, moment)
        else:
            yield from CronSim(self.line, moment.astimezone(self.zone))


def _by_passing_time(line: str, zone: dt.tzinfo, moment: datetime) -> Iterator[datetime]:
    """
    Give what a line names that goes by the time that passes.

    From one change of the clocks to the next at a time, for ``cronsim`` steps through hours of sixty minutes
    and goes astray where clocks are changed by a part of one.
    """
    begin = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    while True:
        offset, seen = _offset(zone, begin), begin
        for wall in CronSim(line, (begin + offset).replace(tzinfo=None) - timedelta(seconds=1)):
            at = wall.replace(tzinfo=UTC) - offset
            if change := _change(zone, seen, at):
                begin = change
                break
            seen = at
            yield at.astimezone(zone)
        else:
            return


def _offset(zone: dt.tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _change(zone: dt.tzinfo, begin: datetime, end: datetime) -> datetime | None:
    """Return the first moment after ``begin`` and up to ``end`` at which the clocks are changed, if any."""
    offset, early = _offset(zone, begin), begin
    while early < end:
        late = min(early + timedelta(days=1), end)
        if _offset(zone, late) != offset:
            while late - early > timedelta(seconds=1):
                middle = early + (late - early) / 2
                if _offset(zone, middle) == offset:
                    early = middle
                else:
                    late = middle
            return late.replace(microsecond=0)
        early = late
    return None


def occurrence_id(name: str, at: datetime) -> str:
    """Return the id of the message of one occurrence: the same in every instance and after every restart."""
    return f"{name}@{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
