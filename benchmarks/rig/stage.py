"""
The stage: a stack of its own for one run, with as many connected senders as are wanted.

Every sender has its own mailbox and its own person, who signs in through the real consent flow.
"""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.consent_walk import walk
from local.microsoft.controls import Controls
from local.ports import Ports
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOMAIN = "contoso.com"
_CONSENTS_AT_ONCE = 4  # each is a dozen requests to one small process
ACCESS_LOG = "access.log"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one mailbox takes: told to the mail server, and to the app in its mail.toml."""

    messages_per_minute: int
    connections: int
    recipients_per_day: int = 1_000_000  # never what is looked at here


EXCHANGE = Limits(messages_per_minute=30, connections=3)
#: For runs that the limits would only make long. The dead keep connections for a while, hence so many.
RAISED = Limits(messages_per_minute=1_000_000, connections=1_000)


@dataclass(slots=True)
class Stage:
    """A running stack. ``senders`` are names in its mail.toml."""

    stack: Stack
    senders: tuple[str, ...]
    instances: int
    lock_seconds: int | None

    @property
    def facts(self) -> dict[str, Any]:
        """What stands in ``stack.json``."""
        return self.stack.facts

    @property
    def access_log(self) -> Path:
        """The file with a line for each request to storage, where one was asked for."""
        return self.stack.folder / ACCESS_LOG

    @property
    def controls(self) -> Controls:
        """The control endpoints of the stand-ins."""
        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        return Controls(self.facts["identity"], self.facts["vault"], self.facts["inbox"], context)

    def counters(self) -> dict[str, Any]:
        """What the mail server has counted."""
        counted: dict[str, Any] = self.controls.mail()["counters"]
        return counted

    def accepted(self) -> int:
        """How many messages the mail server has taken so far."""
        return int(self.counters()["accepted"])

    def host_log(self) -> str:
        """What the host has said."""
        return (self.stack.folder / "host.log").read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def without_host(self) -> Iterator[None]:
        """Stop the host for a while: what is dropped meanwhile is all there when it starts again."""
        self.stack.stop_host()
        yield
        self.stack.start_host(instances=self.instances, lock_seconds=self.lock_seconds)


@contextlib.contextmanager
def stage(
    *,
    instances: int,
    senders: int = 1,
    limits: Limits = EXCHANGE,
    lock_seconds: int | None = None,
    keep_storage: bool = False,
    access_log: bool = False,
    keep: Path | None = None,
) -> Iterator[Stage]:
    """
    Give a stack with every sender connected, and stop it at the end.

    ``keep_storage`` has Azurite write its data down, so that it can be stopped and started again. ``keep`` is
    a folder for everything that the stack writes, its host's log above all; without one it is thrown away.
    """
    with contextlib.ExitStack() as ends:
        folder = keep or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="sendoff-")))
        ports = Ports.free()
        names = tuple(f"bench-{number:02}" for number in range(1, senders + 1))
        folder.mkdir(parents=True, exist_ok=True)
        stack = Stack.start(
            ports,
            folder,
            keep_storage=keep_storage,
            instances=instances,
            lock_seconds=lock_seconds,
            access_log=folder / ACCESS_LOG if access_log else None,
            more_mail_toml="".join(_sender(name, ports.smtp, limits) for name in names),
        )
        ends.callback(stack.stop)
        made = Stage(stack, names, instances, lock_seconds)
        _furnish(made, limits)
        yield made


def address(sender: str) -> str:
    """Return the mailbox of a sender."""
    return f"{sender}@{_DOMAIN}"


def _sender(name: str, smtp_port: int, limits: Limits) -> str:
    own = "\n".join(f"{limit} = {value}" for limit, value in asdict(limits).items())
    return f"""
[senders.{name}]
service = "microsoft"
mailbox = "{address(name)}"
from = "{address(name)}"
smtp = {{ host = "localhost", port = {smtp_port} }}

[senders.{name}.limits]
{own}
"""


def _furnish(made: Stage, limits: Limits) -> None:
    """Make people and mailboxes, set the limits, and let everybody sign in."""
    controls = made.controls
    for name in made.senders:
        controls.identity({"hire": address(name)})
    controls.mail(
        {
            "limits": asdict(limits),
            "mailboxes": {address(name): {"owners": [address(name)]} for name in made.senders},
        }
    )
    facts = made.facts

    def connect(name: str) -> None:
        walk(f"{facts['functions']}/api/oauth/start/{name}", key=facts["key"], ca_file=facts["ca_file"])

    with ThreadPoolExecutor(_CONSENTS_AT_ONCE) as pool:
        list(pool.map(connect, made.senders))


def plain(message_id: str, sender: str, **fields: str) -> dict[str, Any]:
    """Return a small message whose subject is its id, by which it is known again at the mail server."""
    return {
        "id": message_id,
        "sender": sender,
        "to": "ada@example.com",
        "subject": message_id,
        "text": "Hello Ada,\n\nthis is one of many.\n",
        **fields,
    }
