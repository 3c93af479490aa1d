from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.delivery import ALLOWED, Entry, State

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)
BODY = b'{"to": "ada@contoso.com"}'


def entry(state: State = State.QUEUED, **fields: object) -> Entry:
    plain = Entry("order-1", state, "hash", EARLIER, EARLIER, sender="noreply")
    return replace(plain, **fields)  # type: ignore[arg-type]  # each test names real fields


MAY_BECOME = {
    "scheduled": "cancelled dead_lettered deferred expired held queued rejected scheduled sending",
    "queued": "cancelled dead_lettered deferred expired held queued rejected scheduled sending",
    "deferred": "cancelled dead_lettered deferred expired held queued rejected scheduled sending",
    "held": "cancelled dead_lettered deferred expired held queued rejected scheduled sending",
    "sending": "accepted dead_lettered deferred expired held in_doubt rejected sending",
    "accepted": "",
    "rejected": "",
    "expired": "",
    "cancelled": "",
    "in_doubt": "",
    "dead_lettered": "",
}


def test_the_states_are_those_of_the_contract() -> None:
    assert [state.value for state in State] == [
        "scheduled",
        "queued",
        "sending",
        "deferred",
        "held",
        "accepted",
        "rejected",
        "expired",
        "cancelled",
        "in_doubt",
        "dead_lettered",
    ]
    assert set(ALLOWED) == set(State)


@pytest.mark.parametrize("to", list(State))
@pytest.mark.parametrize("of", list(State))
def test_a_state_may_follow_another_or_not(of: State, to: State) -> None:
    before = entry(of, changes=3)
    if to.value in MAY_BECOME[of.value].split():
        assert before.evolve(to, now=NOW, reason="why") == replace(
            before, state=to, updated_at=NOW, changes=4, reason="why"
        )
    else:
        with pytest.raises(ValueError, match=f"^a message that is {of.value} cannot become {to.value}$"):
            before.evolve(to, now=NOW)


def test_what_nothing_can_follow_is_settled() -> None:
    settled = ["accepted", "rejected", "expired", "cancelled", "in_doubt", "dead_lettered"]
    assert [state.value for state in State if state.is_settled] == settled


def test_only_what_is_being_sent_can_be_accepted_or_in_doubt() -> None:
    for state in (State.ACCEPTED, State.IN_DOUBT):
        assert [before for before in State if state in ALLOWED[before]] == [State.SENDING]


def test_the_attempt_under_way_is_one_more_than_those_that_ended() -> None:
    assert [entry(State.SENDING, attempts=attempts).attempt for attempts in (0, 7)] == [1, 8]


def test_a_message_that_waits_does_not_print_its_body() -> None:
    assert "contoso.com" not in repr(entry(body=BODY))
