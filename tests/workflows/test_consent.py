from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.core.consent import Begun, Ended, Outcome
from shared.core.grant import Picture
from shared.core.holds import Proof, new_hold
from shared.core.intake import call_body
from shared.core.remedies import ENDED_BY_CONSENT
from shared.core.service import PUBLIC
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError
from shared.workflows.consent import start
from tests.twins import NOON, Crash, grant
from tests.workflows.conftest import NOREPLY, lines
from tests.workflows.consent_desk import REDIRECT_URI, Browser, Desk

UNREACHABLE = TokenUnavailableError("the provider could not be asked: ConnectionError; it is tried again")


@pytest.fixture
def desk() -> Desk:
    return Desk()


# The way that it should go.


def test_a_sign_in_goes_to_the_provider_with_the_account_that_is_asked_for(desk: Desk) -> None:
    begun = start(desk.tools, "reports")
    assert isinstance(begun, Begun)
    assert begun.url.endswith("&login_hint=svc-mail@contoso.com")
    assert desk.provider.begun[0]["redirect_uri"] == REDIRECT_URI


def test_whoever_comes_back_as_expected_is_connected(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.provider.pictures["noreply@contoso.com"] = Picture("image/png", b"a picture")
    ended = desk.browser().comes_back()
    assert (ended.outcome, ended.sender, ended.expected) == (
        Outcome.CONNECTED,
        "noreply",
        "noreply@contoso.com",
    )
    assert ended.account == grant().account
    assert ended.picture == Picture("image/png", b"a picture")
    assert lines(caplog) == [
        ("INFO", "consent-begun", "a sign-in for noreply was begun"),
        ("INFO", "sender-connected", "noreply is connected as noreply@contoso.com"),
    ]


def test_the_refresh_token_that_came_with_the_picture_is_the_one_that_is_kept(desk: Desk) -> None:
    desk.browser().comes_back()
    assert desk.grants.grants["noreply"].refresh_token == "canary-refresh-token-2"


def test_an_account_without_a_picture_is_connected_all_the_same(desk: Desk) -> None:
    ended = desk.browser().comes_back()
    assert (ended.outcome, ended.picture) == (Outcome.CONNECTED, None)


def test_the_name_of_the_account_has_no_case(desk: Desk) -> None:
    desk.provider.account = "NoReply@Contoso.com"
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


def test_for_another_mailbox_the_service_account_signs_in(desk: Desk) -> None:
    desk.provider.account = "svc-mail@contoso.com"
    assert desk.browser("reports").comes_back().outcome is Outcome.CONNECTED
    assert set(desk.grants.grants) == {"reports"}


def test_a_scope_may_come_without_its_resource(desk: Desk) -> None:
    desk.provider.scopes = ("openid", "smtp.send")
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


def test_consent_again_replaces_the_grant(desk: Desk) -> None:
    desk.browser().comes_back()
    desk.clock.advance(timedelta(days=30))
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED
    assert desk.grants.grants["noreply"].consented_at == NOON + timedelta(days=30)


def test_the_register_says_who_is_connected_since_when_and_for_how_long(desk: Desk) -> None:
    desk.signed_in()
    connection = desk.bench.state.connection
    assert connection is not None
    assert (connection.account, connection.display_name) == ("noreply@contoso.com", "Contoso Somebody")
    assert connection.connected_at == connection.refreshed_at == NOON
    assert connection.token_expires_at == NOON + timedelta(hours=1)
    assert connection.dies_at == NOON + timedelta(days=90)
    assert desk.bench.state.granted_at == NOON


# A second visit.


def test_a_reload_and_the_back_button_change_nothing(desk: Desk) -> None:
    browser = desk.browser()
    browser.comes_back()
    stored = desk.grants.grants["noreply"]
    for _ in range(3):
        again = browser.comes_back()
        assert (again.outcome, again.account) == (Outcome.ALREADY_CONNECTED, stored.account)
    assert desk.grants.grants["noreply"] is stored
    assert len(desk.provider.completed) == 1


def test_a_reload_after_the_grant_was_taken_away_does_not_say_connected(desk: Desk) -> None:
    browser = desk.browser()
    browser.comes_back()
    desk.grants.grants.clear()
    assert browser.comes_back().outcome is Outcome.USED


def test_a_reload_while_the_vault_is_down_gets_a_page(desk: Desk) -> None:
    browser = desk.browser()
    browser.comes_back()

    def down() -> None:
        raise TokenUnavailableError("cannot read the secret grant-noreply: HttpResponseError 503")

    desk.grants.loading = down
    assert browser.comes_back().outcome is Outcome.UNAVAILABLE


def test_a_sign_in_that_failed_works_no_second_time(desk: Desk) -> None:
    browser = desk.browser()
    desk.provider.account = "admin@contoso.com"
    assert browser.comes_back().outcome is Outcome.WRONG_ACCOUNT
    desk.provider.account = "noreply@contoso.com"
    assert browser.comes_back().outcome is Outcome.USED
    assert desk.grants.grants == {}


def test_a_sign_in_whose_exchange_crashed_works_no_second_time(desk: Desk) -> None:
    browser = desk.browser()
    desk.provider.failing["complete"] = Crash()
    with pytest.raises(Crash):
        browser.comes_back()
    desk.provider.failing.clear()
    assert browser.comes_back().outcome is Outcome.USED
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


def test_of_two_that_come_back_at_once_one_is_exchanged(desk: Desk) -> None:
    browser = desk.browser()
    with ThreadPoolExecutor(8) as threads:
        outcomes = [ended.outcome for ended in threads.map(lambda _: browser.comes_back(), range(8))]
    assert outcomes.count(Outcome.CONNECTED) == 1
    assert set(outcomes) <= {Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.USED}
    assert len(desk.provider.completed) == 1


def test_two_tabs_of_one_browser_both_work(desk: Desk) -> None:
    first, second = desk.browser("noreply"), desk.browser("noreply")
    both = first.cookies | second.cookies
    first.cookies = second.cookies = both
    assert second.comes_back().outcome is Outcome.CONNECTED
    assert first.comes_back().outcome is Outcome.CONNECTED


# What goes wrong.


def test_a_no_is_taken_and_its_number_kept(desk: Desk) -> None:
    ended = desk.browser().comes_back(
        error="access_denied", error_description="AADSTS65004: User declined to consent to access the app."
    )
    assert (ended.outcome, ended.code) == (Outcome.DECLINED, "AADSTS65004")
    assert desk.provider.completed == []
    assert desk.grants.grants == {}


@pytest.mark.parametrize(
    ("error", "description", "code"),
    [
        ("server_error", "", "server_error"),
        ("<script>alert(1)</script>", "", "unknown"),
        ("access_denied", "<b>AADSTS1</b>", "access_denied"),
        ("access_denied", "AADSTS" + "9" * 40, "access_denied"),
        ("x" * 5_000, "y" * 5_000, "unknown"),
    ],
)
def test_of_what_the_browser_says_only_words_and_numbers_are_used(
    desk: Desk, error: str, description: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended = desk.browser().comes_back(error=error, error_description=description)
    assert (ended.outcome, ended.code) == (Outcome.DECLINED, code)
    assert lines(caplog)[-1][2] == f"a sign-in for noreply changed nothing: declined ({code})"


def test_another_account_is_turned_away_and_named(desk: Desk) -> None:
    desk.provider.account = "admin@contoso.com"
    ended = desk.browser().comes_back()
    assert (ended.outcome, ended.expected) == (Outcome.WRONG_ACCOUNT, "noreply@contoso.com")
    assert ended.account is not None
    assert ended.account.username == "admin@contoso.com"
    assert desk.grants.grants == {}


@pytest.mark.parametrize("scopes", [(), ("openid", "profile"), ("https://outlook.office.com/IMAP.Send",)])
def test_a_scope_that_mail_needs_and_was_not_granted_is_named(desk: Desk, scopes: tuple[str, ...]) -> None:
    desk.provider.scopes = scopes
    ended = desk.browser().comes_back()
    assert (ended.outcome, ended.code) == (Outcome.MISSING_SCOPE, PUBLIC.smtp_scope)
    assert desk.grants.grants == {}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UNREACHABLE, Outcome.UNAVAILABLE),
        (
            CredentialError("the provider refused: invalid_client AADSTS7000215", code="AADSTS7000215"),
            Outcome.CREDENTIAL_BROKEN,
        ),
        (
            ConsentRequiredError("the provider refused: invalid_grant AADSTS54005", code="AADSTS54005"),
            Outcome.REFUSED,
        ),
    ],
    ids=["unreachable", "credential", "code"],
)
def test_an_exchange_that_fails_stores_nothing(
    desk: Desk, error: Exception, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    desk.provider.failing["complete"] = error
    ended = desk.browser().comes_back()
    assert (ended.outcome, ended.code) == (outcome, vars(error)["code"])
    assert desk.grants.grants == {}
    assert lines(caplog)[-1][2] == f"a sign-in for noreply changed nothing: {outcome.value} ({error})"


def test_a_vault_that_does_not_take_the_grant_is_not_called_connected(desk: Desk) -> None:
    def down() -> None:
        raise TokenUnavailableError("cannot write the secret grant-noreply: HttpResponseError 403")

    desk.grants.storing = down
    browser = desk.browser()
    assert browser.comes_back().outcome is Outcome.UNAVAILABLE
    desk.grants.storing = lambda: None
    assert browser.comes_back().outcome is Outcome.USED
    assert desk.grants.grants == {}


# Beginning.


def test_a_sender_that_does_not_exist_begins_nothing(desk: Desk) -> None:
    assert start(desk.tools, "nobody") == Ended(Outcome.UNKNOWN_SENDER, sender="nobody")
    assert desk.provider.begun == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UNREACHABLE, Outcome.UNAVAILABLE),
        (CredentialError("the vault has no secret"), Outcome.CREDENTIAL_BROKEN),
    ],
    ids=["unreachable", "no secret"],
)
def test_a_flow_that_cannot_begin_is_a_page_too(desk: Desk, error: Exception, outcome: Outcome) -> None:
    desk.provider.failing["begin"] = error
    ended = start(desk.tools, "noreply")
    assert isinstance(ended, Ended)
    assert ended.outcome is outcome


