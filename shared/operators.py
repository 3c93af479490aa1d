"""
Mail to the people who operate this deployment, from a sender that works: mail.toml's ``operators``.

An alarm that goes out through the mailbox it is about is never read. So another sender is looked for, one
that is connected and neither held nor paused; where there is none, event and log must do.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from shared.core.address import Address
    from shared.core.holds import SenderState
    from shared.core.sender import Sender
    from shared.ports import Outbox

# An alarm of days before is no news: what lasts is told again.
_STALE_AFTER: Final = timedelta(days=2)


class Register(Protocol):
    """How senders stand."""

    def all(self) -> list[SenderState]:
        """Return the state of every sender that has one."""
        ...


class Operators:
    """Writes to the operators."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        outbox: Outbox,
        register: Register,
        senders: Mapping[str, Sender],
    ) -> None:
        self._addresses = addresses
        self._outbox = outbox
        self._register = register
        self._senders = senders

    def write(self, about: Sender, subject: str, text: str, *, at: datetime, can_send: bool) -> None:
        """Put a mail on the outbox; the same subject and time are the same message, so it goes once."""
        sender = self._working(about, at, can_send=can_send) if self._addresses else None
        if sender is None:
            return
        mark = hashlib.sha256(subject.encode()).hexdigest()[:12]
        message = {
            "id": f"operators-{at.strftime('%Y%m%dT%H%M%SZ')}-{mark}",
            "sender": sender.name,
            "to": [address.addr_spec for address in self._addresses],
            "subject": f"[Sendoff] {subject}",
            "text": f"{text}\n\nThis was sent through the sender {sender.name}.\n",
            "headers": {"Auto-Submitted": "auto-generated"},
            "priority": "high",
            "expires_at": (at + _STALE_AFTER).isoformat(),
        }
        self._outbox.put(json.dumps(message, ensure_ascii=False), delay=timedelta())

    def _is_free(self, state: SenderState) -> bool:
        """Whether the address that mail goes out with is not held itself."""
        sender = self._senders.get(state.sender)
        return sender is not None and sender.from_address.key not in state.address_holds

    def _working(self, about: Sender, at: datetime, *, can_send: bool) -> Sender | None:
        works = {
            state.sender
            for state in self._register.all()
            if state.connection and not state.hold and not state.paused(at) and self._is_free(state)
        }
        others = [sender for name, sender in self._senders.items() if name in works and name != about.name]
        others.sort(key=lambda sender: not sender.default)
        if others:
            return others[0]
        return about if can_send and about.name in works else None
