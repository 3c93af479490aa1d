"""
Azure Key Vault: the grants of the senders, and the client secrets and certificates of the services.

A grant is written by consent and by upkeep alone, whole each time; its secret expires on the day the refresh
token would, so the vault's own alarm rings too. What services prove themselves with is only read, and read
anew after a while, so a new one is picked up without a restart.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.keyvault.secrets import SecretClient

from shared.core.certificate import read_certificate
from shared.core.grant import ClientSecret, Grant
from shared.core.service import CredentialKind
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential
    from azure.keyvault.secrets import KeyVaultSecret

    from shared.core.grant import ClientCertificate
    from shared.core.service import Service

_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_CONTENT_TYPE = "application/json; sendoff=grant"
_LARGEST_SECRET_BYTES = 25_000  # Key Vault's limit for a secret's value
_CREDENTIAL_LIFE = timedelta(minutes=5)
# Key Vault brings a deleted secret back within seconds (MicrosoftDocs, "Key Vault recovery management").
_RECOVERY_SECONDS = 30
_CONFLICT = 409
# What the SDK raises for a 200 whose body is none of Key Vault's.
_NO_ANSWER = (AttributeError, LookupError, TypeError, ValueError)
_UNAUTHORIZED = 401
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class _Kept:
    credential: ClientSecret | ClientCertificate = field(repr=False)
    expires_at: datetime | None
    until: datetime


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
        self._credentials: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant of a sender, or None where nobody has consented yet."""
        name = _grant_name(sender)
        secret = self._read(name)
        if secret is None or not secret.value:
            return None
        try:
            return Grant.from_json(secret.value)
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
            try:
                self._set(name, value, grant)
            except (ResourceExistsError, HttpResponseError) as error:
                if error.status_code != _CONFLICT:
                    raise
                # It was deleted, and a vault keeps the name for its recovery; what it had is written over.
                self._client.begin_recover_deleted_secret(name).wait(_RECOVERY_SECONDS)
                self._set(name, value, grant)
        except (AzureError, *_NO_ANSWER) as error:
            raise _failure(f"write the secret {name}", error) from None

    def _set(self, name: str, value: str, grant: Grant) -> None:
        self._client.set_secret(
            name,
            value,
            content_type=_CONTENT_TYPE,
            expires_on=grant.dies_at,
            tags={"account": grant.account.username},
        )

    def delete_grant(self, sender: str) -> bool:
        """Remove the grant of a sender, with all its versions; False where there was none."""
        name = _grant_name(sender)
        try:
            self._client.begin_delete_secret(name)
        except ResourceNotFoundError:
            return False
        except (AzureError, *_NO_ANSWER) as error:
            raise _failure(f"delete the secret {name}", error) from None
        return True

    def credential(self, service: Service) -> ClientSecret | ClientCertificate:
        """Return the client secret or the certificate of a service; kept in memory for five minutes."""
        return self._credential(service).credential

    def expires_at(self, service: Service) -> datetime | None:
        """
        Return when a service's credential ends, None where nobody has written it down.

        A certificate says so itself; a client secret does not, so whoever stores it gives the date along.
        """
        return self._credential(service).expires_at

    def forget_credential(self, service: Service) -> None:
        """Read it anew at the next use: the provider has just refused it."""
        with self._lock:
            self._credentials.pop(service.credential_name, None)

    def _credential(self, service: Service) -> _Kept:
        name = service.credential_name
        with self._lock:
            kept = self._credentials.get(name)
            if kept and kept.until > self._clock():
                return kept
        secret = self._read(name)
        if secret is None or not secret.value:
            raise CredentialError(_missing(service), code="no_credential")
        kept = self._made_of(service, secret, secret.value)
        with self._lock:
            self._credentials[name] = kept
        return kept

    def _made_of(self, service: Service, secret: KeyVaultSecret, value: str) -> _Kept:
        until, written = self._clock() + _CREDENTIAL_LIFE, secret.properties.expires_on
        if service.credential is CredentialKind.SECRET:
            return _Kept(ClientSecret(value), written, until)
        try:
            certificate, ends = read_certificate(value)
        except ValueError as error:
            raise CredentialError(
                f"the secret {service.certificate_name} is no certificate to sign in with: {error}",
                code="no_credential",
            ) from None
        return _Kept(certificate, min(ends, written) if written else ends, until)

    def _read(self, name: str) -> KeyVaultSecret | None:
        try:
            secret = self._client.get_secret(name)
        except ResourceNotFoundError:
            return None
        except (AzureError, *_NO_ANSWER) as error:
            raise _failure(f"read the secret {name}", error) from None
        if not isinstance(secret.value, str):
            raise _failure(f"read the secret {name}", ValueError())
        return secret


def _missing(service: Service) -> str:
    name = service.credential_name
    if service.credential is CredentialKind.CERTIFICATE:
        return (
            f"the vault has no certificate {name}; make one there and give the registration its public half: "
            f"az keyvault certificate create --vault-name <vault> --name {name} --policy …"
        )
    return (
        f"the vault has no secret {name}; store the client secret of the app registration there: "
        f"az keyvault secret set --vault-name <vault> --name {name} --value <client secret> --expires <end>"
    )


def _grant_name(sender: str) -> str:
    return f"grant-{sender}"


def _failure(what: str, error: Exception) -> TokenUnavailableError:
    """Return what a failure of the vault means; whatever it is, mail waits and nothing is lost."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    remedy = "it is tried again"
    if status == _FORBIDDEN or isinstance(error, ClientAuthenticationError):
        remedy = "give the app's identity the role Key Vault Secrets Officer on this vault"
    said = f"{type(error).__name__}{f' {status}' if status else ''}"
    return TokenUnavailableError(
        f"cannot {what}: {said}; {remedy}",
        code=f"vault_{status}" if status in (_UNAUTHORIZED, _FORBIDDEN) else str(status or ""),
    )
