"""
Which port each part of a stack listens on: one block of neighbours, from ``--port-base`` on.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

DEFAULT_BASE = 7071  # the Functions host's, as Azure's own tools have it
COUNT = 9


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack, all on 127.0.0.1."""

    functions: int
    identity: int
    vault: int
    smtp: int
    inbox: int
    managed_identity: int
    blob: int
    queue: int
    table: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Return the block that begins at ``base``."""
        return cls(*range(base, base + COUNT))

    @classmethod
    def free(cls) -> Ports:
        """Return a block that nobody listens on just now."""
        for base in range(21071, 60000, COUNT + 1):
            if not taken(cls.from_base(base)):
                return cls.from_base(base)
        raise OSError("there is no block of free ports on this machine")


def taken(ports: Ports) -> list[int]:
    """Return those ports that somebody else listens on."""
    return [port for port in (getattr(ports, name) for name in Ports.__slots__) if not _is_free(port)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
