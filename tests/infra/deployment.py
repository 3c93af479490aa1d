"""
The deployment with its parameters filled in: every resource as Azure is asked for it, and what comes out.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.infra.bicep import INFRA, MAIN, read
from tests.infra.bicep_values import Later, Reference, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.infra.bicep import Declaration, File

TENANT = "11111111-2222-4333-8444-555555555555"
SUBSCRIPTION = "99999999-8888-4777-8666-555555555555"
#: What day one needs; azd fills in the first two.
DAY_ONE = {"environmentName": "mail", "location": "westeurope", "mailbox": "noreply@contoso.com"}
#: Azure Resource Manager, "Deployment functions": environment().
PUBLIC = {
    "name": "AzureCloud",
    "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
    "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
}
GOVERNMENT = {
    "name": "AzureUSGovernment",
    "authentication": {"loginEndpoint": "https://login.microsoftonline.us/"},
    "suffixes": {"storage": "core.usgovcloudapi.net", "keyvaultDns": ".vault.usgovcloudapi.net"},
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that is asked for; ``name`` has its parents' names in front."""

    symbol: str
    file: str
    type: str
    name: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Deployment:
    """What a set of parameters makes."""

    resources: list[Resource] = field(default_factory=list)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def of_type(self, resource_type: str) -> list[Resource]:
        """Return the resources of a type."""
        return [each for each in self.resources if each.type == resource_type]

    def one(self, resource_type: str) -> Resource:
        """Return the one resource of a type."""
        (found,) = self.of_type(resource_type)
        return found


def deploy(*, cloud: Mapping[str, Any] = PUBLIC, **parameters: Any) -> Deployment:
    """Return what main.bicep makes of day one's parameters and these; raises ``FailedError``."""
    made = Deployment()
    made.outputs = _Evaluated(MAIN, {**DAY_ONE, **parameters}, cloud, made).outputs
    return made


class _Evaluated:
    """One file with its parameters."""

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], cloud: Mapping[str, Any], made: Deployment
    ) -> None:
        self._file: File = read(path)
        self._made = made
        self._cloud = cloud
        unknown = parameters.keys() - self._file.of_kind("param").keys()
        assert not unknown, f"{path.name} has no parameter {', '.join(sorted(unknown))}"
        self._values: dict[str, Any] = dict(parameters)
        self._scope = Scope(self._look_up, self._functions(), {})
        for name, each in self._file.of_kind("param").items():
            assert name in parameters or each.value is not None, f"{path.name} lacks its parameter {name}"
        for name in self._file.declarations:
            if self._file.declarations[name].kind != "func":
                self._look_up(name)
        self.outputs = {
            name: self._scope.value(each.value) for name, each in self._file.outputs.items() if each.value
        }

    def _functions(self) -> dict[str, Callable[..., Any]]:
        found: dict[str, Callable[..., Any]] = {
            "environment": lambda: self._cloud,
            "tenant": lambda: {"tenantId": TENANT},
            "subscription": lambda: {"id": f"/subscriptions/{SUBSCRIPTION}"},
            "resourceGroup": lambda: {"id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/…"},
            "loadTextContent": lambda path: (self._file.path.parent / path).read_text("utf-8"),
        }
        for name, each in self._file.of_kind("func").items():
            found[name] = functools.partial(self._call, each)
        return found

    def _call(self, function: Declaration, *values: Any) -> Any:
        assert function.value is not None
        names = dict(zip(function.parameters, values, strict=True))
        return self._scope.within(names).value(function.value)

    def _look_up(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self._evaluate(self._file.declarations[name])
        return self._values[name]

    def _evaluate(self, each: Declaration) -> Any:
        assert each.value is not None, f"{each.name} has no value"
        if each.kind in ("param", "var"):
            return self._scope.value(each.value)
        if each.condition is not None and not self._scope.value(each.condition):
            return Reference(each.name, {})
        if each.kind == "module":
            body = self._scope.value(each.value)
            inner = _Evaluated(self._file.path.parent / each.type, body["params"], self._cloud, self._made)
            return Reference(each.name, {"outputs": inner.outputs})
        if each.loop is None:
            return self._resource(each, self._scope.value(each.value))
        return [
            self._resource(
                each, self._scope.within({each.loop.item: item, each.loop.index: index}).value(each.value)
            )
            for index, item in enumerate(self._scope.value(each.loop.collection))
        ]

    def _resource(self, each: Declaration, body: Mapping[str, Any]) -> Reference:
        parent = body.get("parent")
        own = body.get("name") or body.get("uniqueName") or Later(f"<{each.name}>")
        name = f"{parent.get('fullName')}/{own}" if isinstance(parent, Reference) else own
        identity = f"/…/{each.resource_type}/{name}"
        if not each.is_existing:
            self._made.resources.append(
                Resource(each.name, self._file.path.name, each.resource_type, name, body)
            )
        return Reference(
            each.name, {**body, "name": own, "fullName": name, "id": identity, **_of_azure(each)}
        )


def _of_azure(each: Declaration) -> dict[str, Any]:
    """Return what Azure adds to a resource and the deployment reads."""
    if each.resource_type.startswith("Microsoft.Graph/"):
        return {}
    return {"properties": Later(f"<{each.name}.properties>")}


def settings_set() -> frozenset[str]:
    """Return the app settings that some deployment sets."""
    everything: dict[str, Any] = {"signInAs": "svc-mail@contoso.com", "publicUrl": "https://mail.contoso.com"}
    made = [
        deploy(**everything),
        deploy(mailbox="mail.toml"),
        deploy(cloud=GOVERNMENT, existingClientId=TENANT, **everything),
    ]
    return frozenset(
        name for each in made for name in each.one("Microsoft.Web/sites/config").body["properties"]
    )


def names_made(resource_type: str) -> frozenset[str]:
    """Return the last parts of the names of the resources of a type: queues, tables, containers."""
    return frozenset(each.name.rpartition("/")[2] for each in deploy().of_type(resource_type))


def alert_words() -> frozenset[str]:
    """Return the words of the log that an alert waits for."""
    rules = deploy().of_type("Microsoft.Insights/scheduledQueryRules")
    queries = [each.body["properties"]["criteria"]["allOf"][0]["query"] for each in rules]
    word = re.compile(r'customDimensions\.event\) == "(.+?)"')
    return frozenset(found for query in queries for found in word.findall(query))


def roles_granted(**parameters: Any) -> frozenset[tuple[str, str, str]]:
    """Return each grant: the role's identifier, the resource it is on, and to whom."""
    found = set()
    for each in deploy(**parameters).of_type("Microsoft.Authorization/roleAssignments"):
        asked = each.body["properties"]
        role = asked["roleDefinitionId"].rpartition("/")[2]
        found.add((role, each.body["scope"].name, str(asked["principalId"])))
    return frozenset(found)


def queues_made() -> frozenset[str]:
    """Return the queues that are made."""
    return names_made("Microsoft.Storage/storageAccounts/queueServices/queues")


def tables_made() -> frozenset[str]:
    """Return the tables that are made."""
    return names_made("Microsoft.Storage/storageAccounts/tableServices/tables")


def containers_made() -> frozenset[str]:
    """Return the containers that are made."""
    return names_made("Microsoft.Storage/storageAccounts/blobServices/containers")


def parameters_file() -> dict[str, str]:
    """Return main.parameters.json: each parameter and the variable of azd's environment it comes from."""
    found = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"]
    variables = {}
    for name, each in found.items():
        variable = re.fullmatch(r"\$\{(\w+)\}", each["value"])
        assert variable, name
        variables[name] = variable[1]
    return variables
