"""
Postpone: while the settings are wrong, a message goes back on the queue as it came.

It is no fault of the message's, and letting the host count deliveries would end on the poison queue. Its id
goes with it, so what was one message before is one message after.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.intake import with_id

if TYPE_CHECKING:
    from shared.core.delivery import Delivery
    from shared.ports import Outbox

# Soon enough after somebody has mended the settings, and seldom enough to cost nothing until then.
POSTPONED_FOR = timedelta(seconds=30)


def postpone(outbox: Outbox, body: bytes, came: Delivery) -> None:
    """Put a message back for half a minute."""
    outbox.put(with_id(body, came.queue_id), delay=POSTPONED_FOR)
