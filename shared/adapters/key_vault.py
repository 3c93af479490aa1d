"""
Azure Key Vault: the grants of the senders and the client secrets of the services.

A grant is written by consent and by upkeep alone, whole each time; its secret expires on the day the refresh
token would, so the vault's own alarm rings too. Client secrets are only read, and read anew after a while, so
a new one is picked up without a restart.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.keyvault.secrets import SecretClient

from shared.core.oauth import Grant
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.core.oauth import Service

_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_CONTENT_TYPE = "application/json; sendoff=grant"
_LARGEST_SECRET_BYTES = 25_000  # Key Vault's limit for a secret's value
_CLIENT_SECRET_LIFE = timedelta(minutes=5)


class KeyVault:
    """Secrets by name, over the vault's REST interface with the app's own identity."""

    def __init__(
        self,
        url: str,
        credential: TokenCredential,
        *,
        verify_challenge: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        timeouts: Any = {"connection_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
        self._client = SecretClient(
            url,
            credential,
            verify_challenge_resource=verify_challenge,
            retry_total=2,  # the message waits meanwhile; the SDK's ten tries would keep it for minutes
            **timeouts,
        )
        self._clock = clock
        self._client_secrets: dict[str, tuple[str, datetime]] = {}
        self._lock = threading.Lock()

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant of a sender, or None where nobody has consented yet."""
        name = _grant_name(sender)
        value = self._get(name)
        if value is None:
            return None
        try:
            return Grant.from_json(value)
        except ValueError as error:
            raise ConsentRequiredError(
                f"the secret {name} holds no grant ({error}); somebody must sign in anew"
            ) from None

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write the grant of a sender as a new version of its secret."""
        name, value = _grant_name(sender), grant.to_json()
        if len(value.encode()) > _LARGEST_SECRET_BYTES:
            raise CredentialError(
                f"the grant of {sender} has {len(value.encode())} octets and Key Vault takes "
                f"{_LARGEST_SECRET_BYTES}; ask the provider for smaller tokens"
            )
        try:
            self._client.set_secret(
                name,
                value,
                content_type=_CONTENT_TYPE,
                expires_on=grant.dies_at,
                tags={"account": grant.account.username},
            )
        except AzureError as error:
            raise _failure(f"write the secret {name}", error) from None

    def client_secret(self, service: Service) -> str:
        """Return the client secret of a service; kept in memory for five minutes."""
        name = service.client_secret_name
        with self._lock:
            kept = self._client_secrets.get(name)
            if kept and kept[1] > self._clock():
                return kept[0]
        value = self._get(name)
        if value is None:
            raise CredentialError(
                f"the vault has no secret {name}; store the client secret of the app registration there: "
                f"az keyvault secret set --vault-name <vault> --name {name} --value <client secret>"
            )
        with self._lock:
            self._client_secrets[name] = (value, self._clock() + _CLIENT_SECRET_LIFE)
        return value

    def forget_client_secret(self, service: Service) -> None:
        """Read it anew at the next use: the provider has just refused it."""
        with self._lock:
            self._client_secrets.pop(service.client_secret_name, None)

    def _get(self, name: str) -> str | None:
        try:
            return self._client.get_secret(name).value or None
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise _failure(f"read the secret {name}", error) from None


def _grant_name(sender: str) -> str:
    return f"grant-{sender}"


def _failure(what: str, error: AzureError) -> TokenUnavailableError:
    """Return what a failure of the vault means; whatever it is, mail waits and nothing is lost."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    remedy = "it is tried again"
    if status == 403 or isinstance(error, ClientAuthenticationError):  # noqa: PLR2004 - HTTP
        remedy = "give the app's identity the role Key Vault Secrets Officer on this vault"
    said = f"{type(error).__name__}{f' {status}' if status else ''}"
    return TokenUnavailableError(f"cannot {what}: {said}; {remedy}", code=str(status or ""))
