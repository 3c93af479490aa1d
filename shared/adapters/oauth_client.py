"""
The endpoints of any OAuth 2 provider, asked through Authlib and never trusted to behave.

Authlib says how a request is written and what an answer means. What it leaves to us is here: every call ends
in time, no redirect takes a token or a code elsewhere, and an answer is read only as far as one can be long.
A session is made for each call, so that Authlib remembers no token and refreshes none by itself.
"""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc.errors import JoseError

from shared.adapters.client_authentication import authentication
from shared.core import oauth
from shared.core.grant import ClientSecret
from shared.errors import GrantError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.grant import ClientCredential
    from shared.core.service import Custom

_TIMEOUT_SECONDS = 10
# Tokens of tens of kilobytes have been seen (groups as claims), of a megabyte never.
_LARGEST_ANSWER_BYTES = 1_000_000
_PIECE_BYTES = 16_384
_LONGEST_LIFE_SECONDS = 1e9  # no time, and beyond what a clock can add
# Answers that say nothing about the grant, whatever their body holds.
_NOT_NOW = frozenset({408, 429})
_REDIRECT, _REFUSED, _SERVER_ERROR = 300, 400, 500
_TOKEN = re.compile(r"[\x20-\x7e]+")  # RFC 6749 §A.12; what is not goes into no header and no SASL exchange
# An id_token is a signed JWT (RFC 7519 §3).
_PARTS = 3

_OUTSIDE = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    AuthlibBaseError,
    JoseError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave, each part of the type that it should be."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: float | None
    scope: str | None
    #: The claims of the id_token; None without one, {} where it could not be read.
    claims: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The token endpoint said no; the OAuth ``error`` is a plain word."""

    error: str


@dataclass(frozen=True, slots=True)
class Content:
    """What an endpoint answered to an access token."""

    status: int
    content_type: str
    body: bytes = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Return the JSON object that the body is; raises ``TokenUnavailableError``."""
        return _object(self.body)


