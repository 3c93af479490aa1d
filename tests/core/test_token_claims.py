from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.grant import Account, Grant
from shared.core.service import CLOUDS, EXCHANGE_APP_ID, Custom, GrantKind, Microsoft, Service
from shared.core.token_claims import Flaw, Flawed, flaw_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_ID = "99999999-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
PERSON = "10000000-0000-4000-8000-000000000001"
SIGNATURE = "c2lnbmF0dXJl"


def service(tenant: str = TENANT, cloud: str = "public", grant: GrantKind = GrantKind.DELEGATED) -> Service:
    provider = Microsoft(tenant, f"https://login.microsoftonline.com/{tenant}", CLOUDS[cloud])
    return Service("microsoft", CLIENT_ID, provider, grant)


MINE = service()
APP = service(grant=GrantKind.APP)
BY_DOMAIN = service("contoso.com")
CUSTOM = Service("other", CLIENT_ID, Custom("https://a.example/authorize", "https://a.example/token"))
CLAIMS: dict[str, Any] = {
    "aud": "https://outlook.office.com",
    "exp": int(NOW.timestamp()) + 3600,
    "tid": TENANT,
    "oid": PERSON,
    "appid": CLIENT_ID,
    "scp": "SMTP.Send User.Read",
}
OF_AN_APP: dict[str, Any] = {
    "aud": "https://outlook.office365.com",
    "exp": CLAIMS["exp"],
    "tid": TENANT,
    "oid": "20000000-0000-4000-8000-000000000001",
    "appid": CLIENT_ID,
    "roles": ["SMTP.SendAsApp"],
}


def part(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwt(claims: object) -> str:
    return f"{part(b'{}')}.{part(json.dumps(claims).encode())}.{SIGNATURE}"


def grant(token: str, account: Account | None = None) -> Grant:
    account = account or Account("noreply@contoso.com", TENANT, PERSON)
    return Grant(account, (), NOW, NOW, NOW + timedelta(hours=1), "refresh", token)


def without(claims: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name not in names}


def flaw(claims: dict[str, Any], of: Service = MINE, account: Account | None = None) -> Flawed | None:
    return flaw_of(grant(jwt(claims), account), of, NOW)


# What must pass.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": "https://outlook.office.com/"},
        {"aud": "https://outlook.office365.com"},
        {"aud": "HTTPS://OUTLOOK.OFFICE.COM/"},
        {"aud": EXCHANGE_APP_ID},
        {"aud": EXCHANGE_APP_ID.upper()},
        {"tid": TENANT.upper()},
        {"oid": PERSON.upper()},
        {"appid": CLIENT_ID.upper()},
        {"appid": "", "azp": CLIENT_ID},
        {"scp": "smtp.send"},
        {"scp": "Mail.Read SMTP.Send"},
        {"exp": int(NOW.timestamp()) + 1},
        {"exp": NOW.timestamp() + 0.5},
        {"exp": "soon"},
        {"roles": ["SMTP.SendAsApp"]},
    ],
)
def test_a_persons_token_for_sending_has_no_flaw(changes: dict[str, Any]) -> None:
    assert flaw({**CLAIMS, **changes}) is None


@pytest.mark.parametrize("name", ["aud", "exp", "tid", "oid", "appid"])
def test_what_a_token_keeps_to_itself_is_the_servers_to_judge(name: str) -> None:
    assert flaw(without(CLAIMS, name)) is None
    assert flaw({**CLAIMS, name: None}) is None
    assert flaw({**CLAIMS, name: ["x"]}) is None


OPAQUE = {
    "nothing": "",
    "opaque": "EwBwA8l6BAAU-opaque",
    "encrypted, five parts": ".".join([part(b'{"enc":"A256GCM"}'), "key", "iv", "text", "tag"]),
    "two parts": ".".join(jwt({}).split(".")[:2]),
    "no base64": f"a.{'*' * 9}.b",
    "no UTF-8": f"a.{part(bytes([255, 254, 253]))}.b",
    "no JSON": f"a.{part(b'claims')}.b",
    "a list": f"a.{part(b'[1]')}.b",
    "a number": f"a.{part(b'1')}.b",
    "too deep": f"a.{part(b'[' * 100_000)}.b",
    "a number of too many digits": f"a.{part(b'9' * 5_000)}.b",
    "letters of no alphabet": "ä.ö.ü",
}


@pytest.mark.parametrize("kind", OPAQUE)
@pytest.mark.parametrize("of", [MINE, APP, CUSTOM], ids=["delegated", "app", "custom"])
def test_a_token_that_cannot_be_read_is_let_through(kind: str, of: Service) -> None:
    assert flaw_of(grant(OPAQUE[kind]), of, NOW) is None


def test_another_providers_tokens_are_its_own_business() -> None:
    assert flaw({"aud": "x", "exp": 1, "scp": "none", "tid": "x", "appid": "x"}, CUSTOM) is None


def test_the_tenant_of_one_that_is_written_as_a_domain_is_the_accounts() -> None:
    assert flaw(CLAIMS, BY_DOMAIN) is None
    assert flaw({**CLAIMS, "tid": OTHER_ID}, BY_DOMAIN) == Flawed(Flaw.TENANT, f"tid: {OTHER_ID}")
    # An application has no account that tells it.
    alone = Account("noreply@contoso.com")
    by_domain = service("contoso.com", grant=GrantKind.APP)
    assert flaw({**OF_AN_APP, "tid": OTHER_ID}, by_domain, alone) is None
    assert flaw({**OF_AN_APP, "tid": OTHER_ID}, APP, alone) == Flawed(Flaw.TENANT, f"tid: {OTHER_ID}")


