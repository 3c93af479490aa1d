"""docs/security.md names code and tests that are there."""

from __future__ import annotations

import re

from tests.pages import ROOT, section

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
TESTS = {
    name
    for path in ROOT.glob("tests/**/test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
}
HEADINGS = ("Tokens and secrets", "Consent", "Messages", "The way in over HTTP, and the deployment")


def rows(heading: str) -> list[list[str]]:
    lines = re.findall(r"^\| (.+) \|$", section(PAGE, heading), re.MULTILINE)
    return [[cell.strip() for cell in re.split(r" ?\| ?", line)] for line in lines[1:]]


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(named) > 40
    assert [name for name in named if name not in TESTS] == []


def test_every_threat_has_an_answer_and_most_have_code_and_a_test() -> None:
    found = [row for heading in HEADINGS for row in rows(heading)]
    assert len(found) > 20
    assert all(len(row) == 4 and row[0] and row[1] for row in found)
    # Of what an administrator gives to an app, Sendoff has neither.
    assert [row[0] for row in found if not row[2] or not row[3]] == [
        "an app that only sends reads others' mail"
    ]


def test_what_is_not_answered_is_said() -> None:
    assert len(re.findall(r"^- \*\*", section(PAGE, "What is not answered"), re.MULTILINE)) > 5
