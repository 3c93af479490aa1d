"""
When a cron line occurs, worked out a second time and in another way: by going through the minutes.

Every minute of UTC is shown on the zone's clocks, one after the other, and held against the line. Nothing of
the app and no cron library has a part in it. The rule is the one that the app states:

- a line whose minute or hour begins with ``*`` goes by the time that passes: it occurs in each minute whose
  clock time it names, twice where that comes twice, and never where it is skipped;
- any other occurs once for each clock time that it names: the first time alone where that comes twice, and
  at the moment of the change where it is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_MINUTE: Final = timedelta(minutes=1)
_NAMES: Final = {
    name: str(number)
    for names in (
        ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
        ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    )
    for number, name in enumerate(names)
    if name
}
_SUNDAY: Final = 7  # and 0


@dataclass(frozen=True, slots=True)
class Line:
    """A cron line as the sets of numbers that its fields name."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    #: Both the day of the month and the day of the week must be right; otherwise one of them is enough.
    both_days: bool
    #: It goes by the time that passes.
    passing: bool

    @classmethod
    def read(cls, text: str) -> Line:
        """Read a line of five fields."""
        minute, hour, day, month, weekday = text.lower().split()
        weekdays = _numbers(weekday, 0, _SUNDAY)
        return cls(
            minutes=_numbers(minute, 0, 59),
            hours=_numbers(hour, 0, 23),
            days=_numbers(day, 1, 31),
            months=_numbers(month, 1, 12),
            weekdays=weekdays | {0} if _SUNDAY in weekdays else weekdays,
            both_days=day.startswith("*") or weekday.startswith("*"),
            passing=minute.startswith("*") or hour.startswith("*"),
        )

    def names(self, shown: datetime) -> bool:
        """Whether the line names what a clock shows."""
        return (
            shown.minute in self.minutes
            and shown.hour in self.hours
            and shown.month in self.months
            and self._names_day(shown)
        )

    def _names_day(self, shown: datetime) -> bool:
        day, weekday = shown.day in self.days, shown.isoweekday() % 7 in self.weekdays
        return day and weekday if self.both_days else day or weekday


@dataclass(frozen=True, slots=True)
class Minute:
    """
    One minute of UTC and what the clocks show in it.

    ``skipped`` are the minutes that they passed over just before it; ``again`` says that they have shown it,
    or a later one, before.
    """

    at: datetime
    shown: datetime
    skipped: tuple[datetime, ...]
    again: bool


def minutes(zone: tzinfo, begin: datetime, end: datetime) -> list[Minute]:
    """Show every minute from ``begin`` until before ``end`` on the clocks of a zone."""
    return list(_shown(zone, begin.astimezone(UTC), end.astimezone(UTC)))


def _shown(zone: tzinfo, begin: datetime, end: datetime) -> Iterator[Minute]:
    at = begin
    latest = _clock(zone, begin - _MINUTE)
    while at < end:
        shown = _clock(zone, at)
        count = max(0, (shown - latest) // _MINUTE - 1)
        skipped = tuple(latest + _MINUTE * number for number in range(1, count + 1))
        yield Minute(at, shown, skipped, shown <= latest)
        latest = max(latest, shown)
        at += _MINUTE


def _clock(zone: tzinfo, at: datetime) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def occurrences(line: Line, through: list[Minute]) -> list[datetime]:
    """Return the minutes, in UTC, in which a line occurs."""
    if line.passing:
        return [minute.at for minute in through if line.names(minute.shown)]
    return [
        minute.at
        for minute in through
        if (line.names(minute.shown) and not minute.again) or any(line.names(each) for each in minute.skipped)
    ]


def _numbers(field: str, lowest: int, highest: int) -> frozenset[int]:
    return frozenset(number for part in field.split(",") for number in _range(part, lowest, highest))


def _range(part: str, lowest: int, highest: int) -> range:
    """Return what one part of a field names: ``*``, ``5``, ``1-5``, ``*/15``, ``8-18/2``."""
    span, _, step = part.partition("/")
    if span == "*":
        first, last = lowest, highest
    else:
        begin, dash, until = span.partition("-")
        first = int(_NAMES.get(begin, begin))
        last = int(_NAMES.get(until, until)) if dash else highest if step else first
    return range(first, last + 1, int(step or 1))
