from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.core.grant import Account
from shared.core.oauth import (
    ID_TOKEN_SKEW_SECONDS,
    RefreshOutcome,
    aadsts,
    account_from,
    account_of_fields,
    error_word,
    expiry,
    has_shrunk,
    is_expected,
    missing_scopes,
    refused,
)
from shared.core.service import PUBLIC, Custom, Microsoft, Service

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADA = Account("ada@contoso.com", "tenant-id", "object-id", "Ada")


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
    # Nobody can sign in for an application, so what needs a person needs an administrator there.
    of_an_app = {RefreshOutcome.CONSENT_REQUIRED: RefreshOutcome.CREDENTIAL_BROKEN}.get(outcome, outcome)
    assert refused(error, app_only=True) is of_an_app


TENANT = "11111111-2222-4333-8444-555555555555"


def of_tenant(tenant: str) -> Service:
    return Service("microsoft", "client-id", Microsoft(tenant, f"https://login.microsoftonline.com/{tenant}"))


SERVICE = of_tenant("contoso.com")
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
    assert account_from(CLAIMS, service=of_tenant(tenant), now=NOW) == SIGNED_IN


def test_an_account_of_another_tenant_is_refused() -> None:
    service = of_tenant(TENANT.replace("1", "9"))
    with pytest.raises(ValueError, match=r"^the account is of another tenant$"):
        account_from(CLAIMS, service=service, now=NOW)


@pytest.mark.parametrize("audience", ["client-id", ["client-id"], ["other", "client-id"]])
def test_an_id_token_may_be_for_several(audience: object) -> None:
    assert account_from({**CLAIMS, "aud": audience}, service=SERVICE, now=NOW) == SIGNED_IN


# Accounts of other providers.

CUSTOM = Custom("https://a.example/authorize", "https://a.example/token")
OTHER = Service("other", "client-id", CUSTOM)
ELSEWHERE: dict[str, object] = {
    "iss": "https://a.example",
    "aud": ["client-id"],
    "exp": int(NOW.timestamp()) + 60,
    "sub": "0042",
    "email": "ada@example.com",
    "name": "Ada",
}


def test_the_account_of_another_provider_is_its_issuers_and_its_subjects() -> None:
    found = account_from(ELSEWHERE, service=OTHER, now=NOW)
    assert found == Account("ada@example.com", "https://a.example", "0042", "Ada")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"aud": "other"}, "the id_token is not for this application"),
        ({"aud": []}, "the id_token is not for this application"),
        ({"exp": 1}, "the id_token has expired"),
        ({"email": ""}, "the provider does not say who signed in (no email)"),
        ({"email": ["ada@example.com"]}, "the provider does not say who signed in (no email)"),
    ],
)
def test_an_id_token_of_another_provider_must_prove_as_much(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        account_from({**ELSEWHERE, **changes}, service=OTHER, now=NOW)


FIELDS: dict[str, Any] = {"Id": 42, "EmailAddress": "ada@example.com", "DisplayName": "Ada", "email": "no"}
NAMED = replace(CUSTOM, user_fields={"id": "Id", "email": "EmailAddress", "display_name": "DisplayName"})


def test_user_fields_say_where_the_account_is() -> None:
    assert account_of_fields(FIELDS, NAMED) == Account("ada@example.com", "", "42", "Ada")
    partly = replace(CUSTOM, user_fields={"email": "EmailAddress"})
    assert account_of_fields({**FIELDS, "sub": "7"}, partly, tenant_id="t") == Account(
        "ada@example.com", "t", "7", ""
    )


@pytest.mark.parametrize(
    ("value", "object_id"), [(42, "42"), ("42", "42"), (0, "0"), (True, ""), (4.2, ""), (None, ""), ([], "")]
)
def test_an_id_is_a_string_or_a_whole_number(value: object, object_id: str) -> None:
    assert account_of_fields({**FIELDS, "Id": value}, NAMED).object_id == object_id


def test_an_account_without_an_address_is_refused_with_the_name_of_the_field() -> None:
    with pytest.raises(ValueError, match=r"^the provider does not say who signed in \(no EmailAddress\)$"):
        account_of_fields({"email": "ada@example.com"}, NAMED)


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
        (["User.Read", "offline_access"], (PUBLIC.smtp_scope,)),
        (["https://outlook.office.com/SMTP.SendAsApp"], (PUBLIC.smtp_scope,)),
        ([], (PUBLIC.smtp_scope,)),
    ],
)
def test_a_scope_that_was_not_granted_is_named(granted: list[str], missing: tuple[str, ...]) -> None:
    assert missing_scopes(granted, [PUBLIC.smtp_scope]) == missing


@pytest.mark.parametrize(
    ("granted", "needed", "missing"),
    [
        (["https://mail.google.com/"], ["https://mail.google.com/"], ()),
        (["https://mail.google.com/feed/"], ["https://mail.google.com/"], ("https://mail.google.com/",)),
        (["mail.send", "mail.read"], ["mail.send"], ()),
        (["mail.read"], ["mail.send", "mail.read"], ("mail.send",)),
        (["mail.read"], [], ()),
    ],
)
def test_a_scope_that_ends_with_a_slash_is_a_name_as_a_whole(
    granted: list[str], needed: list[str], missing: tuple[str, ...]
) -> None:
    assert missing_scopes(granted, needed) == missing


@pytest.mark.parametrize(
    ("old", "new", "shrunk"),
    [
        ("x" * 1000, "y" * 499, True),
        ("x" * 1000, "y" * 500, False),
        ("x" * 1000, "y" * 2000, False),
        ("x" * 1000, "", False),  # none came, so the old one stays in force
        ("", "y", False),
    ],
)
def test_a_refresh_token_of_less_than_half_the_length_was_cut(old: str, new: str, *, shrunk: bool) -> None:
    assert has_shrunk(old, new) is shrunk


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
