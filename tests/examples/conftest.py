"""What the examples run on: an outbox, the Azure CLI, and Node with Microsoft's client."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from azure.storage.queue import QueueClient

from local import environment
from local.azurite import Azurite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from azure.storage.queue import QueueMessage

EXAMPLES = environment.ROOT / "docs" / "examples"


@dataclass(frozen=True)
class Outbox:
    """An outbox of nobody else's, and how an example is run against it."""

    connection_string: str
    queue: QueueClient

    def after(self, *command: Path | str, environ: Mapping[str, str] | None = None) -> QueueMessage:
        """Run an example and return the one message that it put there."""
        done = subprocess.run(
            [*map(str, command), str(EXAMPLES / "order-4711.csv")],
            env={
                **os.environ,
                **(environ or {}),
                "AZURE_STORAGE_CONNECTION_STRING": self.connection_string,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (message,) = self.queue.receive_messages()
        self.queue.delete_message(message)
        return message


@pytest.fixture(scope="session")
def outbox() -> Iterator[Outbox]:
    with (
        Azurite.start() as azurite,
        QueueClient.from_connection_string(azurite.connection_string, "outbox") as queue,
    ):
        queue.create_queue()
        yield Outbox(azurite.connection_string, queue)


@pytest.fixture(scope="session")
def azure_cli(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which ``az`` is found; it keeps its files to itself and calls no host by itself."""
    return {
        "PATH": f"{environment.AZURE_CLI.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AZURE_CONFIG_DIR": str(tmp_path_factory.mktemp("azure")),
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
    }


@pytest.fixture(scope="session")
def javascript() -> Path:
    """The example in a folder of its own, with what its lock file names."""
    program = environment.JAVASCRIPT_EXAMPLE
    shutil.copy(program.source / "send.mjs", program.folder / "send.mjs")
    return program.folder / "send.mjs"
