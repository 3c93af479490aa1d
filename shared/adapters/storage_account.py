"""
The storage account: how its three services are reached, said once for queues, tables and blobs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import requests
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from shared.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

# Storage answers in milliseconds; a function must not hang on one that does not. The SDKs try three times.
_CONNECT_SECONDS = 5
_READ_SECONDS = 15

# As many connections as an instance has threads; the SDKs' own ten are opened and closed all the time.
_CONNECTIONS = 32

# For queues and blobs, whose own 15 s, 27 s, … between tries outlast the time that a host has to stop.
PATIENCE: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2}

# Microsoft's clients of a queue, a table and a container are made alike, and share no type that says so.
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")


def _session() -> requests.Session:
    """Return what the SDKs send by: theirs, with room for every thread. They themselves try again."""
    session = requests.Session()
    adapter = HTTPAdapter(max_retries=Retry(total=False, redirect=False), pool_maxsize=_CONNECTIONS)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def or_away(call: Callable[P, R]) -> Callable[P, R]:
    """Let what a service says that nothing in ``call`` expects be a ``StorageError``."""

    @functools.wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except AzureError as error:
            said = str(getattr(error, "message", "") or error).splitlines()
            raise StorageError(f"the storage account: {said[0] if said else type(error).__name__}") from error

    return calling


@dataclass(frozen=True, slots=True)
class Account:
    """One service of an account: by a connection string or, with an identity, at an address."""

    connection_string: str = field(default="", repr=False)
    url: str = ""
    credential: Callable[[], TokenCredential] | None = None

    def client(self, kind: type[C], name: str, **options: Any) -> C:
        """Return an SDK client for the queue, table or container ``name``."""
        options = {
            "connection_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "transport": RequestsTransport(session=_session(), session_owner=True),
            **options,
        }
        build: Any = kind
        if self.connection_string:
            made = build.from_connection_string(self.connection_string, name, **options)
        else:
            identity = self.credential() if self.credential else None
            made = build(self.url, name, credential=identity, **options)
        return cast("C", made)
