import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.local.host.host_process import HostProcess, running_host, write_app
from tests.waiting import eventually


@dataclass
class Desk:
    """One test's app, queue and hosts."""

    folder: Path
    connection: str
    queue_name: str
    stack: ExitStack
    clients: dict[str, QueueClient] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": self.connection,
            "QUEUE": self.queue_name,
            "GATE": str(self.folder.parent / "gate"),
        }

    def make_gate(self) -> None:
        """Make the pipe at which functions wait until it is opened."""
        os.mkfifo(self.settings["GATE"])

    def open_gate(self) -> None:
        """Let every function go on that waits at the gate."""
        Path(self.settings["GATE"]).write_text("go", encoding="utf-8")

    def app(self, code: str, **queues: Any) -> None:
        write_app(self.folder, code, queues)

    def host(
        self, *arguments: str, wait: bool = True, settings: Mapping[str, str] | None = None
    ) -> HostProcess:
        together = self.settings | dict(settings or {})
        return self.stack.enter_context(running_host(self.folder, *arguments, settings=together, wait=wait))

    def queue(self, suffix: str = "") -> QueueClient:
        name = self.queue_name + suffix
        if name not in self.clients:
            client = QueueClient.from_connection_string(self.connection, name)
            self.clients[name] = self.stack.enter_context(client)
        return self.clients[name]

    def make_queue(self) -> QueueClient:
        self.queue().create_queue()
        return self.queue()

    def length(self, suffix: str = "") -> int:
        """Return how many messages are in a queue, hidden ones included."""
        try:
            return self.queue(suffix).get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def wait_for_length(self, length: int, suffix: str = "") -> None:
        eventually(lambda: self.length(suffix) == length)

    def peek(self, suffix: str = "") -> list[str]:
        return [message.content for message in self.queue(suffix).peek_messages(32)]
