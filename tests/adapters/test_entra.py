"""Entra through MSAL, on the stand-in that keeps Entra's rules."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.identity import ManagedIdentityCredential

from local.microsoft.managed_identity import USER_ASSIGNED
from shared.adapters import graph
from shared.adapters.entra import Entra
from shared.adapters.managed_identity import ManagedIdentity
from shared.core.certificate import read_certificate
from shared.core.grant import Account, ClientAssertion, ClientCertificate, ClientSecret, Grant
from shared.core.service import CLOUDS, PUBLIC, CredentialKind, GrantKind, Microsoft, Service
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from tests.local.microsoft.walker import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from azure.core.credentials import TokenCredential

    from local.microsoft.cloud import Cloud

# Pytest puts its own filters in the place of those that a module sets for good.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode='form_post':UserWarning")

REDIRECT_URI = "http://localhost:7071/api/oauth/redirect"
NOREPLY = "noreply@contoso.com"
CODE = "0123456789-code"


def now() -> datetime:
    return datetime.now(UTC)


Credential = ClientSecret | ClientCertificate | ClientAssertion | None


@dataclass
class Desk:
    """
    The adapter, and people who sign in.

    ``credentials`` are what the vault gives: the first is kept until it was refused.
    """

    cloud: Cloud
    browser: requests.Session
    credentials: list[Credential]
    grant_kind: GrantKind = GrantKind.DELEGATED
    refused: int = 0
    entra: Entra = field(init=False)

    def __post_init__(self) -> None:
        provider = Microsoft(self.cloud.tenant.id, self.cloud.authority, authority_is_known=False)
        service = Service("microsoft", self.cloud.app.client_id, provider, self.grant_kind)
        self.entra = Entra(
            service,
            provider,
            lambda: self.credentials[0],
            fetch_picture=graph.picture,
            credential_refused=self._refuse,
        )

    def _refuse(self) -> None:
        self.refused += 1
        if len(self.credentials) > 1:
            del self.credentials[0]

    @property
    def secrets(self) -> list[str]:
        found = [self.cloud.client_secret]
        for credential in self.credentials:
            match credential:
                case ClientSecret(value) | ClientAssertion(value):
                    found.append(value)
                case ClientCertificate(private_key, _):
                    found.append(private_key)
        return found

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
    return Desk(microsoft, browser, [ClientSecret(microsoft.client_secret)])


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
    assert {PUBLIC.smtp_scope, PUBLIC.profile_scope, "openid", "profile", "offline_access"} <= set(
        query["scope"].split()
    )
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
    assert PUBLIC.smtp_scope in grant.scopes
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
    ({"fail_next": {"token": {"status": 408}}}, ""),
    ({"fail_next": {"token": {"status": 0, "times": 5}}}, ""),
    ({"html_instead_of_json": 1}, ""),
    ({"fail_next": {"token": {"status": 200, "html": True}}}, ""),
    *[
        ({"fail_next": {"token": {"status": 200, "garbage": body}}}, "")
        for body in ("", "[]", "5", "null", '"x"', "{}", '{"access_token": 5}', '{"access_token": "c4n4ry"')
    ],
    ({"fail_next": {"token": {"status": 400, "garbage": "[]"}}}, ""),
    ({"fail_next": {"token": {"status": 400, "garbage": "{"}}}, ""),
    ({"fail_next": {"discovery": {"status": 200, "garbage": "[]", "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 200, "garbage": "{}", "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 503, "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 404, "html": True, "times": 5}}}, ""),
    ({"fail_next": {"discovery": {"status": 200, "html": True, "times": 5}}}, ""),
]
IDS = [
    "token 503",
    "token 500",
    "token 429",
    "token 408",
    "token connection lost",
    "token 502 html",
    "token 200 html",
    "token nothing",
    "token array",
    "token number",
    "token null",
    "token string",
    "token empty object",
    "token of no string",
    "token cut",
    "token 400 array",
    "token 400 cut",
    "discovery array",
    "discovery empty object",
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
    assert desk.refused == 0
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


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_says_later_is_no_verdict_on_the_grant_whatever_its_body_says(desk: Desk, status: int) -> None:
    grant = desk.grant()
    body = '{"error": "invalid_grant", "error_codes": [50173]}'
    desk.cloud.control.identity({"fail_next": {"token": {"status": status, "garbage": body}}})
    with pytest.raises(TokenUnavailableError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == str(status)
    assert str(raised.value) == f"the provider answered {status}; it is tried again"


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
    assert desk.refused == 0


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
    assert desk.refused == 1


def test_a_new_client_secret_is_used_at_the_next_refresh(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"rotate_client_secret": True})
    with pytest.raises(CredentialError):
        desk.entra.refresh(grant, now=now())
    desk.credentials = [ClientSecret(desk.cloud.client_secret)]
    desk.entra.refresh(grant, now=now())


def test_a_refusal_is_not_remembered(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"withdraw_consent": NOREPLY})
    with pytest.raises(ConsentRequiredError):
        desk.entra.refresh(grant, now=now())
    desk.grant()
    desk.entra.refresh(grant, now=now())


# What the application proves itself with.


def certificate(desk: Desk, form: str = "pem") -> ClientCertificate:
    """Register a new certificate and return it as it lies in the vault."""
    made = desk.cloud.control.identity({"register_certificate": {"service": "entra", "format": form}})
    secret = desk.cloud.vault.secrets.get(made["certificate"]["secret"])[1].value
    return read_certificate(secret)[0]


def assertion(identity: TokenCredential) -> ClientAssertion:
    return ManagedIdentity(lambda: identity, client_id=USER_ASSIGNED[0]).assertion(
        Microsoft("t", "https://a.example")
    )


@pytest.fixture
def identity(microsoft: Cloud) -> Iterator[TokenCredential]:
    assert microsoft.managed_identity_url
    with ManagedIdentityCredential(client_id=USER_ASSIGNED[0]) as credential:
        yield credential


PROOFS = ["secret", "pem", "pfx", "managed identity"]


@pytest.fixture(params=PROOFS)
def proven(desk: Desk, identity: TokenCredential, request: pytest.FixtureRequest) -> Desk:
    """The adapter with each kind of credential."""
    if request.param in ("pem", "pfx"):
        desk.credentials = [certificate(desk, request.param)]
    elif request.param == "managed identity":
        desk.credentials = [assertion(identity)]
    return desk


def test_every_credential_serves_for_a_code_and_for_a_refresh(proven: Desk) -> None:
    before = proven.grant()
    after = proven.entra.refresh(before, now=now())
    assert after.access_token != before.access_token
    assert proven.entra.picture(after, now=now())[0] is not None
    assert proven.refused == 0


def test_every_credential_serves_for_the_applications_own_token(proven: Desk) -> None:
    proven.grant_kind = GrantKind.APP
    proven.__post_init__()
    at = now()
    grant = proven.entra.app_grant("reports@contoso.com", now=at)
    assert grant.account == Account("reports@contoso.com")
    assert grant.is_app_only
    assert grant.scopes == ("https://outlook.office365.com/.default",)
    assert (grant.consented_at, grant.refreshed_at) == (at, at)
    assert timedelta(minutes=55) < grant.expires_at - at < timedelta(minutes=95)
    claims = proven.cloud.tokens.verify_access_token(
        grant.access_token, audience={"https://outlook.office365.com"}
    )
    assert claims["roles"] == ["SMTP.SendAsApp"]
    assert proven.refused == 0


SPOILT = {
    "secret": ({"rotate_client_secret": True}, "AADSTS7000215"),
    "certificate": ({"retire_certificates": True}, "AADSTS700027"),
}


def newer(desk: Desk, kind: str) -> Credential:
    return ClientSecret(desk.cloud.client_secret) if kind == "secret" else certificate(desk)


@pytest.fixture(params=SPOILT)
def spoilt(desk: Desk, request: pytest.FixtureRequest) -> tuple[Desk, str, Grant]:
    """A grant, and then a credential that the provider takes no more."""
    kind: str = request.param
    if kind == "certificate":
        desk.credentials = [certificate(desk)]
    grant = desk.grant()
    desk.cloud.control.identity(SPOILT[kind][0])
    return desk, kind, grant


def token_requests(desk: Desk) -> int:
    found: int = desk.cloud.control.identity()["calls"]["token"]
    return found


def test_a_credential_that_was_replaced_in_the_vault_is_mended_within_the_call(
    spoilt: tuple[Desk, str, Grant],
) -> None:
    desk, kind, grant = spoilt
    desk.credentials.append(newer(desk, kind))
    before = token_requests(desk)
    after = desk.entra.refresh(grant, now=now())
    assert after.access_token != grant.access_token
    assert (desk.refused, token_requests(desk) - before) == (1, 2)


def test_an_applications_credential_that_was_replaced_is_mended_within_the_call(
    spoilt: tuple[Desk, str, Grant],
) -> None:
    desk, kind, _ = spoilt
    desk.grant_kind = GrantKind.APP
    desk.__post_init__()
    desk.credentials.append(newer(desk, kind))
    assert desk.entra.app_grant(NOREPLY, now=now()).access_token
    assert desk.refused == 1


def test_a_credential_without_a_newer_one_is_tried_once(spoilt: tuple[Desk, str, Grant]) -> None:
    desk, kind, grant = spoilt
    before = token_requests(desk)
    with pytest.raises(CredentialError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == SPOILT[kind][1]
    assert str(raised.value) == f"the provider refused: invalid_client {raised.value.code}"
    assert (desk.refused, token_requests(desk) - before) == (1, 1)


def test_two_credentials_that_are_refused_are_no_loop(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"rotate_client_secret": True})
    desk.credentials += [ClientSecret("another"), ClientSecret("a third")]
    before = token_requests(desk)
    with pytest.raises(CredentialError):
        desk.entra.refresh(grant, now=now())
    assert token_requests(desk) - before == 2


def test_a_code_is_not_shown_twice_whatever_the_vault_has(desk: Desk) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    desk.cloud.control.identity({"rotate_client_secret": True})
    desk.credentials.append(ClientSecret(desk.cloud.client_secret))
    before = token_requests(desk)
    assert type(refusal(desk, flow, answer)) is CredentialError
    assert (desk.refused, token_requests(desk) - before) == (1, 1)
    # The next sign-in has the new one.
    assert desk.grant().access_token


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"issuer": "https://login.example"}, "AADSTS700211"),
        ({"audience": "api://Another"}, "AADSTS700212"),
        ({"subject": "another"}, "AADSTS700213"),
    ],
    ids=str,
)
def test_a_registration_that_trusts_another_identity_is_an_administrators_business(
    desk: Desk, identity: TokenCredential, wrong: dict[str, str], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    grant = desk.grant()
    desk.credentials = [assertion(identity)]
    desk.cloud.control.identity({"federated_credential": wrong})
    with pytest.raises(CredentialError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == code
    assert_no_secret(desk, grant, f"{raised.value} {caplog.text}")


def test_an_application_that_is_refused_is_never_a_persons_business(desk: Desk) -> None:
    desk.grant_kind = GrantKind.APP
    desk.__post_init__()
    for code in ("65001", "50173", "7000215", "700016"):
        desk.cloud.control.identity({"fail_next": {"token": {"status": 400, "code": code}}})
        with pytest.raises(CredentialError) as raised:
            desk.entra.app_grant(NOREPLY, now=now())
        assert raised.value.code == f"AADSTS{code}"


@pytest.mark.parametrize("mischief", [mischief for mischief, _ in UNREACHABLE], ids=IDS)
def test_trouble_that_time_mends_is_called_so_when_an_application_asks(
    desk: Desk, mischief: dict[str, Any]
) -> None:
    desk.grant_kind = GrantKind.APP
    desk.__post_init__()
    desk.cloud.control.identity(mischief)
    with pytest.raises(TokenUnavailableError):
        desk.entra.app_grant(NOREPLY, now=now())
    assert desk.refused == 0


# Answers that are a success and are wrong all the same.


def test_a_refresh_token_that_shrank_is_not_kept(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"shrink_refresh_token": 1})
    with pytest.raises(TokenUnavailableError) as raised:
        desk.entra.refresh(grant, now=now())
    assert raised.value.code == "refresh_token_shrunk"
    assert f"a refresh token of 20 characters where the last had {len(grant.refresh_token)}" in str(
        raised.value
    )
    assert_no_secret(desk, grant, f"{raised.value} {caplog.text}")
    # The old one still serves.
    assert desk.entra.refresh(grant, now=now()).refresh_token != grant.refresh_token


def test_a_picture_is_not_worth_a_refresh_token(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"shrink_refresh_token": 1})
    picture, after = desk.entra.picture(grant, now=now())
    assert picture is not None
    assert after.refresh_token == grant.refresh_token


def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one(desk: Desk) -> None:
    grant = desk.grant()
    desk.cloud.control.identity({"omit_refresh_token": 1})
    after = desk.entra.refresh(grant, now=now())
    assert after.refresh_token == grant.refresh_token
    assert after.access_token != grant.access_token


def test_a_sign_in_without_a_refresh_token_is_none(desk: Desk) -> None:
    flow = desk.begin()
    answer = desk.sign_in(flow)
    desk.cloud.control.identity({"omit_refresh_token": 1})
    error = refusal(desk, flow, answer)
    assert (type(error), error.code) == (ConsentRequiredError, "no_refresh_token")


# People who change.


@pytest.fixture
def leaver(desk: Desk, unique_name: str) -> str:
    """An account of this test's own."""
    upn = f"{unique_name}@contoso.com"
    desk.cloud.control.identity({"hire": upn})
    return upn


