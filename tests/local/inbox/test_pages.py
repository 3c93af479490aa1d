import re

import pytest

from tests.local.inbox.browsing import Browser, browse
from tests.local.inbox.mails import BROKEN, PIXEL, SCRIPT, hostile, rich


def test_an_empty_inbox_says_so() -> None:
    async def visit(browser: Browser) -> None:
        page = await browser.text("/")
        assert "Nothing here yet" in page
        assert 'http-equiv="refresh" content="5"' in page

    browse(visit)


def test_the_list_shows_who_what_and_when_newest_first() -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(b"From: First <a@b>\r\nSubject: one\r\n\r\nHello")
        browser.receive(rich())
        page = await browser.text("/")
        assert page.index("Ihre Rechnung für März \N{PARTY POPPER}") < page.index(">one<")
        assert "Contoso Grüße" in page
        assert "to Jürgen Müller, b@example.com, Doe, Jane" in page
        assert "Guten Tag, anbei die Rechnung." in page
        assert "Authenticated as noreply@contoso.com" in page
        assert page.count('aria-label="Attachment"') == 1

    browse(visit)


def test_the_list_goes_on_on_older_pages() -> None:
    async def visit(browser: Browser) -> None:
        for number in range(51):
            browser.receive(f"From: a@b\r\nSubject: number-{number}.\r\n\r\n".encode())
        first = await browser.text("/")
        assert "number-50." in first
        assert "number-0." not in first
        older = re.search(r'href="(/\?before=\d+)"', first)
        assert older is not None
        second = await browser.text(older[1])
        assert re.findall(r"number-\d+\.", second) == ["number-0."]
        assert "refresh" not in second

    browse(visit)


def test_a_message_is_shown_with_all_its_sides() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(rich())
        page = await browser.text(f"/messages/{message}")
        for shown in (
            "Ihre Rechnung für März \N{PARTY POPPER}</h1>",
            "Jürgen Müller <span",
            "jane@example.com",
            "replies to",
            "<dt>RCPT TO</dt><dd>a@b.example</dd>",
            "<dt>Authenticated as</dt><dd>noreply@contoso.com</dd>",
            "anbei die Rechnung.",
            "Rechnung März.pdf",
            "20 B · application/pdf",
            "image/png · inline",
            "=?utf-8?",  # the raw headers
        ):
            assert shown in page

    browse(visit)


def test_html_is_shown_in_a_sandbox_that_runs_and_loads_nothing() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(rich())
        page = await browser.text(f"/messages/{message}")
        frame = re.search(r"<iframe [^>]*>", page)
        assert frame is not None
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame[0]
        answer = await browser.get(f"/messages/{message}/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
        assert "script-src" not in policy
        assert "connect-src" not in policy

    browse(visit)


def test_inline_images_come_from_the_message() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(rich())
        html = await browser.text(f"/messages/{message}/html")
        image = re.search(r'<img src="(/messages/\d+/parts/\d+)"', html)
        assert image is not None
        answer = await browser.get(image[1])
        assert answer.content_type == "image/png"
        assert await answer.read() == PIXEL

    browse(visit)


def test_an_attachment_is_downloaded_under_its_name() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(rich())
        page = await browser.text(f"/messages/{message}")
        links = re.findall(r'href="(/messages/\d+/parts/\d+\?download=1)"', page)
        answer = await browser.get(links[-1])
        expected = "attachment; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf"
        assert answer.headers["Content-Disposition"] == expected
        assert answer.content_type == "application/octet-stream"
        assert await answer.read() == b"%PDF-1.7 the invoice"
        image = await browser.get(links[0])
        assert image.headers["Content-Disposition"] == "attachment; filename*=UTF-8''logo.png"

    browse(visit)


def test_the_source_is_the_message_octet_by_octet() -> None:
    async def visit(browser: Browser) -> None:
        raw = rich() + bytes(range(256))
        message = browser.receive(raw)
        shown = await browser.get(f"/messages/{message}/raw")
        assert shown.content_type == "text/plain"
        assert await shown.read() == raw
        file = await browser.get(f"/messages/{message}/raw?download=1")
        assert file.headers["Content-Disposition"] == f'attachment; filename="message-{message}.eml"'
        assert await file.read() == raw

    browse(visit)


@pytest.mark.parametrize("path", ["/", "/messages/1"])
def test_markup_in_a_mail_stays_text(path: str) -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(hostile(), mail_from=SCRIPT)
        page = await browser.text(path)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script" not in page

    browse(visit)


def test_a_hostile_attachment_is_only_ever_a_download() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(hostile())
        answer = await browser.get(f"/messages/{message}/parts/3")
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith(
            "attachment; filename*=UTF-8''..%2F%3Cscript%3E"
        )
        drawing = await browser.get(f"/messages/{message}/parts/2")
        assert drawing.headers["Content-Security-Policy"].endswith("; sandbox")

    browse(visit)


def test_a_hostile_cid_cannot_leave_its_attribute() -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(hostile())
        html = await browser.text(f"/messages/{message}/html")
        assert "<img src='cid:x\"onerror=alert(1)'>" in html  # as it came: no image has this id

    browse(visit)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mail_is_shown_as_far_as_it_goes(name: str) -> None:
    async def visit(browser: Browser) -> None:
        message = browser.receive(BROKEN[name])
        assert "1 message" in await browser.text("/")
        page = await browser.text(f"/messages/{message}")
        if b"lost text" in BROKEN[name]:
            source = await (await browser.get(f"/messages/{message}/raw")).read()
            assert source == BROKEN[name]
            if name not in ("deep nesting", "a message in a message", "bad base64"):
                assert "lost text" in page

    browse(visit)


@pytest.mark.parametrize(
    "path",
    ["/messages/99", "/messages/99/raw", "/messages/99/html", "/messages/1/html", "/messages/1/parts/9"],
)
def test_what_is_not_there_is_404(path: str) -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(b"From: a@b\r\n\r\nHello")
        assert (await browser.get(path)).status == 404

    browse(visit)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/messages/1",
        "/messages/1/html",
        "/messages/1/raw",
        "/messages/1/parts/2",
        "/messages/9",
        "/messages.json",
    ],
)
def test_every_answer_carries_the_protective_headers(path: str) -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(rich())
        headers = (await browser.get(path)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"

    browse(visit)


def test_the_pages_need_no_script() -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(rich())
        for path in ("/", "/messages/1"):
            assert "<script" not in await browser.text(path)
        assert (await browser.get("/style.css")).content_type == "text/css"
        assert (await browser.get("/icon.svg")).content_type == "image/svg+xml"

    browse(visit)


def test_the_inbox_is_emptied_from_its_page() -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(rich())
        answer = await browser.client.post("/messages/delete")
        assert "Nothing here yet" in await answer.text()
        assert len(browser.exchange.store) == 0

    browse(visit)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/messages/delete"), ("DELETE", "/messages"), ("POST", "/_control")]
)
def test_another_sites_page_changes_nothing(method: str, path: str) -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(rich())
        answer = await browser.client.request(
            method, path, headers={"Sec-Fetch-Site": "cross-site"}, data=b"{}"
        )
        assert answer.status == 403
        assert len(browser.exchange.store) == 1

    browse(visit)
