"""Names: legal at their longest and shortest, unique, and the same as in the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shared import settings
from shared.adapters import (
    blob_templates,
    table_consents,
    table_leases,
    table_ledger,
    table_schedules,
    table_senders,
    table_waiting,
)
from shared.errors import SettingsError
from tests.infra.deployment import TENANT, containers_made, deploy, queues_made, settings_set, tables_made

ROOT = Path(__file__).resolve().parents[2]
# What Azure takes (Azure Resource Manager, "Naming rules and restrictions for Azure resources").
RULES = {
    "Microsoft.Resources/resourceGroups": r"[\w().-]{0,89}[\w()-]",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][\w-]{2,127}",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Insights/components": r"[\w().-]{0,254}[\w()-]",
    "Microsoft.Insights/workbooks": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{0,259}[^:<>+/&%\\?|. ]",
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%{}&:\\?/#|]{0,259}[^*<>%{}&:\\?/#|. ]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.KeyVault/vaults": r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    # With 32 letters or fewer the host's id cannot clash with another app's.
    "Microsoft.Web/sites": r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])",
    "Microsoft.Network/publicIPAddresses": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/natGateways": r"[A-Za-z0-9][\w.-]{0,78}\w",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.Network/privateEndpoints": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.Network/privateDnsZones": r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,34}",
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Storage/storageAccounts/queueServices/queues": r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.Storage/storageAccounts/tableServices/tables": r"[A-Za-z][A-Za-z0-9]{2,62}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.Graph/applications": r"[\w-]{1,128}",
}
# Names that Azure gives, or that stand in no rule of their own.
FIXED = {"default", "ftp", "scm", "appsettings", "sendoff", "sendoff-identity"}
FULL: dict[str, Any] = {
    "alertEmails": "ops@contoso.com",
    "mailAppPrincipalIds": TENANT,
    "vnetEnabled": True,
}


@pytest.mark.parametrize("environment", ["a", "e" * 64], ids=["shortest", "longest"])
@pytest.mark.parametrize("location", ["westus", "australiasoutheast"])
def test_every_name_is_one_that_azure_takes(environment: str, location: str) -> None:
    made = deploy(environmentName=environment, location=location, **FULL)
    looked_at = set()
    for each in made.resources:
        name = each.name.rpartition("/")[2]
        if each.type in RULES:
            looked_at.add(each.type)
            assert re.fullmatch(RULES[each.type], name), each
        elif not each.type.startswith("Microsoft.Graph/"):
            assert name in FIXED, each
    assert looked_at == RULES.keys()


def test_no_two_resources_of_a_type_have_one_name() -> None:
    names = [(each.type, each.name.casefold()) for each in deploy(**FULL).resources]
    assert len(names) == len(set(names))


# Their names are looked up in all of Azure, or in all of a tenant.
GLOBAL = (
    "Microsoft.Storage/storageAccounts",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Web/sites",
    "Microsoft.Graph/applications",
)


@pytest.mark.parametrize("kind", GLOBAL)
def test_what_is_unique_in_all_of_azure_differs_by_environment_and_region(kind: str) -> None:
    made = [deploy(), deploy(environmentName="other"), deploy(location="northeurope")]
    assert len({each.one(kind).name for each in made}) == len(made)


def test_the_queues_that_are_made_are_those_of_the_code() -> None:
    names = settings.bindings({})
    assert queues_made() == {names.outbox, names.poison, names.events}


def test_the_tables_that_are_made_are_those_of_the_code() -> None:
    adapters = (table_consents, table_leases, table_ledger, table_schedules, table_senders, table_waiting)
    assert tables_made() == {adapter.TABLE for adapter in adapters}
    files = {path.stem for path in (ROOT / "shared" / "adapters").glob("table_*.py")} - {"table_client"}
    assert files == {adapter.__name__.rpartition(".")[2] for adapter in adapters}


def containers_of_the_code() -> set[str]:
    written = {
        name
        for path in (ROOT / "shared").glob("*.py")
        for name in re.findall(r"_container\(\"([\w-]+)\"\)", path.read_text("utf-8"))
    }
    return written | {blob_templates.CONTAINER}


def test_the_containers_that_are_made_are_those_of_the_code_and_the_packages() -> None:
    made = deploy().one("Microsoft.Web/sites").body["properties"]["functionAppConfig"]
    package = made["deployment"]["storage"]["value"]
    (deployments,) = containers_made() - containers_of_the_code()
    assert package.endswith(deployments)
    assert containers_of_the_code() < containers_made()


def test_the_queues_that_the_app_is_told_of_are_those_that_are_made() -> None:
    told = deploy().one("Microsoft.Web/sites/config").body["properties"]
    assert {told["OUTBOX_QUEUE"], told["EVENTS_QUEUE"]} < queues_made()
    assert deploy().outputs["OUTBOX_QUEUE_URL"].endswith(told["OUTBOX_QUEUE"])


# What the host and its Python worker read (Azure Functions, "App settings reference" and "OpenTelemetry").
OF_THE_HOST = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__credential",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_TRACES_SAMPLER",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
}


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # a dict's own get is overloaded
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)


def test_every_setting_that_is_set_is_one_that_is_read() -> None:
    environ = Asked({"MAILBOX": "noreply@contoso.com"})
    settings.bindings(environ)
    settings.lines_at_a_time(environ)
    with pytest.raises(SettingsError):
        settings.load(environ, root=ROOT)
    assert settings_set() - OF_THE_HOST - environ.names == set()
    assert settings_set() >= OF_THE_HOST


def test_the_app_is_started_by_what_it_is_told() -> None:
    told = deploy(publicUrl="https://mail.contoso.com").one("Microsoft.Web/sites/config").body["properties"]
    environ = {name: str(value) for name, value in told.items()}
    # What only Azure knows, as it would be.
    environ |= {
        "KEY_VAULT_URL": "https://kv-x.vault.azure.net/",
        "AZURE_CLIENT_ID": TENANT,
        "OAUTH_CLIENT_ID": TENANT,
    }
    loaded = settings.load(environ, root=ROOT)
    assert loaded.redirect_uri == "https://mail.contoso.com/api/oauth/redirect"
    assert list(loaded.senders) == deploy().outputs["CONSENT_URLS"][0].split("/")[-1:]
    assert loaded.storage.queue_url.startswith(
        f"https://{environ['AzureWebJobsStorage__accountName']}.queue."
    )
    assert loaded.bindings.outbox in queues_made()


def test_without_a_mailbox_the_app_reads_mail_toml() -> None:
    told = deploy(mailbox="mail.toml", senders="noreply").one("Microsoft.Web/sites/config").body["properties"]
    assert {"MAILBOX", "OAUTH_TENANT_ID", "OAUTH_CLIENT_ID", "OAUTH_CREDENTIAL"} & told.keys() == set()
