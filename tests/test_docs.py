"""The words around the code are true: links resolve, and what tables list is what the code reads."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jinja2.filters import FILTERS

from local.host.instance import KEY_SETTING
from shared import holds as holding
from shared import mail_config, settings
from shared.adapters import table_consents, table_leases, table_ledger, table_senders, table_waiting
from shared.core import delivery, events, holds, intake, limits, message, pacing, remedies, sandbox, waiting
from shared.core.delivery import MOST_ATTEMPTS, Delivery, Doubt, State, Take, back_off, first_claim, refusal
from shared.core.holds import Finding, Hold, Proof, SenderState
from shared.core.message import Message
from shared.core.oauth import Service
from shared.core.remedies import CATALOGUE
from shared.core.rendering import Template, render
from shared.core.reply import judge_reply
from shared.core.sender import Limits
from shared.core.smtp import Phase, Reply
from shared.errors import MessageError, SettingsError
from shared.herald import Herald
from shared.log_words import Word
from shared.register import Register
from shared.scribe import SOON
from shared.workflows import senders
from tests.twins import MemoryOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
APPS = (ROOT / "docs" / "apps.md").read_text("utf-8")
LOCAL = (ROOT / "docs" / "local.md").read_text("utf-8")
ADMINISTRATORS = (ROOT / "docs" / "administrators.md").read_text("utf-8")
HOST = json.loads((ROOT / "host.json").read_text("utf-8"))
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
        settings.lines_at_a_time(environ)
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
    (found,) = blocks(ADMINISTRATORS, "toml")
    problems: list[str] = []
    mail = mail_config.read(tomllib.loads(found), "mail.toml", problems)
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


def test_how_much_of_a_reply_an_event_has_is_in_the_docs() -> None:
    source = (ROOT / "shared" / "core" / "events.py").read_text("utf-8")
    octets = re.search(r"^_LONGEST_TEXT = ([\d_]+)$", source, re.MULTILINE)
    assert octets
    assert f"each cut after {int(octets[1]):,}\noctets" in section(APPS, "Events")


def test_every_word_of_the_log_is_in_the_docs() -> None:
    assert sorted(Word) == sorted(listed(section(OPERATIONS, "Words in the log")))


def test_every_word_that_is_a_warning_or_worse_says_what_to_do() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (\S[^|]*) \|", section(OPERATIONS, "Words in the log"), re.MULTILINE)
    loud = [word for word, level in rows if level != "info"]
    told = re.findall(r"^\| `(\S+)`", section(OPERATIONS, "When an alert says"), re.MULTILINE)
    assert sorted(told) == sorted(loud)


def test_every_state_is_in_the_docs_and_those_that_nothing_leads_to_are_named() -> None:
    told = section(OPERATIONS, "States")
    (elsewhere,) = re.findall(r"^The ledger also knows (.+); nothing in this version", told, re.MULTILINE)
    named = [*listed(told), *re.findall(r"`(\w+)`", elsewhere)]
    assert sorted(named) == sorted(state.value for state in State)


def test_the_states_that_end_a_message_are_those_of_the_code() -> None:
    ends = re.findall(r"^\| `(\w+)` \| .+ \| the end\b", section(OPERATIONS, "States"), re.MULTILINE)
    elsewhere = {"expired", "cancelled"}
    assert set(ends) | elsewhere == {state.value for state in State if state.is_settled}


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
    host = json.loads(json.dumps(HOST))
    host["extensionBundle"] = host["extensionBundle"]["version"]
    host["logging"]["logLevel"] = host["logging"]["logLevel"]["default"]
    told = section(OPERATIONS, "host.json, number by number")
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (?=\S)", told, re.MULTILINE)
    assert sorted(leaves(host)) == sorted(rows)


def test_what_the_docs_reckon_from_host_json_is_right() -> None:
    told = section(OPERATIONS, "host.json, number by number")
    queues = HOST["extensions"]["queues"]
    batch, threshold = queues["batchSize"], queues["newBatchThreshold"]
    at_once = batch + threshold
    assert f"{batch} + {threshold} = {at_once} messages at once" in told
    (threads,) = re.findall(r"`PYTHON_THREADPOOL_THREAD_COUNT` = `(\d+)`", told)
    assert EXAMPLE["Values"]["PYTHON_THREADPOOL_THREAD_COUNT"] == threads
    assert int(threads) >= at_once
    serving = settings.lines_at_a_time({"PYTHON_THREADPOOL_THREAD_COUNT": threads})
    assert f"Half of the {at_once}, so {serving}, may serve lines" in told
    hours, minutes, seconds = (int(part) for part in HOST["functionTimeout"].split(":"))
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == delivery.CLAIM_LEASE


def functions() -> Iterator[tuple[str, str, str]]:
    """Give name, kind of trigger and route of each function in function_app.py."""
    for node in ast.parse((ROOT / "function_app.py").read_text("utf-8")).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            assert isinstance(call, ast.Call)
            assert isinstance(call.func, ast.Attribute)
            assert isinstance(node, ast.FunctionDef)
            methods = [ast.literal_eval(each.value) for each in call.keywords if each.arg == "methods"]
            route = f"{methods[0][0]} /api/{ast.literal_eval(call.args[0])}" if call.args else ""
            yield node.name, call.func.attr, route


def test_every_function_is_in_the_readme_with_its_route() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \|", PAGES[0].read_text("utf-8"), re.MULTILINE)
    told = [(name, trigger) for names, trigger in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted(name for name, _ in told) == sorted(name for name, _, _ in functions())
    routes = [route for _, trigger in told for route in re.findall(r"`([A-Z]+ /\S+)`", trigger)]
    assert set(routes) == {route for _, _, route in functions() if route}
    timers = {name for name, trigger in told if trigger.startswith("timer")}
    assert timers == {name for name, kind, _ in functions() if kind == "timer_trigger"}


def test_every_address_of_the_app_in_the_docs_is_a_route_of_it() -> None:
    known = {re.sub(r"{\w+}", "*", route.split()[1]) for _, _, route in functions() if route}
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for path in re.findall(r"mail\.contoso\.com(/api/[\w/.-]+)", pages):
        parts = path.split("/")
        assert {path, "/".join([*parts[:-1], "*"]), "/".join([*parts[:3], "*", *parts[4:]])} & known, path


def test_every_table_and_its_keys_are_in_the_docs() -> None:
    modules = (table_consents, table_leases, table_ledger, table_senders, table_waiting)
    tables = {module.TABLE for module in modules}
    assert {path.stem for path in (ROOT / "shared" / "adapters").glob("table_*.py")} - {"table_client"} == {
        module.__name__.rpartition(".")[2] for module in modules
    }
    whole = chapter(OPERATIONS, "Queues, tables and containers")
    assert set(re.findall(r"^\| table `(\w+)` \|", whole, re.MULTILINE)) == tables
    keys = section(OPERATIONS, "Keys, and why they scale")
    assert set(re.findall(r"^\| `(\w+)`", keys, re.MULTILINE)) == tables
    assert f"`{waiting.line_of('<sender>')}`" in keys
    assert f"`due-0` to `due-{waiting.DUE_SHARDS - 1}`" in keys


def seconds_of(file: str, name: str) -> str:
    """Return a duration that is a file's own."""
    source = (ROOT / "shared" / file).read_text("utf-8")
    found = re.search(rf"^{name}(?:: Final)? = timedelta\(seconds=(\d+)\)", source, re.MULTILINE)
    assert found, f"{file} has no {name}"
    return found[1]


