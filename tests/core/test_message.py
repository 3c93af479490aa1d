from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import CONTROL, Address
from shared.core.message import Message, Waiting, read, waiting_body, with_id
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable

BOM = b"\xef\xbb\xbf"
TO = {"to": "ada@contoso.com"}
ADA = Address("ada", "contoso.com")
NO_RECIPIENT = "to: there is no recipient; give at least one address in to, cc or bcc"
LINE_BREAK = "contains a line break or another control character"
BAD_ID = "must be 1 to 256 of A–Z a–z 0–9 . _ : @ -"
NO_ADDRESS = "is not an address: there is no @ in it"
NO_STRING = "is not a string; write an address such as ada@contoso.com"


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


def test_a_message_with_every_field_is_read() -> None:
    message = understood(
        {
            "id": "order-1:2@x_y.Z",
            "sender": "noreply",
            "from": "Contoso <noreply@contoso.com>",
            "to": ["Ada <ada@contoso.com>", "bob@contoso.com"],
            "cc": "cc@contoso.com",
            "bcc": ["bcc@contoso.com"],
            "reply_to": "help@contoso.com",
            "subject": "Grüße",
            "text": "line\nline\r\n\ttab",
            "html": "<p>line</p>",
            "attachments": [
                {"filename": "a.pdf", "content_type": "application/pdf", "content": "YWJj"},
                {"filename": "logo.png", "content": "YW\r\n Jj", "content_id": "logo@contoso.com"},
            ],
        }
    )
    fields = message.fields
    assert message.id == "order-1:2@x_y.Z"
    assert fields.sender == "noreply"
    assert fields.from_ == Address("noreply", "contoso.com", "Contoso")
    assert fields.to == (Address("ada", "contoso.com", "Ada"), Address("bob", "contoso.com"))
    assert fields.cc == (Address("cc", "contoso.com"),)
    assert fields.bcc == (Address("bcc", "contoso.com"),)
    assert fields.reply_to == (Address("help", "contoso.com"),)
    assert (fields.subject, fields.text, fields.html) == ("Grüße", "line\nline\r\n\ttab", "<p>line</p>")
    pdf, logo = fields.attachments
    assert (pdf.filename, pdf.content_type, pdf.content, pdf.content_id) == (
        "a.pdf",
        "application/pdf",
        b"abc",
        None,
    )
    assert (logo.content_type, logo.content, logo.content_id) == (
        "application/octet-stream",
        b"abc",
        "logo@contoso.com",
    )


def test_what_is_left_out_has_a_default() -> None:
    message = understood(TO)
    fields = message.fields
    assert message.id == "queue-id"
    assert fields.to == (ADA,)
    assert (fields.id, fields.sender, fields.from_, fields.text, fields.html) == (None,) * 5
    assert (fields.cc, fields.bcc, fields.reply_to, fields.attachments, fields.subject) == (
        (),
        (),
        (),
        (),
        "",
    )


@pytest.mark.parametrize("name", ["id", "sender", "from", "text", "html"])
def test_null_is_the_same_as_left_out(name: str) -> None:
    assert understood({**TO, name: None}) == understood(TO)


@pytest.mark.parametrize("name", ["to", "cc", "bcc"])
def test_one_recipient_anywhere_is_enough(name: str) -> None:
    assert understood({name: "ada@contoso.com"}).recipients == (ADA,)


