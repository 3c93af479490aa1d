"""
What an access token says of itself, read before it is shown to the mail server.

Exchange answers a token that is of no use with ``535 5.7.3`` and no reason, so the reasons are looked for
here: whom it is for, what it permits, how long it lasts, whose it is. The signature is the server's to check.
A token that cannot be read is let through: Microsoft keeps their content to itself where it likes.
"""

from __future__ import annotations

import base64
import enum
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.core.service import Microsoft

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.grant import Grant
    from shared.core.service import Service

SMTP_PERMISSION = "SMTP.Send"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTS = 3  # of a signed JWT (RFC 7519 §3)
# Longer than any name or address that is worth quoting.
_LONGEST_EVIDENCE = 200


class Flaw(enum.Enum):
    """Why an access token is of no use for sending; the value is the remedy's key."""

    #: It is for another service than Outlook, Graph for example.
    AUDIENCE = "token-audience"
    #: It does not permit sending by SMTP.
    PERMISSION = "token-permission"
    #: Its time is over, whatever the provider said beside it.
    EXPIRED = "token-expired"
    #: Another tenant issued it.
    TENANT = "token-tenant"
    #: It belongs to another account, or to another application.
    ACCOUNT = "token-account"


@dataclass(frozen=True, slots=True)
class Flawed:
    """A flaw, and the claim that shows it, word for word: no claim that is looked at is a secret."""

    flaw: Flaw
    evidence: str


def _flawed(flaw: Flaw, claim: str, value: str) -> Flawed:
    return Flawed(flaw, f"{claim}: {value[:_LONGEST_EVIDENCE]}")


def flaw_of(grant: Grant, service: Service, now: datetime) -> Flawed | None:
    """Return why the access token of ``grant`` is of no use for sending, None where it is of use."""
    claims = _claims(grant.access_token)
    if claims is None or not isinstance(service.provider, Microsoft):
        return None
    expires = claims.get("exp")
    if isinstance(expires, (int, float)) and expires <= now.timestamp():
        return _flawed(Flaw.EXPIRED, "exp", str(expires))
    return (
        _audience(claims, service.provider)
        or _tenant(claims, grant, service.provider)
        or _permission(claims, service)
        or _account(claims, grant, service)
    )


def _audience(claims: Mapping[str, Any], provider: Microsoft) -> Flawed | None:
    audience = _text(claims, "aud")
    if audience and audience.rstrip("/").casefold() not in provider.cloud.audiences:
        return _flawed(Flaw.AUDIENCE, "aud", audience)
    return None


def _tenant(claims: Mapping[str, Any], grant: Grant, provider: Microsoft) -> Flawed | None:
    expected = grant.account.tenant_id or (provider.tenant if _GUID.fullmatch(provider.tenant) else "")
    tenant = _text(claims, "tid")
    if tenant and expected and tenant.casefold() != expected.casefold():
        return _flawed(Flaw.TENANT, "tid", tenant)
    return None


def _permission(claims: Mapping[str, Any], service: Service) -> Flawed | None:
    """
    A person's token must name the permission.

    An application's need not: where Exchange's own roles give it (RBAC for applications), no claim shows it.
    """
    scopes = _text(claims, "scp")
    if service.is_app_only:
        return _flawed(Flaw.PERMISSION, "scp", scopes) if scopes else None
    if SMTP_PERMISSION.casefold() not in scopes.casefold().split():
        return _flawed(Flaw.PERMISSION, "scp", scopes or "none")
    return None


def _account(claims: Mapping[str, Any], grant: Grant, service: Service) -> Flawed | None:
    application = _text(claims, "appid") or _text(claims, "azp")
    if application and application.casefold() != service.client_id.casefold():
        return _flawed(Flaw.ACCOUNT, "appid", application)
    person, expected = _text(claims, "oid"), grant.account.object_id
    if not service.is_app_only and person and expected and person.casefold() != expected.casefold():
        return _flawed(Flaw.ACCOUNT, "oid", person)
    return None


def _claims(token: str) -> Mapping[str, Any] | None:
    """Return the claims of a JWT, or None: it is no readable one."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""