def test_the_limits_across_instances_in_the_docs_are_those_of_the_code() -> None:
    told = chapter(OPERATIONS, "Limits across instances")
    defaults = Limits()
    assert (
        f"any sixty seconds ({defaults.messages_per_minute}), its connections ({defaults.connections})"
        in told
    )
    assert f"any 24 hours\n({defaults.recipients_per_day:,})" in told
    assert f"a lease of {pacing.PLACE_LEASE.seconds} seconds" in told
    assert f"within {pacing.PLACE_LEASE.seconds} seconds" in told
    assert f"good for {pacing.AT_ONCE_FOR.seconds} seconds" in told
    assert f"that {delivery.LOST_AFTER.seconds // 60} minutes have passed" in told
    assert f"a lease's last {seconds_of('desk.py', 'DROP_BEFORE')} seconds" in told
    assert f"one that rests for {seconds_of('tender.py', '_REST_WHEN_CROWDED')} seconds" in told
    assert f"ends within {seconds_of('pacer.py', '_LONGEST_PROMISE')} seconds" in told
    assert f"in their last {seconds_of('desk.py', 'DROP_BEFORE')} seconds" in OPERATIONS


def test_the_times_of_the_timer_and_of_an_outage_in_the_docs_are_those_of_the_code() -> None:
    assert f"the next {SOON.seconds} seconds" in section(OPERATIONS, "The timer `release`")
    probing = seconds_of("workflows/release.py", "_PROBE_FOR")
    assert f"After {probing} seconds no more are begun" in section(OPERATIONS, "The timer `release`")
    away = section(OPERATIONS, "When storage is away")
    assert f"for {seconds_of('scribe.py', '_STUBBORN_FOR')} seconds" in away
    assert f"the {delivery.LOST_AFTER.seconds // 60} minutes after which" in away


