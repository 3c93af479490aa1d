"""
How an app proves at the token endpoint that it is the app.

With a client secret, in the body or as HTTP Basic; or with a client assertion (RFC 7523), one of two:

- signed by the app itself, `iss` and `sub` its client id, with a certificate that is registered: the header
  `x5t#S256` or `x5t` names it. The algorithm is PS256 or RS256.
- a managed identity's token for a federated credential that the app has: issuer, audience and subject are
  compared letter by letter.

An assertion is good until its time is over, also a second time: MSAL sends the same one for nine minutes, so
Entra cannot refuse a `jti` that it has seen. Its time is judged by the machine's clock, by which it was made.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import jwt

from local.microsoft.aadsts import Aadsts
from local.microsoft.clock import machine_time
from local.microsoft.directory import App
from local.microsoft.entra_error import EntraError
from local.microsoft.tokens import TokenRefused

if TYPE_CHECKING:
    from jwt.types import Options

    from local.microsoft.certificates import Certificate
    from local.microsoft.entra import Entra

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("PS256", "RS256")

#: Signature alone; what the claims must say is checked one by one, for each has an error of its own.
_SIGNATURE_ONLY: "Options" = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_nbf": False,
    "verify_sub": False,
}


class ClientAuthentication:
    """The check of one identity provider."""

    def __init__(self, entra: "Entra") -> None:
        self.entra = entra

    def check(self, app: App, form: Mapping[str, str], secret: str) -> None:
        """Return if the request proves that it is the app's. Raises EntraError."""
        assertion = form.get("client_assertion", "")
        if assertion:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise EntraError(Aadsts.MISSING, {"parameter": "client_assertion_type"})
            self._check_assertion(app, assertion)
            return
        if not secret:
            raise EntraError(Aadsts.NO_SECRET)
        details = {"client_id": app.client_id}
        known = next(
            (one for one in app.secrets if hmac.compare_digest(one.value.encode(), secret.encode())), None
        )
        if known is None:
            raise EntraError(Aadsts.WRONG_SECRET, details)
        if known.expires_at <= self.entra.clock():
            raise EntraError(Aadsts.EXPIRED_SECRET, details)

    def _check_assertion(self, app: App, assertion: str) -> None:
        try:
            header = jwt.get_unverified_header(assertion)
            claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError as error:
            raise EntraError(Aadsts.BAD_ASSERTION) from error
        # An app names itself by its client id, an issuer of tokens by its URL.
        if str(claims.get("iss", "")).startswith("https://"):
            self._check_federated(app, assertion, claims)
        else:
            self._check_signed(app, assertion, header, claims)
        _check_time(claims)

    def _check_signed(
        self, app: App, assertion: str, header: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> None:
        if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
            raise EntraError(Aadsts.ASSERTION_APP)
        tenants = (self.entra.tenant.id, self.entra.tenant.domain)
        here = {
            f"{self.entra.base_url}/{name}/{path}"
            for name in tenants
            for path in ("oauth2/v2.0/token", "v2.0")
        }
        if claims.get("aud") not in here:
            raise EntraError(Aadsts.ASSERTION_AUDIENCE)
        name, thumbprint = _thumbprint(header)
        details = {"thumbprint": thumbprint, "client_id": app.client_id}
        certificate: Certificate | None = next(
            (one for one in app.certificates if one.thumbprint(name) == thumbprint), None
        )
        if certificate is None:
            raise EntraError(Aadsts.ASSERTION_SIGNATURE, {"reason": "The key was not found.", **details})
        if certificate.expires_at <= self.entra.clock():
            raise EntraError(Aadsts.ASSERTION_SIGNATURE, {"reason": "The key used is expired.", **details})
        try:
            jwt.decode(
                assertion, certificate.public_key, algorithms=list(ALGORITHMS), options=_SIGNATURE_ONLY
            )
        except jwt.InvalidTokenError as error:
            reason = "The provided signature value did not match the expected signature value."
            raise EntraError(Aadsts.ASSERTION_SIGNATURE, {"reason": reason, **details}) from error

    def _check_federated(self, app: App, assertion: str, claims: Mapping[str, Any]) -> None:
        issuer, subject, audience = (str(claims.get(name, "")) for name in ("iss", "sub", "aud"))
        known = [one for one in app.federated if one.issuer == issuer]
        if not known:
            raise EntraError(Aadsts.FEDERATED_ISSUER, {"given": issuer})
        known = [one for one in known if one.audience == audience]
        if not known:
            raise EntraError(Aadsts.FEDERATED_AUDIENCE, {"given": audience})
        if all(one.subject != subject for one in known):
            nearly = any(one.subject.lower() == subject.lower() for one in known)
            kind = Aadsts.FEDERATED_CASE if nearly else Aadsts.FEDERATED_SUBJECT
            raise EntraError(kind, {"given": subject})
        try:
            jwt.decode(
                assertion,
                self.entra.tokens.key_of(assertion),
                algorithms=["RS256"],
                options=_SIGNATURE_ONLY,
            )
        except (TokenRefused, jwt.InvalidTokenError) as error:
            raise EntraError(Aadsts.FEDERATED_SIGNATURE) from error


def basic(header: str) -> tuple[str, str]:
    """Return the client id and secret of an `Authorization` header, or two empty strings."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)  # RFC 6749 §2.3.1: both are form-encoded first


def _thumbprint(header: Mapping[str, Any]) -> tuple[str, str]:
    """Return which header names the certificate, and the thumbprint in it, in hex."""
    name = "x5t#S256" if "x5t#S256" in header else "x5t"
    value = str(header.get(name, ""))
    try:
        return name, base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex().upper()
    except (binascii.Error, ValueError):
        return name, ""


def _check_time(claims: Mapping[str, Any]) -> None:
    now = machine_time()
    begins, ends = (_moment(claims.get(name)) for name in ("nbf", "exp"))
    if begins > now or ends <= now:
        moments = {"now": now, "begins": begins, "ends": ends}
        raise EntraError(
            Aadsts.ASSERTION_TIME,
            {name: when.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name, when in moments.items()},
        )


def _moment(seconds: object) -> datetime:
    # Without a date the assertion begins at the beginning of time and ends there too.
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    try:
        return datetime.fromtimestamp(float(str(seconds)) if is_number else 0, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
