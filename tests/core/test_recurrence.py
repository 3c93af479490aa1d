from __future__ import annotations

import functools
import re
import zoneinfo
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, takewhile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.recurrence import Recurrence, WorkingDays, cron, duration, occurrence_id
from shared.core.timetable import zone

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2020, 1, 1, tzinfo=UTC)
CRON_EXAMPLE = 'write five fields such as "0 9 * * mon" (minute, hour, day, month, day of the week)'


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def recurring(line: str = "", *, name: str = "UTC", start: datetime = START, **asked: Any) -> Recurrence:
    return Recurrence(zone(name), start, line, **asked)


def said(moments: list[datetime]) -> list[str]:
    assert all(each.utcoffset() == timedelta() for each in moments)
    return [f"{each:%d %H:%M}" for each in moments]


# What is written.


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT1M", MINUTE),
        ("PT15M", 15 * MINUTE),
        ("PT6H", 6 * HOUR),
        ("P1D", DAY),
        ("P1DT12H", 1.5 * DAY),
        ("P1DT1H1M", DAY + HOUR + MINUTE),
        ("PT90M", 90 * MINUTE),
        ("P0DT0H1M", MINUTE),
        ("P366D", 366 * DAY),
        ("PT8784H", 366 * DAY),
    ],
)
def test_a_duration_has_days_hours_and_minutes(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "PT", "P1DT", "1D", "T1H", "P1H", "PT1D", "P1W", "P1M", "P1Y", "PT30S", "P1.5D", "-P1D"),
        *(
            "P-1D",
            "+P1D",
            "pt1m",
            "PT1M\n",
            " PT1M",
            "PT\N{FULLWIDTH DIGIT ONE}M",
            "P1D PT1H",
            "every day",
            "P99999D",
        ),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a duration such as PT15M, PT6H or P1D$"):
        duration(text)


@pytest.mark.parametrize("text", ["PT0M", "P0D", "P366DT1M", "P367D", "PT9999H", "PT999999M", "P9999D"])
def test_an_interval_is_between_a_minute_and_a_year(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not between a minute \(PT1M\) and a year \(P366D\)$"):
        duration(text)


@pytest.mark.parametrize(
    "line",
    [
        *("* * * * *", "0 9 * * mon", "0 9 * * MON-FRI", "*/15 8-17 * * 1-5", "0 0 29 2 *", "0 0 L * *"),
        *("0 9 LW * *", "0 9 * * 1#1", "0 9 * * 5L", "0 9 * * 0", "0 9 * * 7", "5,10,15 0 1 jan-mar *"),
        "0  9\t*  *  mon",
    ],
)
def test_a_line_of_five_fields_is_taken(line: str) -> None:
    assert cron(line) == line


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 0),
        ("@daily", 1),
        ("@reboot", 1),
        ("0 9 * *", 4),
        ("* * * * * *", 6),  # every second
        ("0 0 9 * * mon", 6),
        ("0 9 * * mon 2026", 6),
        ("0 0 9 * * mon 2026", 7),
    ],
)
def test_a_line_of_more_or_fewer_fields_is_refused(line: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"^has {count} fields?; {re.escape(CRON_EXAMPLE)}$"):
        cron(line)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("60 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("30-10 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        (", * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("a b c d e", "minute"),
        ("0 24 * * *", "hour"),
        ("0 9 ? * *", "day-of-month"),
        ("0 9 0 * *", "day-of-month"),
        ("0 9 32 * *", "day-of-month"),
        ("0 9 15W * *", "day-of-month"),
        ("0 9 * 13 *", "month"),
        ("0 9 * monday *", "month"),
        ("0 9 * * 8", "day-of-week"),
        ("0 9 * * monday", "day-of-week"),
        ("0 9 * * 1#6", "day-of-week"),
        ("0 9 * * mon#1#1", "day-of-week"),
    ],
)
def test_a_line_with_a_bad_field_is_refused_by_its_name(line: str, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^is not a cron line \(bad {field}\); {re.escape(CRON_EXAMPLE)}$"):
        cron(line)


@pytest.mark.parametrize(
    "line", ["0 9 30 2 *", "0 9 31 4 *", "0 9 31 2,4,6,9,11 *", "0 9 30 2 */2", "0 9 31 4 */7"]
)
def test_a_line_that_never_occurs_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(CRON_EXAMPLE)):
        cron(line)


