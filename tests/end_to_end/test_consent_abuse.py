"""Every way to abuse the redirect and the buttons, over HTTP: nothing changes, and the page is calm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.end_to_end.test_consent import REDIRECT, begin, come_back, headline
from tests.local.microsoft.walker import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from tests.end_to_end.desk import Desk

CONNECTED = "/api/oauth/connected"
STRANGE = "No sign-in is under way here"
# It stands in whatever a stranger writes, and nowhere else.
WRITTEN = "written-by-a-stranger"
MARKUP = f"<script>{WRITTEN}</script>\r\nSet-Cookie: {WRITTEN}=1"


def calm(answer: requests.Response, status: int, title: str) -> None:
    """Hold a page to what every page must be."""
    assert (answer.status_code, headline(answer)) == (status, title)
    assert answer.headers["Content-Type"].startswith("text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in answer.headers
    assert WRITTEN not in f"{answer.text}{answer.headers}"
    assert "<script" not in answer.text


@pytest.fixture
def before(desk: Desk) -> Iterator[dict[str, Any]]:
    """How everything stands; it must stand so afterwards, and no word of a stranger's be in the log."""
    standing = desk.standing()
    yield standing
    assert desk.standing() == standing
    assert WRITTEN not in desk.log()


def state_of(begun: requests.Response) -> str:
    (state,) = parse_qs(urlsplit(begun.headers["Location"]).query)["state"]
    return state


def sign_in(desk: Desk, browser: requests.Session, sender: str = "noreply") -> str:
    """Complete a sign-in and return its state."""
    begun = begin(desk, browser, sender)
    page = come_back(desk, browser, walk(browser, begun.headers["Location"]))
    assert headline(page) == "Connected"
    return state_of(begun)


def press(desk: Desk, browser: requests.Session, body: dict[str, str] | bytes) -> requests.Response:
    octets = body if isinstance(body, bytes) else urlencode(body).encode()
    return browser.post(
        f"{desk.facts['functions']}{CONNECTED}",
        data=octets,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=30,
    )


# The redirect, for whoever has not begun.

QUERIES = [
    "",
    f"?code={WRITTEN}",
    f"?state={WRITTEN}",
    f"?state={WRITTEN}&code={WRITTEN}",
    "?state=&code=",
    "?error=access_denied",
    f"?error=access_denied&state={WRITTEN}&error_description={quote(MARKUP)}",
    f"?error={quote(MARKUP)}&error_uri={quote(MARKUP)}",
    f"?state={WRITTEN * 190}",
    f"?state=%00%ff%fe%ed%a0%80{WRITTEN}&code=%0d%0aSet-Cookie:x=1",
    f"?state[]={WRITTEN}&code[]=y",
    f"?code={quote(MARKUP)}&state='\"",
    f"?state={WRITTEN}&state=x&code=a&code=b",
    f"?state={WRITTEN}&code=x&iss=https%3A%2F%2Fevil.example",
    f"?{WRITTEN}",
    "?&&&=&=",
]
COOKIES = ["", f"sendoff-consent-0000000000000000={WRITTEN}; =; ü", "x" * 6_000]


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("cookie", COOKIES, ids=["no cookie", "odd cookies", "a long cookie"])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:32])
def test_a_strangers_visit_gets_a_page_and_changes_nothing(desk: Desk, query: str, cookie: str) -> None:
    headers = {"Cookie": cookie.encode("latin-1")} if cookie else {}
    answer = desk.get(f"{REDIRECT}{query}", headers=headers)
    calm(answer, 400, STRANGE)
    assert "open its consent link in this browser" in answer.text


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("name", ["state", "code", "error", "error_description", "admin_consent", "x"])
def test_100_kilobytes_of_a_parameter_change_nothing(desk: Desk, name: str) -> None:
    answer = desk.get(f"{REDIRECT}?{name}={'x' * 100_000}")
    assert answer.status_code in {200, 400, 414}
    assert len(answer.content) < 10_000


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("query", ["?admin_consent=True", f"?admin_consent={WRITTEN}&tenant={quote(MARKUP)}"])
def test_a_forged_consent_of_an_administrator_changes_nothing(desk: Desk, query: str) -> None:
    calm(desk.get(f"{REDIRECT}{query}"), 200, "Thank you")


@pytest.mark.usefixtures("before")
def test_a_forged_no_of_an_administrator_changes_nothing(desk: Desk) -> None:
    query = urlencode({"admin_consent": "True", "error": MARKUP, "error_description": MARKUP})
    calm(desk.get(f"{REDIRECT}?{query}"), 403, "Not agreed")


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_get_reaches_the_redirect(desk: Desk, method: str) -> None:
    with desk.session() as browser:
        begun = begin(desk, browser)
        answer = walk(browser, begun.headers["Location"])
        url = f"{desk.facts['functions']}{REDIRECT}?{urlencode(answer)}"
        found = browser.request(method, url, data=urlencode(answer), timeout=30)
    assert found.status_code in {404, 405}
    assert "Connected" not in found.text


# The redirect, for whoever has begun something else.


