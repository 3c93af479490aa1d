"""Graph tells who somebody is, to a token that is meant for it."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from local.microsoft.cloud import Cloud
from local.microsoft.directory import default_tenant
from local.microsoft.tokens import Tokens
from tests.local.microsoft.walker import REDIRECT_URI, walk


def token_for(
    cloud: Cloud,
    upn: str = "noreply@contoso.com",
    audience: str = "https://graph.microsoft.com",
    scopes: tuple[str, ...] = ("User.Read", "openid"),
) -> str:
    user = cloud.tenant.user(upn)
    assert user is not None
    return cloud.tokens.delegated(user, cloud.app, audience=audience, scopes=scopes)[0]


def ask(cloud: Cloud, http: requests.Session, path: str, token: str | None) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return http.get(f"{cloud.identity_url}{path}", headers=headers)


def test_me_is_the_person_of_the_token(cloud: Cloud, http: requests.Session) -> None:
    document = ask(cloud, http, "/v1.0/me", token_for(cloud)).json()
    assert document["displayName"] == "Contoso Notifications"
    assert document["userPrincipalName"] == document["mail"] == "noreply@contoso.com"


@pytest.mark.parametrize("path", ["/v1.0/me/photo/$value", "/v1.0/me/photos/48x48/$value"])
def test_a_photo_is_a_picture(cloud: Cloud, http: requests.Session, path: str) -> None:
    reply = ask(cloud, http, path, token_for(cloud))
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.content.startswith(b"\x89PNG\r\n\x1a\n")


def test_who_has_no_photo_has_none(cloud: Cloud, http: requests.Session) -> None:
    reply = ask(cloud, http, "/v1.0/me/photo/$value", token_for(cloud, "svc-mail@contoso.com"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "ImageNotFound")


def test_an_odd_size_is_refused(cloud: Cloud, http: requests.Session) -> None:
    assert ask(cloud, http, "/v1.0/me/photos/7x7/$value", token_for(cloud)).status_code == 400


def test_userinfo_says_who_somebody_is(cloud: Cloud, http: requests.Session) -> None:
    document = ask(cloud, http, "/oidc/userinfo", token_for(cloud)).json()
    assert document["name"] == "Contoso Notifications"
    assert document["email"] == "noreply@contoso.com"
    assert document["picture"] == f"{cloud.identity_url}/v1.0/me/photo/$value"
    user = cloud.tenant.users[0]
    assert document["sub"] == cloud.tokens.subject(user, cloud.app.client_id)


@pytest.mark.parametrize("path", ["/v1.0/me", "/v1.0/me/photo/$value", "/oidc/userinfo"])
def test_a_token_for_the_mail_server_does_where_it_is_told_to(
    cloud: Cloud, http: requests.Session, path: str
) -> None:
    cloud.control.identity({"userinfo_for_any_audience": True})
    outlook = token_for(cloud, audience="https://outlook.office.com", scopes=("SMTP.Send",))
    assert ask(cloud, http, path, outlook).status_code == 200
    vault = token_for(cloud, audience="https://vault.azure.net", scopes=())
    assert ask(cloud, http, path, vault).status_code == 401
    unfit = token_for(cloud, scopes=("Mail.Send",))
    assert ask(cloud, http, path, unfit).status_code == 403


def test_a_client_that_knows_nothing_of_microsoft_gets_along(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"userinfo_for_any_audience": True})
    query = {
        "client_id": cloud.app.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile email offline_access https://outlook.office.com/SMTP.Send",
        "access_type": "offline",
    }
    code = walk(http, f"{cloud.authority}/oauth2/v2.0/authorize?{urlencode(query)}")["code"]

    def token(**form: str) -> dict[str, Any]:
        basic = (cloud.app.client_id, cloud.client_secret)
        reply = http.post(f"{cloud.authority}/oauth2/v2.0/token", data=form, auth=basic)
        document: dict[str, Any] = reply.json()
        return document

    first = token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI)
    second = token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    for one in (first, second):
        assert (
            ask(cloud, http, "/oidc/userinfo", one["access_token"]).json()["email"] == "noreply@contoso.com"
        )
        assert cloud.tokens.verify_access_token(one["access_token"], audience={"https://outlook.office.com"})


@pytest.mark.parametrize("path", ["/v1.0/me", "/v1.0/me/photo/$value", "/oidc/userinfo"])
def test_a_token_for_the_mail_server_is_not_one_for_graph(
    cloud: Cloud, http: requests.Session, path: str
) -> None:
    token = token_for(cloud, audience="https://outlook.office.com")
    reply = ask(cloud, http, path, token)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert "Invalid audience" in reply.json()["error"]["message"]


@pytest.mark.parametrize("token", [None, "", "nonsense"])
def test_without_a_token_there_is_nothing(cloud: Cloud, http: requests.Session, token: str | None) -> None:
    assert ask(cloud, http, "/v1.0/me", token).status_code == 401


def test_a_token_that_ran_out_is_refused(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"token_lifetime_seconds": -1})
    reply = ask(cloud, http, "/v1.0/me", token_for(cloud))
    assert (reply.status_code, "expired" in reply.json()["error"]["message"]) == (401, True)


def test_a_token_of_another_issuer_is_refused(cloud: Cloud, http: requests.Session) -> None:
    tenant = default_tenant()
    foreign = Tokens(tenant)
    foreign.lifetime = timedelta(hours=1)
    token, _ = foreign.delegated(
        tenant.users[0], tenant.apps[0], audience="https://graph.microsoft.com", scopes=("User.Read",)
    )
    assert ask(cloud, http, "/v1.0/me", token).status_code == 401


def test_a_permission_that_is_missing_is_forbidden(cloud: Cloud, http: requests.Session) -> None:
    reply = ask(cloud, http, "/v1.0/me", token_for(cloud, scopes=("Mail.Send",)))
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "Authorization_RequestDenied")


@pytest.mark.parametrize("path", ["/v1.0/me", "/v1.0/me/photo/$value", "/oidc/userinfo"])
def test_graph_may_be_down(cloud: Cloud, http: requests.Session, path: str) -> None:
    fault: dict[str, Any] = {"graph": {"status": 503}}
    cloud.control.identity({"fail_next": fault})
    assert ask(cloud, http, path, token_for(cloud)).status_code == 503
