from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from shared.core.consent import Begun, Ended, Outcome, cookie_name

CANARY = "c4n4ry"


@given(st.text(), st.text())
def test_every_sign_in_has_a_cookie_of_its_own_that_does_not_tell_its_state(one: str, other: str) -> None:
    assert re.fullmatch(r"sendoff-consent-[0-9a-f]{16}", cookie_name(one))
    assert (cookie_name(one) == cookie_name(other)) == (one == other)


def test_the_cookies_name_is_the_same_in_every_process() -> None:
    assert cookie_name("state") == "sendoff-consent-4ba69735ca53765e"


def test_what_binds_a_sign_in_to_its_browser_is_not_printed() -> None:
    begun = Begun(f"https://a.example?state={CANARY}", "name", CANARY)
    ended = Ended(Outcome.CONNECTED, "noreply", admin_url=CANARY, state=CANARY)
    assert CANARY not in f"{begun!r} {begun} {ended!r} {ended}"
    assert "noreply" in repr(ended)


def test_outcomes_are_words_that_a_page_and_a_log_can_carry() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", outcome.value) for outcome in Outcome)
