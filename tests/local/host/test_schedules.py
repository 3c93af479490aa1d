from datetime import UTC, datetime, timedelta, timezone

import pytest

from local.host.schedules import is_monitored, parse_schedule

MONDAY = datetime(2026, 11, 23, 10, 0, 30, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("0 */5 * * * *", "2026-11-23T10:05:00"),
        ("* * * * * *", "2026-11-23T10:00:31"),
        ("30 0 10 * * *", "2026-11-24T10:00:30"),
        ("0 0 9-17 * * MON-FRI", "2026-11-23T11:00:00"),
        ("0 30 9 * Jan Mon", "2027-01-04T09:30:00"),
        ("0 0 0 13 * FRI", "2027-08-13T00:00:00"),  # both days must match, not either
        ("*/15 * * * *", "2026-11-23T10:15:00"),
        ("00:00:30", "2026-11-23T10:01:00.250000"),
        ("1.00:00:00", "2026-11-24T10:00:30.250000"),
    ],
)
def test_the_next_occurrence(text: str, due: str) -> None:
    assert parse_schedule(text).next_after(MONDAY) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_an_occurrence_is_strictly_later() -> None:
    on_the_dot = datetime(2026, 11, 23, 10, 5, tzinfo=UTC)
    assert parse_schedule("0 */5 * * * *").next_after(on_the_dot) == on_the_dot + timedelta(minutes=5)


def test_schedules_are_in_utc_whatever_zone_the_moment_has() -> None:
    elsewhere = MONDAY.astimezone(timezone(timedelta(hours=5)))
    assert parse_schedule("0 0 0 * * *").next_after(elsewhere) == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@hourly",
        "* * *",
        "0 0 0 * * * *",
        "0 61 * * * *",
        "0 0 0 L * *",
        "0 0 0 * * MON#2",
        "0 0 0 * * X",
        "00:00:00",
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=r"not|NCRONTAB"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "monitored"),
    [("0 * * * * *", True), ("*/30 * * * * *", False), ("00:01:00", True), ("00:00:59", False)],
)
def test_schedules_under_a_minute_are_not_monitored(text: str, *, monitored: bool) -> None:
    assert is_monitored(parse_schedule(text), MONDAY) is monitored
