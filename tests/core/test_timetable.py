from __future__ import annotations

import functools
import zoneinfo
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.timetable import DAYS, Window, clock_time, moment, zone

EXAMPLE = "write one such as 2026-12-24T09:00:00+01:00"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
WORK = frozenset({"mon", "tue", "wed", "thu", "fri"})
ALL = frozenset(DAYS)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Moments.


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-12-24T09:00:00+01:00", "2026-12-24T08:00:00"),
        ("2026-12-24T09:00:00Z", "2026-12-24T09:00:00"),
        ("2026-12-24t09:00:00z", "2026-12-24T09:00:00"),
        ("2026-12-24 09:00:00Z", "2026-12-24T09:00:00"),
        ("2026-12-24T09:00:00-00:00", "2026-12-24T09:00:00"),
        ("2026-12-24T00:30:00+05:45", "2026-12-23T18:45:00"),
        ("2026-12-24T23:59:59-12:00", "2026-12-25T11:59:59"),
        ("2026-12-24T09:00:00.5Z", "2026-12-24T09:00:00.500000"),
        ("2026-12-24T09:00:00.123456789Z", "2026-12-24T09:00:00.123456"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("9000-12-31T23:59:59.999999999Z", "9000-12-31T23:59:59.999999"),
    ],
)
def test_a_time_with_an_offset_is_a_moment(text: str, at: str) -> None:
    read = moment(text)
    assert read == utc(at)
    assert read.tzinfo is UTC


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_every_moment_that_can_be_written_is_read_as_it_was(at: datetime) -> None:
    offset = at.utcoffset() or timedelta()
    # RFC 3339 writes an offset in whole minutes; years beyond the first and the last are refused.
    if offset % MINUTE or not date(1970, 1, 2) < at.date() < date(9000, 12, 30):
        return
    assert moment(at.isoformat()) == at.astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-24",
        "2026-12-24T09:00",
        "2026-12-24 09:00",
        "2026-12-24T09:00:00",
        "2026-12-24t09:00:00",
        "2026-12-24T09:00:00.123",
    ],
)
def test_a_time_without_an_offset_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r"^has no offset from UTC, so it names no moment; ") as refused:
        moment(text)
    assert str(refused.value).endswith(EXAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "1732438800",
        "24.12.2026 09:00:00+01:00",
        "2026-12-24T09:00+01:00",
        "2026-12-24T09+01:00",
        "20261224T090000Z",
        "2026-12-24T09:00:00+0100",
        "2026-12-24T09:00:00+01",
        "2026-12-24T09:00:00 +01:00",
        "2026-12-24T09:00:00 Europe/Vienna",
        "2026-12-24T09:00:00+01:00[Europe/Vienna]",
        "2026-12-24T09:00:00,5Z",
        "2026-12-24T09:00:00.Z",
        "2026-12-24T09:00:00.1234567890Z",
        "2026-W52-4T09:00:00Z",
        "2026-358T09:00:00Z",
        "-2026-12-24T09:00:00Z",
        "+12026-12-24T09:00:00Z",
        "26-12-24T09:00:00Z",
        "2026-12-24T9:00:00Z",
        "2026-12-24T09:00:00Z\n",
        " 2026-12-24T09:00:00Z",
        "2026-12-24\N{NO-BREAK SPACE}09:00:00Z",
        "\N{ARABIC-INDIC DIGIT TWO}026-12-24T09:00:00Z",
        "2026\N{EN DASH}12-24T09:00:00Z",
        "2026-12-24T09:00:00\N{MINUS SIGN}01:00",
    ],
)
def test_what_rfc_3339_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not an RFC 3339 time; ") as refused:
        moment(text)
    assert str(refused.value).endswith(EXAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T09:00:00Z",
        "2026-04-31T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-00-10T09:00:00Z",
        "2026-12-00T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-12-24T24:00:00Z",
        "2026-12-24T25:00:00Z",
        "2026-12-24T09:60:00Z",
        "2026-12-24T09:00:61Z",
        "2026-12-24T09:00:00+24:00",
        "2026-12-24T09:00:00-24:00",
        "2026-12-24T09:00:00+99:99",
        "2026-12-24T09:00:00+01:60",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_a_date_a_time_or_an_offset_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is no date or time that exists; ") as refused:
        moment(text)
    assert str(refused.value).endswith(EXAMPLE)


@pytest.mark.parametrize(
    "text", ["0001-01-02T00:00:00Z", "1970-01-01T00:00:00+00:01", "9001-01-01T00:00:00Z"]
)
def test_a_year_that_no_table_keeps_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not between the years 1970 and 9000; ") as refused:
        moment(text)
    assert str(refused.value).endswith(EXAMPLE)


@pytest.mark.parametrize("text", ["2026-12-31T23:59:60Z", "2017-01-01T00:59:60.5+01:00"])
def test_a_leap_second_is_refused_for_what_it_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"^has a 60th second, which no clock here shows; ") as refused:
        moment(text)
    assert str(refused.value).endswith(EXAMPLE)


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?"))
def test_any_text_is_a_moment_or_is_refused_with_an_example(text: str) -> None:
    try:
        assert moment(text).tzinfo is UTC
    except ValueError as error:
        said = str(error)
        assert said.endswith(EXAMPLE)


