"""
When a message may go: its own time, its window, its expiry.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.message import MessageFields

# A message is brought back a little before its time and waits for it where it is sent from: a queue counts in
# whole seconds, and whoever looks into it every second or two.
BROUGHT_BACK_EARLY: Final = timedelta(seconds=3)
# What is due sooner than this waits where it is.
AT_HAND: Final = timedelta(seconds=5)


def first_try(fields: MessageFields, now: datetime) -> datetime:
    """Return when a message may go first: now, or at its ``send_at``, or when its window opens after that."""
    return within_window(fields, max(fields.send_at or now, now))


def within_window(fields: MessageFields, at: datetime) -> datetime:
    """Return the first moment from ``at`` on at which the message's window is open."""
    return fields.window.window.opens_at(at) if fields.window else at
