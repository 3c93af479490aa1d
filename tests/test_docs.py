"""The words around the code are true: links resolve, and what tables list is what the code reads."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jinja2.filters import FILTERS

from local.host.instance import KEY_SETTING
from shared import mail_config, settings
from shared.core import events, intake, limits, message, sandbox
from shared.core.delivery import MOST_ATTEMPTS, State, back_off, refusal
from shared.core.message import Message
from shared.core.oauth import Service
from shared.core.remedies import CATALOGUE
from shared.core.rendering import Template, render
from shared.core.sender import Limits
from shared.errors import MessageError, SettingsError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
APPS = (ROOT / "docs" / "apps.md").read_text("utf-8")
LOCAL = (ROOT / "docs" / "local.md").read_text("utf-8")
TEMPLATES = ROOT / "docs" / "examples" / "templates"
EXAMPLE = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))


def without_code(page: str) -> str:
    return re.sub(r"^ *```.*?^ *```$|`[^`\n]*`", "", page, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: str, heading: str) -> str:
    """Return what stands under a heading, down to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"there is no heading {heading}"
    return found[1]


def chapter(page: str, heading: str) -> str:
    """Return what stands under a heading of the second level, with all that is below it."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"there is no heading {heading}"
    return found[1]


def blocks(text: str, kind: str) -> list[str]:
    """Return the code blocks of a kind, without the indent of a list that they stand in."""
    found = re.findall(rf"^( *)```{kind}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def listed(text: str) -> list[str]:
    """Return what stands in backquotes in the first column of a table."""
    cells = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(.+?)`", cell)]


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)


def settings_that_are_read() -> set[str]:
    names: set[str] = set()
    for values in ({}, {"MAILBOX": "noreply@contoso.com"}):
        environ = Asked(values)
        settings.bindings(environ)
        with pytest.raises(SettingsError):
            settings.load(environ, root=ROOT)
        names |= environ.names
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8")))
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        if re.match(r"https?:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    links = re.findall(r"\]\((docs/[^)#]+)", PAGES[0].read_text("utf-8"))
    assert {page.name for page in ROOT.glob("docs/*.md")} <= {Path(link).name for link in links}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_json_in_the_docs_is_json(page: Path) -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert all(isinstance(json.loads(block), dict) for block in blocks)


def test_the_app_settings_in_the_docs_are_those_that_are_read() -> None:
    assert sorted(settings_that_are_read()) == sorted(listed(section(SETTINGS, "App settings")))


def test_the_setting_of_the_local_host_is_in_the_docs() -> None:
    assert listed(section(SETTINGS, "Settings of the local host alone")) == [KEY_SETTING]


def test_the_example_of_local_settings_names_settings_only() -> None:
    assert set(EXAMPLE["Values"]) <= settings_that_are_read()


def keys_that_are_known() -> Iterator[tuple[str, list[str]]]:
    """Give each kind of table with its keys, as the reader itself names them when it meets a strange one."""
    strange = {"?": 1}
    config = {
        "services": {"s": dict(strange)},
        "senders": {"s": {**strange, "smtp": dict(strange), "limits": dict(strange)}},
        "events": dict(strange),
    }
    problems: list[str] = []
    mail_config.read(config, "mail.toml", problems)
    for problem in problems:
        if found := re.fullmatch(r"mail\.toml: (\S+)\.\?: it is not known here; known are (.+)", problem):
            yield f"`[{found[1].replace('s.s', 's.<name>')}]`", found[2].split(", ")


@pytest.mark.parametrize(("heading", "keys"), list(keys_that_are_known()), ids=lambda value: str(value)[:24])
def test_the_keys_of_mail_toml_in_the_docs_are_those_that_are_read(heading: str, keys: list[str]) -> None:
    assert sorted(keys) == sorted(listed(section(SETTINGS, heading)))


def test_every_kind_of_table_in_mail_toml_is_in_the_docs() -> None:
    headings = re.findall(r"^### (`\[.+\]`)$", SETTINGS, re.MULTILINE)
    assert sorted(heading for heading, _ in keys_that_are_known()) == sorted(headings)


def test_the_limits_in_the_docs_have_the_defaults_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \|", section(SETTINGS, "`[senders.<name>.limits]`"), re.MULTILINE
    )
    assert {name: str(getattr(Limits(), name)) for name in Limits.__slots__} == dict(rows)


def test_the_mail_toml_in_the_docs_can_be_read() -> None:
    administrators = (ROOT / "docs" / "administrators.md").read_text("utf-8")
    found = re.search(r"^```toml\n(.*?)^```$", administrators, re.DOTALL | re.MULTILINE)
    assert found
    problems: list[str] = []
    mail = mail_config.read(tomllib.loads(found[1]), "mail.toml", problems)
    assert problems == []
    assert isinstance(mail.services["microsoft"], Service)
    assert list(mail.senders) == ["noreply", "reports"]


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
    assert names == message.OWNED_HEADERS | set(message.OWNED_PREFIXES)


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


def test_every_word_of_the_log_is_in_the_docs() -> None:
    assert sorted(Word) == sorted(listed(section(OPERATIONS, "Words in the log")))


def test_every_state_is_in_the_docs() -> None:
    states = section(OPERATIONS, "States")
    assert [state.value for state in State if f"`{state.value}`" not in states] == []


def test_the_back_off_in_the_docs_is_that_of_the_code() -> None:
    found = re.search(r"^\| wait \| (.+) \|$", OPERATIONS, re.MULTILINE)
    assert found
    units = {"s": 1, "min": 60, "h": 3600}
    *waits, last = found[1].split(" | ")
    seconds = [int(number) * units[unit] for number, unit in (wait.split() for wait in waits)]
    attempts = range(1, MOST_ATTEMPTS)
    assert [back_off(attempt, jitter=0.5).total_seconds() for attempt in attempts] == seconds
    assert last == "`rejected`"


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name)
    else:
        yield key, str(value)


def test_every_number_of_host_json_is_in_the_docs_with_its_reason() -> None:
    host = json.loads((ROOT / "host.json").read_text("utf-8"))
    host["extensionBundle"] = host["extensionBundle"]["version"]
    host["logging"]["logLevel"] = host["logging"]["logLevel"]["default"]
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (?=\S)", OPERATIONS, re.MULTILINE)
    assert sorted(leaves(host)) == sorted(rows)


def test_every_control_instruction_is_in_the_docs() -> None:
    told = section(LOCAL, "Misbehaviour on request")
    for name in ("entra_control.py", "vault_control.py"):
        source = (ROOT / "local" / "microsoft" / name).read_text("utf-8")
        instructions = re.findall(r'^- `"(\w+)"', source, re.MULTILINE)
        assert instructions
        assert [each for each in instructions if f"`{each}`" not in told] == []
