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

from shared.core.consent import Ended, Outcome
from shared.web.responses import Response, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FOLDER = Path(__file__).parent / "pages"


@dataclass(frozen=True, slots=True)
class _Words:
    """
    What a page says: a status, a headline, and two sentences.

    The sentences may hold ``{sender}``, ``{expected}``, ``{account}``, ``{code}`` and ``{message_id}``.
    """

    status: int
    headline: str
    what_happened: str
    what_to_do: str


_AGAIN = "Open the consent link that you were given once more."

_WORDS: Mapping[Outcome, _Words] = {
    Outcome.CONNECTED: _Words(
        200,
        "Connected",
        "Mail of the sender {sender} is now sent with this account.",
        "You can close this page now, or see first whether it works.",
    ),
    Outcome.ALREADY_CONNECTED: _Words(
        200,
        "Already connected",
        "This sign-in was completed before. Mail of the sender {sender} is sent with this account.",
        "You can close this page now, or see first whether it works.",
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
        "If you did not mean to, open the consent link that you were given once more.",
    ),
    Outcome.ADMIN_NEEDED: _Words(
        403,
        "An administrator must agree first",
        "Your organization lets only an administrator allow this application ({code}). Nothing was changed.",
        "Give an administrator the link below. Once they have agreed, open the consent link that you were "
        "given once more.",
    ),
    Outcome.ADMIN_AGREED: _Words(
        200,
        "Thank you",
        "Microsoft says that an administrator has agreed for the organization.",
        "Now the sending account signs in: open the consent link of the sender.",
    ),
    Outcome.ADMIN_DECLINED: _Words(
        403,
        "Not agreed",
        "Microsoft says that no administrator has agreed for the organization. Nothing was changed.",
        "Without that, nobody can connect a sender. The link that leads here can be opened again.",
    ),
    Outcome.NOT_NEEDED: _Words(
        200,
        "Nobody needs to sign in",
        "The sender {sender} sends as the application itself. Its permission is given in Exchange, not here.",
        "If the application has no permission for SMTP yet, an administrator agrees by the link below.",
    ),
    Outcome.OTHER_ACCOUNT: _Words(
        409,
        "That is another account of that name",
        "{account} signed in, but it is not the account that {sender} was connected with: it was made anew, "
        "or belongs to another tenant. Nothing was changed.",
        "If that is right, take the old grant away first, DELETE …/api/senders/{sender}/grant, then open the "
        "consent link that you were given once more",
    ),
    Outcome.UNSUITABLE: _Words(
        403,
        "The token is of no use for mail",
        "The sign-in went well, but the token that came with it cannot send ({code}). Nothing was changed.",
        _AGAIN,
    ),
    Outcome.TEST_SENT: _Words(
        200,
        "The test mail is on its way",
        "It goes to {code}, through the sender {sender}, in a moment.",
        "Its id is {message_id}; an operator can see by it what became of it.",
    ),
    Outcome.TEST_WAITS: _Words(
        200,
        "The test mail waits",
        "It was taken in, but the sender {sender} is held. It goes to {code} when that is over.",
        "Its id is {message_id}; an operator can see by it what became of it.",
    ),
    Outcome.TEST_REFUSED: _Words(
        400, "That is no address", "No test mail was sent: {code}.", "Write one address, and try again."
    ),
    Outcome.DISCONNECTED: _Words(
        200,
        "Disconnected",
        "The grant of {sender} is removed from the vault. Its mail waits until somebody signs in again.",
        "To connect it again, open the consent link that you were given.",
    ),
    Outcome.WRONG_ACCOUNT: _Words(
        403,
        "That was another account",
        "You signed in as {account}, but the sender {sender} sends with {expected}. Nothing was changed.",
        "Open the consent link that you were given once more, and choose {expected}.",
    ),
    Outcome.MISSING_SCOPE: _Words(
        403,
        "A permission is missing",
        "The sign-in did not grant {code}, without which no mail can be sent. Nothing was changed.",
        "Add that permission to the app registration, then open the consent link that you were given "
        "once more.",
    ),
    Outcome.CREDENTIAL_BROKEN: _Words(
        502,
        "The app registration needs attention",
        "The provider refused this application, not you ({code}). Nothing was changed.",
        "When an administrator has mended that, open the consent link that you were given once more.",
    ),
    Outcome.REFUSED: _Words(
        502, "Not connected", "The sign-in for {sender} was refused ({code}). Nothing was changed.", _AGAIN
    ),
    Outcome.UNAVAILABLE: _Words(
        503,
        "Not just now",
        "A service that this needs did not answer. Nothing was changed.",
        "Wait a minute, then open the consent link that you were given once more.",
    ),
    Outcome.UNKNOWN_SENDER: _Words(
        404,
        "There is no such sender",
        "This deployment has no sender called {sender}.",
        "The names are in mail.toml, under [senders].",
    ),
}


_CONNECTED = frozenset({Outcome.CONNECTED, Outcome.ALREADY_CONNECTED})
# Where there is nothing to begin again.
_NO_LINK = _CONNECTED | {
    Outcome.NOT_NEEDED,
    Outcome.TEST_SENT,
    Outcome.TEST_WAITS,
    Outcome.TEST_REFUSED,
}
_GOOD = _CONNECTED | {Outcome.TEST_SENT, Outcome.ADMIN_AGREED, Outcome.DISCONNECTED, Outcome.NOT_NEEDED}


def ended(end: Ended, *, consent_url: Callable[[str], str], connected_url: str) -> Response:
    """Return the page of what came of a visit."""
    words = _WORDS[end.outcome]
    filled = {
        "sender": end.sender[:80],
        "expected": end.expected,
        "account": end.account.username if end.account else "",
        "code": end.code or "without a code",
        "message_id": end.message_id,
    }
    picture = ""
    if end.picture:
        content = base64.b64encode(end.picture.content).decode()
        picture = f"data:{end.picture.content_type};base64,{content}"
    html = (
        _templates()
        .get_template("consent.html")
        .render(
            style=_style(),
            headline=words.headline,
            what_happened=words.what_happened.format(**filled),
            remedy=end.remedy,
            what_to_do=words.what_to_do.format(**filled),
            good=end.outcome in _GOOD,
            account=end.account if end.outcome in _CONNECTED else None,
            initials=_initials(end),
            picture=picture,
            admin_url=end.admin_url,
            consent_url=consent_url(end.sender) if end.expected and end.outcome not in _NO_LINK else "",
            action=connected_url,
            state=end.state,
            test_to=end.test_to,
        )
    )
    return page(html, status=words.status, style=_style(), forms=bool(end.state))


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
