"""
The description of this API (OpenAPI 3.1), made from the declarations that check what comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core.delivery import State
from shared.core.message import json_schema
from shared.core.schedule import NAME, ScheduleFields
from shared.web.json_bodies import MOST_IN_A_PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = r"^[A-Za-z0-9._:@-]{1,256}$"
_TEXT: Mapping[str, Any] = {"type": "string"}
_MOMENT: Mapping[str, Any] = {"type": "string", "format": "date-time"}
_WHOLE: Mapping[str, Any] = {"type": "integer", "minimum": 0}


def description() -> dict[str, Any]:
    """Return the whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sendoff",
            "version": "1",
            "description": "Scheduled mail for Microsoft 365: the JSON of the queue, over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "security": [{"key": []}, {"code": []}],
        "paths": {**_messages(), **_schedules(), **_senders(), **_public()},
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "code": {"type": "apiKey", "in": "query", "name": "code"},
            },
            "schemas": _schemas(),
        },
    }


def _messages() -> dict[str, Any]:
    one = _path_parameter("id", {"type": "string"}, "The message's id")
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "pattern": _ID},
        "description": "An id for the message; the same as its field id",
    }
    questions = [
        _question("state", {"enum": [state.value for state in State]}, "Messages in this state"),
        _question("sender", _TEXT, "Messages of this sender"),
        _question("since", _MOMENT, "Messages taken in from this time on"),
        _question("until", _MOMENT, "Messages taken in before this time"),
        *_paging(),
    ]
    accepted = _response("The message is in the ledger and on its way", "Standing")
    accepted["headers"] = {
        "Location": {"schema": {"type": "string"}, "description": "Where it can be looked up"}
    }
    return {
        "/messages": {
            "post": _operation(
                "postMessage",
                "Send a message",
                {"202": accepted},
                (400, 401, 409, 503),
                body="Message",
                more=[key],
            ),
            "get": _operation(
                "findMessages",
                "Find messages",
                _ok("Messages", "A page of them"),
                (400, 401, 503),
                more=questions,
            ),
        },
        "/messages/{id}": {
            "parameters": [one],
            "get": _operation(
                "getMessage", "Show a message", _ok("History", "It and its history"), (401, 404, 503)
            ),
            "delete": _operation(
                "cancelMessage",
                "Take a message back",
                _ok("Standing", "It is cancelled"),
                (401, 404, 409, 503),
            ),
            "patch": _operation(
                "rescheduleMessage",
                "Give a message another time",
                _ok("Standing", "It is scheduled"),
                (400, 401, 404, 409, 503),
                body="Reschedule",
            ),
        },
    }


def _schedules() -> dict[str, Any]:
    name = _path_parameter("name", {"type": "string", "pattern": f"^{NAME}$"}, "The schedule's name")
    put = {**_ok("ScheduleStanding", "It is changed"), "201": _response("It is new", "ScheduleStanding")}
    return {
        "/schedules": {
            "get": _operation(
                "getSchedules",
                "List schedules",
                _ok("Schedules", "A page of them"),
                (400, 401, 503),
                more=_paging(),
            )
        },
        "/schedules/{name}": {
            "parameters": [name],
            "get": _operation(
                "getSchedule", "Show a schedule", _ok("ScheduleStanding", "It"), (401, 404, 503)
            ),
            "put": _operation("putSchedule", "Write a schedule", put, (400, 401, 503), body="Schedule"),
            "delete": _operation(
                "deleteSchedule", "Remove a schedule", {"204": {"description": "It is gone"}}, (401, 404, 503)
            ),
        },
    }


