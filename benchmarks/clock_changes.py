"""
Recurring mail where clocks are changed: ``python3 -m local bench clock_changes [--lines N] [--seed N]``.

Zones and the days on which their clocks were or will be changed, by an hour, half an hour, two hours or a
whole day. For each, the occurrences of a set of cron lines, and of others that chance writes, as the app
gives them are held against those that an implementation of its own finds by going through every minute.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from benchmarks.scheduling.minute_by_minute import Line, minutes, occurrences
from shared.core import recurrence
from shared.core.recurrence import Recurrence
from shared.core.timetable import zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AROUND = timedelta(days=3)  # each side of the day: a whole skipped day is well inside
_SHOWN = 5  # differences of one zone that are printed

#: A zone, the day of the change there, and what happens.
_CHANGES: tuple[tuple[str, str, str], ...] = (
    ("Europe/Vienna", "2026-03-29", "02:00 +1 h"),
    ("Europe/Vienna", "2026-10-25", "03:00 -1 h"),
    ("America/New_York", "2026-03-08", "02:00 +1 h"),
    ("America/New_York", "2026-11-01", "02:00 -1 h"),
    ("Australia/Lord_Howe", "2026-10-04", "02:00 +30 min"),
    ("Australia/Lord_Howe", "2026-04-05", "02:00 -30 min"),
    ("Africa/Casablanca", "2026-02-15", "03:00 -1 h, Ramadan"),
    ("Africa/Casablanca", "2026-03-22", "02:00 +1 h, after Ramadan"),
    ("Asia/Tehran", "2021-03-22", "00:00 +1 h, over midnight"),
    ("Asia/Tehran", "2022-09-21", "24:00 -1 h, over midnight"),
    ("America/Sao_Paulo", "2018-11-04", "00:00 +1 h, no midnight"),
    ("America/Sao_Paulo", "2019-02-16", "24:00 -1 h, midnight again"),
    ("America/Havana", "2026-03-08", "00:00 +1 h, no midnight"),
    ("Asia/Beirut", "2026-03-29", "00:00 +1 h, no midnight"),
    ("Africa/Cairo", "2026-10-29", "24:00 -1 h"),
    ("Pacific/Apia", "2011-12-30", "a day that was not"),
    ("Pacific/Kwajalein", "1993-08-21", "a day that was not"),
    ("Europe/Dublin", "2026-03-29", "01:00 +1 h, winter is the exception"),
    ("Europe/Dublin", "2026-10-25", "02:00 -1 h, winter is the exception"),
    ("Antarctica/Troll", "2026-03-29", "01:00 +2 h"),
    ("Antarctica/Troll", "2026-10-25", "03:00 -2 h"),
    ("America/Caracas", "2016-05-01", "02:30 +30 min for good"),
    ("America/Caracas", "2007-12-09", "03:00 -30 min for good"),
    ("Asia/Pyongyang", "2018-05-04", "23:30 +30 min for good"),
    ("Asia/Pyongyang", "2015-08-15", "00:00 -30 min for good"),
    ("Asia/Kathmandu", "1986-01-01", "00:00 +15 min for good"),
    ("America/Nuuk", "2023-03-25", "22:00 +1 h for good"),
    ("Europe/London", "1968-10-27", "no change in three winters"),
    ("Asia/Kolkata", "2026-03-29", "no change at all"),
    ("UTC", "2026-03-29", "no change at all"),
)
_LINES: tuple[str, ...] = (
    "0 9 * * mon-fri",
    "30 2 * * *",
    "15,45 1 * * *",
    "0 0 * * *",
    "59 23 * * sun",
    "0 3 * * *",
    "0 1-3 * * *",
    "10 0-23/2 * * *",
    "*/15 * * * *",
    "0 * * * *",
    "30 */2 * * *",
    "* 2 * * *",
    "*/20 0,1 * * *",
    "0 12 1,15 * fri",
    "45 23 28-31 * *",
)


@dataclass(frozen=True, slots=True)
class _Found:
    """Zone and day with the occurrences that were compared, and where the two disagree."""

    compared: int
    differences: list[str]


def main(arguments: Sequence[str]) -> int:
    """Compare once and print the table; 0 when there is no difference."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench clock_changes", description=__doc__)
    parser.add_argument("--lines", type=int, default=25, help="lines that chance writes for each zone")
    parser.add_argument("--all", action="store_true", help="print every occurrence on the day of the change")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}\n", flush=True)
    chance = random.Random(options.seed)
    print(f"{'zone':<21}{'day':<12}{'what happens':<37}{'lines':>6}{'occurrences':>13}{'differences':>13}")
    all_differences = 0
    for name, day, what in _CHANGES:
        lines = [*_LINES, *(_written(chance) for _ in range(options.lines))]
        found = _compare(name, date.fromisoformat(day), lines, show=options.all)
        counts = f"{len(lines):>6}{found.compared:>13}{len(found.differences):>13}"
        print(f"{name:<21}{day:<12}{what:<37}{counts}", flush=True)
        for difference in found.differences[:_SHOWN]:
            print(f"    {difference}")
        all_differences += len(found.differences)
    print(f"\ndifferences: {all_differences}  demanded: 0", flush=True)
    return 1 if all_differences else 0


def _compare(name: str, day: date, lines: Sequence[str], *, show: bool) -> _Found:
    begin = datetime.combine(day, time(), UTC) - _AROUND
    end = begin + 2 * _AROUND + timedelta(days=1)
    through = minutes(zone(name), begin, end)
    compared, differences = 0, list[str]()
    for line in lines:
        ours, theirs = set(_as_the_app(name, line, begin, end)), set(occurrences(Line.read(line), through))
        compared += len(ours | theirs)
        differences += [f"{line}: the app alone has {each:%F %R} UTC" for each in sorted(ours - theirs)]
        differences += [f"{line}: the app does not have {each:%F %R} UTC" for each in sorted(theirs - ours)]
        if show:
            _show(line, name, day, sorted(ours))
    return _Found(compared, differences)


def _as_the_app(name: str, line: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    rule = Recurrence(zone=zone(name), start=begin - timedelta(days=40), line=recurrence.cron(line))
    return takewhile(lambda at: at < end, rule.after(begin - timedelta(microseconds=1)))


def _show(line: str, name: str, day: date, found: Sequence[datetime]) -> None:
    shown = [at.astimezone(zone(name)) for at in found]
    that_day = [f"{at:%R%z}" for at in shown if at.date() == day]
    print(f"    {line:<18} {' '.join(that_day) or '-'}")


def _written(chance: random.Random) -> str:
    """Write a line of those that people write, at the hours in which clocks are changed."""
    minute = chance.choice(
        [str(chance.randrange(60)), "0", "30", "*/10", "*", f"{chance.randrange(30)}-59/7", "0,20,40"]
    )
    first = chance.randrange(5)
    hour = chance.choice(
        [
            str(first),
            str(chance.choice((0, 23))),
            f"{first}-{first + chance.randrange(1, 5)}",
            "*",
            f"*/{chance.randrange(2, 7)}",
            f"0-23/{chance.randrange(2, 7)}",
            f"{first},{first + 12}",
        ]
    )
    day = chance.choice(["*", "*", "*", "1-15", "*/2", "16-31"])
    weekday = chance.choice(["*", "*", "*", "sun", "sat,sun", "mon-fri", "fri,sat"])
    return f"{minute} {hour} {day} * {weekday}"
