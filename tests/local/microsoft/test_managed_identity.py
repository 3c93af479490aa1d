"""App Service's identity endpoint, asked by hand and by azure-identity."""

from pathlib import Path

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from local.microsoft.cloud import Cloud
from local.microsoft.managed_identity import SYSTEM_ASSIGNED, USER_ASSIGNED

VAULT = "https://vault.azure.net"


def ask(cloud: Cloud, http: requests.Session, header: str | None = "", **query: str) -> requests.Response:
    headers = {} if header is None else {"X-IDENTITY-HEADER": header or cloud.identity_header}
    parameters = {"api-version": "2019-08-01", "resource": VAULT} | query
    return http.get(cloud.managed_identity_url, params=parameters, headers=headers)


def test_azure_identity_gets_a_token_for_the_vault(cloud: Cloud, trusted: Path) -> None:
    assert trusted.exists()
    with ManagedIdentityCredential() as credential:
        token = credential.get_token(f"{VAULT}/.default").token
    claims = cloud.tokens.verify_access_token(token, audience={VAULT})
    assert (claims["appid"], claims["oid"]) == SYSTEM_ASSIGNED


def test_the_user_assigned_identity_is_named_by_its_client_id(cloud: Cloud, trusted: Path) -> None:
    assert trusted.exists()
    with ManagedIdentityCredential(client_id=USER_ASSIGNED[0]) as credential:
        token = credential.get_token(f"{VAULT}/.default").token
    assert cloud.tokens.verify_access_token(token, audience={VAULT})["oid"] == USER_ASSIGNED[1]


def test_azure_identity_reports_an_identity_that_is_not_assigned(cloud: Cloud, trusted: Path) -> None:
    assert trusted == cloud.ca_file
    with (
        ManagedIdentityCredential(client_id="00000000-0000-4000-8000-00000000000f") as credential,
        pytest.raises(ClientAuthenticationError, match="No User Assigned or Delegated Managed Identity"),
    ):
        credential.get_token(f"{VAULT}/.default")


def test_the_reply_is_app_services(cloud: Cloud, http: requests.Session) -> None:
    document = ask(cloud, http).json()
    assert sorted(document) == ["access_token", "client_id", "expires_on", "resource", "token_type"]
    assert document["expires_on"].isdecimal()


def test_a_token_for_a_federated_credential_is_to_be_had(cloud: Cloud, http: requests.Session) -> None:
    token = ask(cloud, http, resource="api://AzureADTokenExchange").json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == "api://AzureADTokenExchange"
    assert claims["iss"] == f"{cloud.authority}/v2.0"
    assert claims["sub"] == claims["oid"] == SYSTEM_ASSIGNED[1]
    assert claims["ver"] == "2.0"


def test_its_tokens_go_by_the_machines_clock(cloud: Cloud, http: requests.Session) -> None:
    token = ask(cloud, http).json()["access_token"]
    cloud.control.identity({"advance_seconds": 90 * 86400})
    assert cloud.tokens.verify_access_token(token, audience={VAULT})["oid"] == SYSTEM_ASSIGNED[1]


def test_it_answers_garbage_on_request(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"managed_identity": {"status": 200, "garbage": "[]"}}})
    assert ask(cloud, http).json() == []


@pytest.mark.parametrize("header", [None, "wrong"])
def test_without_the_header_nobody_gets_a_token(
    cloud: Cloud, http: requests.Session, header: str | None
) -> None:
    assert ask(cloud, http, header).status_code == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"api-version": "2017-09-01"}, 400),
        ({"resource": ""}, 400),
        ({"client_id": "nobody"}, 400),
        ({"resource": "https://nowhere.example"}, 500),
    ],
)
def test_what_is_wrong_is_said(
    cloud: Cloud, http: requests.Session, query: dict[str, str], status: int
) -> None:
    reply = ask(cloud, http, **query)
    assert (reply.status_code, reply.json()["statusCode"]) == (status, status)
    assert reply.json()["message"]


def test_it_fails_on_request(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"managed_identity": {"status": 429, "retry_after": 3}}})
    reply = ask(cloud, http)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "3")
    assert ask(cloud, http).status_code == 200


def test_it_hangs_up_on_request(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"managed_identity": {"status": 0}}})
    with pytest.raises(requests.ConnectionError):
        ask(cloud, http)
