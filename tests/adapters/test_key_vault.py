"""Key Vault through its SDK and a managed identity, on the stand-in that keeps the vault's rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.key_vault import KeyVault
from shared.core.grant import ClientCertificate, ClientSecret
from shared.core.service import CredentialKind, Microsoft, Service
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from tests.twins import NOON, Clock, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.microsoft.cloud import Cloud

SERVICE = Service(
    "microsoft", "client-id", Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com")
)
ROLE = "give the app's identity the role Key Vault Secrets Officer on this vault"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(microsoft: Cloud, clock: Clock) -> Iterator[KeyVault]:
    with ManagedIdentityCredential() as credential:
        yield KeyVault(microsoft.vault_url, credential, verify_challenge=False, clock=clock)


def test_the_secret_expires_on_the_day_the_refresh_token_would(
    vault: KeyVault, microsoft: Cloud, unique_name: str
) -> None:
    vault.store_grant(unique_name, grant(at=NOON))
    secret = microsoft.control.vault()["secrets"][f"grant-{unique_name}"]
    assert secret["attributes"]["exp"] == (NOON + timedelta(days=90)).timestamp()
    assert secret["content_type"] == "application/json; sendoff=grant"
    assert secret["tags"] == {"account": "noreply@contoso.com"}


def test_every_grant_that_is_stored_is_a_version_of_its_own(
    vault: KeyVault, microsoft: Cloud, unique_name: str
) -> None:
    for number in (1, 2, 3):
        vault.store_grant(unique_name, grant(number=number))
    assert microsoft.control.vault()["secrets"][f"grant-{unique_name}"]["versions"] == 3


def test_a_grant_that_the_vault_cannot_hold_is_said_before_it_is_sent(
    vault: KeyVault, unique_name: str
) -> None:
    with pytest.raises(CredentialError, match=r"has 25\d\d\d octets and Key Vault takes 25000"):
        vault.store_grant(unique_name, replace(grant(), access_token="canary" * 4_100))


@pytest.mark.parametrize("value", ["not json", "{}", "[]", '{"version": 1}', '"canary"'])
def test_a_secret_that_holds_no_grant_asks_for_a_new_sign_in_and_is_not_quoted(
    vault: KeyVault, microsoft: Cloud, unique_name: str, value: str
) -> None:
    microsoft.control.vault({"set": {f"grant-{unique_name}": value}})
    with pytest.raises(ConsentRequiredError) as raised:
        vault.load_grant(unique_name)
    assert str(raised.value) == (
        f"the secret grant-{unique_name} holds no grant (the secret does not hold a grant); "
        "somebody must sign in anew"
    )


def test_a_grant_of_an_application_does_not_expire_in_the_vault(
    vault: KeyVault, microsoft: Cloud, unique_name: str
) -> None:
    vault.store_grant(unique_name, replace(grant(), refresh_token=""))
    secret = microsoft.control.vault()["secrets"][f"grant-{unique_name}"]
    assert "exp" not in secret["attributes"]
    loaded = vault.load_grant(unique_name)
    assert loaded
    assert loaded.is_app_only


# Taking a grant away.


def versions(microsoft: Cloud, name: str) -> int:
    found: int = microsoft.control.vault()["versions"].get(name, 0)
    return found


def test_a_grant_that_was_deleted_is_gone(vault: KeyVault, unique_name: str) -> None:
    vault.store_grant(unique_name, grant())
    assert vault.delete_grant(unique_name)
    assert vault.load_grant(unique_name) is None
    assert not vault.delete_grant(unique_name)


def test_where_there_is_no_grant_none_is_deleted(vault: KeyVault, unique_name: str) -> None:
    assert not vault.delete_grant(unique_name)


@pytest.mark.parametrize("protected", [False, True])
def test_a_grant_is_stored_again_after_it_was_deleted(
    vault: KeyVault, microsoft: Cloud, unique_name: str, *, protected: bool
) -> None:
    microsoft.control.vault({"purge_protection": protected})
    vault.store_grant(unique_name, grant(number=1))
    vault.delete_grant(unique_name)
    vault.store_grant(unique_name, grant(number=2))
    assert vault.load_grant(unique_name) == grant(number=2)
    # The vault keeps what it had, under the new one.
    assert versions(microsoft, f"grant-{unique_name}") == 2
    vault.store_grant(unique_name, grant(number=3))
    assert versions(microsoft, f"grant-{unique_name}") == 3


@pytest.mark.parametrize("operation", ["deleted", "set"])
def test_a_grant_that_cannot_be_recovered_just_now_is_stored_at_the_next_try(
    vault: KeyVault, microsoft: Cloud, unique_name: str, operation: str
) -> None:
    vault.store_grant(unique_name, grant(number=1))
    vault.delete_grant(unique_name)
    microsoft.control.vault({"fail_next": {operation: {"status": 503, "times": 9}}})
    with pytest.raises(TokenUnavailableError, match="cannot write the secret"):
        vault.store_grant(unique_name, grant(number=2))
    microsoft.control.vault({"reset": True})
    vault.store_grant(unique_name, grant(number=2))
    assert vault.load_grant(unique_name) == grant(number=2)


# What a service proves itself with.


def put(microsoft: Cloud, name: str, value: str, **attributes: int) -> None:
    microsoft.control.vault({"set": {name: {"value": value, "attributes": attributes}}})


@pytest.fixture
def service(unique_name: str) -> Service:
    """A service whose secrets no other test has."""
    return replace(SERVICE, name=unique_name)


@pytest.fixture
def certified(service: Service) -> Service:
    return replace(service, credential=CredentialKind.CERTIFICATE)


def test_the_client_secret_is_read_from_the_vault(vault: KeyVault, microsoft: Cloud) -> None:
    assert vault.credential(SERVICE) == ClientSecret(microsoft.client_secret)
    assert microsoft.client_secret not in repr(vault.credential(SERVICE))


def test_it_is_kept_for_five_minutes(
    vault: KeyVault, microsoft: Cloud, clock: Clock, service: Service
) -> None:
    put(microsoft, service.client_secret_name, "the old one")
    assert vault.credential(service) == ClientSecret("the old one")
    put(microsoft, service.client_secret_name, "a new one")
    clock.advance(timedelta(minutes=5) - timedelta(seconds=1))
    assert vault.credential(service) == ClientSecret("the old one")
    clock.advance(timedelta(seconds=1))
    assert vault.credential(service) == ClientSecret("a new one")


def test_the_vault_is_asked_once_in_five_minutes_for_both_the_secret_and_its_end(
    vault: KeyVault, microsoft: Cloud, service: Service
) -> None:
    put(microsoft, service.client_secret_name, "it")
    before = microsoft.control.vault()["calls"]["get"]
    for _ in range(3):
        vault.credential(service)
        vault.expires_at(service)
    assert microsoft.control.vault()["calls"]["get"] == before + 1


def test_it_is_read_anew_after_it_was_refused(vault: KeyVault, microsoft: Cloud, service: Service) -> None:
    other = replace(service, name=f"{service.name}-other")
    for each in (service, other):
        put(microsoft, each.client_secret_name, "the old one")
        vault.credential(each)
        put(microsoft, each.client_secret_name, "a new one")
    vault.forget_credential(service)
    assert vault.credential(service) == ClientSecret("a new one")
    assert vault.credential(other) == ClientSecret("the old one")
    vault.forget_credential(replace(service, name="never-read"))


def test_a_vault_without_one_says_what_to_type(vault: KeyVault) -> None:
    with pytest.raises(CredentialError) as raised:
        vault.credential(replace(SERVICE, name="other"))
    assert "az keyvault secret set --vault-name <vault> --name oauth-other-client-secret" in str(raised.value)
    assert raised.value.code == "no_credential"


def test_one_that_is_missing_is_not_remembered_as_missing(
    vault: KeyVault, microsoft: Cloud, service: Service
) -> None:
    with pytest.raises(CredentialError):
        vault.credential(service)
    put(microsoft, service.client_secret_name, "it")
    assert vault.credential(service) == ClientSecret("it")


def test_the_end_of_a_client_secret_is_the_one_that_was_written_beside_it(
    vault: KeyVault, microsoft: Cloud, service: Service
) -> None:
    put(microsoft, service.client_secret_name, "it")
    assert vault.expires_at(service) is None
    ends = NOON + timedelta(days=20)
    microsoft.control.vault({"expires": {service.client_secret_name: int(ends.timestamp())}})
    assert vault.expires_at(service) is None
    vault.forget_credential(service)
    assert vault.expires_at(service) == ends


@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_certificate_of_the_vault_is_read_with_its_key_and_its_end(
    vault: KeyVault, microsoft: Cloud, certified: Service, form: str
) -> None:
    made = microsoft.control.identity(
        {"register_certificate": {"service": certified.name, "format": form, "days": 30}}
    )["certificate"]
    assert made["secret"] == certified.credential_name
    found = vault.credential(certified)
    assert isinstance(found, ClientCertificate)
    assert found.private_key.startswith("-----BEGIN PRIVATE KEY-----")
    assert found.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert vault.expires_at(certified) == datetime.fromtimestamp(made["expires"], UTC)
    assert "BEGIN" not in repr(found)


@pytest.mark.parametrize("days", [10, 50])
def test_the_earlier_of_two_ends_counts(
    vault: KeyVault, microsoft: Cloud, certified: Service, days: int
) -> None:
    made = microsoft.control.identity({"register_certificate": {"service": certified.name, "days": 30}})
    of_the_certificate = datetime.fromtimestamp(made["certificate"]["expires"], UTC)
    written = of_the_certificate + timedelta(days=days - 30)
    microsoft.control.vault({"expires": {certified.credential_name: int(written.timestamp())}})
    assert vault.expires_at(certified) == min(of_the_certificate, written)


def test_a_new_certificate_is_picked_up_after_five_minutes(
    vault: KeyVault, microsoft: Cloud, clock: Clock, certified: Service
) -> None:
    register = {"register_certificate": {"service": certified.name}}
    microsoft.control.identity(register)
    old = vault.credential(certified)
    microsoft.control.identity(register)
    assert vault.credential(certified) == old
    clock.advance(timedelta(minutes=5))
    assert vault.credential(certified) != old
    assert versions(microsoft, certified.credential_name) == 2


@pytest.mark.parametrize("value", ["canary", "-----BEGIN CERTIFICATE-----\ncanary", "Y2FuYXJ5"])
def test_what_is_no_certificate_is_an_administrators_business_and_is_not_quoted(
    vault: KeyVault, microsoft: Cloud, certified: Service, value: str
) -> None:
    put(microsoft, certified.credential_name, value)
    with pytest.raises(CredentialError) as raised:
        vault.credential(certified)
    assert str(raised.value).startswith(
        f"the secret {certified.credential_name} is no certificate to sign in with: it "
    )
    assert raised.value.code == "no_credential"
    assert value not in str(raised.value)


def test_a_vault_without_a_certificate_says_what_to_type(vault: KeyVault, certified: Service) -> None:
    with pytest.raises(CredentialError) as raised:
        vault.credential(certified)
    assert f"az keyvault certificate create --vault-name <vault> --name {certified.credential_name}" in str(
        raised.value
    )


# A vault that fails.


def read_grant(vault: KeyVault) -> object:
    return vault.load_grant("noreply")


def read_secret(vault: KeyVault) -> object:
    return vault.credential(SERVICE)


def write_grant(vault: KeyVault) -> object:
    vault.store_grant("noreply", grant())
    return None


def delete_grant(vault: KeyVault) -> object:
    return vault.delete_grant("noreply")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (read_grant, "cannot read the secret grant-noreply"),
        (read_secret, "cannot read the secret oauth-microsoft-client-secret"),
        (write_grant, "cannot write the secret grant-noreply"),
        (delete_grant, "cannot delete the secret grant-noreply"),
    ],
    ids=["read grant", "read secret", "write grant", "delete grant"],
)
def test_a_missing_role_is_said(
    vault: KeyVault,
    microsoft: Cloud,
    call: Callable[[KeyVault], object],
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    microsoft.control.vault({"fail_next": {"any": {"status": 403}}})
    with pytest.raises(TokenUnavailableError) as raised:
        call(vault)
    assert str(raised.value) == f"{said}: HttpResponseError 403; {ROLE}"
    assert raised.value.code == "vault_403"
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 429, "times": 3}, "HttpResponseError 429"),
        ({"status": 503, "times": 3}, "HttpResponseError 503"),
        ({"status": 0, "times": 9}, "ServiceResponseError"),
    ],
    ids=["429", "503", "connection lost"],
)
def test_a_vault_that_is_down_means_later(
    vault: KeyVault, microsoft: Cloud, fault: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    vault.load_grant("noreply")  # the identity's token is fetched
    microsoft.control.vault({"fail_next": {"get": fault}})
    with pytest.raises(TokenUnavailableError) as raised:
        vault.load_grant("noreply")
    assert str(raised.value) == f"cannot read the secret grant-noreply: {said}; it is tried again"
    assert "canary" not in f"{raised.value} {caplog.text}"


@pytest.mark.parametrize("operation", ["set", "delete"])
@pytest.mark.parametrize("status", [429, 0])
def test_a_grant_that_could_not_be_written_or_deleted_stays_as_it_was(
    vault: KeyVault, microsoft: Cloud, unique_name: str, operation: str, status: int
) -> None:
    vault.store_grant(unique_name, grant(number=1))
    microsoft.control.vault({"fail_next": {operation: {"status": status, "times": 9}}})
    changes: dict[str, Callable[[], object]] = {
        "set": partial(vault.store_grant, unique_name, grant(number=2)),
        "delete": partial(vault.delete_grant, unique_name),
    }
    with pytest.raises(TokenUnavailableError, match="it is tried again"):
        changes[operation]()
    microsoft.control.vault({"reset": True})
    assert vault.load_grant(unique_name) == grant(number=1)
    assert versions(microsoft, f"grant-{unique_name}") == 1


@pytest.mark.parametrize("garbage", ["{}", "<html>", '{"value"'])
def test_an_answer_that_is_no_secret_ends_as_an_error_that_we_know(
    vault: KeyVault, microsoft: Cloud, garbage: str
) -> None:
    microsoft.control.vault({"fail_next": {"get": {"status": 200, "garbage": garbage, "times": 5}}})
    with pytest.raises(GrantError):
        vault.credential(SERVICE)


def test_a_credential_at_hand_serves_while_the_vault_is_away(
    vault: KeyVault, microsoft: Cloud, clock: Clock
) -> None:
    vault.credential(SERVICE)
    microsoft.control.vault({"fail_next": {"get": {"status": 503, "times": 9}}})
    clock.advance(timedelta(minutes=4))
    assert vault.credential(SERVICE) == ClientSecret(microsoft.client_secret)


def test_one_failure_of_the_vault_is_not_noticed(vault: KeyVault, microsoft: Cloud) -> None:
    microsoft.control.vault({"fail_next": {"get": {"status": 503}}})
    assert vault.credential(SERVICE) == ClientSecret(microsoft.client_secret)


def test_a_slow_vault_is_waited_for(vault: KeyVault, microsoft: Cloud) -> None:
    microsoft.control.vault({"latency_ms": 200})
    assert vault.credential(SERVICE) == ClientSecret(microsoft.client_secret)


@pytest.mark.usefixtures("microsoft")
def test_a_vault_that_is_not_there_means_later(unique_name: str) -> None:
    with ManagedIdentityCredential() as credential:
        nowhere = KeyVault("https://localhost:9", credential, verify_challenge=False)
        with pytest.raises(TokenUnavailableError, match="ServiceRequestError; it is tried again"):
            nowhere.load_grant(unique_name)


def test_an_identity_without_a_token_means_later(microsoft: Cloud) -> None:
    microsoft.control.identity({"fail_next": {"managed_identity": {"status": 400, "times": 9}}})
    with ManagedIdentityCredential() as credential:
        vault = KeyVault(microsoft.vault_url, credential, verify_challenge=False)
        with pytest.raises(TokenUnavailableError, match="cannot read the secret grant-noreply"):
            vault.load_grant("noreply")
