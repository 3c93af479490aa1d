"""Tokens that are not what they should be, time that passes, and accounts that change, on request."""

import base64
import smtplib
from collections.abc import Iterator
from pathlib import Path

import msal
import pytest
import requests

from local.microsoft.cloud import Cloud, cloud_in_thread
from local.microsoft.tokens import Refusal, TokenRefused
from tests.local.microsoft.token_client import (
    APP_ONLY,
    APP_SCOPE,
    SMTP,
    USER_READ,
    ask,
    claims_of,
    connect,
    msal_app,
)
from tests.local.microsoft.walker import REDIRECT_URI

EXCHANGE = {"https://outlook.office.com", "https://outlook.office365.com"}


def admitted(cloud: Cloud, user: str, token: str) -> bool:
    """Whether the mail server takes the token for the mailbox."""
    response = base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
    with smtplib.SMTP(cloud.smtp_host, cloud.smtp_port) as session:
        session.starttls(context=cloud.trust.client_context)
        session.ehlo()
        return session.docmd("AUTH", f"XOAUTH2 {response}")[0] == 235


@pytest.fixture
def refresh_token(app: msal.ConfidentialClientApplication, http: requests.Session) -> str:
    return str(connect(app, http)["refresh_token"])


def test_a_refresh_token_shrinks_and_is_good_for_nothing(
    cloud: Cloud, app: msal.ConfidentialClientApplication, refresh_token: str
) -> None:
    cloud.control.identity({"shrink_refresh_token": 1})
    shrunk = app.acquire_token_by_refresh_token(refresh_token, [SMTP])["refresh_token"]
    assert len(shrunk) == 20
    assert app.acquire_token_by_refresh_token(shrunk, [SMTP])["error_codes"] == [9002313]
    assert len(app.acquire_token_by_refresh_token(refresh_token, [USER_READ])["refresh_token"]) > 20


def test_only_the_answer_to_a_refresh_shrinks(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    cloud.control.identity({"shrink_refresh_token": 1})
    first = connect(app, http, asked=(SMTP,))["refresh_token"]
    assert len(first) > 20
    assert len(app.acquire_token_by_refresh_token(first, [SMTP])["refresh_token"]) == 20


def test_a_refresh_token_is_left_out(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    cloud.control.identity({"omit_refresh_token": 1})
    assert "refresh_token" not in connect(app, http)
    assert "refresh_token" in connect(app, http)


def test_less_is_granted_than_was_asked_for(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    cloud.control.identity({"grant_less": 1})
    result = connect(app, http)
    assert SMTP not in result.get("scope", "")
    assert "SMTP.Send" not in claims_of(result["access_token"])["scp"]
    assert not admitted(cloud, "noreply@contoso.com", result["access_token"])
    assert claims_of(connect(app, http)["access_token"])["scp"] == "SMTP.Send"


def test_an_access_token_is_for_the_wrong_service(
    cloud: Cloud, app: msal.ConfidentialClientApplication, refresh_token: str
) -> None:
    cloud.control.identity({"wrong_audience": 1})
    assert "access_token" in app.acquire_token_by_refresh_token(refresh_token, [USER_READ])
    wrong = app.acquire_token_by_refresh_token(refresh_token, [SMTP])["access_token"]
    assert claims_of(wrong)["aud"] == "https://graph.microsoft.com"
    right = app.acquire_token_by_refresh_token(refresh_token, [SMTP])["access_token"]
    assert claims_of(right)["aud"] == "https://outlook.office.com"


def test_an_access_token_is_of_another_tenant(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"wrong_tenant": 1})
    token = ask(cloud, http, **APP_ONLY).json()["access_token"]
    assert claims_of(token)["tid"] != cloud.tenant.id
    with pytest.raises(TokenRefused) as caught:
        cloud.tokens.verify_access_token(token, audience=EXCHANGE)
    assert caught.value.reason is Refusal.ISSUER
    assert claims_of(ask(cloud, http, **APP_ONLY).json()["access_token"])["tid"] == cloud.tenant.id


def test_the_apps_roles_are_what_was_granted(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"app_roles": ["IMAP.AccessAsApp"]})
    other = ask(cloud, http, **APP_ONLY).json()["access_token"]
    assert not admitted(cloud, "noreply@contoso.com", other)
    cloud.control.identity({"app_roles": []})
    none = ask(cloud, http, **APP_ONLY).json()["access_token"]
    assert "roles" not in claims_of(none)
    assert admitted(cloud, "noreply@contoso.com", none)
    cloud.control.identity({"reset": True})
    usual = ask(cloud, http, **APP_ONLY).json()["access_token"]
    assert claims_of(usual)["roles"] == ["SMTP.SendAsApp"]
    assert admitted(cloud, "reports@contoso.com", usual)
    assert not admitted(cloud, "svc-mail@contoso.com", usual)


def test_time_passes_for_what_the_provider_issued(
    cloud: Cloud, http: requests.Session, refresh_token: str
) -> None:
    token = ask(cloud, http, **APP_ONLY).json()["access_token"]
    cloud.control.identity({"advance_seconds": 3 * 3600})
    with pytest.raises(TokenRefused) as caught:
        cloud.tokens.verify_access_token(token, audience=EXCHANGE)
    assert caught.value.reason is Refusal.EXPIRED
    late = ask(cloud, http, **APP_ONLY).json()["access_token"]
    assert cloud.tokens.verify_access_token(late, audience=EXCHANGE)
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "scope": SMTP}
    assert ask(cloud, http, **form).status_code == 200
    cloud.control.identity({"advance_seconds": 90 * 86400})
    assert ask(cloud, http, **form).json()["error_codes"] == [700082]
    cloud.control.identity({"advance_seconds": 730 * 86400})
    assert ask(cloud, http, **APP_ONLY).json()["error_codes"] == [7000222]
    cloud.control.identity({"reset": True})
    with pytest.raises(TokenRefused) as caught:
        cloud.tokens.verify_access_token(late, audience=EXCHANGE)
    assert caught.value.reason is Refusal.NOT_YET_VALID


