"""Any OAuth 2 provider by its endpoints: the stand-in for Entra, and one that answers as badly as it can."""

from __future__ import annotations

import base64
import gzip
import json
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local.microsoft.certificates import KeyPair
from shared.adapters.custom_oauth import CustomOAuth
from shared.core.grant import Account, ClientAssertion, ClientCertificate, ClientSecret, Grant
from shared.core.service import Custom, GrantKind, Service
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    GrantError,
    TokenUnavailableError,
    UnsuitableTokenError,
)
from tests.adapters.scripted_provider import Reply, ScriptedProvider, id_token
from tests.local.microsoft.walker import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from local.microsoft.cloud import Cloud
    from shared.core.grant import ClientCredential

REDIRECT_URI = "http://localhost:7071/api/oauth/redirect"
NOREPLY = "noreply@contoso.com"
SMTP_SEND = "https://outlook.office.com/SMTP.Send"
CLIENT_ID = "client of ours"
# What may be read nowhere: each is looked for by its beginning.
CANARY = "canary-"
SECRET = f"{CANARY}secret+/=%:é"
CODE = f"{CANARY}code"
OLD_REFRESH = f"{CANARY}refresh-old"
NEW_REFRESH = f"{CANARY}refresh-new"
ACCESS = f"{CANARY}access"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """The adapter, with a credential that a test may change."""

    service: Service
    provider: Custom
    credential: ClientCredential
    newer: list[ClientCredential] = field(default_factory=list)
    refused: int = 0
    oauth: CustomOAuth = field(init=False)

    def __post_init__(self) -> None:
        self.oauth = CustomOAuth(
            self.service, self.provider, lambda: self.credential, credential_refused=self._refused
        )

    def _refused(self) -> None:
        self.refused += 1
        if self.newer:
            self.credential = self.newer.pop(0)

    def begin(self, account: str = NOREPLY) -> dict[str, Any]:
        return self.oauth.begin(redirect_uri=REDIRECT_URI, account=account)

    def complete(self, flow: dict[str, Any]) -> Grant:
        return self.oauth.complete(flow, {"state": flow["state"], "code": CODE}, now=now())


# The stand-in for Entra, by its endpoints alone.


@pytest.fixture
def at_entra(microsoft: Cloud) -> Desk:
    provider = Custom(
        authorization_endpoint=f"{microsoft.authority}/oauth2/v2.0/authorize",
        token_endpoint=f"{microsoft.authority}/oauth2/v2.0/token",
        login_scopes=("openid", "profile", "email"),
        offline_scopes=(SMTP_SEND, "offline_access"),
        authorize_params={"prompt": "select_account"},
        user_fields={"email": "preferred_username"},
        client_authentication="client_secret_post",
    )
    service = Service("other", microsoft.app.client_id, provider)
    return Desk(service, provider, ClientSecret(microsoft.client_secret))


@pytest.fixture
def entras_grant(at_entra: Desk, browser: requests.Session) -> Grant:
    flow = at_entra.begin()
    return at_entra.oauth.complete(flow, walk(browser, flow["auth_uri"], NOREPLY), now=now())


def test_a_code_becomes_a_grant(at_entra: Desk, entras_grant: Grant, microsoft: Cloud) -> None:
    assert entras_grant.account.username == NOREPLY
    assert entras_grant.account.display_name == "Contoso Notifications"
    assert entras_grant.account.tenant_id.startswith("https://")
    assert entras_grant.account.object_id
    assert SMTP_SEND in entras_grant.scopes
    assert timedelta(minutes=55) < entras_grant.expires_at - now() < timedelta(minutes=95)
    claims = microsoft.tokens.verify_access_token(
        entras_grant.access_token, audience={"https://outlook.office.com"}
    )
    assert (claims["upn"], claims["scp"]) == (NOREPLY, "SMTP.Send")
    assert at_entra.refused == 0


def test_a_refresh_gives_new_tokens_and_leaves_the_rest(at_entra: Desk, entras_grant: Grant) -> None:
    at = now()
    after = at_entra.oauth.refresh(entras_grant, now=at)
    assert after.access_token != entras_grant.access_token
    assert after.refresh_token != entras_grant.refresh_token
    assert (after.account, after.scopes, after.refreshed_at) == (
        entras_grant.account,
        entras_grant.scopes,
        at,
    )


