"""
A running host with an app of a few lines, and what it prints.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

#: Long enough for two busy cores; nothing waits this long unless it fails.
DEADLINE_SECONDS = 60.0

KEY = "the-key-of-the-tests"

_PREAMBLE = r"""
import json, logging, os, threading
from pathlib import Path
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
def say(*words): os.write(1, " ".join(map(str, ("SAYS", *words))).encode() + b"\n")
"""


def write_app(folder: Path, code: str, host_json: Mapping[str, Any] | None = None) -> Path:
    """Write a function_app.py and a host.json that polls often."""
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(_PREAMBLE + textwrap.dedent(code), encoding="utf-8")
    queues = {"messageEncoding": "none", "maxPollingInterval": "00:00:00.2"}
    document = {"version": "2.0", "extensions": {"queues": queues | dict(host_json or {})}}
    (folder / "host.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@dataclass
class HostProcess:
    """A host in a process of its own; everything it prints is in `lines`."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _reader: threading.Thread | None = None
    _ended: bool = False
    base_url: str = ""

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        with self._changed:
            return "\n".join(self.lines)

    def said(self) -> list[str]:
        """Return what the app's functions said, in order."""
        return [line.removeprefix("SAYS ") for line in self.output.splitlines() if line.startswith("SAYS ")]

    def wait_for(self, pattern: str, *, times: int = 1, seconds: float = DEADLINE_SECONDS) -> re.Match[str]:
        """Wait until `times` lines match and return the last match."""
        expression = re.compile(pattern)

        def matches() -> list[re.Match[str]]:
            return [found for line in self.lines if (found := expression.search(line))]

        with self._changed:
            self._changed.wait_for(lambda: len(matches()) >= times or self._ended, timeout=seconds)
            assert len(matches()) >= times, f"{pattern!r} not printed {times} times:\n" + "\n".join(
                self.lines
            )
            return matches()[times - 1]

    def wait_until_ready(self) -> "HostProcess":
        self.base_url = self.wait_for(r"^Host is ready: (http://localhost:\d+)$")[1]
        return self

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(timeout=DEADLINE_SECONDS)
        assert self._reader is not None
        self._reader.join(timeout=DEADLINE_SECONDS)
        return code

    def stop(self) -> int:
        """End the host in the orderly way."""
        self.send_signal(signal.SIGTERM)
        return self.exit_code()

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> "Answer":
        """Send a request and return the answer, whatever its status."""
        request = urllib.request.Request(  # loopback only
            self.base_url + path, method=method, headers=dict(headers or {}), data=body
        )
        try:
            with _OPENER.open(request, timeout=DEADLINE_SECONDS) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Any
    body: bytes


@contextlib.contextmanager
def running_host(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[HostProcess]:
    """Start a host on `folder` and end it, at the latest, with the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AzureWebJobs")}
    environment |= {"LOCAL_FUNCTION_KEY": KEY, "PYTHONPATH": str(ROOT)}
    environment |= settings or {}
    process = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--port", "0", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    host = HostProcess(process)
    try:
        if wait:
            host.wait_until_ready()
        yield host
    finally:
        if process.poll() is None:
            process.kill()
        host.exit_code()
        assert process.stdout is not None
        process.stdout.close()
