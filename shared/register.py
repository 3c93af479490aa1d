"""
The register of senders: what every instance agrees on about each, read and changed without a lock.

A change is decided from what stands there and written only if it still stands; where somebody was faster, it
is decided again from what they wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.holds import SenderState

# After so many lost races the instances step out of each other's way.
_RACES_AT_ONCE = 3
_STEP_ASIDE_SECONDS = 0.05


class SenderStore(Protocol):
    """Where the states are kept; a write succeeds only on the version that was read."""

    def load(self, sender: str) -> SenderState:
        """Return a sender's state, the empty one where there is none."""
        ...

    def save(self, state: SenderState) -> SenderState | None:
        """Write it; None when somebody else changed it first."""
        ...

    def all(self) -> list[SenderState]:
        """Return every state that there is."""
        ...


class Register:
    """Reads and changes the states of senders."""

    def __init__(
        self, store: SenderStore, *, pause: Callable[[float], object], jitter: Callable[[], float]
    ) -> None:
        self._store = store
        self._pause = pause
        self._jitter = jitter

    def read(self, sender: str) -> SenderState:
        """Return a sender's state as it stands."""
        return self._store.load(sender)

    def all(self) -> list[SenderState]:
        """Return the state of every sender that has one."""
        return self._store.all()

    def change(
        self,
        sender: str,
        decide: Callable[[SenderState], SenderState],
        *,
        known: SenderState | None = None,
    ) -> tuple[SenderState, SenderState]:
        """
        Change a sender's state; returns what stood there before, and what stands there now.

        ``decide`` may be called several times, and writes nothing where it returns what it was given.
        ``known`` is a state that was read before: where it still stands, it saves reading it again.
        """
        races = 0
        while True:
            before = known or self._store.load(sender)
            was_known, known = known is not None, None
            wanted = decide(before)
            if wanted is before:
                if was_known:
                    continue  # nothing is written that would show whether it still stands
                return before, before
            if after := self._store.save(wanted):
                return before, after
            races += 1
            if races >= _RACES_AT_ONCE:
                self._pause(_STEP_ASIDE_SECONDS * races * self._jitter())
