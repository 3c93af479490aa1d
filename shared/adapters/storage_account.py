"""
The storage account: how its three services are reached, said once for queues, tables and blobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

# Storage answers in milliseconds; a function must not hang on one that does not. The SDKs try three times.
_CONNECT_SECONDS = 5
_READ_SECONDS = 15


# For queues and blobs, whose own 15 s, 27 s, … between tries outlast the time that a host has to stop.
PATIENCE: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2}

# Microsoft's clients of a queue, a table and a container are made alike, and share no type that says so.
C = TypeVar("C")


def client(
    kind: type[C],
    name: str,
    *,
    connection_string: str,
    url: str,
    credential: Callable[[], TokenCredential] | None,
    **options: Any,
) -> C:
    """Return an SDK client for ``name``: by a connection string or, with an identity, at an address."""
    options = {"connection_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS, **options}
    build: Any = kind
    if connection_string:
        made = build.from_connection_string(connection_string, name, **options)
    else:
        made = build(url, name, credential=credential() if credential else None, **options)
    return cast("C", made)
