"""
Microsoft Entra ID, through MSAL: the authorization code flow, refresh tokens and client credentials.

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
from shared.core.grant import Account, ClientAssertion, ClientCertificate, ClientSecret, Grant
from shared.errors import ConsentRequiredError, GrantError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.grant import ClientCredential, Picture
    from shared.core.service import Microsoft, Service

_TIMEOUT_SECONDS = 10
# Answers that say nothing about the grant, whatever their body holds.
_NOT_NOW = frozenset({408, 429})
_SERVER_ERROR = 500

# MSAL asks for form_post at every flow. That is a POST from another site, to which a browser does not bring a
# SameSite=Lax cookie, and that cookie is what binds the flow to its browser; the code in the query is worth
# nothing without it.
warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)


class Entra:
    """
    One service of type ``microsoft``: asks for consent, and turns refresh tokens into access tokens.

    ``credential`` gives what the application proves itself with; ``credential_refused`` is told that the
    provider did not take it, so that a new one is read.
    """

    def __init__(
        self,
        service: Service,
        provider: Microsoft,
        credential: Callable[[], ClientCredential],
        *,
        fetch_picture: Callable[[str, str], Picture | None],
        credential_refused: Callable[[], None],
    ) -> None:
        self._service = service
        self._provider = provider
        self._credential = credential
        self._fetch_picture = fetch_picture
        self._credential_refused = credential_refused

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        """
        Begin the authorization code flow for ``account``.

        Returns MSAL's flow: ``auth_uri`` to send the browser to, ``state``, and what must be kept secret
        until it comes back.
        """
        cloud = self._provider.cloud
        with _translated():
            flow = self._application(self._credential()).initiate_auth_code_flow(
                # Consent is asked for both resources at once; each token is for one of them.
                [cloud.smtp_scope, cloud.profile_scope],
                redirect_uri=redirect_uri,
                login_hint=account,
                prompt="select_account",
            )
        return cast("dict[str, Any]", flow)

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        """
        Exchange the authorization code that came back for a grant; identity is taken from the id_token alone.
        """
        scopes = [self._provider.cloud.smtp_scope]
        result = self._ask(
            # A code works once, so a refused credential is not tried again with another here.
            lambda application: _matched(
                lambda: application.acquire_token_by_auth_code_flow(dict(flow), dict(answer), scopes=scopes)
            ),
            tries=1,
        )
        if not result.get("refresh_token"):
            raise ConsentRequiredError(
                "the provider gave no refresh token; allow offline access for this app",
                code="no_refresh_token",
            )
        return Grant(
            account=self._account(result, now),
            scopes=tuple(str(result.get("scope") or "").split()),
            consented_at=now,
            refreshed_at=now,
            expires_at=oauth.expiry(now, result.get("expires_in")),
            refresh_token=str(result["refresh_token"]),
            access_token=str(result["access_token"]),
        )

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """
        Return the grant with a new access token, and the new refresh token where one came.

        The account may have another name since; one that is another account is refused.
        """
        result = self._redeem(grant.refresh_token, self._provider.cloud.smtp_scope)
        new_token = str(result.get("refresh_token") or "")
        oauth.check_refresh_token(grant.refresh_token, new_token)
        account = grant.account
        if result.get("id_token_claims"):
            account = self._account(result, now)
            if not account.is_same(grant.account):
                raise ConsentRequiredError("the refreshed token is another account's", code="other_account")
        return grant.refreshed(
            access_token=str(result["access_token"]),
            expires_at=oauth.expiry(now, result.get("expires_in")),
            refresh_token=new_token,
            now=now,
            account=account,
        )

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        """Return the application's own permission, which an administrator has given it."""
        scope = self._provider.cloud.app_scope
        result = self._ask(lambda application: application.acquire_token_for_client([scope]))
        return Grant(
            account=Account(mailbox),
            scopes=(scope,),
            consented_at=now,
            refreshed_at=now,
            expires_at=oauth.expiry(now, result.get("expires_in")),
            refresh_token="",
            access_token=str(result["access_token"]),
        )

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:
        """
        Return the account's picture, and the grant with the refresh token that came with the token for it.

        A picture is a courtesy: where it cannot be had there is none, and the grant is as good as before.
        """
        try:
            result = self._redeem(grant.refresh_token, self._provider.cloud.profile_scope)
        except GrantError:
            return None, grant
        new_token = str(result.get("refresh_token") or "")
        kept = grant.refreshed(
            access_token=grant.access_token,
            expires_at=grant.expires_at,
            refresh_token="" if oauth.has_shrunk(grant.refresh_token, new_token) else new_token,
            now=now,
        )
        try:
            return self._fetch_picture(self._graph_url(), str(result["access_token"])), kept
        except GrantError:
            return None, kept

    def admin_consent_url(self, *, redirect_uri: str) -> str:
        """Return where an administrator consents for the whole tenant."""
        return self._service.admin_consent_url(redirect_uri)

    def _account(self, result: Mapping[str, Any], now: datetime) -> Account:
        try:
            return oauth.account_from(result.get("id_token_claims") or {}, service=self._service, now=now)
        except ValueError as error:
            raise ConsentRequiredError(str(error)) from None

    def _graph_url(self) -> str:
        """Return the address of Graph in this cloud, as the provider's own metadata names it."""
        with _translated():
            answer = requests.get(
                f"{self._provider.authority}/v2.0/.well-known/openid-configuration", timeout=_TIMEOUT_SECONDS
            )
            answer.raise_for_status()
            return f"https://{answer.json()['msgraph_host']}"

    def _redeem(self, refresh_token: str, scope: str) -> dict[str, Any]:
        return self._ask(
            lambda application: application.acquire_token_by_refresh_token(refresh_token, scopes=[scope])
        )

    def _ask(
        self, question: Callable[[msal.ConfidentialClientApplication], Any], *, tries: int = 2
    ) -> dict[str, Any]:
        """
        Ask the token endpoint.

        Where it refuses the credential and the vault has another one by now, that one is tried at once.
        """
        credential = self._credential()
        while True:
            with _translated():
                result = question(self._application(credential))
            if not isinstance(result, dict):
                raise TokenUnavailableError(
                    "the provider's answer is not what it should be; it is tried again"
                )
            tries -= 1
            if result.get("error") == "invalid_client":
                self._credential_refused()  # a new one may be in the vault already
                newer = self._credential() if tries else credential
                if newer != credential:
                    credential = newer
                    continue
            self._raise_for(result)
            return result

    def _application(self, credential: ClientCredential) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            self._service.client_id,
            client_credential=_for_msal(credential),
            authority=self._provider.authority,
            # An authority that mail.toml writes out is an emulator's or a proxy's: Microsoft does not know
            # it.
            instance_discovery=None if self._provider.authority_is_known else False,
            http_client=_Http(),
        )

    def _raise_for(self, result: Mapping[str, Any]) -> None:
        """Raise what an OAuth error means; its description is the provider's own and holds no secret."""
        error = result.get("error")
        if not error:
            if not isinstance(result.get("access_token"), str) or not result["access_token"]:
                raise TokenUnavailableError("the provider's answer holds no token; it is tried again")
            return
        raise oauth.refusal(str(error), code=_code(result), app_only=self._service.is_app_only)


