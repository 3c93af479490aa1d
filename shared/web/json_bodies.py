"""
JSON that came over HTTP, and the questions in a URL: read strictly, with everything that is wrong at once.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from shared.core.timetable import moment
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MOST_IN_A_PAGE = 100


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, {} for an empty one; raises ``MessageError``."""
    if not body.strip():
        return {}
    try:
        value: Any = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise MessageError(("body: it is not JSON in UTF-8",)) from None
    if not isinstance(value, dict):
        raise MessageError(("body: it is not a JSON object",))
    return value


def check_fields(value: Mapping[str, Any], *, known: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
    """Raise ``MessageError`` for what is not among the known fields, and for what is missing."""
    problems = [f"{name[:100]!r}: is not a field here" for name in value if name not in known]
    problems += [f"{name}: is required" for name in required if value.get(name) is None]
    if problems:
        raise MessageError(tuple(problems))


def read_moment(value: object, name: str) -> datetime:
    """Return a moment that a field or a question holds; raises ``MessageError``."""
    if not isinstance(value, str):
        raise MessageError((f"{name}: is not a string; write a time such as 2026-12-24T09:00:00+01:00",))
    try:
        # In a URL a plus sign stands for a space, and many a client leaves it as it is.
        return moment(value.replace(" ", "+", 1) if value.count(" ") == 1 and "T" in value else value)
    except ValueError as error:
        raise MessageError((f"{name}: {error}",)) from None


def read_limit(questions: Mapping[str, str]) -> int:
    """Return how many are asked for in a page; raises ``MessageError``."""
    text = questions.get("limit", str(MOST_IN_A_PAGE))
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_IN_A_PAGE))
    if not (digits and 1 <= int(text) <= MOST_IN_A_PAGE):
        raise MessageError((f"limit: write a number from 1 to {MOST_IN_A_PAGE}",))
    return int(text)


def read_token(questions: Mapping[str, str]) -> str:
    """Return storage's own token in a continuation; raises ``MessageError`` for what is none of ours."""
    text = questions.get("continuation", "")
    wrong = MessageError(("continuation: give the one that the page before it came with",))
    try:
        token = base64.urlsafe_b64decode(text.encode()).decode()
        value: Any = json.loads(token) if token else {}
    except (binascii.Error, ValueError, RecursionError):
        raise wrong from None
    if not isinstance(value, dict):
        raise wrong
    return token


def continuation(token: str) -> str | None:
    """Return a token of storage as it stands in a URL, None at the end."""
    return base64.urlsafe_b64encode(token.encode()).decode() if token else None
