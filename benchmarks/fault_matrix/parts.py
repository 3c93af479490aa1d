"""
What a workflow is given, as a cell of the matrix has it: a clock, queues, tokens, a mailer.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks.fault_matrix.mail_servers import MAILBOX
from shared.core.grant import AccessToken
from shared.core.xoauth2 import initial_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.fault_matrix.mail_servers import MailServers
    from shared.core.sender import Sender

_TOKEN_LIFE = timedelta(minutes=60)


class Clock:
    """The time, with what was skipped of it."""

    def __init__(self) -> None:
        self._skipped = timedelta()

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self._skipped

    def reach(self, moment: datetime) -> None:
        """Let time pass until then."""
        self._skipped += max(moment - self(), timedelta())

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._skipped += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Put:
    """A message on a queue, and from when on it is seen."""

    text: str
    seen_at: datetime


@dataclass(slots=True)
class Queue:
    """What was put on a queue and is still there."""

    clock: Callable[[], datetime]
    puts: list[Put] = field(default_factory=list)

    def put(self, text: str, *, delay: timedelta) -> None:
        """Put a message on it."""
        self.puts.append(Put(text, self.clock() + delay))

    def put_all(self, texts: Iterable[tuple[str, timedelta]]) -> None:
        """Put many on it."""
        for text, delay in texts:
            self.put(text, delay=delay)

    def take(self, until: datetime) -> Put | None:
        """Take off what is seen first, where it is seen by then."""
        first = min(self.puts, key=lambda put: put.seen_at, default=None)
        if first is None or first.seen_at > until:
            return None
        self.puts.remove(first)
        return first


class SignedTokens:
    """Tokens as the identity provider signs them; a new one each time that one is refused."""

    def __init__(self, servers: MailServers) -> None:
        # Two: no message needs more, and what a server quotes must be known before it is sent.
        self.values = (servers.token(), servers.token())
        self._given = 0
        self._lock = threading.Lock()

    def token(self, sender: Sender) -> AccessToken:
        """Return the present one."""
        return AccessToken(sender.mailbox, self.present, datetime.now(UTC) + _TOKEN_LIFE)

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        """Return another."""
        with self._lock:
            if refused.value == self.present:
                self._given = (self._given + 1) % len(self.values)
        return self.token(sender)

    def new_token(self, sender: Sender) -> AccessToken:
        """Return the present one: it is always as good as new."""
        return self.token(sender)

    @property
    def present(self) -> str:
        """The one that is given now."""
        return self.values[self._given]

    @property
    def as_sent(self) -> tuple[str, ...]:
        """Each of them as AUTH carries it."""
        return tuple(initial_response(MAILBOX, value) for value in self.values)


class NoPayloads:
    """No message here is too large for the queue."""

    @staticmethod
    def read(path: str, *, limit: int) -> bytes | None:
        """Return None."""
        del path, limit
        return None
