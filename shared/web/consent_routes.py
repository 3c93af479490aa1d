"""
The two routes of consent: from a request to a workflow and back to a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.web import consent_pages
from shared.web.requests import consent_cookie, cookies
from shared.web.responses import Response, redirect
from shared.workflows import consent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.workflows.consent import ConsentTools


class Site(Protocol):
    """This app as its visitors see it."""

    @property
    def uses_https(self) -> bool:
        """Whether cookies may insist on TLS."""
        ...

    def consent_url(self, sender: str) -> str:
        """Where a person signs in for a sender."""
        ...


def start(tools: ConsentTools, site: Site, sender: str) -> Response:
    """Answer ``GET /oauth/start/{sender}``: off to the provider, with a cookie."""
    begun = consent.start(tools, sender)
    if isinstance(begun, consent.Ended):
        return consent_pages.ended(begun, consent_url=site.consent_url)
    seconds = int(consent.PENDING_FOR.total_seconds())
    cookie = consent_cookie(begun.cookie_name, begun.cookie_value, seconds=seconds, secure=site.uses_https)
    return redirect(begun.url, cookie=cookie)


def finish(tools: ConsentTools, site: Site, answer: Mapping[str, str], cookie_header: str) -> Response:
    """Answer ``GET /oauth/redirect``: the page that says what came of it."""
    ended = consent.finish(tools, answer, cookies(cookie_header))
    return consent_pages.ended(ended, consent_url=site.consent_url)
