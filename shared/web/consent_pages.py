"""
The pages of consent: who is connected, or what happened instead and what to do about it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.web.responses import Response, page
from shared.workflows.consent import Ended, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FOLDER = Path(__file__).parent / "pages"


@dataclass(frozen=True, slots=True)
class _Words:
    """
    What a page says: a status, a headline, and two sentences.

    The sentences may hold ``{sender}``, ``{expected}``, ``{account}``, ``{code}`` and ``{consent_url}``.
    """

    status: int
    headline: str
    what_happened: str
    what_to_do: str


_AGAIN = "Open the consent link again: {consent_url}"

_WORDS: Mapping[Outcome, _Words] = {
    Outcome.CONNECTED: _Words(
        200,
        "Connected",
        "Mail of the sender {sender} is now sent with this account.",
        "You can close this page.",
    ),
    Outcome.ALREADY_CONNECTED: _Words(
        200,
        "Already connected",
        "This sign-in was completed before. Mail of the sender {sender} is sent with this account.",
        "You can close this page.",
    ),
    Outcome.NOT_BEGUN: _Words(
        400,
        "No sign-in is under way here",
        "This page is where a sign-in ends, and this browser has not begun one. Nothing was changed.",
        "If you want to connect a sender, open its consent link in this browser and sign in from there.",
    ),
    Outcome.EXPIRED: _Words(
        400,
        "That took too long",
        "The sign-in for {sender} was begun more than 15 minutes ago. Nothing was changed.",
        _AGAIN,
    ),
    Outcome.USED: _Words(
        409, "This sign-in was used before", "A sign-in works once. Nothing was changed this time.", _AGAIN
    ),
    Outcome.DECLINED: _Words(
        403,
        "Not connected",
        "The sign-in for {sender} was declined ({code}). Nothing was changed.",
        "If you did not mean to, open the consent link again: {consent_url} — "
        "if your organization asks for an administrator's approval, have an administrator open it.",
    ),
    Outcome.WRONG_ACCOUNT: _Words(
        403,
        "That was another account",
        "You signed in as {account}, but the sender {sender} sends with {expected}. Nothing was changed.",
        "Open the consent link again and choose {expected}: {consent_url}",
    ),
    Outcome.MISSING_SCOPE: _Words(
        403,
        "A permission is missing",
        "The sign-in did not grant {code}, without which no mail can be sent. Nothing was changed.",
        "Add that permission to the app registration, then open the consent link again: {consent_url}",
    ),
    Outcome.CREDENTIAL_BROKEN: _Words(
        502,
        "The app registration needs attention",
        "Microsoft refused this application, not you ({code}). Nothing was changed.",
        "An administrator must check the client id and the client secret of this service. "
        "Then: {consent_url}",
    ),
    Outcome.REFUSED: _Words(
        502, "Not connected", "The sign-in for {sender} was refused ({code}). Nothing was changed.", _AGAIN
    ),
    Outcome.UNAVAILABLE: _Words(
        503,
        "Not just now",
        "A service that this needs did not answer. Nothing was changed.",
        "Wait a minute, then open the consent link again: {consent_url}",
    ),
    Outcome.UNKNOWN_SENDER: _Words(
        404,
        "There is no such sender",
        "This deployment has no sender called {sender}.",
        "The names are in mail.toml, under [senders].",
    ),
}


def ended(end: Ended, *, consent_url: Callable[[str], str]) -> Response:
    """Return the page of what came of a visit."""
    words = _WORDS[end.outcome]
    filled = {
        "sender": end.sender[:80],
        "expected": end.expected,
        "account": end.account.username if end.account else "",
        "code": end.code or "without a code",
        "consent_url": consent_url(end.sender) if end.expected else "",
    }
    picture = ""
    if end.picture:
        content = base64.b64encode(end.picture.content).decode()
        picture = f"data:{end.picture.content_type};base64,{content}"
    connected = end.outcome in (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
    html = (
        _templates()
        .get_template("consent.html")
        .render(
            style=_style(),
            headline=words.headline,
            what_happened=words.what_happened.format(**filled),
            what_to_do=words.what_to_do.format(**filled),
            good=connected,
            account=end.account if connected else None,
            initials=_initials(end),
            picture=picture,
        )
    )
    return page(html, status=words.status, style=_style())


def _initials(end: Ended) -> str:
    """Return the letters that stand where there is no picture."""
    if not end.account:
        return ""
    words = (end.account.display_name or end.account.username).split()
    return "".join(word[0] for word in words[:2]).upper()


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)


@cache
def _style() -> str:
    return (_FOLDER / "style.css").read_text("utf-8")
