"""
``health``: whether this app can do its work, for whoever watches from outside.

It says yes or no and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# Anyone may ask, as often as they like, and storage is asked no more often than this.
_REMEMBER = timedelta(seconds=10)


class Ledger(Protocol):
    """The record of every message."""

    def check(self) -> None:
        """Raise when it cannot be reached."""
        ...


class Health:
    """Remembers its last look for a few seconds."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._looked: tuple[datetime, bool] | None = None

    def is_good(self) -> bool:
        """Whether storage answers."""
        now = self._clock()
        if self._looked and now - self._looked[0] < _REMEMBER:
            return self._looked[1]
        try:
            self._ledger.check()
        except Exception:  # noqa: BLE001 - whatever it is, the answer to the question is no
            good = False
        else:
            good = True
        self._looked = (now, good)
        return good
