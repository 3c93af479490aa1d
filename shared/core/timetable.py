"""
Times that apps write: moments with an offset, time zones, and the hours in which mail may be delivered.

A moment without an offset is refused and never guessed. Zones come from the ``tzdata`` package, which is
brought up to date with the app, and not from whatever the machine has.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

#: The days of a week as they are written, Monday first.
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# RFC 3339 §5.6. The offset is what makes it a moment; a space in place of the T is allowed there too.
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|z|[+-]\d{2}:\d{2})", re.ASCII
)
_WITHOUT_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?", re.ASCII)
_EXAMPLE = "write one such as 2026-12-24T09:00:00+01:00"
# A table keeps times from 1601 on, and time zones must be reckoned with beyond the last one.
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
# A window that is open at all is open within a week; a change of the clocks may take an hour of it.
_LOOK_DAYS: Final = 15


def moment(text: str) -> datetime:
    """
    Read an RFC 3339 time with an offset; returns it in UTC.

    Raises ``ValueError`` with what is wrong and a valid example.
    """
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        if _WITHOUT_OFFSET.fullmatch(text):
            raise ValueError(f"has no offset from UTC, so it names no moment; {_EXAMPLE}")
        raise ValueError(f"is not an RFC 3339 time; {_EXAMPLE}")
    date, clock, fraction, offset = parts.groups()
    if clock.endswith(":60"):
        raise ValueError(f"has a 60th second, which no clock here shows; {_EXAMPLE}")
    try:
        if offset[-2:] > "59" and offset not in "Zz":
            raise ValueError  # noqa: TRY301 - the sentence is the one below
        # Digits after the sixth are less than a microsecond.
        read = datetime.fromisoformat(f"{date}T{clock}{(fraction or '')[:7]}{offset.upper()}")
        found = read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is no date or time that exists; {_EXAMPLE}") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"is not between the years {_FIRST_YEAR} and {_LAST_YEAR}; {_EXAMPLE}")
    return found


@functools.cache
def zone(name: str) -> tzinfo:
    """Return an IANA time zone; raises ``ValueError`` for a name that there is not."""
    if not _ZONE.fullmatch(name) or name not in _zones():
        raise ValueError("is not an IANA time zone; write one such as Europe/Vienna")
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@functools.cache
def _zones() -> frozenset[str]:
    listed = importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split())


def clock_time(text: str) -> timedelta:
    """Read a time of day, 00:00 to 24:00, as the time since midnight; raises ``ValueError``."""
    if not _CLOCK.fullmatch(text):
        raise ValueError("is not a time of day from 00:00 to 24:00; write one such as 08:30")
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


@dataclass(frozen=True, slots=True)
class Window:
    """
    The hours in which mail may be delivered: on these days, from one time of day until before another.

    ``until`` before ``begins`` is the next morning. Times of day are those of the zone's clocks.
    """

    days: frozenset[str]
    begins: timedelta
    until: timedelta
    zone: tzinfo

    def opens_at(self, at: datetime) -> datetime:
        """Return the first moment from ``at`` on at which the window is open, in UTC."""
        first = at.astimezone(self.zone).date() - timedelta(days=1)
        for number in range(_LOOK_DAYS):
            date = first + timedelta(days=number)
            if DAYS[date.weekday()] not in self.days:
                continue
            midnight = datetime.combine(date, time())
            overnight = timedelta(days=1) if self.until <= self.begins else timedelta()
            opens = self._moment(midnight + self.begins)
            closes = self._moment(midnight + self.until + overnight)
            if at < closes and opens < closes:
                return max(at, opens)
        raise ValueError("the window never opens")

    def _moment(self, wall: datetime) -> datetime:
        """
        Return when the zone's clocks show ``wall``.

        A time that is skipped is the moment of the change; of one that comes twice it is the first.
        """
        shown = wall.replace(tzinfo=self.zone)
        found = shown.astimezone(UTC)
        if found.astimezone(self.zone).replace(tzinfo=None) == wall:
            return found
        # In a gap the offset before it gives a time after it, and the offset after it one before.
        before, after = (shown.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
        skipped = after - before
        early, late = found - skipped, found
        while late - early > timedelta(seconds=1):
            middle = early + (late - early) / 2
            if (middle.astimezone(self.zone).utcoffset() or timedelta()) == after:
                late = middle
            else:
                early = middle
        return late.replace(microsecond=0)
