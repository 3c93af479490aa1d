"""
The secrets of a vault and the rules that Key Vault keeps about them; no HTTP here.

Every set makes a new version. Deleting is soft: the name stays taken until the secret is recovered or purged.
A secret outside its validity (`nbf`, `exp`) can still be read; a disabled one cannot.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local.microsoft.clock import machine_time

#: 25 KB (about-secrets), in UTF-8.
MAX_VALUE_BYTES = 25 * 1024
MAX_CONTENT_TYPE = 255
MAX_TAGS = 15
#: The retention that a vault gets unless it asks for less.
RECOVERABLE_DAYS = 90

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_ATTRIBUTES = ("enabled", "nbf", "exp")


class VaultError(Exception):
    """Key Vault's refusal. `inner` is the code of `innererror`, where there is one."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.inner = status, code, message, inner


@dataclass(slots=True)
class Version:
    """
    One version of a secret. Times are Unix seconds, as on the wire.

    A certificate's has a key and a certificate beside it in the vault, which manages all three.
    """

    id: str
    value: str = field(repr=False)
    created: int
    updated: int
    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    is_certificate: bool = False

    def apply(self, document: Mapping[str, Any]) -> None:
        """Take the content type, attributes and tags of a set or update request; what is left out stays."""
        if "contentType" in document:
            self.content_type = document["contentType"]
        if document.get("tags") is not None:
            self.tags = dict(document["tags"])
        attributes = document.get("attributes") or {}
        for name in _ATTRIBUTES:
            if attributes.get(name) is not None:
                setattr(self, name, attributes[name])

    def attributes(self, recovery_level: str) -> dict[str, Any]:
        """Return the `attributes` object, in a vault of this recovery level."""
        document: dict[str, Any] = {"enabled": self.enabled}
        if self.nbf is not None:
            document["nbf"] = self.nbf
        if self.exp is not None:
            document["exp"] = self.exp
        return document | {
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": recovery_level,
            "recoverableDays": RECOVERABLE_DAYS,
        }


@dataclass(slots=True)
class Secret:
    """A secret: its name as it was first spelled, and its versions, oldest first."""

    name: str
    versions: list[Version] = field(default_factory=list)
    deleted_at: datetime | None = None

    @property
    def latest(self) -> Version:
        """The version that a read without a version gets."""
        return self.versions[-1]


