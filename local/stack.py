"""
The stack: storage, Microsoft's services and the Functions host, started in order and stopped in reverse.

What it started is written to ``stack.json`` in its folder, so that other programs can join in, and what the
app is told is nothing but settings: a connection string, addresses, a CA file, a mail.toml.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local import leash
from local.azurite import Azurite, AzuriteFailedError
from local.environment import ROOT
from local.ports import Ports, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = ROOT / ".local"
STACK_FILE = "stack.json"
_START_SECONDS = 60  # a cold machine under load; it takes about three
# The settings of the app that a shell may hold for another deployment.
_OURS = (
    "AzureWebJobs",
    "KEY_VAULT_",
    "PUBLIC_URL",
    "MAIL_CONFIG",
    "OAUTH_",
    "SIGN_IN_AS",
    "APPLICATIONINSIGHTS_",
    "PYTHON_APPLICATIONINSIGHTS_",
    "MAILBOX",
    "OUTBOX_",
    "RELEASE_",
    "UPKEEP_",
    "LEDGER_",
    "EVENTS_",
    "AZURE_CLIENT_ID",
)


class StackError(Exception):
    """The stack cannot start; the message says which part, and what it said."""


@dataclass(slots=True)
class Stack:
    """A running stack. ``facts`` is what stands in ``stack.json``."""

    folder: Path
    facts: dict[str, Any]
    azurite: Azurite
    microsoft: subprocess.Popen[str]
    host: subprocess.Popen[str] | None = None
    _logs: list[Any] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        ports: Ports,
        folder: Path = FOLDER,
        *,
        keep_storage: bool = True,
        instances: int = 1,
        lock_seconds: int | None = None,
        access_log: Path | None = None,
        more_mail_toml: str = "",
        more_settings: Mapping[str, str] | None = None,
        said: Callable[[str], object] = lambda _: None,
    ) -> Self:
        """
        Start every part and wait until all answer; raises ``StackError`` with nothing left running.

        ``keep_storage`` keeps Azurite's data in the folder from one start to the next. ``access_log`` gets a
        line for each request to it. ``more_mail_toml`` is added to the stack's mail.toml, ``more_settings``
        to its settings. ``said`` hears what is being done.
        """
        if owner := _owner(folder):
            raise StackError(
                f"a stack is running in {folder} already, as process {owner}; end that one first"
            )
        if busy := taken(ports):
            raise StackError(
                f"port {busy[0]} is taken; end what listens there, or choose others with --port-base"
            )
        folder.mkdir(parents=True, exist_ok=True)
        said("storage, identity, vault and mail server")
        with ThreadPoolExecutor(1) as beside:
            kept = folder / "azurite" if keep_storage else None
            storage = beside.submit(_start_azurite, ports, kept, access_log)
            try:
                microsoft, urls = _start_microsoft(ports, folder)
            except StackError:
                storage.result().stop()
                raise
            try:
                azurite = storage.result()
            except AzuriteFailedError as error:
                leash.stop(microsoft)
                raise StackError(str(error)) from None
        stack = cls(folder, _facts(ports, folder, azurite, urls), azurite, microsoft)
        stack.facts["settings"] |= more_settings or {}
        with (folder / "mail.toml").open("a") as written:
            written.write(more_mail_toml)
        try:
            said("the Functions host")
            stack.start_host(instances=instances, lock_seconds=lock_seconds)
            (folder / STACK_FILE).write_text(json.dumps(stack.facts, indent=2) + "\n")
        except BaseException:
            stack.stop()
            raise
        return stack

    def start_host(self, *, instances: int = 1, lock_seconds: int | None = None) -> None:
        """Start the Functions host on this stack's settings and wait until it is ready."""
        command = [sys.executable, "-m", "local.host", "--folder", str(ROOT), "--stop-with-parent"]
        command += ["--port", str(self.facts["ports"]["functions"]), "--instances", str(instances)]
        if lock_seconds is not None:
            command += ["--lock-seconds", str(lock_seconds)]
        log = (self.folder / "host.log").open("a", encoding="utf-8")
        self._logs.append(log)
        began = log.tell()
        self.host = leash.start(command, stdout=log, env=host_environment(self.facts["settings"]), cwd=ROOT)
        _wait_for_line(self.host, self.folder / "host.log", began, "Host is ready")

    def stop_host(self) -> None:
        """Let the host finish what it is doing and end it."""
        if self.host:
            leash.stop(self.host)
            self.host = None

    def start_storage_again(self) -> None:
        """Bring Azurite back after ``azurite.stop``, with everything that it held."""
        self.azurite = self.azurite.again()

    def stop(self) -> None:
        """Stop every part, the host first, so that what it is doing can still be recorded."""
        (self.folder / STACK_FILE).unlink(missing_ok=True)
        self.stop_host()
        leash.stop(self.microsoft)
        self.azurite.stop()
        for log in self._logs:
            log.close()

    def wait(self) -> str:
        """Wait until a part ends by itself; returns its name."""
        parts = {
            "the Functions host": self.host,
            "Microsoft's services": self.microsoft,
            "Azurite": self.azurite.process,
        }
        while True:
            for name, process in parts.items():
                if process and process.poll() is not None:
                    return name
            time.sleep(0.5)


