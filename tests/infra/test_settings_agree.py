"""
Every setting stands in four places: in the code that reads it, the Bicep, the example and the documentation.

``python -m tests.infra.test_settings_agree`` prints the table of it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.infra.deployment import settings_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
STORAGE = "AzureWebJobsStorage"
#: Where each place is looked up.
PLACES = ("code", "bicep", "example", "docs")
#: What the Functions host and its Python worker read, with the page or the source that says so.
READ_BY_AZURE: Mapping[str, str] = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "host, exporter: App settings reference for Azure Functions",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "host and worker: App settings reference for Azure Functions",
    "AzureWebJobsStorage": "host: App settings reference for Azure Functions",
    "AzureWebJobsStorage__accountName": "host: Use managed identity for AzureWebJobsStorage",
    "AzureWebJobsStorage__blobServiceUri": "host: Use managed identity for AzureWebJobsStorage",
    "AzureWebJobsStorage__clientId": "host: Use managed identity for AzureWebJobsStorage",
    "AzureWebJobsStorage__credential": "host: Use managed identity for AzureWebJobsStorage",
    "AzureWebJobsStorage__queueServiceUri": "host: Use managed identity for AzureWebJobsStorage",
    "AzureWebJobsStorage__tableServiceUri": "host: Use managed identity for AzureWebJobsStorage",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "exporter: azure-monitor-opentelemetry, configurations.py",
    "OTEL_TRACES_SAMPLER": "exporter: azure-monitor-opentelemetry, configurations.py",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "worker: azure-functions-runtime, handle_event.py",
    "PYTHON_THREADPOOL_THREAD_COUNT": "worker: azure-functions-runtime, utils/threadpool.py",
}
ON_A_MACHINE = "one machine has a connection string, its own sign-in and no telemetry"
DEFAULT_DOES = "the default is right there, and an example should be short"
#: Where a setting is missing, and why it is right that it is.
MISSING: Mapping[str, Mapping[str, str]] = {
    "bicep": {
        STORAGE: "the account takes no key: it is named for the identity",
        "KEY_VAULT_VERIFY_CHALLENGE": "false is for an emulator; Azure's vault is verified",
        "MAIL_CONFIG": "the package has its mail.toml beside function_app.py",
        "RELEASE_SCHEDULE": "the default is the one that nothing is late with",
        "UPKEEP_SCHEDULE": "the default is the one that tokens last with",
        "WEBSITE_HOSTNAME": "Azure sets it",
    },
    "example": {
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": ON_A_MACHINE,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": ON_A_MACHINE,
        "AZURE_CLIENT_ID": ON_A_MACHINE,
        "AzureWebJobsStorage__accountName": ON_A_MACHINE,
        "AzureWebJobsStorage__blobServiceUri": ON_A_MACHINE,
        "AzureWebJobsStorage__clientId": ON_A_MACHINE,
        "AzureWebJobsStorage__credential": ON_A_MACHINE,
        "AzureWebJobsStorage__queueServiceUri": ON_A_MACHINE,
        "AzureWebJobsStorage__tableServiceUri": ON_A_MACHINE,
        "EVENTS_QUEUE": DEFAULT_DOES,
        "KEY_VAULT_VERIFY_CHALLENGE": "false is for an emulator, and the example names a vault of Azure's",
        "LEDGER_RETENTION_DAYS": DEFAULT_DOES,
        "MAIL_CONFIG": "the example names one mailbox, and mail.toml is then not read",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ON_A_MACHINE,
        "OTEL_TRACES_SAMPLER": ON_A_MACHINE,
        "OUTBOX_QUEUE": DEFAULT_DOES,
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": ON_A_MACHINE,
        "SIGN_IN_AS": "the example's mailbox signs in itself",
        "UPKEEP_SCHEDULE": DEFAULT_DOES,
        "WEBSITE_HOSTNAME": "Azure sets it",
    },
    "code": {},
    "docs": {},
}
#: Settings of the local host alone, which the page has a table of its own for.
LOCAL = {"LOCAL_FUNCTION_KEY"}


def read_in_code() -> frozenset[str]:
    """Return the names that are asked of an environment anywhere in ``shared`` and function_app.py."""
    files = [ROOT / "function_app.py", *sorted((ROOT / "shared").rglob("*.py"))]
    return frozenset(name for path in files for name in _asked_in(ast.parse(path.read_text("utf-8"))))


def _asked_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_environ(node.value):
            yield from _names(node.slice)
        elif isinstance(node, ast.Call):
            if (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and _is_environ(node.func.value)
            ):
                yield from _names(node.args[0])
            elif node.args and _is_environ(node.args[0]) and len(node.args) > 1:
                # A reader of the module that is handed the environment and a name.
                yield from (each for each in _names(node.args[1], strict=False))


def _is_environ(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name == "environ"


def _names(node: ast.expr, *, strict: bool = True) -> Iterator[str]:
    """Return the names that an expression stands for: a literal, STORAGE, or an f-string of the two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id == "STORAGE":
        yield STORAGE
    elif isinstance(node, ast.JoinedStr):
        text = ast.unparse(node)[2:-1].replace("{STORAGE}", STORAGE)
        yield from (text.replace("{kind}", kind) for kind in ("queue", "table", "blob"))
    elif strict and not (isinstance(node, ast.Name) and node.id == "name"):
        raise AssertionError(f"a setting is read under a name that is not written: {ast.unparse(node)}")


