import base64
import json
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from azure.storage.queue import QueueMessage

from local.host.bindings import decode, encode
from local.host.bindings.http_trigger import outgoing_response
from local.host.bindings.outputs import queue_bodies
from local.host.bindings.queue_trigger import (
    UndecodableMessageError,
    decode_text,
    encode_body,
    incoming_by_hand,
    incoming_message,
)
from local.host.bindings.timer_trigger import TimerStatus, incoming_timer
from local.host.host_json import MessageEncoding

NOW = datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)


def message() -> QueueMessage:
    return QueueMessage(
        content="text",
        id="an-id",
        inserted_on=NOW,
        expires_on=NOW + timedelta(days=7),
        next_visible_on=NOW + timedelta(minutes=10),
        dequeue_count=3,
        pop_receipt="a-receipt",
    )


def test_the_sdk_reads_a_messages_fields_from_its_metadata() -> None:
    seen = decode(incoming_message(message(), "body"), func.QueueMessage)
    assert seen.get_body() == b"body"
    assert (seen.id, seen.dequeue_count, seen.pop_receipt) == ("an-id", 3, "a-receipt")
    assert (seen.insertion_time, seen.expiration_time) == (NOW, NOW + timedelta(days=7))
    assert seen.time_next_visible == NOW + timedelta(minutes=10)


@pytest.mark.parametrize(("annotation", "expected"), [(str, "body"), (bytes, b"body")])
def test_plain_annotations_get_the_plain_body(annotation: type, expected: object) -> None:
    assert decode(incoming_message(message(), "body"), annotation) == expected


def test_a_message_by_hand_looks_like_a_fresh_one() -> None:
    seen = decode(incoming_by_hand('{"a": 1}', "run"), None)
    assert seen.get_json() == {"a": 1}
    assert (seen.id, seen.dequeue_count) == ("run", 1)


@pytest.mark.parametrize("body", ["grüße", b"\xff\x00"])
def test_base64_bodies_go_there_and_back(body: str | bytes) -> None:
    assert decode_text(encode_body(body, MessageEncoding.BASE64), MessageEncoding.BASE64) == body


def test_base64_of_utf8_is_text() -> None:
    assert decode_text(base64.b64encode(b"{}").decode(), MessageEncoding.BASE64) == "{}"


@pytest.mark.parametrize("text", ["{}", "abc", "=", "grüße"])
def test_what_is_not_base64_is_said(text: str) -> None:
    with pytest.raises(UndecodableMessageError):
        decode_text(text, MessageEncoding.BASE64)


def test_the_sdk_reads_a_timers_run() -> None:
    status = TimerStatus(last=None, next=NOW, last_updated=NOW)
    seen = decode(incoming_timer(status, past_due=True), func.TimerRequest)
    assert seen.past_due is True
    assert seen.schedule_status["Next"] == NOW.isoformat()
    assert decode(incoming_timer(None, past_due=False), func.TimerRequest).schedule_status == {}


def test_a_timers_status_survives_its_blob() -> None:
    for last in (None, NOW):
        status = TimerStatus(last=last, next=NOW + timedelta(minutes=1), last_updated=NOW)
        assert TimerStatus.from_json(status.to_json()) == status


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"Last": 1, "Next": 2, "LastUpdated": 3}'])
def test_an_unreadable_status_is_none(text: str) -> None:
    assert TimerStatus.from_json(text) is None


def test_cookies_are_written_as_aspnet_core_writes_them() -> None:
    response = func.HttpResponse("x")
    response.headers.add(
        "Set-Cookie", "flow=a+b=; Expires=Wed, 25 Nov 2026 10:00:00 GMT; Path=/api; HttpOnly; Secure"
    )
    written = outgoing_response(encode("http", response)).headers.getall("Set-Cookie")
    assert written == ["flow=a%2Bb%3D; expires=Wed, 25 Nov 2026 10:00:00 GMT; path=/api; secure; httponly"]


def test_a_string_is_a_plain_text_response() -> None:
    response = outgoing_response(encode("http", "hello"))
    assert (response.status, response.text, response.content_type) == (200, "hello", "text/plain")


def test_what_a_binding_does_not_take_is_said() -> None:
    with pytest.raises(TypeError, match="the http output does not take a dict"):
        encode("http", {})


@pytest.mark.parametrize(
    ("value", "bodies"),
    [
        ("one", ["one"]),
        (b"raw", [b"raw"]),
        (["one", "two"], ["one", "two"]),
        (func.QueueMessage(body="wrapped"), ["wrapped"]),
        ([func.QueueMessage(body=json.dumps({"a": 1}))], ['{"a": 1}']),
    ],
)
def test_outputs_become_messages(value: object, bodies: list[object]) -> None:
    assert queue_bodies(encode("queue", value)) == bodies
