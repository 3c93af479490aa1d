"""
Who signed in at a provider that is not Microsoft: by its id_token, or by its userinfo endpoint.

Both come over the back channel, and TLS stands in for the id_token's signature (OpenID Connect Core
§3.1.3.7). An account of an id_token is known for good by ``iss`` and ``sub``.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core import oauth
from shared.errors import ConsentRequiredError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.adapters.oauth_client import OAuthClient, Tokens
    from shared.core.grant import Account
    from shared.core.service import Custom, Service

_OK = 200


class Identity:
    """Tells the accounts of one service; what cannot be told is a ``ConsentRequiredError``."""

    def __init__(self, service: Service, provider: Custom, client: OAuthClient) -> None:
        self._service = service
        self._provider = provider
        self._client = client

    def of(self, tokens: Tokens, flow: Mapping[str, Any], now: datetime) -> Account:
        """Return who signed in, in the flow that was begun."""
        claims = tokens.claims
        try:
            if claims is None:
                return oauth.account_of_fields(self._userinfo(tokens.access_token), self._provider)
            subject = claims.get("sub")
            if not isinstance(subject, str) or not subject:
                raise ConsentRequiredError("the id_token does not say who signed in (no sub)")
            nonce = claims.get("nonce")
            if (is_openid(flow) or nonce is not None) and not is_same(nonce, flow["nonce"]):
                raise ConsentRequiredError("the sign-in that came back is not the one that was begun")
            account = oauth.account_from(self._filled_in(claims, tokens), service=self._service, now=now)
        except ValueError as error:
            raise ConsentRequiredError(str(error)) from None
        return replace(account, object_id=subject)

    def still(self, account: Account, claims: Mapping[str, Any] | None, now: datetime) -> Account:
        """
        Return the account as an id_token that came with a refresh has it; another's is refused (Core §12.2).

        One that cannot be read, or says no more than who it is, changes nothing: a new refresh token came
        with it, and that must not be lost.
        """
        # Without an issuer the account is the userinfo endpoint's word, and its id may be of another kind.
        if not claims or not account.tenant_id:
            return account
        if (claims.get("iss"), claims.get("sub")) != (account.tenant_id, account.object_id):
            raise ConsentRequiredError("the refreshed token is another account's", code="other_account")
        try:
            found = oauth.account_from(claims, service=self._service, now=now)
        except ValueError:
            return account
        return replace(found, object_id=account.object_id)

    def _filled_in(self, claims: Mapping[str, Any], tokens: Tokens) -> Mapping[str, Any]:
        """Return the id_token's claims; where they have no address, with the userinfo endpoint's."""
        fields = self._provider.user_fields
        email, name = fields.get("email", "email"), fields.get("display_name", "name")
        if claims.get(email) or not self._provider.userinfo_endpoint:
            return claims
        userinfo = self._userinfo(tokens.access_token)
        # Core §5.3.2: where they differ it is another person's, and nothing of it may be used.
        if userinfo.get("sub") != claims["sub"]:
            raise ConsentRequiredError("the userinfo endpoint tells of another account than the id_token")
        return {**claims, **{field: userinfo[field] for field in (email, name) if field in userinfo}}

    def _userinfo(self, access_token: str) -> Mapping[str, Any]:
        if not self._provider.userinfo_endpoint:
            raise ConsentRequiredError(
                "the provider does not say who signed in (no id_token); "
                "ask for openid and email in login_scopes, or name its userinfo_endpoint"
            )
        got = self._client.read(self._provider.userinfo_endpoint, access_token, accept="application/json")
        if got.status != _OK:
            raise ConsentRequiredError(
                f"the provider does not say who signed in (its userinfo endpoint answered {got.status})"
            )
        return got.document()


def is_openid(flow: Mapping[str, Any]) -> bool:
    """Whether OpenID Connect was asked for: only then may a nonce be sent, and must it come back."""
    return "openid" in str(flow["scope"]).split()


def is_same(theirs: object, ours: str) -> bool:
    """Whether a state or nonce is ours, without telling by the time it takes how much of it is."""
    # What came back may hold what no text can be: half of a surrogate pair, from JSON.
    said = theirs.encode("utf-8", "surrogatepass") if isinstance(theirs, str) else b""
    return hmac.compare_digest(said, ours.encode())
