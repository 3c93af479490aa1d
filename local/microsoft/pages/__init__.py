"""
The identity provider's pages: the templates of this folder, rendered with what keeps them safe.

Everything is escaped. The pages load nothing; style and pictures are inside.
"""

import base64
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from local.microsoft.entra_error import EntraError

#: How long a half-finished walk through the pages is remembered.
SIGN_IN_LIFETIME = timedelta(minutes=15)

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def error_page(error: EntraError) -> web.Response:
    """Return the page for what cannot be said to the app."""
    lines = [
        f"Request Id: {error.trace_id}",
        f"Correlation Id: {error.correlation_id}",
        f"Timestamp: {error.timestamp}",
    ]
    title = "Sorry, we cannot sign you in"
    return page("message.html", status=400, title=title, code=error.sentence, lines=lines)


def gone_page() -> web.Response:
    """Return the page for a form whose sign-in is not known any more."""
    return page(
        "message.html",
        status=400,
        title="This sign-in has ended",
        code="It was finished already, or it waited for more than 15 minutes.",
        lines=["Go back to the app and start again."],
    )


def page(name: str, *, status: int = 200, script: bool = False, **values: Any) -> web.Response:
    """Return a page that no cache keeps and no frame shows; `script` lets it run its own."""
    nonce = secrets.token_urlsafe(12)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
    if script:
        policy += f"; script-src 'nonce-{nonce}'"
    return web.Response(
        status=status,
        text=_pages.get_template(name).render(values, script_nonce=nonce),
        content_type="text/html",
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Content-Type-Options": "nosniff",
        },
    )


def data_uri(photo: bytes | None) -> str:
    """Return a photo to put inside a page, or an empty string."""
    if photo is None:
        return ""
    kind = "png" if photo.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(photo).decode()}"