def test_each_mailbox_is_a_recipient_once_in_the_order_to_cc_bcc() -> None:
    message = understood(
        {
            "to": ["Ada <ada@contoso.com>", "bob@contoso.com"],
            "cc": ["BOB@contoso.com", "carol@contoso.com"],
            "bcc": ["ada@CONTOSO.com", "dave@contoso.com", "straße@contoso.com", "strasse@contoso.com"],
        }
    )
    assert [address.addr_spec for address in message.recipients] == [
        "ada@contoso.com",
        "bob@contoso.com",
        "carol@contoso.com",
        "dave@contoso.com",
        "straße@contoso.com",
        "strasse@contoso.com",
    ]


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
    (b'{"to": NaN}', "message: it is not valid JSON: NaN is not a JSON number"),
    (b'{"to": -Infinity}', "message: it is not valid JSON: -Infinity is not a JSON number"),
    (b'{"to": %s}' % (b"1" * 60_000), "message: it is not valid JSON: a number in it is too long"),
    (b'{"to": "a", "to": "b"}', "to: it is there twice"),
    (b'{"attachments": [{"content": "", "content": ""}]}', "content: it is there twice"),
    (b'{"a b": "a", "a b": "b"}', "message: it is there twice"),
    (b'{"%s": 1, "%s": 2}' % (b"a" * 999, b"a" * 999), f"{'a' * 100}: it is there twice"),
]


@pytest.mark.parametrize(("body", "said"), UNREADABLE, ids=[said for _, said in UNREADABLE])
def test_what_is_no_json_object_is_refused(body: bytes, said: str) -> None:
    assert problems(body) == (said,)


