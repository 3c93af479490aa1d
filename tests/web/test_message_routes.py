"""The routes of /messages: taken in once, looked up in pages, taken back, moved; or the problems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.delivery import State
from shared.web import message_routes as routes
from tests.workflows.conftest import Bench, message

if TYPE_CHECKING:
    from shared.web.responses import Response

BASE = "https://mail.contoso.com/api/messages"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def read(response: Response, status: int) -> Any:
    assert response.status == status
    return json.loads(response.body)


def post(bench: Bench, body: bytes, key: str = "") -> Response:
    return routes.accept(bench.messages_tools(), body, {}, key=key, base=BASE)


def test_it_is_taken_in_and_the_answer_says_where_it_is(bench: Bench) -> None:
    answer = post(bench, message())
    assert (read(answer, 202)["state"], answer.headers["Location"]) == ("queued", f"{BASE}/order-17")
    assert read(routes.show(bench.messages_tools(), "order-17"), 200)["history"][0]["state"] == "queued"
    assert bench.send(bench.outbox.puts[-1].text.encode()) is State.ACCEPTED


def test_the_key_is_its_id_and_must_not_differ(bench: Bench) -> None:
    assert read(post(bench, message(id=None), "key-1"), 202)["id"] == "key-1"
    assert read(post(bench, message(id=None), "key-1"), 202)["id"] == "key-1"
    assert read(post(bench, message(), "key-1"), 400)["problems"][0].startswith("id: it differs")
    assert read(post(bench, message(id=None, text="other"), "key-1"), 409)["title"] == "id in use"


def test_every_problem_is_listed(bench: Bench) -> None:
    found = read(post(bench, message(to="nobody", colour="red", text=7)), 400)
    assert len(found["problems"]) == 3
    assert bench.ledger.ids() == set()


def test_a_large_one_goes_through_a_blob(bench: Bench) -> None:
    read(post(bench, message(text="x" * 100_000)), 202)
    (path,) = bench.payloads.blobs
    assert json.loads(bench.ledger.only().body) == {"blob": path}
    assert bench.send(bench.outbox.puts[-1].text.encode()) is State.ACCEPTED


def test_too_late_is_said_with_the_state(bench: Bench) -> None:
    bench.send(message())
    tools = bench.messages_tools()
    assert read(routes.cancel(tools, "order-17"), 409)["state"] == "accepted"
    moved = routes.reschedule(tools, "order-17", b'{"send_at": "2026-12-24T09:00:00+01:00"}')
    assert read(moved, 409)["state"] == "accepted"
    read(routes.cancel(tools, "nobody"), 404)


def test_pages_lead_through_everything_once(bench: Bench) -> None:
    for number in range(7):
        post(bench, message(id=f"m{number}"))
    seen, token = [], ""
    while True:
        questions = {"limit": "3"} | ({"continuation": token} if token else {})
        page = read(routes.show_some(bench.messages_tools(), questions), 200)
        seen += [each["id"] for each in page["messages"]]
        token = page["continuation"]
        if not token:
            break
    assert seen == [f"m{number}" for number in range(7)]


@pytest.mark.parametrize(
    "questions",
    [
        {"state": "lost"},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "0000000019999"},
        {"limit": "000000001" + "9" * 5_000},
        {"since": "yesterday"},
        {"continuation": "x"},
        {"continuation": "W1tb" * 40_000},
        {"colour": "red"},
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_question_that_makes_no_sense_is_refused(bench: Bench, questions: dict[str, str]) -> None:
    assert len(read(routes.show_some(bench.messages_tools(), questions), 400)["problems"]) == 1


@pytest.mark.parametrize(
    "body",
    [b"\x0b" + message(), b'{"to": "a@example.net", "template": "t", "data": {"a": "\\ud800"}}'],
    ids=["an odd blank before it", "half a character in data"],
)
def test_odd_octets_are_taken_or_refused_and_break_nothing(bench: Bench, body: bytes) -> None:
    assert post(bench, body).status in {202, 400}