def test_the_example_of_every_refusal_is_right() -> None:
    assert moment(EXAMPLE.rpartition(" ")[2]) == utc("2026-12-24T08:00:00")
    assert zone("Europe/Vienna").utcoffset(datetime(2026, 12, 24)) == timedelta(hours=1)  # noqa: DTZ001 - asks the zone
    assert clock_time("08:30") == timedelta(hours=8, minutes=30)


# Zones.


@pytest.mark.parametrize("name", sorted(zoneinfo.available_timezones() - {"localtime"}))
def test_every_zone_of_the_world_is_known(name: str) -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert at.astimezone(zone(name)).utcoffset() == at.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Vienna",
        "Europe/Wien",
        "europe/vienna",
        "CEST",
        "+01:00",
        "GMT+1",
        "Europe",
        "Europe/Vienna\n",
        " Europe/Vienna",
        "Europe/Vienna/",
        "/Europe/Vienna",
        "../zoneinfo/Europe/Vienna",
        "Europe/../Europe/Vienna",
        "Europe\\Vienna",
        "zones",
        "__init__",
        "zone.tab",
        "localtime",
        "posix/Europe/Vienna",
        "right/Europe/Vienna",
        "Europe/Vienna\0",
        "x" * 10_000,
    ],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^is not an IANA time zone; write one such as Europe/Vienna$"):
        zone(name)


# Times of day.


@pytest.mark.parametrize(
    ("text", "minutes"), [("00:00", 0), ("08:30", 510), ("23:59", 1439), ("24:00", 1440)]
)
def test_a_time_of_day_is_so_long_after_midnight(text: str, minutes: int) -> None:
    assert clock_time(text) == minutes * MINUTE


@pytest.mark.parametrize(
    "text", ["", "8:30", "24:01", "25:00", "12:60", "12:5", "1230", "12:30:00", "12:30\n", "9 am", "١٢:٣٠"]
)
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^is not a time of day from 00:00 to 24:00; write one such as 08:30$"
    ):
        clock_time(text)


# Windows.


def window(begins: str, until: str, *, days: frozenset[str] = ALL, name: str = "Europe/Vienna") -> Window:
    return Window(days, clock_time(begins), clock_time(until), zone(name))


OFFICE = window("08:00", "17:00", days=WORK)  # Vienna is an hour before UTC in winter
NIGHT = window("22:00", "06:00", days=frozenset({"fri"}))