def test_a_code_works_once(at_entra: Desk, browser: requests.Session) -> None:
    flow = at_entra.begin()
    answer = walk(browser, flow["auth_uri"], NOREPLY)
    at_entra.oauth.complete(flow, answer, now=now())
    with pytest.raises(ConsentRequiredError) as raised:
        at_entra.oauth.complete(flow, answer, now=now())
    assert raised.value.code == "invalid_grant"


def test_a_code_is_worth_nothing_without_its_verifier(at_entra: Desk, browser: requests.Session) -> None:
    flow = at_entra.begin()
    answer = walk(browser, flow["auth_uri"], NOREPLY)
    with pytest.raises(ConsentRequiredError):
        at_entra.oauth.complete(
            flow | {"code_verifier": at_entra.begin()["code_verifier"]}, answer, now=now()
        )


@pytest.mark.parametrize("mischief", [{"revoke": NOREPLY}, {"withdraw_consent": NOREPLY}, {"block": NOREPLY}])
def test_what_a_person_must_mend_says_so(
    at_entra: Desk, entras_grant: Grant, microsoft: Cloud, mischief: dict[str, Any]
) -> None:
    microsoft.control.identity(mischief)
    with pytest.raises(ConsentRequiredError) as raised:
        at_entra.oauth.refresh(entras_grant, now=now())
    assert str(raised.value) == "the provider refused: invalid_grant"
    assert at_entra.refused == 0


@pytest.mark.parametrize(
    "mischief",
    [
        {"fail_next": {"token": {"status": 503, "retry_after": 5}}},
        {"fail_next": {"token": {"status": 429, "retry_after": 5}}},
        {"fail_next": {"token": {"status": 0, "times": 5}}},
        {"html_instead_of_json": 1},
    ],
)
def test_what_time_mends_says_so(
    at_entra: Desk, entras_grant: Grant, microsoft: Cloud, mischief: dict[str, Any]
) -> None:
    microsoft.control.identity(mischief)
    with pytest.raises(TokenUnavailableError, match="it is tried again"):
        at_entra.oauth.refresh(entras_grant, now=now())
    microsoft.control.identity({"reset": True})
    at_entra.oauth.refresh(entras_grant, now=now())


def test_a_new_secret_is_used_at_once_where_the_old_one_is_refused(
    at_entra: Desk, entras_grant: Grant, microsoft: Cloud
) -> None:
    microsoft.control.identity({"rotate_client_secret": True})
    with pytest.raises(CredentialError) as raised:
        at_entra.oauth.refresh(entras_grant, now=now())
    assert (raised.value.code, at_entra.refused) == ("invalid_client", 1)
    at_entra.newer = [ClientSecret(microsoft.client_secret)]
    assert at_entra.oauth.refresh(entras_grant, now=now()).access_token
    assert at_entra.refused == 2


def test_a_certificate_proves_the_application(at_entra: Desk, entras_grant: Grant, microsoft: Cloud) -> None:
    pair = KeyPair.make("ours", now(), timedelta(days=1))
    at_entra.credential = ClientCertificate(pair.private_pem, pair.public.pem)
    with pytest.raises(CredentialError):
        at_entra.oauth.refresh(entras_grant, now=now())
    microsoft.app.certificates.append(pair.public)
    try:
        assert at_entra.oauth.refresh(entras_grant, now=now()).access_token
    finally:
        microsoft.app.certificates.remove(pair.public)


# One that answers as it is told.


@pytest.fixture
def provider(microsoft: Cloud) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(microsoft.trust.server_context).running() as running:
        yield running


@pytest.fixture
def custom(provider: ScriptedProvider) -> Custom:
    return Custom(
        authorization_endpoint=f"{provider.url}/authorize?audience=mail",
        token_endpoint=f"{provider.url}/token",
        login_scopes=("openid", "email"),
        offline_scopes=("mail.send", "email", "offline_access"),
        userinfo_endpoint=f"{provider.url}/userinfo",
        userpicture_endpoint=f"{provider.url}/picture",
    )


@pytest.fixture
def desk(custom: Custom) -> Desk:
    return desk_of(custom)


def desk_of(custom: Custom, kind: GrantKind = GrantKind.DELEGATED) -> Desk:
    return Desk(Service("other", CLIENT_ID, custom, kind), custom, ClientSecret(SECRET))


@pytest.fixture
def grant() -> Grant:
    at = now()
    return Grant(
        account=Account(NOREPLY, "https://issuer.example", "subject"),
        scopes=("mail.send",),
        consented_at=at,
        refreshed_at=at,
        expires_at=at,
        refresh_token=OLD_REFRESH,
        access_token=ACCESS,
    )


