"""App settings: the environment, local.settings.json under it, `%SETTING%` in bindings, connections."""

import dataclasses
import json
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from local.host.options import StartError

_PLACEHOLDER = re.compile(r"%([^%]+)%")

#: The account and key that every Azurite knows; published, no secret.
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


class UnresolvedSettingError(Exception):
    """A binding names an app setting that does not exist; the message says which."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a storage account is: a connection string, or one URL per service and the default credential."""

    connection_string: str | None = dataclasses.field(default=None, repr=False)
    queue_uri: str | None = None
    blob_uri: str | None = None
    #: Client id of a user-assigned managed identity.
    client_id: str | None = None


def apply_local_settings(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Add `Values` of the folder's local.settings.json to the environment, which wins."""
    path = folder / "local.settings.json"
    if not path.exists():
        return
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Values", {}), dict):
        raise StartError(f'{path} must be an object with an object "Values"')
    if document.get("IsEncrypted"):
        raise StartError(
            f"{path} is encrypted: run `func settings decrypt` or set its values in the environment"
        )
    for name, value in document.get("Values", {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        environment.setdefault(name, text)


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """Return `text` with each `%SETTING%` replaced; UnresolvedSettingError names a missing or empty one."""

    def look_up(match: re.Match[str]) -> str:
        value = settings.get(match[1])
        if not value:
            raise UnresolvedSettingError(f"%{match[1]}% does not resolve: set the app setting {match[1]}")
        return value

    return _PLACEHOLDER.sub(look_up, text)


def find_connection(name: str, settings: Mapping[str, str]) -> Connection:
    """
    Return the storage account that a binding's `connection` names; UnresolvedSettingError if nothing does.

    As in the real host, `AzureWebJobs<name>` is asked before `<name>`, and `<prefix>__queueServiceUri`,
    `<prefix>__blobServiceUri` or `<prefix>__accountName` stand for an identity instead of a key.
    """
    name = name or "AzureWebJobsStorage"
    for prefix in (f"AzureWebJobs{name}", name):
        value = settings.get(prefix)
        if value:
            development = value.strip().rstrip(";").lower() == "usedevelopmentstorage=true"
            return Connection(connection_string=_DEVELOPMENT_STORAGE if development else value)
        account = settings.get(f"{prefix}__accountName")
        queue_uri = settings.get(f"{prefix}__queueServiceUri")
        blob_uri = settings.get(f"{prefix}__blobServiceUri")
        if account or queue_uri or blob_uri:
            return Connection(
                queue_uri=queue_uri or (f"https://{account}.queue.core.windows.net" if account else None),
                blob_uri=blob_uri or (f"https://{account}.blob.core.windows.net" if account else None),
                client_id=settings.get(f"{prefix}__clientId"),
            )
    raise UnresolvedSettingError(f"no connection: set the app setting {name}")


def is_disabled(function: str, settings: Mapping[str, str]) -> bool:
    """Return whether `AzureWebJobs.<function>.Disabled`, dots or underscores, switches a function off."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")
    return any(settings.get(name, "").lower() in {"1", "true"} for name in names)
