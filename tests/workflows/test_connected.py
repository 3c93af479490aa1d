"""The buttons of the page *Connected*: for the browser that has it, for as long as it may, and once each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.consent import PENDING_FOR, Ended, Outcome, cookie_name
from shared.core.delivery import State
from shared.core.intake import waiting_body
from shared.errors import TokenUnavailableError
from tests.workflows.conftest import lines, mail
from tests.workflows.consent_desk import Browser, Desk

if TYPE_CHECKING:
    from collections.abc import Callable

WRITTEN = "written-by-a-stranger"
PRESSES: list[Callable[[Browser], Ended]] = [
    lambda browser: browser.presses_send("ada@example.net"),
    lambda browser: browser.presses_disconnect(),
]
either = pytest.mark.parametrize("press", PRESSES, ids=["send", "disconnect"])


@pytest.fixture
def desk() -> Desk:
    return Desk()


# A test mail.


def test_a_test_mail_goes_the_way_of_all_mail(desk: Desk) -> None:
    browser = desk.signed_in()
    ended = browser.presses_send("ada@example.net")
    assert (ended.outcome, ended.sender, ended.code) == (Outcome.TEST_SENT, "noreply", "ada@example.net")
    assert (ended.state, ended.test_to) == (browser.state, "ada@example.net")
    assert ended.message_id in desk.bench.ledger.ids()
    assert [put.text for put in desk.bench.outbox.puts] == [waiting_body(ended.message_id)]
    assert desk.bench.send(desk.bench.outbox.puts[0].text.encode()) is State.ACCEPTED
    sent = mail(desk.bench)
    assert (sent["To"], sent["From"]) == ("ada@example.net", "Contoso <noreply@contoso.com>")
    assert sent["Subject"] == "Test mail of the sender noreply"
    assert sent["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("to", ["", "   "])
def test_without_an_address_it_goes_to_the_senders_own_mailbox(desk: Desk, to: str) -> None:
    assert desk.signed_in("reports").presses_send(to).code == "reports@contoso.com"


def test_pressed_twice_it_is_one_mail(desk: Desk) -> None:
    browser = desk.signed_in()
    ids = {
        browser.presses_send(to).message_id
        for to in ("ada@example.net", " Ada@example.net ", "ADA@EXAMPLE.NET")
    }
    assert len(ids) == 1
    (only,) = desk.bench.ledger.ids()
    for put in list(desk.bench.outbox.puts):
        desk.bench.send(put.text.encode())
    assert browser.presses_send("ada@example.net").message_id == only
    assert len(desk.bench.mailer.submitted) == 1


def test_another_address_and_another_sign_in_are_other_mails(desk: Desk) -> None:
    browser, other = desk.signed_in(), desk.signed_in()
    presses = ((browser, "ada@example.net"), (browser, "bob@example.net"), (other, "ada@example.net"))
    assert len({each.presses_send(to).message_id for each, to in presses}) == len(presses)


NO_ADDRESSES = [
    "nobody",
    "ada@",
    "@example.net",
    "ada@example.net\r\nBcc: eve@example.net",
    "ada@example.net\nSubject: x",
    "ada@example.net\0",
    "ada@example.net, bob@example.net",
    "ada@example.net; bob@example.net",
    "ada@example.net bob@example.net",
    "<script>alert(1)</script>@",
    "x" * 10_000 + "@example.net",
    "a@" + "x" * 300 + ".example",
    '"a\r\nb"@example.net',
]


@pytest.mark.parametrize("to", NO_ADDRESSES, ids=lambda to: ascii(to[:40]))
def test_what_is_no_one_address_gets_no_mail(desk: Desk, to: str) -> None:
    browser = desk.signed_in()
    before = desk.all_there_is()
    ended = browser.presses_send(to)
    assert ended.outcome is Outcome.TEST_REFUSED
    assert 0 < len(ended.code) <= 200
    assert (ended.state, ended.test_to) == (browser.state, "noreply@contoso.com")
    assert desk.all_there_is() == before


# Disconnecting.


def test_disconnecting_takes_the_grant_away_and_mail_waits(desk: Desk) -> None:
    browser = desk.signed_in()
    desk.bench.events.of_senders.clear()
    assert browser.presses_disconnect() == Ended(
        Outcome.DISCONNECTED, sender="noreply", expected="noreply@contoso.com"
    )
    assert desk.grants.grants == {}
    hold = desk.bench.state.hold
    assert hold is not None
    assert hold.remedy == "consent-missing"
    assert desk.bench.state.connection is None
    assert [event.kind for event in desk.bench.events.of_senders] == [
        "sender.held",
        "sender.consent_required",
    ]


def test_pressed_twice_it_is_said_again_and_told_once(desk: Desk) -> None:
    browser = desk.signed_in()
    first = browser.presses_disconnect()
    told = list(desk.bench.events.of_senders)
    assert browser.presses_disconnect() == first
    assert desk.bench.events.of_senders == told
    assert desk.grants.grants == {}


def test_after_it_another_account_of_that_name_may_sign_in(desk: Desk) -> None:
    desk.signed_in().presses_disconnect()
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED
    assert desk.bench.state.hold is None


def test_a_reload_of_the_page_then_does_not_say_connected(desk: Desk) -> None:
    browser = desk.signed_in()
    browser.presses_disconnect()
    before = desk.all_there_is()
    assert browser.comes_back().outcome is Outcome.USED
    assert desk.all_there_is() == before


def test_only_the_sender_that_was_connected_is_disconnected(desk: Desk) -> None:
    desk.signed_in("reports")
    desk.signed_in("noreply").presses_disconnect()
    assert list(desk.grants.grants) == ["reports"]
    assert desk.bench.states.load("reports").hold is None


def test_a_vault_that_does_not_answer_is_said_and_the_sender_is_held(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def down(_: str) -> None:
        raise TokenUnavailableError(
            "cannot delete the secret grant-noreply: HttpResponseError 403", code="403"
        )

    browser = desk.signed_in()
    desk.grants.before = down
    assert browser.presses_disconnect().outcome is Outcome.UNAVAILABLE
    assert desk.bench.state.hold is not None
    assert ("WARNING", "sender-disconnected") not in [line[:2] for line in lines(caplog)]
    desk.grants.before = lambda _: None
    assert browser.presses_disconnect().outcome is Outcome.DISCONNECTED
    assert desk.grants.grants == {}


# Whoever has not connected.


def no_cookie(browser: Browser) -> None:
    browser.cookies = {}


def a_made_up_cookie(browser: Browser) -> None:
    browser.cookies = {cookie_name(browser.state): WRITTEN}


def the_cookie_of_another_browser(browser: Browser) -> None:
    browser.cookies = browser.desk.signed_in().cookies


def another_browsers_key_under_this_name(browser: Browser) -> None:
    (key,) = browser.desk.signed_in().cookies.values()
    browser.cookies = {cookie_name(browser.state): key}


def a_state_that_is_made_up(browser: Browser) -> None:
    browser.state = WRITTEN
    browser.cookies[cookie_name(WRITTEN)] = WRITTEN


def no_state(browser: Browser) -> None:
    browser.state = ""


def the_state_of_another_sender(browser: Browser) -> None:
    browser.state = browser.desk.signed_in("reports").state


def a_sign_in_that_is_still_under_way(browser: Browser) -> None:
    other = browser.desk.browser()
    browser.state, browser.cookies = other.state, other.cookies


def a_sign_in_that_was_declined(browser: Browser) -> None:
    other = browser.desk.browser()
    other.comes_back(error="access_denied")
    browser.state, browser.cookies = other.state, other.cookies


def a_sign_in_of_the_wrong_account(browser: Browser) -> None:
    other = browser.desk.browser()
    browser.desk.provider.account = "admin@contoso.com"
    other.comes_back()
    browser.state, browser.cookies = other.state, other.cookies


def a_sender_that_is_gone(browser: Browser) -> None:
    del browser.desk.senders["noreply"]


STRANGERS = [
    no_cookie,
    a_made_up_cookie,
    the_cookie_of_another_browser,
    another_browsers_key_under_this_name,
    a_state_that_is_made_up,
    no_state,
    the_state_of_another_sender,
    a_sign_in_that_is_still_under_way,
    a_sign_in_that_was_declined,
    a_sign_in_of_the_wrong_account,
    a_sender_that_is_gone,
]


@either
@pytest.mark.parametrize("becomes", STRANGERS)
def test_a_stranger_presses_in_vain(
    desk: Desk,
    press: Callable[[Browser], Ended],
    becomes: Callable[[Browser], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = desk.signed_in()
    becomes(browser)
    before = desk.all_there_is()
    assert press(browser) == Ended(Outcome.NOT_BEGUN)
    assert desk.all_there_is() == before
    assert WRITTEN not in caplog.text


@either
def test_the_buttons_work_for_as_long_as_the_sign_in_could_take(
    desk: Desk, press: Callable[[Browser], Ended]
) -> None:
    browser = desk.signed_in()
    desk.clock.advance(PENDING_FOR - timedelta(seconds=1))
    desk.clock.advance(timedelta(seconds=1))
    before = desk.all_there_is()
    assert press(browser).outcome is Outcome.EXPIRED
    assert desk.all_there_is() == before


@either
def test_what_came_of_a_press_prints_no_secret(
    desk: Desk, press: Callable[[Browser], Ended], caplog: pytest.LogCaptureFixture
) -> None:
    browser = desk.signed_in()
    (key,) = browser.cookies.values()
    printed = f"{press(browser)!r}{desk.bench.events.of_senders!r}{desk.bench.outbox.puts!r}{caplog.text}"
    for secret in ("canary", key, browser.state):
        assert secret not in printed


# What others did meanwhile.


def test_an_old_tab_does_not_take_away_what_somebody_has_given_since(desk: Desk) -> None:
    old = desk.signed_in()
    desk.clock.advance(timedelta(seconds=1))
    desk.signed_in()
    assert old.presses_disconnect().outcome is Outcome.USED
    assert "noreply" in desk.grants.grants


def test_a_test_mail_of_a_sender_that_is_held_is_said_to_wait(desk: Desk) -> None:
    browser = desk.signed_in()
    browser.presses_disconnect()
    ended = browser.presses_send("ada@example.net")
    assert (ended.outcome, ended.message_id[:5]) == (Outcome.TEST_WAITS, "test-")
    assert "sign in as noreply@contoso.com" in ended.remedy