def test_the_probes_in_the_docs_come_when_the_code_has_them() -> None:
    now = datetime(2026, 11, 24, 7, 42, 16, tzinfo=UTC)
    hold = holds.new_hold("mailbox-full", "", proof=Proof.MESSAGE, now=now)
    waits = []
    for _ in range(8):
        assert hold.probe_at
        waits.append((hold.probe_at - now).seconds // 60 or 60)
        now = hold.probe_at
        hold = hold.probed(now)
    first, *middle = waits[:6]
    assert waits[6:] == [60, 60]
    *begin, last = (str(wait) for wait in middle)
    told = section(OPERATIONS, "Probes")
    assert (
        f"probed {first} minute after it was held, then after another {', '.join(begin)} and {last}" in told
    )


def test_what_holds_an_address_alone_and_what_escalates_is_as_the_docs_say() -> None:
    told = section(OPERATIONS, "Holds and pauses")
    assert f"nothing else for {holds.ESCALATES_AFTER.seconds // 3600} hours" in told
    assert f"a pause of {holds.TOKEN_PAUSE.seconds} seconds, and again" in told
    assert (
        judge_reply(Phase.MAIL, Reply(430, ("4.2.0 STOREDRV; mailbox logon failure",))).rule
        in holds.ESCALATING
    )
    assert (
        judge_reply(Phase.MAIL, Reply(451, ("4.7.0 Temporary server error. PRX5",))).rule in holds.ESCALATING
    )


def claimed(at: datetime) -> delivery.Entry:
    return first_claim(
        message_id="order-4711",
        content_hash="",
        sender="noreply",
        delivery=Delivery("a", 1),
        mail_id="",
        metadata={},
        now=at,
    )


def test_the_history_of_a_doubt_in_the_docs_is_what_the_ledger_has() -> None:
    first = claimed(datetime(2026, 11, 24, 7, 41, 59, tzinfo=UTC))
    (told,) = blocks(section(OPERATIONS, "Doubt"), "text")
    begun, taken_over, _ = told.splitlines()
    assert begun == f"{first.updated_at:%Y-%m-%d %H:%M:%S} {first.state.value} {first.attempt}"
    again = Delivery("a", 2)
    now = datetime(2026, 11, 24, 7, 52, 3, tzinfo=UTC)
    decided = delivery.claim(first, delivery=again, content_hash="", now=now)
    assert isinstance(decided, Take)
    entry = decided.entry
    assert taken_over == f"{now:%Y-%m-%d %H:%M:%S} {entry.state.value} {entry.attempt}  {entry.reason}"
    held = delivery.claim(first, delivery=again, content_hash="", now=now, hold_on_doubt=True)
    assert isinstance(held, Doubt)
    assert held.entry.state is State.IN_DOUBT
    lost, _, _ = CATALOGUE["in-doubt"].cause.partition(";")
    assert f"*{lost}*" in section(OPERATIONS, "Doubt").replace("\n", " ")


class OneState:
    """The store of the register, for one sender."""

    def __init__(self) -> None:
        self.state = SenderState("noreply")

    def load(self, sender: str) -> SenderState:
        assert sender == self.state.sender
        return self.state

    def save(self, state: SenderState) -> SenderState:
        self.state = state
        return state

    def all(self) -> list[SenderState]:
        return [self.state]


class OneInLine:
    """A waiting room in which one message waits."""

    def head(self, line: str, *, most: int) -> list[waiting.InLine]:
        return [waiting.InLine(line, "", "order-4711", 1)][:most]

    def move(self, line: str, into: str, *, most: int | None = None) -> int:
        raise AssertionError(f"{most} of {line} are not to be moved into {into}")

    join = leave = wait = due = forget = None


def held_as_in_the_docs() -> tuple[OneState, MemoryOutbox, senders.SendersTools, Callable[[datetime], None]]:
    """Hold the sender of administrators.md for what operations.md takes as its example."""
    (table,) = blocks(ADMINISTRATORS, "toml")
    mail = mail_config.read(tomllib.loads(table), "mail.toml", [])
    sender = mail.senders["noreply"]
    clock = [datetime(2026, 11, 24, 7, 42, 16, tzinfo=UTC)]
    store, queue = OneState(), MemoryOutbox()
    register = Register(store, pause=lambda _: None, jitter=lambda: 0)
    room: Any = OneInLine()
    tools = holding.Holds(
        register,
        room=room,
        outbox=MemoryOutbox(),
        events=Herald(queue, source="https://mail.contoso.com", opted_in=frozenset()),
        forget=lambda _: None,
        clock=lambda: clock[0],
    )
    refused = Reply(535, ("5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",))
    judgement = judge_reply(Phase.AUTH, refused)
    reason = remedies.explain(
        judgement.remedy, sender=sender, service=mail.services[sender.service], consent_url=""
    )
    tools.found(sender, Finding(judgement, Phase.AUTH, reason, sender.mailbox, clock[0]))
    looking = senders.SendersTools(register, room, tools, {"noreply": sender}, lambda: clock[0])
    return store, queue, looking, lambda now: clock.__setitem__(0, now)


def test_the_event_of_a_held_sender_in_the_docs_is_one_that_is_told() -> None:
    _, queue, _, _ = held_as_in_the_docs()
    (told,) = blocks(section(OPERATIONS, "What is told of senders"), "json")
    assert [json.loads(put.text) for put in queue.puts] == [json.loads(told)]
    kinds = {holding.HELD, holding.RESUMED, holding.CONSENT_REQUIRED}
    assert set(listed(section(OPERATIONS, "What is told of senders"))) == kinds


def test_the_senders_in_the_docs_are_as_they_are_shown() -> None:
    store, _, looking, pass_to = held_as_in_the_docs()
    state, held = store.state, store.state.hold
    assert isinstance(held, Hold)
    store.state = replace(
        state,
        hold=held.probed(datetime(2026, 11, 24, 7, 43, 20, tzinfo=UTC)),
        line=True,
        last_mail_at=datetime(2026, 11, 24, 7, 42, 14, tzinfo=UTC),
        pace=pacing.Pace(recipients=(pacing.Sent(datetime(2026, 11, 24, 7, 45, tzinfo=UTC), 412),)),
    )
    pass_to(datetime(2026, 11, 24, 7, 44, 31, tzinfo=UTC))
    (told,) = blocks(section(OPERATIONS, "How every sender stands"), "json")
    assert {"senders": senders.show_all(looking)} == json.loads(told)


def test_every_benchmark_is_in_the_docs_with_options_that_it_has() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `(.+)` \|$", section(LOCAL, "Benchmarks"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))
    for name, options in rows:
        source = (ROOT / "benchmarks" / f"{name}.py").read_text("utf-8")
        known = set(re.findall(r'"(--[\w-]+)"', source))
        assert set(re.findall(r"--[\w-]+", options)) <= known, name


def test_every_control_instruction_is_in_the_docs() -> None:
    told = section(LOCAL, "Misbehaviour on request")
    for name in ("entra_control.py", "vault_control.py"):
        source = (ROOT / "local" / "microsoft" / name).read_text("utf-8")
        instructions = re.findall(r'^- `"(\w+)"', source, re.MULTILINE)
        assert instructions
        assert [each for each in instructions if f"`{each}`" not in told] == []
