"""
Who a client is: the SASL XOAUTH2 message, and the judgement on the token in it.

The client is told nothing but 535 5.7.3; the reason goes to the counters, where whoever runs the stack can
read it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local.microsoft.exchange import replies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.microsoft.exchange.organization import Mailbox, Organization

AUDIENCES = frozenset({"https://outlook.office.com", "https://outlook.office365.com"})
DELEGATED_SCOPE = "SMTP.Send"
APPLICATION_ROLE = "SMTP.SendAsApp"


class MalformedSasl(ValueError):  # noqa: N818 - named for what was found, as the reply says it
    """The client's SASL message is not what the mechanism asks for."""


class TokenNotAccepted(ValueError):  # noqa: N818 - as above
    """The token is genuine, and yet not good for this mailbox."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What XOAUTH2 carries."""

    user: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why AUTH fails. `reply` is None for the ordinary 535 5.7.3, in the form that is switched on."""

    reason: str
    reply: str | None = None


def read_xoauth2(message: str) -> Credentials:
    """
    Return the user and the token from the base64 of `user=U^Aauth=Bearer T^A^A`.

    Raises MalformedSasl.
    """
    try:
        fields = base64.b64decode(message, validate=True).decode("utf-8").split("\x01")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise MalformedSasl("not base64 of UTF-8") from None
    if len(fields) != 4 or fields[2:] != ["", ""]:  # noqa: PLR2004 - user, auth, and two empty ends
        raise MalformedSasl("not two fields, each ended by ^A, and one more ^A")
    user = fields[0].removeprefix("user=")
    scheme, _, token = fields[1].removeprefix("auth=").partition(" ")
    if not fields[0].startswith("user=") or not fields[1].startswith("auth="):
        raise MalformedSasl("the fields are not user= and auth=")
    if not user or scheme.casefold() != "bearer" or not token:
        raise MalformedSasl("an empty user or no bearer token")
    return Credentials(user, token)


def authenticate(credentials: Credentials, organization: Organization, session: str) -> Mailbox | Refusal:
    """Return the mailbox that the client may use from now on, or why it may not."""
    try:
        claims = organization.verify(credentials.token)
    except Exception as refused:  # noqa: BLE001 - whatever the verifier raises, the token is not verified
        return Refusal(str(refused) or type(refused).__name__)
    try:
        mailbox = _mailbox_for(credentials.user, claims, organization)
    except TokenNotAccepted as refused:
        return Refusal(str(refused))
    if mailbox.smtp_auth_enabled is False:
        reply = replies.smtp_auth_disabled("Mailbox", session)
        return Refusal("SMTP AUTH is disabled for the mailbox", reply)
    if mailbox.smtp_auth_enabled is None and not organization.smtp_auth_enabled:
        reply = replies.smtp_auth_disabled("Tenant", session)
        return Refusal("SMTP AUTH is disabled for the organization", reply)
    return mailbox


def _mailbox_for(user: str, claims: Mapping[str, object], organization: Organization) -> Mailbox:
    audience = str(claims.get("aud", "")).rstrip("/")
    if audience not in AUDIENCES:
        raise TokenNotAccepted(f"the token is for {audience or 'nobody'}, not for outlook.office.com")
    owners = _owner_names(user, claims)
    mailbox = organization.mailbox(user)
    if mailbox is None:
        raise TokenNotAccepted(f"there is no mailbox {user}")
    if not owners & {owner.casefold() for owner in mailbox.owners}:
        raise TokenNotAccepted(f"the token gives no permission on the mailbox {user}")
    return mailbox


def _owner_names(user: str, claims: Mapping[str, object]) -> frozenset[str]:
    """Return the names that the token's holder can have among a mailbox's owners, in lower case."""
    scope = claims.get("scp")
    if scope is not None:
        if DELEGATED_SCOPE not in str(scope).split():
            raise TokenNotAccepted(f"the token's scopes lack {DELEGATED_SCOPE}: {scope}")
        name = _first(claims, "upn", "unique_name", "preferred_username")
        if name.casefold() != user.casefold():
            raise TokenNotAccepted(
                f"the token belongs to {name or 'nobody'}, but the client says user={user}"
            )
        return frozenset({name.casefold()})
    # Without any role the application may still have permission by role-based access control: no claim shows
    # it.
    roles = claims.get("roles")
    if isinstance(roles, list) and roles and APPLICATION_ROLE not in roles:
        raise TokenNotAccepted(f"the application's roles lack {APPLICATION_ROLE}")
    names = {_first(claims, "appid", "azp").casefold(), str(claims.get("oid", "")).casefold()}
    return frozenset(names - {""})


def _first(claims: Mapping[str, object], *names: str) -> str:
    return next((str(claims[name]) for name in names if claims.get(name)), "")