@pytest.mark.parametrize(
    ("hours", "at", "opens"),
    [
        # 2026-11-24 is a Tuesday, the 27th a Friday.
        (OFFICE, "2026-11-24T06:59:59.999999", "2026-11-24T07:00:00"),
        (OFFICE, "2026-11-24T07:00:00", "2026-11-24T07:00:00"),
        (OFFICE, "2026-11-24T12:34:56.789000", "2026-11-24T12:34:56.789000"),
        (OFFICE, "2026-11-24T15:59:59.999999", "2026-11-24T15:59:59.999999"),
        (OFFICE, "2026-11-24T16:00:00", "2026-11-25T07:00:00"),  # a message goes before it closes
        (OFFICE, "2026-11-27T16:00:00", "2026-11-30T07:00:00"),  # over the weekend
        (NIGHT, "2026-11-24T12:00:00", "2026-11-27T21:00:00"),
        (NIGHT, "2026-11-27T22:59:59", "2026-11-27T22:59:59"),
        (NIGHT, "2026-11-28T04:59:59", "2026-11-28T04:59:59"),  # Saturday morning belongs to Friday night
        (NIGHT, "2026-11-28T05:00:00", "2026-12-04T21:00:00"),
        (NIGHT, "2026-11-27T03:00:00", "2026-11-27T21:00:00"),  # Friday morning belongs to Thursday night
        (window("00:00", "24:00"), "2026-11-24T12:00:00", "2026-11-24T12:00:00"),
        (window("00:00", "24:00"), "2026-10-25T00:30:00", "2026-10-25T00:30:00"),
        (window("00:00", "24:00", days=frozenset({"sun"})), "2026-11-24T12:00:00", "2026-11-28T23:00:00"),
        # Clocks go forward from 02:00 to 03:00, at 01:00 UTC.
        (window("02:30", "04:00"), "2026-03-29T00:10:00", "2026-03-29T01:00:00"),
        (window("01:00", "02:30"), "2026-03-29T00:59:59", "2026-03-29T00:59:59"),
        (window("01:00", "02:30"), "2026-03-29T01:00:00", "2026-03-29T23:00:00"),
        (window("02:00", "03:00"), "2026-03-28T12:00:00", "2026-03-30T00:00:00"),  # that day has no such hour
        (
            window("02:10", "02:50", days=frozenset({"sun"})),
            "2026-03-28T12:00:00",
            "2026-04-05T00:10:00",
        ),
        # Clocks go back from 03:00 to 02:00, at 01:00 UTC: of what comes twice, the first counts.
        (window("02:30", "04:00"), "2026-10-25T00:10:00", "2026-10-25T00:30:00"),
        (window("02:30", "04:00"), "2026-10-25T01:10:00", "2026-10-25T01:10:00"),
        (window("02:00", "03:00"), "2026-10-25T01:59:59", "2026-10-25T01:59:59"),  # it is open for two hours
        (window("01:00", "02:30"), "2026-10-25T00:29:59", "2026-10-25T00:29:59"),
        (window("01:00", "02:30"), "2026-10-25T01:10:00", "2026-10-26T00:00:00"),
        # Half an hour, at 15:30 and 15:00 UTC.
        (
            window("02:15", "05:00", name="Australia/Lord_Howe"),
            "2026-10-03T15:10:00",
            "2026-10-03T15:30:00",
        ),
        (
            window("01:45", "05:00", name="Australia/Lord_Howe"),
            "2026-04-04T14:30:00",
            "2026-04-04T14:45:00",
        ),
        # A quarter of an hour, once and for all.
        (window("00:05", "05:00", name="Asia/Kathmandu"), "1985-12-31T18:20:00", "1985-12-31T18:30:00"),
        # The day that Samoa never had, a Friday.
        (window("08:00", "17:00", name="Pacific/Apia"), "2011-12-30T09:00:00", "2011-12-30T18:00:00"),
        (
            window("08:00", "17:00", days=frozenset({"fri"}), name="Pacific/Apia"),
            "2011-12-30T09:00:00",
            "2012-01-05T18:00:00",
        ),
        # Friday's night goes on where Saturday begins.
        (
            window("22:00", "06:00", days=frozenset({"fri"}), name="Pacific/Apia"),
            "2011-12-30T09:00:00",
            "2011-12-30T10:00:00",
        ),
        # An offset that is no number of minutes, until half past the 44th.
        (window("00:20", "05:00", name="Africa/Monrovia"), "1972-01-07T00:00:00", "1972-01-07T00:44:30"),
        (window("06:00", "07:00", name="Africa/Monrovia"), "1972-01-06T00:00:00", "1972-01-06T06:44:30"),
    ],
)
def test_a_window_opens_when_the_clocks_of_its_zone_say_so(hours: Window, at: str, opens: str) -> None:
    opened = hours.opens_at(utc(at))
    assert opened == utc(opens)
    assert opened.utcoffset() == timedelta()


