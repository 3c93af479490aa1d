"""The identity provider misbehaves on request."""

from typing import Any

import pytest
import requests

from local.microsoft.cloud import Cloud

APP_ONLY = {"grant_type": "client_credentials", "scope": "https://outlook.office365.com/.default"}


def ask(cloud: Cloud, http: requests.Session) -> requests.Response:
    form = APP_ONLY | {"client_id": cloud.app.client_id, "client_secret": cloud.client_secret}
    return http.post(f"{cloud.authority}/oauth2/v2.0/token", data=form)


def test_the_next_calls_fail_and_then_all_is_well(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": 503, "times": 2, "retry_after": 7}}})
    replies = [ask(cloud, http) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 503, 200]
    assert replies[0].headers["Retry-After"] == "7"
    assert replies[0].json()["error"] == "temporarily_unavailable"
    assert replies[0].json()["error_codes"] == [90033]


def test_a_throttled_tenant_is_told_so(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": 429}}})
    reply = ask(cloud, http)
    assert (reply.status_code, reply.json()["error_codes"]) == (429, [90055])


def test_any_of_entras_codes_can_be_ordered(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": 400, "code": "65001"}}})
    reply = ask(cloud, http)
    assert (reply.json()["error"], reply.json()["error_codes"]) == ("invalid_grant", [65001])


def test_a_gateway_may_answer_with_html(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"html_instead_of_json": 1})
    reply = ask(cloud, http)
    assert (reply.status_code, reply.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert ask(cloud, http).status_code == 200


@pytest.mark.parametrize("body", ["[]", "null", '{"access_token": "ey', ""])
def test_what_calls_itself_json_may_be_garbage(cloud: Cloud, http: requests.Session, body: str) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": 200, "garbage": body}}})
    reply = ask(cloud, http)
    assert (reply.status_code, reply.text) == (200, body)
    assert reply.headers["Content-Type"].startswith("application/json")
    assert "access_token" in ask(cloud, http).json()


@pytest.mark.parametrize("status", [408, 429])
def test_a_client_may_be_asked_to_wait(cloud: Cloud, http: requests.Session, status: int) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": status, "retry_after": 11}}})
    reply = ask(cloud, http)
    assert (reply.status_code, reply.headers["Retry-After"]) == (status, "11")


def test_a_connection_may_end_without_an_answer(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"fail_next": {"token": {"status": 0}}})
    with pytest.raises(requests.ConnectionError):
        ask(cloud, http)
    assert ask(cloud, http).status_code == 200


@pytest.mark.parametrize("path", ["v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"])
def test_metadata_may_fail_too(cloud: Cloud, http: requests.Session, path: str) -> None:
    cloud.control.identity({"fail_next": {"any": {"status": 500}}})
    assert http.get(f"{cloud.authority}/{path}").status_code == 500
    assert http.get(f"{cloud.authority}/{path}").status_code == 200


def test_the_life_of_new_tokens_can_be_set(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"token_lifetime_seconds": 120})
    assert ask(cloud, http).json()["expires_in"] == 120
    cloud.control.identity({"token_lifetime_seconds": None})
    assert ask(cloud, http).json()["expires_in"] >= 3600


def test_latency_delays_an_answer(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"latency_ms": 80})
    assert ask(cloud, http).elapsed.total_seconds() >= 0.08


def test_counters_tell_grant_types_and_refusals(cloud: Cloud, http: requests.Session) -> None:
    before = cloud.control.identity()
    cloud.control.identity({"expire_client_secret": True})
    ask(cloud, http)
    after = cloud.control.identity()
    grants = "client_credentials"
    assert after["grant_types"][grants] == before["grant_types"].get(grants, 0) + 1
    assert after["refusals"]["7000222"] == before["refusals"].get("7000222", 0) + 1
    assert after["calls"]["token"] == before["calls"].get("token", 0) + 1


@pytest.mark.parametrize(
    "instructions",
    [
        {"no_such": 1},
        {"fail_next": {"nowhere": {"status": 500}}},
        {"fail_next": {"token": 503}},
        {"fail_next": {"token": {"times": 2}}},
        {"fail_next": {"token": {"status": 500, "how": "loudly"}}},
        {"revoke": "nobody@contoso.com"},
        {"revoke": {"upn": "noreply@contoso.com", "code": "54005"}},
        {"block": "nobody@contoso.com"},
        {"rehire": "nobody@contoso.com"},
        {"rename": {"from": "noreply@contoso.com"}},
        {"rename": {"from": "nobody@contoso.com", "to": "somebody@contoso.com"}},
        {"rename": {"from": "noreply@contoso.com", "to": "billing@contoso.com"}},
        {"rename": {"from": "noreply@contoso.com", "to": "noreply@fabrikam.com"}},
        {"app_roles": "SMTP.SendAsApp"},
        {"federated_credential": {"subjects": "x"}},
        {"federated_credential": "x"},
        {"register_certificate": {"format": "der"}},
        {"register_certificate": {"name": "x"}},
        {"register_certificate": "pem"},
        {"grant_less": "twice"},
        {"advance_seconds": "a day"},
        {"latency_ms": "soon"},
        [],
    ],
)
def test_what_it_does_not_understand_is_refused(
    cloud: Cloud, http: requests.Session, instructions: Any
) -> None:
    reply = http.post(f"{cloud.identity_url}/_control", json=instructions)
    assert reply.status_code == 400
    assert reply.json()["error"]


def test_what_is_not_json_is_refused(cloud: Cloud, http: requests.Session) -> None:
    assert http.post(f"{cloud.identity_url}/_control", data=b"{").status_code == 400
