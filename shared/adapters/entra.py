"""
Microsoft Entra ID, through MSAL: the authorization code flow and refresh tokens.

A new MSAL application is made for each call. That is what keeps three habits of MSAL's out of the way: its
token cache (refresh tokens live in the vault, and a second copy is the one that goes stale), its memory of
refusals (an ``invalid_grant`` is answered from memory for a minute), and its having no timeout.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, cast

import msal
import requests

from shared.core import oauth
from shared.core.oauth import Grant, RefreshOutcome
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.oauth import Picture, Service

_TIMEOUT_SECONDS = 10

# MSAL asks for form_post at every flow. That is a POST from another site, to which a browser does not bring a
# SameSite=Lax cookie, and that cookie is what binds the flow to its browser; the code in the query is worth
# nothing without it.
warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)


class Entra:
    """One service of type ``microsoft``: asks for consent, and turns refresh tokens into access tokens."""

    def __init__(
        self,
        service: Service,
        client_secret: Callable[[], str],
        *,
        fetch_picture: Callable[[str, str], Picture | None],
        secret_refused: Callable[[], None],
    ) -> None:
        self._service = service
        self._client_secret = client_secret
        self._fetch_picture = fetch_picture
        self._secret_refused = secret_refused

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        """
        Begin the authorization code flow for ``account``.

        Returns MSAL's flow: ``auth_uri`` to send the browser to, ``state``, and what must be kept secret
        until it comes back.
        """
        with _translated():
            flow = self._application().initiate_auth_code_flow(
                # Consent is asked for both resources at once; each token is for one of them.
                [oauth.SMTP_SCOPE, oauth.PROFILE_SCOPE],
                redirect_uri=redirect_uri,
                login_hint=account,
                prompt="select_account",
            )
        return cast("dict[str, Any]", flow)

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        """
        Exchange the authorization code that came back for a grant; identity is taken from the id_token alone.
        """
        with _translated():
            application = self._application()
            try:
                result = application.acquire_token_by_auth_code_flow(
                    dict(flow), dict(answer), scopes=[oauth.SMTP_SCOPE]
                )
            except (requests.RequestException, json.JSONDecodeError):
                raise  # ValueErrors too, but the network's
            except (ValueError, RuntimeError):
                # MSAL's word for a state or nonce that does not match; its text may quote them.
                raise ConsentRequiredError(
                    "the sign-in that came back is not the one that was begun"
                ) from None
        self._raise_for(result)
        try:
            account = oauth.account_from(result.get("id_token_claims") or {}, service=self._service, now=now)
        except ValueError as error:
            raise ConsentRequiredError(str(error)) from None
        if not result.get("refresh_token"):
            raise ConsentRequiredError(
                "the provider gave no refresh token; allow offline access for this app",
                code="no_refresh_token",
            )
        return Grant(
            account=account,
            scopes=tuple(str(result.get("scope") or "").split()),
            consented_at=now,
            refreshed_at=now,
            expires_at=oauth.expiry(now, result.get("expires_in")),
            refresh_token=result["refresh_token"],
            access_token=result["access_token"],
        )

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """Return the grant with a new access token, and the new refresh token where one came."""
        result = self._redeem(grant.refresh_token, oauth.SMTP_SCOPE)
        return grant.refreshed(
            access_token=result["access_token"],
            expires_at=oauth.expiry(now, result.get("expires_in")),
            refresh_token=str(result.get("refresh_token") or ""),
            now=now,
        )

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:
        """
        Return the account's picture, and the grant with the refresh token that came with the token for it.

        A picture is a courtesy: where it cannot be had there is none, and the grant is as good as before.
        """
        try:
            result = self._redeem(grant.refresh_token, oauth.PROFILE_SCOPE)
        except GrantError:
            return None, grant
        kept = grant.refreshed(
            access_token=grant.access_token,
            expires_at=grant.expires_at,
            refresh_token=str(result.get("refresh_token") or ""),
            now=now,
        )
        try:
            return self._fetch_picture(self._graph_url(), str(result["access_token"])), kept
        except GrantError:
            return None, kept

    def _graph_url(self) -> str:
        """Return the address of Graph in this cloud, as the provider's own metadata names it."""
        with _translated():
            answer = requests.get(
                f"{self._service.authority}/v2.0/.well-known/openid-configuration", timeout=_TIMEOUT_SECONDS
            )
            answer.raise_for_status()
            return f"https://{answer.json()['msgraph_host']}"

    def _redeem(self, refresh_token: str, scope: str) -> dict[str, Any]:
        with _translated():
            result = self._application().acquire_token_by_refresh_token(refresh_token, scopes=[scope])
        self._raise_for(result)
        return cast("dict[str, Any]", result)

    def _application(self) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            self._service.client_id,
            client_credential=self._client_secret(),
            authority=self._service.authority,
            # An authority that mail.toml writes out is an emulator's or a proxy's: Microsoft does not know
            # it.
            instance_discovery=None if self._service.authority_is_known else False,
            timeout=_TIMEOUT_SECONDS,
        )

    def _raise_for(self, result: Mapping[str, Any]) -> None:
        """Raise what an OAuth error means; its description is the provider's own and holds no secret."""
        error = result.get("error")
        if not error:
            if not result.get("access_token"):
                raise TokenUnavailableError("the provider's answer holds no token; it is tried again")
            return
        code = _code(result)
        if error == "invalid_client":
            self._secret_refused()  # a new one may be in the vault already
        said = f"{error}{f' {code}' if code else ''}"
        kind: type[GrantError] = {
            RefreshOutcome.CONSENT_REQUIRED: ConsentRequiredError,
            RefreshOutcome.CREDENTIAL_BROKEN: CredentialError,
        }.get(oauth.refused(str(error)), TokenUnavailableError)
        raise kind(f"the provider refused: {said}", code=code or str(error))


def _code(result: Mapping[str, Any]) -> str:
    """Return ``AADSTS…`` where the provider gave a number."""
    numbers = result.get("error_codes")
    return f"AADSTS{numbers[0]}" if isinstance(numbers, list) and numbers else ""


# MsalError is what MSAL makes of every 5xx.
_OUTSIDE = (requests.RequestException, msal.exceptions.MsalError, ValueError, KeyError, TypeError)


class _translated:  # noqa: N801 - reads as a word in a with statement
    """Turn what the network and MSAL raise into an error that says: keep everything, try again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, GrantError) or error is None:
            return
        # Requests' errors quote the URL, which in the first leg carries nothing secret and in the others is
        # the token endpoint.
        if isinstance(error, _OUTSIDE):
            raise TokenUnavailableError(
                f"the provider could not be asked: {type(error).__name__}; it is tried again"
            ) from None
