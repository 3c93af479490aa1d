"""infra/app-registration.sh, run under real shells with a stand-in for the Azure CLI on PATH."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tree_sitter_bash
from tree_sitter import Language, Parser

from local.environment import AZURE_CLI, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = ROOT / "infra" / "app-registration.sh"
HERE = Path(__file__).resolve().parent
CLI_PYTHON = AZURE_CLI.folder / "bin" / "python"
TENANT = "11111111-2222-4333-8444-555555555555"
IDENTITY = "99999999-8888-4777-8666-555555555555"
URL = "https://mail.contoso.com"
REDIRECT = f"{URL}/api/oauth/redirect"
GRAPH = "00000003-0000-0000-c000-000000000000"
SMTP_SEND = "258f6531-6087-4cc4-bb90-092c5fb3ed3f"
USER_READ = "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
WITH_IDENTITY = ("--public-url", URL, "--managed-identity", IDENTITY)
WITH_SECRET = ("--public-url", URL, "--secret", "--vault", "kv-contoso")
WITH_CERTIFICATE = ("--public-url", URL, "--certificate", "--vault", "kv-contoso")
WAYS = {"identity": WITH_IDENTITY, "secret": WITH_SECRET, "certificate": WITH_CERTIFICATE}


@dataclass(frozen=True)
class Tenant:
    """Entra and the vault, and the script run against them."""

    folder: Path

    def run(self, *arguments: str, shell: str = "sh", fails: bool = False) -> str:
        done = subprocess.run(
            [shell, str(SCRIPT), *arguments],
            env={
                "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.folder),
                "AZ_STAND_IN_STATE": str(self.folder / "state.json"),
                "AZ_STAND_IN_LOG": str(self.folder / "log.jsonl"),
            },
            cwd=self.folder / "empty",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def set(self, state: dict[str, Any]) -> None:
        (self.folder / "state.json").write_text(json.dumps(state))

    @property
    def app(self) -> dict[str, Any]:
        (found,) = self.state["apps"]
        return dict(found)

    def change_app(self, **values: Any) -> None:
        state = self.state
        state["apps"][0].update(values)
        self.set(state)

    @property
    def commands(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]

    def changes(self) -> list[str]:
        """The commands that were run and are no question."""
        names = [" ".join(itertools.takewhile(lambda word: word[0] != "-", each)) for each in self.commands]
        return [name for name in names if name.split()[-1] not in ("show", "list")]

    def forget_commands(self) -> None:
        (self.folder / "log.jsonl").write_text("")


def a_tenant(folder: Path) -> Tenant:
    (folder / "empty").mkdir()
    az = folder / "az"
    az.write_text(f'#!/bin/sh\nexec "{CLI_PYTHON}" "{HERE / "az_stand_in.py"}" "$@"\n')
    az.chmod(0o700)
    (folder / "log.jsonl").touch()
    found = Tenant(folder)
    vaults: dict[str, Any] = {"kv-contoso": {"secrets": {}, "certificates": {}}}
    found.set({"tenant": TENANT, "cloud": "AzureCloud", "apps": [], "principals": [], "vaults": vaults})
    return found


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    yield a_tenant(tmp_path)
    # Whatever was done, nothing was left behind.
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there after a first run with an identity."""
    first = a_tenant(tmp_path_factory.mktemp("made"))
    first.run(*WITH_IDENTITY)
    return first.state


@pytest.mark.parametrize("way", WAYS)
def test_the_first_run_makes_a_whole_registration(tenant: Tenant, way: str) -> None:
    told = tenant.run(*WAYS[way])
    app = tenant.app
    assert (app["displayName"], app["signInAudience"]) == ("Sendoff", "AzureADMyOrg")
    assert app["web"]["redirectUris"] == [REDIRECT]
    assert set(app["web"]["implicitGrantSettings"].values()) == {False}
    assert app["isFallbackPublicClient"] is False
    (asked,) = app["requiredResourceAccess"]
    assert asked["resourceAppId"] == GRAPH
    assert {(each["id"], each["type"]) for each in asked["resourceAccess"]} == {
        (SMTP_SEND, "Scope"),
        (USER_READ, "Scope"),
    }
    (principal,) = tenant.state["principals"]
    assert principal["appId"] == app["appId"]
    for value in (app["appId"], TENANT, principal["id"]):
        assert value in told


