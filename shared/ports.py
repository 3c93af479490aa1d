"""
What more than one workflow needs of the world. What only one needs stands at the top of its own file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta

    from shared.core.delivery import Entry


class Ledger(Protocol):
    """The record of every message; a write succeeds only on the version that was read."""

    def find(self, message_id: str) -> Entry | None:
        """Return the entry of a message, or None."""
        ...

    def add(self, entry: Entry) -> Entry | None:
        """Write a new entry; None when the id is taken."""
        ...

    def update(self, entry: Entry) -> Entry | None:
        """Write the next state of an entry; None when somebody else changed it first."""
        ...


class Outbox(Protocol):
    """The queue that messages come from and wait on."""

    def put(self, text: str, *, delay: timedelta) -> None:
        """Put ``text`` on the queue, to be seen after ``delay``."""
        ...


class Events(Protocol):
    """Those who want to know what happens to messages."""

    def tell(self, entry: Entry) -> None:
        """Tell the present state of a message, where it is one that is told."""
        ...