class VaultSecrets:
    """
    All secrets of one vault, the deleted ones too.

    Under `purge_protection` a deleted one goes only by the passing of its time.
    """

    def __init__(self, clock: Callable[[], datetime] = machine_time) -> None:
        self.clock = clock
        self.purge_protection = False
        self._secrets: dict[str, Secret] = {}  # names have no case

    @property
    def recovery_level(self) -> str:
        """What the vault says of each secret."""
        return "Recoverable" if self.purge_protection else "Recoverable+Purgeable"

    def set(self, name: str, document: Mapping[str, Any]) -> tuple[Secret, Version]:
        """Make a new version. Raises VaultError."""
        _check_name(name)
        secret = self._secrets.get(name.lower()) or Secret(name)
        if secret.deleted_at is not None:
            message = (
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be"
                " reused; in this state, the secret can only be recovered or purged."
            )
            raise VaultError(409, "Conflict", message, "ObjectIsDeletedButRecoverable")
        value = document.get("value")
        if not isinstance(value, str):
            raise VaultError(400, "BadParameter", "Property value is missing or is not a string.")
        if len(value.encode()) > MAX_VALUE_BYTES:
            raise VaultError(400, "BadParameter", f"Property value is longer than {MAX_VALUE_BYTES} bytes.")
        _check(document)
        now = self._now()
        version = Version(secrets.token_hex(16), value, created=now, updated=now)
        version.apply(document)
        secret.versions.append(version)
        self._secrets[name.lower()] = secret
        return secret, version

    def get(self, name: str, version: str | None = None) -> tuple[Secret, Version]:
        """Return a version to be read, the latest unless one is named. Raises VaultError."""
        secret, found = self.find(name, version)
        if not found.enabled:
            raise VaultError(
                403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"
            )
        return secret, found

    def update(self, name: str, version: str | None, document: Mapping[str, Any]) -> tuple[Secret, Version]:
        """Change a version's attributes, content type or tags. Raises VaultError."""
        secret, found = self.find(name, version)
        if "value" in document:
            raise VaultError(400, "BadParameter", "Property value cannot be updated; set a new version.")
        _check(document)
        found.apply(document)
        found.updated = self._now()
        return secret, found

    def find(self, name: str, version: str | None = None) -> tuple[Secret, Version]:
        """Return a version that is not deleted, disabled or not. Raises VaultError."""
        _check_name(name)
        secret = self._secrets.get(name.lower())
        found = None
        if secret is not None and secret.deleted_at is None:
            wanted = (one for one in secret.versions if one.id == version)
            found = next(wanted, None) if version else secret.latest
        if secret is None or found is None:
            shown = f"{name}/{version}" if version else name
            message = (
                f"A secret with (name/id) {shown} was not found in this key vault. If you recently deleted"
                " this secret you may be able to recover it using the correct recovery command. For help"
                " resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
            )
            raise VaultError(404, "SecretNotFound", message)
        return secret, found

    def all(self, *, deleted: bool = False) -> list[Secret]:
        """Return the secrets that are there, or those that are deleted, by name."""
        return sorted(
            (one for one in self._secrets.values() if (one.deleted_at is not None) == deleted),
            key=lambda one: one.name.lower(),
        )

    def delete(self, name: str) -> Secret:
        """Delete a secret with all its versions, softly. Raises VaultError."""
        secret, _ = self.find(name)
        secret.deleted_at = self.clock()
        return secret

    def deleted(self, name: str) -> Secret:
        """Return a deleted secret. Raises VaultError."""
        _check_name(name)
        secret = self._secrets.get(name.lower())
        if secret is None or secret.deleted_at is None:
            raise VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return secret

    def recover(self, name: str) -> Secret:
        """Bring a deleted secret back with all its versions. Raises VaultError."""
        secret = self.deleted(name)
        secret.deleted_at = None
        return secret

    def purge(self, name: str) -> None:
        """Remove a deleted secret for good, so that its name is free. Raises VaultError."""
        secret = self.deleted(name)
        if self.purge_protection:
            message = (
                'Operation "purge" is not allowed because purge protection is enabled for this vault. Key'
                " Vault service will automatically purge it after the retention period has passed."
            )
            raise VaultError(403, "Forbidden", message)
        del self._secrets[secret.name.lower()]

    def expire(self, name: str, when: int | None) -> None:
        """Set when the latest version of a secret ends, or that it does not. Raises VaultError."""
        _, version = self.find(name)
        version.exp, version.updated = when, self._now()

    def _now(self) -> int:
        return int(self.clock().timestamp())


def purge_date(secret: Secret) -> datetime:
    """Return when a deleted secret goes for good by itself."""
    assert secret.deleted_at is not None
    return secret.deleted_at + timedelta(days=RECOVERABLE_DAYS)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")


def _check(document: Mapping[str, Any]) -> None:
    content_type = document.get("contentType")
    if content_type is not None and (
        not isinstance(content_type, str) or len(content_type) > MAX_CONTENT_TYPE
    ):
        raise VaultError(
            400, "BadParameter", f"Property contentType is not a string of up to {MAX_CONTENT_TYPE}."
        )
    tags = document.get("tags")
    if tags is not None and (not isinstance(tags, dict) or len(tags) > MAX_TAGS):
        raise VaultError(400, "BadParameter", f"Property tags is not an object of up to {MAX_TAGS} members.")
    attributes = {} if document.get("attributes") is None else document["attributes"]
    if not isinstance(attributes, dict):
        raise VaultError(400, "BadParameter", "Property attributes is not an object.")
    for name, kind in (("enabled", bool), ("nbf", int), ("exp", int)):
        if attributes.get(name) is not None and type(attributes[name]) is not kind:
            raise VaultError(400, "BadParameter", f"Property attributes.{name} is not of its type.")
    if attributes.get("nbf") and attributes.get("exp") and attributes["nbf"] > attributes["exp"]:
        raise VaultError(400, "BadParameter", "Property attributes.exp is before attributes.nbf.")
