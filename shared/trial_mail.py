"""
Test mails: a short message through a sender, recorded in the ledger as any other.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core import intake, outcomes
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.core.delivery import Entry
    from shared.core.sender import Sender
    from shared.ports import Outbox


class Ledger(Protocol):
    """The record of every message."""

    def find(self, message_id: str) -> Entry | None:
        """Return the entry of a message, or None."""
        ...

    def add(self, entry: Entry) -> Entry | None:
        """Write a new entry; None when the id is taken."""
        ...


class TrialMail:
    """Sends test mails."""

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        mail_id: Callable[[str], str],
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock
        self._mail_id = mail_id

    def send(self, sender: Sender, to: str, *, message_id: str) -> Entry:
        """
        Send a test mail to ``to``; the same id again sends no second one.

        Raises ``MessageError`` for an address that is none.
        """
        value = {
            "id": message_id,
            "sender": sender.name,
            "to": to,
            "subject": f"Test mail of the sender {sender.name}",
            "text": (
                f"This mail was sent by Sendoff from {sender.from_address.addr_spec},\n"
                f"to see that the sender {sender.name} works. It does.\n"
            ),
            "headers": {"Auto-Submitted": "auto-generated"},
            "priority": "high",
        }
        body = json.dumps(value).encode()
        message = intake.read_posted(body, key="", fallback_id=message_id)
        entry = outcomes.first_waiting(
            message_id=message.id,
            content_hash=message.content_hash,
            sender=sender.name,
            mail_id=self._mail_id(sender.from_address.domain),
            metadata=message.fields.metadata,
            now=self._clock(),
            body=body,
            reason="",
            state=State.QUEUED,
            planned_at=None,
            expires_at=None,
        )
        known = self._ledger.add(entry) or self._ledger.find(message.id) or entry
        if known.state is State.QUEUED:
            self._outbox.put(intake.waiting_body(message.id), delay=timedelta())
        return known
