"""The vault, through azure-keyvault-secrets with a managed identity, as the app uses it."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from local.microsoft.cloud import Cloud

_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A name that no other test uses: the vault remembers."""
    return f"grant-{next(_numbers)}"


@pytest.fixture
def client(cloud: Cloud, trusted: Path) -> Iterator[SecretClient]:
    assert trusted == cloud.ca_file
    with (
        ManagedIdentityCredential() as credential,
        SecretClient(
            cloud.vault_url,
            credential,
            verify_challenge_resource=False,
            retry_total=1,
            retry_backoff_factor=0,
        ) as client,
    ):
        yield client


def bearer(cloud: Cloud, audience: str = "https://vault.azure.net", oid: str | None = None) -> dict[str, str]:
    object_id = oid or next(iter(cloud.vault.door.callers))
    token, _ = cloud.tokens.managed_identity(client_id="c", object_id=object_id, audience=audience)
    return {"Authorization": f"Bearer {token}"}


def test_what_is_set_is_read_back(client: SecretClient, name: str) -> None:
    expires = datetime(2027, 2, 22, 12, tzinfo=UTC)
    made = client.set_secret(
        name, "värde", content_type="application/json", tags={"sender": "noreply"}, expires_on=expires
    )
    read = client.get_secret(name)
    assert read.value == "värde"
    assert read.properties.version == made.properties.version
    assert read.properties.content_type == "application/json"
    assert read.properties.tags == {"sender": "noreply"}
    assert read.properties.expires_on == expires
    assert read.properties.enabled is True
    assert read.properties.recovery_level == "Recoverable+Purgeable"
    assert read.properties.created_on is not None


def test_each_set_makes_a_version_and_the_old_stays_readable(client: SecretClient, name: str) -> None:
    first = client.set_secret(name, "one").properties.version
    client.set_secret(name, "two")
    assert client.get_secret(name).value == "two"
    assert client.get_secret(name, first).value == "one"
    assert len(list(client.list_properties_of_secret_versions(name))) == 2


