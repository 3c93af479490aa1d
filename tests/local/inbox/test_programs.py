import base64
from datetime import datetime, timedelta

from tests.local.inbox.browsing import Browser, browse


def test_messages_are_told_as_json_newest_first() -> None:
    async def visit(browser: Browser) -> None:
        for raw in (b"one", b"\xff two"):
            browser.receive(raw)
        messages = await (await browser.get("/messages.json")).json()
        assert [base64.b64decode(message["raw"]) for message in messages] == [b"\xff two", b"one"]
        newest = messages[0]
        assert newest.keys() == {"mail_from", "rcpt_to", "auth_user", "received_at", "raw"}
        assert newest["mail_from"] == "noreply@contoso.com"
        assert newest["rcpt_to"] == ["a@b.example"]
        assert newest["auth_user"] == "noreply@contoso.com"
        assert datetime.fromisoformat(newest["received_at"]).utcoffset() == timedelta(0)

    browse(visit)


def test_no_messages_are_an_empty_list() -> None:
    async def visit(browser: Browser) -> None:
        assert await (await browser.get("/messages.json")).json() == []

    browse(visit)


def test_only_the_newest_are_told_when_a_limit_is_given() -> None:
    async def visit(browser: Browser) -> None:
        for raw in (b"one", b"two"):
            browser.receive(raw)
        messages = await (await browser.get("/messages.json?limit=1")).json()
        assert [base64.b64decode(message["raw"]) for message in messages] == [b"two"]
        assert (await browser.get("/messages.json?limit=x")).status == 400

    browse(visit)


def test_deleting_the_messages_empties_the_inbox() -> None:
    async def visit(browser: Browser) -> None:
        browser.receive(b"one")
        assert (await browser.client.delete("/messages")).status == 204
        assert await (await browser.get("/messages.json")).json() == []

    browse(visit)


def test_the_control_changes_tells_and_puts_back() -> None:
    async def visit(browser: Browser) -> None:
        before = await (await browser.get("/_control")).json()
        assert before["limits"]["connections"] == 3
        changes = {"limits": {"connections": 5}, "next": [{"at": "mail", "do": "drop"}]}
        after = await (await browser.client.post("/_control", json=changes)).json()
        assert after["limits"]["connections"] == browser.exchange.limits.connections == 5
        assert [step["at"] for step in after["next"]] == ["mail"]
        assert await (await browser.client.delete("/_control")).json() == before

    browse(visit)


def test_a_bad_change_is_400_and_says_why() -> None:
    async def visit(browser: Browser) -> None:
        for body, why in (
            (b"{", "the body is not JSON"),
            (b"\xff", "the body is not JSON"),
            (b"[]", "the body is not a JSON object"),
            (b'{"colour": 1, "round_trip_ms": "x"}', "round_trip_ms: Input should be a valid number"),
        ):
            answer = await browser.client.post("/_control", data=body)
            assert answer.status == 400
            assert why in (await answer.json())["error"]

    browse(visit)
