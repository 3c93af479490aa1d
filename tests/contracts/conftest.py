"""Each port twice: the in-memory twin, and the adapter on the real thing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import pytest
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobClient
from azure.storage.queue import QueueClient

from shared.adapters.blob_container import BlobContainer
from shared.adapters.key_vault import KeyVault
from shared.adapters.storage_account import Account
from shared.adapters.storage_queue import StorageQueue
from shared.adapters.table_consents import TableConsents
from shared.adapters.table_leases import TableLeases
from shared.adapters.table_ledger import TableLedger
from shared.adapters.table_schedules import TableSchedules
from shared.adapters.table_senders import TableSenders
from shared.adapters.table_waiting import TableWaiting
from tests.twins import (
    Clock,
    MemoryConsents,
    MemoryGrants,
    MemoryLeases,
    MemoryLedger,
    MemoryOutbox,
    MemoryPayloads,
    MemorySchedules,
    MemorySenders,
    MemoryWaiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.azurite import Azurite
    from local.microsoft.cloud import Cloud
    from shared import grants
    from shared.core.grant import Grant
    from shared.ports import WaitingRoom
    from shared.register import SenderStore

KINDS = ["twin", "azure"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest) -> MemoryLedger | TableLedger:
    if request.param == "twin":
        return MemoryLedger()
    return TableLedger(request.getfixturevalue("table"))


@pytest.fixture(params=KINDS)
def leases(request: pytest.FixtureRequest, clock: Clock) -> grants.Leases:
    if request.param == "twin":
        return MemoryLeases(clock)
    return TableLeases(request.getfixturevalue("table"), clock=clock)


@pytest.fixture(params=KINDS)
def consents(request: pytest.FixtureRequest) -> MemoryConsents | TableConsents:
    if request.param == "twin":
        return MemoryConsents()
    return TableConsents(request.getfixturevalue("table"))


@pytest.fixture(params=KINDS)
def senders(request: pytest.FixtureRequest) -> SenderStore:
    if request.param == "twin":
        return MemorySenders()
    return TableSenders(request.getfixturevalue("table"))


@pytest.fixture(params=KINDS)
def schedules(request: pytest.FixtureRequest) -> MemorySchedules | TableSchedules:
    if request.param == "twin":
        return MemorySchedules()
    return TableSchedules(request.getfixturevalue("table"))


@pytest.fixture(params=KINDS)
def room(request: pytest.FixtureRequest) -> WaitingRoom:
    if request.param == "twin":
        return MemoryWaiting()
    return TableWaiting(request.getfixturevalue("table"))


class Grants(Protocol):
    """Where grants are kept."""

    def load_grant(self, sender: str) -> Grant | None: ...

    def store_grant(self, sender: str, grant: Grant) -> None: ...

    def delete_grant(self, sender: str) -> bool: ...


@pytest.fixture(params=KINDS)
def vault(request: pytest.FixtureRequest) -> Iterator[Grants]:
    if request.param == "twin":
        yield MemoryGrants()
        return
    cloud: Cloud = request.getfixturevalue("cloud")
    with ManagedIdentityCredential() as credential:
        yield KeyVault(cloud.vault_url, credential, verify_challenge=False)


class Queue(Protocol):
    """A queue, and what a reader finds on it."""

    def put(self, text: str, *, delay: timedelta = ...) -> None: ...

    def visible(self) -> list[str]:
        """Return the texts that can be read now, and take them."""
        ...

    def hidden(self) -> int:
        """Return how many more there are."""
        ...


class TwinQueue(MemoryOutbox):
    def visible(self) -> list[str]:
        found = [put.text for put in self.puts if put.delay <= timedelta()]
        self.puts = [put for put in self.puts if put.delay > timedelta()]
        return found

    def hidden(self) -> int:
        return len(self.puts)


@dataclass
class AzureQueue:
    adapter: StorageQueue
    reader: QueueClient

    def put(self, text: str, *, delay: timedelta = timedelta()) -> None:
        self.adapter.put(text, delay=delay)

    def visible(self) -> list[str]:
        found = list(self.reader.receive_messages(messages_per_page=32))
        for message in found:
            self.reader.delete_message(message)
        return [message.content for message in found]

    def hidden(self) -> int:
        return self.reader.get_queue_properties().approximate_message_count or 0


@pytest.fixture(params=KINDS)
def outbox(request: pytest.FixtureRequest) -> Iterator[Queue]:
    if request.param == "twin":
        yield TwinQueue()
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    name: str = request.getfixturevalue("unique_name")
    with QueueClient.from_connection_string(azurite.connection_string, name) as reader:
        yield AzureQueue(StorageQueue(name, Account(azurite.connection_string)), reader)


@dataclass
class Blobs:
    """A container, and somebody else who writes what they like there."""

    container: MemoryPayloads | BlobContainer
    overwrite: Callable[[str, bytes], object]


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest) -> Blobs:
    if request.param == "twin":
        twin = MemoryPayloads()
        return Blobs(twin, twin.blobs.__setitem__)
    azurite: Azurite = request.getfixturevalue("azurite")
    name: str = request.getfixturevalue("unique_name")

    def overwrite(path: str, content: bytes) -> None:
        with BlobClient.from_connection_string(azurite.connection_string, name, path) as blob:
            blob.upload_blob(content, overwrite=True)

    return Blobs(BlobContainer(name, Account(azurite.connection_string)), overwrite)