@pytest.mark.parametrize("roles", [None, [], ["Mail.Read"], ["SMTP.SendAsApp"], "SMTP.SendAsApp"])
def test_an_applications_token_needs_no_role_where_exchange_itself_lets_it_in(roles: object) -> None:
    claims = {**OF_AN_APP, "roles": roles}
    assert flaw(claims, APP, Account("noreply@contoso.com")) is None


def test_an_applications_own_object_id_is_nobodys_account() -> None:
    assert flaw(OF_AN_APP, APP, Account("noreply@contoso.com", TENANT, PERSON)) is None


# What must not.


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"aud": "https://graph.microsoft.com"}, Flawed(Flaw.AUDIENCE, "aud: https://graph.microsoft.com")),
        (
            {"aud": "00000003-0000-0000-c000-000000000000"},
            Flawed(Flaw.AUDIENCE, "aud: 00000003-0000-0000-c000-000000000000"),
        ),
        (
            {"aud": "https://outlook.office.com.evil.example"},
            Flawed(Flaw.AUDIENCE, "aud: https://outlook.office.com.evil.example"),
        ),
        (
            {"aud": "https://outlook.office365.us"},
            Flawed(Flaw.AUDIENCE, "aud: https://outlook.office365.us"),
        ),
        ({"scp": "User.Read"}, Flawed(Flaw.PERMISSION, "scp: User.Read")),
        ({"scp": "SMTP.SendAsApp"}, Flawed(Flaw.PERMISSION, "scp: SMTP.SendAsApp")),
        ({"scp": "xSMTP.Send"}, Flawed(Flaw.PERMISSION, "scp: xSMTP.Send")),
        ({"scp": ""}, Flawed(Flaw.PERMISSION, "scp: none")),
        ({"scp": ["SMTP.Send"]}, Flawed(Flaw.PERMISSION, "scp: none")),
        (
            {"exp": int(NOW.timestamp())},
            Flawed(Flaw.EXPIRED, f"exp: {int(NOW.timestamp())}"),
        ),
        ({"exp": 0}, Flawed(Flaw.EXPIRED, "exp: 0")),
        ({"exp": -1.5}, Flawed(Flaw.EXPIRED, "exp: -1.5")),
        ({"tid": OTHER_ID}, Flawed(Flaw.TENANT, f"tid: {OTHER_ID}")),
        ({"oid": OTHER_ID}, Flawed(Flaw.ACCOUNT, f"oid: {OTHER_ID}")),
        ({"appid": OTHER_ID}, Flawed(Flaw.ACCOUNT, f"appid: {OTHER_ID}")),
        ({"appid": "", "azp": OTHER_ID}, Flawed(Flaw.ACCOUNT, f"appid: {OTHER_ID}")),
    ],
)
def test_each_flaw_is_named_with_its_claim(changes: dict[str, Any], found: Flawed) -> None:
    assert flaw({**CLAIMS, **changes}) == found


def test_a_persons_token_without_scopes_is_an_applications() -> None:
    assert flaw({**OF_AN_APP, "oid": PERSON}) == Flawed(Flaw.PERMISSION, "scp: none")


def test_an_applications_token_with_scopes_is_a_persons() -> None:
    found = flaw({**OF_AN_APP, "scp": "SMTP.Send"}, APP, Account("noreply@contoso.com"))
    assert found == Flawed(Flaw.PERMISSION, "scp: SMTP.Send")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_takes_its_own_audience_and_no_others(cloud: str) -> None:
    of = service(cloud=cloud)
    for name, other in CLOUDS.items():
        found = flaw({**CLAIMS, "aud": other.outlook}, of)
        assert (found is None) == (name == cloud)
        found = flaw({**CLAIMS, "aud": other.outlook_of_apps}, of)
        assert (found is None) == (name == cloud)


def test_what_is_quoted_of_a_claim_is_not_long() -> None:
    found = flaw({**CLAIMS, "aud": "x" * 10_000})
    assert found == Flawed(Flaw.AUDIENCE, f"aud: {'x' * 200}")


def test_every_flaw_has_a_remedy_of_its_name() -> None:
    assert [each.value for each in Flaw] == [
        "token-audience",
        "token-permission",
        "token-expired",
        "token-tenant",
        "token-account",
    ]


def test_a_flaw_holds_nothing_of_the_token_but_one_claim() -> None:
    token = jwt({**CLAIMS, "aud": "x", "canary": "c4n4ry"})
    found = flaw_of(grant(token), MINE, NOW)
    assert found
    assert "c4n4ry" not in repr(found)
    assert token not in repr(found)


# Whatever it is.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SERVICES = st.sampled_from([MINE, APP, BY_DOMAIN, CUSTOM])


@given(st.text(max_size=200), SERVICES)
def test_any_text_is_judged_without_an_error(text: str, of: Service) -> None:
    found = flaw_of(grant(text), of, NOW)
    assert found is None or isinstance(found, Flawed)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3), SERVICES)
def test_any_three_parts_are_judged_without_an_error(parts: list[bytes], of: Service) -> None:
    token = ".".join(part(each) for each in parts)
    found = flaw_of(grant(token), of, NOW)
    assert found is None or isinstance(found, Flawed)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "azp", "roles"]), JSON), SERVICES)
def test_any_claims_are_judged_without_an_error(claims: dict[str, Any], of: Service) -> None:
    token = jwt(claims)
    found = flaw_of(grant(token, replace(Account("a@contoso.com"), tenant_id=TENANT)), of, NOW)
    assert found is None or isinstance(found, Flawed)