def in_the_example() -> frozenset[str]:
    return frozenset(json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"])


def in_the_docs() -> frozenset[str]:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    app_settings = page.partition("## App settings")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^\| `(\w+)` \|", app_settings, re.MULTILINE))


FOUND: Mapping[str, frozenset[str]] = {
    "code": read_in_code() | READ_BY_AZURE.keys(),
    "bicep": settings_set(),
    "example": in_the_example(),
    "docs": in_the_docs(),
}
EVERY = sorted(frozenset().union(*FOUND.values()), key=str.casefold)


def test_the_code_is_read_well_enough() -> None:
    found = read_in_code()
    assert {"MAILBOX", "SIGN_IN_AS", "LEDGER_RETENTION_DAYS", STORAGE, f"{STORAGE}__clientId"} <= found
    assert {f"{STORAGE}__{kind}ServiceUri" for kind in ("queue", "table", "blob")} <= found


def test_settings_are_read_in_two_files_and_nowhere_else() -> None:
    readers = {
        path.name
        for path in (ROOT / "shared").rglob("*.py")
        if set(_asked_in(ast.parse(path.read_text("utf-8"))))
    }
    assert readers == {"settings.py", "mail_config.py"}


@pytest.mark.parametrize("name", EVERY)
def test_a_setting_stands_in_all_four_places_or_it_is_said_why_not(name: str) -> None:
    missing = {place for place in PLACES if name not in FOUND[place]}
    assert missing == {place for place in PLACES if name in MISSING[place]}


def test_a_reason_is_given_for_settings_only() -> None:
    assert {name for reasons in MISSING.values() for name in reasons} <= set(EVERY)
    assert not LOCAL & set(EVERY)


def table() -> str:
    """Return the four places of every setting, and why one is missing where it is."""
    lines = ["| setting | code | Bicep | example | docs | why not |", "|---|---|---|---|---|---|"]
    for name in EVERY:
        marks = ["yes" if name in FOUND[place] else "–" for place in PLACES]
        if name not in read_in_code():
            marks[0] = READ_BY_AZURE[name].partition(":")[0]
        reasons = [f"{place}: {MISSING[place][name]}" for place in PLACES if name in MISSING[place]]
        lines.append(f"| `{name}` | {' | '.join(marks)} | {'; '.join(reasons)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
