"""An administrator consents for everybody, and where nobody else may."""

from urllib.parse import urlencode

import pytest
import requests

from local.microsoft.cloud import Cloud
from tests.local.microsoft.token_client import SMTP
from tests.local.microsoft.walker import REDIRECT_URI, Forms, landed, press, walk

ALL_OF_EXCHANGE = "https://outlook.office365.com/.default"


def consent_url(cloud: Cloud, tenant: str | None = None, **changes: str) -> str:
    query = {
        "client_id": cloud.app.client_id,
        "redirect_uri": REDIRECT_URI,
        "state": "s-1",
        "scope": ALL_OF_EXCHANGE,
    } | changes
    return f"{cloud.identity_url}/{tenant or cloud.tenant.id}/v2.0/adminconsent?{urlencode(query)}"


def authorize_url(cloud: Cloud, **changes: str) -> str:
    query = {
        "client_id": cloud.app.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": f"openid offline_access {SMTP}",
        "state": "s-2",
    } | changes
    return f"{cloud.authority}/oauth2/v2.0/authorize?{urlencode(query)}"


def consent(cloud: Cloud, http: requests.Session, decision: str = "accept") -> dict[str, str]:
    """What the app gets to see of an administrator's decision."""
    page = press(http, http.get(consent_url(cloud)), account="admin@contoso.com")
    assert "the data of everyone in Contoso" in " ".join(page.text.split())
    return landed(press(http, page, decision=decision))


def test_only_administrators_are_offered(cloud: Cloud, http: requests.Session) -> None:
    page = http.get(consent_url(cloud))
    assert [value for _, value in Forms(page.text).found[0].buttons] == ["admin@contoso.com"]


def test_an_accepted_consent_leads_back_and_holds_for_everybody(cloud: Cloud, http: requests.Session) -> None:
    assert consent(cloud, http) == {
        "admin_consent": "True",
        "tenant": cloud.tenant.id,
        "state": "s-1",
        "scope": ALL_OF_EXCHANGE,
    }
    for account in ("noreply@contoso.com", "billing@contoso.com"):
        page = http.get(authorize_url(cloud, prompt="select_account"))
        assert "code" in landed(press(http, page, account=account))


def test_a_cancelled_consent_leads_back_with_an_error(cloud: Cloud, http: requests.Session) -> None:
    answer = consent(cloud, http, "cancel")
    assert (answer["error"], answer["admin_consent"], answer["state"]) == ("access_denied", "True", "s-1")
    assert answer["error_description"].startswith("AADSTS65004: ")
    page = http.get(authorize_url(cloud))
    assert "Permissions requested" in press(http, page, account="noreply@contoso.com").text


@pytest.mark.parametrize("account", ["noreply@contoso.com", "nobody@contoso.com"])
def test_nobody_else_can_consent_for_everybody(cloud: Cloud, http: requests.Session, account: str) -> None:
    page = press(http, http.get(consent_url(cloud)), account=account)
    assert "AADSTS90093" in page.text
    assert "Permissions requested" not in page.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "no-such-app"}, "AADSTS700016"),
        ({"redirect_uri": "https://elsewhere.example"}, "AADSTS50011"),
        ({"tenant": "fabrikam.com"}, "AADSTS90002"),
        ({"tenant": "organizations"}, "AADSTS50194"),
    ],
)
def test_what_is_wrong_with_the_link_is_said_on_a_page(
    cloud: Cloud, http: requests.Session, changes: dict[str, str], code: str
) -> None:
    reply = http.get(consent_url(cloud, **changes), allow_redirects=False)
    assert reply.status_code == 400
    assert code in reply.text


def test_a_link_without_a_scope_leads_back_with_an_error(cloud: Cloud, http: requests.Session) -> None:
    answer = landed(http.get(consent_url(cloud, scope=""), allow_redirects=False))
    assert (answer["error"], answer["admin_consent"]) == ("invalid_scope", "True")


@pytest.mark.parametrize("path", ["account", "decision"])
def test_a_form_that_is_not_known_is_over(cloud: Cloud, http: requests.Session, path: str) -> None:
    reply = http.post(f"{cloud.authority}/adminconsent/{path}", data={"ctx": "x"})
    assert "This sign-in has ended" in reply.text


def test_a_form_that_waited_too_long_is_over(cloud: Cloud, http: requests.Session) -> None:
    page = http.get(consent_url(cloud))
    cloud.control.identity({"advance_seconds": 901})
    assert "This sign-in has ended" in press(http, page, account="admin@contoso.com").text


def test_where_an_administrator_must_consent_others_are_sent_back(
    cloud: Cloud, http: requests.Session
) -> None:
    cloud.control.identity({"require_admin_consent": True})
    answer = walk(http, authorize_url(cloud))
    assert (answer["error"], answer["state"]) == ("access_denied", "s-2")
    assert answer["error_description"].startswith("AADSTS90094: ")
    silent = landed(http.get(authorize_url(cloud, prompt="none"), allow_redirects=False))
    assert silent["error"] == "consent_required"
    assert silent["error_description"].startswith("AADSTS65001: ")


def test_where_an_administrator_must_consent_and_did_all_is_well(
    cloud: Cloud, http: requests.Session
) -> None:
    cloud.control.identity({"require_admin_consent": True})
    consent(cloud, http)
    assert "code" in walk(http, authorize_url(cloud))


def test_an_administrator_may_consent_for_themselves(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"require_admin_consent": True})
    assert "code" in walk(http, authorize_url(cloud), "admin@contoso.com")


def test_one_person_cannot_take_back_what_the_administrator_gave(
    cloud: Cloud, http: requests.Session
) -> None:
    consent(cloud, http)
    cloud.control.identity({"withdraw_consent": "noreply@contoso.com"})
    assert "code" in walk(http, authorize_url(cloud))
    cloud.control.identity({"withdraw_consent": True})
    page = http.get(authorize_url(cloud, prompt="login"))
    assert "Permissions requested" in press(http, page, account="noreply@contoso.com").text


def test_the_sign_in_may_fail(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"authorize": {"status": 503}}})
    assert http.get(consent_url(cloud)).status_code == 503
