"""The pages around the code, and how the tests that hold them to it read them."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from shared import mail_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.sender import Sender

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "infra" / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
]
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


def functions() -> Iterator[tuple[str, str, str]]:
    """Give name, kind of trigger and each route of each function in function_app.py."""
    for node in ast.parse((ROOT / "function_app.py").read_text("utf-8")).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            assert isinstance(call, ast.Call)
            assert isinstance(call.func, ast.Attribute)
            assert isinstance(node, ast.FunctionDef)
            if not call.args:
                yield node.name, call.func.attr, ""
            for each in call.keywords:
                if each.arg == "methods":
                    for method in ast.literal_eval(each.value):
                        yield node.name, call.func.attr, f"{method} /api/{ast.literal_eval(call.args[0])}"


def seconds_of(file: str, name: str) -> str:
    """Return a duration that is a file's own."""
    source = (ROOT / "shared" / file).read_text("utf-8")
    found = re.search(rf"^{name}(?:: Final)? = timedelta\(seconds=(\d+)\)", source, re.MULTILINE)
    assert found, f"{file} has no {name}"
    return found[1]


def senders_of_the_docs() -> Mapping[str, Sender]:
    """Return the senders of the mail.toml that administrators.md shows."""
    (table,) = blocks(ADMINISTRATORS, "toml")
    return mail_config.read(tomllib.loads(table), "mail.toml", []).senders