@pytest.fixture(scope="module")
def running_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud whose people may change."""
    with cloud_in_thread(tmp_path_factory.mktemp("people")) as cloud:
        cloud.control.identity({"allow_redirect_uri": REDIRECT_URI})
        yield cloud


@pytest.fixture
def alone(running_alone: Cloud, http: requests.Session) -> Cloud:
    http.verify = str(running_alone.ca_file)
    return running_alone


def test_a_renamed_account_is_the_same_and_so_is_its_mailbox(alone: Cloud, http: requests.Session) -> None:
    app = msal_app(alone, http, alone.client_secret)
    before = connect(app, http, account="billing@contoso.com")
    alone.control.identity({"rename": {"from": "billing@contoso.com", "to": "Invoices@contoso.com"}})
    after = app.acquire_token_by_refresh_token(before["refresh_token"], [SMTP])
    claims = claims_of(after["access_token"])
    assert claims["oid"] == claims_of(before["access_token"])["oid"]
    assert claims["upn"] == "invoices@contoso.com"
    assert admitted(alone, "invoices@contoso.com", after["access_token"])
    assert not admitted(alone, "billing@contoso.com", before["access_token"])
    app_only = app.acquire_token_for_client([APP_SCOPE])["access_token"]
    assert admitted(alone, "invoices@contoso.com", app_only)


def test_a_rehired_account_is_another(alone: Cloud, http: requests.Session) -> None:
    app = msal_app(alone, http, alone.client_secret)
    before = connect(app, http, account="svc-mail@contoso.com")
    alone.control.identity({"rehire": "svc-mail@contoso.com"})
    refused = app.acquire_token_by_refresh_token(before["refresh_token"], [SMTP])
    assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [50034])
    after = connect(app, http, account="svc-mail@contoso.com")
    assert after["id_token_claims"]["oid"] != before["id_token_claims"]["oid"]
    assert after["id_token_claims"]["preferred_username"] == "svc-mail@contoso.com"


def test_an_account_that_is_hired_has_no_mailbox_to_rename(alone: Cloud, tmp_path: Path) -> None:
    assert tmp_path.exists()
    alone.control.identity({"hire": "temp@contoso.com"})
    alone.control.identity({"rename": {"from": "temp@contoso.com", "to": "perm@contoso.com"}})
    assert "perm@contoso.com" not in alone.control.mail()["mailboxes"]
    assert alone.tenant.user("perm@contoso.com") is not None