def tokens(**changed: Any) -> Reply:
    document = {
        "access_token": ACCESS,
        "token_type": "bEaReR",
        "expires_in": 1800,
        "refresh_token": NEW_REFRESH,
    }
    return Reply({name: value for name, value in (document | changed).items() if value is not ...})


def claims(flow: dict[str, Any] | None = None, **changed: Any) -> str:
    said = {
        "iss": "https://issuer.example",
        "sub": "subject",
        "aud": CLIENT_ID,
        "exp": now().timestamp() + 600,
        "email": NOREPLY,
        "name": "No Reply",
        "nonce": flow["nonce"] if flow else ...,
    }
    return id_token({name: value for name, value in (said | changed).items() if value is not ...})


# Beginning.


def test_the_browser_is_sent_off_with_all_that_protects_the_flow(desk: Desk) -> None:
    flow = desk.begin()
    query = parse_qs(urlsplit(flow["auth_uri"]).query)
    challenge = query.pop("code_challenge")
    assert query == {
        "audience": ["mail"],
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": [REDIRECT_URI],
        "scope": ["openid email mail.send offline_access"],
        "state": [flow["state"]],
        "nonce": [flow["nonce"]],
        "login_hint": [NOREPLY],
        "code_challenge_method": ["S256"],
    }
    assert len(challenge[0]) == 43
    assert flow["code_verifier"] not in flow["auth_uri"]
    assert json.loads(json.dumps(flow)) == flow


def test_every_flow_has_secrets_of_its_own(desk: Desk) -> None:
    first, second = desk.begin(), desk.begin()
    for secret in ("state", "nonce", "code_verifier"):
        assert first[secret] != second[secret]
        assert 43 <= len(first[secret]) <= 128


def test_authorize_params_add_and_never_weaken(custom: Custom) -> None:
    ours = dict.fromkeys(
        ("client_id", "redirect_uri", "state", "nonce", "response_type", "scope", "code_challenge"), "theirs"
    )
    params = ours | {
        "code_challenge_method": "plain",
        "access_type": "offline",
        "prompt": "consent",
        "login_hint": "somebody",
        # Names that mean something to Python or to Authlib.
        "self": "1",
        "url": "2",
    }
    desk = desk_of(replace(custom, authorize_params=params))
    flow = desk.begin()
    query = parse_qs(urlsplit(flow["auth_uri"]).query)
    assert (query["access_type"], query["prompt"]) == (["offline"], ["consent"])
    assert (query["login_hint"], query["self"], query["url"]) == (["somebody"], ["1"], ["2"])
    assert (len(query["code_challenge"]), query["state"]) == (1, [flow["state"]])
    assert "theirs" not in str(query)
    assert query["code_challenge_method"] == ["S256"]


def test_nobody_consents_for_everybody(desk: Desk) -> None:
    assert desk.oauth.admin_consent_url(redirect_uri=REDIRECT_URI) == ""


# Coming back.


def test_the_code_goes_to_the_token_endpoint_with_its_verifier(
    desk: Desk, provider: ScriptedProvider
) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow)))
    got = desk.complete(flow)
    (asked,) = provider.asked
    assert asked.form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": flow["code_verifier"],
    }
    assert got.account == Account(NOREPLY, "https://issuer.example", "subject", "No Reply")
    assert got.scopes == ("openid", "email", "mail.send", "offline_access")
    assert (got.access_token, got.refresh_token) == (ACCESS, NEW_REFRESH)
    assert timedelta(minutes=29) < got.expires_at - now() < timedelta(minutes=31)


def test_what_was_granted_is_what_the_provider_says(desk: Desk, provider: ScriptedProvider) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow), scope="openid offline_access"))
    assert desk.complete(flow).scopes == ("openid", "offline_access")


@pytest.mark.parametrize(
    "answer",
    [
        {"code": CODE},
        {"code": CODE, "state": ""},
        {"code": CODE, "state": f"{CANARY}ü"},
        {"code": CODE, "state": f"{CANARY}\ud800"},
        {"state": "right"},
        {"code": "", "state": "right"},
    ],
    ids=["no state", "empty state", "another state", "no text", "no code", "empty code"],
)
def test_an_answer_to_another_flow_is_refused_before_anything_is_asked(
    desk: Desk, provider: ScriptedProvider, answer: dict[str, str]
) -> None:
    flow = desk.begin()
    if answer.get("state") == "right":
        answer = answer | {"state": flow["state"]}
    with pytest.raises(ConsentRequiredError) as raised:
        desk.oauth.complete(flow, answer, now=now())
    assert str(raised.value) == "the sign-in that came back is not the one that was begun"
    assert provider.asked == []


