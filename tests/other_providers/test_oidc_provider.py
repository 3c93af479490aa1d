"""A service of type ``custom`` on npm's oidc-provider: what we take for OAuth 2 is what others do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from shared.adapters.custom_oauth import CustomOAuth
from shared.core.grant import Account, ClientCertificate, ClientSecret
from shared.core.service import Custom, GrantKind, Service
from shared.errors import ConsentRequiredError, CredentialError
from tests.other_providers.conftest import (
    ACCOUNTS,
    BASIC_SECRET,
    NOREPLY,
    POST_SECRET,
    REDIRECT_URI,
    Browser,
    OidcProvider,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.grant import ClientCredential, Grant

SECRETS: dict[str, ClientCredential] = {
    "basic client": ClientSecret(BASIC_SECRET),
    "post": ClientSecret(POST_SECRET),
    "public": None,
}
METHODS = {
    "basic client": "client_secret_basic",
    "post": "client_secret_post",
    "public": "none",
    "certified": "client_secret_basic",
}


def now() -> datetime:
    return datetime.now(UTC)


def custom(issuer: str, **changed: Any) -> Custom:
    """Return what an administrator writes in mail.toml for this provider."""
    return replace(
        Custom(
            authorization_endpoint=f"{issuer}/auth",
            token_endpoint=f"{issuer}/token",
            login_scopes=("openid", "email", "profile"),
            offline_scopes=("mail.send", "offline_access"),
            userinfo_endpoint=f"{issuer}/me",
            # It gives a refresh token only where the person was asked (OpenID Connect Core §11).
            authorize_params={"prompt": "consent"},
        ),
        **changed,
    )


def oauth(
    provider: Custom,
    client_id: str = "basic client",
    credential: ClientCredential = None,
    refused: Callable[[], None] = lambda: None,
    kind: GrantKind = GrantKind.DELEGATED,
) -> CustomOAuth:
    provider = replace(provider, client_authentication=METHODS[client_id])
    proof = credential or SECRETS.get(client_id)
    return CustomOAuth(
        Service("other", client_id, provider, kind), provider, lambda: proof, credential_refused=refused
    )


def connect(adapter: CustomOAuth, browser: Browser, account: str = "42") -> Grant:
    flow = adapter.begin(redirect_uri=REDIRECT_URI, account=account)
    return adapter.complete(flow, browser.sign_in(flow["auth_uri"], account), now=now())


def credential_of(client_id: str, oidc_provider: OidcProvider) -> ClientCredential:
    if client_id == "certified":
        return ClientCertificate(oidc_provider.pair.private_pem, oidc_provider.pair.public.pem)
    return SECRETS[client_id]


@pytest.mark.parametrize("client_id", METHODS)
def test_somebody_signs_in_and_consents_and_the_grant_lives_on(
    oidc_provider: OidcProvider, browser: Browser, client_id: str
) -> None:
    adapter = oauth(custom(oidc_provider.strict), client_id, credential_of(client_id, oidc_provider))
    grant = connect(adapter, browser)
    assert browser.pages == ["login", "consent"]
    assert grant.account == Account(NOREPLY, oidc_provider.strict, "42", "No Reply")
    assert set(grant.scopes) == {"openid", "email", "profile", "mail.send", "offline_access"}
    assert timedelta(minutes=30) < grant.expires_at - now() < timedelta(hours=2)
    for _ in range(3):
        after = adapter.refresh(grant, now=now())
        assert after.account == grant.account
        assert after.access_token != grant.access_token
        assert after.refresh_token not in {"", grant.refresh_token}
        grant = after


def test_the_id_token_alone_says_who_it_is_where_it_has_the_address(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.generous, userinfo_endpoint=""))
    grant = connect(adapter, browser)
    assert grant.account == Account(NOREPLY, oidc_provider.generous, "42", "No Reply")
    assert adapter.refresh(grant, now=now()).account == grant.account


def test_whoever_signs_in_is_named_and_not_who_was_asked_for(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.strict))
    flow = adapter.begin(redirect_uri=REDIRECT_URI, account=NOREPLY)
    grant = adapter.complete(flow, browser.sign_in(flow["auth_uri"], "43"), now=now())
    assert grant.account.username == ACCOUNTS["43"]["email"]


def test_without_an_address_anywhere_there_is_no_grant(oidc_provider: OidcProvider, browser: Browser) -> None:
    adapter = oauth(custom(oidc_provider.strict, userinfo_endpoint=""))
    with pytest.raises(ConsentRequiredError, match="no email"):
        connect(adapter, browser)


def test_a_provider_that_was_not_asked_for_openid_takes_the_request(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.strict, login_scopes=()))
    # It has a userinfo endpoint for OpenID alone, so nobody is named; the flow itself went through.
    with pytest.raises(ConsentRequiredError, match="does not say who signed in"):
        connect(adapter, browser)


def test_without_prompt_consent_it_gives_no_refresh_token(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.strict, authorize_params={}))
    with pytest.raises(ConsentRequiredError) as raised:
        connect(adapter, browser)
    assert raised.value.code == "no_refresh_token"


def test_a_person_who_declines_comes_back_with_an_error_and_the_state(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    flow = oauth(custom(oidc_provider.strict)).begin(redirect_uri=REDIRECT_URI, account=NOREPLY)
    answer = browser.sign_in(flow["auth_uri"], "42", declines=True)
    assert (answer["error"], answer["state"]) == ("access_denied", flow["state"])


def test_it_insists_on_pkce(oidc_provider: OidcProvider, browser: Browser) -> None:
    adapter = oauth(custom(oidc_provider.strict))
    flow = adapter.begin(redirect_uri=REDIRECT_URI, account=NOREPLY)
    url = urlsplit(flow["auth_uri"])
    bare = [(name, value) for name, value in parse_qsl(url.query) if "code_challenge" not in name]
    answer = browser.sign_in(url._replace(query=urlencode(bare)).geturl(), "42")
    assert answer["error"] == "invalid_request"
    answer = browser.sign_in(flow["auth_uri"], "42")
    other = adapter.begin(redirect_uri=REDIRECT_URI, account=NOREPLY)
    with pytest.raises(ConsentRequiredError) as raised:
        adapter.complete(flow | {"code_verifier": other["code_verifier"]}, answer, now=now())
    assert raised.value.code == "invalid_grant"


def test_a_code_that_is_used_twice_ends_what_came_of_it(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.strict))
    flow = adapter.begin(redirect_uri=REDIRECT_URI, account=NOREPLY)
    answer = browser.sign_in(flow["auth_uri"], "42")
    grant = adapter.complete(flow, answer, now=now())
    with pytest.raises(ConsentRequiredError):
        adapter.complete(flow, answer, now=now())
    with pytest.raises(ConsentRequiredError):
        adapter.refresh(grant, now=now())


def test_a_refresh_token_that_is_used_twice_ends_the_family(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    adapter = oauth(custom(oidc_provider.strict))
    first = connect(adapter, browser)
    second = adapter.refresh(first, now=now())
    for grant in (first, second):
        with pytest.raises(ConsentRequiredError) as raised:
            adapter.refresh(grant, now=now())
        assert raised.value.code == "invalid_grant"
        assert str(raised.value) == "the provider refused: invalid_grant"
    # A person who consents again mends it.
    again = connect(adapter, browser)
    assert adapter.refresh(again, now=now()).account == first.account


@pytest.mark.parametrize("client_id", ["basic client", "post", "certified"])
def test_an_application_sends_by_itself(oidc_provider: OidcProvider, client_id: str) -> None:
    adapter = oauth(
        custom(oidc_provider.strict, offline_scopes=("mail.send",)),
        client_id,
        credential_of(client_id, oidc_provider),
        kind=GrantKind.APP,
    )
    grant = adapter.app_grant(NOREPLY, now=now())
    assert (grant.account, grant.scopes, grant.is_app_only) == (Account(NOREPLY), ("mail.send",), True)
    assert grant.access_token
    assert grant.expires_at > now() + timedelta(minutes=5)


@pytest.mark.parametrize("client_id", ["basic client", "post"])
def test_a_wrong_secret_is_an_administrators_business(oidc_provider: OidcProvider, client_id: str) -> None:
    told: list[str] = []
    adapter = oauth(
        custom(oidc_provider.strict), client_id, ClientSecret("wrong"), lambda: told.append("refused")
    )
    with pytest.raises(CredentialError) as raised:
        adapter.app_grant(NOREPLY, now=now())
    assert (raised.value.code, told) == ("invalid_client", ["refused"])


def test_a_scope_that_it_does_not_give_the_application_is_an_administrators_business(
    oidc_provider: OidcProvider,
) -> None:
    adapter = oauth(custom(oidc_provider.strict, offline_scopes=("mail.read",)), "post", kind=GrantKind.APP)
    with pytest.raises(CredentialError) as raised:
        adapter.app_grant(NOREPLY, now=now())
    assert raised.value.code == "invalid_scope"


def test_endpoints_that_are_no_pictures_give_none(oidc_provider: OidcProvider, browser: Browser) -> None:
    adapter = oauth(custom(oidc_provider.strict, userpicture_endpoint=f"{oidc_provider.strict}/me"))
    grant = connect(adapter, browser)
    assert adapter.picture(grant, now=now()) == (None, grant)
