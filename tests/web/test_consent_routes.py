from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.core.address import parse_address
from shared.core.oauth import Picture
from shared.core.sender import Sender, SmtpServer
from shared.web import consent_routes
from shared.workflows.consent import ConsentTools
from tests.twins import Clock, MemoryConsents, MemoryGrants, ScriptedProvider
from tests.workflows.conftest import Bench

if TYPE_CHECKING:
    from shared.web.responses import Response

MAILBOX = "noreply@contoso.com"
NOREPLY = Sender("noreply", "microsoft", MAILBOX, parse_address(MAILBOX), SmtpServer("smtp.office365.com"))


@dataclass(frozen=True)
class Site:
    uses_https: bool = True

    def consent_url(self, sender: str) -> str:
        return f"https://mail.contoso.com/api/oauth/start/{sender}"


class Desk:
    def __init__(self) -> None:
        self.provider = ScriptedProvider()
        self.grants = MemoryGrants()
        self.site = Site()
        self.tools = ConsentTools(
            provider=lambda _: self.provider,
            pending=MemoryConsents(),
            grants=self.grants,
            holds=Bench().holds,
            senders={"noreply": NOREPLY},
            redirect_uri="https://mail.contoso.com/api/oauth/redirect",
            clock=Clock(),
        )

    def start(self, sender: str = "noreply") -> Response:
        return consent_routes.start(self.tools, self.site, sender)

    def finish(self, answer: dict[str, str], cookie_header: str = "") -> Response:
        return consent_routes.finish(self.tools, self.site, answer, cookie_header)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def cookie_of(response: Response) -> str:
    return response.headers["Set-Cookie"].partition(";")[0]


def state_of(response: Response) -> str:
    (state,) = parse_qs(urlsplit(response.headers["Location"]).query)["state"]
    return state


def test_the_start_sends_the_browser_off_with_a_cookie_and_nothing_to_keep(desk: Desk) -> None:
    response = desk.start()
    assert response.status == 302
    assert response.headers["Location"].startswith("https://login.example/authorize?")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    (morsel,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert (morsel["max-age"], morsel["httponly"], morsel["secure"]) == ("900", True, True)
    assert response.body == b""


def test_on_plain_http_the_cookie_can_come_back(desk: Desk) -> None:
    desk.site = Site(uses_https=False)
    assert "Secure" not in desk.start().headers["Set-Cookie"]


def test_the_response_prints_neither_the_cookie_nor_the_state(desk: Desk) -> None:
    response = desk.start()
    assert cookie_of(response) not in repr(response)
    assert state_of(response) not in repr(response)


def test_whoever_comes_back_with_the_cookie_is_connected(desk: Desk) -> None:
    desk.provider.pictures[MAILBOX] = Picture("image/png", b"x")
    begun = desk.start()
    junk = 'other=1; {"a": 1}; =;'
    response = desk.finish({"state": state_of(begun), "code": "canary-code"}, f"{junk} {cookie_of(begun)}")
    assert response.status == 200
    assert b"<h1>Connected</h1>" in response.body
    assert b"Contoso Somebody" in response.body
    assert b"data:image/png" in response.body
    assert "Set-Cookie" not in response.headers


def test_a_second_tab_does_not_take_the_first_ones_cookie_away(desk: Desk) -> None:
    first, second = desk.start(), desk.start()
    both = f"{cookie_of(first)}; {cookie_of(second)}"
    assert cookie_of(first).partition("=")[0] != cookie_of(second).partition("=")[0]
    for begun in (first, second):
        assert desk.finish({"state": state_of(begun), "code": "canary-code"}, both).status == 200


@pytest.mark.parametrize(
    "header", ["", "x=y", "\0", "sendoff-consent-0000000000000000=made-up", ";" * 20_000]
)
def test_a_strangers_visit_is_answered_and_changes_nothing(desk: Desk, header: str) -> None:
    begun = desk.start()
    for answer in ({}, {"code": "x"}, {"state": "x", "code": "x"}, {"state": state_of(begun), "code": "x"}):
        response = desk.finish(answer, header)
        assert response.status == 400
        assert b"No sign-in is under way here" in response.body
    assert desk.grants.grants == {}
    assert desk.provider.completed == []


def test_an_unknown_sender_gets_a_page_and_no_cookie(desk: Desk) -> None:
    response = desk.start('"><script>alert(1)</script>')
    assert response.status == 404
    assert b"<script" not in response.body
    assert "Set-Cookie" not in response.headers
    assert "Location" not in response.headers


def test_nothing_that_came_in_the_address_stands_in_the_page(desk: Desk) -> None:
    begun = desk.start()
    answer = {
        "state": state_of(begun),
        "error": "access_denied",
        "error_description": "AADSTS65004: <b>canary</b>",
        "error_uri": "https://evil.example",
    }
    response = desk.finish(answer, cookie_of(begun))
    assert response.status == 403
    assert b"AADSTS65004" in response.body
    for outside in (b"canary", b"evil.example", state_of(begun).encode()):
        assert outside not in response.body
