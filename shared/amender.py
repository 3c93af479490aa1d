"""
The amender: takes messages back and gives them another time, whether the queue or HTTP asks for it.

A message may be amended until it is claimed. What is asked about one that has not come yet is written down,
and meets the message when it comes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.core import delivery, outcomes
from shared.core.delivery import State
from shared.core.outcomes import TooLate
from shared.log_words import Word
from shared.scribe import Scribe, nowhere

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.delivery import Entry
    from shared.scribe import ScribeTools

log = logging.getLogger(__name__)


class Amender:
    """Amends messages in the ledger."""

    def __init__(self, tools: ScribeTools) -> None:
        self._tools = tools
        self._scribe = Scribe(delivery.Delivery("", 1), tools)

    def amend(
        self, message_id: str, *, send_at: datetime | None, announce: bool = False
    ) -> Entry | TooLate | None:
        """
        Take a message back, or give it another time; returns its entry then, or why it is too late.

        One that the ledger does not know is None, unless what is asked is to be kept for it (``announce``).
        """
        while True:
            now = self._tools.clock()
            known = self._tools.ledger.find(message_id)
            if known is None:
                if not announce:
                    return None
                fresh = outcomes.announced(message_id, now=now, send_at=send_at)
                if self._scribe.first(fresh, nowhere):
                    return fresh
                continue
            if send_at is None:
                amended = outcomes.cancel(known, now=now)
            else:
                amended = outcomes.reschedule(known, send_at=send_at, now=now)
            if isinstance(amended, TooLate):
                if send_at is None and known.state is State.CANCELLED:
                    # Who asked before may have ended before it was told; the event has the same id.
                    self._tools.events.tell(known)
                log.warning(
                    "message %s cannot be amended: %s",
                    message_id,
                    amended.reason,
                    extra={"event": Word.AMENDMENT_REFUSED, "message_id": message_id},
                )
                return amended
            if self._scribe.amended(amended, nowhere):
                return amended
            # Somebody was faster: what they made of it decides.
