from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from shared.core.grant import Picture
from shared.errors import StorageError
from shared.web import consent_routes
from tests.workflows import consent_desk as workflows

if TYPE_CHECKING:
    from shared.web.responses import Response

MAILBOX = "noreply@contoso.com"


@dataclass(frozen=True)
class Site:
    uses_https: bool = True
    connected_url: str = "https://mail.contoso.com/api/oauth/connected"

    def consent_url(self, sender: str) -> str:
        return f"https://mail.contoso.com/api/oauth/start/{sender}"


class Desk(workflows.Desk):
    """The same desk, over the routes."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site()

    def start(self, sender: str = "noreply") -> Response:
        return consent_routes.start(self.tools, self.site, sender)

    def finish(self, answer: dict[str, str], cookie_header: str = "") -> Response:
        return consent_routes.finish(self.tools, self.site, answer, cookie_header)

    def act(self, body: bytes | dict[str, str], cookie_header: str = "") -> Response:
        octets = body if isinstance(body, bytes) else urlencode(body).encode()
        return consent_routes.act(self.buttons, self.site, octets, cookie_header)

    def connect(self) -> tuple[str, str]:
        """Return state and cookie of a browser in which a sign-in was completed."""
        begun = self.start()
        self.finish({"state": state_of(begun), "code": "canary-code"}, cookie_of(begun))
        return state_of(begun), cookie_of(begun)


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


# The buttons.


def test_the_buttons_of_the_page_do_what_they_say(desk: Desk) -> None:
    state, cookie = desk.connect()
    sent = desk.act({"state": state, "do": "test", "to": "ada@example.net"}, cookie)
    assert sent.status == 200
    assert b"It goes to ada@example.net" in sent.body
    assert len(desk.bench.ledger.ids()) == 1
    gone = desk.act({"state": state, "do": "disconnect"}, cookie)
    assert (gone.status, b"<h1>Disconnected</h1>" in gone.body) == (200, True)
    assert desk.grants.grants == {}


NO_FORMS = [
    b"",
    b"\xff\xfe",
    b'{"do": "disconnect"}',
    b"x" * 1_000_000,
    b"&" * 10_000,
    b"=" * 10_000,
    b"state=%ED%A0%80&do=disconnect",
    b"state=%FF&do=disconnect",
    b"--x\r\nContent-Disposition: form-data; name=do\r\n\r\ndisconnect\r\n--x--",
    b"do=disconnect",
]


@pytest.mark.parametrize("body", NO_FORMS, ids=lambda body: repr(body[:24]))
def test_a_body_that_is_no_form_of_ours_changes_nothing(desk: Desk, body: bytes) -> None:
    _, cookie = desk.connect()
    before = desk.all_there_is()
    answer = desk.act(body, cookie)
    assert (answer.status, b"No sign-in is under way here" in answer.body) == (400, True)
    assert desk.all_there_is() == before


@pytest.mark.parametrize("padding", ["&x=" * 16, "&x=" + "y" * 20_000], ids=["fields", "octets"])
def test_a_form_that_is_too_large_is_none(desk: Desk, padding: str) -> None:
    state, cookie = desk.connect()
    before = desk.all_there_is()
    assert desk.act(f"state={state}&do=disconnect{padding}".encode(), cookie).status == 400
    assert desk.all_there_is() == before


def test_a_cookie_tossed_before_or_after_the_right_one_takes_nothing_from_somebody_else(desk: Desk) -> None:
    state, cookie = desk.connect()
    name = cookie.partition("=")[0]
    before = desk.all_there_is()
    assert desk.act({"state": state, "do": "disconnect"}, f"{cookie}; {name}=tossed").status == 400
    assert desk.all_there_is() == before
    assert desk.act({"state": state, "do": "disconnect"}, f"{name}=tossed; {cookie}").status == 200


def test_what_was_typed_is_shown_as_text(desk: Desk) -> None:
    state, cookie = desk.connect()
    answer = desk.act({"state": state, "do": "test", "to": '"><script>alert(1)</script>'}, cookie)
    assert answer.status == 400
    assert b"<script" not in answer.body
    assert b"That is no address" in answer.body


def test_neither_the_cookie_nor_a_secret_is_on_any_page(desk: Desk) -> None:
    state, cookie = desk.connect()
    pages = [
        desk.finish({"state": state, "code": "canary-code"}, cookie),
        desk.act({"state": state, "do": "test"}, cookie),
        desk.act({"state": state, "do": "disconnect"}, cookie),
    ]
    for page in pages:
        assert "Set-Cookie" not in page.headers
        said = f"{page.body.decode()}{dict(page.headers)}{page!r}"
        for secret in (cookie.partition("=")[2], "canary"):
            assert secret not in said


@pytest.mark.parametrize("do", ["unknown", "", "DISCONNECT"])
def test_a_button_that_there_is_not_does_nothing(desk: Desk, do: str) -> None:
    state, cookie = desk.connect()
    before = desk.all_there_is()
    assert desk.act({"state": state, "do": do, "to": "ada@example.net"}, cookie).status == 400
    assert desk.all_there_is() == before


def _away(_: str) -> None:
    raise StorageError("the table does not answer")


def test_storage_that_is_away_gets_a_calm_page(desk: Desk) -> None:
    state, cookie = desk.connect()
    begun = desk.start()
    desk.pending.before = desk.bench.ledger.before = _away
    assert desk.start().status == 503
    assert desk.finish({"state": state_of(begun), "code": "canary-code"}, cookie_of(begun)).status == 503
    assert desk.act({"state": state, "do": "test", "to": "ada@example.net"}, cookie).status == 503


def test_storage_that_goes_away_after_connecting_still_says_connected(desk: Desk) -> None:
    begun, written = desk.start(), []

    def second(_: str) -> None:
        written.append(1)
        if len(written) > 1:
            _away("")

    desk.pending.before = second
    answer = desk.finish({"state": state_of(begun), "code": "canary-code"}, cookie_of(begun))
    assert (answer.status, b"<h1>Connected" in answer.body) == (200, True)