@pytest.mark.usefixtures("before")
def test_answers_of_two_senders_swapped_in_one_browser_connect_nobody(desk: Desk) -> None:
    with desk.session() as browser:
        mine, others = begin(desk, browser, "noreply"), begin(desk, browser, "reports")
        answer = walk(browser, mine.headers["Location"])
        swapped = answer | {"state": state_of(others)}
        calm(come_back(desk, browser, swapped), 502, "Not connected")
        again = walk(browser, others.headers["Location"], "svc-mail@contoso.com")
        calm(come_back(desk, browser, again), 409, "This sign-in was used before")


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(
    ("answer", "status", "title"),
    [
        ({}, 502, "Not connected"),
        ({"code": ""}, 502, "Not connected"),
        ({"code": WRITTEN}, 502, "Not connected"),
        ({"code": WRITTEN * 200}, 502, "Not connected"),
        ({"error": MARKUP, "error_description": MARKUP}, 403, "Not connected"),
        ({"error": "access_denied", "error_description": f"AADSTS65004{WRITTEN}"}, 403, "Not connected"),
        ({"error": "access_denied", "code": WRITTEN}, 403, "Not connected"),
    ],
)
def test_a_state_with_anything_but_its_code_changes_nothing(
    desk: Desk, answer: dict[str, str], status: int, title: str
) -> None:
    with desk.session() as browser:
        state = state_of(begin(desk, browser))
        calm(come_back(desk, browser, {"state": state} | answer), status, title)


@pytest.mark.usefixtures("before")
def test_the_cookie_of_another_tab_and_a_tossed_one_open_nothing(desk: Desk) -> None:
    with desk.session() as browser:
        begun = begin(desk, browser)
        answer = walk(browser, begun.headers["Location"])
        (name,) = (each for each in browser.cookies.get_dict() if each.startswith("sendoff-consent-"))
    with desk.session() as other:
        begin(desk, other)
        (value,) = other.cookies.get_dict().values()
    for cookie in (f"{name}={value}", f"{name}={WRITTEN}", f"{name}=", name):
        page = desk.get(f"{REDIRECT}?{urlencode(answer)}", headers={"Cookie": cookie})
        calm(page, 400, STRANGE)


# The buttons.


def test_the_buttons_send_one_mail_however_often_they_are_pressed(desk: Desk) -> None:
    with desk.session() as browser:
        state = sign_in(desk, browser)
        to = f"{state[:12].lower()}@example.net"
        form = {"state": state, "do": "test", "to": to}
        for _ in range(3):
            page = press(desk, browser, form)
            assert (page.status_code, headline(page)) == (200, "The test mail is on its way")
    (found,) = desk.until_mailed("Test mail of the sender noreply", to)
    assert found.mail_from == "noreply@contoso.com"
    assert state not in desk.log()


@pytest.mark.parametrize("do", ["test", "disconnect"])
def test_whoever_has_not_connected_presses_in_vain(desk: Desk, do: str) -> None:
    with desk.session() as browser, desk.session() as other, desk.session() as nobody:
        state, others = sign_in(desk, browser), sign_in(desk, other)
        under_way = state_of(begin(desk, other))
        standing = desk.standing()
        form = {"do": do, "to": f"{WRITTEN}@example.net"}
        for who, claimed in (
            (nobody, state),
            (other, state),
            (browser, others),
            (other, under_way),
            (browser, WRITTEN),
            (browser, ""),
        ):
            calm(press(desk, who, form | {"state": claimed}), 400, STRANGE)
        assert desk.standing() == standing
    assert WRITTEN not in desk.log()


BODIES = [
    b"",
    b"\xff\xfe\x00",
    b'{"do": "disconnect"}',
    b"do=disconnect",
    b"&" * 10_000,
    f"state={WRITTEN}&do=disconnect".encode(),
    b"x" * 1_000_000,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_no_form_of_ours_changes_nothing(desk: Desk, body: bytes) -> None:
    with desk.session() as browser:
        sign_in(desk, browser)
        standing = desk.standing()
        calm(press(desk, browser, body), 400, STRANGE)
    assert desk.standing() == standing


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_nothing_but_post_reaches_the_buttons(desk: Desk, method: str) -> None:
    with desk.session() as browser:
        state = sign_in(desk, browser)
        standing = desk.standing()
        url = f"{desk.facts['functions']}{CONNECTED}"
        form = {"state": state, "do": "disconnect"}
        answer = browser.request(method, url, params=form, data=form, timeout=30)
    assert answer.status_code in {404, 405}
    assert desk.standing() == standing


TO = ["nobody", f"a@example.net\r\nBcc: {WRITTEN}@example.net", "a@example.net,b@example.net", MARKUP]


@pytest.mark.parametrize("to", TO, ids=["nobody", "another header", "two addresses", "markup"])
def test_an_address_that_is_none_gets_no_mail(desk: Desk, to: str) -> None:
    with desk.session() as browser:
        state = sign_in(desk, browser)
        before = desk.mails("Test mail of the sender noreply")
        page = press(desk, browser, {"state": state, "do": "test", "to": to})
    assert (page.status_code, headline(page)) == (400, "That is no address")
    assert "<script" not in page.text
    assert "\r" not in page.text
    assert WRITTEN not in desk.log()
    assert desk.mails("Test mail of the sender noreply") == before


def test_disconnecting_twice_is_harmless_and_the_page_then_says_so(desk: Desk) -> None:
    with desk.session() as browser:
        begun = begin(desk, browser)
        answer = walk(browser, begun.headers["Location"])
        assert headline(come_back(desk, browser, answer)) == "Connected"
        try:
            form = {"state": state_of(begun), "do": "disconnect"}
            calm(press(desk, browser, form), 200, "Disconnected")
            standing = desk.standing()
            assert standing["senders"]["noreply"][0] is None
            assert "grant-noreply" not in desk.secrets()
            calm(press(desk, browser, form), 200, "Disconnected")
            calm(come_back(desk, browser, answer), 409, "This sign-in was used before")
            after = desk.standing()
            assert (after["versions"], after["senders"]["noreply"][0]) == (standing["versions"], None)
        finally:
            sign_in(desk, browser)
    assert desk.sender("noreply")["state"] == "sending"
