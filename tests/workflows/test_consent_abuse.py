"""
Every way to abuse the redirect: nothing changes, the page is calm, and no word of a stranger's is in the log.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.consent import PENDING_FOR, Ended, Outcome, cookie_name
from shared.workflows.consent import finish
from tests.workflows.conftest import lines
from tests.workflows.consent_desk import Browser, Desk

if TYPE_CHECKING:
    from collections.abc import Callable

# It stands in whatever a stranger writes, and nowhere else.
WRITTEN = "written-by-a-stranger"
MARKUP = f"<script>{WRITTEN}</script>\r\nSet-Cookie: {WRITTEN}=1"
LONG = WRITTEN * 5_000


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Whoever has not begun.


def nothing(browser: Browser) -> Ended:
    return finish(browser.desk.tools, {}, browser.cookies)


def a_code_without_a_state(browser: Browser) -> Ended:
    return finish(browser.desk.tools, {"code": WRITTEN}, browser.cookies)


def no_cookie(browser: Browser) -> Ended:
    browser.cookies = {}
    return browser.comes_back()


def a_made_up_cookie(browser: Browser) -> Ended:
    browser.cookies = dict.fromkeys(browser.cookies, WRITTEN)
    return browser.comes_back()


def an_empty_cookie(browser: Browser) -> Ended:
    browser.cookies = dict.fromkeys(browser.cookies, "")
    return browser.comes_back()


def the_cookie_of_another_tab(browser: Browser) -> Ended:
    other = browser.desk.browser()
    browser.cookies = dict(zip(browser.cookies, other.cookies.values(), strict=True))
    return browser.comes_back()


def another_browser(browser: Browser) -> Ended:
    other = browser.desk.browser()
    return finish(browser.desk.tools, {"state": browser.state, "code": "canary-code"}, other.cookies)


def a_forged_state(browser: Browser) -> Ended:
    return browser.comes_back(state=WRITTEN)


def a_forged_state_with_a_cookie_of_its_name(browser: Browser) -> Ended:
    browser.cookies[cookie_name(WRITTEN)] = WRITTEN
    return browser.comes_back(state=WRITTEN)


def an_empty_state(browser: Browser) -> Ended:
    return browser.comes_back(state="")


def the_state_of_another_tab_in_another_browser(browser: Browser) -> Ended:
    return browser.comes_back(state=browser.desk.browser().state)


def the_state_of_another_sender(browser: Browser) -> Ended:
    return browser.comes_back(state=browser.desk.browser("reports").state)


def the_state_of_another_sender_with_this_ones_key(browser: Browser) -> Ended:
    other = browser.desk.browser("reports")
    (key,) = browser.cookies.values()
    browser.cookies[cookie_name(other.state)] = key
    return browser.comes_back(state=other.state)


def a_cookie_tossed_over_the_right_one(browser: Browser) -> Ended:
    browser.cookies[cookie_name(browser.state)] = WRITTEN
    return browser.comes_back()


def an_error_for_a_sign_in_that_is_not_his(browser: Browser) -> Ended:
    browser.cookies = {}
    return browser.comes_back(error="access_denied", error_description=MARKUP)


def everything_at_its_longest(browser: Browser) -> Ended:
    browser.cookies[cookie_name(LONG)] = LONG
    return browser.comes_back(state=LONG, code=LONG, error=LONG, error_description=LONG, iss=LONG)


def odd_characters(browser: Browser) -> Ended:
    odd = f"\0\r\n\u202e\ufffd😀{WRITTEN}"
    return browser.comes_back(state=odd, code=odd)


def a_sender_that_is_gone(browser: Browser) -> Ended:
    del browser.desk.senders["noreply"]
    return browser.comes_back()


STRANGERS = [
    nothing,
    a_code_without_a_state,
    no_cookie,
    a_made_up_cookie,
    an_empty_cookie,
    the_cookie_of_another_tab,
    another_browser,
    a_forged_state,
    a_forged_state_with_a_cookie_of_its_name,
    an_empty_state,
    the_state_of_another_tab_in_another_browser,
    the_state_of_another_sender,
    the_state_of_another_sender_with_this_ones_key,
    a_cookie_tossed_over_the_right_one,
    an_error_for_a_sign_in_that_is_not_his,
    everything_at_its_longest,
    odd_characters,
    a_sender_that_is_gone,
]


@pytest.mark.parametrize("visit", STRANGERS)
@pytest.mark.parametrize("connected", [False, True], ids=["unconnected", "connected"])
def test_a_stranger_gets_no_further_than_the_first_step(
    desk: Desk,
    visit: Callable[[Browser], Ended],
    connected: bool,  # noqa: FBT001 - a table of one column
    caplog: pytest.LogCaptureFixture,
) -> None:
    if connected:
        desk.signed_in()
    before, asked = desk.all_there_is(), len(desk.provider.completed)
    ended = visit(desk.browser())
    assert ended == Ended(Outcome.NOT_BEGUN)
    assert desk.all_there_is() == before
    assert len(desk.provider.completed) == asked
    assert lines(caplog)[-1] == ("WARNING", "consent-refused", "a sign-in changed nothing: not-begun")
    assert WRITTEN not in caplog.text


@pytest.mark.parametrize("visit", [visit for visit in STRANGERS if visit is not a_sender_that_is_gone])
def test_a_stranger_does_not_use_up_somebody_elses_sign_in(
    desk: Desk, visit: Callable[[Browser], Ended]
) -> None:
    browser = desk.browser()
    cookies = dict(browser.cookies)
    visit(browser)
    browser.cookies = cookies
    assert browser.comes_back().outcome is Outcome.CONNECTED


# Whoever has begun, and comes back with something else.


@pytest.mark.parametrize(
    "description", [MARKUP, f"AADSTS65004{WRITTEN}", f"AADSTS65004\r\n{WRITTEN}", LONG, "\0\u2028", ""]
)
@pytest.mark.parametrize("error", ["access_denied", MARKUP, LONG, "server_error\r\n", "\0", "Ünicode"])
def test_of_an_error_only_words_and_numbers_are_used(
    desk: Desk, error: str, description: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = desk.browser()
    before = desk.all_there_is()
    ended = browser.comes_back(error=error, error_description=description, error_uri=MARKUP)
    assert ended.outcome is Outcome.DECLINED
    assert ended.code in {"AADSTS65004", "access_denied", "unknown"}
    assert desk.all_there_is() == before
    assert WRITTEN not in f"{caplog.text}{ended!r}"


def test_an_error_and_a_code_at_once_is_an_error(desk: Desk) -> None:
    assert desk.browser().comes_back(error="access_denied").outcome is Outcome.DECLINED
    assert desk.provider.completed == []


@pytest.mark.parametrize("said", ["True", "true", "False", "", WRITTEN, MARKUP])
@pytest.mark.parametrize("more", [{}, {"state": "theirs"}, {"tenant": MARKUP}, {"error": MARKUP}])
def test_whoever_claims_that_an_administrator_agreed_changes_nothing(
    desk: Desk, said: str, more: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    browser = desk.browser()
    before = desk.all_there_is()
    answer = {"admin_consent": said} | more | ({"state": browser.state} if "state" in more else {})
    ended = finish(desk.tools, answer, browser.cookies)
    assert ended == Ended(Outcome.ADMIN_DECLINED if "error" in more else Outcome.ADMIN_AGREED)
    assert desk.all_there_is() == before
    assert WRITTEN not in caplog.text
    assert browser.comes_back().outcome is Outcome.CONNECTED


def test_a_code_goes_to_the_provider_though_an_administrator_is_said_to_have_agreed(desk: Desk) -> None:
    assert desk.browser().comes_back(admin_consent="True").outcome is Outcome.CONNECTED


def test_answers_swapped_between_two_senders_connect_neither_with_the_others_account(desk: Desk) -> None:
    mine, others = desk.browser("noreply"), desk.browser("reports")
    both = mine.cookies | others.cookies
    mine.cookies = others.cookies = both
    desk.provider.account = "svc-mail@contoso.com"
    assert mine.comes_back().outcome is Outcome.WRONG_ACCOUNT
    desk.provider.account = "noreply@contoso.com"
    assert others.comes_back().outcome is Outcome.WRONG_ACCOUNT
    assert desk.grants.grants == {}


def test_tabs_of_two_senders_each_connect_their_own(desk: Desk) -> None:
    mine, others = desk.browser("noreply"), desk.browser("reports")
    both = mine.cookies | others.cookies
    mine.cookies = others.cookies = both
    desk.provider.account = "svc-mail@contoso.com"
    assert others.comes_back().sender == "reports"
    desk.provider.account = "noreply@contoso.com"
    assert mine.comes_back().sender == "noreply"
    assert {name: each.account.username for name, each in desk.grants.grants.items()} == {
        "reports": "svc-mail@contoso.com",
        "noreply": "noreply@contoso.com",
    }


def test_a_replay_in_the_same_browser_asks_the_provider_nothing(desk: Desk) -> None:
    browser = desk.signed_in()
    before = desk.all_there_is()
    for changes in ({}, {"code": "another"}, {"error": "access_denied"}, {"code": ""}):
        assert browser.comes_back(**changes).outcome is Outcome.ALREADY_CONNECTED
    assert desk.all_there_is() == before
    assert len(desk.provider.completed) == 1


def test_a_sign_in_may_take_as_long_as_a_person_needs_and_no_longer(desk: Desk) -> None:
    late, in_time = desk.browser(), desk.browser()
    desk.clock.advance(PENDING_FOR - timedelta(seconds=1))
    assert in_time.comes_back().outcome is Outcome.CONNECTED
    before = desk.all_there_is()
    desk.clock.advance(timedelta(seconds=1))
    assert late.comes_back().outcome is Outcome.EXPIRED
    assert late.comes_back(error="access_denied").outcome is Outcome.EXPIRED
    assert desk.all_there_is() == before
    assert len(desk.provider.completed) == 1


def test_once_it_is_swept_away_it_was_never_begun(desk: Desk) -> None:
    browser = desk.browser()
    desk.clock.advance(PENDING_FOR + timedelta(seconds=1))
    desk.pending.sweep(desk.clock())
    assert browser.comes_back() == Ended(Outcome.NOT_BEGUN)
