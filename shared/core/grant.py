"""
Grants: a permission to send, the tokens that come of it, and how long each of them lasts.

Whatever holds a token or a secret here has a repr without it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

# Upkeep runs every 15 minutes, and a token in the vault is to have 15 minutes left at any time, also where a
# run fails: what one leaves alone has 31 left at the next, and 16 when the one after that renews it.
FRESH_ENOUGH = timedelta(minutes=46)
# A sender that sends nothing needs no token at hand; its refresh token is used once a day so that it lives.
IDLE_REFRESH = timedelta(days=1)
# Below this a token is not begun with: High Volume Email refuses tokens of under 10 minutes (501 5.5.127),
# and AUTH takes a moment.
USABLE = timedelta(minutes=10)
# While the provider is away, a token is used for as long as it can be: Exchange reads it at AUTH alone.
LAST_RESORT = timedelta(minutes=1)
# Entra drops a refresh token that was not used for 90 days (AADSTS700082).
REFRESH_TOKEN_LIFETIME = timedelta(days=90)


# Longer than a renewal takes: the vault's read and write with all their tries (45 s each), the provider's two
# requests (10 s each).
LEASE = timedelta(seconds=150)


def lease_name(sender: str) -> str:
    """Return the lease under which alone the grant of a sender is written."""
    return f"grant-{sender}"


@dataclass(frozen=True, slots=True)
class Account:
    """
    Who consented. ``tenant_id`` and ``object_id`` identify for good; ``username`` may change.

    A custom provider's are the id_token's ``iss`` and ``sub``. An application that sends by itself has only
    the mailbox, as ``username``.
    """

    username: str
    tenant_id: str = ""
    object_id: str = ""
    display_name: str = ""

    def is_same(self, other: Account) -> bool:
        """Whether both are the same account for good; what a provider leaves out tells nothing apart."""
        return all(
            not (ours and theirs) or ours.casefold() == theirs.casefold()
            for ours, theirs in ((self.tenant_id, other.tenant_id), (self.object_id, other.object_id))
        )


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What AUTH XOAUTH2 is given: the token, and the user it belongs to."""

    user: str
    value: str = field(repr=False)
    expires_at: datetime

    def is_usable(self, now: datetime, *, for_at_least: timedelta = USABLE) -> bool:
        """Whether a session may still be opened with it."""
        return self.expires_at - now >= for_at_least


@dataclass(frozen=True, slots=True)
class Grant:
    """
    A permission to send: the refresh token, the identity, and the access token that was fetched last.

    An application's own has no refresh token: its credential takes that place.
    """

    account: Account
    scopes: tuple[str, ...]
    consented_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def token(self) -> AccessToken:
        """
        The access token as a sender uses it.

        ``user=`` is the account that consented, or an application's mailbox; RFC 7628 leaves that open.
        """
        return AccessToken(self.account.username, self.access_token, self.expires_at)

    @property
    def is_app_only(self) -> bool:
        """Whether this is an application's own token."""
        return not self.refresh_token

    @property
    def dies_at(self) -> datetime | None:
        """When the refresh token ends unless it is used before; None for an application, which has none."""
        return None if self.is_app_only else self.refreshed_at + REFRESH_TOKEN_LIFETIME

    def needs_refresh(self, now: datetime, *, warm: bool) -> bool:
        """Whether upkeep should fetch a new access token now; ``warm``: its sender has mail these days."""
        if warm:
            return self.expires_at - now < FRESH_ENOUGH
        return now - self.refreshed_at >= IDLE_REFRESH

    def refreshed(
        self,
        *,
        access_token: str,
        expires_at: datetime,
        refresh_token: str,
        now: datetime,
        account: Account | None = None,
    ) -> Grant:
        """
        Return the grant after a refresh.

        A provider that sends no new refresh token ("") leaves the old one in force.
        """
        return replace(
            self,
            account=account or self.account,
            access_token=access_token,
            expires_at=expires_at,
            refresh_token=refresh_token or self.refresh_token,
            refreshed_at=now,
        )

    def to_json(self) -> str:
        """Return what the vault keeps."""
        return json.dumps(
            {
                "version": 1,
                "account": {
                    "username": self.account.username,
                    "tenant_id": self.account.tenant_id,
                    "object_id": self.account.object_id,
                    "display_name": self.account.display_name,
                },
                "scopes": self.scopes,
                "consented_at": self.consented_at.isoformat(),
                "refreshed_at": self.refreshed_at.isoformat(),
                "expires_at": self.expires_at.isoformat(),
                "refresh_token": self.refresh_token,
                "access_token": self.access_token,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Grant:
        """Read what the vault keeps; raises ``ValueError`` when it is no grant, without quoting any of it."""
        try:
            value = json.loads(text)
            account = value["account"]
            return cls(
                account=Account(
                    username=account["username"],
                    tenant_id=account["tenant_id"],
                    object_id=account["object_id"],
                    display_name=account["display_name"],
                ),
                scopes=tuple(value["scopes"]),
                consented_at=_moment(value["consented_at"]),
                refreshed_at=_moment(value["refreshed_at"]),
                expires_at=_moment(value["expires_at"]),
                refresh_token=value["refresh_token"],
                access_token=value["access_token"],
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("the secret does not hold a grant") from None


def _moment(text: str) -> datetime:
    """Read a time of a grant; one without an offset could be compared with no other."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


@dataclass(frozen=True, slots=True)
class PendingConsent:
    """
    A sign-in that was begun and has not come back.

    ``outcome`` is "" until it has; from then on ``flow`` (JSON: code verifier, nonce) is empty, or, where it
    ended with a grant, says when that was given. ``key`` is what the browser's cookie holds.
    """

    sender: str
    expires_at: datetime
    outcome: str
    flow: str = field(repr=False)
    state: str = field(repr=False)
    key: str = field(repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An account's picture, to be shown once."""

    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its private key, both PEM; a chain may follow the certificate."""

    private_key: str = field(repr=False)
    certificate: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """A token of the app's managed identity that stands in for a client secret."""

    value: str = field(repr=False)


#: What an application proves itself with at a token endpoint; None for a public client.
ClientCredential = ClientSecret | ClientCertificate | ClientAssertion | None
