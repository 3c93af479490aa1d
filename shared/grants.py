"""
The keeper of grants: what stands between a sender and a usable access token.

Sending asks for a token and upkeep renews it; both come here, so there is one place that decides who may
write a grant. Upkeep is the only writer after consent. The exception is a token that ran out between two
upkeeps: then one instance renews it under a lease, and the others wait for what it writes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core.oauth import NO_GRANT, AccessToken, Grant, RefreshOutcome
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.sender import Sender

# Longer than a renewal takes: vault, provider and vault again, each with its time-outs and second tries.
_LEASE = timedelta(seconds=60)
# How long others wait for the one that renews, and how often they look.
_LONGEST_WAIT = timedelta(seconds=20)
_LOOK_EVERY = timedelta(milliseconds=500)
# A thousand messages that wait for consent, or for a provider that is down, must not ask a thousand times.
_REMEMBER_FAILURE = timedelta(seconds=1)


class GrantStore(Protocol):
    """Where grants are kept."""

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant, or None where there is none."""
        ...

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write the grant."""
        ...


class Refresher(Protocol):
    """What turns a refresh token into an access token."""

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """Return the grant with a new access token."""
        ...


class Leases(Protocol):
    """Who may do what only one may do."""

    def acquire(self, name: str, duration: timedelta) -> str:
        """Return a mark, or "" when another holds it."""
        ...

    def release(self, name: str, mark: str) -> None:
        """Give it back."""
        ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of renewing one sender's token: how long the token lasts now, or why there is none."""

    outcome: RefreshOutcome
    expires_at: datetime
    error: GrantError | None = None


class GrantKeeper:
    """Hands out access tokens, from memory where it can; safe to use from many threads."""

    def __init__(
        self,
        *,
        store: GrantStore,
        refresher: Callable[[Sender], Refresher],
        leases: Leases,
        clock: Callable[[], datetime],
        pause: Callable[[float], object],
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._leases = leases
        self._clock = clock
        self._pause = pause
        self._kept: dict[str, Grant] = {}
        self._failed: dict[str, tuple[datetime, GrantError]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._own = threading.Lock()

    def token(self, sender: Sender) -> AccessToken:
        """Return a usable access token; raises ``GrantError`` where there is none."""
        with self._lock(sender):
            kept = self._kept.get(sender.name)
            if kept and kept.token.is_usable(self._clock()):
                return kept.token
            return self._load_or_renew(sender, refused=None)

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        """Return another token than the one the server has just refused."""
        with self._lock(sender):
            kept = self._kept.get(sender.name)
            if kept and kept.access_token != refused.value and kept.token.is_usable(self._clock()):
                return kept.token
            return self._load_or_renew(sender, refused=refused)

    def renew(self, sender: Sender, *, force: bool = False) -> Renewal:
        """
        Renew the token of one sender where it needs it; for upkeep.

        Never raises ``GrantError``: it is in the answer.
        """
        with self._lock(sender):
            try:
                grant = self._load(sender)
                if not force and not grant.needs_refresh(self._clock()):
                    self._kept[sender.name] = grant
                    return Renewal(RefreshOutcome.STILL_FRESH, grant.expires_at)
                mark = self._leases.acquire(_lease_name(sender), _LEASE)
                if not mark:
                    raise TokenUnavailableError("another instance is renewing this token just now")
                try:
                    return Renewal(RefreshOutcome.REFRESHED, self._renew_once(sender, grant).expires_at)
                finally:
                    self._leases.release(_lease_name(sender), mark)
            except GrantError as error:
                return Renewal(_outcome(error), self._clock(), error)

    def _load_or_renew(self, sender: Sender, *, refused: AccessToken | None) -> AccessToken:
        """Get a token, and remember for a moment where that failed."""
        until, error = self._failed.get(sender.name, (None, None))
        if until is not None and error is not None and until > self._clock():
            raise type(error)(str(error), code=error.code)
        try:
            return self._from_vault_or_provider(sender, refused)
        except GrantError as failure:
            self._failed[sender.name] = (self._clock() + _REMEMBER_FAILURE, failure)
            raise

    def _from_vault_or_provider(self, sender: Sender, refused: AccessToken | None) -> AccessToken:
        """Take what the vault has; where that is used up, renew it or wait for the instance that does."""
        deadline = self._clock() + _LONGEST_WAIT
        while True:
            grant = self._load(sender)
            if grant.token.is_usable(self._clock()) and (
                refused is None or grant.access_token != refused.value
            ):
                self._kept[sender.name] = grant
                return grant.token
            if mark := self._leases.acquire(_lease_name(sender), _LEASE):
                try:
                    return self._renew_once(sender, grant).token
                finally:
                    self._leases.release(_lease_name(sender), mark)
            if self._clock() >= deadline:
                raise TokenUnavailableError("another instance is renewing this token and has not finished")
            self._pause(_LOOK_EVERY.total_seconds())

    def _renew_once(self, sender: Sender, seen: Grant) -> Grant:
        """Renew under the lease, unless another instance did so between our look and our lease."""
        grant = self._load(sender)
        if grant.access_token == seen.access_token:
            grant = self._renew(sender, grant)
        self._kept[sender.name] = grant
        return grant

    def _renew(self, sender: Sender, grant: Grant) -> Grant:
        """
        Fetch and store.

        What the provider gave is kept in memory even when storing it fails, and serves from the next call on.
        """
        renewed = self._refresher(sender).refresh(grant, now=self._clock())
        self._kept[sender.name] = renewed
        self._store.store_grant(sender.name, renewed)
        return renewed

    def _load(self, sender: Sender) -> Grant:
        grant = self._store.load_grant(sender.name)
        if grant is None:
            raise _no_grant(sender)
        return grant

    def _lock(self, sender: Sender) -> threading.Lock:
        with self._own:
            return self._locks.setdefault(sender.name, threading.Lock())


def _no_grant(sender: Sender) -> ConsentRequiredError:
    return ConsentRequiredError(f"nobody has consented for {sender.mailbox} yet", code=NO_GRANT)


def _lease_name(sender: Sender) -> str:
    return f"grant-{sender.name}"


def _outcome(error: GrantError) -> RefreshOutcome:
    if isinstance(error, ConsentRequiredError):
        return RefreshOutcome.CONSENT_REQUIRED
    if isinstance(error, CredentialError):
        return RefreshOutcome.CREDENTIAL_BROKEN
    return RefreshOutcome.TRANSIENT
