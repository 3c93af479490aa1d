"""
OAuth 2 as Sendoff uses it: services, grants, and what a provider's answer means.

Identity comes from the id_token of the back channel, never from what a browser says. One access token is for
one resource (Entra, ``AADSTS28000``), so the scopes for mail and for the profile are kept apart.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Exchange Online, delegated: the audience is Outlook's; a Graph token is refused by SMTP (MicrosoftDocs,
# "Authenticate an IMAP, POP or SMTP connection using OAuth").
SMTP_SCOPE = "https://outlook.office.com/SMTP.Send"
PROFILE_SCOPE = "https://graph.microsoft.com/User.Read"

# A send must never wait on Entra: upkeep runs every 15 minutes and a token it leaves alone must last until
# the run after the next one, so that one failed run is not noticed.
FRESH_ENOUGH = timedelta(minutes=35)
# Below this a token is not begun with: High Volume Email refuses tokens of under 10 minutes (501 5.5.127),
# and AUTH takes a moment.
USABLE = timedelta(minutes=10)
# No provider means as much of an access token; Entra's last for 60 to 90 minutes, at most 28 hours.
_ABSURD_LIFE = timedelta(days=366)
# Entra drops a refresh token that was not used for 90 days (AADSTS700082).
REFRESH_TOKEN_LIFETIME = timedelta(days=90)


# Two minutes between our clock and the provider's are no reason to turn a person away.
ID_TOKEN_SKEW_SECONDS = 120
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: The code of a ``ConsentRequiredError`` where nobody has ever consented.
NO_GRANT = "no_grant"


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of ``[services]`` in mail.toml: an OAuth 2 registration."""

    name: str
    tenant: str
    client_id: str
    authority: str  # https://login.microsoftonline.com/{tenant}, or an emulator's
    authority_is_known: bool = True  # False: MSAL must not ask Microsoft whether the host is one of theirs

    @property
    def client_secret_name(self) -> str:
        """Where the vault keeps the client secret."""
        return f"oauth-{self.name}-client-secret"


@dataclass(frozen=True, slots=True)
class Account:
    """Who consented. ``tenant_id`` and ``object_id`` identify for good; ``username`` may change."""

    username: str
    tenant_id: str
    object_id: str
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What AUTH XOAUTH2 is given: the token, and the user it belongs to."""

    user: str
    value: str = field(repr=False)
    expires_at: datetime

    def is_usable(self, now: datetime) -> bool:
        """Whether a session may still be opened with it."""
        return self.expires_at - now >= USABLE


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's permission: the refresh token, the identity, and the access token that was fetched last."""

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

        ``user=`` is the account that consented; RFC 7628 leaves that to the server.
        """
        return AccessToken(self.account.username, self.access_token, self.expires_at)

    @property
    def dies_at(self) -> datetime:
        """When the refresh token ends unless it is used before."""
        return self.refreshed_at + REFRESH_TOKEN_LIFETIME

    def needs_refresh(self, now: datetime) -> bool:
        """Whether upkeep should fetch a new access token now."""
        return self.expires_at - now < FRESH_ENOUGH

    def refreshed(
        self, *, access_token: str, expires_at: datetime, refresh_token: str, now: datetime
    ) -> Grant:
        """
        Return the grant after a refresh.

        A provider that sends no new refresh token ("") leaves the old one in force.
        """
        return replace(
            self,
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

    ``outcome`` is "" until it has; from then on ``flow`` (JSON: code verifier, nonce) is empty. ``key`` is
    what the browser's cookie holds.
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


class RefreshOutcome(enum.Enum):
    """What came of asking for a new access token."""

    #: A new access token is in the vault.
    REFRESHED = "refreshed"
    #: The stored one lasts long enough; the provider was not asked.
    STILL_FRESH = "still fresh"
    #: The provider, the vault or the network failed in a way that time mends; nothing was changed.
    TRANSIENT = "transient"
    #: The refresh token is of no more use, or there is none: a person must sign in.
    CONSENT_REQUIRED = "consent required"
    #: The provider refuses the application's own credential: an administrator must act.
    CREDENTIAL_BROKEN = "credential broken"


# Entra, "react to the error code, never to the number or text" (MicrosoftDocs, reference-error-codes).
_NEEDS_A_PERSON = frozenset(
    {"invalid_grant", "interaction_required", "consent_required", "login_required", "access_denied"}
)
_NEEDS_AN_ADMINISTRATOR = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "invalid_resource", "invalid_request"}
)


def refused(error: str) -> RefreshOutcome:
    """Return what an OAuth ``error`` means; an unknown one is taken for transient, for that loses nothing."""
    if error in _NEEDS_A_PERSON:
        return RefreshOutcome.CONSENT_REQUIRED
    if error in _NEEDS_AN_ADMINISTRATOR:
        return RefreshOutcome.CREDENTIAL_BROKEN
    return RefreshOutcome.TRANSIENT


def account_from(claims: Mapping[str, Any], *, service: Service, now: datetime) -> Account:
    """
    Return the account of an id_token that came over the back channel.

    TLS to the token endpoint stands in for the signature (OpenID Connect Core §3.1.3.7, 6). Whom it is for,
    how long it lasts and whose tenant it is are checked here; raises ``ValueError``, saying what is amiss.
    """
    if _claim(claims, "aud") != service.client_id:
        raise ValueError("the id_token is not for this application")
    expires = claims.get("exp")
    if not isinstance(expires, int) or expires + ID_TOKEN_SKEW_SECONDS < now.timestamp():
        raise ValueError("the id_token has expired")
    username = _claim(claims, "preferred_username") or _claim(claims, "upn")
    tenant_id, object_id = _claim(claims, "tid"), _claim(claims, "oid")
    if not (username and tenant_id and object_id):
        raise ValueError(
            "the id_token does not say who signed in (preferred_username, tid and oid are needed)"
        )
    if _GUID.fullmatch(service.tenant) and tenant_id.casefold() != service.tenant.casefold():
        raise ValueError("the account is of another tenant")
    return Account(username, tenant_id, object_id, _claim(claims, "name"))


def _claim(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim, or "" where it is missing or no string."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def is_expected(account: Account, expected: str) -> bool:
    """Whether ``account`` is the one that must consent; names are compared as Entra does, without case."""
    return account.username.casefold() == expected.casefold()


def missing_scopes(granted: Sequence[str], needed: Sequence[str]) -> tuple[str, ...]:
    """Return what was needed and not granted; Entra writes a granted scope with or without its resource."""
    have = {scope.rpartition("/")[2].casefold() for scope in granted}
    return tuple(scope for scope in needed if scope.rpartition("/")[2].casefold() not in have)


def aadsts(description: str) -> str:
    """
    Return the ``AADSTS…`` number that a description begins with, or "".

    The description passes through a browser, so nothing else of it is used.
    """
    found = re.match(r"AADSTS\d{1,9}(?!\d)", description)
    return found[0] if found else ""


def error_word(error: str) -> str:
    """Return an OAuth ``error`` that came through a browser, or "unknown" where it is no plain word."""
    return error if re.fullmatch(r"[a-z_]{1,40}", error) else "unknown"


def expiry(now: datetime, expires_in: object) -> datetime:
    """
    Return when a token ends that lives for ``expires_in`` seconds from ``now``.

    An odd answer is taken for the shortest life.
    """
    if not (isinstance(expires_in, (int, float)) and 0 < expires_in < _ABSURD_LIFE.total_seconds()):
        return now.astimezone(UTC)
    return (now + timedelta(seconds=expires_in)).astimezone(UTC)
