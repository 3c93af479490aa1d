"""
Who may do what: the roles that are granted, on what, to whom, and why.

``python -m tests.infra.test_roles`` prints the table of it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.infra.bicep import INFRA, properties, read
from tests.infra.deployment import TENANT, deploy, roles_granted

ROOT = Path(__file__).resolve().parents[2]
ROLES = tomllib.loads((Path(__file__).parent / "roles.toml").read_text("utf-8"))
FILE = read(INFRA / "app" / "roles.bicep")
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
OTHER = "22222222-3333-4444-8555-666666666666"


def granted(**parameters: Any) -> set[tuple[str, str, str]]:
    """Return each grant: role, what it is on, and to whom."""
    names = {each["id"]: name for name, each in ROLES.items()}
    return {
        (names[role], scope, "app" if whom in (TENANT, OTHER) else "identity")
        for role, scope, whom in roles_granted(**parameters)
    }


def test_the_identity_is_granted_what_the_code_needs_and_no_more() -> None:
    assert granted() == {
        ("storageQueueDataContributor", "account", "identity"),
        ("storageTableDataContributor", "account", "identity"),
        ("storageBlobDataOwner", "account", "identity"),
        ("keyVaultSecretsOfficer", "vault", "identity"),
        ("monitoringMetricsPublisher", "applicationInsights", "identity"),
    }


def test_an_app_that_drops_mail_may_write_to_one_queue_and_one_container() -> None:
    assert granted(mailAppPrincipalIds=f"{TENANT},{OTHER}") - granted() == {
        ("storageQueueDataMessageSender", "outbox", "app"),
        ("storageBlobDataContributor", "payloads", "app"),
    }
    assert len(deploy(mailAppPrincipalIds=f"{TENANT},{OTHER}").of_type(ASSIGNMENT)) == 5 + 2 * 2


def test_the_ids_of_roles_are_those_that_were_looked_up() -> None:
    ids = FILE.declarations["roleIds"].value
    assert ids is not None
    written = {name: value.named_children[0].text for name, value in properties(ids).items()}
    assert written == {name: each["id"].encode() for name, each in ROLES.items()}
    for name, each in ROLES.items():
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each["id"])
        assert each["source"].endswith("#" + each["name"].casefold().replace(" ", "-"))
        assert name.casefold() == each["name"].casefold().replace(" ", "")


def test_each_role_has_code_that_needs_it() -> None:
    assert [
        path for each in ROLES.values() for path in each["needed_by"] if not (ROOT / path).is_file()
    ] == []


def test_each_grant_has_its_reason_above_it() -> None:
    lines = FILE.path.read_text("utf-8").splitlines()
    for each in FILE.of_kind("resource").values():
        if each.resource_type == ASSIGNMENT:
            above = lines[each.node.start_point[0] - 1]
            assert above.startswith("// "), each.name
            assert above.endswith("."), each.name


def test_a_grant_is_named_after_scope_principal_and_role_so_that_it_is_made_once() -> None:
    text = FILE.path.read_text("utf-8")
    names = re.findall(r"name: guid\((\w+)\.id, (\w+), roleIds\.(\w+)\)", text)
    scopes = re.findall(r"scope: (\w+)", text)
    roles = re.findall(r"roleDefinitions', roleIds\.(\w+)\)", text)
    assert [name[0] for name in names] == scopes
    assert [name[2] for name in names] == roles
    assert len(names) == len(
        [each for each in FILE.declarations.values() if each.type.startswith(ASSIGNMENT)]
    )
    assert deploy().of_type(ASSIGNMENT)[0].name != deploy(environmentName="o").of_type(ASSIGNMENT)[0].name


def test_a_principal_is_said_to_be_a_service_so_that_a_new_one_is_not_looked_for_too_early() -> None:
    made = deploy(mailAppPrincipalIds=TENANT).of_type(ASSIGNMENT)
    assert {each.body["properties"]["principalType"] for each in made} == {"ServicePrincipal"}


def table() -> str:
    """Return each grant with the code that needs it."""
    lines = ["| role | on | to | needed by |", "|---|---|---|---|"]
    for role, scope, whom in sorted(granted(mailAppPrincipalIds=TENANT)):
        needed = ", ".join(f"`{path}`" for path in ROLES[role]["needed_by"])
        to = "each app that drops mail" if whom == "app" else "Sendoff's identity"
        lines.append(f"| {ROLES[role]['name']} | `{scope}` | {to} | {needed} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
