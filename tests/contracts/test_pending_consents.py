from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.adapters.table_consents import TableConsents
from tests.twins import NOON, MemoryConsents

Consents = MemoryConsents | TableConsents

FLOW = '{"code_verifier": "canary-code-verifier", "nonce": "ü"}'
LATER = NOON + timedelta(minutes=15)


def begin(consents: Consents, state: str = "state-1") -> str:
    return consents.begin(state=state, sender="noreply", flow=FLOW, expires_at=LATER)


def test_the_browser_that_began_finds_its_flow(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    assert (found.sender, found.flow, found.expires_at, found.outcome) == ("noreply", FLOW, LATER, "")


def test_what_was_never_begun_is_not_found(consents: Consents) -> None:
    assert consents.find(state="state-1", key="key") is None


def test_another_browsers_key_opens_nothing(consents: Consents) -> None:
    begin(consents, "state-1")
    other = begin(consents, "state-2")
    assert consents.find(state="state-1", key=other) is None


@pytest.mark.parametrize("key", ["", "x", "=", "ü", "\0", "A" * 43, "A" * 44, "%", "a" * 10_000])
def test_a_key_that_was_made_up_opens_nothing(consents: Consents, key: str) -> None:
    begin(consents)
    assert consents.find(state="state-1", key=key) is None


@pytest.mark.parametrize("state", ["a/b", "#?\\", "ü", "x" * 5_000, "'"])
def test_any_state_can_be_kept(consents: Consents, state: str) -> None:
    key = begin(consents, state)
    assert consents.find(state=state, key=key) is not None


def test_a_sign_in_is_used_up_once(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    used = consents.use_up(found, outcome="exchanging")
    assert used is not None
    assert consents.use_up(found, outcome="exchanging") is None


def test_of_many_that_come_back_at_once_one_goes_on(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    with ThreadPoolExecutor(8) as threads:
        used = list(threads.map(lambda _: consents.use_up(found, outcome="exchanging"), range(8)))
    assert len([one for one in used if one]) == 1


def test_what_was_used_up_says_what_came_of_it_and_keeps_no_flow(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    using = consents.use_up(found, outcome="exchanging")
    assert using is not None
    consents.use_up(using, outcome="connected")
    again = consents.find(state="state-1", key=key)
    assert again is not None
    assert (again.outcome, again.flow) == ("connected", "")


def test_what_was_used_up_is_still_this_browsers_alone(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    consents.use_up(found, outcome="connected")
    assert consents.find(state="state-1", key=begin(consents, "state-2")) is None


def test_sweeping_takes_what_has_expired_and_nothing_else(consents: Consents) -> None:
    old = begin(consents, "state-1")
    new = consents.begin(
        state="state-2", sender="noreply", flow=FLOW, expires_at=LATER + timedelta(minutes=1)
    )
    assert consents.sweep(LATER) == 0
    assert consents.sweep(LATER + timedelta(seconds=1)) == 1
    assert consents.find(state="state-1", key=old) is None
    assert consents.find(state="state-2", key=new) is not None


def test_there_is_nothing_to_sweep_where_nothing_was_begun(consents: Consents) -> None:
    assert consents.sweep(LATER) == 0


def test_what_was_swept_cannot_be_used_up(consents: Consents) -> None:
    key = begin(consents)
    found = consents.find(state="state-1", key=key)
    assert found is not None
    consents.sweep(LATER + timedelta(hours=1))
    assert consents.use_up(found, outcome="connected") is None
    assert consents.find(state="state-1", key=key) is None
