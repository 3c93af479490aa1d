"""The words around the code are true: links resolve, and what tables list is what the code reads."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.host.instance import KEY_SETTING
from shared import mail_config, settings
from shared.core.connection import WARM_FOR, WARN_BEFORE
from shared.core.grant import FRESH_ENOUGH, IDLE_REFRESH
from shared.core.sender import Limits
from shared.core.service import CLOUDS, CredentialKind, Custom, GrantKind, Microsoft, Service
from shared.errors import SettingsError
from tests.infra.deployment import settings_set
from tests.pages import (
    ADMINISTRATORS,
    EXAMPLE,
    LOCAL,
    PAGES,
    ROOT,
    SETTINGS,
    anchors,
    blocks,
    functions,
    listed,
    section,
    without_code,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


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


#: What the Functions host, its worker or the exporter reads, and Sendoff does not.
READ_BY_OTHERS = {
    "AzureWebJobsStorage__credential",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_TRACES_SAMPLER",
}


def settings_that_are_read() -> set[str]:
    names: set[str] = set()
    for values in ({}, {"MAILBOX": "noreply@contoso.com"}):
        environ = Asked({**values, "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true"})
        settings.bindings(environ)
        settings.lines_at_a_time(environ)
        settings.telemetry_is_on(environ)
        with pytest.raises(SettingsError):
            settings.load(environ, root=ROOT)
        names |= environ.names
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_json_in_the_docs_is_json(page: Path) -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert all(isinstance(json.loads(block), dict) for block in blocks)


def test_the_app_settings_in_the_docs_are_those_that_are_read() -> None:
    known = settings_that_are_read() | READ_BY_OTHERS
    assert sorted(known) == sorted(listed(section(SETTINGS, "App settings")))


def test_every_setting_that_is_set_in_azure_is_in_the_docs() -> None:
    assert settings_set() <= set(listed(section(SETTINGS, "App settings")))


def test_the_setting_of_the_local_host_is_in_the_docs() -> None:
    assert listed(section(SETTINGS, "Settings of the local host alone")) == [KEY_SETTING]


def test_the_example_of_local_settings_names_settings_only() -> None:
    assert set(EXAMPLE["Values"]) <= settings_that_are_read() | READ_BY_OTHERS


def test_what_a_single_mailbox_proves_itself_with_is_what_a_service_may_have() -> None:
    (told,) = [cells[1] for cells in rows("App settings") if cells[0] == "`OAUTH_CREDENTIAL`"]
    assert re.findall(r"`(\w+)`", told)[1:4] == words("credential")
    assert re.search(r"`secret`, the default", told)


def test_the_price_of_doing_nothing_is_that_of_the_page_about_cost() -> None:
    (told,) = re.findall(r"about (\d+) dollars a month\]\(docs/cost\.md\)", PAGES[0].read_text("utf-8"))
    cost = (ROOT / "docs" / "cost.md").read_text("utf-8")
    assert f"Idle, Sendoff costs about {told} dollars a month" in cost


def keys_that_are_known() -> Iterator[tuple[str, list[str]]]:
    """Give each kind of table with its keys, as the reader itself names them when it meets a strange one."""
    strange = {"?": 1}
    config = {
        "services": {kind: {"type": kind, **strange} for kind in ("microsoft", "custom")},
        "senders": {"s": {**strange, "smtp": dict(strange), "limits": dict(strange)}},
        "events": dict(strange),
    }
    problems: list[str] = []
    mail_config.read(config, "mail.toml", problems)
    for problem in problems:
        if found := re.fullmatch(r"mail\.toml: (\S+)\.\?: it is not known here; known are (.+)", problem):
            table, _, kind = found[1].partition("services.")
            heading = f"Type `{kind}`" if kind else f"`[{table.replace('s.s', 's.<name>')}]`"
            yield heading, found[2].split(", ")


@pytest.mark.parametrize(("heading", "keys"), list(keys_that_are_known()), ids=lambda value: str(value)[:24])
def test_the_keys_of_mail_toml_in_the_docs_are_those_that_are_read(heading: str, keys: list[str]) -> None:
    assert sorted(keys) == sorted(listed(section(SETTINGS, heading)))


def test_every_kind_of_table_in_mail_toml_is_in_the_docs() -> None:
    headings = re.findall(r"^### (`\[.+\]`)$|^#### (Type .+`)$", SETTINGS, re.MULTILINE)
    known = [heading for heading, _ in keys_that_are_known()]
    assert sorted([*known, "`[services.<name>]`"]) == sorted("".join(each) for each in headings)


def said_of(table: str) -> str:
    problems: list[str] = []
    mail_config.read(tomllib.loads(table), "mail.toml", problems)
    return "\n".join(problems)


def test_what_stands_at_the_top_of_mail_toml_is_in_the_docs() -> None:
    (known,) = re.findall(r"^mail\.toml: \?: .* known are (.+)$", said_of('"?" = 1'), re.MULTILINE)
    top = listed(section(SETTINGS, "At the top of the file"))
    assert sorted(known.split(", ")) == sorted([*top, "services", "senders", "events"])


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    lines = [line for line in section(SETTINGS, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(key: str, kind: str = "microsoft") -> list[str]:
    """Return what a key of a service may have, as the reader names it."""
    found = re.search(
        rf"\.{key}: .* write one of (.+)$",
        said_of(f"[services.s]\ntype = '{kind}'\n{key} = '?'"),
        re.MULTILINE,
    )
    assert found
    return re.findall(r'"(\w+)"', found[1])


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("microsoft", "grant"),
        ("microsoft", "credential"),
        ("microsoft", "cloud"),
        ("custom", "grant"),
        ("custom", "client_authentication"),
    ],
)
def test_every_word_that_a_key_of_a_service_takes_is_in_the_docs_and_the_default_is_the_first(
    kind: str, key: str
) -> None:
    (told,) = [cells[1] for cells in rows(f"Type `{kind}`") if cells[0] == f"`{key}`"]
    assert re.findall(r'`"(\w+)"`', told) == words(key, kind)
    assert re.search(r'`"(\w+)"`, the default', told)


def test_the_parameters_that_nobody_may_write_over_are_in_the_docs() -> None:
    (told,) = [cells[1] for cells in rows("Type `custom`") if cells[0] == "`authorize_params`"]
    names = re.findall(r"`(\w+)`", told.partition("refused: ")[2])
    given = "\n".join(f"{name} = 'x'" for name in (*names, "access_type", "prompt"))
    said = said_of(f"[services.s]\ntype = 'custom'\n[services.s.authorize_params]\n{given}")
    assert names == re.findall(r"authorize_params\.(\w+): it is Sendoff's own", said)


def test_the_clouds_in_the_docs_are_those_of_the_code() -> None:
    assert rows("Clouds") == [
        [
            f"`{each}`"
            for each in (cloud.name, cloud.login_host, cloud.smtp_host, cloud.smtp_scope, cloud.app_scope)
        ]
        for cloud in CLOUDS.values()
    ]


SERVICES: dict[str, Microsoft | Custom] = {
    "microsoft": Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com"),
    "custom": Custom("https://a.example/authorize", "https://a.example/token"),
}
WRITTEN = {
    "microsoft": "tenant = 'contoso.com'",
    "custom": "authorization_endpoint = 'https://a.example'\ntoken_endpoint = 'https://a.example'\n"
    "offline_scopes = 'mail.send'",
}


def test_each_type_grant_and_credential_that_can_be_written_is_in_the_docs_with_its_secret() -> None:
    told = [cells[:4] for cells in rows("Type, grant and credential")]
    known = []
    for kind, provider in SERVICES.items():
        for grant in GrantKind:
            for credential in CredentialKind:
                text = (
                    f"[services.main]\ntype = '{kind}'\nclient_id = 'x'\ngrant = '{grant.value}'\n"
                    f"credential = '{credential.value}'\n{WRITTEN[kind]}\n"
                )
                if "services.main" in said_of(text):
                    continue
                name = Service("main", "x", provider, grant, credential).credential_name
                row = [f"`{kind}`", f"`{grant.value}`", f"`{credential.value}`"]
                known.append([*row, f"`{name}`" if name else "nothing"])
    assert told == known


def test_how_long_upkeep_waits_is_in_the_docs() -> None:
    (told,) = [cells[1] for cells in rows("App settings") if cells[0] == "`UPKEEP_SCHEDULE`"]
    assert f"less than {FRESH_ENOUGH // timedelta(minutes=1)} minutes left" in told
    assert f"in the last {WARM_FOR // timedelta(hours=1)} hours" in told
    assert f"once in {IDLE_REFRESH // timedelta(hours=1)} hours" in told


def test_how_long_before_its_end_a_credential_is_told_is_in_the_docs() -> None:
    first, second, last = (each.days for each in WARN_BEFORE)
    assert f"warns {first} days, {second} days and {last} day before" in " ".join(SETTINGS.split())


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


def test_every_function_is_in_the_readme_with_its_route() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \|", PAGES[0].read_text("utf-8"), re.MULTILINE)
    told = [(name, trigger) for names, trigger in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted(name for name, _ in told) == sorted({name for name, _, _ in functions()})
    routes = [
        (name, route)
        for names, trigger in rows
        for route in re.findall(r"`([A-Z]+ /\S+)`", trigger)
        for name in re.findall(r"`(\w+)`", names)
    ]
    known = {(name, route) for name, _, route in functions() if route}
    assert known <= set(routes)
    assert {route for _, route in routes} == {route for _, route in known}
    timers = {name for name, trigger in told if trigger.startswith("timer")}
    assert timers == {name for name, kind, _ in functions() if kind == "timer_trigger"}


def test_every_address_of_the_app_in_the_docs_is_a_route_of_it() -> None:
    known = {re.sub(r"{\w+}", "*", route.split()[1]) for _, _, route in functions() if route}
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for path in re.findall(r"mail\.contoso\.com(/api/[\w/.-]+)", pages):
        parts = path.split("/")
        assert {path, "/".join([*parts[:-1], "*"]), "/".join([*parts[:3], "*", *parts[4:]])} & known, path


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
