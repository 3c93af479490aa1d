"""
An HTML body made ready for its frame.

What keeps it harmless is not done here but by the frame (`sandbox`) and by the policy in `HTML_POLICY`: no
script runs, no form is sent, nothing is loaded but this message's own images. Here its `cid:` references are
pointed at those images, and its links are told to open outside of the frame.
"""

import html
import re
from collections.abc import Mapping
from urllib.parse import unquote

SANDBOX = "allow-popups allow-popups-to-escape-sandbox"  # so that a link can be followed, in a tab of its own

HTML_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:; "
    f"base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox {SANDBOX}"
)

_CID = re.compile(
    r"""(?P<before>\b(?:src|background)\s*=\s*["']?\s*|url\(\s*["']?\s*)cid:(?P<id>[^"'\s)>]+)""",
    re.IGNORECASE,
)
_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_IN_A_TAB = '<base target="_blank">'


def for_frame(body: str, images: Mapping[str, str]) -> str:
    """Return the body with `cid:` references replaced; `images` maps a Content-ID to a URL."""

    def point(found: re.Match[str]) -> str:
        url = images.get(unquote(html.unescape(found["id"])))
        return found[0] if url is None else found["before"] + html.escape(url)

    pointed = _CID.sub(point, body)
    start = _HEAD.search(pointed) or _DOCTYPE.match(pointed)
    at = start.end() if start is not None else 0
    return pointed[:at] + _IN_A_TAB + pointed[at:]
