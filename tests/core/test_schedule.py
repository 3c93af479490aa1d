from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.core.intake import problems_of, read
from shared.core.message import Message
from shared.core.schedule import (
    MISSED_AFTER,
    Round,
    Schedule,
    ScheduleFields,
    begin,
    contradictions,
    due_round,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MESSAGE: dict[str, Any] = {"to": "ada@contoso.com", "template": "report", "data": {"n": 1}}
HOURLY: dict[str, Any] = {"every": "PT1H", "start": "2026-11-24T12:00:00Z", "message": MESSAGE}
MOMENT = "write one such as 2026-12-24T09:00:00+01:00"
CRON = 'write five fields such as "0 9 * * mon" (minute, hour, day, month, day of the week)'
ONE_OF_TWO = 'cron: give cron, such as "0 9 * * mon", or every, such as "PT6H": one of the two'


def fields(value: dict[str, Any]) -> ScheduleFields:
    return ScheduleFields.model_validate(value)


def hourly(*, now: datetime = NOON - HOUR, **asked: Any) -> Schedule:
    return begin("report", fields({**HOURLY, **asked}), now=now)


def problems(value: dict[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(contradictions(fields(value)))
    except ValidationError as error:
        return problems_of(error)


# What may be asked.


def test_a_schedule_with_every_field_is_read() -> None:
    read_ = fields(
        {
            "cron": "0 9 * * mon",
            "time_zone": "Europe/Vienna",
            "start": "2026-12-01T00:00:00+01:00",
            "end": "2027-12-01T00:00:00+01:00",
            "count": 10,
            "working_days": {"rule": "previous", "holidays": ["2026-12-08", "2026-12-25"]},
            "missed": "all",
            "expires_after": "PT6H",
            "paused": True,
            "message": MESSAGE,
        }
    )
    assert (read_.cron, read_.every, read_.time_zone) == ("0 9 * * mon", None, "Europe/Vienna")
    assert (read_.start, read_.count) == (datetime(2026, 11, 30, 23, tzinfo=UTC), 10)
    assert read_.working_days is not None
    assert (read_.working_days.rule, read_.working_days.holidays) == (
        "previous",
        ("2026-12-08", "2026-12-25"),
    )
    assert (read_.missed, read_.expires_after, read_.paused) == ("all", "PT6H", True)
    assert list(contradictions(read_)) == []


def test_what_is_left_out_has_a_default_and_null_is_left_out() -> None:
    plain = fields({"every": "PT6H", "message": MESSAGE})
    assert (plain.time_zone, plain.missed, plain.paused) == ("UTC", "latest", False)
    assert (plain.start, plain.end, plain.count, plain.working_days, plain.expires_after) == (None,) * 5
    absent = dict.fromkeys(ScheduleFields.model_fields) | {"every": "PT6H", "message": MESSAGE}
    assert fields(absent) == plain
    days = fields({"every": "PT6H", "message": MESSAGE, "working_days": {"rule": None, "holidays": None}})
    assert days.working_days is not None
    assert (days.working_days.rule, days.working_days.holidays) == ("next", ())


WRONG: list[tuple[str, object, str]] = [
    ("cron", 5, "cron: is not a string"),
    ("cron", "* * * * * *", f"cron: has 6 fields; {CRON}"),
    ("cron", "0 25 * * *", f"cron: is not a cron line (bad hour); {CRON}"),
    ("cron", "0 9 * * " + "1," * 200, "cron: is longer than 200 characters"),
    ("every", "PT30S", "every: is not a duration such as PT15M, PT6H or P1D"),
    ("every", "PT0M", "every: is not between a minute (PT1M) and a year (P366D)"),
    ("every", 60, "every: is not a string"),
    ("time_zone", "CET+1", "time_zone: is not an IANA time zone; write one such as Europe/Vienna"),
    ("start", "2026-12-01T00:00:00", f"start: has no offset from UTC, so it names no moment; {MOMENT}"),
    ("start", "2026-02-30T00:00:00Z", f"start: is no date or time that exists; {MOMENT}"),
    ("end", 1732438800, "end: is not a string; write a time such as 2026-12-24T09:00:00+01:00"),
    ("count", 0, "count: is too small"),
    ("count", 1_000_001, "count: is too large"),
    ("count", "5", "count: is not a whole number"),
    ("count", True, "count: is not a whole number"),
    ("working_days", "next", "working_days: is not an object"),
    ("working_days", {"rule": "nearest"}, "working_days.rule: must be 'next', 'previous' or 'skip'"),
    (
        "working_days",
        {"holidays": ["2026-12-25", "25.12.2026"]},
        "working_days.holidays[1]: is not a date such as 2026-12-25",
    ),
    (
        "working_days",
        {"holidays": ["2026-02-30"]},
        "working_days.holidays[0]: is not a date such as 2026-12-25",
    ),
    ("working_days", {"holidays": "2026-12-25"}, "working_days.holidays: is not a list"),
    (
        "working_days",
        {"holidays": ["2026-12-25"] * 501},
        "working_days.holidays: has more than 500 entries",
    ),
    ("working_days", {"country": "AT"}, "working_days.country: is not a field of a message"),
    ("missed", "none", "missed: must be 'latest' or 'all'"),
    ("expires_after", "1 hour", "expires_after: is not a duration such as PT15M, PT6H or P1D"),
    ("paused", "yes", "paused: is not true or false"),
    ("message", "Hello", "message: is not an object"),
    ("message", None, "message: is required"),
    ("timezone", "UTC", "timezone: is not a field of a message"),
    ("next", [], "next: is not a field of a message"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_is_wrong_with_a_field_is_said(name: str, value: object, said: str) -> None:
    found = problems({"every": "PT6H", "message": MESSAGE, name: value})
    # Whose field it is not depends on what is read; that there is none of that name does not.
    assert [each.replace("of a schedule", "of a message") for each in found] == [said]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"every": None}, ONE_OF_TWO),
        ({"cron": "0 9 * * mon"}, ONE_OF_TWO),
        ({"end": "2026-11-24T12:00:00Z"}, "end: it is not after start, so nothing ever occurs"),
        ({"end": "2026-11-24T12:59:59+01:00"}, "end: it is not after start, so nothing ever occurs"),
        (
            {"message": {**MESSAGE, "id": "a"}},
            "message.id: each occurrence has one of its own; leave it out",
        ),
        (
            {"message": {**MESSAGE, "send_at": "2026-11-24T12:00:00Z"}},
            "message.send_at: each occurrence has one of its own; leave it out",
        ),
        (
            {"message": {**MESSAGE, "expires_at": "2026-11-24T12:00:00Z"}},
            "message.expires_at: each occurrence has one of its own; give expires_after beside the message",
        ),
        (
            {"message": {"text": "ü" * 24_000}},
            (
                "message: has 48012 octets and 48000 fit on the queue; "
                "use a template, or files in the container mail-payloads"
            ),
        ),
    ],
)
def test_what_no_field_is_wrong_with_alone_is_said(asked: dict[str, Any], said: str) -> None:
    assert problems({**HOURLY, **asked}) == (said,)


def test_a_message_may_say_null_for_what_each_occurrence_has_of_its_own() -> None:
    assert problems({**HOURLY, "message": {**MESSAGE, "id": None, "send_at": None, "expires_at": None}}) == ()


def test_a_schedule_does_not_print_its_message() -> None:
    canary = "c4n4ry"
    assert canary not in repr(hourly(message={"to": "ada@contoso.com", "text": canary}))


# Beginning.


def test_a_schedule_begins_with_its_first_occurrence() -> None:
    assert hourly() == Schedule("report", fields(HOURLY), created_at=NOON - HOUR, next_at=NOON)
    assert hourly(now=NOON).next_at == NOON + HOUR
    assert hourly(now=NOON + 90 * MINUTE).next_at == NOON + 2 * HOUR


def test_an_interval_without_a_start_is_counted_from_when_the_schedule_was_made() -> None:
    schedule = hourly(start=None, now=NOON + 7 * MINUTE)
    assert schedule.upcoming(NOON + 8 * MINUTE, 2) == [NOON + 67 * MINUTE, NOON + 127 * MINUTE]


@pytest.mark.parametrize("asked", [{"paused": True}, {"end": "2026-11-24T12:30:00Z"}])
def test_what_is_paused_or_over_occurs_no_more(asked: dict[str, Any]) -> None:
    schedule = hourly(now=NOON + 10 * MINUTE, **asked)
    assert schedule.next_at is None
    assert schedule.upcoming(NOON + 10 * MINUTE, 10) == []
    assert due_round(schedule, now=NOON, until=NOON + 99 * HOUR, most=10) == Round((), schedule)


def test_no_more_are_to_come_than_are_left_of_the_count() -> None:
    schedule = hourly(count=3)
    assert len(schedule.upcoming(NOON - HOUR, 10)) == 3
    assert len(replace(schedule, occurred=2).upcoming(NOON - HOUR, 10)) == 1
    assert replace(schedule, occurred=3).upcoming(NOON - HOUR, 10) == []
    assert replace(schedule, occurred=9).upcoming(NOON - HOUR, 10) == []
    assert len(schedule.upcoming(NOON - HOUR, 2)) == 2


def test_what_is_done_with_before_its_time_does_not_come_again() -> None:
    # The timer is early: what it has put on the outbox is still to come, by the clock.
    after = round_of(hourly(), now=NOON - MINUTE).schedule
    assert after.upcoming(NOON - MINUTE, 2) == [NOON + HOUR, NOON + 2 * HOUR]


# The message of an occurrence.


def test_each_occurrence_has_an_id_and_a_time_and_is_always_the_same() -> None:
    schedule = hourly(expires_after="PT15M")
    text = schedule.message_of(NOON)
    assert json.loads(text) == {
        **MESSAGE,
        "id": "report@2026-11-24T12:00:00Z",
        "send_at": "2026-11-24T12:00:00+00:00",
        "expires_at": "2026-11-24T12:15:00+00:00",
    }
    assert replace(schedule, occurred=5, last_id="x", version="y").message_of(NOON) == text
    message = read(text.encode(), fallback_id="queue-id")
    assert isinstance(message, Message)
    assert (message.id, message.fields.send_at) == ("report@2026-11-24T12:00:00Z", NOON)
    assert message.fields.expires_at == NOON + 15 * MINUTE


def test_an_occurrence_of_the_longest_name_is_a_message() -> None:
    schedule = replace(hourly(), name="x" * 100)
    assert isinstance(read(schedule.message_of(NOON).encode(), fallback_id="queue-id"), Message)


def test_an_occurrence_expires_only_where_that_is_asked() -> None:
    assert "expires_at" not in json.loads(hourly().message_of(NOON))


def test_null_in_the_message_is_no_id_and_no_time() -> None:
    schedule = hourly(message={**MESSAGE, "id": None, "send_at": None})
    assert json.loads(schedule.message_of(NOON))["id"] == "report@2026-11-24T12:00:00Z"


# What is due.


def round_of(schedule: Schedule, *, now: datetime = NOON, most: int = 500) -> Round:
    return due_round(schedule, now=now, until=now + MINUTE, most=most)


def test_nothing_is_due_before_its_time() -> None:
    schedule = hourly()
    assert round_of(schedule, now=NOON - 2 * MINUTE) == Round((), schedule)


@pytest.mark.parametrize("now", [NOON - MINUTE, NOON, NOON + MISSED_AFTER - timedelta(microseconds=1)])
@pytest.mark.parametrize("missed", ["latest", "all"])
def test_what_is_due_occurs_and_the_next_one_is_known(now: datetime, missed: str) -> None:
    schedule = hourly(missed=missed)
    found = round_of(schedule, now=now)
    assert found.occurrences == (NOON,)
    assert found.schedule == replace(
        schedule, next_at=NOON + HOUR, occurred=1, last_id="report@2026-11-24T12:00:00Z", last_at=NOON
    )


@pytest.mark.parametrize(
    ("missed", "late", "hours"),
    [
        ("all", timedelta(hours=3, minutes=30), [0, 1, 2, 3]),
        ("latest", timedelta(hours=3, minutes=30), [3]),
        ("latest", timedelta(hours=3, minutes=2), [3]),
        # The one of three hours is not missed, it is on time; of the others it is the latest one.
        ("latest", timedelta(hours=3, minutes=1), [2, 3]),
        ("latest", timedelta(hours=2, minutes=59, seconds=30), [2, 3]),
        ("latest", timedelta(hours=1), [0, 1]),
        ("all", timedelta(hours=1), [0, 1]),
    ],
)
def test_of_what_an_outage_made_late_the_latest_goes_or_all_do(
    missed: str, late: timedelta, hours: list[int]
) -> None:
    found = round_of(hourly(missed=missed), now=NOON + late)
    assert found.occurrences == tuple(NOON + hour * HOUR for hour in hours)
    assert found.schedule.next_at == NOON + (hours[-1] + 1) * HOUR
    assert found.schedule.last_id == f"report@2026-11-24T{12 + hours[-1]}:00:00Z"


def every_round(schedule: Schedule, *, now: datetime, most: int) -> tuple[list[datetime], Schedule]:
    """Take what is due as the timer does: round by round, until nothing is."""
    sent: list[datetime] = []
    while schedule.next_at is not None and schedule.next_at <= now + MINUTE:
        before = schedule
        found = due_round(schedule, now=now, until=now + MINUTE, most=most)
        sent += found.occurrences
        schedule = found.schedule
        assert schedule.next_at is None or before.next_at is None or schedule.next_at > before.next_at
    return sent, schedule


@pytest.mark.parametrize("most", [1, 2, 3, 7, 500])
def test_all_that_was_missed_goes_in_rounds_each_once(most: int) -> None:
    sent, after = every_round(hourly(missed="all"), now=NOON + 6.5 * HOUR, most=most)
    assert sent == [NOON + hour * HOUR for hour in range(7)]
    assert (after.next_at, after.occurred) == (NOON + 7 * HOUR, 7)


@pytest.mark.parametrize("most", [1, 2, 3, 7, 500])
def test_the_latest_is_one_however_many_were_missed(most: int) -> None:
    sent, after = every_round(hourly(), now=NOON + 6.5 * HOUR, most=most)
    assert sent == [NOON + 6 * HOUR]
    assert after.next_at == NOON + 7 * HOUR


@pytest.mark.parametrize("missed", ["latest", "all"])
@pytest.mark.parametrize("most", [2, 500])
def test_a_schedule_ends_after_its_count(missed: str, most: int) -> None:
    sent, after = every_round(hourly(missed=missed, count=3), now=NOON + 2 * HOUR, most=most)
    assert sent == [NOON + hour * HOUR for hour in range(3)][0 if missed == "all" else 1 :]
    assert (after.next_at, after.occurred) == (None, 3)
    assert after.upcoming(NOON, 10) == []


def test_what_is_missed_counts_and_the_last_one_is_the_last_that_there_was() -> None:
    found = round_of(hourly(count=3), now=NOON + 9 * HOUR)
    assert found.occurrences == (NOON + 2 * HOUR,)
    assert (found.schedule.next_at, found.schedule.occurred) == (None, 3)


def test_a_schedule_ends_at_its_end() -> None:
    found = round_of(hourly(end="2026-11-24T13:30:00Z", missed="all"), now=NOON + 9 * HOUR)
    assert found.occurrences == (NOON, NOON + HOUR)
    assert found.schedule.next_at is None
    assert round_of(found.schedule, now=NOON + 10 * HOUR) == Round((), found.schedule)


@settings(max_examples=100, deadline=None)
@given(
    missed=st.sampled_from(["latest", "all"]),
    count=st.none() | st.integers(1, 20),
    late=st.timedeltas(timedelta(), 12 * HOUR),
    again=st.timedeltas(timedelta(), 30 * MINUTE),
    most=st.integers(20, 40),
)
def test_who_crashes_between_putting_and_saving_puts_the_same_again(
    missed: str, count: int | None, late: timedelta, again: timedelta, most: int
) -> None:
    schedule = hourly(missed=missed, count=count)
    first = round_of(schedule, now=NOON + late, most=most)
    # The schedule is as it was: nothing was saved. What is new is what became due, or late, in between.
    second = round_of(schedule, now=NOON + late + again, most=most)
    shared = set(first.occurrences) & set(second.occurrences)
    assert {schedule.message_of(at) for at in shared} <= {schedule.message_of(at) for at in first.occurrences}
    if missed == "all":
        assert second.occurrences[: len(first.occurrences)] == first.occurrences
    else:
        assert [at for at in second.occurrences if at <= first.occurrences[-1]] == [
            at for at in first.occurrences if at in shared
        ]
    assert round_of(schedule, now=NOON + late, most=most) == first


@settings(max_examples=100, deadline=None)
@given(
    moments=st.lists(st.timedeltas(timedelta(), 20 * HOUR), min_size=1, max_size=30),
    most=st.integers(1, 5),
)
def test_whenever_the_timer_comes_by_each_occurrence_goes_once_and_none_is_left_out(
    moments: list[timedelta], most: int
) -> None:
    schedule, sent = hourly(missed="all"), list[datetime]()
    for since in sorted(moments):
        found, schedule = every_round(schedule, now=NOON + since, most=most)
        sent += found
    due = (max(moments) + MINUTE) // HOUR + 1
    assert sent == [NOON + hour * HOUR for hour in range(due)]
    assert schedule.occurred == due