WRONG = [
    ("id", "", BAD_ID),
    ("id", "a b", BAD_ID),
    ("id", "a/b", BAD_ID),
    ("id", "ä", BAD_ID),
    ("id", "a\n", BAD_ID),
    ("id", "x" * 257, BAD_ID),
    ("id", 7, "is not a string"),
    ("sender", "", "is empty"),
    ("sender", "a\nb", LINE_BREAK),
    ("sender", "x" * 101, "is longer than 100 characters"),
    ("sender", ["a"], "is not a string"),
    ("from", "noreply", NO_ADDRESS),
    ("from", ["noreply@contoso.com"], NO_STRING),
    ("from", "a@contoso.com\r\nBcc: eve@example.com", LINE_BREAK),
    ("to", None, "is not a list"),
    ("to", 7, "is not a list"),
    ("to", {"address": "ada@contoso.com"}, "is not a list"),
    ("cc", False, "is not a list"),
    ("reply_to", 1.5, "is not a list"),
    ("subject", None, "is not a string"),
    ("subject", 1, "is not a string"),
    ("subject", "a\r\nBcc: eve@example.com", LINE_BREAK),
    ("subject", "a\0b", LINE_BREAK),
    ("subject", "a\tb", LINE_BREAK),
    ("subject", "a\u2028b", LINE_BREAK),
    ("subject", "\ud83d", LINE_BREAK),
    ("subject", "x" * 999, "is longer than 998 characters"),
    ("text", 1, "is not a string"),
    ("text", "\udc00", "contains half a surrogate pair, which is no character"),
    ("text", "a\0b", "contains a NUL character"),
    ("html", ["<p>"], "is not a string"),
    ("html", "\ud800", "contains half a surrogate pair, which is no character"),
    ("attachments", {}, "is not a list"),
    ("attachments", "a.pdf", "is not a list"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_field_with_a_wrong_value_is_refused(name: str, value: object, said: str) -> None:
    assert problems({"bcc": "ada@contoso.com", name: value}) == (f"{name}: {said}",)


WRONG_ITEMS = [
    ("to", ["ada@contoso.com", "bob"], f"to[1]: {NO_ADDRESS}"),
    ("cc", ["ada@contoso.com", None, "a@b"], f"cc[1]: {NO_STRING}"),
    ("bcc", [["ada@contoso.com"]], f"bcc[0]: {NO_STRING}"),
    ("reply_to", [{}], f"reply_to[0]: {NO_STRING}"),
    ("to", "a@contoso.com, b@contoso.com", "to[0]: holds more than one address; write several as a list"),
    ("attachments", ["a.pdf"], "attachments[0]: is not an object"),
    ("attachments", [None], "attachments[0]: is not an object"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG_ITEMS)
def test_an_item_of_a_list_is_named_by_its_place(name: str, value: object, said: str) -> None:
    assert problems({"bcc": "ada@contoso.com", name: value}) == (said,)


WRONG_FILES = [
    ({"content": ""}, "filename: is required"),
    ({"filename": "a.txt"}, "content: is required"),
    ({"filename": "", "content": ""}, "filename: is empty"),
    ({"filename": "a\r\nb", "content": ""}, f"filename: {LINE_BREAK}"),
    ({"filename": "x" * 256, "content": ""}, "filename: is longer than 255 characters"),
    ({"filename": 1, "content": ""}, "filename: is not a string"),
    ({"filename": "a", "content": 1}, "content: is not a string of base64"),
    ({"filename": "a", "content": None}, "content: is not a string of base64"),
    ({"filename": "a", "content": "YQ"}, "content: is not valid base64"),
    ({"filename": "a", "content": "Y!Q="}, "content: is not valid base64"),
    ({"filename": "a", "content": "Yä=="}, "content: is not valid base64"),
    ({"filename": "a", "content": "\ud800"}, "content: is not valid base64"),
    (
        {"filename": "a", "content": "", "content_type": "pdf"},
        "content_type: is not a media type such as application/pdf",
    ),
    (
        {"filename": "a", "content": "", "content_type": "text/plain; charset=utf-8"},
        "content_type: is not a media type such as application/pdf",
    ),
    (
        {"filename": "a", "content": "", "content_type": "text/plain\r\nX: y"},
        "content_type: is not a media type such as application/pdf",
    ),
    (
        {"filename": "a", "content": "", "content_type": "Multipart/mixed"},
        "content_type: may not be multipart/… or message/…; use application/octet-stream",
    ),
    (
        {"filename": "a", "content": "", "content_type": "message/rfc822"},
        "content_type: may not be multipart/… or message/…; use application/octet-stream",
    ),
    ({"filename": "a", "content": "", "content_type": None}, "content_type: is not a string"),
    (
        {"filename": "a", "content": "", "content_id": "<logo>"},
        "content_id: may hold letters, digits and . _ - @ only, 1 to 200 of them",
    ),
    (
        {"filename": "a", "content": "", "content_id": "logo\r\n"},
        "content_id: may hold letters, digits and . _ - @ only, 1 to 200 of them",
    ),
    ({"filename": "a", "content": "", "inline": True}, "inline: is not a field of a message"),
]


@pytest.mark.parametrize(("file", "said"), WRONG_FILES)
def test_what_is_wrong_with_an_attachment_is_refused(file: dict[str, Any], said: str) -> None:
    good = {"filename": "a.txt", "content": "YQ=="}
    assert problems({**TO, "attachments": [good, file]}) == (f"attachments[1].{said}",)


LATER = [
    "send_at",
    "expires_at",
    "template",
    "data",
    "language",
    "raw",
    "raw_blob",
    "headers",
    "metadata",
    "priority",
    "on_doubt",
    "in_reply_to",
    "references",
    "message_id",
    "blob",
    "action",
    "from_",
    "To",
    "",
]


@pytest.mark.parametrize("name", LATER)
def test_a_field_that_is_not_built_yet_is_refused_like_an_unknown_one(name: str) -> None:
    said = f"{name}: is not a field of a message" if name else "is not a field of a message"
    assert problems({**TO, name: "x"}) == (said,)


@pytest.mark.parametrize("name", ["blob", "content_blob", "disposition"])
def test_an_unknown_field_of_an_attachment_is_refused(name: str) -> None:
    file = {"filename": "a", "content": "YQ==", name: "x"}
    assert problems({**TO, "attachments": [file]}) == (f"attachments[0].{name}: is not a field of a message",)


def test_every_problem_is_listed_at_once() -> None:
    assert problems(
        {
            "id": "a b",
            "from": "x",
            "to": ["ada@contoso.com", "y"],
            "cc": 5,
            "subject": "a\nb",
            "text": 5,
            "attachments": [{"filename": "a", "content": "!"}, {"content": "YQ=="}],
            "send_at": "2026-12-01T08:00:00+01:00",
        }
    ) == (
        f"id: {BAD_ID}",
        f"from: {NO_ADDRESS}",
        f"to[1]: {NO_ADDRESS}",
        "cc: is not a list",
        f"subject: {LINE_BREAK}",
        "text: is not a string",
        "attachments[0].content: is not valid base64",
        "attachments[1].filename: is required",
        "send_at: is not a field of a message",
    )


@pytest.mark.parametrize("value", [{}, {"to": []}, {"to": "", "cc": []}, {"subject": "nobody"}])
def test_a_message_to_nobody_is_refused(value: dict[str, Any]) -> None:
    assert NO_RECIPIENT in problems(value)


def test_an_invented_field_name_can_neither_break_a_line_nor_hide_the_other_problems() -> None:
    assert problems({**TO, "a\nb\u2028\ud800": 1, "subject": 5}) == (
        "subject: is not a string",
        "a?b??: is not a field of a message",
    )


def test_what_is_said_of_the_worst_message_still_fits_a_table() -> None:
    names = [f"{'🦆' * 120}{number}" for number in range(130)]
    said = problems({**TO, **dict.fromkeys((name[::-1] for name in names), 1)})
    assert len(said) == 101
    assert said[-1] == "message: 30 more problems"
    assert len("\n".join(said).encode("utf-16-le")) <= 65_536


@pytest.mark.parametrize(
    ("value", "message_id"),
    [
        ({**TO, "id": "order-1", "subject": 5}, "order-1"),
        ({"id": "order-1"}, "order-1"),
        ({**TO, "id": "a b"}, ""),
        ({**TO, "id": 5}, ""),
        ({**TO, "subject": 5}, ""),
    ],
)
def test_a_refusal_names_the_id_that_could_be_read(value: dict[str, Any], message_id: str) -> None:
    with pytest.raises(MessageError) as refused:
        read(as_bytes(value), fallback_id="queue-id")
    assert refused.value.message_id == message_id


def test_a_refusal_quotes_neither_a_body_nor_a_recipient() -> None:
    canary = "c4n4ry"
    refused = "\n".join(
        problems(
            {
                "to": [f"{canary}.example.com", {canary: canary}],
                "bcc": canary,
                "subject": f"{canary}\n",
                "text": [canary],
                "html": {canary: canary},
                "attachments": [{"filename": f"{canary}\n", "content": f"{canary}!"}],
            }
        )
    )
    assert canary not in refused
    message = understood({**TO, "attachments": [{"filename": "a", "content": "YzRuNHJ5"}]})
    assert "c4n4ry" not in repr(message)


# What Sendoff itself puts on the outbox.


def test_a_message_that_waits_is_named_and_found_again() -> None:
    assert read(waiting_body("order-1").encode(), fallback_id="queue-id") == Waiting("order-1")


@pytest.mark.parametrize(
    ("value", "message_id"),
    [
        ({"action": "send"}, ""),
        ({"action": "send", "id": "a b"}, ""),
        ({"action": "send", "id": 7}, ""),
        ({"action": "send", "id": "order-1", "to": "ada@contoso.com"}, "order-1"),
    ],
)
def test_an_order_to_send_takes_an_id_and_nothing_else(value: dict[str, Any], message_id: str) -> None:
    with pytest.raises(MessageError) as refused:
        read(as_bytes(value), fallback_id="queue-id")
    assert refused.value.problems == ('action: "send" takes an id and nothing else',)
    assert refused.value.message_id == message_id


@pytest.mark.parametrize("action", ["cancel", "reschedule", "", None, ["send"]])
def test_another_action_is_refused_like_an_unknown_field(action: object) -> None:
    assert "action: is not a field of a message" in problems({"action": action, "id": "order-1"})


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


# Which messages ask for the same mail.

FILE = {"filename": "a.txt", "content_type": "text/plain", "content": "YWJj"}
FULL: dict[str, Any] = {
    "id": "order-1",
    "sender": "noreply",
    "from": "noreply@contoso.com",
    "to": ["Ada <ada@contoso.com>", "bob@contoso.com"],
    "cc": "cc@contoso.com",
    "bcc": "bcc@contoso.com",
    "reply_to": "help@contoso.com",
    "subject": "Hello",
    "text": "text",
    "html": "<p>html</p>",
    "attachments": [FILE],
}
SAME: list[dict[str, Any]] = [
    dict(reversed(FULL.items())),
    {**FULL, "id": "order-2"},
    {**FULL, "to": ['"Ada" <ada@CONTOSO.com>', " bob@contoso.com "]},
    {**FULL, "cc": ["cc@contoso.com"]},
    {**FULL, "attachments": [{**FILE, "content": "YW\nJj"}]},
    {**FULL, "attachments": [{**FILE, "content_id": None}]},
]
OTHER: list[dict[str, Any]] = [
    {**FULL, "sender": "billing"},
    {**FULL, "sender": None},
    {**FULL, "from": "Contoso <noreply@contoso.com>"},
    {**FULL, "from": None},
    {**FULL, "to": ["bob@contoso.com", "Ada <ada@contoso.com>"]},
    {**FULL, "to": ["ada@contoso.com", "bob@contoso.com"]},
    {**FULL, "cc": "bcc@contoso.com", "bcc": "cc@contoso.com"},
    {**FULL, "bcc": []},
    {**FULL, "reply_to": []},
    {**FULL, "subject": "hello"},
    {**FULL, "text": "text\n"},
    {**FULL, "text": None},
    {**FULL, "text": ""},
    {**FULL, "html": None},
    {**FULL, "text": FULL["html"], "html": FULL["text"]},
    {**FULL, "attachments": []},
    {**FULL, "attachments": [FILE, FILE]},
    {**FULL, "attachments": [{**FILE, "filename": "b.txt"}]},
    {**FULL, "attachments": [{**FILE, "content_type": "text/csv"}]},
    {**FULL, "attachments": [{**FILE, "content": "YWJk"}]},
    {**FULL, "attachments": [{**FILE, "content_id": "logo"}]},
]


@pytest.mark.parametrize("value", SAME)
def test_the_same_content_has_the_same_hash_whatever_its_id(value: dict[str, Any]) -> None:
    assert understood(value).content_hash == understood(FULL).content_hash


def test_other_content_has_another_hash() -> None:
    hashes = [understood(value).content_hash for value in [FULL, *OTHER]]
    assert len(set(hashes)) == len(hashes)


# Any input at all.

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.dictionaries(
    st.sampled_from(["id", "action", "from", "to", "cc", "bcc", "subject", "text", "attachments", "x"]),
    st.one_of(
        JSON,
        st.lists(st.sampled_from(["ada@contoso.com", "Größe <ö@bücher.example>", "x", ""]), max_size=3),
        st.lists(
            st.dictionaries(st.sampled_from(["filename", "content", "content_id", "y"]), JSON, max_size=4),
            max_size=2,
        ),
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
    else:
        assert found.id


@given(BODIES)
def test_any_bytes_can_go_back_on_the_queue_and_mean_the_same(body: bytes) -> None:
    def outcome(of: bytes) -> object:
        try:
            return read(of, fallback_id="queue-id").id
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
}


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_that_fits_a_queue_message_is_read_in_moments(kind: str) -> None:
    begun = time.process_time()
    try:
        read(WORST[kind], fallback_id="queue-id")
    except MessageError as refused:
        assert refused.problems  # noqa: PT017 - either outcome is right
    assert time.process_time() - begun < 3  # seconds; each takes well under a tenth of that
