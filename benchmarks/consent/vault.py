"""
The local vault's secrets, with the grants of senders in them: every write is a version, as Key Vault has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.microsoft.vault_secrets import VaultError, VaultSecrets
from shared.core.grant import Grant

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.core.service import Service


class Vault:
    """Keeps grants; ``replaced`` is called with what a write replaces."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.secrets = VaultSecrets(clock)
        self.replaced: Callable[[str, Grant], object] = lambda _name, _grant: None

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant of a sender, None where there is none."""
        try:
            _, version = self.secrets.get(_name(sender))
        except VaultError:
            return None
        return Grant.from_json(version.value)

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write a new version."""
        if before := self.load_grant(sender):
            self.replaced(sender, before)
        ends = {} if grant.dies_at is None else {"exp": int(grant.dies_at.timestamp())}
        self.secrets.set(_name(sender), {"value": grant.to_json(), "attributes": ends})

    def delete_grant(self, sender: str) -> bool:
        """Remove the grant of a sender; False where there was none."""
        try:
            self.secrets.delete(_name(sender))
        except VaultError:
            return False
        return True

    def expires_at(self, service: Service) -> datetime | None:
        """Return None: no client secret ends here."""
        del service
        return None

    def versions(self, sender: str) -> int:
        """Return how many versions a sender's secret has."""
        secret, _ = self.secrets.find(_name(sender))
        return len(secret.versions)


def _name(sender: str) -> str:
    return f"grant-{sender}"
