from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.address import Address
from shared.core.intake import read
from shared.core.message import Message, MessageFields
from shared.core.timetable import DAYS, Window, zone
from shared.errors import MessageError

TO = {"to": "ada@contoso.com"}
ADA = Address("ada", "contoso.com")
NO_RECIPIENT = "to: there is no recipient; give at least one address in to, cc or bcc"
LINE_BREAK = "contains a line break or another control character"
BAD_ID = "must be 1 to 256 of A–Z a–z 0–9 . _ : @ -"
NO_ADDRESS = "is not an address: there is no @ in it"
NO_STRING = "is not a string; write an address such as ada@contoso.com"
NO_LIST = "is not a list"
NO_MESSAGE_ID = "is not a Message-ID such as <4711@contoso.com>"
NO_PATH = "is not a path inside the container mail-payloads, such as 2026/invoice.pdf"
BAD_CONTENT_ID = "may hold letters, digits and . _ - @ only, 1 to 200 of them"
NO_MEDIA_TYPE = "is not a media type such as application/pdf"
MOMENT = "write one such as 2026-12-24T09:00:00+01:00"
A_DAY = "must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'"


def understood(value: object) -> Message:
    found = read(json.dumps(value).encode(), fallback_id="queue-id")
    assert isinstance(found, Message)
    return found


