"""
What a browser sent: cookies and forms, read without trusting any of it.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

_LONGEST_COOKIE_HEADER = 16_384  # octets; browsers send less, and what is longer is not ours

_LARGEST_FORM = 16_384  # octets; ours have a state and an address
_MOST_FIELDS = 16


def cookies(header: str) -> dict[str, str]:
    """Return the cookies of a ``Cookie`` header; none where it cannot be read."""
    if len(header) > _LONGEST_COOKIE_HEADER:
        return {}
    # One at a time: a single odd cookie of somebody else's must not hide ours.
    found: dict[str, str] = {}
    for part in header.split(";"):
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(part.strip())
        except CookieError:
            continue
        found |= {name: morsel.value for name, morsel in jar.items()}
    return found


def form(body: bytes) -> dict[str, str]:
    """Return the fields of a form (``application/x-www-form-urlencoded``); none where it cannot be read."""
    if len(body) > _LARGEST_FORM:
        return {}
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=_MOST_FIELDS, errors="replace"))
    except (UnicodeDecodeError, ValueError):
        return {}


def consent_cookie(name: str, value: str, *, seconds: int, secure: bool) -> str:
    """
    Return the ``Set-Cookie`` value of one sign-in.

    Lax, not Strict: the browser comes back from the provider's site and must bring it along.
    """
    cookie = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return f"{cookie}; Secure" if secure else cookie
