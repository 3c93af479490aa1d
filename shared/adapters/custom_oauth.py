"""
Any OAuth 2 provider that is not Microsoft, by the endpoints that mail.toml names.

The authorization code flow with PKCE, refresh tokens and client credentials (RFC 6749, 7636).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.common.security import generate_token

from shared.adapters.oauth_client import OAuthClient, Refused
from shared.adapters.openid_identity import Identity, is_openid, is_same
from shared.core import oauth
from shared.core.grant import Account, Grant, Picture
from shared.core.token_claims import Flaw
from shared.errors import (
    ConsentRequiredError,
    GrantError,
    UnsuitableTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.adapters.oauth_client import Tokens
    from shared.core.grant import ClientCredential
    from shared.core.service import Custom, Service

# Of 62 letters and digits: 285 bits, and within the 43 to 128 characters of RFC 7636 §4.1.
_SECRET_CHARACTERS = 48
# A lifetime is "recommended" (RFC 6749 §5.1). Where it is not said, the mail server's refusal of the token
# says when it was over; an hour is what most providers give.
_USUAL_LIFE_SECONDS = 3600
# What protects the flow, and what it asks for; authorize_params cannot change them.
_OURS = frozenset({"client_id", "redirect_uri", "state", "nonce", "response_type", "scope"})
_OURS_TOO = "code_challenge"

_PICTURE_SECONDS = 5
_LARGEST_PICTURE_BYTES = 200_000
_PICTURES = ("image/png", "image/jpeg", "image/gif")

_OK = 200


class CustomOAuth:
    """
    One service of type ``custom``: asks for consent, and turns refresh tokens into access tokens.

    ``credential`` gives what the application proves itself with; ``credential_refused`` is told that the
    provider did not take it, so that a new one is read.
    """

    def __init__(
        self,
        service: Service,
        provider: Custom,
        credential: Callable[[], ClientCredential],
        *,
        credential_refused: Callable[[], None],
    ) -> None:
        self._service = service
        self._provider = provider
        self._credential = credential
        self._credential_refused = credential_refused
        self._client = OAuthClient(service.client_id, provider)
        self._identity = Identity(service, provider, self._client)

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        """
        Begin the authorization code flow for ``account``; nothing is asked over the network.

        Returns ``auth_uri`` to send the browser to, ``state``, and with ``nonce`` and ``code_verifier`` what
        must be kept secret until it comes back.
        """
        scopes = dict.fromkeys((*self._provider.login_scopes, *self._provider.offline_scopes))
        flow = {
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": generate_token(_SECRET_CHARACTERS),
            "nonce": generate_token(_SECRET_CHARACTERS),
            "code_verifier": generate_token(_SECRET_CHARACTERS),
        }
        query = {name: value for name, value in flow.items() if name != "nonce" or is_openid(flow)}
        extra = {
            name: value
            for name, value in self._provider.authorize_params.items()
            if name not in _OURS and not name.startswith(_OURS_TOO)
        }
        hint = {"login_hint": account} if account else {}
        return {**flow, "auth_uri": self._client.authorization_url(query, {**hint, **extra})}

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        """
        Exchange the authorization code that came back for a grant.

        Who signed in is taken from the back channel alone: the id_token, or the userinfo endpoint.
        """
        code = answer.get("code", "")
        if not code or not is_same(answer.get("state", ""), flow["state"]):
            raise ConsentRequiredError("the sign-in that came back is not the one that was begun")
        tokens = self._ask(
            "authorization_code",
            code=code,
            redirect_uri=flow["redirect_uri"],
            code_verifier=flow["code_verifier"],
            tries=1,  # a code works once, so a refused credential is not tried again with another here
        )
        if not tokens.refresh_token:
            raise ConsentRequiredError(
                "the provider gave no refresh token; allow offline access for this app",
                code="no_refresh_token",
            )
        return Grant(
            account=self._identity.of(tokens, flow, now),
            scopes=_scopes(tokens, flow["scope"]),
            consented_at=now,
            refreshed_at=now,
            expires_at=_expiry(now, tokens),
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
        )

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """
        Return the grant with a new access token, and the new refresh token where one came.

        The account may have another name since; one that is another account is refused.
        """
        tokens = self._ask("refresh_token", refresh_token=grant.refresh_token)
        oauth.check_refresh_token(grant.refresh_token, tokens.refresh_token)
        if (
            missing := oauth.missing_scopes(tokens.scope.split(), self._service.mail_scopes)
            if tokens.scope
            else ()
        ):
            raise UnsuitableTokenError(
                f"the provider's new token lacks {' '.join(missing)}; it must be granted again",
                code=Flaw.PERMISSION.value,
            )
        return grant.refreshed(
            access_token=tokens.access_token,
            expires_at=_expiry(now, tokens),
            refresh_token=tokens.refresh_token,
            now=now,
            account=self._identity.still(grant.account, tokens.claims, now),
        )

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        """Return the application's own permission, which an administrator has given it."""
        scope = " ".join(dict.fromkeys(self._provider.offline_scopes))
        tokens = self._ask("client_credentials", scope=scope)
        return Grant(
            account=Account(mailbox),
            scopes=_scopes(tokens, scope),
            consented_at=now,
            refreshed_at=now,
            expires_at=_expiry(now, tokens),
            refresh_token="",
            access_token=tokens.access_token,
        )

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:  # noqa: ARG002 - the port's
        """Return the account's picture, None where it cannot be had, and the grant, which is as it was."""
        if not self._provider.userpicture_endpoint:
            return None, grant
        try:
            got = self._client.read(
                self._provider.userpicture_endpoint,
                grant.access_token,
                accept=", ".join(_PICTURES),
                timeout_seconds=_PICTURE_SECONDS,
                limit=_LARGEST_PICTURE_BYTES,
            )
        except GrantError:
            return None, grant
        if got.status != _OK or got.content_type not in _PICTURES or not got.body:
            return None, grant
        return Picture(got.content_type, got.body), grant

    def admin_consent_url(self, *, redirect_uri: str) -> str:  # noqa: ARG002 - the port's
        """Return "": OAuth 2 knows no consent for everybody."""
        return ""

    def _ask(self, grant_type: str, *, tries: int = 2, **fields: str) -> Tokens:
        """
        Ask the token endpoint.

        Where it refuses the credential and the vault has another one by now, that one is tried at once.
        """
        credential = self._credential()
        while True:
            result = self._client.redeem(credential, grant_type, **fields)
            if not isinstance(result, Refused):
                return result
            tries -= 1
            if result.error == "invalid_client":
                self._credential_refused()  # a new one may be in the vault already
                newer = self._credential() if tries else credential
                if newer != credential:
                    credential = newer
                    continue
            raise oauth.refusal(result.error, app_only=self._service.is_app_only)


def _scopes(tokens: Tokens, asked: str) -> tuple[str, ...]:
    """Return what was granted: where it is not said, what was asked (RFC 6749 §5.1)."""
    return tuple((asked if tokens.scope is None else tokens.scope).split())


def _expiry(now: datetime, tokens: Tokens) -> datetime:
    return oauth.expiry(now, _USUAL_LIFE_SECONDS if tokens.expires_in is None else tokens.expires_in)
