"""What a service finds when it checks an access token."""

from datetime import timedelta

import jwt
import pytest

from local.microsoft.directory import default_tenant
from local.microsoft.tokens import Refusal, TokenRefused, Tokens

EXCHANGE = {"https://outlook.office.com", "https://outlook.office365.com"}


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(default_tenant())


def delegated(tokens: Tokens, audience: str = "https://outlook.office.com") -> str:
    tenant = tokens.tenant
    return tokens.delegated(tenant.users[0], tenant.apps[0], audience=audience, scopes=("SMTP.Send",))[0]


def refusal(tokens: Tokens, token: str) -> Refusal:
    with pytest.raises(TokenRefused) as caught:
        tokens.verify_access_token(token, audience=EXCHANGE)
    assert token not in str(caught.value) or not token
    return caught.value.reason


def test_a_good_token_gives_its_claims(tokens: Tokens) -> None:
    claims = tokens.verify_access_token(delegated(tokens), audience=EXCHANGE)
    assert (claims["scp"], claims["upn"], claims["ver"]) == ("SMTP.Send", "noreply@contoso.com", "1.0")


@pytest.mark.parametrize("audience", ["https://outlook.office365.com", "https://outlook.office.com/"])
def test_both_spellings_of_the_audience_count_with_and_without_a_slash(tokens: Tokens, audience: str) -> None:
    assert tokens.verify_access_token(delegated(tokens, audience), audience=EXCHANGE)["aud"] == audience


def test_graphs_audience_is_refused(tokens: Tokens) -> None:
    assert refusal(tokens, delegated(tokens, "https://graph.microsoft.com")) is Refusal.AUDIENCE


def test_an_expired_token_is_refused(tokens: Tokens) -> None:
    tokens.lifetime = timedelta(seconds=-1)
    token = delegated(tokens)
    tokens.lifetime = None
    assert refusal(tokens, token) is Refusal.EXPIRED


def test_another_tenants_key_is_refused(tokens: Tokens) -> None:
    assert refusal(tokens, delegated(Tokens(default_tenant()))) is Refusal.SIGNATURE


def test_a_changed_claim_breaks_the_signature(tokens: Tokens) -> None:
    head, _, signature = delegated(tokens).split(".")
    _, other, _ = delegated(tokens, "https://outlook.office365.com").split(".")
    assert refusal(tokens, f"{head}.{other}.{signature}") is Refusal.SIGNATURE


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_what_is_not_a_token_is_refused(tokens: Tokens, token: str) -> None:
    assert refusal(tokens, token) is Refusal.MALFORMED


def test_an_unsigned_token_is_refused(tokens: Tokens) -> None:
    claims = jwt.decode(delegated(tokens), options={"verify_signature": False})
    name = jwt.get_unverified_header(delegated(tokens))["kid"]
    assert refusal(tokens, jwt.encode(claims, "", algorithm="none", headers={"kid": name})) in {
        Refusal.MALFORMED,
        Refusal.SIGNATURE,
    }


def test_an_id_token_is_no_access_token(tokens: Tokens) -> None:
    tenant = tokens.tenant
    token = tokens.id_token(tenant.users[0], tenant.apps[0], issuer="https://localhost/v2.0", nonce=None)
    assert refusal(tokens, token) in {Refusal.AUDIENCE, Refusal.ISSUER}


def test_an_app_without_roles_has_no_roles_claim(tokens: Tokens) -> None:
    token, _ = tokens.app_only(tokens.tenant.apps[0], audience="https://outlook.office365.com", roles=())
    assert "roles" not in tokens.verify_access_token(token, audience=EXCHANGE)


def test_the_life_is_random_between_60_and_90_minutes(tokens: Tokens) -> None:
    tenant = tokens.tenant
    lives = {
        tokens.app_only(tenant.apps[0], audience="https://outlook.office365.com", roles=())[1]
        for _ in range(8)
    }
    assert all(3600 <= life <= 5400 for life in lives)
    assert len(lives) > 1