def test_the_example_of_a_refusal_is_right() -> None:
    assert cron("0 9 * * mon") == "0 9 * * mon"
    assert [duration(text) for text in ("PT15M", "PT6H", "P1D")] == [15 * MINUTE, 6 * HOUR, DAY]


@settings(max_examples=300)
@given(
    st.text(max_size=200)
    | st.from_regex(r"[0-9*/,LW#-]{1,6} [0-9*/,LW#-]{1,6} [0-9*/,LW#-]{1,6} [0-9*/,-]{1,6} [0-9*/,LW#-]{1,6}")
)
def test_any_text_is_a_line_or_is_refused_with_an_example(text: str) -> None:
    try:
        cron(text)
    except ValueError as error:
        assert str(error).endswith(CRON_EXAMPLE)  # noqa: PT017 - where it is refused, it is so in these words


# Clocks that change.

SKIPPED = ["28 01:30", "29 01:00", "30 00:30"]  # Vienna: 02:00 becomes 03:00 at 01:00 UTC


@pytest.mark.parametrize(
    ("line", "name", "begins", "occurs"),
    [
        ("30 2 * * *", "Europe/Vienna", "2026-03-28T00:00:00", SKIPPED),
        ("0,30 2 * * *", "Europe/Vienna", "2026-03-29T00:00:00", ["29 01:00", "30 00:00", "30 00:30"]),
        ("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00", ["25 00:30", "26 01:30"]),
        ("*/30 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00", ["30 00:00", "30 00:30"]),
        (
            "*/30 2 * * *",
            "Europe/Vienna",
            "2026-10-24T12:00:00",
            ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "26 01:00"],
        ),
        ("15 * * * *", "Europe/Vienna", "2026-03-29T00:00:00", ["29 00:15", "29 01:15", "29 02:15"]),
        ("15 * * * *", "Europe/Vienna", "2026-10-25T00:00:00", ["25 00:15", "25 01:15", "25 02:15"]),
        # Half an hour: 02:00 becomes 02:30 at 15:30 UTC, and in April 02:00 becomes 01:30 at 15:00 UTC.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00", ["02 15:45", "03 15:30", "04 15:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T12:00:00", ["03 14:45", "04 14:45", "05 15:15"]),
        # A quarter of an hour for good: 00:00 became 00:15 at 18:30 UTC.
        ("10 0 * * *", "Asia/Kathmandu", "1985-12-30T12:00:00", ["30 18:40", "31 18:30", "01 18:25"]),
        # The day that Samoa never had.
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00", ["29 19:00", "30 10:00", "30 19:00"]),
    ],
)
def test_what_clocks_skip_or_show_twice_occurs_once(
    line: str, name: str, begins: str, occurs: list[str]
) -> None:
    found = recurring(line, name=name, start=datetime(1980, 1, 1, tzinfo=UTC)).next_ones(
        utc(begins), len(occurs)
    )
    assert said(found) == occurs


