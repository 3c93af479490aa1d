from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.intake import read
from shared.core.message import Message, MessageFields
from shared.core.timing import AT_HAND, BROUGHT_BACK_EARLY, first_try, within_window
from shared.errors import MessageError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
SECOND = timedelta(seconds=1)
OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:00", "time_zone": "UTC"}
NIGHT = {"from": "22:00", "to": "06:00", "time_zone": "UTC"}


def fields(**asked: Any) -> MessageFields:
    found = read(json.dumps({"to": "ada@contoso.com", **asked}).encode(), fallback_id="queue-id")
    assert isinstance(found, Message)
    return found.fields


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ({}, NOW),
        ({"send_at": "2026-11-24T11:59:59Z"}, NOW),  # late is sent late
        ({"send_at": "2026-11-24T12:00:00Z"}, NOW),
        ({"send_at": "2026-11-24T13:00:00.25+01:00"}, NOW + SECOND / 4),
        ({"send_at": "2126-11-24T12:00:00Z"}, NOW.replace(year=2126)),  # there is no horizon
        ({"window": OFFICE}, NOW),
        ({"window": NIGHT}, NOW.replace(hour=22)),
        ({"window": NIGHT, "send_at": "2026-11-25T07:00:00Z"}, NOW.replace(day=25, hour=22)),
        (
            {"window": NIGHT, "send_at": "2026-11-25T05:59:59Z"},
            NOW.replace(day=25, hour=5, minute=59, second=59),
        ),
        (
            {"window": NIGHT, "send_at": "2026-11-24T03:00:00Z"},
            NOW.replace(hour=22),
        ),  # it was open then, and is not now
        ({"window": OFFICE, "send_at": "2026-11-28T12:00:00Z"}, NOW.replace(day=30, hour=8)),
    ],
)
def test_a_message_goes_at_its_time_or_when_its_window_opens_after_that(
    asked: dict[str, Any], goes: datetime
) -> None:
    assert first_try(fields(**asked), NOW) == goes


def test_a_retry_goes_within_the_window_too() -> None:
    asked = fields(window=OFFICE)
    assert within_window(asked, NOW) == NOW
    assert within_window(asked, NOW.replace(hour=17)) == NOW.replace(day=25, hour=8)
    assert within_window(fields(), NOW.replace(hour=17)) == NOW.replace(hour=17)


@pytest.mark.parametrize("send_at", ["9999-12-31T23:59:59Z", "9999-12-30T00:00:00Z", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia", "America/New_York"])
def test_no_time_that_is_accepted_is_too_far_off_for_a_window(send_at: str, zone: str) -> None:
    try:
        asked = fields(send_at=send_at, window={**OFFICE, "time_zone": zone})
    except MessageError:
        return
    assert first_try(asked, NOW) >= NOW


def test_a_message_is_brought_back_before_its_time_and_what_is_at_hand_is_not_sent_away() -> None:
    assert timedelta() < BROUGHT_BACK_EARLY < AT_HAND < timedelta(seconds=30)
