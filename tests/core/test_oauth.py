from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.oauth import (
    FRESH_ENOUGH,
    ID_TOKEN_SKEW_SECONDS,
    REFRESH_TOKEN_LIFETIME,
    SMTP_SCOPE,
    USABLE,
    AccessToken,
    Account,
    Grant,
    PendingConsent,
    Picture,
    RefreshOutcome,
    Service,
    aadsts,
    account_from,
    error_word,
    expiry,
    is_expected,
    missing_scopes,
    refused,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CANARY = "c4n4ry"
ADA = Account("ada@contoso.com", "tenant-id", "object-id", "Ada")
GRANT = Grant(
    account=ADA,
    scopes=(SMTP_SCOPE, "offline_access"),
    consented_at=NOW - timedelta(days=30),
    refreshed_at=NOW - timedelta(hours=1),
    expires_at=NOW + timedelta(hours=1),
    refresh_token=f"{CANARY}-refresh",
    access_token=f"{CANARY}-access",
)
PENDING = PendingConsent("noreply", NOW, "", f"{CANARY}-flow", f"{CANARY}-state", f"{CANARY}-key")


# Grants.


def test_a_grant_is_read_back_from_the_vault_as_it_was() -> None:
    assert Grant.from_json(GRANT.to_json()) == GRANT


def test_a_grant_in_the_vault_says_which_version_it_is() -> None:
    assert json.loads(GRANT.to_json())["version"] == 1


def without(*path: str) -> str:
    value = json.loads(GRANT.to_json())
    inner = value
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(value)


def changed(name: str, item: object) -> str:
    return json.dumps({**json.loads(GRANT.to_json()), name: item})


NO_GRANTS = {
    "nothing": "",
    "no JSON": CANARY,
    "a string": f'"{CANARY}"',
    "a list": f'["{CANARY}"]',
    "null": "null",
    "an empty object": "{}",
    "too deep": "[" * 100_000,
    "no account": without("account"),
    "no user": without("account", "username"),
    "no object id": without("account", "object_id"),
    "no refresh token": without("refresh_token"),
    "no expiry": without("expires_at"),
    "an account of another kind": changed("account", CANARY),
    "a time that is none": changed("expires_at", CANARY),
    "a time that is a number": changed("expires_at", 1_795_521_600),
    "a time without an offset": changed("expires_at", "2026-11-24T13:00:00"),
    "no scopes": changed("scopes", None),
}


@pytest.mark.parametrize("kind", NO_GRANTS)
def test_what_is_no_grant_is_refused_without_a_word_of_it(kind: str) -> None:
    with pytest.raises(ValueError, match=r"^the secret does not hold a grant$") as raised:
        Grant.from_json(NO_GRANTS[kind])
    assert raised.value.__suppress_context__


@given(st.text(max_size=60))
def test_any_text_is_a_grant_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^the secret does not hold a grant$"):
        Grant.from_json(text)


@pytest.mark.parametrize("secret", [GRANT, GRANT.token, PENDING, Picture("image/png", CANARY.encode())])
def test_nothing_that_holds_a_secret_prints_it(secret: object) -> None:
    assert CANARY not in f"{secret!r} {secret}"


def test_the_token_is_of_the_account_that_consented() -> None:
    assert GRANT.token == AccessToken("ada@contoso.com", GRANT.access_token, GRANT.expires_at)


def test_a_refresh_keeps_the_old_refresh_token_where_no_new_one_came() -> None:
    later = NOW + timedelta(hours=2)
    rotated = GRANT.refreshed(access_token="A2", expires_at=later, refresh_token="R2", now=NOW)
    assert rotated == replace(
        GRANT, access_token="A2", expires_at=later, refresh_token="R2", refreshed_at=NOW
    )
    kept = GRANT.refreshed(access_token="A2", expires_at=later, refresh_token="", now=NOW)
    assert kept == replace(rotated, refresh_token=GRANT.refresh_token)


def test_a_grant_dies_ninety_days_after_its_last_use() -> None:
    assert timedelta(days=90) == REFRESH_TOKEN_LIFETIME
    assert GRANT.dies_at == GRANT.refreshed_at + timedelta(days=90)


@pytest.mark.parametrize(
    ("left", "usable", "needs_refresh"),
    [
        (timedelta(hours=1), True, False),
        (FRESH_ENOUGH, True, False),
        (FRESH_ENOUGH - SECOND, True, True),
        (USABLE, True, True),
        (USABLE - SECOND, False, True),
        (timedelta(), False, True),
        (-timedelta(days=1), False, True),
    ],
)
def test_a_token_is_renewed_long_before_it_is_not_used_any_more(
    left: timedelta, *, usable: bool, needs_refresh: bool
) -> None:
    grant = replace(GRANT, expires_at=NOW + left)
    assert grant.token.is_usable(NOW) is usable
    assert grant.needs_refresh(NOW) is needs_refresh


def test_what_upkeep_leaves_alone_has_fifteen_minutes_left_after_one_failed_run() -> None:
    two_runs = 2 * timedelta(minutes=15)
    assert two_runs < FRESH_ENOUGH
    assert FRESH_ENOUGH - timedelta(minutes=15) >= timedelta(minutes=15)


# What a provider's answer means.


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("invalid_grant", RefreshOutcome.CONSENT_REQUIRED),
        ("interaction_required", RefreshOutcome.CONSENT_REQUIRED),
        ("consent_required", RefreshOutcome.CONSENT_REQUIRED),
        ("login_required", RefreshOutcome.CONSENT_REQUIRED),
        ("access_denied", RefreshOutcome.CONSENT_REQUIRED),
        ("invalid_client", RefreshOutcome.CREDENTIAL_BROKEN),
        ("unauthorized_client", RefreshOutcome.CREDENTIAL_BROKEN),
        ("invalid_scope", RefreshOutcome.CREDENTIAL_BROKEN),
        ("invalid_resource", RefreshOutcome.CREDENTIAL_BROKEN),
        ("invalid_request", RefreshOutcome.CREDENTIAL_BROKEN),
        ("temporarily_unavailable", RefreshOutcome.TRANSIENT),
        ("server_error", RefreshOutcome.TRANSIENT),
        ("something_new", RefreshOutcome.TRANSIENT),
        ("", RefreshOutcome.TRANSIENT),
    ],
)
def test_an_oauth_error_has_one_meaning(error: str, outcome: RefreshOutcome) -> None:
    assert refused(error) is outcome