def test_a_name_has_no_case(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    assert client.get_secret(name.upper()).value == "one"


def test_properties_change_without_a_new_version(cloud: Cloud, client: SecretClient, name: str) -> None:
    made = client.set_secret(name, "one")
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    changed = client.update_secret_properties(name, expires_on=expires, tags={"a": "b"})
    assert changed.expires_on == expires
    assert client.get_secret(name).properties.tags == {"a": "b"}
    assert client.get_secret(name).properties.version == made.properties.version
    assert cloud.control.vault()["secrets"][name]["versions"] == 1


def test_a_disabled_secret_is_not_read(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one", enabled=False)
    with pytest.raises(HttpResponseError, match="not allowed on a disabled secret") as caught:
        client.get_secret(name)
    assert caught.value.status_code == 403


def test_an_expired_secret_is_read(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one", expires_on=datetime.now(UTC) - timedelta(days=1))
    assert client.get_secret(name).value == "one"


def test_what_is_not_there_is_not_found(client: SecretClient, name: str) -> None:
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        client.get_secret(name)
    client.set_secret(name, "one")
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        client.get_secret(name, "0" * 32)
    with pytest.raises(ResourceNotFoundError, match="Deleted Secret not found"):
        client.get_deleted_secret(name)


def test_25_kilobytes_are_the_limit(client: SecretClient, name: str) -> None:
    client.set_secret(name, "x" * 25 * 1024)
    with pytest.raises(HttpResponseError, match="BadParameter") as caught:
        client.set_secret(name, "ü" * 12801)
    assert caught.value.status_code == 400


@pytest.mark.parametrize("bad", ["under_score", "dot.dot", "x" * 128])
def test_a_name_that_cannot_be_is_refused(client: SecretClient, bad: str) -> None:
    with pytest.raises(HttpResponseError, match="invalid name") as caught:
        client.set_secret(bad, "one")
    assert caught.value.status_code == 400


def test_lists_come_in_pages(client: SecretClient, name: str) -> None:
    for number in range(27):
        client.set_secret(f"{name}-of-many-{number:02}", "x")
    found = [one.name for one in client.list_properties_of_secrets() if "of-many" in str(one.name)]
    assert found == [f"{name}-of-many-{number:02}" for number in range(27)]


def test_a_deleted_secret_keeps_its_name_until_it_is_recovered(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    deleted = client.begin_delete_secret(name).result()
    assert deleted.deleted_date is not None
    assert deleted.scheduled_purge_date == deleted.deleted_date + timedelta(days=90)
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(name)
    with pytest.raises(ResourceExistsError, match="deleted but recoverable") as caught:
        client.set_secret(name, "two")
    assert caught.value.status_code == 409
    assert name in [one.name for one in client.list_deleted_secrets()]
    assert client.get_deleted_secret(name).name == name
    client.begin_recover_deleted_secret(name).wait()
    assert client.get_secret(name).value == "one"


def test_a_purged_secret_frees_its_name(client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)
    assert client.set_secret(name, "two").value == "two"
    assert len(list(client.list_properties_of_secret_versions(name))) == 1


def test_under_purge_protection_a_deleted_secret_is_recovered_or_nothing(
    cloud: Cloud, client: SecretClient, name: str
) -> None:
    client.set_secret(name, "one")
    cloud.control.vault({"purge_protection": True})
    assert client.get_secret(name).properties.recovery_level == "Recoverable"
    client.begin_delete_secret(name).wait()
    with pytest.raises(HttpResponseError, match="purge protection is enabled") as caught:
        client.purge_deleted_secret(name)
    assert caught.value.status_code == 403
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        client.set_secret(name, "two")
    client.begin_recover_deleted_secret(name).wait()
    assert client.set_secret(name, "two").value == "two"


def test_without_a_token_the_challenge_says_where_to_get_one(cloud: Cloud, http: requests.Session) -> None:
    reply = http.get(f"{cloud.vault_url}/secrets/x?api-version=2026-04-01")
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == (
        f'Bearer authorization="{cloud.authority}", resource="https://vault.azure.net"'
    )
    assert reply.json()["error"]["message"] == "AKV10000: Request is missing a Bearer or PoP token."


def test_a_token_for_another_service_is_refused(cloud: Cloud, http: requests.Session) -> None:
    headers = bearer(cloud, "https://graph.microsoft.com")
    reply = http.get(f"{cloud.vault_url}/secrets?api-version=2026-04-01", headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["message"].startswith("AKV10022: Invalid audience.")
    assert "WWW-Authenticate" in reply.headers


def test_an_expired_token_is_refused(cloud: Cloud, http: requests.Session) -> None:
    user = cloud.tenant.users[0]
    cloud.control.identity({"token_lifetime_seconds": -1})
    token, _ = cloud.tokens.delegated(user, cloud.app, audience="https://vault.azure.net", scopes=())
    reply = http.get(
        f"{cloud.vault_url}/secrets?api-version=2026-04-01", headers={"Authorization": f"Bearer {token}"}
    )
    assert (reply.status_code, "expired" in reply.json()["error"]["message"]) == (401, True)


def test_a_caller_without_a_role_is_forbidden(cloud: Cloud, http: requests.Session) -> None:
    headers = bearer(cloud, oid="40000000-0000-4000-8000-000000000000")
    reply = http.get(f"{cloud.vault_url}/secrets?api-version=2026-04-01", headers=headers)
    assert (reply.status_code, reply.json()["error"]["innererror"]["code"]) == (403, "ForbiddenByRbac")


@pytest.mark.parametrize("version", ["", "2015-01-01"])
def test_an_unknown_api_version_is_refused(cloud: Cloud, http: requests.Session, version: str) -> None:
    reply = http.get(f"{cloud.vault_url}/secrets?api-version={version}", headers=bearer(cloud))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"value": 7},
        {"value": "x", "contentType": "c" * 256},
        {"value": "x", "tags": {str(number): "" for number in range(16)}},
        {"value": "x", "attributes": {"exp": "soon"}},
        {"value": "x", "attributes": {"enabled": 1}},
        {"value": "x", "attributes": {"nbf": 2, "exp": 1}},
        {"value": "x", "attributes": []},
        [],
    ],
)
def test_a_document_that_cannot_be_is_refused(
    cloud: Cloud, http: requests.Session, name: str, document: Any
) -> None:
    reply = http.put(
        f"{cloud.vault_url}/secrets/{name}?api-version=2026-04-01", json=document, headers=bearer(cloud)
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BadParameter")
    assert name not in cloud.control.vault()["secrets"]


def test_throttling_is_waited_out_by_the_client(cloud: Cloud, client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    cloud.control.vault({"fail_next": {"get": {"status": 429, "retry_after": 0}}})
    before = cloud.control.vault()["calls"].get("get", 0)
    assert client.get_secret(name).value == "one"
    assert cloud.control.vault()["calls"]["get"] == before + 2


@pytest.mark.parametrize(
    ("status", "code"), [(403, "Forbidden"), (429, "Throttled"), (500, "InternalServerError")]
)
def test_failures_are_key_vaults_own(
    cloud: Cloud, client: SecretClient, name: str, status: int, code: str
) -> None:
    cloud.control.vault({"fail_next": {"set": {"status": status, "times": 9, "retry_after": 0}}})
    with pytest.raises(HttpResponseError, match=code) as caught:
        client.set_secret(name, "one")
    assert caught.value.status_code == status
    assert name not in cloud.control.vault()["secrets"]


def test_a_connection_may_end_without_an_answer(cloud: Cloud, client: SecretClient, name: str) -> None:
    cloud.control.vault({"fail_next": {"set": {"status": 0, "times": 9}}})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        client.set_secret(name, "one")


def test_an_administrator_sets_secrets_through_the_control(
    cloud: Cloud, client: SecretClient, name: str
) -> None:
    cloud.control.vault({"set": {name: "by hand"}})
    assert client.get_secret(name).value == "by hand"


def test_an_administrator_sets_a_whole_secret_and_its_date(
    cloud: Cloud, client: SecretClient, name: str
) -> None:
    document = {"value": "by hand", "contentType": "text/plain", "attributes": {"exp": 1893456000}}
    cloud.control.vault({"set": {name: document}})
    read = client.get_secret(name).properties
    assert (read.content_type, read.expires_on) == ("text/plain", datetime(2030, 1, 1, tzinfo=UTC))
    cloud.control.vault({"expires": {name: 1924992000}})
    assert client.get_secret(name).properties.expires_on == datetime(2031, 1, 1, tzinfo=UTC)
    cloud.control.vault({"expires": {name: None}})
    assert client.get_secret(name).properties.expires_on is None
    assert cloud.control.vault()["versions"][name] == 1


def test_an_administrator_deletes_and_recovers(cloud: Cloud, client: SecretClient, name: str) -> None:
    client.set_secret(name, "one")
    client.set_secret(name, "two")
    counters = cloud.control.vault({"delete": [name]})
    assert name not in counters["secrets"]
    assert counters["versions"][name] == 2
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(name)
    cloud.control.vault({"recover": [name]})
    assert client.get_secret(name).value == "two"


def test_the_client_secret_has_the_providers_date(cloud: Cloud, client: SecretClient) -> None:
    expires = client.get_secret("oauth-microsoft-client-secret").properties.expires_on
    assert expires is not None
    assert timedelta(days=729) < expires - datetime.now(UTC) <= timedelta(days=730)
    assert cloud.control.vault()["versions"]["oauth-microsoft-client-secret"] >= 1


def test_a_certificates_secret_is_managed_by_the_vault(cloud: Cloud, client: SecretClient) -> None:
    cloud.control.identity({"register_certificate": {"service": "read", "days": 10}})
    read = client.get_secret("oauth-read-certificate")
    assert read.properties.content_type == "application/x-pem-file"
    assert (
        read.properties.key_id == f"{cloud.vault_url}/keys/oauth-read-certificate/{read.properties.version}"
    )
    assert read.properties.expires_on is not None
    assert str(read.value).startswith("-----BEGIN PRIVATE KEY-----")
    assert str(read.value).rstrip().endswith("-----END CERTIFICATE-----")


def test_the_vault_may_answer_garbage(cloud: Cloud, http: requests.Session, name: str) -> None:
    cloud.control.vault({"fail_next": {"get": {"status": 200, "garbage": '{"value": "cu'}}})
    reply = http.get(f"{cloud.vault_url}/secrets/{name}?api-version=2026-04-01", headers=bearer(cloud))
    assert (reply.status_code, reply.text) == (200, '{"value": "cu')


def test_the_counters_never_tell_a_value(cloud: Cloud, client: SecretClient, name: str) -> None:
    client.set_secret(name, "canary-5f1c")
    assert "canary-5f1c" not in str(cloud.control.vault())


@pytest.mark.parametrize(
    "instructions",
    [
        {"no_such": 1},
        {"set": {"under_score": "x"}},
        {"latency_ms": None},
        {"expires": {"no-such-secret": 1}},
        {"delete": ["no-such-secret"]},
        {"recover": ["no-such-secret"]},
    ],
)
def test_what_the_control_does_not_understand_is_refused(
    cloud: Cloud, http: requests.Session, instructions: Any
) -> None:
    assert http.post(f"{cloud.vault_url}/_control", json=instructions).status_code == 400
