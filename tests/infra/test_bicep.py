"""The Bicep, held to its word as far as that goes without Azure: names, modules, types, properties."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.bicep import FILES, INFRA, MAIN, File, parts, plain, properties, read, text_of, walk
from tests.infra.bicep_names import FUNCTIONS, used
from tests.infra.bicep_values import Later, Reference
from tests.infra.deployment import TENANT, deploy

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = tomllib.loads((Path(__file__).parent / "api_versions.toml").read_text("utf-8"))
EVERYTHING: dict[str, Any] = {
    "alertEmails": "ops@contoso.com",
    "appOnly": True,
    "mailAppPrincipalIds": TENANT,
    "publicUrl": "https://mail.contoso.com",
    "signInAs": "svc-mail@contoso.com",
    "vnetEnabled": True,
}
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


@each_file
def test_every_file_parses(path: Path) -> None:
    assert read(path).declarations


@each_file
def test_every_name_that_is_used_is_declared(path: Path) -> None:
    file = read(path)
    known = {"name": set(file.declarations), "function": FUNCTIONS | set(file.of_kind("func"))}
    assert [f"{line}: {name}" for kind, name, line in used(file) if name not in known[kind]] == []


@each_file
def test_everything_that_is_declared_is_used_or_made(path: Path) -> None:
    file = read(path)
    named = {name for _, name, _ in used(file)}
    idle = [
        name
        for name, each in file.declarations.items()
        if name not in named and (each.kind in ("param", "var", "func") or each.is_existing)
    ]
    assert idle == []


@each_file
def test_every_parameter_and_function_says_what_it_is(path: Path) -> None:
    described = {**read(path).of_kind("param"), **read(path).of_kind("func")}
    assert [name for name, each in described.items() if "description" not in each.decorators] == []


def modules() -> Iterator[tuple[str, File, dict[str, Any]]]:
    for name, each in read(MAIN).of_kind("module").items():
        assert each.value is not None
        yield name, read(INFRA / each.type), properties(each.value)


def test_every_file_of_app_is_a_module_of_main() -> None:
    assert {file.path for _, file, _ in modules()} == set(FILES) - {MAIN}


def test_every_module_is_given_all_that_it_needs_and_nothing_else() -> None:
    wrong = []
    for name, file, body in modules():
        given = set(properties(body["params"]))
        takes = file.of_kind("param")
        needs = {key for key, each in takes.items() if each.value is None}
        wrong += [f"{name}: {key}" for key in (given - takes.keys()) | (needs - given)]
    assert wrong == []


def test_every_output_of_a_module_that_main_reads_is_there() -> None:
    outputs = {name: file.outputs for name, file, _ in modules()}
    read_ones = set()
    for node in walk(read(MAIN).root):
        match = re.fullmatch(r"(\w+)!?\.outputs\.(\w+)", text_of(node))
        if node.type == "member_expression" and match:
            read_ones.add((match[1], match[2]))
    assert read_ones
    assert [f"{module}.{key}" for module, key in read_ones if key not in outputs[module]] == []


def test_every_module_is_deployed_into_the_one_resource_group() -> None:
    assert {text_of(body["scope"]) for _, _, body in modules()} == {"group"}
    assert [plain(body["name"]) for _, _, body in modules()] == [file.path.stem for _, file, _ in modules()]


@each_file
def test_every_type_and_version_is_one_that_was_looked_up(path: Path) -> None:
    for each in read(path).of_kind("resource").values():
        assert each.resource_type in TYPES, each.type
        assert each.version == TYPES[each.resource_type]["version"], each.type


def test_no_type_is_listed_that_nothing_uses_and_each_has_its_source() -> None:
    assert {each.resource_type for path in FILES for each in read(path).of_kind("resource").values()} == set(
        TYPES
    )
    for name, each in TYPES.items():
        namespace = name.partition("/")[0].casefold()
        assert re.match(r"https://github\.com/\w+/[\w-]+/blob/[0-9a-f]{40}/", each["source"])
        assert f"/{namespace}/{each['version']}/" in each["source"]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            yield from leaves(each, f"{path}[]")
    else:
        yield path


def test_every_property_that_is_written_is_one_that_was_looked_up() -> None:
    unknown, seen = set(), set()
    for made in (deploy(**EVERYTHING), deploy()):
        for each in made.resources:
            listed = TYPES[each.type]["properties"]
            body = {
                key: value for key, value in each.body.items() if key not in ("parent", "scope", "dependsOn")
            }
            for leaf in leaves(body):
                known = [
                    entry
                    for entry in listed
                    if leaf == entry
                    or entry.startswith((f"{leaf}.", f"{leaf}[]"))
                    or (entry.endswith(".*") and leaf.startswith(entry[:-1]))
                ]
                seen |= {(each.type, entry) for entry in known}
                if not known:
                    unknown.add(f"{each.type}: {leaf}")
    assert unknown == set()
    assert {(name, entry) for name, each in TYPES.items() for entry in each["properties"]} - seen == set()


def test_the_graph_extension_is_named_where_it_is_used() -> None:
    config = json.loads((INFRA / "bicepconfig.json").read_text("utf-8"))
    assert {path.stem: read(path).extensions for path in FILES if read(path).extensions} == {
        "registration": tuple(config["extensions"])
    }
    for path in FILES:
        graph = [each for each in read(path).of_kind("resource").values() if "Graph/" in each.type]
        assert bool(graph) == bool(read(path).extensions)


@each_file
def test_nothing_in_it_is_a_secret_or_asks_for_one(path: Path) -> None:
    text = path.read_text("utf-8")
    code = re.sub(r"//.*", "", text)
    assert (
        re.findall(r"(?i)\blist\w*\(|\bgetSecret\(|@secure\(|AccountKey=|SharedAccess\w*=|\bsig=", code) == []
    )
    long_words = [
        word
        for word in re.findall(r"'([A-Za-z0-9+/=_~-]{24,})'", code)
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", word)
    ]
    # Names of columns and of resources read as words; a secret has digits among its letters.
    assert [word for word in long_words if re.search(r"\d", word) and "/" not in word] == []


def test_a_second_deployment_of_the_same_parameters_asks_for_the_same() -> None:
    for path in FILES:
        assert re.findall(r"\b(newGuid|utcNow|dateTimeAdd|deployment)\(", path.read_text("utf-8")) == []
    first, second = deploy(**EVERYTHING), deploy(**EVERYTHING)
    assert [(each.type, each.name) for each in first.resources] == [
        (each.type, each.name) for each in second.resources
    ]
    assert first.outputs == second.outputs


def test_nothing_that_is_asked_for_depends_on_the_senders() -> None:
    some, others = deploy(senders="noreply,billing"), deploy(senders="noreply")
    assert [(each.type, each.name) for each in some.resources] == [
        (each.type, each.name) for each in others.resources
    ]
    assert some.outputs["CONSENT_URLS"] != others.outputs["CONSENT_URLS"]


def test_everything_that_can_be_tagged_is_tagged_for_azd() -> None:
    for each in deploy(**EVERYTHING).resources:
        if "tags.*" in TYPES[each.type]["properties"]:
            assert each.body["tags"]["azd-env-name"] == "mail", each.type


def test_what_only_azure_knows_is_never_part_of_a_name() -> None:
    for each in deploy(**EVERYTHING).resources:
        if not each.type.startswith("Microsoft.Graph/"):
            assert not isinstance(each.name, (Later, Reference)), each


def test_the_function_app_is_python_on_flex_with_its_identity_alone() -> None:
    made = deploy(instanceMemoryMB=512, maximumInstanceCount=7)
    app = made.one("Microsoft.Web/sites").body
    config = app["properties"]["functionAppConfig"]
    assert config["runtime"] == {"name": "python", "version": "3.13"}
    assert config["scaleAndConcurrency"] == {"maximumInstanceCount": 7, "instanceMemoryMB": 512}
    assert config["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    assert (
        config["deployment"]["storage"]["value"].endswith("/deployments")
        or "deployments" in (config["deployment"]["storage"]["value"])
    )
    assert app["properties"]["httpsOnly"] is True
    assert app["properties"]["siteConfig"] == {
        "minTlsVersion": "1.2",
        "scmMinTlsVersion": "1.2",
        "ftpsState": "Disabled",
        "http20Enabled": True,
    }
    assert app["tags"]["azd-service-name"] == "sendoff"
    plan = made.one("Microsoft.Web/serverfarms").body
    assert plan["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert plan["properties"]["reserved"] is True
    policies = made.of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {each.body["name"]: each.body["properties"]["allow"] for each in policies} == {
        "ftp": False,
        "scm": False,
    }


def test_storage_vault_and_telemetry_take_no_key() -> None:
    made = deploy()
    account = made.one("Microsoft.Storage/storageAccounts").body["properties"]
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["minimumTlsVersion"] == "TLS1_2"
    vault = made.one("Microsoft.KeyVault/vaults").body["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enableSoftDelete"] is True
    assert vault["enablePurgeProtection"] is True
    assert made.one("Microsoft.Insights/components").body["properties"]["DisableLocalAuth"] is True


def test_the_network_closes_storage_and_vault_and_opens_a_door_to_each() -> None:
    made = deploy(vnetEnabled=True)
    for kind in ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"):
        asked = made.one(kind).body["properties"]
        assert asked["publicNetworkAccess"] == "Disabled"
        assert asked["networkAcls"]["defaultAction"] == "Deny"
    doors = made.of_type("Microsoft.Network/privateEndpoints")
    groups = {each.body["properties"]["privateLinkServiceConnections"][0]["name"] for each in doors}
    assert groups == {"blob", "queue", "table", "vault"}
    assert "/subnets/app" in made.one("Microsoft.Web/sites").body["properties"]["virtualNetworkSubnetId"]
    assert deploy().of_type("Microsoft.Network/virtualNetworks") == []


def test_comments_name_files_that_are_there() -> None:
    root = INFRA.parent
    named = {
        name
        for path in FILES
        for name in re.findall(r"(?:shared|infra|docs)/[\w/.-]+\.\w+", path.read_text("utf-8"))
    }
    # Beside this folder's own part stand two scripts for what Bicep cannot do.
    assert {name for name in named if not (root / name).exists()} <= {
        "infra/app-registration.sh",
        "infra/exchange.ps1",
    }


def test_parts_of_a_declaration_are_found_behind_if_and_for() -> None:
    words = read(INFRA / "app" / "alerts.bicep").declarations["words"]
    assert words.loop is not None
    assert words.loop.item == "alert"
    assert words.value is not None
    assert len(parts(words.value)) > 1
