from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import CONTROL
from shared.core.intake import (
    LARGEST_PAYLOAD_BYTES,
    Amendment,
    Call,
    ClaimCheck,
    Waiting,
    call_body,
    fetch,
    read,
    read_payload,
    read_posted,
    read_value,
    waiting_body,
    with_id,
)
from shared.core.message import Message, MessageFields
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable

BOM = b"\xef\xbb\xbf"
TO = {"to": "ada@contoso.com"}


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def understood(value: object) -> Message:
    found = read(as_bytes(value), fallback_id="queue-id")
    assert isinstance(found, Message)
    return found


def problems(body: bytes | dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(MessageError) as refused:
        read(body if isinstance(body, bytes) else as_bytes(body), fallback_id="queue-id")
    return refused.value.problems


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "with white space": lambda text: b"\r\n\t " + text + b"\n",
    "with a byte order mark": lambda text: BOM + text,
    "base64": base64.b64encode,
    "base64 with a line end": lambda text: base64.b64encode(text) + b"\n",
    "base64 folded": base64.encodebytes,
    "base64 of a byte order mark": lambda text: base64.b64encode(BOM + text),
    "byte order mark before base64": lambda text: BOM + base64.b64encode(text),
    "base64 of white space": lambda text: base64.b64encode(b" \n" + text + b"\n "),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_plain_and_base64_are_read_alike(encoding: str) -> None:
    value = {**TO, "subject": "Grüße 🦆", "text": "x" * 100}
    body = ENCODINGS[encoding](json.dumps(value, ensure_ascii=False).encode())
    assert read(body, fallback_id="queue-id") == understood(value)


UNREADABLE = [
    (b"", "message: it is empty; put a JSON object on the queue"),
    (b" \r\n", "message: it is empty; put a JSON object on the queue"),
    (BOM, "message: it is empty; put a JSON object on the queue"),
    (b"\xff\xfe{\x00}\x00", "message: it is not UTF-8 text"),
    (b'{"to": "\xff"}', "message: it is not UTF-8 text"),
    (b'{"to": "\xed\xa0\x80"}', "message: it is not UTF-8 text"),
    (base64.b64encode(b'{"to": "\xff"}'), "message: it is not UTF-8 text"),
    (b"hello, world", "message: it is not valid JSON: expecting value at line 1, column 1"),
    (b'{"to": ,', "message: it is not valid JSON: expecting value at line 1, column 8"),
    (b'{"to": "a', "message: it is not valid JSON: unterminated string starting at line 1, column 8"),
    (b'{\n"to": "a\tb"}', "message: it is not valid JSON: invalid control character at line 2, column 9"),
    (b'{"to": "\\x"}', "message: it is not valid JSON: invalid \\escape at line 1, column 9"),
    (b'{"a": 1}{"b": 2}', "message: it is not valid JSON: extra data at line 1, column 9"),
    (b"[]", "message: it is not a JSON object; put one message in each queue message"),
    (b'"ada@contoso.com"', "message: it is not a JSON object; put one message in each queue message"),
    (b"[" * 60_000, "message: its JSON is nested too deeply"),
    (b'{"":' * 16_000, "message: its JSON is nested too deeply"),
    (b'{"data": %s%s}' % (b"[" * 5000, b"]" * 5000), "message: its JSON is nested too deeply"),
    (b'{"to": NaN}', "message: it is not valid JSON: NaN is not a JSON number"),
    (b'{"to": -Infinity}', "message: it is not valid JSON: -Infinity is not a JSON number"),
    (b'{"to": %s}' % (b"1" * 60_000), "message: it is not valid JSON: a number in it is too long"),
    (b'{"to": "a", "to": "b"}', "to: it is there twice"),
    (b'{"attachments": [{"content": "", "content": ""}]}', "content: it is there twice"),
    (b'{"a b": "a", "a b": "b"}', "message: it is there twice"),
    (b'{"%s": 1, "%s": 2}' % (b"a" * 999, b"a" * 999), f"{'a' * 100}: it is there twice"),
    (b'{"headers": {"X-A": "1", "X-A": "2"}}', "message: it is there twice"),
    (b'{"data": {"a": 1, "\\u0061": 2}}', "a: it is there twice"),
    (b'{"\\ud800": 1, "\\ud801": 2}', "message: it is there twice"),
]


@pytest.mark.parametrize(("body", "said"), UNREADABLE, ids=[said for _, said in UNREADABLE])
def test_what_is_no_json_object_is_refused(body: bytes, said: str) -> None:
    assert problems(body) == (said,)


def test_values_as_deep_as_they_can_be_read_are_refused_or_kept_and_nothing_else() -> None:
    outcomes = set()
    for depth in range(800, 1001):
        body = b'{"to": "a@b.c", "template": "t", "data": {"x": %s%s}}' % (b"[" * depth, b"]" * depth)
        try:
            outcomes.add(type(read(body, fallback_id="queue-id")).__name__)
        except MessageError as refused:
            outcomes.add(refused.problems[0])
    assert outcomes <= {"Message", "message: its JSON is nested too deeply"}


# A claim check.

NO_PATH = "is not a path inside the container mail-payloads, such as 2026/invoice.pdf"
CLAIM = as_bytes({"blob": "2026/order 4711.json"})


@pytest.mark.parametrize("body", [CLAIM, base64.b64encode(CLAIM), BOM + CLAIM, b" \n" + CLAIM])
def test_a_claim_check_names_its_blob(body: bytes) -> None:
    assert read(body, fallback_id="queue-id") == ClaimCheck("2026/order 4711.json")


@pytest.mark.parametrize(
    ("value", "said", "message_id"),
    [
        ({"blob": ""}, "blob: is not a path of 1 to 1024 characters in the container mail-payloads", ""),
        (
            {"blob": "x" * 1025},
            "blob: is not a path of 1 to 1024 characters in the container mail-payloads",
            "",
        ),
        ({"blob": "a\nb"}, "blob: is not a path of 1 to 1024 characters in the container mail-payloads", ""),
        (
            {"blob": "\ud800"},
            "blob: is not a path of 1 to 1024 characters in the container mail-payloads",
            "",
        ),
        ({"blob": "../a"}, f"blob: {NO_PATH}", ""),
        ({"blob": "/a"}, f"blob: {NO_PATH}", ""),
        ({"blob": "a\\b"}, f"blob: {NO_PATH}", ""),
        ({"blob": "https://contoso.com/a"}, f"blob: {NO_PATH}", ""),
        ({"blob": 5}, "blob: is not a string", ""),
        ({"blob": ["a"]}, "blob: is not a string", ""),
        (
            {"blob": "a", "id": "order-1"},
            "blob: it stands alone; the message itself lies in the blob",
            "order-1",
        ),
        ({"blob": "a", **TO}, "blob: it stands alone; the message itself lies in the blob", ""),
    ],
)
def test_a_claim_check_that_is_none_is_refused(value: dict[str, Any], said: str, message_id: str) -> None:
    with pytest.raises(MessageError) as refused:
        read(as_bytes(value), fallback_id="queue-id")
    assert refused.value.problems == (said,)
    assert refused.value.message_id == message_id


@pytest.mark.parametrize("start", [b"", BOM, b"\r\n ", BOM + b" "])
def test_what_a_claim_check_points_to_is_a_message(start: bytes) -> None:
    value = {**TO, "subject": "Grüße"}
    body = start + json.dumps(value, ensure_ascii=False).encode()
    assert read_payload(body, fallback_id="queue-id") == understood(value)


def test_what_a_claim_check_points_to_is_no_other_claim_check_and_no_order() -> None:
    for value in ({"blob": "a"}, {"action": "send", "id": "order-1"}):
        with pytest.raises(MessageError) as refused:
            read_payload(as_bytes(value), fallback_id="queue-id")
        assert f"{next(iter(value))}: is not a field of a message" in refused.value.problems


def test_a_payload_is_json_and_not_base64() -> None:
    with pytest.raises(MessageError) as refused:
        read_payload(base64.b64encode(as_bytes(TO)), fallback_id="queue-id")
    assert refused.value.problems[0].startswith("message: it is not valid JSON: ")


def test_a_claim_check_is_fetched_with_a_limit() -> None:
    asked: list[tuple[str, int]] = []

    def get(path: str, *, limit: int) -> bytes:
        asked.append((path, limit))
        return as_bytes(TO)

    found = fetch(ClaimCheck("2026/order.json"), get, fallback_id="queue-id")
    assert found == understood(TO)
    assert asked == [("2026/order.json", LARGEST_PAYLOAD_BYTES)]


def test_a_claim_check_for_nothing_or_too_much_is_refused() -> None:
    def too_large(path: str, *, limit: int) -> bytes:
        raise ValueError(f"{path} has more than {limit} octets")

    with pytest.raises(MessageError) as refused:
        fetch(ClaimCheck("a"), lambda _, limit: None, fallback_id="queue-id")  # noqa: ARG005 - named by who calls
    assert refused.value.problems == ("blob: there is no a in the container mail-payloads",)
    with pytest.raises(MessageError) as refused:
        fetch(ClaimCheck("a"), too_large, fallback_id="queue-id")
    assert refused.value.problems == (f"blob: a has more than {LARGEST_PAYLOAD_BYTES} octets",)


def test_a_payload_may_be_as_large_as_exchange_takes_mail() -> None:
    assert LARGEST_PAYLOAD_BYTES > 150 * 1024 * 1024 * 4 / 3


# What Sendoff itself puts on the outbox.


def test_a_message_that_waits_is_named_and_found_again() -> None:
    assert read(waiting_body("order-1").encode(), fallback_id="queue-id") == Waiting("order-1")


def refusal_of(value: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return why something is refused, and the id of the message that is to blame for it."""
    with pytest.raises(MessageError) as refused:
        read(as_bytes(value), fallback_id="queue-id")
    return refused.value.problems, refused.value.message_id


@pytest.mark.parametrize(
    "value",
    [
        {"action": "send"},
        {"action": "send", "id": ""},
        {"action": "send", "id": "a b"},
        {"action": "send", "id": 7},
        {"action": "send", "id": "order-1", "to": "ada@contoso.com"},
        {"action": "send", "id": "order-1", "send_at": "2026-12-24T09:00:00Z"},
    ],
)
def test_an_order_to_send_takes_an_id_and_nothing_else(value: dict[str, Any]) -> None:
    assert refusal_of(value) == (('action: "send" is none; there are cancel and reschedule',), "")


@pytest.mark.parametrize("sender", ["noreply", "büro", "a b", ""])
def test_a_call_names_the_sender_whose_line_is_to_be_served(sender: str) -> None:
    assert read(call_body(sender).encode(), fallback_id="queue-id") == Call(sender)


@pytest.mark.parametrize(
    "value",
    [
        {"action": "serve"},
        {"action": "serve", "sender": 7},
        {"action": "serve", "sender": None},
        {"action": "serve", "sender": ["noreply"]},
        {"action": "serve", "sender": "noreply", "id": "order-1"},
    ],
)
def test_a_call_takes_a_sender_and_nothing_else(value: dict[str, Any]) -> None:
    assert refusal_of(value) == (('action: "serve" is none; there are cancel and reschedule',), "")


# What apps that have only the queue may ask about a message.

IDS = ["order-1", "order-1:2@x_y.Z", "x" * 256, "report@2026-11-24T08:00:00Z"]
BAD_ID = "id: must be 1 to 256 of A–Z a–z 0–9 . _ : @ -"
EXAMPLE = "write one such as 2026-12-24T09:00:00+01:00"
CANCEL = {"action": "cancel", "id": "order-1"}
RESCHEDULE = {"action": "reschedule", "id": "order-1", "send_at": "2026-12-24T09:00:00+01:00"}


@pytest.mark.parametrize("message_id", IDS)
def test_a_message_can_be_taken_back_by_its_id(message_id: str) -> None:
    asked = Amendment(message_id, None)
    assert read(as_bytes({**CANCEL, "id": message_id}), fallback_id="queue-id") == asked
    as_base64 = base64.b64encode(as_bytes({**CANCEL, "id": message_id}))
    assert read(as_base64, fallback_id="queue-id") == asked


@pytest.mark.parametrize("message_id", IDS)
def test_a_message_can_be_given_another_time_by_its_id(message_id: str) -> None:
    assert read(as_bytes({**RESCHEDULE, "id": message_id}), fallback_id="queue-id") == Amendment(
        message_id, datetime(2026, 12, 24, 8, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"action": "cancel"}, ("id: is required",)),
        ({**CANCEL, "id": ""}, (BAD_ID,)),
        ({**CANCEL, "id": "a b"}, (BAD_ID,)),
        ({**CANCEL, "id": "x" * 257}, (BAD_ID,)),
        ({**CANCEL, "id": "a\n"}, (BAD_ID,)),
        ({**CANCEL, "id": 7}, (BAD_ID,)),
        ({**CANCEL, "id": None}, (BAD_ID,)),
        ({**CANCEL, "id": ["order-1", "order-2"]}, (BAD_ID,)),
        ({**CANCEL, "send_at": "2026-12-24T09:00:00Z"}, ("send_at: is not a field of cancel",)),
        ({**CANCEL, "to": "ada@contoso.com"}, ("to: is not a field of cancel",)),
        ({**CANCEL, "blob": "a.json"}, ("blob: is not a field of cancel",)),
        ({"action": "cancel", "ids": ["a"]}, ("ids: is not a field of cancel", "id: is required")),
        ({"action": "reschedule"}, ("id: is required", "send_at: is required")),
        ({"action": "reschedule", "id": "order-1"}, ("send_at: is required",)),
        ({"action": "reschedule", "send_at": "2026-12-24T09:00:00Z"}, ("id: is required",)),
        ({**RESCHEDULE, "send_at": None}, ("send_at: is not a string",)),
        ({**RESCHEDULE, "send_at": 1732438800}, ("send_at: is not a string",)),
        (
            {**RESCHEDULE, "send_at": "2026-12-24T09:00:00"},
            (f"send_at: has no offset from UTC, so it names no moment; {EXAMPLE}",),
        ),
        (
            {**RESCHEDULE, "send_at": "2026-02-29T09:00:00Z"},
            (f"send_at: is no date or time that exists; {EXAMPLE}",),
        ),
        ({**RESCHEDULE, "send_at": "tomorrow"}, (f"send_at: is not an RFC 3339 time; {EXAMPLE}",)),
        (
            {**RESCHEDULE, "expires_at": "2026-12-24T09:00:00Z"},
            ("expires_at: is not a field of reschedule",),
        ),
        (
            {"action": "reschedule", "id": "a b", "send_at": "", "a\nb": 1},
            ("a?b: is not a field of reschedule", BAD_ID, f"send_at: is not an RFC 3339 time; {EXAMPLE}"),
        ),
    ],
)
def test_everything_that_is_wrong_with_what_is_asked_is_said_and_no_message_is_blamed(
    value: dict[str, Any], said: tuple[str, ...]
) -> None:
    assert refusal_of(value) == (said, "")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("resend", '"resend"'),
        ("Cancel", '"Cancel"'),
        ("cancel ", '"cancel "'),
        ("", '""'),
        ("a\r\nb", '"a??b"'),
        ("\ud800", '"?"'),
        ("x" * 5_000, f'"{"x" * 100}"'),
        (None, "what is no string"),
        (True, "what is no string"),
        (["cancel"], "what is no string"),
        ({"cancel": "order-1"}, "what is no string"),
    ],
)
def test_there_are_no_other_actions(action: object, said: str) -> None:
    assert refusal_of({"action": action, "id": "order-1"}) == (
        (f"action: {said} is none; there are cancel and reschedule",),
        "",
    )


def test_more_that_is_wrong_than_can_be_kept_is_cut_off() -> None:
    said, _ = refusal_of(CANCEL | {f"field-{number}": 1 for number in range(500)})
    assert len(said) == 100


def test_a_blob_holds_a_message_and_asks_nothing_about_another() -> None:
    with pytest.raises(MessageError) as refused:
        read_payload(as_bytes(CANCEL), fallback_id="queue-id")
    assert "action: is not a field of a message" in refused.value.problems


@given(
    st.fixed_dictionaries(
        {"action": st.sampled_from(["cancel", "reschedule", "send", "serve", "x", None, 5])},
        optional={
            "id": st.sampled_from(["order-1", "", "a b", None, 5, ["a"]]) | st.text(),
            "send_at": st.sampled_from(["2026-12-24T09:00:00Z", "", None, 5, "9999-12-31T23:59:59-01:00"]),
            "sender": st.sampled_from(["noreply", None]),
            "blob": st.sampled_from(["a.json", None]),
        },
    )
)
def test_whatever_is_asked_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        found = read(as_bytes(value), fallback_id="queue-id")
    except MessageError as error:
        assert (bool(error.problems), error.message_id) == (True, "")  # noqa: PT017 - read or refused, both are right
    else:
        assert isinstance(found, Amendment | Waiting | Call)


# What comes over HTTP.


def posted(value: object, *, key: str = "") -> Message:
    return read_posted(as_bytes(value), key=key, fallback_id="made-id")


def post_problems(value: object, *, key: str = "") -> tuple[str, ...]:
    with pytest.raises(MessageError) as refused:
        posted(value, key=key)
    return refused.value.problems


def test_what_is_posted_is_the_message_that_the_queue_carries() -> None:
    assert posted({**TO, "id": "order-1"}) == understood({**TO, "id": "order-1"})
    assert read_posted(BOM + as_bytes(TO) + b"\n", key="", fallback_id="made-id").id == "made-id"


@pytest.mark.parametrize("value", [TO, {**TO, "id": None}, {**TO, "id": "order-1"}])
def test_the_id_may_stand_in_a_header(value: dict[str, Any]) -> None:
    assert posted(value, key="order-1") == understood({**TO, "id": "order-1"})


def test_an_id_in_the_header_and_another_in_the_message_are_refused() -> None:
    said = ("id: it differs from the header Idempotency-Key; give one of them",)
    assert post_problems({**TO, "id": "order-2"}, key="order-1") == said
    assert post_problems({**TO, "id": 5}, key="order-1") == said


@pytest.mark.parametrize("key", ["a b", "x" * 257, "ä", "a/b", "a\n"])
def test_what_is_no_id_is_none_in_a_header_either(key: str) -> None:
    said = ("Idempotency-Key: must be 1 to 256 of A–Z a–z 0–9 . _ : @ -",)
    assert post_problems(TO, key=key) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (CANCEL, "action: it is for the queue; use DELETE or PATCH on /messages/{id}"),
        ({**TO, "action": None}, "action: it is for the queue; use DELETE or PATCH on /messages/{id}"),
        ({"blob": "a.json"}, "blob: it is for the queue; post the message itself"),
    ],
)
def test_what_is_for_the_queue_is_not_posted(value: dict[str, Any], said: str) -> None:
    assert post_problems(value) == (said,)


def test_base64_is_for_the_queue_too() -> None:
    with pytest.raises(MessageError):
        read_posted(base64.b64encode(as_bytes(TO)), key="", fallback_id="made-id")


@given(st.binary(max_size=100) | st.text().map(str.encode))
def test_whatever_is_posted_is_a_message_or_refused(body: bytes) -> None:
    try:
        read_posted(body, key="", fallback_id="made-id")
    except MessageError as error:
        assert error.problems  # noqa: PT017 - read or refused, both are right


# The message of a schedule.


def test_a_message_that_is_part_of_something_else_is_read_as_any_other() -> None:
    assert read_value({**TO, "id": "an.id"}) == understood({**TO, "id": "an.id"})
    with pytest.raises(MessageError) as refused:
        read_value({"subject": 5, "action": "cancel"})
    assert set(refused.value.problems) == {
        "subject: is not a string",
        "action: is not a field of a message",
        "to: there is no recipient; give at least one address in to, cc or bcc",
    }


# An id for what has none.

WITH_ID = [
    (b"{}", '{"id": "queue-id"}'),
    (b" { } ", '{"id": "queue-id"}'),
    (b'{"to": "a@b.c"}', '{"id": "queue-id", "to": "a@b.c"}'),
    (BOM + b'{"to": "a@b.c"}', '{"id": "queue-id", "to": "a@b.c"}'),
    (
        '{"subject": "Grüße \\ud800"}'.encode(),
        '{"id": "queue-id", "subject": "Grüße \\ud800"}',
    ),
    (b'{"to": "a", "to": "b"}', '{"id": "queue-id", "to": "a", "to": "b"}'),
    (b'{"to": NaN, "x": 1e999}', '{"id": "queue-id", "to": NaN, "x": 1e999}'),
    (b'{"id": "own", "to": "a@b.c"}', '{"id": "own", "to": "a@b.c"}'),
    (b'{"id": null}', '{"id": null}'),
    (b'{"blob": "a"}', '{"blob": "a"}'),
    (b"[1]", "[1]"),
    (b"not JSON", "not JSON"),
    (b"", ""),
    (base64.b64encode(b'{"to": "a@b.c"}'), '{"id": "queue-id", "to": "a@b.c"}'),
    (b"[" * 60_000, "[" * 60_000),
]


@pytest.mark.parametrize(("body", "text"), WITH_ID, ids=[str(number) for number in range(len(WITH_ID))])
def test_a_message_without_an_id_gets_one_and_nothing_else_changes(body: bytes, text: str) -> None:
    assert with_id(body, "queue-id") == text


@pytest.mark.parametrize(
    ("body", "carried"),
    [
        (b'{"to": "\xff"}', b'{"to": "\xff"}'),
        (b"\x00\x01", b"\x00\x01"),
        (base64.b64encode(b"\x00\x01"), b"\x00\x01"),
        ('{"subject": "\uffff"}'.encode(), '{"id": "queue-id", "subject": "\uffff"}'.encode()),
    ],
)
def test_what_a_queue_cannot_carry_as_it_is_goes_back_as_base64(body: bytes, carried: bytes) -> None:
    assert base64.b64decode(with_id(body, "queue-id"), validate=True) == carried


def test_the_id_that_was_given_is_the_one_that_is_read() -> None:
    body = as_bytes({**TO, "subject": "Hello"})
    put_back = with_id(body, "queue-id").encode()
    assert read(put_back, fallback_id="another") == Message(
        "queue-id",
        understood({**TO, "subject": "Hello", "id": "queue-id"}).fields,
        understood({**TO, "subject": "Hello"}).content_hash,
    )


# Any input at all.

EVERY = [field.alias or name for name, field in MessageFields.model_fields.items()]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.dictionaries(
    st.sampled_from([*EVERY, "action", "blob", "x"]),
    st.one_of(
        JSON,
        st.lists(st.sampled_from(["ada@contoso.com", "Größe <ö@bücher.example>", "x", ""]), max_size=3),
        st.lists(
            st.dictionaries(
                st.sampled_from(["filename", "content", "content_id", "blob", "y"]), JSON, max_size=4
            ),
            max_size=2,
        ),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.lists(st.text(max_size=5)), max_size=3),
        st.sampled_from(["<a@b.c>", "de-AT", "high", "hold", "YWJj", "a/b"]),
    ),
    max_size=6,
)
ESCAPED = FIELDS.map(lambda value: json.dumps(value).encode())
SURROGATES = st.text(st.characters(categories=["Cs", "L"]), max_size=5).map(
    lambda text: json.dumps({"to": text, text: text, "subject": text, "text": text}).encode()
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text('{}[]":,\\ \n0123456789eE+-.truefalsnNaI=', max_size=60).map(str.encode),
    ESCAPED,
    ESCAPED.map(base64.b64encode),
    SURROGATES,
)


@given(BODIES)
def test_any_bytes_are_a_message_an_order_or_a_refusal(body: bytes) -> None:
    try:
        found = read(body, fallback_id="queue-id")
    except MessageError as refused:
        assert refused.problems  # noqa: PT017 - either outcome is right
        for problem in refused.problems:
            assert not CONTROL.search(problem)
            assert problem.encode()
        said = "\n".join(refused.problems)
        assert len(said.encode("utf-16-le")) <= 65_536
        return
    match found:
        case Message():
            assert found.id
            assert found.fields.is_raw or found.recipients
            assert len(found.content_hash) == 64
        case Waiting():
            assert found.id
        case Call():
            assert isinstance(found.sender, str)
        case ClaimCheck():
            assert found.blob == found.blob.strip("/")


@given(BODIES)
def test_any_bytes_can_go_back_on_the_queue_and_mean_the_same(body: bytes) -> None:
    def outcome(of: bytes) -> object:
        try:
            found = read(of, fallback_id="queue-id")
            match found:
                case ClaimCheck():
                    return found.blob
                case Call():
                    return found.sender
                case _:
                    return found.id
        except MessageError as refused:
            return refused.problems

    put_back = with_id(body, "queue-id").encode()
    assert _without_places(outcome(put_back)) == _without_places(outcome(body))


def _without_places(outcome: object) -> object:
    if isinstance(outcome, tuple):
        return [str(problem).partition(" at line")[0] for problem in outcome]
    return outcome


WORST = {
    "commas": b'{"to": "%s"}' % (b"," * 65_000),
    "angles": b'{"to": "%s>"}' % (b"<" * 65_000),
    "quotes": b'{"to": "%s@a"}' % (b'\\"' * 32_000),
    "backslashes": b'{"to": "\\"%s@a"}' % (b"\\\\" * 32_000),
    "dots": b'{"to": "%s@a"}' % (b"a." * 32_000),
    "labels": b'{"to": "a@%s"}' % (b"a-" * 32_000),
    "a long international domain": b'{"to": "a@%s"}' % ("ü" * 32_000).encode(),
    "combining characters": b'{"to": "a@%s"}' % ("\u0327\u0301" * 120).encode(),
    "many recipients": as_bytes({"to": ["ü@bücher.example"] * 2_500}),
    "many fields": as_bytes({f"f{number}": 1 for number in range(6_000)}),
    "many attachments": as_bytes({"attachments": [{}] * 15_000}),
    "nesting": b'{"to": %s%s}' % (b"[" * 900, b"]" * 900),
    "a long number": b'{"to": 1%s}' % (b"0" * 4_000),
    "a long exponent": b'{"to": 1e%s}' % (b"9" * 4_000),
    "base64 of nothing": b"A" * 65_536,
    "many headers": as_bytes({**TO, "headers": {f"X-{number}": "y" for number in range(4_000)}}),
    "many references": as_bytes({**TO, "references": "<a@b> " * 10_000}),
    "no references": as_bytes({**TO, "references": "x " * 30_000}),
    "a long message id": as_bytes({**TO, "message_id": f"<{'@' * 60_000}>"}),
    "a long language": as_bytes({**TO, "template": "t", "language": "a-" * 30_000}),
    "a long path": as_bytes({"blob": "a/" * 30_000}),
    "a long media type": as_bytes(
        {**TO, "attachments": [{"filename": "a", "content": "", "content_type": "a/" * 30_000}]}
    ),
    "deep data": b'{"to": "a@b.c", "template": "t", "data": %s1%s}' % (b'{"a":' * 900, b"}" * 900),
    "much metadata": as_bytes({**TO, "metadata": {f"m{number}": "y" for number in range(4_000)}}),
}


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_that_fits_a_queue_message_is_read_in_moments(kind: str) -> None:
    begun = time.process_time()
    try:
        read(WORST[kind], fallback_id="queue-id")
    except MessageError as refused:
        assert refused.problems  # noqa: PT017 - either outcome is right
    assert time.process_time() - begun < 3  # seconds; each takes well under a tenth of that
