"""
Pending consents: sign-ins that were begun and have not come back, in the table ``consents``.

What makes the flow worth stealing (code verifier, nonce) is sealed with AES-256-GCM under a key that only the
browser's cookie has: the table alone opens nothing, and the cookie alone opens nothing. A row is used up
under its ETag before the code is exchanged, so of two that come back with the same state only one goes on.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.core.grant import PendingConsent

if TYPE_CHECKING:
    from shared.adapters.table_client import Entity, Table

TABLE = "consents"
_ROW = "pending"
_KEY_BITS = 256
_NONCE_OCTETS = 12  # what AES-GCM is defined for (NIST SP 800-38D §5.2.1.1)


class TableConsents:
    """Keeps pending consents by their state, of which only a hash is stored."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self, *, state: str, sender: str, flow: str, expires_at: datetime) -> str:
        """
        Keep ``flow`` (JSON) sealed; returns the key, which goes into the browser's cookie and nowhere else.
        """
        # Without padding: Azure writes "=" in a cookie as "%3D".
        key = base64.urlsafe_b64encode(AESGCM.generate_key(_KEY_BITS)).decode().rstrip("=")
        pending = PendingConsent(sender, expires_at, "", flow, state, key, "")
        self._table.insert(_entity(pending))
        return key

    def find(self, *, state: str, key: str) -> PendingConsent | None:
        """
        Return the pending consent, or None where there is none, or ``key`` is another browser's or made up.
        """
        found = self._table.get(_state_key(state), _ROW)
        if found is None:
            return None
        flow = _unseal(bytes(found["sealed"]), key, _bound_to(state, found["sender"]))
        if flow is None:
            return None
        expires_at = datetime.fromtimestamp(found["expires_at"].timestamp(), UTC)
        return PendingConsent(found["sender"], expires_at, found["outcome"], flow, state, key, found["etag"])

    def use_up(self, pending: PendingConsent, *, outcome: str, mark: str = "") -> PendingConsent | None:
        """Note ``outcome``, with ``mark`` in the place of the flow; None when somebody else was first."""
        used = replace(pending, outcome=outcome, flow=mark)
        version = self._table.replace(_entity(used), etag=pending.version)
        return replace(used, version=version) if version else None

    def sweep(self, now: datetime) -> int:
        """Remove what has expired; returns how many."""
        expired = self._table.query("expires_at lt @now", {"now": now})
        return sum(self._table.delete(row["PartitionKey"], _ROW, etag=row["etag"]) for row in expired)


def _entity(pending: PendingConsent) -> Entity:
    return {
        "PartitionKey": _state_key(pending.state),
        "RowKey": _ROW,
        "sender": pending.sender,
        "expires_at": pending.expires_at,
        "outcome": pending.outcome,
        # Sealed even when empty: on a reload the key still proves that this is the browser that came first.
        "sealed": _seal(pending.flow, pending.key, _bound_to(pending.state, pending.sender)),
    }


def _seal(text: str, key: str, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    return nonce + _cipher(key).encrypt(nonce, text.encode(), bound_to)


def _cipher(key: str) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))


def _unseal(sealed: bytes, key: str, bound_to: bytes) -> str | None:
    try:
        return _cipher(key).decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], bound_to).decode()
    except (ValueError, InvalidTag):
        return None


def _state_key(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _bound_to(state: str, sender: str) -> bytes:
    return f"{state}\n{sender}".encode()