def test_a_moment_is_the_same_in_every_zone() -> None:
    at = utc("2026-11-24T16:00:00")
    for name in ("Asia/Kathmandu", "Pacific/Apia", "America/New_York"):
        assert OFFICE.opens_at(at.astimezone(zone(name))) == OFFICE.opens_at(at)


def test_a_window_without_a_day_never_opens() -> None:
    with pytest.raises(ValueError, match=r"^the window never opens$"):
        window("08:00", "17:00", days=frozenset()).opens_at(utc("2026-11-24T12:00:00"))


# Where clocks changed: by an hour, by less and by more, at night and at midnight, for a summer and for good.
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
    ("America/Caracas", date(2007, 12, 9)),
    ("America/Caracas", date(2016, 5, 1)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
]
BEFORE, AFTER = 4, 11  # days that are walked through


@functools.cache
def walked(name: str, day: date) -> tuple[datetime, list[datetime]]:
    """
    Return what the clocks had shown at most by each minute of the days around ``day``, and the first minute.
    """
    begins = datetime.combine(day - BEFORE * DAY, time(), UTC)
    there = zoneinfo.ZoneInfo(name)
    shown = [
        (begins + number * MINUTE).astimezone(there).replace(tzinfo=None)
        for number in range((BEFORE + AFTER) * 24 * 60)
    ]
    return begins, list(accumulate(shown, max))


def open_minutes(hours: Window, name: str, day: date) -> tuple[datetime, list[bool]]:
    """Return for each minute whether the window is open, by looking at the clocks every minute."""
    begins, shown = walked(name, day)
    is_open = [False] * len(shown)
    for number in range(-BEFORE - 1, AFTER + 2):
        date_ = day + number * DAY
        if DAYS[date_.weekday()] in hours.days:
            midnight = datetime.combine(date_, time())
            next_day = DAY if hours.until <= hours.begins else timedelta()
            first = bisect_left(shown, midnight + hours.begins)
            last = bisect_left(shown, midnight + hours.until + next_day)
            is_open[first:last] = [True] * (last - first)
    return begins, is_open


@settings(max_examples=400, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    days=st.sets(st.sampled_from(DAYS), min_size=1) | st.just(set(DAYS)),
    begins=st.integers(0, 1439) | st.integers(0, 240),
    until=st.integers(1, 1440) | st.integers(1, 240),
    since=st.timedeltas(-1.5 * DAY, 1.5 * DAY) | st.timedeltas(timedelta(hours=-6), timedelta(hours=6)),
)
@example(("Pacific/Apia", date(2011, 12, 30)), {"fri"}, 600, 300, timedelta())
@example(("America/Sao_Paulo", date(2018, 2, 18)), {"sat"}, 1380, 30, timedelta(hours=2))
@example(("Africa/Cairo", date(2026, 4, 24)), {"fri"}, 0, 60, timedelta(hours=-3))
def test_nothing_is_open_before_a_window_opens_and_it_is_open_then(
    change: tuple[str, date], days: set[str], begins: int, until: int, since: timedelta
) -> None:
    if begins == until:
        return  # refused where a message asks for it
    name, day = change
    hours = Window(frozenset(days), begins * MINUTE, until * MINUTE, zone(name))
    at = datetime.combine(day, time(), UTC) + since
    opens = hours.opens_at(at)
    assert opens >= at
    start, is_open = open_minutes(hours, name, day)
    minute = (at - start) // MINUTE
    if is_open[minute]:
        assert opens == at
        return
    while minute < len(is_open) and not is_open[minute]:
        minute += 1
    # A window of a day that does not exist opens in the week after, which is not walked through.
    assert opens == start + minute * MINUTE or (minute == len(is_open) and opens >= start + minute * MINUTE)


@settings(deadline=None)
@given(change=st.sampled_from(CHANGES), since=st.timedeltas(-2 * DAY, 2 * DAY), hour=st.integers(0, 23))
def test_when_a_window_opens_it_is_open(change: tuple[str, date], since: timedelta, hour: int) -> None:
    hours = Window(WORK, timedelta(hours=hour), timedelta(hours=(hour + 9) % 24), zone(change[0]))
    opens = hours.opens_at(datetime.combine(change[1], time(), UTC) + since)
    assert hours.opens_at(opens) == opens