def host_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of a host: this process's, without another deployment's settings, and with these.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, **settings}


def running(folder: Path = FOLDER) -> dict[str, Any]:
    """Return ``stack.json`` of the running stack; raises ``StackError`` when there is none."""
    if not _owner(folder):
        raise StackError("no stack is running here; start one in another terminal: python3 -m local up")
    return _facts_in(folder)


def _owner(folder: Path) -> int:
    """
    Return the process whose stack runs in ``folder``, 0 where none does.

    A stack that was killed has left its file behind.
    """
    try:
        pid = int(_facts_in(folder)["pid"])
        os.kill(pid, 0)  # asks whether it is there, and does nothing to it
    except (OSError, ValueError, KeyError):
        return 0
    return pid


def _facts_in(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / STACK_FILE).read_text())
    return facts


def _start_azurite(ports: Ports, folder: Path | None, access_log: Path | None) -> Azurite:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return Azurite.launch(
        folder, blob_port=ports.blob, queue_port=ports.queue, table_port=ports.table, access_log=access_log
    )


def _start_microsoft(ports: Ports, folder: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [
        sys.executable,
        "-m",
        "local.microsoft",
        "--port-base",
        str(ports.functions),
        "--folder",
        str(folder),
    ]
    process = leash.start(command, stdout=subprocess.PIPE, cwd=ROOT)
    last_words: deque[str] = deque(maxlen=20)
    for line in process.stdout or ():
        last_words.append(line.rstrip())
        if line.startswith("{"):
            return process, json.loads(line)
    leash.stop(process)
    raise StackError("Microsoft's services did not start: " + " / ".join(last_words))


def _facts(ports: Ports, folder: Path, azurite: Azurite, urls: Mapping[str, str]) -> dict[str, Any]:
    key = os.environ.get("LOCAL_FUNCTION_KEY") or secrets.token_urlsafe(24)
    ca_file = str(Path(urls["ca_file"]).resolve())
    mail_config = folder / "mail.toml"
    mail_config.write_text(_mail_toml(ports, urls))
    functions = f"http://localhost:{ports.functions}"
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "KEY_VAULT_URL": urls["vault"],
        "KEY_VAULT_VERIFY_CHALLENGE": "false",
        "PUBLIC_URL": functions,
        "MAIL_CONFIG": str(mail_config),
        "AZURE_CLIENT_ID": urls["identity_client_id"],
        "IDENTITY_ENDPOINT": urls["managed_identity"],
        "IDENTITY_HEADER": urls["identity_header"],
        "REQUESTS_CA_BUNDLE": ca_file,
        "SSL_CERT_FILE": ca_file,
        "LOCAL_FUNCTION_KEY": key,
        # As in infra/: Python's own number of threads is less than the messages that an instance works on.
        "PYTHON_THREADPOOL_THREAD_COUNT": "32",
    }
    return {
        "functions": functions,
        "inbox": urls["inbox"],
        "identity": urls["identity"],
        "vault": urls["vault"],
        "smtp": f"localhost:{ports.smtp}",
        "managed_identity": urls["managed_identity"],
        "storage": azurite.connection_string,
        "key": key,
        "ca_file": ca_file,
        "ports": {name: getattr(ports, name) for name in Ports.__slots__},
        "settings": settings,
        "folder": str(folder),
        "pid": os.getpid(),
    }


def _mail_toml(ports: Ports, urls: Mapping[str, str]) -> str:
    """Return the mail.toml of the stack's tenant: what an administrator of contoso.com would write."""
    return f"""\
# Written by the local stack at each start.

[services.microsoft]
type = "microsoft"
tenant = "{urls["authority"].rpartition("/")[2]}"
client_id = "{urls["client_id"]}"
authority = "{urls["authority"]}"

[senders.noreply]
service = "microsoft"
mailbox = "noreply@contoso.com"
from = "Contoso <noreply@contoso.com>"
default = true
smtp = {{ host = "localhost", port = {ports.smtp} }}

[senders.billing]
service = "microsoft"
mailbox = "billing@contoso.com"
from = "Contoso Billing <billing@contoso.com>"
smtp = {{ host = "localhost", port = {ports.smtp} }}

[senders.reports]                    # a shared mailbox: the service account signs in and sends as it
service = "microsoft"
mailbox = "reports@contoso.com"
sign_in_as = "svc-mail@contoso.com"
from = "Contoso Reports <reports@contoso.com>"
smtp = {{ host = "localhost", port = {ports.smtp} }}
"""


def _wait_for_line(process: subprocess.Popen[str], log: Path, start: int, wanted: str) -> None:
    """Wait until ``wanted`` stands in the log, or the process has ended without it."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with log.open(encoding="utf-8", errors="replace") as written:
            written.seek(start)
            text = written.read()
        if wanted in text:
            return
        if process.poll() is not None:
            raise StackError("the Functions host did not start:\n" + "\n".join(text.splitlines()[-20:]))
        time.sleep(0.05)
    raise StackError(f"the Functions host was not ready after {_START_SECONDS} s; its log is {log}")
