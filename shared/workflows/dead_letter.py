"""
``dead_letter``: what the host gave up on is written down, so that nothing ends unseen.

1. Find out which message it was; where that cannot be read, it goes by the hash of what stood on the queue.
2. Keep what stood on the queue, octet for octet, in a blob.
3. Note it in the ledger as dead-lettered; a message that is settled keeps its state.
4. Tell those who listen, and say so in the log.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from shared.core import intake
from shared.core.delivery import Delivery, Entry, State
from shared.core.message import Message
from shared.core.outcomes import refusal
from shared.errors import MessageError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.ports import Events, Ledger

log = logging.getLogger(__name__)

_REASON = "the host gave up after its last delivery failed; the log of function send says why"


class Letters(Protocol):
    """Where dead letters are kept."""

    def put(self, path: str, content: bytes) -> None:
        """Write a blob; one of that name keeps what it has."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetterTools:
    """What recording a dead letter needs of the world."""

    ledger: Ledger
    letters: Letters
    events: Events
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Identity:
    id: str
    content_hash: str
    metadata: Mapping[str, str]


def dead_letter(tools: DeadLetterTools, body: bytes, came: Delivery) -> str:
    """Record one dead letter; returns the id it is recorded under, "" for a call, which was no message."""
    if _is_call(body):
        return ""
    who = _identify(body, came)
    digest = hashlib.sha256(body).hexdigest()
    path = f"{tools.clock():%Y/%m/%d}/{digest}"
    tools.letters.put(path, body)
    reason = f"{_REASON}; what stood on the queue is kept in mail-dead-letters/{path}"
    written = _record(tools, who, reason)
    if written.state is State.DEAD_LETTERED:
        tools.events.tell(written)
    log.error(
        "message %s came to the poison queue and is %s: %s",
        who.id,
        written.state.value,
        reason,
        extra={"event": Word.DEAD_LETTER, "message_id": who.id},
    )
    return who.id


def _is_call(body: bytes) -> bool:
    """Whether it only asked to serve a line, which `release` asks for again."""
    try:
        return isinstance(intake.read(body, fallback_id="-"), intake.Call)
    except MessageError:
        return False


def _record(tools: DeadLetterTools, who: _Identity, reason: str) -> Entry:
    """Note it in the ledger, unless it is settled there."""
    while True:
        now = tools.clock()
        known = tools.ledger.find(who.id)
        if known is None:
            refused = refusal(
                message_id=who.id,
                content_hash=who.content_hash,
                sender="",
                reason=reason,
                metadata=who.metadata,
                now=now,
            )
            written = tools.ledger.add(replace(refused, state=State.DEAD_LETTERED))
        elif known.state.is_settled:
            return known
        else:
            ended = known.evolve(
                State.DEAD_LETTERED, now=now, reason=reason, lease_until=None, claimed_by=None, due_at=None
            )
            written = tools.ledger.update(ended)
        if written:
            return written  # else somebody changed it in between: look again


def _identify(body: bytes, came: Delivery) -> _Identity:
    digest = hashlib.sha256(body).hexdigest()
    try:
        found = intake.read(body, fallback_id=came.queue_id)
    except MessageError as error:
        return _Identity(error.message_id or f"sha256:{digest}", digest, {})
    if isinstance(found, Message):
        return _Identity(found.id, found.content_hash, found.fields.metadata)
    if isinstance(found, intake.Waiting):
        return _Identity(found.id, "", {})
    return _Identity(came.queue_id, digest, {})
