"""Entra through MSAL, on the stand-in that keeps Entra's rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.adapters import graph
from shared.adapters.entra import Entra
from shared.core.oauth import PROFILE_SCOPE, SMTP_SCOPE, Grant, Service
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from tests.local.microsoft.walker import walk

if TYPE_CHECKING:
    import requests

    from local.microsoft.cloud import Cloud

# Pytest puts its own filters in the place of those that a module sets for good.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode='form_post':UserWarning")

REDIRECT_URI = "http://localhost:7071/api/oauth/redirect"
NOREPLY = "noreply@contoso.com"
CODE = "0123456789-code"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """The adapter, and people who sign in."""

    cloud: Cloud
    browser: requests.Session
    secret: str
    refused_secrets: int = 0
    entra: Entra = field(init=False)

    def __post_init__(self) -> None:
        service = Service(
            "microsoft",
            self.cloud.tenant.id,
            self.cloud.app.client_id,
            self.cloud.authority,
            authority_is_known=False,
        )
        self.entra = Entra(
            service, lambda: self.secret, fetch_picture=graph.picture, secret_refused=self._refused
        )

    def _refused(self) -> None:
        self.refused_secrets += 1

    def begin(self, account: str = NOREPLY) -> dict[str, Any]:
        return self.entra.begin(redirect_uri=REDIRECT_URI, account=account)

    def sign_in(
        self, flow: dict[str, Any], account: str = NOREPLY, decision: str = "accept"
    ) -> dict[str, str]:
        return walk(self.browser, flow["auth_uri"], account, decision)

    def grant(self, account: str = NOREPLY) -> Grant:
        flow = self.begin(account)
        return self.entra.complete(flow, self.sign_in(flow, account), now=now())


@pytest.fixture
def desk(microsoft: Cloud, browser: requests.Session) -> Desk:
    return Desk(microsoft, browser, microsoft.client_secret)


# Beginning.


def test_the_browser_is_sent_off_with_all_that_protects_the_flow(desk: Desk) -> None:
    flow = desk.begin("svc-mail@contoso.com")
    url = urlsplit(flow["auth_uri"])
    query = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}" == desk.cloud.identity_url
    assert query["redirect_uri"] == REDIRECT_URI
    assert query["login_hint"] == "svc-mail@contoso.com"
    assert query["prompt"] == "select_account"
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert query["state"] == flow["state"]
    assert {SMTP_SCOPE, PROFILE_SCOPE, "openid", "profile", "offline_access"} <= set(query["scope"].split())
    assert len(query["code_challenge"]) == 43
    assert query["nonce"]
    assert flow["code_verifier"] not in flow["auth_uri"]
    assert "form_post" not in flow["auth_uri"]


def test_every_flow_has_secrets_of_its_own(desk: Desk) -> None:
    first, second = desk.begin(), desk.begin()
    for secret in ("state", "nonce", "code_verifier"):
        assert first[secret] != second[secret]


# Coming back.


def test_a_code_becomes_a_grant(desk: Desk) -> None:
    began = now()
    grant = desk.grant()
    assert grant.account.username == NOREPLY
    assert grant.account.display_name == "Contoso Notifications"
    assert grant.account.tenant_id == desk.cloud.tenant.id
    assert grant.account.object_id == "10000000-0000-4000-8000-000000000001"
    assert SMTP_SCOPE in grant.scopes
    assert began <= grant.consented_at == grant.refreshed_at
    assert timedelta(minutes=55) < grant.expires_at - began < timedelta(minutes=95)
    assert grant.refresh_token != grant.access_token


def test_the_access_token_is_the_mail_servers(desk: Desk) -> None:
    claims = desk.cloud.tokens.verify_access_token(
        desk.grant().access_token, audience={"https://outlook.office.com"}
    )
    assert (claims["upn"], claims["scp"]) == (NOREPLY, "SMTP.Send")


def test_whoever_signs_in_is_named_by_the_back_channel(desk: Desk) -> None:
    flow = desk.begin(NOREPLY)
    answer = desk.sign_in(flow, "admin@contoso.com")
    assert desk.entra.complete(flow, answer, now=now()).account.username == "admin@contoso.com"


def refusal(desk: Desk, flow: dict[str, Any], answer: dict[str, str]) -> GrantError:
    with pytest.raises(GrantError) as raised:
        desk.entra.complete(flow, answer, now=now())
    return raised.value


def test_a_code_works_once(desk: Desk) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    desk.entra.complete(flow, answer, now=now())
    error = refusal(desk, flow, answer)
    assert isinstance(error, ConsentRequiredError)
    assert error.code == "AADSTS54005"


def test_a_code_is_worth_nothing_without_its_verifier(desk: Desk) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    error = refusal(desk, flow | {"code_verifier": desk.begin()["code_verifier"]}, answer)
    assert (type(error), error.code) == (ConsentRequiredError, "AADSTS501481")


@pytest.mark.parametrize("changed", ["state", "nonce"])
def test_an_answer_to_another_flow_is_refused_and_quoted_nowhere(
    desk: Desk, changed: str, caplog: pytest.LogCaptureFixture
) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    other = desk.begin()
    error = refusal(desk, flow | {changed: other[changed]}, answer)
    assert type(error) is ConsentRequiredError
    assert str(error) == "the sign-in that came back is not the one that was begun"
    for secret in (flow[changed], other[changed], answer["code"]):
        assert secret not in caplog.text


def test_an_answer_without_a_code_is_refused(desk: Desk) -> None:
    flow = desk.begin()
    assert type(refusal(desk, flow, {"state": flow["state"]})) is ConsentRequiredError


def test_a_made_up_code_is_refused(desk: Desk) -> None:
    flow = desk.begin()
    error = refusal(desk, flow, {"state": flow["state"], "code": CODE})
    assert (type(error), error.code) == (ConsentRequiredError, "AADSTS9002313")
    assert CODE not in str(error)


# Refreshing.


def test_a_refresh_gives_a_new_token_and_a_new_refresh_token(desk: Desk) -> None:
    before = desk.grant()
    at = now()
    after = desk.entra.refresh(before, now=at)
    assert after.access_token != before.access_token
    assert after.refresh_token != before.refresh_token
    assert (after.account, after.scopes, after.consented_at) == (
        before.account,
        before.scopes,
        before.consented_at,
    )
    assert after.refreshed_at == at
    assert after.expires_at > at + timedelta(minutes=55)


def test_the_old_refresh_token_works_until_the_new_one_is_stored(desk: Desk) -> None:
    before = desk.grant()
    desk.entra.refresh(before, now=now())
    desk.entra.refresh(before, now=now())


# What fails, on the way in and at every refresh.

UNREACHABLE = [
    ({"fail_next": {"token": {"status": 503, "retry_after": 5}}}, ""),
    ({"fail_next": {"token": {"status": 500}}}, ""),
    ({"fail_next": {"token": {"status": 429, "retry_after": 5}}}, ""),
    ({"fail_next": {"token": {"status": 0, "times": 5}}}, ""),
    ({"html_instead_of_json": 1}, ""),
    ({"fail_next": {"token": {"status": 200, "html": True}}}, ""),
    ({"fail_next": {"discovery": {"status": 503, "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 404, "html": True, "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 200, "html": True, "times": 5}}}, ""),
]
IDS = [
    "token 503",
    "token 500",
    "token 429",
    "token connection lost",
    "token 502 html",
    "token 200 html",
    "discovery 503",
    "discovery 404 html",
    "discovery 200 html",
]


@pytest.mark.parametrize("mischief", [mischief for mischief, _ in UNREACHABLE], ids=IDS)
def test_trouble_that_time_mends_is_called_so_when_a_token_is_refreshed(
    desk: Desk, mischief: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    grant = desk.grant()
    desk.cloud.control.identity(mischief)
    with pytest.raises(TokenUnavailableError) as raised:
        desk.entra.refresh(grant, now=now())
    assert_no_secret(desk, grant, f"{raised.value} {caplog.text}")
    assert desk.refused_secrets == 0
    desk.cloud.control.identity({"reset": True})
    desk.entra.refresh(grant, now=now())


@pytest.mark.parametrize("mischief", [mischief for mischief, _ in UNREACHABLE], ids=IDS)
def test_trouble_that_time_mends_is_called_so_when_a_code_is_exchanged(
    desk: Desk, mischief: dict[str, Any]
) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    desk.cloud.control.identity(mischief)
    assert type(refusal(desk, flow, answer)) is TokenUnavailableError


@pytest.mark.parametrize("status", [0, 503])
def test_trouble_that_time_mends_is_called_so_when_a_flow_begins(desk: Desk, status: int) -> None:
    desk.cloud.control.identity({"fail_next": {"discovery": {"status": status, "times": 5}}})
    with pytest.raises(TokenUnavailableError):
        desk.begin()


@pytest.mark.parametrize(
    ("mischief", "code"),
    [
        ({"revoke": NOREPLY}, "AADSTS50173"),
        ({"revoke": {"upn": NOREPLY, "code": "70008"}}, "AADSTS70008"),
        ({"revoke": {"upn": NOREPLY, "code": "700082"}}, "AADSTS700082"),
        ({"withdraw_consent": NOREPLY}, "AADSTS65001"),
        ({"block": NOREPLY}, "AADSTS50057"),
    ],
    ids=["revoked", "expired", "inactive", "consent withdrawn", "account blocked"],
)
def test_a_refusal_that_needs_a_person_says_so_with_its_number(
    desk: Desk, mischief: dict[str, Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    grant = desk.grant()
    desk.cloud.control.identity(mischief)
    with pytest.raises(ConsentRequiredError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == code
    assert str(raised.value) == f"the provider refused: invalid_grant {code}"
    assert_no_secret(desk, grant, f"{raised.value} {caplog.text}")
    assert desk.refused_secrets == 0


@pytest.mark.parametrize(
    ("mischief", "code"),
    [({"rotate_client_secret": True}, "AADSTS7000215"), ({"expire_client_secret": True}, "AADSTS7000222")],
    ids=["wrong", "expired"],
)
def test_a_client_secret_that_is_refused_is_an_administrators_business(
    desk: Desk, mischief: dict[str, Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    grant = desk.grant()
    desk.cloud.control.identity(mischief)
    with pytest.raises(CredentialError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == code
    assert_no_secret(desk, grant, f"{raised.value} {caplog.text}")
    assert desk.refused_secrets == 1


def test_a_new_client_secret_is_used_at_the_next_refresh(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"rotate_client_secret": True})
    with pytest.raises(CredentialError):
        desk.entra.refresh(grant, now=now())
    desk.secret = desk.cloud.client_secret
    desk.entra.refresh(grant, now=now())


def test_a_refusal_is_not_remembered(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"withdraw_consent": NOREPLY})
    with pytest.raises(ConsentRequiredError):
        desk.entra.refresh(grant, now=now())
    desk.grant()
    desk.entra.refresh(grant, now=now())


def test_a_slow_provider_is_waited_for(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"latency_ms": 300})
    desk.entra.refresh(grant, now=now())


# The picture.


def test_the_picture_of_the_account_is_fetched(desk: Desk) -> None:
    grant = desk.grant()
    picture, after = desk.entra.picture(grant, now=now())
    user = desk.cloud.tenant.user(NOREPLY)
    assert picture is not None
    assert user is not None
    assert (picture.content_type, picture.content) == ("image/png", user.photo)
    assert "image/png" in repr(picture)
    assert "PNG" not in repr(picture)
    assert after.refresh_token != grant.refresh_token
    assert (after.access_token, after.expires_at) == (grant.access_token, grant.expires_at)


def test_an_account_without_a_picture_has_none(desk: Desk) -> None:
    picture, _ = desk.entra.picture(desk.grant("svc-mail@contoso.com"), now=now())
    assert picture is None


@pytest.mark.parametrize(
    "mischief",
    [
        {"fail_next": {"graph": {"status": 503, "times": 5}}},
        {"fail_next": {"graph": {"status": 0, "times": 5}}},
        {"fail_next": {"graph": {"status": 200, "html": True, "times": 5}}},
        {"fail_next": {"token": {"status": 503, "times": 5}}},
        {"fail_next": {"token": {"status": 0, "times": 5}}},
        {"fail_next": {"discovery": {"status": 503, "times": 5}}},
        {"revoke": NOREPLY},
    ],
    ids=[
        "graph 503",
        "graph connection lost",
        "graph html",
        "token 503",
        "token connection lost",
        "discovery 503",
        "revoked",
    ],
)
def test_a_picture_that_cannot_be_had_spoils_nothing(desk: Desk, mischief: dict[str, Any]) -> None:
    grant = desk.grant()
    desk.cloud.control.identity(mischief)
    picture, after = desk.entra.picture(grant, now=now())
    assert picture is None
    assert after.access_token == grant.access_token


def assert_no_secret(desk: Desk, grant: Grant, text: str) -> None:
    for secret in (grant.refresh_token, grant.access_token, desk.secret, desk.cloud.client_secret):
        assert secret not in text