TENANT = "11111111-2222-4333-8444-555555555555"
SERVICE = Service("microsoft", "contoso.com", "client-id", "https://login.microsoftonline.com/contoso.com")
SIGNED_IN = replace(ADA, tenant_id=TENANT)
CLAIMS: dict[str, object] = {
    "aud": "client-id",
    "exp": int(NOW.timestamp()) + 3600,
    "preferred_username": "ada@contoso.com",
    "tid": TENANT,
    "oid": "object-id",
    "name": "Ada",
}


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({}, SIGNED_IN),
        ({"name": None}, replace(SIGNED_IN, display_name="")),
        ({"name": 5}, replace(SIGNED_IN, display_name="")),
        ({"upn": "bob@contoso.com"}, SIGNED_IN),
        (
            {"preferred_username": "", "upn": "bob@contoso.com"},
            replace(SIGNED_IN, username="bob@contoso.com"),
        ),
        ({"exp": int(NOW.timestamp()) - ID_TOKEN_SKEW_SECONDS}, SIGNED_IN),
    ],
)
def test_the_account_is_the_one_of_the_id_token(changes: dict[str, object], account: Account) -> None:
    assert account_from({**CLAIMS, **changes}, service=SERVICE, now=NOW) == account


WHO = "the id_token does not say who signed in (preferred_username, tid and oid are needed)"
REFUSED = [
    *[(name, value, WHO) for name in ("preferred_username", "tid", "oid") for value in (None, "", 5, ["x"])],
    *[("aud", value, "the id_token is not for this application") for value in (None, "", "other", 5)],
    *[("exp", value, "the id_token has expired") for value in (None, "4102444800", 0)],
    ("exp", int(NOW.timestamp()) - ID_TOKEN_SKEW_SECONDS - 1, "the id_token has expired"),
]


