"""A grant that is not the one the sender needs, or services that fail: the old grant stays, it is named."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.consent import Ended, Outcome
from shared.core.grant import Account
from shared.core.service import PUBLIC, GrantKind
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    TokenUnavailableError,
    UnsuitableTokenError,
)
from shared.workflows.consent import start
from tests.twins import NOON, grant
from tests.workflows.conftest import SERVICES
from tests.workflows.consent_desk import REDIRECT_URI, Desk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.grant import Grant

TENANT = grant().account.tenant_id
ADMIN_URL = f"https://login.example/adminconsent?redirect_uri={REDIRECT_URI}"
GOOD_CLAIMS: Mapping[str, Any] = {
    "aud": PUBLIC.outlook,
    "scp": "SMTP.Send",
    "tid": TENANT,
    "oid": "oid-of-noreply@contoso.com",
    "appid": SERVICES["microsoft"].client_id,
    "exp": int((NOON + timedelta(hours=1)).timestamp()),
}


@pytest.fixture
def desk() -> Desk:
    """A desk at which noreply was connected a week ago."""
    desk = Desk()
    desk.signed_in()
    desk.clock.advance(timedelta(days=7))
    return desk


def jwt(claims: Mapping[str, Any]) -> str:
    def part(value: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.canary-signature"


def gives(desk: Desk, **changes: Any) -> None:
    """Let the provider give such a grant."""
    complete = type(desk.provider).complete

    def changed(flow: Mapping[str, Any], answer: Mapping[str, str], *, now: Any) -> Grant:
        return replace(complete(desk.provider, flow, answer, now=now), **changes)

    vars(desk.provider)["complete"] = changed


def unchanged(desk: Desk, ended_as: Outcome, **changes: str) -> Ended:
    """Sign in, see how it ended, and that it changed nothing."""
    browser, before = desk.browser(), desk.all_there_is()
    ended = browser.comes_back(**changes)
    assert ended.outcome is ended_as
    assert (ended.state, ended.picture) == ("", None)
    assert desk.all_there_is() == before
    assert "canary" not in repr(ended)
    return ended


# Who signed in.


@pytest.mark.parametrize("name", ["admin@contoso.com", "noreply@contoso.com.evil.example", "noreply", ""])
def test_another_account_is_turned_away(desk: Desk, name: str) -> None:
    desk.provider.account = name
    ended = unchanged(desk, Outcome.WRONG_ACCOUNT)
    assert ended.account is not None
    assert (ended.account.username, ended.expected) == (name, "noreply@contoso.com")


@pytest.mark.parametrize(
    "account",
    [
        Account("noreply@contoso.com", TENANT, "another-oid"),
        Account("noreply@contoso.com", TENANT.replace("1", "9"), "oid-of-noreply@contoso.com"),
    ],
    ids=["made anew", "of another tenant"],
)
def test_another_account_of_that_name_is_turned_away_until_the_grant_is_removed(
    desk: Desk, account: Account
) -> None:
    gives(desk, account=account)
    assert unchanged(desk, Outcome.OTHER_ACCOUNT).account == account
    desk.connections.disconnect(desk.senders["noreply"], why="a person took the grant away")
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED
    assert desk.grants.grants["noreply"].account == account


def test_the_same_account_in_other_letters_is_the_same(desk: Desk) -> None:
    gives(desk, account=Account("NoReply@Contoso.com", TENANT.upper(), "OID-of-noreply@contoso.com"))
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


def test_what_an_application_has_stored_remembers_nobody(desk: Desk) -> None:
    desk.grants.grants["noreply"] = replace(
        desk.grants.grants["noreply"], refresh_token="", account=Account("noreply@contoso.com", "x", "x")
    )
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


def test_a_grant_that_cannot_be_read_is_replaced(desk: Desk) -> None:
    def unreadable() -> None:
        raise ConsentRequiredError("the secret grant-noreply does not hold a grant")

    desk.grants.loading = unreadable
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


# What was granted.


@pytest.mark.parametrize("scopes", [(), ("openid", "profile"), ("https://outlook.office.com/IMAP.Send",)])
def test_a_scope_that_mail_needs_and_was_not_granted_is_named(desk: Desk, scopes: tuple[str, ...]) -> None:
    desk.provider.scopes = scopes
    assert unchanged(desk, Outcome.MISSING_SCOPE).code == PUBLIC.smtp_scope


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"aud": PUBLIC.graph}, "aud: https://graph.microsoft.com"),
        ({"scp": "User.Read"}, "scp: User.Read"),
        ({"tid": "another"}, "tid: another"),
        ({"oid": "another"}, "oid: another"),
        ({"appid": "another"}, "appid: another"),
        ({"exp": 1}, "exp: 1"),
    ],
    ids=["audience", "permission", "tenant", "person", "application", "expired"],
)
def test_a_token_of_no_use_is_named_by_what_it_says_of_itself(
    desk: Desk, changes: dict[str, Any], evidence: str
) -> None:
    week = {"exp": GOOD_CLAIMS["exp"] + 7 * 86_400}
    gives(desk, access_token=jwt({**GOOD_CLAIMS, **week, **changes}))
    ended = unchanged(desk, Outcome.UNSUITABLE)
    assert ended.code == evidence
    assert ended.remedy
    gives(desk, access_token=jwt({**GOOD_CLAIMS, **week}))
    assert desk.browser().comes_back().outcome is Outcome.CONNECTED


# What fails.

AWAY = TokenUnavailableError("the provider could not be asked: ConnectionError; it is tried again")
FAILURES = [
    (AWAY, Outcome.UNAVAILABLE),
    (TokenUnavailableError("the provider answered 429; it is tried again", code="429"), Outcome.UNAVAILABLE),
    (ConsentRequiredError("it gave no refresh token", code="no_refresh_token"), Outcome.REFUSED),
    (ConsentRequiredError("it refused: invalid_grant AADSTS54005", code="AADSTS54005"), Outcome.REFUSED),
    (ConsentRequiredError("it refused", code="a code that nobody knows"), Outcome.REFUSED),
    (CredentialError("it refused: invalid_client", code="AADSTS7000215"), Outcome.CREDENTIAL_BROKEN),
    (UnsuitableTokenError("aud: graph", code="token-audience"), Outcome.UNSUITABLE),
]


@pytest.mark.parametrize(("error", "outcome"), FAILURES, ids=lambda each: getattr(each, "code", "") or "")
def test_a_provider_that_fails_leaves_the_old_grant(desk: Desk, error: Exception, outcome: Outcome) -> None:
    desk.provider.failing["complete"] = error
    ended = unchanged(desk, outcome)
    assert ended.remedy
    assert ended.code == vars(error)["code"]


@pytest.mark.parametrize("step", ["loading", "storing"])
def test_a_vault_that_fails_leaves_the_old_grant(desk: Desk, step: str) -> None:
    def down() -> None:
        raise TokenUnavailableError("cannot reach the secret grant-noreply: HttpResponseError 403")

    browser, before = desk.browser(), desk.all_there_is()
    setattr(desk.grants, step, down)
    assert browser.comes_back().outcome is Outcome.UNAVAILABLE
    setattr(desk.grants, step, lambda: None)
    assert desk.all_there_is() == before
    assert browser.comes_back().outcome is Outcome.USED
    assert desk.all_there_is() == before


# Where only an administrator may agree.


@pytest.mark.parametrize(
    ("error", "description"),
    [
        ("access_denied", "AADSTS90094: An administrator of Contoso has set a policy"),
        ("invalid_client", "AADSTS65001: The user or administrator has not consented"),
        ("access_denied", "AADSTS90093: Does not have access to consent."),
        ("consent_required", ""),
    ],
)
def test_where_an_administrator_must_agree_the_page_has_the_link(
    desk: Desk, error: str, description: str
) -> None:
    ended = unchanged(desk, Outcome.ADMIN_NEEDED, error=error, error_description=description)
    assert ended.admin_url == ADMIN_URL


def test_for_an_application_that_sends_by_itself_nobody_signs_in(desk: Desk) -> None:
    desk.services["microsoft"] = replace(SERVICES["microsoft"], grant=GrantKind.APP)
    before = desk.all_there_is()
    ended = start(desk.tools, "noreply")
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.sender, ended.admin_url) == (Outcome.NOT_NEEDED, "noreply", ADMIN_URL)
    assert len(desk.provider.begun) == 1  # the one of a week ago
    assert desk.all_there_is() == before
