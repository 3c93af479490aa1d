"""
The keeper of grants: what stands between a sender and a usable access token.

Sending asks for a token and upkeep renews it; both come here, so there is one place that decides who may
write a grant. Upkeep is the only writer after consent. The exception is a token that ran out between two
upkeeps: then one instance renews it under a lease, and the others wait for what it writes.

An application's own permission needs no consent: the first who asks fetches its token, and from there on it
is kept as any other grant.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from shared.core.grant import LAST_RESORT, LEASE, AccessToken, Grant, lease_name
from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.core.token_claims import flaw_of
from shared.errors import (
    ConsentRequiredError,
    GrantError,
    TokenUnavailableError,
    UnsuitableTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.sender import Sender
    from shared.core.service import Service

# How long others wait for the one that renews, and how often they look.
_LONGEST_WAIT = timedelta(seconds=20)
_LOOK_EVERY = timedelta(milliseconds=500)
# A thousand messages that wait for consent, or for a provider that is down, must not ask a thousand times.
_REMEMBER_FAILURE = timedelta(seconds=1)
# A vault that is away is not asked at every message whether it takes what it did not take.
_SAVE_EVERY = timedelta(seconds=30)
# Seconds between the tries to store what a provider gave: what it gave in its place may be gone.
_STORE_AGAIN: Final = (0.5, 2.0)


class GrantStore(Protocol):
    """Where grants are kept."""

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant, or None where there is none."""
        ...

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write the grant."""
        ...


class Refresher(Protocol):
    """What gets access tokens from a provider; what fails is a ``GrantError``."""

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """Return the grant with a new access token."""
        ...

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        """Return the application's own permission to send from a mailbox."""
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
    """What came of renewing one sender's token: the grant as it is now, or why there is none."""

    outcome: RefreshOutcome
    grant: Grant | None = None
    error: GrantError | None = None


