"""
``sweep``: what has had its time is removed, after each upkeep.

1. Sign-ins that were begun and never came back.
2. Messages that were settled longer ago than the ledger keeps them, with their history.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

log = logging.getLogger(__name__)

# Requests in one run: 100,000 rows looked through, in seconds; four runs an hour make ten million rows a day.
_PAGES = 100


class PendingConsents(Protocol):
    """Sign-ins that have not come back."""

    def sweep(self, now: datetime) -> int:
        """Remove the expired ones; returns how many."""
        ...


class Ledger(Protocol):
    """The record of every message."""

    def sweep(self, *, before: datetime, now: datetime, pages: int) -> int:
        """Remove what was settled ``before``, as far as so many requests get; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class SweepTools:
    """What sweeping needs of the world."""

    pending: PendingConsents
    ledger: Ledger
    retention: timedelta
    clock: Callable[[], datetime]


def sweep(tools: SweepTools) -> None:
    """Remove what has had its time."""
    now = tools.clock()
    sign_ins = tools.pending.sweep(now)
    messages = tools.ledger.sweep(before=now - tools.retention, now=now, pages=_PAGES)
    if sign_ins or messages:
        log.info(
            "swept %d unfinished sign-ins and %d messages settled over %d days ago",
            sign_ins,
            messages,
            tools.retention.days,
            extra={"event": Word.SWEPT},
        )
