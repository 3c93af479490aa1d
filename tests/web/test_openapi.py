"""The description of the API is valid, has every route and no other, and fits what the routes answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app
from shared.web import message_routes, schedule_routes, sender_routes
from shared.web.openapi import description
from tests.twins import grant
from tests.workflows.conftest import NOREPLY, Bench, message

if TYPE_CHECKING:
    from shared.web.responses import Response

# Pages for people: the sign-in.
_PAGES = {"/oauth/start/{sender}", "/oauth/redirect", "/oauth/connected"}
_METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_valid() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(description()).iter_errors()] == []


def test_every_route_is_described_and_nothing_else() -> None:
    routes: set[tuple[str, str]] = set()
    for each in function_app.app.get_functions():
        trigger = json.loads(str(each))["bindings"][0]
        if trigger["type"] == "httpTrigger":
            routes |= {(f"/{trigger['route']}", str(method).lower()) for method in trigger["methods"]}
    said = {
        (path, method)
        for path, item in description()["paths"].items()
        for method in item
        if method in _METHODS
    }
    assert said == {(path, method) for path, method in routes if path not in _PAGES}


def fits(response: Response, path: str, method: str) -> Any:
    """Hold an answer against what the description says of it, and return it."""
    whole = description()
    answer = whole["paths"][path][method]["responses"][str(response.status)]
    (content,) = answer["content"].values()
    schema = {**content["schema"], "components": whole["components"]}
    value = json.loads(response.body)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []
    return value


def test_what_the_routes_answer_fits(bench: Bench) -> None:
    tools, timer = bench.messages_tools(), bench.schedules_tools()
    body = message(send_at="2026-12-24T09:00:00+01:00", metadata={"tenant": "contoso"})
    fits(message_routes.accept(tools, body, {}, key="", base="x"), "/messages", "post")
    fits(message_routes.accept(tools, message(text="y"), {}, key="", base="x"), "/messages", "post")
    fits(message_routes.accept(tools, b"{}", {}, key="", base="x"), "/messages", "post")
    fits(message_routes.show(tools, "order-17"), "/messages/{id}", "get")
    fits(message_routes.show(tools, "nobody"), "/messages/{id}", "get")
    fits(message_routes.show_some(tools, {}), "/messages", "get")
    fits(message_routes.cancel(tools, "order-17"), "/messages/{id}", "delete")
    fits(message_routes.cancel(tools, "order-17"), "/messages/{id}", "delete")
    wanted = {"every": "PT5M", "message": {"to": "a@example.net", "text": "x"}}
    for _ in range(2):
        put = schedule_routes.put(timer, "daily", json.dumps(wanted).encode())
        fits(put, "/schedules/{name}", "put")
    fits(schedule_routes.show_all(timer, {}), "/schedules", "get")
    fits(sender_routes.show_all(bench.senders_tools()), "/senders", "get")


def test_what_the_routes_of_senders_answer_fits(bench: Bench) -> None:
    tools, one = bench.senders_tools(), "/senders/{sender}"

    def each(name: str, body: bytes = b"") -> None:
        fits(sender_routes.show(tools, name), one, "get")
        fits(sender_routes.hold(tools, name, body), f"{one}/hold", "post")
        fits(sender_routes.resume(tools, name, body), f"{one}/resume", "post")
        fits(sender_routes.send_test(tools, name, body, base="x"), f"{one}/test", "post")

    bench.connections.connect(NOREPLY, grant())
    each("noreply")
    each("nobody")
    each("noreply", b"[]")
    fits(sender_routes.hold(tools, "noreply", b""), f"{one}/hold", "post")
    fits(sender_routes.send_test(tools, "noreply", b"", base="x"), f"{one}/test", "post")
    fits(sender_routes.show(tools, "noreply"), one, "get")
    for name in ("noreply", "noreply", "nobody"):
        fits(sender_routes.disconnect(tools, name), f"{one}/grant", "delete")
    fits(sender_routes.show_all(tools), "/senders", "get")
