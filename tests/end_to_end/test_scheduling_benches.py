"""The benchmarks of scheduled mail in their short forms, and the second opinion on clocks that they hold."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from benchmarks import clock_changes, precision, races, release
from benchmarks.scheduling.minute_by_minute import Line, minutes, occurrences
from shared.core.timetable import zone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHORT = [
    pytest.param(precision.main, "--messages 20 --instances 2 --ahead 7 --over 3", id="precision"),
    pytest.param(release.main, "--waiting 20 400 --due 10 --runs 1", id="release"),
    pytest.param(races.main, "--messages 24 --instances 2 --ahead 8 --over 2", id="races"),
    pytest.param(clock_changes.main, "--lines 2", id="clock_changes"),
]


@pytest.mark.parametrize(("bench", "arguments"), SHORT)
def test_what_the_contract_demands_of_scheduled_mail_holds(
    bench: Callable[[Sequence[str]], int], arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = str(random.SystemRandom().randrange(1_000_000))
    assert bench([*arguments.split(), "--seed", seed]) == 0, capsys.readouterr().out


def on(day: str, line: str, name: str) -> list[str]:
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    through = minutes(zone(name), begin, begin.replace(hour=23, minute=59))
    return [f"{at:%H:%M}" for at in occurrences(Line.read(line), through)]


@pytest.mark.parametrize(
    ("day", "name", "line", "expected"),
    [
        pytest.param("2026-03-29", "Europe/Vienna", "30 2 * * *", ["01:00"], id="skipped: at the change"),
        pytest.param("2026-03-29", "Europe/Vienna", "0,30 2,3 * * *", ["01:00", "01:30"], id="skipped: once"),
        pytest.param("2026-10-25", "Europe/Vienna", "30 2 * * *", ["00:30"], id="repeated: the first alone"),
        pytest.param(
            "2026-10-25",
            "Europe/Vienna",
            "*/30 2 * * *",
            ["00:00", "00:30", "01:00", "01:30"],
            id="passing time: twice",
        ),
        pytest.param("2026-03-29", "Europe/Vienna", "*/30 2 * * *", [], id="passing time: skipped"),
        pytest.param("2026-10-03", "Australia/Lord_Howe", "15 2 * * *", ["15:30"], id="half an hour"),
        pytest.param(
            "2026-04-04",
            "Australia/Lord_Howe",
            "*/15 1 * * *",
            ["14:00", "14:15", "14:30", "14:45", "15:00", "15:15"],
            id="half an hour that comes twice",
        ),
        pytest.param("2011-12-30", "Pacific/Apia", "0 9 * * *", ["10:00", "19:00"], id="a day that was not"),
        pytest.param("2026-06-01", "UTC", "0 12 1 * sun", ["12:00"], id="either day"),
        pytest.param("2026-06-01", "UTC", "0 12 */2 * sun", [], id="both days"),
        pytest.param("2026-06-07", "UTC", "0 12 * jun 7", ["12:00"], id="Sunday is 7 too"),
    ],
)
def test_going_through_the_minutes_finds_what_the_rule_says(
    day: str, name: str, line: str, expected: list[str]
) -> None:
    assert on(day, line, name) == expected