def _senders() -> dict[str, Any]:
    name = _path_parameter("sender", _TEXT, "A sender of mail.toml")
    one = _ok("Sender", "How it stands")
    wrong = (400, 401, 404, 503)
    return {
        "/senders": {
            "get": _operation("getSenders", "How all senders stand", _ok("Senders", "All"), (401, 503))
        },
        "/senders/{sender}": {
            "parameters": [name],
            "get": _operation("getSender", "How a sender stands", one, (401, 404, 503)),
        },
        "/senders/{sender}/hold": {
            "parameters": [name],
            "post": _operation("holdSender", "Hold a sender", one, wrong, body="Hold", required=False),
        },
        "/senders/{sender}/resume": {
            "parameters": [name],
            "post": _operation(
                "resumeSender", "Let a sender go on", one, wrong, body="Resume", required=False
            ),
        },
        "/senders/{sender}/test": {
            "parameters": [name],
            "post": _operation(
                "testSender",
                "Send a test mail",
                {"202": _ok("Trial", "It is on its way")["200"]},
                wrong,
                body="TrialOf",
                required=False,
            ),
        },
        "/senders/{sender}/grant": {
            "parameters": [name],
            "delete": _operation("disconnectSender", "Take a sender's grant away", one, (401, 404, 409, 503)),
        },
    }


