"""
Real parts for the tests: Azurite, Microsoft's services on loopback, and the whole stack, each started once.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from local.azurite import Azurite
from local.consent_walk import walk
from local.microsoft.cloud import Cloud, cloud_in_thread
from local.ports import Ports
from local.stack import Stack
from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Storage, in memory."""
    with Azurite.start() as running:
        yield running


@pytest.fixture
def unique_name() -> str:
    """A name for a table or queue that no other test uses."""
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def table(azurite: Azurite, unique_name: str) -> Table:
    """A table of this test's own, not made yet."""
    return Table(unique_name, Account(azurite.connection_string))


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Microsoft's services, with the environment that makes clients trust and find them."""
    with cloud_in_thread(tmp_path_factory.mktemp("cloud")) as running:
        before = dict(os.environ)
        os.environ.update(running.environment())
        yield running
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack as child processes, with the sender noreply connected."""
    running = Stack.start(Ports.free(), tmp_path_factory.mktemp("stack"), keep_storage=False)
    try:
        facts = running.facts
        walk(f"{facts['functions']}/api/oauth/start/noreply", key=facts["key"], ca_file=facts["ca_file"])
        yield running
    finally:
        running.stop()


@pytest.fixture
def connected(stack: Stack) -> Callable[[str], None]:
    """Connect a sender of the stack."""

    def connect(sender: str) -> None:
        url = f"{stack.facts['functions']}/api/oauth/start/{sender}"
        walk(url, key=stack.facts["key"], ca_file=stack.facts["ca_file"])

    return connect
