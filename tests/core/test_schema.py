"""The JSON Schema says what the validator does, as far as a schema can say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.core.intake import read
from shared.core.message import AttachmentFields, MessageFields, json_schema
from shared.errors import MessageError

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLE = json.loads((Path(__file__).parents[2] / "docs" / "examples" / "message.json").read_text("utf-8"))
MAXIMAL: dict[str, Any] = {
    "id": "order-1:2@x_y.Z",
    "sender": "noreply",
    "from": "Contoso <noreply@contoso.com>",
    "to": ["Ada <ada@contoso.com>", "jörg@bücher.example"],
    "cc": "cc@contoso.com",
    "bcc": ["bcc@contoso.com"],
    "reply_to": "help@contoso.com",
    "in_reply_to": "<1@contoso.com>",
    "references": ["<0@contoso.com>", "<1@contoso.com>"],
    "message_id": "<2@contoso.com>",
    "subject": "x" * 998,
    "text": "text",
    "html": "<p>",
    "attachments": [
        {"filename": "x" * 255, "content_type": "text/csv; charset=utf-8", "content": "YWJj"},
        {"filename": "logo.png", "content": "YWJj", "content_id": "logo@contoso.com"},
        {"filename": "a", "blob": "2026/11/a.pdf"},
    ],
    "headers": {"List-Unsubscribe": "<https://contoso.com/u>", "X-Order": ["1", "2"]},
    "send_at": "2026-12-24T09:00:00+01:00",
    "expires_at": "2026-12-31T23:59:59.999Z",
    "window": {"days": ["mon", "sun"], "from": "22:00", "to": "06:00", "time_zone": "Europe/Vienna"},
    "priority": "high",
    "on_doubt": "hold",
    "metadata": {f"key {number}": "value" for number in range(16)},
}


def accepted(value: object) -> bool:
    try:
        read(json.dumps(value).encode(), fallback_id="queue-id")
    except MessageError:
        return False
    return True


def valid(value: object) -> bool:
    return bool(VALIDATOR.is_valid(value))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_the_schema_has_every_field_and_no_other_under_its_own_name() -> None:
    names = [field.alias or name for name, field in MessageFields.model_fields.items()]
    assert list(SCHEMA["properties"]) == names
    file, hours = SCHEMA["$defs"].values()
    assert list(file["properties"]) == list(AttachmentFields.model_fields)
    assert list(hours["properties"]) == ["days", "from", "to", "time_zone"]
    assert {each["additionalProperties"] for each in (SCHEMA, file, hours)} == {False}


def test_an_editor_can_say_what_a_field_is_for() -> None:
    silent = {"subject", "html", "attachments"}
    assert {name for name, said in SCHEMA["properties"].items() if "description" not in said} <= silent


@pytest.mark.parametrize(
    "value",
    [
        EXAMPLE,
        MAXIMAL,
        {"to": "ada@contoso.com"},
        {"raw": "YWJj"},
        {"raw_blob": "a", "bcc": ["ada@contoso.com"]},
        {"to": "ada@contoso.com", "template": "order", "data": {"a": [1, None]}, "language": "de-AT"},
        dict.fromkeys(SCHEMA["properties"]) | {"cc": "ada@contoso.com"},
        {"to": "ada@contoso.com", "attachments": [{"filename": "a", "content": None, "blob": "a"}]},
        {"to": "ada@contoso.com", "window": {"time_zone": "UTC"}},
        {
            "to": "ada@contoso.com",
            "window": {"time_zone": "UTC", "days": None, "from": None, "to": None},
            "send_at": None,
        },
        {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "to": "24:00", "from": "23:59"}},
    ],
)
def test_a_good_message_is_valid(value: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(value)] == []
    assert accepted(value)


WRONG: list[dict[str, Any]] = [
    {},
    {"to": []},
    {"to": None, "cc": None},
    {"raw": None},
    {"text": "to nobody"},
    *({"bcc": "ada@contoso.com", name: 5} for name in SCHEMA["properties"]),
    *({"bcc": "ada@contoso.com", name: [5]} for name in SCHEMA["properties"]),
    *({"bcc": "ada@contoso.com", name: True} for name in SCHEMA["properties"]),
    {"to": "ada@contoso.com", "window": {}},
    {"to": "ada@contoso.com", "window": {"time_zone": None}},
    {"to": "ada@contoso.com", "window": {"time_zone": "x" * 101}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "days": []}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "days": "mon"}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "days": ["monday"]}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "days": ["mon"] * 8}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "from": "8:00"}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "to": "24:01"}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "from_": "08:00"}},
    {"to": "ada@contoso.com", "window": {"time_zone": "UTC", "until": "08:00"}},
    {"to": "ada@contoso.com", "unknown": None},
    {"to": "ada@contoso.com", "id": "a b"},
    {"to": "ada@contoso.com", "subject": "x" * 999},
    {"to": "ada@contoso.com", "sender": ""},
    {"to": "ada@contoso.com", "message_id": "x"},
    {"to": "ada@contoso.com", "template": "../x"},
    {"to": "ada@contoso.com", "template": "x", "language": "de_AT"},
    {"to": "ada@contoso.com", "priority": "urgent"},
    {"to": "ada@contoso.com", "headers": {"X Order": "1"}},
    {"to": "ada@contoso.com", "headers": {"X-Order": None}},
    {"to": "ada@contoso.com", "metadata": {"a": None}},
    {"to": "ada@contoso.com", "metadata": {str(number): "" for number in range(17)}},
    {"to": "ada@contoso.com", "attachments": [{"content": "YQ=="}]},
    {"to": "ada@contoso.com", "attachments": [{"filename": "a"}]},
    {"to": "ada@contoso.com", "attachments": [{"filename": "a", "content": "YQ==", "blob": "a"}]},
    {"to": "ada@contoso.com", "attachments": [{"filename": "a", "content": "YQ==", "content_type": "pdf"}]},
    {"to": "ada@contoso.com", "attachments": [{"filename": "a", "content": "YQ==", "content_id": "<a>"}]},
    {"to": "ada@contoso.com", "attachments": [{"filename": "a", "content": "YQ==", "cid": "a"}]},
]


@pytest.mark.parametrize("value", WRONG)
def test_what_a_schema_can_see_is_seen(value: dict[str, Any]) -> None:
    assert not valid(value)
    assert not accepted(value)


# What the schema can tell: names, types, null, lengths, patterns. What only the validator tells apart (what
# is an address, what is base64, which fields stand together) is right here whenever its type is.
ADDRESS = st.sampled_from(["ada@contoso.com", "Größe <ö@bücher.example>"])
ODD = st.sampled_from([5, 1.5, True, {"a": 1}, [5], [None]])
FILE = st.fixed_dictionaries(
    {},
    optional={
        "filename": st.sampled_from(["a.txt", "", "x" * 256, None, 5]),
        "content": st.sampled_from(["YWJj", None, 5]),
        "blob": st.sampled_from(["a/b", None, 5]),
        "content_type": st.sampled_from(["text/plain", "text", None, 5]),
        "content_id": st.sampled_from([None, "a b", 5]),
        "other": st.just("x"),
    },
)
MOMENT = st.sampled_from(["2026-12-24T09:00:00Z", "2026-12-24T09:00:00.5-01:30"])
WINDOW = st.fixed_dictionaries(
    {},
    optional={
        "days": st.lists(st.sampled_from(["mon", "tue", "Mon"]), max_size=3)
        | st.sampled_from(["mon", None, 5]),
        "from": st.sampled_from(["08:00", "00:00", "8:00", "25:00", None, 5]),
        "to": st.sampled_from(["17:00", "24:00", "24:01", "12:60", None, 5]),
        "time_zone": st.sampled_from(["Europe/Vienna", "UTC", "", "x" * 101, None, 5]),
        "other": st.just("x"),
    },
).filter(lambda window: window.get("time_zone") != "")  # only the reader knows what zones there are
IDS = st.sampled_from(["<a@b.c>", "<a@b.c> <d@e.f>", ["<a@b.c>"], []])
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "a b", "", "x" * 257]) | ODD | st.none(),
        "sender": st.sampled_from(["a", "", "x" * 101]) | ODD | st.none(),
        "from": ADDRESS | ODD | st.none(),
        "to": ADDRESS | st.lists(ADDRESS, max_size=2) | ODD | st.none(),
        "cc": ADDRESS | st.lists(ADDRESS, max_size=2) | ODD | st.none(),
        "bcc": ADDRESS | st.lists(ADDRESS, max_size=2) | ODD | st.none(),
        "reply_to": ADDRESS | st.lists(ADDRESS, max_size=2) | ODD | st.none(),
        "in_reply_to": IDS | ODD | st.none(),
        "references": IDS | ODD | st.none(),
        "message_id": st.sampled_from(["<a@b.c>", "a"]) | ODD | st.none(),
        "subject": st.sampled_from(["", "ü" * 998, "x" * 999]) | ODD | st.none(),
        "text": st.text(st.characters(exclude_categories=["Cs", "Cc"])) | ODD | st.none(),
        "html": st.text(st.characters(exclude_categories=["Cs", "Cc"])) | ODD | st.none(),
        "attachments": st.lists(FILE, max_size=1) | ODD | st.none(),
        "headers": st.dictionaries(
            st.sampled_from(["X-A", "X B", "", "Ü"]), st.sampled_from(["a", ["a", "b"], [], 5, None])
        )
        | ODD.filter(lambda value: not isinstance(value, dict))
        | st.none(),
        "send_at": MOMENT | ODD | st.none(),
        "window": WINDOW | ODD | st.none(),
        "priority": st.sampled_from(["high", "normal", "low", "x"]) | ODD | st.none(),
        "on_doubt": st.sampled_from(["resend", "hold", "x"]) | ODD | st.none(),
        "metadata": st.dictionaries(
            st.sampled_from(["a", "b", "", "x" * 101]), st.sampled_from(["", "x" * 1025, 5, None])
        )
        | ODD
        | st.none(),
        "unknown": st.none(),
    },
)


@settings(max_examples=300)
@given(PARTS)
def test_valid_is_accepted_and_invalid_is_not(value: dict[str, Any]) -> None:
    assert valid(value) is accepted(value)
