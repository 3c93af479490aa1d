"""
The routes of consent: from a request to a workflow and back to a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.core.consent import PENDING_FOR, Ended, Outcome
from shared.errors import StorageError
from shared.web import consent_pages
from shared.web.requests import consent_cookie, cookies, form
from shared.web.responses import Response, redirect
from shared.workflows import connected, consent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.workflows.connected import ConnectedTools
    from shared.workflows.consent import ConsentTools


class Site(Protocol):
    """This app as its visitors see it."""

    @property
    def uses_https(self) -> bool:
        """Whether cookies may insist on TLS."""
        ...

    @property
    def connected_url(self) -> str:
        """Where the buttons of the page *Connected* lead."""
        ...

    def consent_url(self, sender: str) -> str:
        """Where a person signs in for a sender."""
        ...


# Storage does not answer; whoever asks again when it does has lost nothing.
_AWAY = Ended(Outcome.UNAVAILABLE)
_BUTTONS = {"test": connected.send_test, "disconnect": connected.disconnect}


def start(tools: ConsentTools, site: Site, sender: str) -> Response:
    """Answer ``GET /oauth/start/{sender}``: off to the provider, with a cookie."""
    try:
        begun = consent.start(tools, sender)
    except StorageError:
        return _page(_AWAY, site)
    if isinstance(begun, Ended):
        return _page(begun, site)
    seconds = int(PENDING_FOR.total_seconds())
    cookie = consent_cookie(begun.cookie_name, begun.cookie_value, seconds=seconds, secure=site.uses_https)
    return redirect(begun.url, cookie=cookie)


def finish(tools: ConsentTools, site: Site, answer: Mapping[str, str], cookie_header: str) -> Response:
    """Answer ``GET /oauth/redirect``: the page that says what came of it."""
    try:
        return _page(consent.finish(tools, answer, cookies(cookie_header)), site)
    except StorageError:
        return _page(_AWAY, site)


def act(tools: ConnectedTools, site: Site, body: bytes, cookie_header: str) -> Response:
    """Answer ``POST /oauth/connected``: the buttons of the page *Connected*, for the browser that has it."""
    asked, sent = form(body), cookies(cookie_header)
    do = _BUTTONS.get(asked.get("do", ""))
    try:
        return _page(do(tools, asked, sent) if do else Ended(Outcome.NOT_BEGUN), site)
    except StorageError:
        return _page(_AWAY, site)


def _page(ended: Ended, site: Site) -> Response:
    return consent_pages.ended(ended, consent_url=site.consent_url, connected_url=site.connected_url)