def test_an_answer_that_is_packed_is_read(desk: Desk, provider: ScriptedProvider, grant: Grant) -> None:
    document = {"access_token": ACCESS, "token_type": "Bearer"}
    packed = gzip.compress(json.dumps(document).encode())
    provider.answer("/token", Reply(packed, headers={"Content-Encoding": "gzip"}))
    assert desk.oauth.refresh(grant, now=now()).access_token == ACCESS


@pytest.mark.parametrize(
    "said", [{"nonce": "\ud800"}, {"nonce": "another"}, {"nonce": ...}, {"nonce": None}, {"nonce": 7}]
)
def test_an_id_token_of_another_flow_is_refused(
    desk: Desk, provider: ScriptedProvider, said: dict[str, Any]
) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow, **said)))
    with pytest.raises(ConsentRequiredError, match="not the one that was begun"):
        desk.complete(flow)


def test_where_openid_was_not_asked_for_no_nonce_goes_and_none_need_come_back(
    custom: Custom, provider: ScriptedProvider
) -> None:
    desk = desk_of(replace(custom, login_scopes=()))
    flow = desk.begin()
    assert flow["nonce"] not in flow["auth_uri"]
    provider.answer("/token", tokens(id_token=claims()))
    assert desk.complete(flow).account.username == NOREPLY
    provider.answer("/token", tokens(id_token=claims(nonce="another")))
    with pytest.raises(ConsentRequiredError, match="not the one that was begun"):
        desk.complete(flow)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"aud": "another"}, "not for this application"),
        ({"exp": 1}, "expired"),
        ({"sub": ...}, "no sub"),
        ({"sub": 7}, "no sub"),
        ({"email": ..., "sub": "another"}, "another account than the id_token"),
        # The id_token alone says whom it is for: nothing of the userinfo endpoint's fills that in.
        ({"email": ..., "aud": ...}, "not for this application"),
        ({"email": ..., "exp": ...}, "expired"),
    ],
)
def test_an_id_token_that_names_nobody_for_us_is_refused(
    desk: Desk, provider: ScriptedProvider, said: dict[str, Any], why: str
) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow, **said)))
    userinfo = {"sub": "subject", "email": NOREPLY, "aud": CLIENT_ID, "exp": now().timestamp() + 600}
    provider.answer("/userinfo", Reply(userinfo))
    with pytest.raises(ConsentRequiredError, match=why):
        desk.complete(flow)


@pytest.mark.parametrize("garbled", ["", "a.b", "a.!!!.c", f"a.{base64.b64encode(b'[1]').decode()}.c", 7, {}])
def test_an_id_token_that_cannot_be_read_names_nobody(
    desk: Desk, provider: ScriptedProvider, garbled: Any
) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=garbled))
    with pytest.raises(ConsentRequiredError, match="no sub"):
        desk.complete(flow)


def test_the_userinfo_endpoint_fills_in_the_address(desk: Desk, provider: ScriptedProvider) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow, email=..., name=...)))
    provider.answer("/userinfo", Reply({"sub": "subject", "email": NOREPLY, "name": "No Reply"}))
    assert desk.complete(flow).account == Account(NOREPLY, "https://issuer.example", "subject", "No Reply")
    asked = provider.asked[-1]
    assert (asked.method, asked.path) == ("GET", "/userinfo")
    assert asked.headers["Authorization"] == f"Bearer {ACCESS}"


