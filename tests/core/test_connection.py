from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.connection import (
    WARM_FOR,
    WARN_BEFORE,
    Connection,
    Warned,
    connected,
    disconnected,
    is_warm,
    seen,
    warned,
    warning,
)
from shared.core.grant import Account
from shared.core.holds import SenderState
from tests.twins import NOON, grant

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
EMPTY = SenderState("noreply", version="version-7")
END = NOON + timedelta(days=60)


# What is known of a grant.


def test_a_connection_says_whose_it_is_and_how_long_it_lasts() -> None:
    assert Connection.of(grant()) == Connection(
        "noreply@contoso.com",
        "Contoso Somebody",
        connected_at=NOON,
        refreshed_at=NOON,
        token_expires_at=NOON + HOUR,
        dies_at=NOON + timedelta(days=90),
    )


def test_an_applications_own_connection_does_not_die() -> None:
    own = replace(grant(), account=Account("noreply@contoso.com"), refresh_token="")
    assert Connection.of(own).dies_at is None


def test_there_is_no_token_in_a_connection() -> None:
    assert "canary" not in repr(connected(EMPTY, grant()))


def test_a_consent_is_noted_with_its_time() -> None:
    state = connected(EMPTY, grant(at=NOON + HOUR))
    assert (state.connection, state.granted_at) == (Connection.of(grant(at=NOON + HOUR)), NOON + HOUR)


def test_a_grant_that_was_taken_away_leaves_nothing_but_the_time() -> None:
    assert disconnected(connected(EMPTY, grant()), NOON + DAY) == replace(EMPTY, granted_at=NOON + DAY)


def test_what_upkeep_saw_is_no_consent() -> None:
    refreshed = grant().refreshed(
        access_token="new", refresh_token="", expires_at=NOON + 2 * HOUR, now=NOON + HOUR
    )
    before = connected(EMPTY, grant())
    after = seen(before, refreshed, END)
    assert after == replace(before, connection=Connection.of(refreshed), credential_expires_at=END)


def test_nothing_new_is_the_very_same_state() -> None:
    state = seen(EMPTY, grant(), END)
    assert seen(state, grant(), END) is state
    assert seen(state, None, END) is state


def test_where_no_token_came_what_was_known_stays() -> None:
    state = seen(connected(EMPTY, grant()), None, END)
    assert (state.connection, state.credential_expires_at) == (Connection.of(grant()), END)


# Warm and idle.


@pytest.mark.parametrize(
    ("state", "warm"),
    [
        (EMPTY, False),
        (replace(EMPTY, line=True), True),
        (replace(EMPTY, last_mail_at=NOON - WARM_FOR + QUARTER), True),
        (replace(EMPTY, last_mail_at=NOON - WARM_FOR), False),
        (replace(EMPTY, granted_at=NOON - WARM_FOR + QUARTER), True),
        (replace(EMPTY, granted_at=NOON - WARM_FOR), False),
        (replace(EMPTY, last_mail_at=NOON - 30 * DAY, granted_at=NOON - HOUR), True),
    ],
    ids=[
        "nothing is known",
        "mail waits",
        "mail today",
        "mail a day ago",
        "consent today",
        "consent a day ago",
        "both",
    ],
)
def test_a_token_is_kept_at_hand_where_mail_is_to_be_expected(state: SenderState, *, warm: bool) -> None:
    assert is_warm(state, NOON) is warm


# Warnings.


def warnings(ends: timedelta, days: int) -> list[timedelta]:
    """Return how long before its end each warning of so many days comes, upkeep running every 15 minutes."""
    state, given, now = EMPTY, [], NOON
    while now < NOON + days * DAY:
        if due := warning(NOON + ends, state.warned, now):
            state = warned(state, due)
            given.append(NOON + ends - now)
        now += QUARTER
    return given


def test_warnings_come_30_7_and_1_days_before_and_then_every_day() -> None:
    assert warnings(60 * DAY, 64) == [30 * DAY, 7 * DAY, DAY, 0 * DAY, -DAY, -2 * DAY, -3 * DAY]


def test_what_was_made_for_a_week_is_warned_of_at_once_and_once() -> None:
    assert warnings(5 * DAY, 5) == [5 * DAY, DAY]


def test_what_ended_long_ago_is_warned_of_every_day() -> None:
    assert warnings(-100 * DAY, 3) == [-100 * DAY, -101 * DAY, -102 * DAY]


def test_what_lasts_is_not_warned_of() -> None:
    assert warning(NOON + max(WARN_BEFORE) + timedelta(seconds=1), None, NOON) is None


def test_a_run_that_was_left_out_skips_no_warning() -> None:
    given = warning(END, Warned(END, 30 * DAY, END - 30 * DAY), END - 2 * HOUR)
    assert given == Warned(END, DAY, END - 2 * HOUR)


def test_the_renewed_credential_is_warned_of_anew() -> None:
    old = Warned(END, DAY, END)
    assert warning(END + 365 * DAY, old, END) is None
    renewed = END + 30 * DAY
    assert warning(renewed, old, END) == Warned(renewed, 30 * DAY, END)


def test_the_same_warning_is_not_due_twice() -> None:
    for before in WARN_BEFORE:
        given = warning(END, None, END - before)
        assert given == Warned(END, before, END - before)
        assert warning(END, given, END - before + QUARTER) is None
