"""What GitHub reads of this repository: workflows, issue forms, the page on security."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import tree_sitter_bash
import tree_sitter_powershell
import yaml  # type: ignore[import-untyped]  # it comes without types
from tree_sitter import Language, Parser

from tests.pages import ROOT, anchors, without_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")
GRAMMARS = {"bash": tree_sitter_bash, "pwsh": tree_sitter_powershell}


def read(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def scripts(path: Path) -> str:
    return "\n".join(step.get("run", "") for step in steps(path))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_only_and_ends_by_itself(path: Path) -> None:
    workflow = read(path)
    # YAML 1.1 reads the key "on" as true.
    assert set(workflow[True]) <= {"push", "pull_request", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text("utf-8")
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert checkout["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_githubs_own_in_a_fixed_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert [each for each in used if not re.fullmatch(r"actions/[\w-]+@v\d+", each)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_script_in_a_workflow_can_be_parsed(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            language = Language(GRAMMARS[step.get("shell", "bash")].language())
            assert not Parser(language).parse(step["run"].encode()).root_node.has_error, step["run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_file_that_a_workflow_names_is_there(path: Path) -> None:
    named = re.findall(r"(?<![\w/.$}])((?:infra|docs|\.ci)/[\w./-]+\w)", scripts(path))
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_the_tests_run_on_each_python_that_is_supported() -> None:
    (job,) = read(ROOT / ".github/workflows/checks.yml")["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][-1]["run"] == ".ci/run"


def test_what_cannot_be_had_everywhere_is_run_in_ci() -> None:
    ran = scripts(ROOT / ".github/workflows/infra.yml")
    for command in (
        "az bicep build --file infra/main.bicep",
        "az bicep lint --file infra/main.bicep",
        "Invoke-ScriptAnalyzer -Path infra/exchange.ps1",
        "shellcheck infra/app-registration.sh",
        "func start",
        "azurite ",
        "/api/health",
    ):
        assert command in ran


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_one_that_github_shows(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    assert set(form) <= {"name", "description", "title", "labels", "assignees", "body"}
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    assert fields
    assert all({"type", "id", "attributes"} <= set(each) for each in fields)
    assert {each["type"] for each in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    names = [each["id"] for each in fields]
    assert len(set(names)) == len(names)


def test_there_is_a_form_for_a_bug_a_question_and_a_wish() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature", "question"]


def test_a_bug_report_asks_for_what_is_needed_and_warns_of_secrets() -> None:
    form = read(ROOT / ".github/ISSUE_TEMPLATE/bug.yml")
    ids = {each.get("id") for each in form["body"]}
    assert {"what", "word", "reply", "versions"} <= ids
    assert "no token, client secret, function key" in form["body"][0]["attributes"]["value"]
    clean = next(each for each in form["body"] if each.get("id") == "clean")
    assert clean["attributes"]["options"][0]["required"] is True


def test_the_page_on_security_names_githubs_private_reports_and_no_address() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in page
    assert not re.search(r"[\w.-]+@[\w-]+\.\w+", page)
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page))
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        assert not anchor or anchor in anchors(ROOT / path), link
