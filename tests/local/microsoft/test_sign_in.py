"""The identity provider's pages, as a browser without scripts meets them."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from local.microsoft.cloud import Cloud
from local.microsoft.directory import TENANT_ID
from local.microsoft.entra import Entra
from tests.local.microsoft.walker import REDIRECT_URI, Forms, landed, press, walk

SMTP = "https://outlook.office.com/SMTP.Send"


def authorize_url(cloud: Cloud, tenant: str | None = None, **changes: str | None) -> str:
    parameters: dict[str, str | None] = {
        "client_id": cloud.app.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": f"openid profile offline_access {SMTP}",
        "state": "s-1",
    }
    parameters |= changes
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{cloud.identity_url}/{tenant or cloud.tenant.id}/oauth2/v2.0/authorize?{query}"


def test_the_chooser_offers_everyone_who_can_sign_in(cloud: Cloud, http: requests.Session) -> None:
    page = http.get(authorize_url(cloud))
    assert [value for _, value in Forms(page.text).found[0].buttons] == [
        "noreply@contoso.com",
        "billing@contoso.com",
        "svc-mail@contoso.com",
        "admin@contoso.com",
    ]


def test_the_account_of_the_login_hint_comes_first(cloud: Cloud, http: requests.Session) -> None:
    page = http.get(authorize_url(cloud, login_hint="SVC-mail@contoso.com"))
    assert Forms(page.text).found[0].buttons[0] == ("account", "svc-mail@contoso.com")


def test_consent_lists_what_is_asked_for_and_leads_back_with_a_code(
    cloud: Cloud, http: requests.Session
) -> None:
    page = press(http, http.get(authorize_url(cloud)), account="noreply@contoso.com")
    assert "Send emails from your mailbox using SMTP AUTH" in page.text
    assert "Maintain access to data you have given it access to" in page.text
    answer = landed(press(http, page, decision="accept"))
    assert sorted(answer) == ["code", "session_state", "state"]
    assert answer["state"] == "s-1"


def test_cancel_leads_back_with_access_denied(cloud: Cloud, http: requests.Session) -> None:
    answer = walk(http, authorize_url(cloud), decision="cancel")
    assert answer["error"] == "access_denied"
    assert answer["error_description"].startswith("AADSTS65004: ")
    assert answer["state"] == "s-1"
    assert "code" not in answer


def test_what_was_consented_to_is_not_asked_again(cloud: Cloud, http: requests.Session) -> None:
    walk(http, authorize_url(cloud))
    page = http.get(authorize_url(cloud, prompt="select_account"))
    assert "code" in landed(press(http, page, account="noreply@contoso.com"))


def test_prompt_consent_asks_again(cloud: Cloud, http: requests.Session) -> None:
    walk(http, authorize_url(cloud))
    assert "Permissions requested" in http.get(authorize_url(cloud, prompt="consent")).text


def test_a_browser_that_is_signed_in_goes_straight_back(cloud: Cloud, http: requests.Session) -> None:
    walk(http, authorize_url(cloud))
    assert "code" in landed(http.get(authorize_url(cloud), allow_redirects=False))


def test_a_hint_at_another_account_brings_the_chooser_back(cloud: Cloud, http: requests.Session) -> None:
    walk(http, authorize_url(cloud))
    page = http.get(authorize_url(cloud, login_hint="billing@contoso.com"))
    assert "Pick an account" in page.text


def test_signing_out_brings_the_chooser_back(cloud: Cloud, http: requests.Session) -> None:
    walk(http, authorize_url(cloud))
    assert http.get(f"{cloud.authority}/oauth2/v2.0/logout").status_code == 200
    assert "Pick an account" in http.get(authorize_url(cloud)).text


@pytest.mark.parametrize(
    ("scope", "error"),
    [(f"openid {SMTP}", "login_required"), (f"openid {SMTP} User.Read", "consent_required")],
)
def test_prompt_none_never_shows_a_page(cloud: Cloud, http: requests.Session, scope: str, error: str) -> None:
    if error == "consent_required":
        walk(http, authorize_url(cloud))
    reply = http.get(authorize_url(cloud, prompt="none", scope=scope), allow_redirects=False)
    assert landed(reply)["error"] == error


def test_prompt_none_gives_a_code_to_who_is_signed_in_and_consented(
    cloud: Cloud, http: requests.Session
) -> None:
    walk(http, authorize_url(cloud))
    assert "code" in landed(http.get(authorize_url(cloud, prompt="none"), allow_redirects=False))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"redirect_uri": REDIRECT_URI + "/"}, "AADSTS50011"),
        ({"redirect_uri": REDIRECT_URI.replace("api", "API")}, "AADSTS50011"),
        ({"redirect_uri": None}, "AADSTS50011"),
        ({"client_id": "99999999-0000-4000-8000-000000000000"}, "AADSTS700016"),
        ({"client_id": None}, "AADSTS700016"),
        ({"tenant": "fabrikam.com"}, "AADSTS90002"),
        ({"tenant": "common"}, "AADSTS50194"),
        ({"tenant": "organizations"}, "AADSTS50194"),
    ],
)
def test_what_is_wrong_before_the_redirect_is_trusted_stays_on_a_page(
    cloud: Cloud, http: requests.Session, changes: dict[str, Any], sentence: str
) -> None:
    reply = http.get(authorize_url(cloud, **changes), allow_redirects=False)
    assert reply.status_code == 400
    assert sentence in reply.text
    assert "Location" not in reply.headers


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"response_type": None}, "invalid_request", "AADSTS900144"),
        ({"response_type": "token"}, "unsupported_response_type", "AADSTS70005"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request", "AADSTS501491"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "S512"}, "invalid_request", "AADSTS501491"),
        ({"scope": "openid https://nowhere.example/Mail"}, "invalid_resource", "AADSTS500011"),
        ({"scope": "User.Red"}, "invalid_client", "AADSTS650053"),
        ({"scope": "User.Read,SMTP.Send"}, "invalid_scope", "AADSTS70011"),
        ({"scope": ""}, "invalid_scope", "AADSTS70011"),
    ],
)
def test_what_is_wrong_after_that_goes_back_to_the_app(
    cloud: Cloud, http: requests.Session, changes: dict[str, Any], error: str, sentence: str
) -> None:
    answer = landed(http.get(authorize_url(cloud, **changes), allow_redirects=False))
    assert answer["error"] == error
    assert answer["error_description"].startswith(f"{sentence}: ")
    assert answer["state"] == "s-1"


@pytest.mark.parametrize(
    ("account", "sentence"),
    [("nobody@contoso.com", "AADSTS50034"), ("reports@contoso.com", "AADSTS50057")],
)
def test_an_account_that_cannot_sign_in_gets_the_chooser_again(
    cloud: Cloud, http: requests.Session, account: str, sentence: str
) -> None:
    page = press(http, http.get(authorize_url(cloud)), account=account)
    assert sentence in page.text
    assert "Pick an account" in page.text


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_each_response_mode_carries_the_same_answer(cloud: Cloud, http: requests.Session, mode: str) -> None:
    answer = walk(http, authorize_url(cloud, response_mode=mode))
    assert sorted(answer) == ["code", "session_state", "state"]


def test_a_consent_form_is_good_once(cloud: Cloud, http: requests.Session) -> None:
    page = press(http, http.get(authorize_url(cloud)), account="noreply@contoso.com")
    press(http, page, decision="accept")
    again = press(http, page, decision="accept")
    assert again.status_code == 400
    assert "This sign-in has ended" in again.text


def test_pages_escape_what_they_are_told_and_are_kept_by_no_cache(
    cloud: Cloud, http: requests.Session
) -> None:
    page = press(http, http.get(authorize_url(cloud)), account="<b>x</b>@contoso.com")
    assert "<b>x</b>" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert "script-src" not in page.headers["Content-Security-Policy"]


def test_a_multi_tenant_app_may_be_used_without_naming_a_tenant(cloud: Cloud) -> None:
    tenant = replace(cloud.tenant, apps=(replace(cloud.app, multi_tenant=True),))
    entra = Entra(tenant, cloud.tokens, cloud.identity_url)
    assert entra.app_for("organizations", cloud.app.client_id) is tenant.apps[0]


def test_discovery_of_organizations_names_no_tenant(cloud: Cloud, http: requests.Session) -> None:
    document = http.get(f"{cloud.identity_url}/organizations/v2.0/.well-known/openid-configuration").json()
    assert document["issuer"] == f"{cloud.identity_url}/{{tenantid}}/v2.0"
    assert document["token_endpoint"] == f"{cloud.identity_url}/organizations/oauth2/v2.0/token"


@pytest.mark.parametrize("name", [TENANT_ID, "contoso.com", "Contoso.onmicrosoft.com"])
def test_discovery_knows_the_tenant_by_each_of_its_names(
    cloud: Cloud, http: requests.Session, name: str
) -> None:
    document = http.get(f"{cloud.identity_url}/{name}/v2.0/.well-known/openid-configuration").json()
    assert document["issuer"] == f"{cloud.authority}/v2.0"
    assert document["msgraph_host"] == cloud.identity_url.removeprefix("https://")


def test_discovery_of_a_foreign_tenant_is_refused(cloud: Cloud, http: requests.Session) -> None:
    reply = http.get(f"{cloud.identity_url}/fabrikam.com/v2.0/.well-known/openid-configuration")
    assert reply.status_code == 400
    assert reply.json()["error"] == "invalid_tenant"
    assert reply.json()["error_codes"] == [90002]


def test_instance_discovery_knows_this_host_alone(cloud: Cloud, http: requests.Session) -> None:
    def ask(authority: str) -> requests.Response:
        query = {"api-version": "1.1", "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize"}
        return http.get(f"{cloud.identity_url}/common/discovery/instance", params=query)

    configuration = f"{cloud.authority}/v2.0/.well-known/openid-configuration"
    assert ask(cloud.authority).json()["tenant_discovery_endpoint"] == configuration
    assert ask("https://login.example/x").json()["error"] == "invalid_instance"
