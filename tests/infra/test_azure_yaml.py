"""azure.yaml: what azd deploys, from where, and to what the Bicep made for it."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]  # it comes without types

from tests.infra.bicep import INFRA, MAIN, read
from tests.infra.deployment import deploy

ROOT = INFRA.parent
AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))
# Azure/azure-dev, schemas/v1.0/azure.yaml.json (2026), the keys of each level that this file uses.
TOP = {"name", "metadata", "resourceGroup", "infra", "services", "pipeline", "hooks", "requiredVersions"}
OF_INFRA = {"provider", "path", "module", "layers"}
OF_A_SERVICE = {"project", "language", "host", "dist", "remoteBuild", "hooks", "resourceName", "uses", "env"}


def test_it_has_the_keys_that_azd_knows() -> None:
    assert AZURE.keys() <= TOP
    assert AZURE["infra"].keys() <= OF_INFRA
    (service,) = AZURE["services"].values()
    assert service.keys() <= OF_A_SERVICE
    for hook in AZURE["hooks"].values():
        assert hook.keys() == {"posix", "windows"}
        assert {each["shell"] for each in hook.values()} == {"sh", "pwsh"}


def test_it_names_the_bicep_that_is_there() -> None:
    assert AZURE["infra"] == {"provider": "bicep", "path": "infra", "module": "main"}
    assert (ROOT / AZURE["infra"]["path"] / f"{AZURE['infra']['module']}.bicep") == MAIN


def test_it_deploys_this_folder_as_python_functions() -> None:
    (service,) = AZURE["services"].values()
    assert (ROOT / service["project"]).resolve() == ROOT
    assert (ROOT / service["project"] / "function_app.py").is_file()
    assert (service["language"], service["host"]) == ("python", "function")


def test_the_service_is_found_by_the_tag_of_the_function_app() -> None:
    (name,) = AZURE["services"]
    assert deploy().one("Microsoft.Web/sites").body["tags"]["azd-service-name"] == name
    assert f"SERVICE_{name.upper()}_NAME" in read(MAIN).outputs


def test_what_the_hooks_read_comes_out_of_the_deployment() -> None:
    for hook in AZURE["hooks"].values():
        for each in hook.values():
            command, _, name = each["run"].rpartition(" ")
            assert command == "azd env get-value"
            assert name in read(MAIN).outputs


def test_neither_the_infrastructure_nor_this_file_is_deployed_with_the_app() -> None:
    ignored = (ROOT / ".funcignore").read_text("utf-8").splitlines()
    assert {"infra/", "azure.yaml"} <= set(ignored)
    assert "mail.toml" not in ignored


def test_what_people_are_promised_comes_out() -> None:
    out = deploy(publicUrl="https://mail.contoso.com", senders="noreply, billing").outputs
    assert out["CONSENT_URLS"] == [
        "https://mail.contoso.com/api/oauth/start/noreply",
        "https://mail.contoso.com/api/oauth/start/billing",
    ]
    assert out["DASHBOARD_URL"] == "https://mail.contoso.com/api/dashboard"
    assert out["REDIRECT_URI"] == "https://mail.contoso.com/api/oauth/redirect"