@pytest.mark.parametrize(("way", "shell"), [*((way, "sh") for way in WAYS), ("secret", "bash")])
def test_a_second_run_changes_nothing(tenant: Tenant, way: str, shell: str) -> None:
    tenant.run(*WAYS[way], shell=shell)
    before = tenant.state
    tenant.forget_commands()
    told = tenant.run(*WAYS[way], shell=shell)
    assert tenant.state == before
    assert tenant.changes() == []
    assert "nothing was to be changed" in told


@pytest.mark.parametrize("way", WAYS)
def test_a_dry_run_changes_nothing_and_says_what_it_would(tenant: Tenant, way: str) -> None:
    before = tenant.state
    told = tenant.run(*WAYS[way], "--dry-run")
    assert tenant.state == before
    assert tenant.changes() == []
    assert "would  create the registration Sendoff" in told


BROKEN: dict[str, dict[str, Any]] = {
    "for every tenant": {"signInAudience": "AzureADMultipleOrgs"},
    "a public client": {"isFallbackPublicClient": True},
    "without permissions": {"requiredResourceAccess": []},
    "without SMTP.Send": {
        "requiredResourceAccess": [
            {"resourceAppId": GRAPH, "resourceAccess": [{"id": USER_READ, "type": "Scope"}]}
        ]
    },
    "with SMTP.Send as an application's": {
        "requiredResourceAccess": [
            {
                "resourceAppId": GRAPH,
                "resourceAccess": [{"id": SMTP_SEND, "type": "Role"}, {"id": USER_READ, "type": "Scope"}],
            }
        ]
    },
    "with implicit grants": {
        "web": {
            "redirectUris": [REDIRECT],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": True},
        }
    },
    "with another redirect URI": {
        "web": {
            "redirectUris": ["https://staging.contoso.com/api/oauth/redirect"],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
        }
    },
    "trusting another identity": {
        "federated": [
            {
                "name": "sendoff",
                "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
                "subject": "00000000-0000-4000-8000-000000000000",
                "audiences": ["api://AzureADTokenExchange"],
            }
        ]
    },
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_registration_is_repaired_and_what_else_it_has_is_kept(
    tenant: Tenant, made: dict[str, Any], how: str
) -> None:
    tenant.set(deepcopy(made))
    good = tenant.app
    tenant.change_app(**deepcopy(BROKEN[how]))
    broken = tenant.app
    tenant.run(*WITH_IDENTITY)
    mended = tenant.app
    assert mended["signInAudience"] == good["signInAudience"]
    assert mended["isFallbackPublicClient"] is False
    assert mended["web"]["implicitGrantSettings"] == good["web"]["implicitGrantSettings"]
    assert mended["federated"] == good["federated"]
    assert mended["web"]["redirectUris"][-1] == REDIRECT
    assert set(broken["web"]["redirectUris"]) <= set(mended["web"]["redirectUris"])
    (asked,) = mended["requiredResourceAccess"]
    permissions = {(each["id"], each["type"]) for each in asked["resourceAccess"]}
    assert {(SMTP_SEND, "Scope"), (USER_READ, "Scope")} <= permissions
    before = tenant.state
    tenant.run(*WITH_IDENTITY)
    assert tenant.state == before


def test_a_dry_run_says_all_that_is_broken_and_mends_nothing(tenant: Tenant, made: dict[str, Any]) -> None:
    tenant.set(deepcopy(made))
    for how in ("for every tenant", "a public client", "without permissions", "trusting another identity"):
        tenant.change_app(**deepcopy(BROKEN[how]))
    broken = tenant.state
    told = tenant.run(*WITH_IDENTITY, "--dry-run")
    assert tenant.state == broken
    assert told.count("would  ") == 5
    assert "5 to be changed, nothing done" in told


def test_a_lost_service_principal_is_made_again(tenant: Tenant, made: dict[str, Any]) -> None:
    tenant.set(deepcopy(made))
    tenant.set({**tenant.state, "principals": []})
    tenant.run(*WITH_IDENTITY)
    assert [each["appId"] for each in tenant.state["principals"]] == [tenant.app["appId"]]


@pytest.mark.parametrize(
    ("cloud", "login", "audience"),
    [
        ("AzureCloud", "login.microsoftonline.com", "api://AzureADTokenExchange"),
        ("AzureUSGovernment", "login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("AzureChinaCloud", "login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
    ],
)
def test_the_identity_is_trusted_as_its_cloud_wants_it(
    tenant: Tenant, cloud: str, login: str, audience: str
) -> None:
    tenant.set({**tenant.state, "cloud": cloud})
    tenant.run(*WITH_IDENTITY)
    assert tenant.app["federated"] == [
        {
            "name": "sendoff",
            "issuer": f"https://{login}/{TENANT}/v2.0",
            "subject": IDENTITY,
            "audiences": [audience],
        }
    ]


def secret_of(tenant: Tenant) -> dict[str, Any]:
    (found,) = tenant.state["vaults"]["kv-contoso"]["secrets"].items()
    assert found[0] == "oauth-microsoft-client-secret"
    return dict(found[1])


def test_the_secret_goes_to_the_vault_whole_with_the_expiry_that_it_has_at_entra(tenant: Tenant) -> None:
    tenant.run(*WITH_SECRET, "--days", "90")
    (password,) = tenant.app["passwords"]
    secret = secret_of(tenant)
    assert secret["value"] == password["secretText"]
    assert secret["attributes"]["expires"].removesuffix("+00:00") == password["endDateTime"].removesuffix("Z")
    assert secret["tags"] == {"credential": password["displayName"]}


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_secret_is_printed_nowhere_and_stands_in_no_command_and_no_file(
    tenant: Tenant, shell: str
) -> None:
    # The stand-in refuses to take a secret that any process shows in its arguments or its environment.
    told = tenant.run(*WITH_SECRET, shell=shell)
    value = secret_of(tenant)["value"]
    assert value not in told
    holding = [path.name for path in tenant.folder.rglob("*") if path.is_file() and value in path.read_text()]
    assert holding == ["state.json"]


def test_a_secret_that_ends_soon_or_is_gone_at_entra_is_made_anew_and_others_are_kept(tenant: Tenant) -> None:
    tenant.run(*WITH_SECRET, "--days", "20")
    old = secret_of(tenant)["value"]
    tenant.run(*WITH_SECRET)
    assert secret_of(tenant)["value"] != old
    assert len(tenant.app["passwords"]) == 2
    tenant.change_app(passwords=[])
    tenant.run(*WITH_SECRET)
    assert [each["secretText"] for each in tenant.app["passwords"]] == [secret_of(tenant)["value"]]


def test_renew_makes_a_new_secret_where_the_old_one_is_good(tenant: Tenant) -> None:
    tenant.run(*WITH_SECRET)
    old = secret_of(tenant)["value"]
    tenant.run(*WITH_SECRET, "--renew")
    assert secret_of(tenant)["value"] != old


def test_a_secret_that_the_vault_does_not_take_is_taken_back_at_entra(tenant: Tenant) -> None:
    tenant.set({**tenant.state, "refuses": ["keyvault secret set"]})
    told = tenant.run(*WITH_SECRET, fails=True)
    assert "did not take the secret" in told
    assert tenant.app["passwords"] == []


@pytest.mark.parametrize("way", ["secret", "certificate"])
def test_a_vault_that_may_not_be_read_gets_no_credential_made(tenant: Tenant, way: str) -> None:
    tenant.set({**tenant.state, "refuses": [f"keyvault {way} list"]})
    told = tenant.run(*WAYS[way], fails=True)
    assert "you need Key Vault" in told
    assert (tenant.app["passwords"], tenant.app["keys"]) == ([], [])


def test_the_certificate_is_made_in_the_vault_and_its_public_half_registered(tenant: Tenant) -> None:
    tenant.run(*WITH_CERTIFICATE)
    (found,) = tenant.state["vaults"]["kv-contoso"]["certificates"].items()
    assert found[0] == "oauth-microsoft-certificate"
    assert [each["customKeyIdentifier"] for each in tenant.app["keys"]] == [found[1]["x509ThumbprintHex"]]
    tenant.change_app(keys=[])
    tenant.forget_commands()
    tenant.run(*WITH_CERTIFICATE)
    assert tenant.changes() == ["ad app credential reset"]


def test_the_redirect_uri_under_another_platform_is_refused(tenant: Tenant, made: dict[str, Any]) -> None:
    tenant.set(deepcopy(made))
    tenant.change_app(spa={"redirectUris": [REDIRECT]})
    assert "another platform than Web" in tenant.run(*WITH_IDENTITY, fails=True)


def test_two_registrations_of_one_name_are_told_apart_by_client_id(
    tenant: Tenant, made: dict[str, Any]
) -> None:
    tenant.set(deepcopy(made))
    state = tenant.state
    state["apps"].append(
        {**deepcopy(state["apps"][0]), "appId": IDENTITY, "signInAudience": "AzureADMultipleOrgs"}
    )
    tenant.set(state)
    assert "choose one with --client-id" in tenant.run(*WITH_IDENTITY, fails=True)
    tenant.run(*WITH_IDENTITY, "--client-id", IDENTITY)
    assert [each["signInAudience"] for each in tenant.state["apps"]] == ["AzureADMyOrg", "AzureADMyOrg"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name one of --managed-identity, --secret and --certificate"),
        (("--public-url", "http://mail.contoso.com", "--managed-identity", IDENTITY), "--public-url"),
        (("--public-url", URL, "--managed-identity", "id-sendoff"), "a GUID"),
        (("--public-url", URL, "--secret"), "--vault"),
        ((*WITH_SECRET, "--certificate"), "name one of"),
        ((*WITH_SECRET, "--days", "731"), "1 to 730"),
        ((*WITH_SECRET, "--name", "x' or 'a' eq 'a"), "--name"),
        ((*WITH_SECRET, "--nonsense"), "--nonsense is not known"),
        ((*WITH_SECRET, "--service"), "--service needs a value"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    tenant: Tenant, arguments: tuple[str, ...], says: str
) -> None:
    if not arguments:
        arguments = ("--public-url", URL)
    assert says in tenant.run(*arguments, fails=True)
    assert tenant.commands == []


def commands_of_the_script() -> list[str]:
    """Give each command of the Azure CLI that the script can run."""
    code = re.sub(
        r"fail \".*?\"|^ *#.*$|\" *az ad app credential list --id \$client_id\"",
        "",
        SCRIPT.read_text("utf-8"),
        flags=re.MULTILINE,
    )
    code = re.sub(r"\\\n *", "", code)
    return [found.strip() for found in re.findall(r"\baz ((?:[a-z][a-z-]* )+)(?=-)", code)]


def test_every_command_line_is_one_that_the_real_azure_cli_takes(tenant: Tenant, tmp_path: Path) -> None:
    for way in WAYS.values():
        tenant.run(*way)
    tenant.change_app(**deepcopy(BROKEN["for every tenant"]), **deepcopy(BROKEN["with another redirect URI"]))
    for how in ("a public client", "without permissions", "trusting another identity"):
        tenant.change_app(**deepcopy(BROKEN[how]))
    tenant.run(*WITH_IDENTITY)
    tenant.set({**tenant.state, "refuses": ["keyvault secret set"]})
    tenant.run(*WITH_SECRET, "--renew", fails=True)
    lines = [list(each) for each in dict.fromkeys(map(tuple, tenant.commands))]
    used = {" ".join(itertools.takewhile(lambda word: word[0] != "-", line)) for line in lines}
    assert used == set(commands_of_the_script())
    done = subprocess.run(
        [str(CLI_PYTHON), str(HERE / "az_parser.py")],
        input=json.dumps([*lines, ["ad", "app", "show", "--id", "x", "--made-up", "y"]]),
        env={"PATH": os.environ["PATH"], "AZURE_CONFIG_DIR": str(tmp_path / "azure"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *found, made_up = json.loads(done.stdout)
    assert [(line, problem) for line, problem in zip(lines, found, strict=True) if problem] == []
    assert made_up


def test_it_is_a_shell_script_without_a_fault_of_grammar() -> None:
    root = Parser(Language(tree_sitter_bash.language())).parse(SCRIPT.read_bytes()).root_node
    assert not root.has_error
    assert SCRIPT.read_text("utf-8").startswith("#!/bin/sh\n")
    for shell in ("sh", "bash", "dash"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", str(SCRIPT)], check=True)
