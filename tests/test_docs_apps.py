"""What apps read is what the code does: fields, refusals, templates, limits, events."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from datetime import datetime

import pytest
from jinja2.filters import FILTERS

from shared import mail_config
from shared.core import (
    events,
    field_types,
    intake,
    limits,
    message,
    sandbox,
)
from shared.core.message import Message
from shared.core.outcomes import refusal
from shared.core.remedies import CATALOGUE
from shared.core.rendering import Template, render
from shared.core.sender import Limits
from shared.errors import MessageError
from tests.pages import (
    APPS,
    ROOT,
    TEMPLATES,
    blocks,
    chapter,
    listed,
    section,
)


def test_the_fields_of_a_message_in_the_docs_are_those_of_the_code() -> None:
    fields = [field.alias or name for name, field in message.MessageFields.model_fields.items()]
    assert sorted(fields) == sorted(listed(chapter(APPS, "Fields")))
    file = message.AttachmentFields.model_fields
    assert sorted(file) == sorted(listed(section(APPS, "Attachments and inline images")))


# What must stand beside some fields; "to" stands beside all.
BESIDE = {"data": {"template": "order-shipped"}, "language": {"template": "order-shipped"}}


@pytest.mark.parametrize(
    ("field", "example"), re.findall(r"^\| `(\w+)` \| `(.+?)` \|", chapter(APPS, "Fields"), re.MULTILINE)
)
def test_the_example_of_each_field_is_taken(field: str, example: str) -> None:
    value = json.loads(example.replace("…", ""))
    given = {"to": "ada@example.com", **BESIDE.get(field, {}), field: value}
    assert isinstance(intake.read(json.dumps(given).encode(), fallback_id="example"), Message)


@pytest.mark.parametrize(
    ("field", "example"),
    re.findall(r"^\| `(\w+)` \| `(.+?)` \|", section(APPS, "Attachments and inline images"), re.MULTILINE),
)
def test_the_example_of_each_field_of_a_file_is_taken(field: str, example: str) -> None:
    content = {} if field == "blob" else {"content": ""}
    file = {"filename": "a.txt", **content, field: json.loads(example)}
    given = {"to": "ada@example.com", "attachments": [file]}
    assert isinstance(intake.read(json.dumps(given).encode(), fallback_id="example"), Message)


def test_the_other_messages_in_the_docs_can_be_read() -> None:
    for heading in ("Attachments and inline images", "Large messages, and files in blobs", "Templates"):
        for block in blocks(chapter(APPS, heading), "json"):
            intake.read(block.encode(), fallback_id="example")


def test_the_example_is_a_message_that_can_be_sent() -> None:
    body = (ROOT / "docs" / "examples" / "message.json").read_bytes()
    found = intake.read(body, fallback_id="example")
    assert isinstance(found, Message)
    text = f"{found.fields.subject}{found.fields.text}{found.fields.html}"
    assert any(character in text for character in "äöüß")
    assert any(ord(character) >= 0x1F300 for character in text)
    assert [bool(file.content_id) for file in found.fields.attachments] == [True, False]


def test_the_refusal_in_the_docs_is_what_such_a_message_gets() -> None:
    (asked,) = blocks(section(APPS, "When it is refused"), "json")
    (said,) = blocks(section(APPS, "When it is refused"), "text")
    with pytest.raises(MessageError) as refused:
        intake.read(asked.encode(), fallback_id="example")
    assert said.splitlines() == list(refused.value.problems)


def test_the_headers_that_are_refused_are_in_the_docs() -> None:
    (told,) = re.findall(
        r"^Refused are fields that.*?(?=\n\n)", section(APPS, "Headers of your own"), re.DOTALL | re.MULTILINE
    )
    names = {name.lower() for name in re.findall(r"`(.+?)`", told)}
    assert names == field_types.OWNED_HEADERS | set(field_types.OWNED_PREFIXES)


def example_template(language: str) -> Template:
    folder = TEMPLATES / "order-shipped" / language
    subject, html = ((folder / file).read_text("utf-8") for file in ("subject.txt", "body.html"))
    return Template(folder.parent.name, language, subject, html)


def test_the_templates_of_the_docs_are_filled_by_their_message() -> None:
    (asked,) = blocks(section(APPS, "Templates"), "json")
    data = json.loads(asked)["data"]
    for language in ("default", "de"):
        filled = render(example_template(language), data)
        assert "4711" in (filled.subject or "")
        assert "<li>2 × Käseplatte</li>" in (filled.html or "")
        assert "{" not in f"{filled.subject}{filled.html}"


def test_a_value_that_a_template_of_the_docs_misses_is_named_as_they_say() -> None:
    (asked,) = blocks(section(APPS, "Templates"), "json")
    paths, said = blocks(section(APPS, "Templates"), "text")
    data = json.loads(asked)["data"]
    del data["name"]
    with pytest.raises(MessageError) as refused:
        render(example_template("de"), data)
    assert said.splitlines() == list(refused.value.problems)
    assert [ROOT / "docs" / "examples" / path.replace("mail-", "", 1) for path in paths.split()] == [
        TEMPLATES / "order-shipped" / language / file
        for language in ("default", "de")
        for file in ("subject.txt", "body.html")
    ]


def test_what_templates_may_not_use_is_in_the_docs() -> None:
    told = section(APPS, "Templates")
    for number in (sandbox.MOST_TURNS, sandbox.MOST_WORK, sandbox.MOST_TEXT, sandbox.MOST_OUTPUT):
        assert f"{number:,}" in told
    (names,) = re.findall(r"The filters (.+?) are not there", told, re.DOTALL)
    missing = FILTERS.keys() - sandbox.Sandbox(escaped=True).filters.keys()
    assert set(re.findall(r"`(\w+)`", names)) == missing


def test_the_limits_that_apps_read_of_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| (.+?) \| (\d+)\b", section(APPS, "Limits"), re.MULTILINE))
    source = (ROOT / "shared" / "composer.py").read_text("utf-8")
    raw_blob = re.search(r"^_LARGEST_RAW_BYTES = ([\d_]+)$", source, re.MULTILINE)
    assert raw_blob
    assert rows == {
        "a queue message": "64",
        "recipients": str(Limits().recipients_per_message),
        "the finished mail": str(Limits().max_message_bytes),
        "attachments": str(limits.MOST_ATTACHMENTS),
        "all header fields together": str(limits.LARGEST_HEADER_BYTES),
        "a message in a blob": str(intake.LARGEST_PAYLOAD_BYTES),
        "`raw_blob`": raw_blob[1].replace("_", ""),
    }


def test_every_kind_of_event_is_in_the_docs_and_says_whether_it_is_asked_for() -> None:
    told = section(APPS, "Events")
    assert sorted(listed(told)) == sorted(events.OF_STATE.values())
    asked = re.findall(r"^\| `(.+?)` \|.+where `mail.toml` asks for it \|$", told, re.MULTILINE)
    assert set(asked) == events.OPT_IN
    (table,) = blocks(told, "toml")
    problems: list[str] = []
    mail = mail_config.read(tomllib.loads(table), "mail.toml", problems)
    assert mail.opted_in == events.OPT_IN
    assert [problem for problem in problems if "events" in problem] == []


def test_the_event_in_the_docs_is_one_that_is_told() -> None:
    (block,) = blocks(section(APPS, "Events"), "json")
    told = json.loads(block)
    data = told["data"]
    at = datetime.fromisoformat(told["time"])
    first = refusal(
        message_id=data["id"],
        content_hash="",
        sender=data["sender"],
        reason=data["reason"],
        metadata=data["metadata"],
        now=at,
    )
    entry = replace(
        first, attempts=data["attempts"], changes=2, message_id=data["message_id"], reply=data["reply"]
    )
    event = events.of_message(entry, source=told["source"])
    assert event
    assert json.loads(event) == told
    remedy = CATALOGUE["recipient-unknown"]
    assert data["reason"] == f"{remedy.cause}; {remedy.action}"


def test_how_much_of_a_reply_an_event_has_is_in_the_docs() -> None:
    source = (ROOT / "shared" / "core" / "events.py").read_text("utf-8")
    octets = re.search(r"^_LONGEST_TEXT = ([\d_]+)$", source, re.MULTILINE)
    assert octets
    assert f"each cut after {int(octets[1]):,}\noctets" in section(APPS, "Events")
