"""Key Vault through its SDK and a managed identity, on the stand-in that keeps the vault's rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.key_vault import KeyVault
from shared.core.oauth import Service
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError
from tests.twins import NOON, Clock, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.microsoft.cloud import Cloud

SERVICE = Service("microsoft", "contoso.com", "client-id", "https://login.microsoftonline.com/contoso.com")
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


# The client secret.


def test_the_client_secret_is_read_from_the_vault(vault: KeyVault, microsoft: Cloud) -> None:
    assert vault.client_secret(SERVICE) == microsoft.client_secret


def test_it_is_kept_for_five_minutes(vault: KeyVault, microsoft: Cloud, clock: Clock) -> None:
    vault.client_secret(SERVICE)
    microsoft.control.vault({"set": {SERVICE.client_secret_name: "a new one"}})
    clock.advance(timedelta(minutes=5) - timedelta(seconds=1))
    assert vault.client_secret(SERVICE) == microsoft.client_secret
    clock.advance(timedelta(seconds=1))
    assert vault.client_secret(SERVICE) == "a new one"


def test_it_is_read_anew_after_it_was_refused(vault: KeyVault, microsoft: Cloud) -> None:
    vault.client_secret(SERVICE)
    microsoft.control.vault({"set": {SERVICE.client_secret_name: "a new one"}})
    vault.forget_client_secret(SERVICE)
    assert vault.client_secret(SERVICE) == "a new one"


def test_a_vault_without_one_says_what_to_type(vault: KeyVault) -> None:
    with pytest.raises(CredentialError) as raised:
        vault.client_secret(replace(SERVICE, name="other"))
    assert "az keyvault secret set --vault-name <vault> --name oauth-other-client-secret" in str(raised.value)


# A vault that fails.


def read_grant(vault: KeyVault) -> object:
    return vault.load_grant("noreply")


def read_secret(vault: KeyVault) -> object:
    return vault.client_secret(SERVICE)


def write_grant(vault: KeyVault) -> object:
    vault.store_grant("noreply", grant())
    return None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (read_grant, "cannot read the secret grant-noreply"),
        (read_secret, "cannot read the secret oauth-microsoft-client-secret"),
        (write_grant, "cannot write the secret grant-noreply"),
    ],
    ids=["read grant", "read secret", "write grant"],
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
    assert raised.value.code == "403"
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


def test_one_failure_of_the_vault_is_not_noticed(vault: KeyVault, microsoft: Cloud) -> None:
    microsoft.control.vault({"fail_next": {"get": {"status": 503}}})
    assert vault.client_secret(SERVICE) == microsoft.client_secret


def test_a_slow_vault_is_waited_for(vault: KeyVault, microsoft: Cloud) -> None:
    microsoft.control.vault({"latency_ms": 200})
    assert vault.client_secret(SERVICE) == microsoft.client_secret


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
