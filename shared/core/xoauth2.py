"""
The XOAUTH2 exchange as a step function: what to say first, what to answer a challenge.

Microsoft refuses a token at once with 535. Google first explains itself in a 334 whose text is base64 of
JSON, waits for an empty line, then says 535. Both are handled.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from shared.core.smtp import printable

# Characters of a decoded challenge that are kept: Google's JSON takes about 150.
MAX_CHALLENGE_CHARACTERS: Final = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# RFC 6750 §2.1 (b64token), a little wider: visible ASCII. A JWT never holds more.
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs in, and the access token that proves it; printing one shows no token."""

    user: str
    access_token: str = field(repr=False)


def initial_response(user: str, access_token: str) -> str:
    """
    Build the base64 that follows AUTH XOAUTH2.

    Raises `ValueError`, without either value in it, for a user or token that could forge another field.
    """
    if not user or _CONTROL.search(user):
        raise ValueError("the XOAUTH2 user is empty or holds control characters")
    if not _TOKEN.fullmatch(access_token):
        raise ValueError("the access token is empty or holds characters that no access token has")
    return _encoded(user, access_token)


def _encoded(user: str, access_token: str) -> str:
    return base64.b64encode(f"user={user}\x01auth=Bearer {access_token}\x01\x01".encode()).decode("ascii")


def respond_to_challenge(challenge: str) -> str:
    """Answer with the empty line, whatever was said: a 334 at this point only ever announces a refusal."""
    del challenge
    return ""


def decode_challenge(text: str) -> str:
    """Read what a 334 said, as text; "" where it is not base64."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return printable(raw)[:MAX_CHALLENGE_CHARACTERS]


_TOKEN_LIKE = re.compile(r"[A-Za-z0-9+/=_.~-]{16,}")


def without_secret(text: str, credentials: Credentials) -> str:
    """
    Replace every piece of the access token in a text, plain or as sent, by "[token]".

    Servers quote the command they do not understand; their replies are kept for years.
    """
    secrets = (credentials.access_token, _encoded(credentials.user, credentials.access_token))

    def hide(found: re.Match[str]) -> str:
        run = found[0].strip(".")  # a server that cuts the line short may say so with dots
        return "[token]" if any(run in secret or secret in run for secret in secrets) else found[0]

    return _TOKEN_LIKE.sub(hide, text)
