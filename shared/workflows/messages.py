"""
``messages``: mail over HTTP: dropped, looked up, taken back, moved.

A message is written into the ledger before its answer goes out, so whoever has the answer can ask for it at
once; the outbox carries its id, and a large one lies in a blob as those of the queue do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.core import delivery, intake, outcomes
from shared.core import sender as senders
from shared.core.delivery import State
from shared.core.intake import waiting_body
from shared.core.outcomes import TooLate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from shared.core.delivery import Entry
    from shared.core.message import Message
    from shared.core.sender import Sender
    from shared.ports import Amender, Outbox

# Octets of a message as it came that a property of the table holds; what is larger lies in a blob.
_LARGEST_IN_LEDGER: Final = intake.LARGEST_BODY_BYTES - 1_024


class Change(Protocol):
    """One row of a message's history."""

    @property
    def at(self) -> datetime:
        """When."""
        ...

    @property
    def state(self) -> State:
        """What it became."""
        ...

    @property
    def attempt(self) -> int:
        """At which attempt."""
        ...

    @property
    def reply(self) -> str:
        """What the server said."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...


class Ledger(Protocol):
    """The record of every message."""

    def find(self, message_id: str) -> Entry | None:
        """Return the entry of a message, or None."""
        ...

    def add(self, entry: Entry) -> Entry | None:
        """Write a new entry; None when the id is taken."""
        ...

    def history(self, message_id: str) -> Sequence[Change]:
        """Return every change of a message, the first one first."""
        ...

    def page(
        self,
        *,
        token: str,
        limit: int,
        state: State | None = None,
        sender: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[list[Entry], str]:
        """Return some entries, and the token of the next page, "" at the end."""
        ...


class Payloads(Protocol):
    """The container that large messages lie in."""

    def put(self, path: str, content: bytes) -> None:
        """Write a blob; one of that name keeps what it has."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are asked for; what is left out does not matter."""

    state: State | None = None
    sender: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessagesTools:
    """What mail over HTTP needs of the world."""

    ledger: Ledger
    outbox: Outbox
    payloads: Payloads
    amender: Amender
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    mail_id: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class OtherMessage:
    """The id belongs to a message with other content."""

    message_id: str


def accept(tools: MessagesTools, body: bytes, *, key: str = "") -> dict[str, Any] | OtherMessage:
    """
    Take a message in; returns how it stands. ``key`` is an id given beside it.

    The same message under the same id is taken in once. Raises ``MessageError`` with every problem.
    """
    message = intake.read_posted(body, key=key, fallback_id=tools.new_id())
    chosen = senders.choose(tools.senders, message)
    chosen.from_for(message)
    while True:
        known = tools.ledger.find(message.id)
        if known is None:
            known = tools.ledger.add(_entry(tools, message, chosen, body))
            if known is None:
                continue
        elif known.content_hash == delivery.ANNOUNCED and not known.state.is_settled:
            # It was given a time before it came; the way over the queue brings the two together.
            tools.outbox.put(_carried(tools, message, body).decode(), delay=timedelta())
            return _view(known)
        elif known.content_hash not in (message.content_hash, delivery.ANNOUNCED):
            return OtherMessage(message.id)
        if known.state is State.QUEUED:
            tools.outbox.put(waiting_body(message.id), delay=timedelta())
        return _view(known)


def _entry(tools: MessagesTools, message: Message, chosen: Sender, body: bytes) -> Entry:
    return outcomes.first_waiting(
        message_id=message.id,
        content_hash=message.content_hash,
        sender=chosen.name,
        mail_id=message.fields.message_id or tools.mail_id(chosen.from_for(message).domain),
        metadata=message.fields.metadata,
        now=tools.clock(),
        body=_carried(tools, message, body),
        reason="",
        state=State.QUEUED,
        planned_at=message.fields.send_at,
        expires_at=message.fields.expires_at,
    )


def _carried(tools: MessagesTools, message: Message, body: bytes) -> bytes:
    """Return what is kept of a message: itself with its id, or where it lies."""
    value = {**intake.posted(body), "id": message.id}
    whole = json.dumps(value).encode()
    if len(whole) <= _LARGEST_IN_LEDGER:
        return whole
    path = f"posted/{hashlib.sha256(whole).hexdigest()}.json"
    tools.payloads.put(path, whole)
    return json.dumps({"blob": path}).encode()


def show(tools: MessagesTools, message_id: str) -> dict[str, Any] | None:
    """Return a message with its history, None where the ledger has none of that id."""
    entry = tools.ledger.find(message_id)
    if entry is None:
        return None
    history = [
        {
            "at": _said(change.at),
            "state": change.state.value,
            "attempt": change.attempt,
            "reply": change.reply,
            "reason": change.reason,
        }
        for change in tools.ledger.history(message_id)
    ]
    return {**_view(entry), "history": history}


def show_some(
    tools: MessagesTools, wanted: Wanted, *, token: str, limit: int
) -> tuple[list[dict[str, Any]], str]:
    """Return messages, and the token of the next page, "" at the end; a page may be shorter than asked."""
    found, following = tools.ledger.page(
        token=token,
        limit=limit,
        state=wanted.state,
        sender=wanted.sender,
        since=wanted.since,
        until=wanted.until,
    )
    return [_view(entry) for entry in found], following


def amend(
    tools: MessagesTools, message_id: str, *, send_at: datetime | None
) -> dict[str, Any] | TooLate | None:
    """Take a message back, or move it to ``send_at``; None where there is none of that id."""
    amended = tools.amender.amend(message_id, send_at=send_at)
    return amended if amended is None or isinstance(amended, TooLate) else _view(amended)


def _view(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "state": entry.state.value,
        "sender": entry.sender,
        "created_at": _said(entry.created_at),
        "updated_at": _said(entry.updated_at),
        "due_at": _said(entry.due_at),
        "expires_at": _said(entry.expires_at),
        "attempts": entry.attempts,
        "message_id": entry.message_id,
        "reply": entry.reply,
        "reason": entry.reason,
        "metadata": dict(entry.metadata),
    }


def _said(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