def test_neither_what_was_begun_nor_what_came_of_it_prints_a_secret(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    begun = start(desk.tools, "noreply")
    assert isinstance(begun, Begun)
    browser = Browser(desk, "state-1", {begun.cookie_name: begun.cookie_value})
    printed = f"{begun!r} {browser.comes_back()!r} {caplog.text}"
    found = desk.pending.find(state="state-1", key=begun.cookie_value)
    printed += repr(found) + repr(desk.grants.grants)
    for secret in ("canary", begun.cookie_value, "state-1"):
        assert secret not in printed


def test_the_flow_is_kept_as_it_was_begun(desk: Desk) -> None:
    desk.browser().comes_back()
    assert desk.provider.completed == [json.loads(json.dumps(desk.provider.begun[0]))]


# The mail that waited.


def held(desk: Desk, remedy: str, proof: Proof = Proof.SESSION) -> None:
    desk.bench.holds.hold(NOREPLY, new_hold(remedy, "it is so", proof=proof, now=NOON))
    desk.bench.outbox.puts.clear()
    desk.bench.events.of_senders.clear()


@pytest.mark.parametrize("remedy", sorted(ENDED_BY_CONSENT))
def test_a_consent_lets_mail_go_that_waited_for_it(desk: Desk, remedy: str) -> None:
    held(desk, remedy)
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED
    assert desk.bench.state.hold is None
    assert [put.text for put in desk.bench.outbox.puts] == [call_body("noreply")]
    resumed, connected = desk.bench.events.of_senders
    assert (resumed.kind, resumed.sender) == ("sender.resumed", "noreply")
    assert resumed.data == {"reason": "noreply@contoso.com has signed in"}
    assert (connected.kind, connected.sender) == ("sender.connected", "noreply")
    assert connected.data == {"account": "noreply@contoso.com", "display_name": "Contoso Somebody"}


@pytest.mark.parametrize(
    ("remedy", "proof"),
    [("smtp-auth-disabled", Proof.SESSION), ("mailbox-full", Proof.MESSAGE), ("held-by-hand", Proof.PERSON)],
)
def test_a_consent_ends_no_hold_that_has_another_cause(desk: Desk, remedy: str, proof: Proof) -> None:
    held(desk, remedy, proof)
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED
    hold = desk.bench.state.hold
    assert hold is not None
    assert hold.remedy == remedy
    assert desk.bench.outbox.puts == []
    assert [event.kind for event in desk.bench.events.of_senders] == ["sender.connected"]


def test_a_consent_for_another_sender_lets_nothing_go(desk: Desk) -> None:
    held(desk, "consent-missing")
    desk.provider.account = "svc-mail@contoso.com"
    assert desk.browser("reports").comes_back().outcome is Outcome.CONNECTED
    assert desk.bench.state.hold is not None
    assert desk.bench.outbox.puts == []


def test_a_sign_in_that_changed_nothing_lets_nothing_go(desk: Desk) -> None:
    held(desk, "consent-missing")
    desk.provider.account = "somebody@contoso.com"
    assert desk.browser().comes_back().outcome is Outcome.WRONG_ACCOUNT
    assert desk.bench.state.hold is not None
    assert desk.bench.outbox.puts == []
