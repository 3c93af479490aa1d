"""
Azure Storage on one machine: Microsoft's own emulator, Azurite, as a child process.

The pinned version stands in ``package.json`` beside this file; ``local.environment`` installs it into
``.venv/azurite``.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from local import environment, leash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# The account that every Azurite has; documented by Microsoft, so no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_LISTENING = re.compile(
    r"Azurite (Blob|Queue|Table) service is successfully listening at http://127\.0\.0\.1:(\d+)"
)


class AzuriteFailedError(RuntimeError):
    """Azurite stopped before it listened; its own words are in the message."""


@dataclass(frozen=True, slots=True)
class Azurite:
    """
    A running Azurite.

    ``connection_string`` is what ``AzureWebJobsStorage`` takes.
    """

    process: subprocess.Popen[str]
    blob_port: int
    queue_port: int
    table_port: int
    folder: Path | None = None

    @property
    def connection_string(self) -> str:
        """Everything a storage client needs to talk to this account."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.blob_port}/{ACCOUNT};"
            f"QueueEndpoint=http://127.0.0.1:{self.queue_port}/{ACCOUNT};"
            f"TableEndpoint=http://127.0.0.1:{self.table_port}/{ACCOUNT};"
        )

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, folder: Path | None = None, *, blob_port: int = 0, queue_port: int = 0, table_port: int = 0
    ) -> Iterator[Self]:
        """
        Start it, wait until all three services listen, and stop it at the end.

        ``folder`` keeps the data; without one it lives in memory and goes with the process. Port 0 is any
        free one.
        """
        azurite = cls.launch(folder, blob_port=blob_port, queue_port=queue_port, table_port=table_port)
        try:
            yield azurite
        finally:
            azurite.stop()

    @classmethod
    def launch(
        cls,
        folder: Path | None = None,
        *,
        blob_port: int = 0,
        queue_port: int = 0,
        table_port: int = 0,
        access_log: Path | None = None,
    ) -> Self:
        """
        Start it and wait until all three services listen. The caller stops it.

        ``access_log`` is a file that gets a line for each request.
        """
        command = [str(environment.node()), str(environment.azurite_script())]
        # Without --disableTelemetry it calls a host on the internet at every start.
        command += ["--skipApiVersionCheck", "--disableTelemetry"]
        command += ["--silent"] if access_log is None else []
        command += ["--location", str(folder)] if folder else ["--inMemoryPersistence"]
        for service, port in (("blob", blob_port), ("queue", queue_port), ("table", table_port)):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        if access_log is None:
            process = leash.start(command, stdout=subprocess.PIPE)
            ports = _wait_until_listening(process, process.stdout)
        else:
            with access_log.open("w") as written:
                process = leash.start(command, stdout=written)
            with access_log.open() as lines:
                ports = _wait_until_listening(process, _followed(process, lines))
        return cls(process, ports["Blob"], ports["Queue"], ports["Table"], folder)

    def stop(self) -> None:
        """End the process and wait for it; harmless when it has ended already."""
        leash.stop(self.process)

    def again(self) -> Self:
        """Start it once more after ``stop``, on the same data and ports; without an access log."""
        if self.folder is None:
            raise AzuriteFailedError("azurite kept its data in memory, and that went with the process")
        return self.launch(
            self.folder, blob_port=self.blob_port, queue_port=self.queue_port, table_port=self.table_port
        )


def _followed(process: subprocess.Popen[str], lines: IO[str]) -> Iterator[str]:
    """Give each line of a file as it is written, until the process has ended."""
    line = ""
    while process.poll() is None:
        line += lines.readline()
        if line.endswith("\n"):
            yield line
            line = ""
        else:
            time.sleep(0.02)
    yield from lines


def _wait_until_listening(process: subprocess.Popen[str], lines: Iterable[str] | None) -> dict[str, int]:
    ports: dict[str, int] = {}
    last_words: deque[str] = deque(maxlen=20)
    if lines is None:
        raise AzuriteFailedError("azurite was started without a pipe to listen on")
    for line in lines:
        last_words.append(line.rstrip())
        if found := _LISTENING.search(line):
            ports[found[1]] = int(found[2])
        if len(ports) == 3:  # noqa: PLR2004 - blob, queue and table
            return ports
    leash.stop(process)
    raise AzuriteFailedError("azurite did not start: " + " / ".join(last_words))
