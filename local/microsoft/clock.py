"""
What time it is at the identity provider: the machine's time, and as far ahead as a control instruction went.

What the provider issues and what is registered with it lives by this clock: codes, tokens, client secrets,
certificates. What others date lives by the machine's: the assertions that a client signs, and the tokens of
managed identities, which the client's library keeps until the machine says that their time is over.
"""

from datetime import UTC, datetime, timedelta


def machine_time() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


class Clock:
    """A clock that can be put forward, and back to the machine's time."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Return the time."""
        return machine_time() + self._ahead

    def advance(self, by: timedelta) -> None:
        """Let so much time pass at once."""
        self._ahead += by

    def restore(self) -> None:
        """Show the machine's time again."""
        self._ahead = timedelta()