CHANGES = [
    ("UTC", date(2026, 11, 24)),
    ("Europe/Vienna", date(2026, 3, 29)),
    ("Europe/Vienna", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Pacific/Chatham", date(2026, 9, 27)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Asia/Kathmandu", date(1986, 1, 1)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Pyongyang", date(2015, 8, 15)),
    ("Asia/Pyongyang", date(2018, 5, 5)),
    ("America/Caracas", date(2016, 5, 1)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Africa/Casablanca", date(2026, 2, 15)),
]
WALKED = 4  # days to each side of the change


@functools.cache
def walked(name: str, day: date) -> tuple[list[datetime], list[datetime]]:
    """Return the minutes of the days around ``day``, and what the clocks show at each of them."""
    there = zoneinfo.ZoneInfo(name)
    begins = datetime.combine(day - WALKED * DAY, time(), UTC)
    minutes = [begins + number * MINUTE for number in range(2 * WALKED * 24 * 60)]
    return minutes, [each.astimezone(there).replace(tzinfo=None) for each in minutes]


@dataclass(frozen=True)
class Field:
    """A field of a cron line as it is written, and what it stands for."""

    text: str
    values: frozenset[int]


def field(text: str, values: Any) -> Field:
    return Field(text, frozenset(values))


MINUTES = st.sampled_from(
    [
        *(field("*", range(60)), field("*/15", range(0, 60, 15)), field("*/7", range(0, 60, 7))),
        *(field("0", [0]), field("15", [15]), field("30", [30]), field("45", [45]), field("59", [59])),
        *(field("0,30", [0, 30]), field("20-40/10", [20, 30, 40]), field("1", [1])),
    ]
)
HOURS = st.sampled_from(
    [
        *(field("*", range(24)), field("*/2", range(0, 24, 2)), field("*/5", range(0, 24, 5))),
        *(field(str(hour), [hour]) for hour in (0, 1, 2, 3, 4, 12, 23)),
        *(field("2-3", [2, 3]), field("0-6/2", [0, 2, 4, 6]), field("23,0", [23, 0]), field("1,2", [1, 2])),
    ]
)
DATES = st.sampled_from(
    [
        *(field("*", range(1, 32)),) * 3,
        *(
            field("*/2", range(1, 32, 2)),
            field("1", [1]),
            field("29,30", [29, 30]),
            field("1-15", range(1, 16)),
        ),
    ]
)
WEEKDAYS = st.sampled_from(
    [
        *(field("*", range(7)),) * 3,  # Monday is 0 here, as Python has it
        *(field("sun", [6]), field("mon-fri", range(5)), field("6", [5]), field("7,1", [6, 0])),
    ]
)


def named(dates: Field, weekdays: Field, minutes: Field, hours: Field, at: datetime) -> bool:
    """Whether a line names a time that clocks show: both days where one begins with a star, else either."""
    by_date, by_weekday = at.day in dates.values, at.weekday() in weekdays.values
    either = not dates.text.startswith("*") and not weekdays.text.startswith("*")
    day = by_date or by_weekday if either else by_date and by_weekday
    return day and at.hour in hours.values and at.minute in minutes.values


def by_walking(name: str, day: date, fields: tuple[Field, Field, Field, Field]) -> list[datetime]:
    """Return when a line occurs by looking at the clocks every minute, as the docstring has the rules."""
    dates, weekdays, minutes, hours = fields
    moments, shown = walked(name, day)
    if minutes.text.startswith("*") or hours.text.startswith("*"):
        return [
            at
            for at, clock in zip(moments, shown, strict=True)
            if named(dates, weekdays, minutes, hours, clock)
        ]
    reached = list(accumulate(shown, max))
    first, found = reached[0], set()
    for number in range(2 * WALKED * 24 * 60):
        clock = first + number * MINUTE
        if named(dates, weekdays, minutes, hours, clock) and clock <= reached[-1]:
            found.add(moments[bisect_left(reached, clock)])
    return sorted(found)


@settings(max_examples=400, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    fields=st.tuples(DATES, WEEKDAYS, MINUTES, HOURS),
    since=st.timedeltas(-2 * DAY, 2 * DAY) | st.timedeltas(-6 * HOUR, 6 * HOUR),
)
@example(
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    (field("*", range(1, 32)), field("*", range(7)), field("*/15", range(0, 60, 15)), field("4", [4])),
    timedelta(hours=-10),
)
@example(
    ("America/Sao_Paulo", date(2018, 11, 4)),
    (field("*", range(1, 32)), field("sun", [6]), field("*/15", range(0, 60, 15)), field("1,2", [1, 2])),
    timedelta(hours=-30),
)
@example(
    ("America/Caracas", date(2016, 5, 1)),
    (field("*", range(1, 32)), field("*", range(7)), field("0", [0]), field("*", range(24))),
    timedelta(hours=-30),
)
def test_a_line_occurs_when_one_who_looks_at_the_clocks_every_minute_says_so(
    change: tuple[str, date], fields: tuple[Field, Field, Field, Field], since: timedelta
) -> None:
    name, day = change
    dates, weekdays, minutes, hours = fields
    line = f"{minutes.text} {hours.text} {dates.text} * {weekdays.text}"
    begins = datetime.combine(day, time(), UTC) + since
    until = walked(name, day)[0][-1] - 1.2 * DAY  # what is named by clocks that were not walked to
    expected = [at for at in by_walking(name, day, fields) if begins < at <= until]
    occurs = recurring(line, name=name, start=datetime(1980, 1, 1, tzinfo=UTC)).after(begins)
    assert list(takewhile(lambda at: at <= until, occurs)) == expected


# Intervals.


def test_an_interval_knows_no_clocks() -> None:
    every = recurring(name="Europe/Vienna", start=utc("2026-03-27T08:00:00"), every=DAY)
    assert said(every.next_ones(utc("2026-03-27T12:00:00"), 3)) == ["28 08:00", "29 08:00", "30 08:00"]


@given(
    every=st.sampled_from([MINUTE, 7 * MINUTE, HOUR, 36 * HOUR, 366 * DAY]),
    since=st.timedeltas(-3 * DAY, 4000 * DAY),
)
def test_an_interval_is_counted_from_its_start(every: timedelta, since: timedelta) -> None:
    moment = START + since
    first, second = recurring(every=every).next_ones(moment, 2)
    assert (first - START) % every == timedelta()
    assert first == START or moment < first <= moment + every
    assert first >= START
    assert second - first == every


def test_an_interval_that_began_long_ago_is_not_counted_up_step_by_step() -> None:
    every = recurring(every=MINUTE, start=datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert every.next_ones(utc("2026-11-24T12:00:00"), 1) == [utc("2026-11-24T12:00:01")]


# Beginning and end.


@pytest.mark.parametrize("asked", [{"line": "0 9 * * *"}, {"every": DAY}])
def test_nothing_occurs_before_the_start_or_after_the_end(asked: dict[str, Any]) -> None:
    line = asked.pop("line", "")
    limited = recurring(line, start=utc("2026-11-24T09:00:00"), end=utc("2026-11-26T09:00:00"), **asked)
    assert said(limited.next_ones(utc("2026-01-01T00:00:00"), 10)) == ["24 09:00", "25 09:00", "26 09:00"]
    assert said(limited.next_ones(utc("2026-11-24T09:00:00"), 10)) == ["25 09:00", "26 09:00"]
    assert limited.next_ones(utc("2026-11-26T09:00:00"), 10) == []


def test_what_ends_between_two_occurrences_ends_with_the_first() -> None:
    limited = recurring("0 9 * * *", end=utc("2026-11-25T08:59:59"))
    assert said(limited.next_ones(utc("2026-11-24T00:00:00"), 10)) == ["24 09:00"]


@pytest.mark.parametrize("start", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 12, 31, tzinfo=UTC)])
@pytest.mark.parametrize("asked", [{"line": "0 9 * * *"}, {"every": DAY}])
@pytest.mark.parametrize("rule", ["", "next", "previous", "skip"])
@pytest.mark.parametrize("name", ["UTC", "Pacific/Apia"])
def test_no_start_that_can_be_written_is_too_far_off(
    start: datetime, asked: dict[str, Any], rule: str, name: str
) -> None:
    days = WorkingDays(rule, frozenset()) if rule else None
    found = recurring(start=start, name=name, working_days=days, **asked).next_ones(
        utc("2026-11-24T12:00:00"), 2
    )
    assert len(found) == 2


# Working days.

HOLIDAYS = frozenset({date(2026, 12, 8), date(2026, 12, 24), date(2026, 12, 25)})  # Tuesday, Thursday, Friday


def on(rule: str, holidays: frozenset[date] = HOLIDAYS) -> WorkingDays:
    return WorkingDays(rule, holidays)


@pytest.mark.parametrize(
    ("rule", "line", "occurs"),
    [
        # Weekends from the 5th, 12th, 19th and 26th of December.
        ("next", "0 9 4-9 12 *", ["04 09:00", "07 09:00", "09 09:00"]),
        ("previous", "0 9 4-9 12 *", ["04 09:00", "07 09:00", "09 09:00"]),
        ("skip", "0 9 4-9 12 *", ["04 09:00", "07 09:00", "09 09:00"]),
        ("next", "0 9 5 12 *", ["07 09:00"]),
        ("previous", "0 9 5 12 *", ["04 09:00"]),
        ("skip", "0 9 5 12 *", []),
        ("next", "0 9 24 12 *", ["28 09:00"]),
        ("previous", "0 9 27 12 *", ["23 09:00"]),
        ("previous", "0 9 24 12 *", ["23 09:00"]),
        ("skip", "0 9 24-28 12 *", ["28 09:00"]),
        ("next", "0 9,15 6 12 *", ["07 09:00", "07 15:00"]),
        ("next", "0 9 5,6,7 12 *", ["07 09:00"]),  # what falls on one time occurs once
    ],
)
def test_what_falls_on_a_day_without_work_moves_or_is_left_out(
    rule: str, line: str, occurs: list[str]
) -> None:
    moved = recurring(line, working_days=on(rule), end=utc("2026-12-31T23:59:59"))
    assert said(moved.next_ones(utc("2026-12-01T00:00:00"), 10)) == occurs


def test_the_first_working_day_of_each_month() -> None:
    found = recurring("0 9 1 * *", working_days=on("next", frozenset())).next_ones(
        utc("2026-07-15T00:00:00"), 5
    )
    assert [f"{each:%d %b}" for each in found] == ["03 Aug", "01 Sep", "01 Oct", "02 Nov", "01 Dec"]


def test_the_last_working_day_of_each_month() -> None:
    found = recurring("0 9 L * *", working_days=on("previous", frozenset())).next_ones(
        utc("2026-07-31T10:00:00"), 4
    )
    assert [f"{each:%d %b}" for each in found] == ["31 Aug", "30 Sep", "30 Oct", "30 Nov"]


def test_what_moves_keeps_its_time_of_day_over_a_change_of_the_clocks() -> None:
    # From Saturday the 28th of March, in winter time, to Monday the 30th, in summer time.
    vienna = recurring("0 9 28 3 *", name="Europe/Vienna", working_days=on("next"))
    assert said(vienna.next_ones(utc("2026-03-01T00:00:00"), 1)) == ["30 07:00"]
    back = recurring("0 9 1 11 *", name="America/New_York", working_days=on("previous"))
    assert said(back.next_ones(utc("2026-10-01T00:00:00"), 1)) == ["30 13:00"]


def test_a_day_without_work_is_one_of_the_schedules_zone() -> None:
    # Friday 23:30 in Vienna; in Auckland it is Saturday then, at 11:30.
    friday = recurring("30 23 27 11 *", name="Europe/Vienna", working_days=on("skip"))
    assert said(friday.next_ones(utc("2026-11-01T00:00:00"), 1)) == ["27 22:30"]
    saturday = recurring("30 11 28 11 *", name="Pacific/Auckland", working_days=on("next"))
    assert said(saturday.next_ones(utc("2026-11-01T00:00:00"), 1)) == ["29 22:30"]


def test_what_was_moved_to_a_later_day_is_found_after_the_day_that_was_named() -> None:
    moved = recurring("0 9 5 12 *", working_days=on("next"))
    assert said(moved.next_ones(utc("2026-12-06T12:00:00"), 1)) == ["07 09:00"]


def test_what_moves_before_the_start_does_not_occur() -> None:
    moved = recurring("0 9 * * sat", start=utc("2026-12-05T00:00:00"), working_days=on("previous"))
    assert said(moved.next_ones(utc("2026-12-01T00:00:00"), 1)) == ["11 09:00"]


def test_what_moves_beyond_the_end_does_not_occur() -> None:
    moved = recurring("0 9 * * *", end=utc("2026-12-06T12:00:00"), working_days=on("next"))
    assert said(moved.next_ones(utc("2026-12-03T12:00:00"), 5)) == ["04 09:00"]


def test_what_moves_back_before_the_end_occurs_although_it_was_named_after_it() -> None:
    moved = recurring("0 9 * * sat", end=utc("2026-12-04T12:00:00"), working_days=on("previous"))
    assert said(moved.next_ones(utc("2026-12-01T00:00:00"), 5)) == ["04 09:00"]


def test_a_list_of_holidays_without_end_is_no_list_of_holidays() -> None:
    always = frozenset(date(2026, 1, 1) + number * DAY for number in range(200))
    moved = recurring("0 9 1 2 *", working_days=on("next", always), end=utc("2026-12-31T00:00:00"))
    assert moved.next_ones(utc("2026-01-01T00:00:00"), 1) == []


def by_moving(named_at: list[datetime], days: WorkingDays) -> list[datetime]:
    """Return when what is named in UTC takes place, each once and in order."""
    found = set()
    for at in named_at:
        step = {"next": DAY, "previous": -DAY, "skip": timedelta()}[days.rule]
        moved = at
        while step and (moved.weekday() > 4 or moved.date() in days.holidays):
            moved += step
        if moved.weekday() <= 4 and moved.date() not in days.holidays:
            found.add(moved)
    return sorted(found)


@settings(max_examples=100, deadline=None)
@given(
    rule=st.sampled_from(["next", "previous", "skip"]),
    every=st.sampled_from([6 * HOUR, 12 * HOUR, 18 * HOUR, DAY, 36 * HOUR, 50 * HOUR]),
    start=st.timedeltas(-5 * DAY, 5 * DAY),
    since=st.timedeltas(timedelta(), 40 * DAY),
)
@example("next", 36 * HOUR, timedelta(), timedelta())
@example("next", 6 * HOUR, timedelta(hours=108), timedelta())
def test_nothing_that_is_moved_is_lost_and_nothing_comes_twice(
    rule: str, every: timedelta, start: timedelta, since: timedelta
) -> None:
    begins, until = utc("2026-11-25T00:00:00") + start, utc("2027-01-20T00:00:00")
    moment = begins + since
    named_at = [begins + number * every for number in range(80 * DAY // every)]
    expected = [at for at in by_moving(named_at, on(rule)) if at > moment and begins <= at <= until]
    found = recurring(every=every, start=begins, working_days=on(rule)).after(moment)
    assert list(takewhile(lambda at: at <= until, found)) == expected


# Ids.


def test_an_occurrence_has_the_id_of_its_time_in_utc() -> None:
    assert occurrence_id("report", utc("2026-11-24T08:00:00")) == "report@2026-11-24T08:00:00Z"
    vienna = datetime(2026, 11, 24, 9, 0, 0, 999_999, tzinfo=zone("Europe/Vienna"))
    assert occurrence_id("report", vienna) == "report@2026-11-24T08:00:00Z"


def test_what_comes_twice_on_the_clocks_has_two_ids() -> None:
    hourly = recurring("30 * * * *", name="Europe/Vienna").next_ones(utc("2026-10-25T00:00:00"), 2)
    assert [occurrence_id("a", at) for at in hourly] == ["a@2026-10-25T00:30:00Z", "a@2026-10-25T01:30:00Z"]
