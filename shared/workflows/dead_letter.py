"""
``dead_letter``: what the host gave up on is written down, so that nothing ends unseen.

1. Find out which message it was; where that cannot be read, it goes by its queue message's id.
2. Note it in the ledger as dead-lettered, with what stood on the queue; a message that is settled keeps its
state. 3. Say so in the log.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.core.delivery import Delivery, State, refusal
from shared.core.message import Message, read
from shared.errors import MessageError
from shared.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.ports import Ledger

log = logging.getLogger(__name__)

_REASON = "the host gave up after its last delivery failed; the log of function send says why"


@dataclass(frozen=True, slots=True)
class DeadLetterTools:
    """What recording a dead letter needs of the world."""

    ledger: Ledger
    clock: Callable[[], datetime]


def dead_letter(tools: DeadLetterTools, body: bytes, came: Delivery) -> str:
    """Record one dead letter; returns the id it is recorded under."""
    message_id, content_hash = _identify(body, came)
    while True:
        now = tools.clock()
        known = tools.ledger.find(message_id)
        if known is None:
            fresh = replace(
                refusal(message_id=message_id, content_hash=content_hash, sender="", reason=_REASON, now=now),
                state=State.DEAD_LETTERED,
                body=body,
            )
            written = tools.ledger.add(fresh)
        elif known.state.is_settled:
            written = known
        else:
            ended = known.evolve(
                State.DEAD_LETTERED,
                now=now,
                reason=_REASON,
                body=known.body or body,
                lease_until=None,
                claimed_by=None,
                due_at=None,
            )
            written = tools.ledger.update(ended)
        if written:
            break  # else somebody changed it in between: look again
    log.error(
        "message %s came to the poison queue and is %s",
        message_id,
        written.state.value,
        extra={"event": Event.DEAD_LETTER, "message_id": message_id},
    )
    return message_id


def _identify(body: bytes, came: Delivery) -> tuple[str, str]:
    """Return the id and content hash, as far as they can be read."""
    try:
        found = read(body, fallback_id=came.queue_id)
    except MessageError as error:
        return error.message_id or came.queue_id, hashlib.sha256(body).hexdigest()
    return found.id, found.content_hash if isinstance(found, Message) else ""