def _public() -> dict[str, Any]:
    def open_to_all(
        operation_id: str, summary: str, content_type: str, schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        found = {"description": "It", "content": {content_type: {"schema": schema}}}
        return {"operationId": operation_id, "summary": summary, "security": [], "responses": {"200": found}}

    unavailable = {"description": "It cannot", "content": {"text/plain": {"schema": _TEXT}}}
    health = open_to_all("getHealth", "Whether this app can work", "text/plain", _TEXT)
    health["responses"]["503"] = unavailable
    anything: dict[str, Any] = {"type": "object"}
    return {
        "/health": {"get": health},
        "/openapi.json": {"get": open_to_all("getOpenapi", "This description", "application/json", anything)},
        "/schemas/message.json": {
            "get": open_to_all("getSchema", "A message's JSON Schema", "application/schema+json", anything)
        },
    }


def _operation(
    operation_id: str,
    summary: str,
    good: Mapping[str, Any],
    bad: tuple[int, ...],
    *,
    body: str = "",
    required: bool = True,
    more: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    text = {"text/plain": {"schema": {"type": "string"}}}
    responses = {
        **good,
        **{
            str(status): {
                "description": _SAID[status],
                # The host itself turns away who has no key, with a body of its own or none.
                **({} if status == 401 else {"content": text if status == 503 else problem}),  # noqa: PLR2004 - HTTP
            }
            for status in bad
        },
    }
    operation: dict[str, Any] = {"operationId": operation_id, "summary": summary, "responses": responses}
    if more:
        operation["parameters"] = more
    if body:
        schema = {"$ref": f"#/components/schemas/{body}"}
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return operation


_SAID = {
    400: "What was asked is not as it should be; lists every problem",
    401: "The function key is missing or wrong",
    404: "There is none of that name",
    409: "Too late, or the id belongs to another message",
    503: "The settings are wrong, or storage does not answer",
}


def _ok(schema: str, said: str) -> dict[str, Any]:
    return {"200": _response(said, schema)}


def _response(said: str, schema: str) -> dict[str, Any]:
    return {
        "description": said,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _path_parameter(name: str, schema: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": said}


def _question(name: str, schema: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": said}


def _paging() -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_IN_A_PAGE, "default": MOST_IN_A_PAGE}
    return [
        _question("limit", limit, "How many in a page, at most"),
        _question("continuation", _TEXT, "The continuation of the page before"),
    ]


def _schemas() -> dict[str, Any]:
    message, schedule = json_schema(), ScheduleFields.model_json_schema(by_alias=True)
    parts = {**message.pop("$defs"), **schedule.pop("$defs")}
    message.pop("$schema")
    made = {"Message": message, "Schedule": schedule, **parts}
    return {**{name: _moved(schema) for name, schema in made.items()}, **_views()}


def _moved(value: Any) -> Any:
    """Return a schema whose references lead to the components."""
    if isinstance(value, dict):
        return {
            name: item.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _moved(item)
            for name, item in value.items()
        }
    return [_moved(item) for item in value] if isinstance(value, list) else value


def _object(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _list(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(schema)}


def _of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _views() -> dict[str, Any]:
    """Return the schemas of what goes out."""
    standing = {
        "id": {"type": "string", "pattern": _ID},
        "state": {"enum": [state.value for state in State]},
        "sender": _TEXT,
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
        "due_at": _or_null(_MOMENT),
        "expires_at": _or_null(_MOMENT),
        "attempts": _WHOLE,
        "message_id": _TEXT,
        "reply": _TEXT,
        "reason": _TEXT,
        "metadata": {"type": "object", "additionalProperties": _TEXT},
    }
    change = {"at": _MOMENT, "state": standing["state"], "attempt": _WHOLE, "reply": _TEXT, "reason": _TEXT}
    schedule = {
        "name": _TEXT,
        "state": {"enum": ["active", "paused", "ended"]},
        "occurred": _WHOLE,
        "last_message_id": _or_null(_TEXT),
        "next": _list(_MOMENT),
        "message": {"type": "object"},
    }
    held = {
        "remedy": _TEXT,
        "reason": _TEXT,
        "who": _or_null(_TEXT),
        "since": _MOMENT,
        "probes": _WHOLE,
        "next_probe_at": _or_null(_MOMENT),
    }
    sender = {
        "name": _TEXT,
        "mailbox": _TEXT,
        "from": _list(_TEXT),
        "state": {"enum": ["sending", "held", "paused"]},
        "hold": _or_null(_of("HoldStanding")),
        "held_addresses": {"type": "object", "additionalProperties": _of("HoldStanding")},
        "account": _or_null(_of("Connection")),
        "credential_expires_at": _or_null(_MOMENT),
        "paused": _or_null(_object({"until": _MOMENT, "reason": _TEXT})),
        "mail_is_waiting": {"type": "boolean"},
        "waiting": _WHOLE,
        "last_mail_at": _or_null(_MOMENT),
        "messages_in_the_last_minute": _WHOLE,
        "recipients_in_the_last_day": {"type": "integer"},
        "connections": _WHOLE,
        "limits": {"type": "object", "additionalProperties": _WHOLE},
    }
    connection = {
        "name": _TEXT,
        "display_name": _TEXT,
        "connected_at": _MOMENT,
        "refreshed_at": _MOMENT,
        "token_expires_at": _MOMENT,
        "grant_expires_at": _or_null(_MOMENT),
    }
    trial = {"id": _TEXT, "state": standing["state"], "to": _TEXT, "hold": _or_null(_of("HoldStanding"))}
    problem = {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _TEXT, "problems": _list(_TEXT)}
    address, reason = {"type": "string", "maxLength": 1000}, {"type": "string", "maxLength": 1000}
    hold = {"reason": reason, "address": address}
    return {
        "Standing": _object(standing),
        "History": _object({**standing, "history": _list(_object(change))}),
        "Messages": _object({"messages": _list(_of("Standing")), "continuation": _or_null(_TEXT)}),
        "Reschedule": {**_object({"send_at": _MOMENT}), "additionalProperties": False},
        "ScheduleStanding": _object(schedule),
        "Schedules": _object({"schedules": _list(_of("ScheduleStanding")), "continuation": _or_null(_TEXT)}),
        "HoldStanding": _object(held),
        "Hold": {**_object(hold, optional=("reason", "address")), "additionalProperties": False},
        "Resume": {**_object({"address": address}, optional=("address",)), "additionalProperties": False},
        "Connection": _object(connection),
        "Trial": _object(trial),
        "TrialOf": {**_object({"to": address}, optional=("to",)), "additionalProperties": False},
        "Sender": _object(sender),
        "Senders": _object({"senders": _list(_of("Sender"))}),
        "Problem": _object(problem, optional=("problems",)),
    }