def test_an_account_that_was_renamed_is_the_same_and_sends_by_its_new_name(desk: Desk, leaver: str) -> None:
    before = desk.grant(leaver)
    desk.cloud.control.identity({"rename": {"from": leaver, "to": f"new-{leaver}"}})
    after = desk.entra.refresh(before, now=now())
    assert after.account.username == after.token.user == f"new-{leaver}"
    assert after.account.is_same(before.account)


def test_an_account_that_was_made_anew_must_sign_in(desk: Desk, leaver: str) -> None:
    before = desk.grant(leaver)
    desk.cloud.control.identity({"rehire": leaver})
    with pytest.raises(ConsentRequiredError) as raised:
        desk.entra.refresh(before, now=now())
    assert raised.value.code == "AADSTS50034"
    after = desk.grant(leaver)
    assert after.account.username == before.account.username
    assert not after.account.is_same(before.account)


def test_a_refresh_token_of_another_account_is_found_out(desk: Desk) -> None:
    mine, other = desk.grant(NOREPLY), desk.grant("billing@contoso.com")
    swapped = replace(mine, refresh_token=other.refresh_token)
    with pytest.raises(ConsentRequiredError) as raised:
        desk.entra.refresh(swapped, now=now())
    assert raised.value.code == "other_account"
    assert_no_secret(desk, swapped, str(raised.value))


