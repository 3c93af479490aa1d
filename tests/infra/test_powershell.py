"""infra/exchange.ps1, as far as it can be held to its word without PowerShell: parsed, and read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from shared.core.service import CLOUDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "exchange.ps1"
KNOWN = tomllib.loads(Path(__file__).with_name("cmdlets.toml").read_text("utf-8"))
CMDLETS = {name: parameters for group in KNOWN.values() for name, parameters in group.items()}
READING = ("Get-", "Test-", "Find-", "Connect-")
CONNECTS = {"public": "O365Default", "usgov": "O365USGovGCCHigh", "dod": "O365USGovDoD", "china": "O365China"}


def text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from below(child)


def above(node: Node) -> Iterator[Node]:
    while node.parent is not None:
        node = node.parent
        yield node


ROOT = Parser(Language(tree_sitter_powershell.language())).parse(SCRIPT.read_bytes()).root_node
COMMANDS = [node for node in below(ROOT) if node.type == "command"]
OWN = {text(node) for node in below(ROOT) if node.type == "function_name"}


def name_of(command: Node) -> str:
    return text(next(node for node in command.children if node.type == "command_name"))


def parameters_of(command: Node) -> list[str]:
    elements = next((node for node in command.children if node.type == "command_elements"), None)
    found = [node for node in elements.children if node.type == "command_parameter"] if elements else []
    return [re.sub(r":.*", "", text(node)).lstrip("-") for node in found]


def changing() -> list[Node]:
    exchange = KNOWN["exchange"]
    return [node for node in COMMANDS if name_of(node) in exchange and not name_of(node).startswith(READING)]


def test_it_is_powershell_through_and_through() -> None:
    wrong = [(node.type, node.start_point) for node in below(ROOT) if node.is_error or node.is_missing]
    assert wrong == []


def test_only_cmdlets_are_used_that_are_documented() -> None:
    assert {name_of(node) for node in COMMANDS} - OWN - set(CMDLETS) == {"az"}


def test_only_parameters_are_used_that_are_documented() -> None:
    wrong = [
        (name_of(node), parameter)
        for node in COMMANDS
        if name_of(node) in CMDLETS
        for parameter in parameters_of(node)
        if parameter not in CMDLETS[name_of(node)]
    ]
    assert wrong == []


def test_every_cmdlet_of_the_list_is_used() -> None:
    assert set(CMDLETS) <= {name_of(node) for node in COMMANDS}


def test_what_it_changes_is_what_sendoff_needs() -> None:
    assert sorted(name_of(node) for node in changing()) == [
        "Add-MailboxPermission",
        "Add-RecipientPermission",
        "New-ManagementRoleAssignment",
        "New-ManagementScope",
        "New-ServicePrincipal",
        "Set-CASMailbox",
        "Set-ManagementScope",
    ]


@pytest.mark.parametrize("command", changing(), ids=name_of)
def test_each_change_stands_behind_a_check_and_shouldprocess(command: Node) -> None:
    condition = next(
        text(found.child_by_field_name("condition") or found.named_children[0])
        for found in above(command)
        if found.type == "if_statement"
    )
    check, _, permission = condition.rpartition("-and")
    assert re.search(r"-not \(.*Test-\w+ ", check, re.DOTALL)
    assert re.match(r"\s*\$PSCmdlet\.ShouldProcess\(", permission)


@pytest.mark.parametrize("command", changing(), ids=name_of)
def test_no_change_is_made_within_a_function(command: Node) -> None:
    # $PSCmdlet there would be the function's own, which knows nothing of -WhatIf.
    assert [node.type for node in above(command) if node.type == "function_statement"] == []


def test_the_script_itself_supports_whatif() -> None:
    attributes = [text(node) for node in below(ROOT) if node.type == "attribute"]
    assert any(re.match(r"\[?CmdletBinding\(SupportsShouldProcess = \$true", each) for each in attributes)


def test_every_check_that_guards_a_change_is_made_again_at_the_end() -> None:
    source = SCRIPT.read_text("utf-8")
    before, end = source.split("# 7. The check")
    guards = set(re.findall(r"-not \(.*?(Test-\w+) \$", before.split("# 4. ")[1]))
    # Whether a scope of that name is there at all is part of whether it is the group's.
    assert guards - {"Test-ScopeExists"} <= set(re.findall(r"Test-\w+", end))
    assert re.search(r"if \(\$notOk -gt 0\) \{.*exit 1\s+\}\s+exit 0\s*$", end, re.DOTALL)


def test_each_function_reads_only_or_prints() -> None:
    for function in (node for node in below(ROOT) if node.type == "function_statement"):
        used = {name_of(node) for node in below(function) if node.type == "command"}
        assert [each for each in used & set(KNOWN["exchange"]) if not each.startswith(READING)] == []


def test_it_connects_to_each_cloud_that_mail_toml_knows() -> None:
    (table,) = re.findall(r"\$environments = @\{(.+?)\}", SCRIPT.read_text("utf-8"))
    assert dict(re.findall(r"(\w+) = '(\w+)'", table)) == CONNECTS
    (known,) = re.findall(r"\[ValidateSet\((.+?)\)\]\s+\[string\] \$Connect", SCRIPT.read_text("utf-8"))
    assert re.findall(r"'(\w+)'", known) == list(CONNECTS) == list(CLOUDS)


def test_a_wrong_object_id_is_refused_before_anything_is_changed() -> None:
    first = min(node.start_byte for node in changing())
    thrown = [node.start_byte for node in below(ROOT) if text(node).startswith("throw ")]
    assert len(thrown) >= 3
    assert max(thrown) < first


def test_the_parameters_are_those_of_mail_toml() -> None:
    declared = [
        text(node.named_children[-1] if node.named_children[-1].type == "variable" else node)
        for node in below(ROOT)
        if node.type == "script_parameter" and not any(up.type == "function_statement" for up in above(node))
    ]
    names = {found for each in declared for found in re.findall(r"\$([A-Z]\w+)", each)}
    assert names == {
        "Mailbox",
        "SignInAs",
        "AlsoFrom",
        "AppOnly",
        "AppRbac",
        "ClientId",
        "EnterpriseObjectId",
        "Scope",
        "Connect",
    }
