"""
What goes back over HTTP, and the headers that keep it safe.

Nothing may be stored or framed, no script runs, and no address leaks: the URLs here carry a function key or a
state.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.errors import MessageError

_SAFE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers and a body."""

    status: int
    content_type: str = "text/plain"
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def page(html: str, *, status: int, style: str, forms: bool = False) -> Response:
    """Return a page whose one stylesheet is ``style``, written into it; ``forms`` go to this app alone."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    forms_to = "'self'" if forms else "'none'"
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        f"base-uri 'none'; form-action {forms_to}; frame-ancestors 'none'"
    )
    headers = {**_SAFE, "Content-Security-Policy": policy, "X-Frame-Options": "DENY"}
    return Response(status, "text/html; charset=utf-8", html.encode(), headers)


def redirect(url: str, *, cookie: str) -> Response:
    """Return a redirect that takes a cookie along."""
    return Response(302, headers={**_SAFE, "Location": url, "Set-Cookie": cookie})


def answer(value: Mapping[str, object], *, status: int = 200, location: str = "") -> Response:
    """Return JSON for the one who asked, and where what was made can be asked for."""
    body = json.dumps(value, indent=2, ensure_ascii=False).encode()
    headers = {**_SAFE, "Location": location} if location else dict(_SAFE)
    return Response(status, "application/json; charset=utf-8", body, headers)


def refused(error: MessageError) -> Response:
    """Return what is wrong with what was asked, all of it."""
    problems = list(error.problems)
    return problem(400, "not as it should be", "; ".join(problems), problems=problems)


def problem(status: int, title: str, detail: str, **more: object) -> Response:
    """Return problem details (RFC 9457): what is wrong and what to do about it."""
    value = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    body = json.dumps(value, indent=2, ensure_ascii=False).encode()
    return Response(status, "application/problem+json", body, dict(_SAFE))


def public_json(value: Mapping[str, object], *, content_type: str) -> Response:
    """Return JSON that is the same for everybody and may be kept for an hour."""
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(200, content_type, json.dumps(value, indent=2).encode(), headers)
