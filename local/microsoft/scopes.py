"""
Resources, their permissions, and what a scope string asks for.

A scope is `{resource URI}/{permission}`; one without a URI belongs to Microsoft Graph. `openid`, `profile`,
`email` and `offline_access` are not of any resource. `{resource URI}/.default` stands for what the
registration lists, which here is every delegated permission of the resource.
"""

from dataclasses import dataclass

from local.microsoft.aadsts import Aadsts
from local.microsoft.directory import App, Tenant
from local.microsoft.entra_error import EntraError

#: OpenID Connect's own scopes, with the sentence that the consent page shows.
OPENID = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    "offline_access": "Maintain access to data you have given it access to",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A service that takes tokens: its well-known app id, the URIs it answers to, its permissions."""

    app_id: str
    name: str
    uris: tuple[str, ...]
    permissions: tuple[tuple[str, str], ...]

    def permission(self, name: str) -> str | None:
        """Return the permission's own spelling; names have no case."""
        return next((known for known, _ in self.permissions if known.lower() == name.lower()), None)

    def sentence(self, permission: str) -> str:
        """Return what the consent page says of a permission."""
        return dict(self.permissions)[permission]


EXCHANGE = Resource(
    app_id="00000002-0000-0ff1-ce00-000000000000",
    name="Office 365 Exchange Online",
    # The documentation's spelling, and the older one that is still in wide use.
    uris=("https://outlook.office.com", "https://outlook.office365.com"),
    permissions=(
        ("SMTP.Send", "Send emails from your mailbox using SMTP AUTH"),
        ("IMAP.AccessAsUser.All", "Read and write access to your mail via IMAP"),
        ("POP.AccessAsUser.All", "Read and write access to your mail via POP"),
    ),
)

GRAPH = Resource(
    app_id="00000003-0000-0000-c000-000000000000",
    name="Microsoft Graph",
    uris=("https://graph.microsoft.com",),
    permissions=(
        ("User.Read", "Sign you in and read your profile"),
        ("Mail.Send", "Send mail as you"),
        # The delegated permission is listed under Graph; a token for it has Graph's audience all the same.
        ("SMTP.Send", "Send emails from your mailbox using SMTP AUTH"),
    ),
)

VAULT = Resource(
    app_id="cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    name="Azure Key Vault",
    uris=("https://vault.azure.net",),
    permissions=(("user_impersonation", "Have full access to the Azure Key Vault service"),),
)

RESOURCES = (EXCHANGE, GRAPH, VAULT)

DEFAULT = ".default"


@dataclass(frozen=True, slots=True)
class Target:
    """One resource of a request: the URI as the request spells it, and the permissions wanted."""

    resource: Resource
    uri: str
    permissions: frozenset[str]
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A scope string, read. `targets` are in the order in which the string names them."""

    openid: frozenset[str]
    targets: tuple[Target, ...]


def resource_at(uri: str) -> Resource | None:
    """Return the resource that answers to this URI, with or without a slash at its end."""
    wanted = uri.rstrip("/").lower()
    return next((resource for resource in RESOURCES if wanted in resource.uris), None)


def read(scope: str, app: App, tenant: Tenant) -> Asked:
    """Return what a scope string asks for. Raises EntraError for one that cannot be meant."""
    openid: set[str] = set()
    targets: dict[str, Target] = {}
    if not scope.split():
        raise EntraError(Aadsts.SCOPE_FORMAT, {"scope": scope})
    for word in scope.split():
        if word in OPENID:
            openid.add(word)
            continue
        uri, slash, name = word.rpartition("/")
        if "," in word or ";" in word or (slash and "://" not in uri):
            raise EntraError(Aadsts.SCOPE_FORMAT, {"scope": scope})
        uri = uri or GRAPH.uris[0]
        resource = resource_at(uri)
        if resource is None:
            raise EntraError(Aadsts.NO_RESOURCE, {"resource": uri, "domain": tenant.display_name})
        names = (
            frozenset(known for known, _ in resource.permissions)
            if name == DEFAULT
            else frozenset({_known(resource, name, app)})
        )
        before = targets.get(resource.app_id)
        targets[resource.app_id] = Target(
            resource,
            before.uri if before else uri,
            names | before.permissions if before else names,
            is_default=name == DEFAULT or (before is not None and before.is_default),
        )
    return Asked(frozenset(openid), tuple(targets.values()))


def sentences(asked: Asked) -> list[str]:
    """Return what the consent page lists, each sentence once, the resources' permissions first."""
    lines = [
        target.resource.sentence(permission)
        for target in asked.targets
        for permission in sorted(target.permissions)
    ]
    lines += [sentence for name, sentence in OPENID.items() if name in asked.openid and name != "openid"]
    return list(dict.fromkeys(lines))


def _known(resource: Resource, name: str, app: App) -> str:
    known = resource.permission(name)
    if known is None:
        details = {"name": app.display_name, "scope": name, "resource": resource.app_id}
        raise EntraError(Aadsts.NO_PERMISSION, details)
    return known