# Consent for the whole tenant.


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("kind", GrantKind)
def test_an_administrator_agrees_in_the_services_own_cloud(name: str, kind: GrantKind) -> None:
    cloud = CLOUDS[name]
    provider = Microsoft("contoso.com", f"https://{cloud.login_host}/contoso.com", cloud)
    service = Service("microsoft", "client-id", provider, kind, CredentialKind.SECRET)
    entra = Entra(
        service,
        provider,
        lambda: ClientSecret("secret"),
        fetch_picture=graph.picture,
        credential_refused=lambda: None,
    )
    url = urlsplit(entra.admin_consent_url(redirect_uri=REDIRECT_URI))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{provider.authority}/v2.0/adminconsent"
    scopes = [cloud.app_scope] if kind is GrantKind.APP else [cloud.smtp_scope, cloud.profile_scope]
    assert parse_qs(url.query) == {
        "client_id": ["client-id"],
        "redirect_uri": [REDIRECT_URI],
        "scope": [" ".join(scopes)],
    }


# A provider that takes its time, or all of it.


def test_a_provider_that_never_answers_is_not_waited_for(desk: Desk) -> None:
    # More than the adapter's own time limit, and less than a message's visibility on its queue.
    grant = desk.grant()
    desk.cloud.control.identity({"latency_ms": 12_000})
    began = time.monotonic()
    with pytest.raises(TokenUnavailableError, match="Timeout"):
        desk.entra.refresh(grant, now=now())
    desk.cloud.control.identity({"reset": True})
    assert 9 < time.monotonic() - began < 11.5
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
    for secret in (grant.refresh_token, grant.access_token, *desk.secrets):
        assert secret not in text
