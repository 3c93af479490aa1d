"""
Microsoft Graph: the picture of the account that consented.

It is for the page that says who is connected; nothing else depends on it.
"""

from __future__ import annotations

import requests

from shared.core.grant import Picture

_TIMEOUT_SECONDS = 5
_LARGEST_PICTURE_BYTES = 200_000  # a 96 × 96 picture has a few kilobytes
_PIECE_BYTES = 16_384
_PICTURES = ("image/png", "image/jpeg", "image/gif")


def picture(base_url: str, access_token: str) -> Picture | None:
    """Return the account's picture (96 × 96 px), or None where it has none or Graph does not say."""
    try:
        with requests.get(
            f"{base_url}/v1.0/me/photos/96x96/$value",
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=_TIMEOUT_SECONDS,
            stream=True,
        ) as answer:
            content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if not answer.ok or content_type not in _PICTURES:
                return None
            content = b""
            for piece in answer.iter_content(_PIECE_BYTES):
                content += piece
                if len(content) > _LARGEST_PICTURE_BYTES:
                    return None
    except requests.RequestException:
        return None
    return Picture(content_type, content)
