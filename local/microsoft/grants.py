"""
What the identity provider remembers: authorization codes, refresh tokens, and who consented to what.

A refresh token is bound to a person and an app, not to a resource. Each use gives a new one, and the old one
stays good, unless `revoke_family_on_reuse` makes this provider as strict as RFC 9700 §4.14.2 asks of public
clients: then a second use of an old one ends all that came from the same consent.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local.microsoft.aadsts import Aadsts
from local.microsoft.clock import machine_time
from local.microsoft.entra_error import EntraError, moment

#: Entra's authorization codes live about ten minutes.
CODE_LIFETIME = timedelta(minutes=10)
#: A refresh token that nobody uses for so long is gone.
REFRESH_INACTIVITY = timedelta(days=90)
#: Stands for the object id where an administrator consents for the whole tenant.
EVERYBODY = ""


@dataclass(slots=True)
class Code:
    """An authorization code: who consented, for whom, and what the token request must match."""

    oid: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    challenge: str | None
    challenge_method: str
    issued_at: datetime
    redeemed: bool = False

    def verify(self, verifier: str | None) -> bool:
        """Tell whether the code verifier is the one behind the challenge (RFC 7636 §4.6)."""
        if self.challenge is None:
            return verifier is None
        if verifier is None:
            return False
        made = verifier
        if self.challenge_method == "S256":
            digest = hashlib.sha256(verifier.encode()).digest()
            made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return hmac.compare_digest(made.encode(), self.challenge.encode())


@dataclass(slots=True)
class Refresh:
    """
    A refresh token. `family` is the consent that it came from; `ended` is why it is not good any more.

    `scope` is what a request that names none is about.
    """

    value: str = field(repr=False)
    oid: str
    client_id: str
    family: str
    scope: str
    issued_at: datetime
    used: bool = False
    ended: Aadsts | None = None
    ended_at: datetime | None = None


class Grants:
    """All of it, in memory. `clock` says what time it is for codes and refresh tokens."""

    def __init__(self, clock: Callable[[], datetime] = machine_time) -> None:
        self.clock = clock
        self.revoke_family_on_reuse = False
        self._codes: dict[str, Code] = {}
        self._refreshes: dict[str, Refresh] = {}
        self._consents: dict[tuple[str, str, str], set[str]] = {}

    def consent(self, oid: str, client_id: str, resource: str, permissions: Collection[str]) -> None:
        """Note that a person lets an app have these permissions on a resource, beside those it has."""
        self._consents.setdefault((oid, client_id, resource), set()).update(permissions)

    def consented(self, oid: str, client_id: str, resource: str) -> frozenset[str]:
        """Return the permissions on a resource that a person, or the administrator, lets an app have."""
        own, given = ((who, client_id, resource) for who in (oid, EVERYBODY))
        return frozenset(self._consents.get(own, set()) | self._consents.get(given, set()))

    def withdraw_consent(self, oid: str | None) -> None:
        """
        Forget all that a person consented to; refresh tokens stay, and find nothing behind them.

        None is everybody, and what an administrator gave for them. One person cannot take that back.
        """
        for key in [key for key in self._consents if oid is None or key[0] == oid]:
            del self._consents[key]

    def new_code(self, code: Code) -> str:
        """Keep an authorization code and return its value."""
        value = f"1.{secrets.token_urlsafe(96)}"
        self._codes[value] = code
        return value

    def redeem(self, value: str, *, client_id: str, redirect_uri: str, verifier: str | None) -> Code:
        """Return the consent behind an authorization code, once. Raises EntraError."""
        code = self._codes.get(value)
        if code is None or code.client_id != client_id:
            raise EntraError(Aadsts.MALFORMED_GRANT)
        if code.redeemed:
            raise EntraError(Aadsts.CODE_REDEEMED)
        if self.clock() - code.issued_at > CODE_LIFETIME:
            raise EntraError(Aadsts.EXPIRED)
        if code.redirect_uri != redirect_uri:
            details = {"given": redirect_uri, "expected": code.redirect_uri}
            raise EntraError(Aadsts.REDIRECT_CHANGED, details)
        if not code.verify(verifier):
            raise EntraError(Aadsts.VERIFIER)
        code.redeemed = True
        return code

    def new_refresh(self, oid: str, client_id: str, *, family: str | None = None, scope: str = "") -> Refresh:
        """Make a refresh token, of a new family unless one is named."""
        refresh = Refresh(
            value=f"1.{secrets.token_urlsafe(120)}",
            oid=oid,
            client_id=client_id,
            family=family or secrets.token_hex(8),
            scope=scope,
            issued_at=self.clock(),
        )
        self._refreshes[refresh.value] = refresh
        return refresh

    def use_refresh(self, value: str, *, client_id: str) -> Refresh:
        """Return the refresh token with this value if it is still good. Raises EntraError."""
        refresh = self._refreshes.get(value)
        if refresh is None or refresh.client_id != client_id:
            raise EntraError(Aadsts.MALFORMED_GRANT)
        if refresh.used and self.revoke_family_on_reuse:
            self._end(Aadsts.REVOKED, (other for other in self._all() if other.family == refresh.family))
        if refresh.ended is not None:
            details = {
                "issued": moment(refresh.issued_at),
                "valid_from": moment(refresh.ended_at or refresh.issued_at),
            }
            raise EntraError(refresh.ended, details)
        if self.clock() - refresh.issued_at > REFRESH_INACTIVITY:
            raise EntraError(Aadsts.INACTIVE, {"issued": moment(refresh.issued_at)})
        return refresh

    def end_all(self, oid: str, why: Aadsts) -> int:
        """End every refresh token of a person; return how many."""
        return self._end(why, (refresh for refresh in self._all() if refresh.oid == oid))

    def _all(self) -> Iterator[Refresh]:
        return iter(self._refreshes.values())

    def _end(self, why: Aadsts, refreshes: Iterator[Refresh]) -> int:
        ended = 0
        for refresh in refreshes:
            refresh.ended, refresh.ended_at = why, self.clock()
            ended += 1
        return ended