class GrantKeeper:
    """
    Hands out access tokens, from memory where it can; safe to use from many threads.

    ``granted_at`` says when a sender's grant was last given or taken away by a person, as far as this process
    knows: what is in memory from before is looked up anew.
    """

    def __init__(
        self,
        *,
        store: GrantStore,
        refresher: Callable[[Sender], Refresher],
        leases: Leases,
        services: Mapping[str, Service],
        granted_at: Callable[[str], datetime | None],
        clock: Callable[[], datetime],
        pause: Callable[[float], object],
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._leases = leases
        self._services = services
        self._granted_at = granted_at
        self._clock = clock
        self._pause = pause
        #: With what ``granted_at`` said when it came to be known.
        self._kept: dict[str, tuple[Grant, datetime | None]] = {}
        #: What could not be stored: the refresh token that it replaces, itself, the lease, and when to try.
        self._unsaved: dict[str, tuple[str, Grant]] = {}
        self._retained: dict[str, str] = {}
        self._save_again_at: dict[str, datetime] = {}
        self._failed: dict[str, tuple[datetime, GrantError]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._own = threading.Lock()

    def token(self, sender: Sender) -> AccessToken:
        """Return a usable access token; raises ``GrantError`` where there is none."""
        with self._lock(sender):
            self._save_at_last(sender)
            kept = self._in_memory(sender)
            if kept and kept.token.is_usable(self._clock()):
                return kept.token
            try:
                return self._load_or_renew(sender, refused=None)
            except TokenUnavailableError:
                # What is left of the old one is better than nothing while the provider or the vault is away.
                kept = self._in_memory(sender)
                if kept and kept.token.is_usable(self._clock(), for_at_least=LAST_RESORT):
                    return kept.token
                raise

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        """Return another token than the one the server has just refused."""
        with self._lock(sender):
            kept = self._in_memory(sender)
            if kept and kept.access_token != refused.value and kept.token.is_usable(self._clock()):
                return kept.token
            return self._load_or_renew(sender, refused=refused)

    def new_token(self, sender: Sender) -> AccessToken:
        """Return a token that the provider gives now: the proof that it still gives any."""
        with self._lock(sender):
            renewal = self._renewal(sender, lambda _: True)
        if renewal.grant is None:
            raise renewal.error or TokenUnavailableError("no token came")
        return renewal.grant.token

    def renew(self, sender: Sender, *, warm: bool, force: bool = False) -> Renewal:
        """
        Renew the token of one sender where it needs it, or in any case; for upkeep.

        Never raises ``GrantError``: it is in the answer.
        """
        with self._lock(sender):
            now = self._clock()
            return self._renewal(sender, lambda grant: force or grant.needs_refresh(now, warm=warm))

    def _renewal(self, sender: Sender, is_due: Callable[[Grant], bool]) -> Renewal:
        try:
            grant = self._load(sender)
            if grant and not is_due(grant) and not self._is_flawed(sender, grant):
                self._keep(sender, grant)
                return Renewal(RefreshOutcome.STILL_FRESH, grant)
            mark = self._leases.acquire(lease_name(sender.name), LEASE)
            if not mark:
                raise TokenUnavailableError("another instance is renewing this token just now")
            try:
                return Renewal(RefreshOutcome.REFRESHED, self._renew_once(sender, grant))
            finally:
                self._give_back(sender, mark)
        except GrantError as error:
            return Renewal(_outcome(error), error=error)

    def _in_memory(self, sender: Sender) -> Grant | None:
        """Return what this process knows, unless a person has changed it since."""
        kept, granted_at = self._kept.get(sender.name, (None, None))
        if kept and granted_at != self._granted_at(sender.name) and not self._is_app_only(sender):
            del self._kept[sender.name]
            return None
        return kept

    def _keep(self, sender: Sender, grant: Grant) -> None:
        self._kept[sender.name] = (grant, self._granted_at(sender.name))

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
        """Take what the vault has; where that is of no use, renew it or wait for the instance that does."""
        deadline = self._clock() + _LONGEST_WAIT
        while True:
            grant = self._load(sender)
            if grant and self._is_good(sender, grant, refused):
                self._keep(sender, grant)
                return grant.token
            if mark := self._leases.acquire(lease_name(sender.name), LEASE):
                try:
                    return self._renew_once(sender, grant).token
                finally:
                    self._give_back(sender, mark)
            if self._clock() >= deadline:
                raise TokenUnavailableError("another instance is renewing this token and has not finished")
            self._pause(_LOOK_EVERY.total_seconds())

    def _is_good(self, sender: Sender, grant: Grant, refused: AccessToken | None) -> bool:
        if self._is_flawed(sender, grant) or (refused and grant.access_token == refused.value):
            return False
        # Serves while the provider is away, if it comes to that.
        self._keep(sender, grant)
        return grant.token.is_usable(self._clock())

    def _renew_once(self, sender: Sender, seen: Grant | None) -> Grant:
        """Renew under the lease, unless another instance did so between our look and our lease."""
        grant = self._load(sender)
        if grant is None or (seen is not None and grant.access_token == seen.access_token):
            grant = self._renew(sender, grant)
        self._keep(sender, grant)
        return grant

    def _renew(self, sender: Sender, grant: Grant | None) -> Grant:
        """
        Fetch, check and store.

        What the provider gave is kept in memory even when storing it fails, serves from the next call on, and
        is stored before anything is asked for with the refresh token that it replaced.
        """
        now, provider = self._clock(), self._refresher(sender)
        if grant and not grant.is_app_only:
            renewed = provider.refresh(grant, now=now)
        else:
            renewed = provider.app_grant(sender.mailbox, now=now)
        if (flawed := flaw_of(renewed, self._services[sender.service], now)) is not None:
            self._kept.pop(sender.name, None)
            raise UnsuitableTokenError(
                f"the provider's token is of no use for sending: {flawed.evidence}", code=flawed.flaw.value
            )
        self._keep(sender, renewed)
        self._unsaved[sender.name] = (grant.refresh_token if grant else "", renewed)
        self._save_again_at[sender.name] = now + _SAVE_EVERY
        self._save(sender)
        return renewed

    def _give_back(self, sender: Sender, mark: str) -> None:
        """
        Give the lease back, unless what was renewed is not stored.

        Whoever renewed next would use a refresh token again, for which a strict provider revokes the grant.
        """
        if sender.name in self._unsaved:
            self._retained[sender.name] = mark
        else:
            self._leases.release(lease_name(sender.name), mark)

    def _save_at_last(self, sender: Sender) -> None:
        """Store what could not be stored before, now and then, while the token in memory serves."""
        if sender.name in self._unsaved and self._save_again_at[sender.name] <= self._clock():
            with suppress(GrantError):
                self._load(sender)

    def _save(self, sender: Sender) -> None:
        _, renewed = self._unsaved[sender.name]
        for wait in (*_STORE_AGAIN, None):
            try:
                self._store.store_grant(sender.name, renewed)
            except TokenUnavailableError:
                if wait is None:
                    self._save_again_at[sender.name] = self._clock() + _SAVE_EVERY
                    raise
                self._pause(wait)
            else:
                self._settle(sender)
                return

    def _settle(self, sender: Sender) -> None:
        """What was unsaved is so no longer: stored, or overtaken."""
        del self._unsaved[sender.name]
        if mark := self._retained.pop(sender.name, ""):
            self._leases.release(lease_name(sender.name), mark)

    def _load(self, sender: Sender) -> Grant | None:
        """
        Return what the vault has; None for an application's own that was never fetched.

        What could not be stored last time is stored now, if the vault still has what it replaces.
        """
        app_only = self._is_app_only(sender)
        try:
            grant = self._store.load_grant(sender.name)
        except ConsentRequiredError:
            if not app_only:
                raise
            grant = None  # what cannot be read is fetched anew
        if grant and grant.is_app_only != app_only:
            grant = None  # mail.toml has another kind of grant now
        if sender.name in self._unsaved:
            replaced, renewed = self._unsaved[sender.name]
            if app_only:
                still = grant is None or grant.refreshed_at < renewed.refreshed_at
            else:
                still = grant is not None and grant.refresh_token == replaced
            if still:
                self._save(sender)
                return renewed
            self._settle(sender)  # somebody else wrote another
        if grant is None and not app_only:
            self._kept.pop(sender.name, None)
            raise ConsentRequiredError(f"nobody has consented for {sender.mailbox} yet", code=NO_GRANT)
        return grant

    def _is_flawed(self, sender: Sender, grant: Grant) -> bool:
        """Whether the stored token is of no use, so that another is asked for."""
        return flaw_of(grant, self._services[sender.service], self._clock()) is not None

    def _is_app_only(self, sender: Sender) -> bool:
        return self._services[sender.service].is_app_only

    def _lock(self, sender: Sender) -> threading.Lock:
        with self._own:
            return self._locks.setdefault(sender.name, threading.Lock())


def _outcome(error: GrantError) -> RefreshOutcome:
    if isinstance(error, ConsentRequiredError):
        return RefreshOutcome.CONSENT_REQUIRED
    if isinstance(error, TokenUnavailableError):
        return RefreshOutcome.TRANSIENT
    return RefreshOutcome.CREDENTIAL_BROKEN