class _translated:  # noqa: N801 - reads as a word in a with statement
    """Turn what the network and Authlib raise into an error that says: keep everything, try again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, GrantError):
            return
        # Nothing of their text is told: it may quote a header or a form.
        if isinstance(error, _OUTSIDE):
            raise TokenUnavailableError(
                f"the provider could not be asked: {type(error).__name__}; it is tried again"
            ) from None


class OAuthClient:
    """One registration at one provider."""

    def __init__(self, client_id: str, provider: Custom) -> None:
        self._client_id = client_id
        self._provider = provider

    def authorization_url(self, query: Mapping[str, str], extra: Mapping[str, str]) -> str:
        """Return where the browser is sent; a ``code_verifier`` becomes its S256 challenge (RFC 7636)."""
        with _translated(), self._session(None) as session:
            url, _ = session.create_authorization_url(self._provider.authorization_endpoint, **query)
            return str(add_params_to_uri(url, list(extra.items())))

    def redeem(self, credential: ClientCredential, grant_type: str, **fields: str) -> Tokens | Refused:
        """Ask the token endpoint; raises ``TokenUnavailableError`` where its answer is none."""
        with _translated(), self._session(credential) as session:
            options: dict[str, Any] = {"timeout": _TIMEOUT_SECONDS, "allow_redirects": False, "stream": True}
            try:
                answer = session.fetch_token(
                    self._provider.token_endpoint, grant_type=grant_type, **fields, **options
                )
            except OAuthError as refused:
                # Its description is the provider's prose, which may quote what it was sent.
                return Refused(_word(refused.error))
            return _tokens(answer)

    def read(
        self,
        url: str,
        access_token: str,
        *,
        accept: str,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        limit: int = _LARGEST_ANSWER_BYTES,
    ) -> Content:
        """Show an endpoint the access token; raises ``TokenUnavailableError`` where it does not answer."""
        with (
            _translated(),
            self._session(None, token={"access_token": access_token, "token_type": "Bearer"}) as session,
            session.get(
                url,
                headers={"Accept": accept},
                timeout=timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            _must_be_of_use(answer.status_code)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return Content(answer.status_code, kind, _body(answer, limit, timeout_seconds))

    def _session(self, credential: ClientCredential, **options: Any) -> OAuth2Session:
        session = OAuth2Session(
            self._client_id,
            token_endpoint_auth_method=authentication(self._client_id, credential, self._provider),
            code_challenge_method="S256",
            **options,
        )
        if isinstance(credential, ClientSecret):
            session.client_secret = credential.value
        # An answer that is packed all the same is read, and measured as it is unpacked.
        session.headers["Accept-Encoding"] = "identity"
        session.register_compliance_hook("access_token_response", _looked_at)
        return session


@dataclass(frozen=True, slots=True)
class _Answer:
    """As much of an answer as Authlib reads."""

    status_code: int
    document: dict[str, Any] = field(repr=False)

    def json(self) -> dict[str, Any]:
        return self.document


def _looked_at(response: requests.Response) -> _Answer:
    """Keep from Authlib what is no answer of a token endpoint (RFC 6749 §5.1, §5.2)."""
    with response:
        status = response.status_code
        _must_be_of_use(status)
        if _REDIRECT <= status < _REFUSED:
            raise _unanswered(status)
        body = _body(response, _LARGEST_ANSWER_BYTES, _TIMEOUT_SECONDS)
    try:
        document = _object(body)
    except TokenUnavailableError:
        if status >= _REFUSED:
            raise _unanswered(status) from None
        raise
    if not document.get("error"):
        document.pop("error", None)  # null, beside the token
        if status >= _REFUSED:
            raise _unanswered(status)
    # Authlib reckons with both, and trips over what is no number.
    document.pop("expires_at", None)
    document["expires_in"] = _seconds(document.get("expires_in"))
    return _Answer(status, document)


def _must_be_of_use(status: int) -> None:
    if status in _NOT_NOW or status >= _SERVER_ERROR:
        raise _unanswered(status)


def _unanswered(status: int) -> TokenUnavailableError:
    return TokenUnavailableError(f"the provider answered {status}; it is tried again", code=str(status))


def _body(response: requests.Response, limit: int, seconds: float) -> bytes:
    """Read a body that is neither long nor slow; a time limit of requests' is for each piece alone."""
    until = time.monotonic() + seconds
    body = bytearray()
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        body += piece
        if len(body) > limit or time.monotonic() > until:
            raise TokenUnavailableError("the provider's answer does not end; it is tried again")
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TokenUnavailableError("the provider's answer is not what it should be; it is tried again")
    return document


def _no_number(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads and RFC 8259 does not know."""
    raise ValueError(name)


def _seconds(value: object) -> float | None:
    """Return a lifetime, which some write as a string; None where there is none, 0 where it is an odd one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return value if 0 < value < _LONGEST_LIFE_SECONDS else 0


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    access_token, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(access_token, str) or not _TOKEN.fullmatch(access_token):
        raise TokenUnavailableError("the provider's answer holds no token; it is tried again")
    if not isinstance(kind, str) or kind.casefold() != "bearer":
        raise TokenUnavailableError("the provider's token is no bearer token; it is tried again")
    refresh_token, scope, id_token = (answer.get(name) for name in ("refresh_token", "scope", "id_token"))
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token if isinstance(refresh_token, str) else "",
        expires_in=answer.get("expires_in"),
        scope=scope if isinstance(scope, str) else None,
        claims=None if id_token is None else _claims(id_token),
    )


def _claims(id_token: object) -> Mapping[str, Any]:
    """Return the claims of an id_token; TLS to the token endpoint stands in for its signature."""
    parts = id_token.split(".") if isinstance(id_token, str) else []
    if len(parts) != _PARTS:
        return {}
    try:
        return _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, TokenUnavailableError):
        return {}


def _word(error: object) -> str:
    return oauth.error_word(error) if isinstance(error, str) else "unknown"