def test_the_userinfo_endpoint_alone_says_who_it_is_by_the_names_of_mail_toml(
    custom: Custom, provider: ScriptedProvider
) -> None:
    desk = desk_of(
        replace(
            custom,
            login_scopes=(),
            user_fields={"id": "Id", "email": "EmailAddress", "display_name": "DisplayName"},
        )
    )
    provider.answer("/token", tokens())
    provider.answer("/userinfo", Reply({"Id": 7, "EmailAddress": NOREPLY, "DisplayName": "No Reply"}))
    assert desk.complete(desk.begin()).account == Account(NOREPLY, "", "7", "No Reply")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply({"sub": "subject"}), ConsentRequiredError),
        (Reply(status=401), ConsentRequiredError),
        (Reply(status=302, headers={"Location": "/elsewhere"}), ConsentRequiredError),
        (Reply(status=503), TokenUnavailableError),
        (Reply(status=429), TokenUnavailableError),
        (Reply(status=0), TokenUnavailableError),
        (Reply(b"<html>"), TokenUnavailableError),
        (Reply([1]), TokenUnavailableError),
        (Reply(b"[" * 100_000), TokenUnavailableError),
        (Reply({"email": NOREPLY}, cut=True), TokenUnavailableError),
        (Reply(b"{", endless=True), TokenUnavailableError),
    ],
)
def test_a_userinfo_endpoint_that_does_not_say_who_it_is_is_no_identity(
    custom: Custom, provider: ScriptedProvider, reply: Reply, kind: type[GrantError]
) -> None:
    desk = desk_of(replace(custom, login_scopes=()))
    provider.answer("/token", tokens())
    provider.answer("/userinfo", reply)
    with pytest.raises(GrantError) as raised:
        desk.complete(desk.begin())
    assert type(raised.value) is kind
    assert_quiet(raised.value)


def test_without_any_way_to_know_who_it_is_there_is_no_grant(
    custom: Custom, provider: ScriptedProvider
) -> None:
    desk = desk_of(replace(custom, userinfo_endpoint=""))
    provider.answer("/token", tokens())
    with pytest.raises(ConsentRequiredError, match="userinfo_endpoint"):
        desk.complete(desk.begin())


@pytest.mark.parametrize("refresh_token", [..., None, "", 7, ["x"]])
def test_without_a_refresh_token_there_is_no_grant(
    desk: Desk, provider: ScriptedProvider, refresh_token: Any
) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow), refresh_token=refresh_token))
    with pytest.raises(ConsentRequiredError) as raised:
        desk.complete(flow)
    assert raised.value.code == "no_refresh_token"


def test_a_code_is_never_exchanged_twice(desk: Desk, provider: ScriptedProvider) -> None:
    desk.newer = [ClientSecret("a newer one")]
    provider.answer("/token", Reply({"error": "invalid_client"}, 401))
    with pytest.raises(CredentialError):
        desk.complete(desk.begin())
    assert (len(provider.asked), desk.refused) == (1, 1)


# Refreshing.