class _Http:
    """
    What MSAL asks over: with a time limit, and with the answers kept from it that say nothing about a grant.

    MSAL would take the body of a 429 for the provider's verdict, and the word for "later" differs.
    """

    def __init__(self) -> None:
        self._session = requests.Session()

    def get(self, url: str, **options: Any) -> requests.Response:
        return _spoken(self._session.get(url, timeout=_TIMEOUT_SECONDS, **options))

    def post(self, url: str, **options: Any) -> requests.Response:
        # Whoever answers with another place gets neither the credential nor the refresh token sent there.
        return _spoken(self._session.post(url, timeout=_TIMEOUT_SECONDS, allow_redirects=False, **options))

    def close(self) -> None:
        self._session.close()


def _spoken(answer: requests.Response) -> requests.Response:
    if answer.is_redirect or answer.status_code in _NOT_NOW or answer.status_code >= _SERVER_ERROR:
        status = str(answer.status_code)
        raise TokenUnavailableError(f"the provider answered {status}; it is tried again", code=status)
    return answer


def _matched(exchange: Callable[[], Any]) -> Any:
    """Exchange a code; a state or nonce that does not match is refused in words of our own."""
    try:
        return exchange()
    except (requests.RequestException, json.JSONDecodeError):
        raise  # ValueErrors too, but the network's
    except (ValueError, RuntimeError):
        # MSAL's word for a state or nonce that does not match; its text may quote them.
        raise ConsentRequiredError("the sign-in that came back is not the one that was begun") from None


def _for_msal(credential: ClientCredential) -> str | dict[str, Any] | None:
    match credential:
        case ClientSecret(value):
            return value
        case ClientCertificate(private_key, certificate):
            return {"private_key": private_key, "public_certificate": certificate}
        case ClientAssertion(value):
            return {"client_assertion": lambda: value}
    return None


def _code(result: Mapping[str, Any]) -> str:
    """Return ``AADSTS…`` where the provider gave a number."""
    numbers = result.get("error_codes")
    first = numbers[0] if isinstance(numbers, list) and numbers else None
    return oauth.aadsts(f"AADSTS{first}") if isinstance(first, int) else ""


# MsalError is what MSAL makes of every 5xx.
_OUTSIDE = (
    requests.RequestException,
    msal.exceptions.MsalError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


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