@pytest.mark.parametrize(("name", "value", "said"), REFUSED)
def test_an_id_token_that_proves_too_little_is_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        account_from({**CLAIMS, name: value}, service=SERVICE, now=NOW)


@pytest.mark.parametrize("tenant", ["contoso.com", "organizations", "common", TENANT, TENANT.upper()])
def test_a_tenant_that_is_written_as_a_name_is_the_providers_to_check(tenant: str) -> None:
    assert account_from(CLAIMS, service=replace(SERVICE, tenant=tenant), now=NOW) == SIGNED_IN


def test_an_account_of_another_tenant_is_refused() -> None:
    service = replace(SERVICE, tenant=TENANT.replace("1", "9"))
    with pytest.raises(ValueError, match=r"^the account is of another tenant$"):
        account_from(CLAIMS, service=service, now=NOW)


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("ada@contoso.com", True),
        ("Ada@Contoso.COM", True),
        ("bob@contoso.com", False),
        ("ada@contoso.com.example", False),
        ("", False),
    ],
)
def test_only_the_expected_account_may_consent(username: str, *, expected: bool) -> None:
    assert is_expected(replace(ADA, username=username), "ada@contoso.com") is expected


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (["https://outlook.office.com/SMTP.Send", "offline_access"], ()),
        (["https://outlook.office365.com/smtp.send"], ()),
        (["SMTP.Send"], ()),
        (["User.Read", "offline_access"], (SMTP_SCOPE,)),
        (["https://outlook.office.com/SMTP.SendAsApp"], (SMTP_SCOPE,)),
        ([], (SMTP_SCOPE,)),
    ],
)
def test_a_scope_that_was_not_granted_is_named(granted: list[str], missing: tuple[str, ...]) -> None:
    assert missing_scopes(granted, [SMTP_SCOPE]) == missing


@pytest.mark.parametrize(
    ("description", "code"),
    [
        ("AADSTS65004: the user declined", "AADSTS65004"),
        ("AADSTS50011", "AADSTS50011"),
        ("AADSTS7000215: Invalid client secret", "AADSTS7000215"),
        ("AADSTS1234567890: too long to be one", ""),
        ("<script>AADSTS65004", ""),
        ("aadsts65004", ""),
        ("", ""),
    ],
)
def test_of_a_description_only_its_number_is_used(description: str, code: str) -> None:
    assert aadsts(description) == code


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("access_denied", "access_denied"),
        ("", "unknown"),
        ("<script>", "unknown"),
        ("access_denied\n", "unknown"),
        ("a" * 41, "unknown"),
    ],
)
def test_an_error_that_came_through_a_browser_is_a_plain_word_or_unknown(error: str, word: str) -> None:
    assert error_word(error) == word


ODD: list[object] = [
    None,
    "3600",
    0,
    -1,
    float("nan"),
    float("inf"),
    -float("inf"),
    1e300,
    10**12,
    [3600],
]


@pytest.mark.parametrize("seconds", [1, 3599, 5400.5, 86_400])
def test_a_token_ends_as_many_seconds_from_now_as_the_provider_says(seconds: float) -> None:
    assert expiry(NOW, seconds) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("expires_in", ODD)
def test_an_odd_life_is_taken_for_the_shortest(expires_in: object) -> None:
    assert expiry(NOW, expires_in) == NOW


@pytest.mark.parametrize("expires_in", [3600, None])
def test_an_end_is_in_utc(expires_in: object) -> None:
    assert expiry(NOW.astimezone(timezone(timedelta(hours=1))), expires_in).tzinfo is UTC


def test_the_client_secret_is_named_after_its_service() -> None:
    service = Service(
        "microsoft", "contoso.com", "client-id", "https://login.microsoftonline.com/contoso.com"
    )
    assert service.client_secret_name == "oauth-microsoft-client-secret"