def test_a_refresh_token_that_is_not_replaced_stays(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    provider.answer("/token", tokens(refresh_token=..., access_token=f"{ACCESS}-2"))
    after = desk.oauth.refresh(grant, now=now())
    assert (after.refresh_token, after.access_token) == (OLD_REFRESH, f"{ACCESS}-2")
    assert provider.asked[0].form == {"grant_type": "refresh_token", "refresh_token": OLD_REFRESH}


def test_a_refresh_token_that_was_cut_is_not_kept(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    provider.answer("/token", tokens(refresh_token="short"))
    with pytest.raises(TokenUnavailableError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert raised.value.code == "refresh_token_shrunk"


@pytest.mark.parametrize("scope", ["offline_access mail.send", ..., None, 7, ""])
def test_a_scope_that_says_enough_or_nothing_is_taken(
    desk: Desk, provider: ScriptedProvider, grant: Grant, scope: Any
) -> None:
    provider.answer("/token", tokens(scope=scope))
    assert desk.oauth.refresh(grant, now=now()).scopes == grant.scopes


def test_a_token_that_may_not_send_is_of_no_use(desk: Desk, provider: ScriptedProvider, grant: Grant) -> None:
    provider.answer("/token", tokens(scope="openid email offline_access"))
    with pytest.raises(UnsuitableTokenError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert raised.value.code == "token-permission"
    assert "mail.send" in str(raised.value)


@pytest.mark.parametrize("said", [{"sub": "Subject"}, {"sub": ...}, {"iss": "https://another.example"}])
def test_the_token_of_another_account_is_refused(
    desk: Desk, provider: ScriptedProvider, grant: Grant, said: dict[str, Any]
) -> None:
    provider.answer("/token", tokens(id_token=claims(**said)))
    with pytest.raises(ConsentRequiredError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert raised.value.code == "other_account"


@pytest.mark.parametrize(
    ("token", "username"),
    [
        (claims(email="renamed@contoso.com"), "renamed@contoso.com"),
        (claims(email=...), NOREPLY),
        (claims(email="renamed@contoso.com", exp=1), NOREPLY),
        ("not.readable", NOREPLY),
    ],
    ids=["renamed", "no address", "expired", "garbled"],
)
def test_the_account_is_what_a_good_id_token_says_it_is_now(
    desk: Desk, provider: ScriptedProvider, grant: Grant, token: str, username: str
) -> None:
    provider.answer("/token", tokens(id_token=token))
    after = desk.oauth.refresh(grant, now=now())
    assert after.account.username == username
    assert after.refresh_token == NEW_REFRESH


def test_an_account_of_the_userinfo_endpoint_is_not_measured_by_an_id_token(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    provider.answer("/token", tokens(id_token=claims(email="renamed@contoso.com")))
    account = Account(NOREPLY, "", "7")
    assert desk.oauth.refresh(replace(grant, account=account), now=now()).account == account


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *[(7200, 7200), ("7200", 7200), (1.5, 1.5), (..., 3600), (None, 3600)],
        *[(0, 0), (-1, 0), ("soon", 0), (True, 0), ([1], 0), ({}, 0), (1e300, 0), (10**400, 0)],
    ],
)
def test_a_lifetime_is_read_as_it_is_meant(
    desk: Desk, provider: ScriptedProvider, grant: Grant, said: Any, seconds: float
) -> None:
    provider.answer("/token", tokens(expires_in=said, expires_at=["whenever"]))
    at = now()
    assert desk.oauth.refresh(grant, now=at).expires_at - at == timedelta(seconds=seconds)


# An application by itself.


def test_an_application_asks_with_the_scopes_of_sending(custom: Custom, provider: ScriptedProvider) -> None:
    desk = desk_of(replace(custom, offline_scopes=("mail.send",)), GrantKind.APP)
    provider.answer("/token", tokens(refresh_token=...))
    got = desk.oauth.app_grant(NOREPLY, now=now())
    assert provider.asked[0].form == {"grant_type": "client_credentials", "scope": "mail.send"}
    assert (got.account, got.scopes, got.is_app_only) == (Account(NOREPLY), ("mail.send",), True)


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_grant", "access_denied"])
def test_what_an_application_is_refused_is_an_administrators(
    custom: Custom, provider: ScriptedProvider, error: str
) -> None:
    desk = desk_of(custom, GrantKind.APP)
    provider.answer("/token", Reply({"error": error}, 400))
    with pytest.raises(CredentialError) as raised:
        desk.oauth.app_grant(NOREPLY, now=now())
    assert raised.value.code == error


# How the application proves itself.


def test_basic_is_form_encoded_first(desk: Desk, provider: ScriptedProvider, grant: Grant) -> None:
    provider.answer("/token", tokens())
    desk.oauth.refresh(grant, now=now())
    scheme, _, pair = provider.asked[0].headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"client+of+ours:canary-secret%2B%2F%3D%25%3A%C3%A9"


@pytest.mark.parametrize(
    ("method", "credential", "proof"),
    [
        ("client_secret_post", ClientSecret(SECRET), {"client_secret": SECRET}),
        ("none", None, {}),
        (
            "client_secret_basic",
            ClientAssertion("signed.by.others"),
            {
                "client_assertion": "signed.by.others",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            },
        ),
    ],
)
def test_the_form_holds_the_proof(
    custom: Custom,
    provider: ScriptedProvider,
    *,
    method: str,
    credential: ClientCredential,
    proof: dict[str, str],
) -> None:
    desk = desk_of(replace(custom, client_authentication=method))
    desk.credential = credential
    provider.answer("/token", tokens())
    desk.oauth.app_grant(NOREPLY, now=now())
    asked = provider.asked[0]
    assert asked.form == proof | {
        "grant_type": "client_credentials",
        "scope": "mail.send email offline_access",
        "client_id": CLIENT_ID,
    }
    assert "Authorization" not in asked.headers


def test_a_certificates_key_signs_an_assertion_for_the_token_endpoint(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    pair = KeyPair.make("ours", now(), timedelta(days=1))
    desk.credential = ClientCertificate(pair.private_pem, pair.public.pem)
    provider.answer("/token", tokens())
    desk.oauth.refresh(grant, now=now())
    header, payload, _ = provider.asked[0].form["client_assertion"].split(".")
    thumbprint = base64.urlsafe_b64decode(decoded(header)["x5t#S256"] + "=").hex().upper()
    assert (decoded(header)["alg"], thumbprint) == ("RS256", pair.public.thumbprint("x5t#S256"))
    said = decoded(payload)
    assert (said["iss"], said["sub"], said["aud"]) == (CLIENT_ID, CLIENT_ID, f"{provider.url}/token")
    assert "client_secret" not in provider.asked[0].form


def decoded(part: str) -> dict[str, Any]:
    value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("broken", ["no key", ""])
def test_a_certificate_that_is_none_is_a_grant_error(desk: Desk, grant: Grant, broken: str) -> None:
    desk.credential = ClientCertificate(f"{CANARY}{broken}", f"{CANARY}{broken}")
    with pytest.raises(GrantError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert_quiet(raised.value)


def test_a_newer_credential_is_tried_once(desk: Desk, provider: ScriptedProvider, grant: Grant) -> None:
    desk.newer = [ClientSecret(f"{CANARY}2"), ClientSecret(f"{CANARY}3")]
    provider.answer("/token", Reply({"error": "invalid_client"}, 401))
    with pytest.raises(CredentialError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert (len(provider.asked), desk.refused) == (2, 2)
    assert_quiet(raised.value)


def test_the_same_credential_is_not_tried_again(desk: Desk, provider: ScriptedProvider, grant: Grant) -> None:
    provider.answer("/token", Reply({"error": "invalid_client"}, 401))
    with pytest.raises(CredentialError):
        desk.oauth.refresh(grant, now=now())
    assert (len(provider.asked), desk.refused) == (1, 1)


# Whatever the provider answers.

LEAKY = f"your {SECRET} and {OLD_REFRESH} and {CODE}"
ANSWERS = [
    Reply(b"<html>It works</html>", headers={"Content-Type": "text/html"}),
    Reply(b"<html>Bad gateway</html>", 502),
    Reply({"error": "invalid_grant"}, 500),
    Reply({"error": "invalid_grant"}, 503),
    Reply({"error": "invalid_grant"}, 429, {"Retry-After": "5"}),
    Reply({"error": "invalid_grant"}, 408),
    Reply(LEAKY.encode(), 404),
    Reply(b"", 401),
    Reply({"access_token": ACCESS, "token_type": "Bearer"}, 403),
    Reply(status=0),
    Reply(b"", 204),
    Reply({"access_token": ACCESS, "token_type": "Bearer"}, cut=True),
    Reply(b'{"access_token": "cana'),
    Reply([{"access_token": ACCESS}]),
    Reply(b"null"),
    Reply(b"\xff\xfe{}"),
    Reply(b"[" * 100_000),
    Reply(b'{"a": ' + b"9" * 10_000 + b"}"),
    Reply(b" " * 1_100_000 + b'{"access_token": "x", "token_type": "Bearer"}'),
    Reply(b"{", endless=True),
    Reply(b"x", headers={"Content-Encoding": "gzip"}),
    Reply(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
    Reply(b'{"access_token": "x", "token_type": "Bearer", "expires_in": NaN}'),
    Reply({"access_token": ACCESS, "token_type": "Bearer"}, 302, {"Location": "/token"}),
    tokens(access_token=7),
    tokens(access_token=""),
    tokens(access_token=...),
    tokens(access_token=f"{ACCESS}\r\nX: y"),
    tokens(access_token=f"{ACCESS}\x01auth"),
    tokens(access_token=f"{ACCESS}é"),
    tokens(token_type="mac"),
    tokens(token_type=...),
    tokens(token_type=["Bearer"]),
    Reply({"error": LEAKY, "error_description": LEAKY}, 400),
    Reply({"error": {"message": LEAKY}, "error_description": LEAKY}, 400),
    Reply({"error": None, "error_description": LEAKY}, 400),
    Reply({"error": "temporarily_unavailable", "error_description": LEAKY}, 400),
]


@pytest.mark.parametrize("reply", ANSWERS, ids=range(len(ANSWERS)))
def test_an_answer_that_is_none_changes_nothing_and_tells_nothing(
    desk: Desk, provider: ScriptedProvider, grant: Grant, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    provider.answer("/token", reply)
    asks: list[Callable[[], Grant]] = [
        lambda: desk.oauth.refresh(grant, now=now()),
        lambda: desk.oauth.app_grant(NOREPLY, now=now()),
        lambda: desk.complete(desk.begin()),
    ]
    for ask in asks:
        with pytest.raises(TokenUnavailableError) as raised:
            ask()
        assert_quiet(raised.value)
    assert len(provider.asked) == 3
    assert CANARY not in caplog.text
    assert desk.refused == 0


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("invalid_grant", 400, ConsentRequiredError),
        ("interaction_required", 400, ConsentRequiredError),
        ("invalid_grant", 200, ConsentRequiredError),
        ("invalid_scope", 400, CredentialError),
        ("unauthorized_client", 400, CredentialError),
        ("slow_down", 400, TokenUnavailableError),
    ],
)
def test_an_error_means_what_oauth_says(
    desk: Desk, provider: ScriptedProvider, grant: Grant, *, error: str, status: int, kind: type[GrantError]
) -> None:
    provider.answer("/token", Reply({"error": error, "error_description": LEAKY}, status))
    with pytest.raises(GrantError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert (type(raised.value), raised.value.code) == (kind, error)
    assert_quiet(raised.value)


def test_an_error_that_is_null_beside_a_token_is_none(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    provider.answer("/token", tokens(error=None))
    assert desk.oauth.refresh(grant, now=now()).access_token == ACCESS


def test_a_provider_that_is_not_there_is_tried_again(custom: Custom, grant: Grant) -> None:
    desk = desk_of(replace(custom, token_endpoint="https://localhost:1/token"))
    with pytest.raises(TokenUnavailableError) as raised:
        desk.oauth.refresh(grant, now=now())
    assert_quiet(raised.value)


def test_nothing_secret_is_in_a_repr(desk: Desk, provider: ScriptedProvider) -> None:
    flow = desk.begin()
    provider.answer("/token", tokens(id_token=claims(flow)))
    assert CANARY not in repr((desk.complete(flow), desk.credential, desk.oauth))


# The picture.


def test_the_picture_is_fetched_with_the_access_token(
    desk: Desk, provider: ScriptedProvider, grant: Grant
) -> None:
    provider.answer("/picture", Reply(PNG, headers={"Content-Type": "image/png; q=1"}))
    picture, after = desk.oauth.picture(grant, now=now())
    assert picture is not None
    assert (picture.content_type, picture.content) == ("image/png", PNG)
    assert after is grant
    assert provider.asked[0].headers["Authorization"] == f"Bearer {ACCESS}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(PNG, headers={"Content-Type": "image/svg+xml"}),
        Reply(PNG, headers={"Content-Type": "text/html"}),
        Reply(PNG, 404, headers={"Content-Type": "image/png"}),
        Reply(b"", headers={"Content-Type": "image/png"}),
        Reply(b"0" * 200_001, headers={"Content-Type": "image/png"}),
        Reply(PNG, headers={"Content-Type": "image/png"}, endless=True),
        Reply(PNG, headers={"Content-Type": "image/png"}, cut=True),
        Reply(PNG, 302, headers={"Content-Type": "image/png", "Location": "https://127.0.0.1/"}),
        Reply(status=500),
        Reply(status=0),
    ],
)
def test_a_picture_that_cannot_be_had_spoils_nothing(
    desk: Desk, provider: ScriptedProvider, grant: Grant, reply: Reply
) -> None:
    provider.answer("/picture", reply)
    assert desk.oauth.picture(grant, now=now()) == (None, grant)
    assert len(provider.asked) == 1


def test_an_access_token_follows_no_redirect(custom: Custom, provider: ScriptedProvider) -> None:
    desk = desk_of(replace(custom, login_scopes=()))
    provider.answer("/token", tokens())
    for path in ("/userinfo", "/picture"):
        provider.answer(path, Reply(status=307, headers={"Location": f"{provider.url}/elsewhere"}))
    provider.answer("/elsewhere", Reply({"email": NOREPLY}, headers={"Content-Type": "image/png"}))
    with pytest.raises(ConsentRequiredError):
        desk.complete(desk.begin())
    provider.answer("/userinfo", Reply({"email": NOREPLY}))
    grant = desk.complete(desk.begin())
    assert desk.oauth.picture(grant, now=now()) == (None, grant)
    assert "/elsewhere" not in {asked.path for asked in provider.asked}


def test_where_no_endpoint_has_pictures_none_is_asked_for(
    custom: Custom, provider: ScriptedProvider, grant: Grant
) -> None:
    desk = desk_of(replace(custom, userpicture_endpoint=""))
    assert desk.oauth.picture(grant, now=now()) == (None, grant)
    assert provider.asked == []


def assert_quiet(error: GrantError) -> None:
    """Nothing secret is told, not even with its traceback."""
    told = f"{error!r} {error} {error.code} {''.join(traceback.format_exception(error))}"
    assert CANARY not in told