def problems(value: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(MessageError) as refused:
        read(json.dumps(value).encode(), fallback_id="queue-id")
    return refused.value.problems


PARTS: dict[str, Any] = {
    "id": "order-1:2@x_y.Z",
    "sender": "noreply",
    "from": "Contoso <noreply@contoso.com>",
    "to": ["Ada <ada@contoso.com>", "bob@contoso.com"],
    "cc": "cc@contoso.com",
    "bcc": ["bcc@contoso.com"],
    "reply_to": "help@contoso.com",
    "in_reply_to": "<1@contoso.com>",
    "references": ["<0@contoso.com>", "<1@contoso.com>"],
    "message_id": "<2@contoso.com>",
    "subject": "Grüße",
    "text": "line\nline\r\n\ttab",
    "html": "<p>line</p>",
    "attachments": [
        {"filename": "a.pdf", "content_type": "application/pdf", "content": "YWJj"},
        {"filename": "logo.png", "content": "YW\r\n Jj", "content_id": "logo@contoso.com"},
        {"filename": "b.csv", "content_type": "text/csv; charset=utf-8", "blob": "2026/b c.csv"},
    ],
    "headers": {"List-Unsubscribe": "<https://contoso.com/u>", "X-Order": ["1", "2"]},
    "send_at": "2026-12-24T09:00:00+01:00",
    "expires_at": "2026-12-31T23:59:59.5Z",
    "window": {"days": ["mon", "fri"], "from": "22:00", "to": "06:00", "time_zone": "Europe/Vienna"},
    "priority": "high",
    "on_doubt": "hold",
    "metadata": {"order": "4711", "größe": "line\nline"},
}


def test_a_message_of_parts_with_every_field_is_read() -> None:
    message = understood(PARTS)
    fields = message.fields
    assert message.id == "order-1:2@x_y.Z"
    assert fields.sender == "noreply"
    assert fields.from_ == Address("noreply", "contoso.com", "Contoso")
    assert fields.to == (Address("ada", "contoso.com", "Ada"), Address("bob", "contoso.com"))
    assert fields.cc == (Address("cc", "contoso.com"),)
    assert fields.bcc == (Address("bcc", "contoso.com"),)
    assert fields.reply_to == (Address("help", "contoso.com"),)
    assert fields.in_reply_to == ("<1@contoso.com>",)
    assert fields.references == ("<0@contoso.com>", "<1@contoso.com>")
    assert fields.message_id == "<2@contoso.com>"
    assert (fields.subject, fields.text, fields.html) == ("Grüße", "line\nline\r\n\ttab", "<p>line</p>")
    assert fields.headers == {"List-Unsubscribe": ("<https://contoso.com/u>",), "X-Order": ("1", "2")}
    assert fields.send_at == datetime(2026, 12, 24, 8, tzinfo=UTC)
    assert fields.expires_at == datetime(2026, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
    assert fields.window is not None
    assert fields.window.window == Window(
        frozenset({"mon", "fri"}), timedelta(hours=22), timedelta(hours=6), zone("Europe/Vienna")
    )
    assert (fields.priority, fields.on_doubt) == ("high", "hold")
    assert fields.metadata == {"order": "4711", "größe": "line\nline"}
    assert not fields.is_raw
    assert [
        (file.filename, file.content_type, file.content, file.blob, file.content_id)
        for file in fields.attachments
    ] == [
        ("a.pdf", "application/pdf", b"abc", None, None),
        ("logo.png", "application/octet-stream", b"abc", None, "logo@contoso.com"),
        ("b.csv", "text/csv; charset=utf-8", None, "2026/b c.csv", None),
    ]


def test_a_message_by_template_is_read() -> None:
    data = {"name": "Ada", "rows": [{"n": 1}, None], "total": 1.5}
    fields = understood({**TO, "template": "order.v2", "data": data, "language": "de-AT"}).fields
    assert (fields.template, fields.data, fields.language) == ("order.v2", data, "de-AT")


@pytest.mark.parametrize("recipients", [{}, TO, {"bcc": "bcc@contoso.com"}])
@pytest.mark.parametrize("raw", [{"raw": "RnJvbTogYQ0K"}, {"raw_blob": "2026/mail.eml"}])
def test_a_raw_message_is_read_with_or_without_an_envelope(
    raw: dict[str, str], recipients: dict[str, str]
) -> None:
    fields = understood({**raw, **recipients, "priority": "low", "metadata": {"a": "b"}}).fields
    assert fields.is_raw
    assert (fields.raw, fields.raw_blob) == (b"From: a\r\n" if "raw" in raw else None, raw.get("raw_blob"))


def test_what_is_left_out_has_a_default() -> None:
    message = understood(TO)
    fields = message.fields
    assert message.id == "queue-id"
    assert fields.to == (ADA,)
    assert (fields.id, fields.sender, fields.from_, fields.subject, fields.text, fields.html) == (None,) * 6
    assert (fields.message_id, fields.raw, fields.raw_blob, fields.template) == (None,) * 4
    assert (fields.data, fields.language) == (None, None)
    assert (fields.cc, fields.bcc, fields.reply_to, fields.attachments) == ((), (), (), ())
    assert (fields.in_reply_to, fields.references) == ((), ())
    assert (fields.headers, fields.metadata) == ({}, {})
    assert (fields.send_at, fields.expires_at, fields.window) == (None, None, None)
    assert (fields.priority, fields.on_doubt) == ("normal", "resend")


@pytest.mark.parametrize("name", ["days", "from", "to"])
def test_a_window_that_leaves_something_out_is_open_on_every_day_and_all_day(name: str) -> None:
    whole = Window(frozenset(DAYS), timedelta(), timedelta(days=1), zone("UTC"))
    for asked in ({"time_zone": "UTC"}, {"time_zone": "UTC", name: None}):
        window = understood({**TO, "window": asked}).fields.window
        assert window is not None
        assert window.window == whole


EVERY = [field.alias or name for name, field in MessageFields.model_fields.items()]


@pytest.mark.parametrize("name", [name for name in EVERY if name != "to"])
def test_null_is_the_same_as_left_out(name: str) -> None:
    assert understood({**TO, name: None}) == understood(TO)


@pytest.mark.parametrize("name", ["content_type", "blob", "content_id"])
def test_null_is_the_same_as_left_out_in_an_attachment_too(name: str) -> None:
    file = {"filename": "a.txt", "content": "YQ=="}
    assert understood({**TO, "attachments": [{**file, name: None}]}) == understood(
        {**TO, "attachments": [file]}
    )


def test_null_for_what_is_needed_is_no_value() -> None:
    assert problems({"to": None}) == (NO_RECIPIENT,)
    files: list[object] = [{"filename": None, "content": ""}, {"filename": "a", "content": None}]
    assert problems({**TO, "attachments": files[:1]}) == ("attachments[0].filename: is required",)
    assert problems({**TO, "attachments": files[1:]}) == (
        "attachments[0]: give content or blob, one of the two",
    )


@pytest.mark.parametrize("name", ["in_reply_to", "references"])
@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("<a@b.c>", ("<a@b.c>",)),
        ("<a@b.c> <d@e.f>", ("<a@b.c>", "<d@e.f>")),
        ("\r\n <a@b.c>\r\n\t<d@e.f> ", ("<a@b.c>", "<d@e.f>")),
        ("", ()),
        ([], ()),
        (["<a@b.c>"], ("<a@b.c>",)),
    ],
)
def test_message_ids_come_as_a_list_or_as_a_header_has_them(
    name: str, value: object, ids: tuple[str, ...]
) -> None:
    assert getattr(understood({**TO, name: value}).fields, name) == ids


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
    ("to", 7, "is not a list"),
    ("to", {"address": "ada@contoso.com"}, "is not a list"),
    ("cc", False, "is not a list"),
    ("reply_to", 1.5, "is not a list"),
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
    ("in_reply_to", 1, NO_LIST),
    ("references", {}, NO_LIST),
    ("message_id", "4711@contoso.com", NO_MESSAGE_ID),
    ("message_id", "<4711>", NO_MESSAGE_ID),
    ("message_id", "<4711@contoso.com>\n", NO_MESSAGE_ID),
    ("message_id", "<a@b>\r\nBcc: eve@example.com <c@d>", NO_MESSAGE_ID),
    ("message_id", "<a b@c>", NO_MESSAGE_ID),
    ("message_id", "<ä@contoso.com>", NO_MESSAGE_ID),
    ("message_id", f"<{'a' * 201}@contoso.com>", NO_MESSAGE_ID),
    ("message_id", ["<a@b.c>"], "is not a string"),
    ("headers", [], "is not an object"),
    ("headers", "X-Order: 1", "is not an object"),
    ("raw", "no base 64!", "is not valid base64"),
    ("raw", 1, "is not a string of base64"),
    ("raw_blob", "x" * 1025, "is longer than 1024 characters"),
    ("raw_blob", 1, "is not a string"),
    ("template", "", "is not a template's name"),
    ("template", "../order", "is not a template's name"),
    ("template", "a/b", "is not a template's name"),
    ("template", ".hidden", "is not a template's name"),
    ("template", "order\n", "is not a template's name"),
    ("template", "x" * 101, "is not a template's name"),
    ("template", 1, "is not a string"),
    ("data", [], "is not an object"),
    ("data", "x", "is not an object"),
    ("language", "", "is not a language such as de-AT"),
    ("language", "de_AT", "is not a language such as de-AT"),
    ("language", "../de", "is not a language such as de-AT"),
    ("language", "de-AT\n", "is not a language such as de-AT"),
    ("language", 1, "is not a string"),
    ("priority", "urgent", "must be 'high', 'normal' or 'low'"),
    ("priority", "High", "must be 'high', 'normal' or 'low'"),
    ("priority", 1, "must be 'high', 'normal' or 'low'"),
    ("on_doubt", "drop", "must be 'resend' or 'hold'"),
    ("metadata", [], "is not an object"),
    ("metadata", {str(number): "" for number in range(17)}, "has more than 16 entries"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_field_with_a_wrong_value_is_refused(name: str, value: object, said: str) -> None:
    beside = {"template": "order"} if name in ("data", "language") else {}
    assert problems({"bcc": "ada@contoso.com", **beside, name: value}) == (f"{name}: {said}",)


WRONG_ITEMS = [
    ("to", ["ada@contoso.com", "bob"], f"to[1]: {NO_ADDRESS}"),
    ("cc", ["ada@contoso.com", None, "a@b"], f"cc[1]: {NO_STRING}"),
    ("bcc", [["ada@contoso.com"]], f"bcc[0]: {NO_STRING}"),
    ("reply_to", [{}], f"reply_to[0]: {NO_STRING}"),
    ("to", "a@contoso.com, b@contoso.com", "to[0]: holds more than one address; write several as a list"),
    ("attachments", ["a.pdf"], "attachments[0]: is not an object"),
    ("attachments", [None], "attachments[0]: is not an object"),
    ("in_reply_to", ["<a@b.c>", "d@e.f"], f"in_reply_to[1]: {NO_MESSAGE_ID}"),
    ("references", "<a@b.c> x", f"references[1]: {NO_MESSAGE_ID}"),
    ("references", [5], "references[0]: is not a string"),
    ("references", ["<a@b.c> <d@e.f>"], f"references[0]: {NO_MESSAGE_ID}"),
    ("headers", {"X-Order": 1}, "headers.X-Order: is not a list"),
    ("headers", {"X-Order": None}, "headers.X-Order: is not a list"),
    ("headers", {"X-Order": ["a", 1]}, "headers.X-Order[1]: is not a string"),
    ("headers", {"X-Order": "a\r\nBcc: eve@example.com"}, f"headers.X-Order[0]: {LINE_BREAK}"),
    ("headers", {"X-Order": ["a", "b\0"]}, f"headers.X-Order[1]: {LINE_BREAK}"),
    ("metadata", {"a": 1}, "metadata.a: is not a string"),
    ("metadata", {"a": "\0"}, "metadata.a: contains a NUL character"),
    ("metadata", {"a": "x" * 1025}, "metadata.a: is longer than 1024 characters"),
    ("metadata", {"a\r\nb": "x"}, f"metadata.a??b: {LINE_BREAK}"),
    ("metadata", {"": "x"}, "metadata.: is empty"),
    ("metadata", {"x" * 101: ""}, f"metadata.{'x' * 91}: is longer than 100 characters"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG_ITEMS)
def test_an_item_of_a_list_is_named_by_its_place(name: str, value: object, said: str) -> None:
    assert problems({"bcc": "ada@contoso.com", name: value}) == (said,)


WRONG_FILES = [
    ({"content": ""}, "filename: is required"),
    ({"filename": "", "content": ""}, "filename: is empty"),
    ({"filename": "a\r\nb", "content": ""}, f"filename: {LINE_BREAK}"),
    ({"filename": "x" * 256, "content": ""}, "filename: is longer than 255 characters"),
    ({"filename": 1, "content": ""}, "filename: is not a string"),
    ({"filename": "a", "content": 1}, "content: is not a string of base64"),
    ({"filename": "a", "content": "YQ"}, "content: is not valid base64"),
    ({"filename": "a", "content": "Y!Q="}, "content: is not valid base64"),
    ({"filename": "a", "content": "Yä=="}, "content: is not valid base64"),
    ({"filename": "a", "content": "\ud800"}, "content: is not valid base64"),
    (
        {"filename": "a", "content": "", "content_type": "pdf"},
        "content_type: is not a media type such as application/pdf",
    ),
    (
        {"filename": "a", "content": "", "content_type": "text/plain; name=x"},
        f"content_type: {NO_MEDIA_TYPE}",
    ),
    (
        {"filename": "a", "content": "", "content_type": "text/plain; charset=utf-8; charset=x"},
        f"content_type: {NO_MEDIA_TYPE}",
    ),
    (
        {"filename": "a", "content": "", "content_type": 'text/plain; charset="a\r\nb"'},
        f"content_type: {NO_MEDIA_TYPE}",
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
    ({"filename": "a", "content": "", "content_type": 5}, "content_type: is not a string"),
    (
        {"filename": "a", "content": "", "content_id": "<logo>"},
        "content_id: may hold letters, digits and . _ - @ only, 1 to 200 of them",
    ),
    (
        {"filename": "a", "content": "", "content_id": "logo\r\n"},
        "content_id: may hold letters, digits and . _ - @ only, 1 to 200 of them",
    ),
    ({"filename": "a", "content": "", "inline": True}, "inline: is not a field of a message"),
    ({"filename": "a", "content": "", "disposition": None}, "disposition: is not a field of a message"),
    ({"filename": "a", "blob": 1}, "blob: is not a string"),
]


@pytest.mark.parametrize(("file", "said"), WRONG_FILES)
def test_what_is_wrong_with_an_attachment_is_refused(file: dict[str, Any], said: str) -> None:
    good = {"filename": "a.txt", "content": "YQ=="}
    assert problems({**TO, "attachments": [good, file]}) == (f"attachments[1].{said}",)


NEVER_OPENS = "window.to: it is the same as from, so it never opens; write 00:00 to 24:00 for all day"
NOT_AFTER = "expires_at: it is not after send_at; give a later time, or leave one of them out"
NO_CLOCK = "is not a time of day from 00:00 to 24:00; write one such as 08:30"
NO_ZONE = "is not an IANA time zone; write one such as Europe/Vienna"


@pytest.mark.parametrize("name", ["send_at", "expires_at"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-12-24T09:00:00", f"has no offset from UTC, so it names no moment; {MOMENT}"),
        ("2026-12-24", f"has no offset from UTC, so it names no moment; {MOMENT}"),
        ("2026-02-30T09:00:00Z", f"is no date or time that exists; {MOMENT}"),
        ("2026-12-31T23:59:60Z", f"has a 60th second, which no clock here shows; {MOMENT}"),
        ("2026-12-24T09:00:00+25:00", f"is no date or time that exists; {MOMENT}"),
        ("tomorrow at nine", f"is not an RFC 3339 time; {MOMENT}"),
        ("", f"is not an RFC 3339 time; {MOMENT}"),
        (1766563200, "is not a string; write a time such as 2026-12-24T09:00:00+01:00"),
        (["2026-12-24T09:00:00Z"], "is not a string; write a time such as 2026-12-24T09:00:00+01:00"),
    ],
)
def test_what_is_no_moment_is_refused_with_one_that_is(name: str, value: object, said: str) -> None:
    assert problems({**TO, name: value}) == (f"{name}: {said}",)


@pytest.mark.parametrize(
    ("send_at", "expires_at"),
    [
        ("2026-12-24T09:00:00Z", "2026-12-24T09:00:00Z"),
        ("2026-12-24T09:00:00Z", "2026-12-24T10:00:00+01:00"),
        ("2026-12-24T09:00:00+01:00", "2026-12-24T08:30:00+02:00"),
        ("2026-12-24T09:00:00.000001Z", "2026-12-24T09:00:00Z"),
    ],
)
def test_a_message_that_expires_before_it_is_sent_is_refused(send_at: str, expires_at: str) -> None:
    assert problems({**TO, "send_at": send_at, "expires_at": expires_at}) == (NOT_AFTER,)


def test_a_message_may_expire_right_after_it_is_sent_and_alone() -> None:
    times = {"send_at": "2026-12-24T09:00:00+01:00", "expires_at": "2026-12-24T08:00:00.000001Z"}
    assert understood({**TO, **times}).fields.expires_at is not None
    assert understood({**TO, "expires_at": "2000-01-01T00:00:00Z"}).fields.send_at is None


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("office hours", "window: is not an object"),
        ({}, "window.time_zone: is required"),
        ({"time_zone": None}, "window.time_zone: is required"),
        ({"time_zone": "CEST"}, f"window.time_zone: {NO_ZONE}"),
        ({"time_zone": "+01:00"}, f"window.time_zone: {NO_ZONE}"),
        ({"time_zone": "../UTC"}, f"window.time_zone: {NO_ZONE}"),
        ({"time_zone": 1}, "window.time_zone: is not a string"),
        ({"time_zone": "UTC", "days": []}, "window.days: is empty"),
        ({"time_zone": "UTC", "days": "mon"}, "window.days: is not a list"),
        ({"time_zone": "UTC", "days": ["Mon"]}, f"window.days[0]: {A_DAY}"),
        ({"time_zone": "UTC", "days": [1]}, f"window.days[0]: {A_DAY}"),
        ({"time_zone": "UTC", "days": ["mon"] * 8}, "window.days: has more than 7 entries"),
        ({"time_zone": "UTC", "from": "8:00"}, f"window.from: {NO_CLOCK}"),
        ({"time_zone": "UTC", "to": "25:00"}, f"window.to: {NO_CLOCK}"),
        ({"time_zone": "UTC", "to": 17}, "window.to: is not a string"),
        ({"time_zone": "UTC", "from_": "08:00"}, "window.from_: is not a field of a message"),
        ({"time_zone": "UTC", "from": "08:00", "to": "08:00"}, NEVER_OPENS),
        ({"time_zone": "UTC", "to": "00:00"}, NEVER_OPENS),
        ({"time_zone": "UTC", "from": "24:00"}, NEVER_OPENS),
        (
            {"time_zone": "UTC", "from": "24:00", "to": "06:00"},
            "window.from: 24:00 is the end of a day; write 00:00",
        ),
    ],
)
def test_a_window_that_is_none_or_never_opens_is_refused(window: object, said: str) -> None:
    assert problems({**TO, "window": window}) == (said,)


def test_the_windows_that_a_refusal_advises_are_right() -> None:
    for hours in ({"from": "00:00", "to": "24:00"}, {"from": "00:00", "to": "06:00"}, {"from": "08:30"}):
        assert understood({**TO, "window": {"time_zone": "Europe/Vienna", **hours}}).fields.window is not None


# Those of the queue, of Python or of another library's messages are as unknown as any other.
UNKNOWN = [
    "blob",
    "action",
    "from_",
    "To",
    "content_type",
    "delivery_window",
    "",
]


@pytest.mark.parametrize("value", ["x", 5, []])
@pytest.mark.parametrize("name", [name for name in UNKNOWN if name not in ("action", "blob")])
def test_an_unknown_field_is_refused(name: str, value: object) -> None:
    said = f"{name or repr(name)}: is not a field of a message"
    assert problems({**TO, name: value}) == (said,)


@pytest.mark.parametrize("name", [name for name in UNKNOWN if name != "action"])
def test_an_unknown_field_is_refused_even_where_it_is_null(name: str) -> None:
    said = f"{name or repr(name)}: is not a field of a message"
    assert problems({**TO, name: None}) == (said,)


OWNED = [
    *("From", "Sender", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To"),
    *("References", "MIME-Version", "Return-Path", "Received", "DKIM-Signature", "Content-Type"),
    *("Content-Transfer-Encoding", "Content-Disposition", "Resent-To", "Resent-Bcc", "ARC-Seal"),
    *(
        "Authentication-Results",
        "Received-SPF",
        "X-MS-Exchange-Organization-SCL",
        "bcc",
        "BCC",
        "mIME-version",
    ),
]


@pytest.mark.parametrize("name", OWNED)
def test_a_header_that_the_message_owns_is_refused(name: str) -> None:
    assert problems({**TO, "headers": {name: "x"}}) == (
        f"headers.{name}: is written by the message itself; use the field of that name where there is one",
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", "headers."),
        ("X Order", "headers.X Order"),
        ("X-Order:", "headers.X-Order:"),
        ("X-Order\r\nBcc", "headers.X-Order??Bcc"),
        ("X\0", "headers.X?"),
        ("X\t", "headers.X?"),
        ("X-Größe", "headers.X-Größe"),
        ("X\ud800", "headers.X?"),
        ("Bcc\n", "headers.Bcc?"),
        ("x" * 77, f"headers.{'x' * 77}"),
    ],
)
def test_what_is_no_name_of_a_header_is_refused(name: str, path: str) -> None:
    assert problems({**TO, "headers": {name: "x"}}) == (f"{path}: is not the name of a header field",)


@pytest.mark.parametrize(
    "name", ["List-Unsubscribe", "X-Mailer", "Importance", "Auto-Submitted", "Precedence", "Keywords", "X"]
)
def test_any_other_header_may_be_given(name: str) -> None:
    assert understood({**TO, "headers": {name: "x"}}).fields.headers == {name: ("x",)}


ESCAPES = [
    *("/etc/passwd", "../secret", "a/../b", "a/..", "..", ".", "./a", "a/./b", "a//b", "a/", "/"),
    *("\\a", "a\\..\\b", "https://contoso.com/a", "https://contoso.blob.core.windows.net/mail-payloads/a"),
    "file:///etc/passwd",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_that_might_leave_the_container_is_refused(path: str) -> None:
    file = {"filename": "a", "blob": path}
    assert problems({**TO, "attachments": [file]}) == (f"attachments[0].blob: {NO_PATH}",)
    assert problems({"raw_blob": path}) == (f"raw_blob: {NO_PATH}",)


@pytest.mark.parametrize("path", ["", "a\nb", "a\0", "a\u2028"])
def test_what_is_no_path_is_refused(path: str) -> None:
    said = "is not a path of 1 to 1024 characters in the container mail-payloads"
    assert problems({**TO, "raw_blob": path}) == (f"raw_blob: {said}",)


def test_half_a_character_is_no_path() -> None:
    said = "contains half a surrogate pair, which is no character"
    assert problems({"raw_blob": "\ud800"}) == (f"raw_blob: {said}",)


@pytest.mark.parametrize(
    "path", ["a", "2026/11/invoice 1.pdf", "..a", "a..b/c", "Größe/日本.pdf", "a%2e%2e/b", "a?b#c"]
)
def test_a_path_may_be_anything_inside_the_container(path: str) -> None:
    assert understood({"raw_blob": path}).fields.raw_blob == path


FILE_OF = {"filename": "a", "content": "YQ=="}
BESIDE_RAW = {
    "from": "noreply@contoso.com",
    "reply_to": "a@contoso.com",
    "in_reply_to": "<a@b.c>",
    "references": "<a@b.c>",
    "message_id": "<a@b.c>",
    "subject": "x",
    "text": "x",
    "html": "x",
    "attachments": [FILE_OF],
    "headers": {"X": "y"},
    "template": "order",
}


@pytest.mark.parametrize("name", BESIDE_RAW)
@pytest.mark.parametrize("raw", ["raw", "raw_blob"])
def test_what_a_raw_message_has_of_its_own_cannot_stand_beside_it(name: str, raw: str) -> None:
    assert problems({raw: "YWJj", name: BESIDE_RAW[name]}) == (
        f"{name}: it cannot stand beside raw, which has its own",
    )


GIVE_ONE = "give content or blob, one of the two"
CONTRADICTIONS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"raw": "YQ==", "raw_blob": "a"}, ("raw_blob: give raw or raw_blob, not both",)),
    ({**TO, "data": {}}, ("data: it means nothing without a template",)),
    ({**TO, "language": "de"}, ("language: it means nothing without a template",)),
    ({**TO, "template": "a", "text": "x"}, ("template: it cannot stand beside text or html",)),
    ({**TO, "template": "a", "html": ""}, ("template: it cannot stand beside text or html",)),
    ({**TO, "attachments": [{"filename": "a"}]}, (f"attachments[0]: {GIVE_ONE}",)),
    (
        {**TO, "attachments": [FILE_OF, {**FILE_OF, "blob": "a"}]},
        (f"attachments[1]: {GIVE_ONE}",),
    ),
    (
        {**TO, "attachments": [{**FILE_OF, "content_id": "x"}, {**FILE_OF, "content_id": "x"}]},
        ("attachments[1].content_id: another attachment has the same",),
    ),
    (
        {
            "raw": "YQ==",
            "raw_blob": "a",
            "subject": "x",
            "data": {},
            "language": "de",
            "attachments": [{"filename": "a"}],
        },
        (
            "raw_blob: give raw or raw_blob, not both",
            "subject: it cannot stand beside raw, which has its own",
            "attachments: it cannot stand beside raw, which has its own",
            "data: it means nothing without a template",
            "language: it means nothing without a template",
            f"attachments[0]: {GIVE_ONE}",
        ),
    ),
    (
        {**TO, "metadata": {str(number): "🦆" * 1024 for number in range(4)}},
        ("metadata: has 16420 octets in all; 16384 can be kept",),
    ),
]


