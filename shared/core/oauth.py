"""
What an OAuth 2 provider's answers mean: who signed in, what was granted, what a refusal asks for.

Identity comes from the id_token of the back channel, never from what a browser says.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.grant import Account
from shared.core.service import Custom
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.core.service import Service

# No provider means as much of an access token; Entra's last for 60 to 90 minutes, at most 28 hours.
_ABSURD_LIFE = timedelta(days=366)
# Two minutes between our clock and the provider's are no reason to turn a person away.
ID_TOKEN_SKEW_SECONDS = 120
# A new refresh token of less than half the old one's length was cut on its way (PHPMailer#2793 and others).
_SHRUNK = 2
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: The code of a ``ConsentRequiredError`` where nobody has ever consented.
NO_GRANT = "no_grant"


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


def refused(error: str, *, app_only: bool = False) -> RefreshOutcome:
    """
    Return what an OAuth ``error`` means; an unknown one is taken for transient, for that loses nothing.

    Where the application sends by itself nobody can consent by signing in, so that too is an administrator's.
    """
    if error in _NEEDS_AN_ADMINISTRATOR or (app_only and error in _NEEDS_A_PERSON):
        return RefreshOutcome.CREDENTIAL_BROKEN
    if error in _NEEDS_A_PERSON:
        return RefreshOutcome.CONSENT_REQUIRED
    return RefreshOutcome.TRANSIENT


def refusal(error: str, *, code: str = "", app_only: bool = False) -> GrantError:
    """Return what a provider's ``error`` is to whoever asked for a token; ``code`` is its own number."""
    word = error_word(error)
    kind: type[GrantError] = {
        RefreshOutcome.CONSENT_REQUIRED: ConsentRequiredError,
        RefreshOutcome.CREDENTIAL_BROKEN: CredentialError,
    }.get(refused(error, app_only=app_only), TokenUnavailableError)
    return kind(f"the provider refused: {word}{f' {code}' if code else ''}", code=code or word)


def account_from(claims: Mapping[str, Any], *, service: Service, now: datetime) -> Account:
    """
    Return the account of an id_token that came over the back channel.

    TLS to the token endpoint stands in for the signature (OpenID Connect Core §3.1.3.7, 6). Whom it is for,
    how long it lasts and whose tenant it is are checked here; raises ``ValueError``, saying what is amiss.
    """
    audience = claims.get("aud")
    if service.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise ValueError("the id_token is not for this application")
    expires = claims.get("exp")
    if not isinstance(expires, (int, float)) or expires + ID_TOKEN_SKEW_SECONDS < now.timestamp():
        raise ValueError("the id_token has expired")
    if isinstance(service.provider, Custom):
        return account_of_fields(claims, service.provider, tenant_id=_claim(claims, "iss"))
    username = _claim(claims, "preferred_username") or _claim(claims, "upn")
    tenant_id, object_id = _claim(claims, "tid"), _claim(claims, "oid")
    if not (username and tenant_id and object_id):
        raise ValueError(
            "the id_token does not say who signed in (preferred_username, tid and oid are needed)"
        )
    if _GUID.fullmatch(service.tenant) and tenant_id.casefold() != service.tenant.casefold():
        raise ValueError("the account is of another tenant")
    return Account(username, tenant_id, object_id, _claim(claims, "name"))


#: Where OpenID Connect has what we ask of a userinfo endpoint (Core §5.1); ``user_fields`` says otherwise.
_STANDARD_FIELDS: Mapping[str, str] = {"id": "sub", "email": "email", "display_name": "name"}


def account_of_fields(fields: Mapping[str, Any], provider: Custom, *, tenant_id: str = "") -> Account:
    """
    Return the account that a custom provider's userinfo endpoint, or its id_token, tells of.

    Raises ``ValueError`` where it has no address in the field that ``user_fields`` names.
    """
    names = {**_STANDARD_FIELDS, **provider.user_fields}
    email = _claim(fields, names["email"])
    # It becomes the user of AUTH XOAUTH2, whose fields control characters end.
    if not email or not email.isprintable():
        raise ValueError(f"the provider does not say who signed in (no {names['email']})")
    found = fields.get(names["id"])
    object_id = str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""
    return Account(email, tenant_id, object_id, _claim(fields, names["display_name"]))


def _claim(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim, or "" where it is missing or no string."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def is_expected(account: Account, expected: str) -> bool:
    """Whether ``account`` is the one that must consent; names are compared as Entra does, without case."""
    return account.username.casefold() == expected.casefold()


def missing_scopes(granted: Sequence[str], needed: Sequence[str]) -> tuple[str, ...]:
    """Return what was needed and not granted; Entra writes a granted scope with or without its resource."""
    have = {_bare(scope) for scope in granted}
    return tuple(scope for scope in needed if _bare(scope) not in have)


def _bare(scope: str) -> str:
    """Return a scope without the resource it is of; one that ends with a slash is a name as a whole."""
    return scope.rpartition("/")[2].casefold() or scope.casefold()


def has_shrunk(old: str, new: str) -> bool:
    """Whether a new refresh token was cut on its way: the old one is then the one to keep."""
    return bool(new) and len(new) * _SHRUNK < len(old)


def check_refresh_token(old: str, new: str) -> None:
    """Raise ``TokenUnavailableError`` for a refresh token that was cut on its way: the old one is kept."""
    if has_shrunk(old, new):
        raise TokenUnavailableError(
            f"the provider's answer holds a refresh token of {len(new)} characters where the last had "
            f"{len(old)}; the grant is kept as it is and asked again",
            code="refresh_token_shrunk",
        )


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
