"""
Events: what happens to messages and senders, as CloudEvents 1.0 (JSON) for the queue ``mail-events``.

An event's id is made from what it tells, so one that is put on the queue twice after a crash can be told by
its reader.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.delivery import Entry

# Octets. A queue message holds 64 KiB; a reason that lists fifty problems must not burst it, whatever its
# script.
_LONGEST_TEXT = 6_000
# A queue message travels as XML 1.0, which has no way to write these (§2.2, Char); JSON has.
_NOT_IN_XML = re.compile("[\ufffe\uffff]")

#: The states of a message that are told, and how. Accepted and deferred only where mail.toml asks for them.
OF_STATE: Mapping[State, str] = {
    State.ACCEPTED: "mail.accepted",
    State.DEFERRED: "mail.deferred",
    State.REJECTED: "mail.rejected",
    State.EXPIRED: "mail.expired",
    State.CANCELLED: "mail.cancelled",
    State.IN_DOUBT: "mail.in_doubt",
    State.DEAD_LETTERED: "mail.dead_lettered",
}
OPT_IN = frozenset({"mail.accepted", "mail.deferred"})


def of_message(entry: Entry, *, source: str) -> str | None:
    """Return the event of a message's present state as JSON, or None for a state that is not told."""
    kind = OF_STATE.get(entry.state)
    if kind is None:
        return None
    data: dict[str, Any] = {
        "id": entry.id,
        "sender": entry.sender,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "message_id": entry.message_id,
        "reply": _cut(entry.reply),
        "reason": _cut(entry.reason),
        "metadata": dict(entry.metadata),
    }
    if entry.due_at is not None:
        data["due_at"] = entry.due_at.isoformat()
    return _event(
        kind, f"{entry.id}/{entry.changes}", source=source, subject=entry.id, at=entry.updated_at, data=data
    )


def of_sender(kind: str, sender: str, data: Mapping[str, Any], *, source: str, at: datetime) -> str:
    """Return an event about a sender as JSON; ``data`` is what is to be known beside its name."""
    shown = {"sender": sender} | {
        name: _cut(value) if isinstance(value, str) else value for name, value in data.items()
    }
    return _event(kind, f"{sender}/{kind}/{at.isoformat()}", source=source, subject=sender, at=at, data=shown)


def _event(
    kind: str, event_id: str, *, source: str, subject: str, at: datetime, data: Mapping[str, Any]
) -> str:
    text = json.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": kind,
            "subject": subject,
            "time": at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
        },
        ensure_ascii=False,
    )
    return _NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:_LONGEST_TEXT].decode(errors="ignore")