@pytest.mark.parametrize(("value", "said"), CONTRADICTIONS)
def test_fields_that_contradict_each_other_are_refused(value: dict[str, Any], said: tuple[str, ...]) -> None:
    assert problems(value) == said


@pytest.mark.parametrize("name", ["content_blob", "disposition", "cid"])
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
            "message_id": "x",
            "headers": {"Bcc": "eve@example.com", "X-A": "b\n"},
            "priority": "urgent",
            "metadata": {"a": 1},
            "send_at": "2026-12-01T08:00:00",
            "window": {"days": ["mon", "Monday"], "from": "8:00", "time_zone": "Vienna", "until": "9:00"},
            "delivery": "2026-12-01T08:00:00+01:00",
        }
    ) == (
        f"id: {BAD_ID}",
        f"from: {NO_ADDRESS}",
        f"to[1]: {NO_ADDRESS}",
        "cc: is not a list",
        f"message_id: {NO_MESSAGE_ID}",
        f"subject: {LINE_BREAK}",
        "text: is not a string",
        "attachments[0].content: is not valid base64",
        "attachments[1].filename: is required",
        "headers.Bcc: is written by the message itself; use the field of that name where there is one",
        f"headers.X-A[0]: {LINE_BREAK}",
        f"send_at: has no offset from UTC, so it names no moment; {MOMENT}",
        f"window.days[1]: {A_DAY}",
        "window.from: is not a time of day from 00:00 to 24:00; write one such as 08:30",
        "window.time_zone: is not an IANA time zone; write one such as Europe/Vienna",
        "window.until: is not a field of a message",
        "priority: must be 'high', 'normal' or 'low'",
        "metadata.a: is not a string",
        "delivery: is not a field of a message",
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
        read(json.dumps(value).encode(), fallback_id="queue-id")
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
                "attachments": [{"filename": f"{canary}\n", "content": f"{canary}!", "blob": f"/{canary}"}],
                "headers": {"X-A": f"{canary}\n"},
                "raw": canary,
                "raw_blob": f"/{canary}",
                "template": f"{canary}/",
                "data": [canary],
                "metadata": {"a": [canary]},
                "in_reply_to": canary,
            }
        )
    )
    assert canary not in refused
    message = understood({**TO, "attachments": [{"filename": "a", "content": "YzRuNHJ5"}]})
    assert canary not in repr(message)
    assert canary not in repr(understood({"raw": "YzRuNHJ5"}))
    assert canary not in repr(understood({**TO, "template": "a", "data": {canary: canary}}))


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
    "in_reply_to": "<a@b.c>",
    "references": ["<a@b.c>"],
    "headers": {"X-A": "1", "X-B": ["2", "3"]},
}
BY_TEMPLATE: dict[str, Any] = {**TO, "template": "order", "data": {"a": [1, {"b": None}]}, "language": "de"}
RAW: dict[str, Any] = {**TO, "raw": "YWJj"}
SAME: list[dict[str, Any]] = [
    dict(reversed(FULL.items())),
    {**FULL, "id": "order-2"},
    {**FULL, "to": ['"Ada" <ada@CONTOSO.com>', " bob@contoso.com "]},
    {**FULL, "cc": ["cc@contoso.com"]},
    {**FULL, "attachments": [{**FILE, "content": "YW\nJj"}]},
    {**FULL, "attachments": [{**FILE, "content_id": None}]},
    {**FULL, "metadata": {"a": "b"}},
    {**FULL, "in_reply_to": ["<a@b.c>"], "references": "<a@b.c>"},
    {**FULL, "headers": {"X-B": ["2", "3"], "X-A": ["1"]}},
    {**FULL, "priority": "normal", "on_doubt": None, "template": None},
    {**FULL, "send_at": None, "expires_at": None, "window": None},
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
    {**FULL, "attachments": [{**FILE, "content": None, "blob": "a.txt"}]},
    {**FULL, "in_reply_to": "<b@b.c>"},
    {**FULL, "references": "<b@b.c>"},
    {**FULL, "message_id": "<b@b.c>"},
    {**FULL, "headers": {"X-A": "1", "X-B": ["3", "2"]}},
    {**FULL, "subject": None},
    {**FULL, "subject": ""},
    {**FULL, "priority": "high"},
    {**FULL, "on_doubt": "hold"},
    {**FULL, "send_at": "2026-12-24T09:00:00Z"},
    {**FULL, "send_at": "2026-12-24T09:00:00.000001Z"},
    {**FULL, "expires_at": "2026-12-24T09:00:00Z"},
    {**FULL, "window": {"time_zone": "UTC"}},
    {**FULL, "window": {"time_zone": "Europe/Vienna"}},
    {**FULL, "window": {"time_zone": "UTC", "from": "08:00"}},
    {**FULL, "window": {"time_zone": "UTC", "to": "08:00"}},
    {**FULL, "window": {"time_zone": "UTC", "days": ["mon"]}},
    BY_TEMPLATE,
    {**BY_TEMPLATE, "template": "other"},
    {**BY_TEMPLATE, "language": "de-AT"},
    {**BY_TEMPLATE, "data": {"a": [1, {"b": 0}]}},
    {**BY_TEMPLATE, "data": {"a": ["1", {"b": None}]}},
    RAW,
    {**RAW, "raw": "YWJk"},
    {**TO, "raw_blob": "YWJj"},
]


@pytest.mark.parametrize("value", SAME)
def test_the_same_content_has_the_same_hash_whatever_its_id(value: dict[str, Any]) -> None:
    assert understood(value).content_hash == understood(FULL).content_hash


def test_other_content_has_another_hash() -> None:
    hashes = [understood(value).content_hash for value in [FULL, *OTHER]]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"send_at": "2026-12-24T09:00:00+01:00"}, {"send_at": "2026-12-24t08:00:00.000Z"}),
        ({"expires_at": "2026-12-24T08:00:00Z"}, {"expires_at": "2026-12-23 22:00:00-10:00"}),
        (
            {"window": {"time_zone": "UTC"}},
            {"window": {"from": "00:00", "time_zone": "UTC", "to": "24:00", "days": None}},
        ),
    ],
)
def test_the_same_time_written_otherwise_is_the_same_content(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert understood({**TO, **one}).content_hash == understood({**TO, **other}).content_hash
