"""
What an instance in simulated time stands between: a clock, and a mail server that reads the tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.smtp import Envelope, Octets, Phase, Reply, Submission
from tests.twins import ACCEPTED

if TYPE_CHECKING:
    from benchmarks.consent.provider import Provider
    from shared.core.grant import AccessToken
    from shared.core.sender import Sender

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_REFUSED = Reply(535, ("5.7.3 Authentication unsuccessful",))


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += timedelta(seconds=seconds)


class MailServer:
    """Takes mail with a token that the provider gave and whose time is not over."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.refused = 0

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        """Take one message."""
        del envelope, mime, smtputf8
        return self.knock(sender, token) or ACCEPTED

    def knock(self, sender: Sender, token: AccessToken) -> Submission | None:
        """Let somebody sign in."""
        del sender
        if self._provider.is_good(token.value):
            return None
        self.refused += 1
        return Submission(Phase.AUTH, _REFUSED)
