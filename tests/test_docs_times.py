"""What is said of mail that goes later, and over HTTP, is what the code does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.amender import Amender
from shared.core import claims, intake, outcomes, schedule, timing
from shared.core import message as messages
from shared.core.delivery import ALLOWED, Delivery, Entry, State
from shared.core.intake import Amendment
from shared.core.message import Message
from shared.scribe import SOON, ScribeTools
from shared.telemetry import Silence
from shared.web import json_bodies, message_routes
from shared.web.openapi import description
from shared.workflows.messages import MessagesTools
from tests.pages import (
    APPS,
    OPERATIONS,
    PAGES,
    blocks,
    chapter,
    functions,
    listed,
    section,
    senders_of_the_docs,
)
from tests.twins import Clock, MemoryEvents, MemoryLedger, MemoryOutbox, MemoryPayloads, MemoryWaiting

if TYPE_CHECKING:
    from shared.web.responses import Response


# The moment at which the examples of the docs happen, and the address that they have.
NOW = datetime(2026, 11, 24, 7, 41, 59, tzinfo=UTC)
BASE = "https://mail.contoso.com/api/messages"
ID = "appointment-4711"


def desk() -> tuple[MessagesTools, MemoryLedger]:
    """Return the routes of ``/messages`` with nothing behind them but memory."""
    clock, ledger, outbox = Clock(NOW), MemoryLedger(), MemoryOutbox()
    writing = ScribeTools(
        ledger, MemoryWaiting(), outbox, MemoryEvents(), Silence(), clock, pause=lambda _: None
    )
    tools = MessagesTools(
        ledger=ledger,
        outbox=outbox,
        payloads=MemoryPayloads(),
        amender=Amender(writing),
        senders=senders_of_the_docs(),
        clock=clock,
        new_id=lambda: "made",
        mail_id=lambda domain: f"<25908f5fbd2149f7971f550d4ff7e569@{domain}>",
    )
    return tools, ledger


def posted(page: str) -> bytes:
    """Return the body of the one POST of a page."""
    (body,) = re.findall(r"curl -X POST .*?/api/messages \\\n +-d '(.+?)'", page, re.DOTALL)
    return str(body).encode()


def said(response: Response) -> Any:
    return json.loads(response.body)


def test_the_message_that_is_posted_in_the_docs_gets_the_answer_that_stands_there() -> None:
    tools, _ = desk()
    told = section(APPS, "Over HTTP")
    answer, _ = blocks(told, "json")
    response = message_routes.accept(tools, posted(told), {}, key=ID, base=BASE)
    assert response.status == 202
    assert f"`Location: {response.headers['Location']}`" in told
    assert said(response) == json.loads(answer)


def test_an_amendment_that_comes_too_late_gets_the_problem_that_the_docs_show() -> None:
    tools, ledger = desk()
    told = section(APPS, "Over HTTP")
    message_routes.accept(tools, posted(told), {}, key=ID, base=BASE)
    entry = ledger.find(ID)
    assert entry
    ledger.update(entry.evolve(State.SENDING, now=NOW))
    response = message_routes.cancel(tools, ID)
    assert response.status == 409
    assert said(response) == json.loads(blocks(told, "json")[1])


def test_what_may_be_taken_back_and_moved_is_what_the_docs_say() -> None:
    rows = re.findall(r"^\| ((?:`\w+`|, | or )+) \|", section(APPS, "Taking back and moving"), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", rows[0]))
    assert named == {state.value for state in State if State.CANCELLED in ALLOWED[state]}
    assert named == {state.value for state in State if State.SCHEDULED in ALLOWED[state]}


def test_what_is_asked_on_the_queue_in_the_docs_is_understood() -> None:
    asked = [
        intake.read(block.encode(), fallback_id="")
        for block in blocks(section(APPS, "Taking back and moving"), "json")
    ]
    assert asked == [
        Amendment(ID, None),
        Amendment(ID, datetime(2026, 11, 26, 8, tzinfo=UTC)),
    ]


def test_the_message_with_a_time_in_the_docs_is_one_that_waits_for_it() -> None:
    (block,) = blocks(section(APPS, "A time to be sent"), "json")
    found = intake.read(block.encode(), fallback_id="")
    assert isinstance(found, Message)
    assert timing.first_try(found.fields, NOW) == datetime(2026, 11, 25, 8, tzinfo=UTC)


def test_the_history_of_a_late_message_has_the_words_of_the_docs() -> None:
    due_at = datetime(2026, 11, 25, 8, tzinfo=UTC)
    entry = Entry(
        ID, State.SCHEDULED, "hash", created_at=NOW, updated_at=NOW, due_at=due_at, planned_at=due_at
    )
    at = due_at + timedelta(minutes=12, seconds=4)
    decided = claims.claim(entry, delivery=Delivery("a", 1), content_hash="hash", now=at)
    assert isinstance(decided, claims.Take)
    told = section(APPS, "A time to be sent")
    assert [text.strip() for text in blocks(told, "text")] == [decided.entry.reason]
    assert timedelta(minutes=1) == claims.LATE
    assert "more than a minute late" in told.replace("\n ", "")


def test_the_fields_of_a_window_in_the_docs_are_those_of_the_code_and_taken() -> None:
    told = section(APPS, "Hours of delivery")
    known = messages.WindowFields.model_fields
    assert sorted(listed(told)) == sorted(field.alias or name for name, field in known.items())
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", told, re.MULTILINE)
    given = {"to": "ada@example.com", "window": {name: json.loads(value) for name, value in rows}}
    assert isinstance(intake.read(json.dumps(given).encode(), fallback_id="a"), Message)


def test_every_route_of_the_docs_has_what_it_may_be_asked() -> None:
    told = section(APPS, "Finding messages")
    paths = description()["paths"]
    asked = {each["name"] for each in paths["/messages"]["get"]["parameters"]}
    assert set(listed(told)) == asked
    assert f"1 to {json_bodies.MOST_IN_A_PAGE};" in told


def test_every_route_that_takes_or_gives_json_is_described() -> None:
    described = {
        f"{method.upper()} /api{path}"
        for path, of in description()["paths"].items()
        for method in of
        if method in ("get", "put", "post", "patch", "delete")
    }
    pages = {
        "GET /api/oauth/start/{sender}",
        "GET /api/oauth/redirect",
        "POST /api/oauth/connected",
    }
    assert described == {route for _, _, route in functions() if route} - pages


def test_the_addresses_in_the_docs_take_the_methods_that_they_are_asked_with() -> None:
    known = {re.sub(r"{\w+}", "*", route) for _, _, route in functions() if route}
    whole = "".join(page.read_text("utf-8") for page in PAGES)
    for method, path in re.findall(r"`(GET|PUT|POST|PATCH|DELETE) (/api/[\w/{}.]+)`", whole):
        assert re.sub(r"{\w+}|noreply", "*", f"{method} {path}") in known, path


def test_the_seconds_and_minutes_of_scheduled_mail_in_the_docs_are_those_of_the_code() -> None:
    told = chapter(OPERATIONS, "Scheduled mail").replace("\n", " ")
    early = timing.BROUGHT_BACK_EARLY.seconds
    assert f"invisible until {early} seconds before its time" in told
    assert f"within {SOON.seconds} seconds" in told
    assert f"more than {timing.AT_HAND.seconds} seconds away" in chapter(
        OPERATIONS, "What happens to a message"
    )
    assert f"more than {schedule.MISSED_AFTER.seconds // 60} minutes late" in section(APPS, "What was missed")


def test_a_message_that_was_given_a_time_and_never_came_is_what_the_docs_say() -> None:
    announced = outcomes.announced(ID, now=NOW, send_at=NOW)
    ended = outcomes.refuse(announced, reason="it never came", now=NOW)
    assert f"the ledger has it as `{ended.state.value}`" in section(APPS, "Taking back and moving")
