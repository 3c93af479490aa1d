"""The storage accounts that bindings name, and the names the host keeps its own records under."""

import hashlib
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.host.app_settings import Connection, UnresolvedSettingError, find_connection

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient

#: Where the real host keeps its leases and timer records.
HOSTS_CONTAINER = "azure-webjobs-hosts"

#: The SDK's own first pause is 15 s: too long for a listener that tries again by itself.
_RETRIES: dict[str, Any] = {"retry_total": 2, "initial_backoff": 1, "increment_base": 2}


class StorageAccounts:
    """The clients of every account in use, one per connection name, made when first asked for."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._queues: dict[str, QueueServiceClient] = {}
        self._blobs: dict[str, BlobServiceClient] = {}
        self._credentials: list[DefaultAzureCredential] = []

    def queue(self, connection: str, name: str) -> QueueClient:
        """Return the client of a queue; texts pass as they are, without an encoding."""
        if connection not in self._queues:
            self._queues[connection] = self._queue_service(find_connection(connection, self._settings))
        return self._queues[connection].get_queue_client(name)

    def hosts_container(self, connection: str = "AzureWebJobsStorage") -> "ContainerClient":
        """Return the container in which hosts keep their leases and timer records."""
        if connection not in self._blobs:
            self._blobs[connection] = self._blob_service(find_connection(connection, self._settings))
        return self._blobs[connection].get_container_client(HOSTS_CONTAINER)

    async def close(self) -> None:
        """Close every connection."""
        for queues in self._queues.values():
            await queues.close()
        for blobs in self._blobs.values():
            await blobs.close()
        for credential in self._credentials:
            await credential.close()

    def _queue_service(self, connection: Connection) -> QueueServiceClient:
        if connection.connection_string is not None:
            return QueueServiceClient.from_connection_string(connection.connection_string, **_RETRIES)
        if connection.queue_uri is None:
            raise UnresolvedSettingError("the connection names no queue service: set …__queueServiceUri")
        return QueueServiceClient(connection.queue_uri, credential=self._credential(connection), **_RETRIES)

    def _blob_service(self, connection: Connection) -> "BlobServiceClient":
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 (slow; only timers need it)

        if connection.connection_string is not None:
            return BlobServiceClient.from_connection_string(connection.connection_string, **_RETRIES)
        if connection.blob_uri is None:
            raise UnresolvedSettingError("the connection names no blob service: set …__blobServiceUri")
        return BlobServiceClient(connection.blob_uri, credential=self._credential(connection), **_RETRIES)

    def _credential(self, connection: Connection) -> "DefaultAzureCredential":
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (slow, seldom needed)

        credential = DefaultAzureCredential(managed_identity_client_id=connection.client_id)
        self._credentials.append(credential)
        return credential


async def create_queue(queue: QueueClient) -> None:
    """Make sure that the queue exists."""
    try:
        await queue.create_queue()
    except ResourceExistsError:
        return


async def put(queue: QueueClient, text: str) -> None:
    """Put a message on a queue, which is created if it is missing."""
    try:
        await queue.send_message(text)
    except ResourceNotFoundError:
        await create_queue(queue)
        await queue.send_message(text)


def is_gone(error: HttpResponseError) -> bool:
    """Return whether a message is no longer the host's: deleted, taken or updated by someone else."""
    code = str(getattr(error, "error_code", ""))
    return code in {"MessageNotFound", "PopReceiptMismatch"} or isinstance(error, ResourceNotFoundError)


def host_id(folder: Path, settings: Mapping[str, str]) -> str:
    """
    Return the id under which hosts of the same app find each other.

    That is `AzureFunctionsWebHost__hostid`, else the machine's name and the folder.
    """
    configured = settings.get("AzureFunctionsWebHost__hostid")
    if configured:
        return configured
    machine = re.sub(r"[^a-z0-9]", "", platform.node().lower())[:20] or "local"
    return f"{machine}-{hashlib.sha256(str(folder).encode()).hexdigest()[:10]}"
