from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.grant import (
    FRESH_ENOUGH,
    IDLE_REFRESH,
    LAST_RESORT,
    REFRESH_TOKEN_LIFETIME,
    USABLE,
    AccessToken,
    Account,
    ClientAssertion,
    ClientCertificate,
    ClientSecret,
    Grant,
    PendingConsent,
    Picture,
)
from shared.core.service import PUBLIC

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CANARY = "c4n4ry"
ADA = Account("ada@contoso.com", "tenant-id", "object-id", "Ada")
GRANT = Grant(
    account=ADA,
    scopes=(PUBLIC.smtp_scope, "offline_access"),
    consented_at=NOW - timedelta(days=30),
    refreshed_at=NOW - timedelta(hours=1),
    expires_at=NOW + timedelta(hours=1),
    refresh_token=f"{CANARY}-refresh",
    access_token=f"{CANARY}-access",
)
OF_AN_APP = replace(GRANT, account=Account("noreply@contoso.com"), refresh_token="")
PENDING = PendingConsent("noreply", NOW, "", f"{CANARY}-flow", f"{CANARY}-state", f"{CANARY}-key")


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


SECRETS = [
    GRANT,
    GRANT.token,
    PENDING,
    Picture("image/png", CANARY.encode()),
    ClientSecret(CANARY),
    ClientCertificate(CANARY, CANARY),
    ClientAssertion(CANARY),
]


@pytest.mark.parametrize("secret", SECRETS, ids=[type(secret).__name__ for secret in SECRETS])
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
    assert grant.needs_refresh(NOW, warm=True) is needs_refresh


def test_what_upkeep_leaves_alone_has_fifteen_minutes_left_after_one_failed_run() -> None:
    two_runs = 2 * timedelta(minutes=15)
    assert two_runs < FRESH_ENOUGH
    assert FRESH_ENOUGH - timedelta(minutes=15) >= timedelta(minutes=15)


# A grant that nobody uses, one of an application, and who it is of.


@pytest.mark.parametrize(
    ("since", "needs_refresh"),
    [(timedelta(), False), (IDLE_REFRESH - SECOND, False), (IDLE_REFRESH, True), (timedelta(days=80), True)],
)
@pytest.mark.parametrize("left", [timedelta(hours=1), timedelta(), -timedelta(days=80)])
def test_the_grant_of_an_idle_sender_is_used_once_a_day_however_old_its_token_is(
    since: timedelta, left: timedelta, *, needs_refresh: bool
) -> None:
    grant = replace(GRANT, refreshed_at=NOW - since, expires_at=NOW + left)
    assert grant.needs_refresh(NOW, warm=False) is needs_refresh


def test_an_idle_grant_may_miss_many_days_before_the_provider_drops_it() -> None:
    assert REFRESH_TOKEN_LIFETIME > 30 * IDLE_REFRESH


@pytest.mark.parametrize(
    ("left", "usable"), [(LAST_RESORT, True), (LAST_RESORT - SECOND, False), (-SECOND, False)]
)
def test_while_the_provider_is_away_a_token_serves_to_its_last_minute(
    left: timedelta, *, usable: bool
) -> None:
    token = replace(GRANT, expires_at=NOW + left).token
    assert token.is_usable(NOW, for_at_least=LAST_RESORT) is usable
    assert LAST_RESORT < USABLE


def test_an_applications_grant_has_no_refresh_token_that_could_end() -> None:
    assert OF_AN_APP.is_app_only
    assert OF_AN_APP.dies_at is None
    assert OF_AN_APP.token.user == "noreply@contoso.com"
    assert not GRANT.is_app_only
    assert Grant.from_json(OF_AN_APP.to_json()) == OF_AN_APP


def test_an_account_may_have_another_name_after_a_refresh() -> None:
    renamed = replace(ADA, username="ada.lovelace@contoso.com")
    grant = GRANT.refreshed(access_token="A", expires_at=NOW, refresh_token="R", now=NOW, account=renamed)
    assert (grant.account, grant.token.user) == (renamed, "ada.lovelace@contoso.com")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ADA, True),
        (replace(ADA, username="ada.lovelace@contoso.com", display_name=""), True),
        (replace(ADA, tenant_id="TENANT-ID", object_id="Object-Id"), True),
        (replace(ADA, object_id="another"), False),
        (replace(ADA, tenant_id="another"), False),
        (Account("bob@contoso.com", "", ""), True),
        (Account("bob@contoso.com", "tenant-id", ""), True),
        (Account("bob@contoso.com", "", "another"), False),
    ],
)
def test_an_account_is_the_same_by_its_ids_and_not_by_its_name(other: Account, *, same: bool) -> None:
    assert ADA.is_same(other) is same
    assert other.is_same(ADA) is same
