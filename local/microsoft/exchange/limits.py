"""
Exchange Online's numbers, and the sliding windows in which a mailbox's mail is counted.

Where the service's documentation gives a number it stands here as the default; all of them can be changed
while the server runs, so that a benchmark can lift a limit or a test can reach one quickly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MINUTE_SECONDS = 60.0
DAY_MINUTES = 24 * 60

SIZE_BYTES = 157_286_400
"""What EHLO advertises for every mailbox: 150 MiB, whatever the mailbox itself may send."""


@dataclass(slots=True)
class Limits:
    """What one mailbox may do, and one session take. A mailbox can have its own value for the first five."""

    #: Connections of one mailbox that submit at once: three. One more is told 432 4.3.2 after the dot.
    connections: int = 3
    #: Messages of one mailbox in any 60 seconds. One more is told 421 4.4.2 after the dot, and disconnected.
    messages_per_minute: int = 30
    #: RecipientLimits of a mailbox: 500 unless an administrator changed it. One more is told 452 4.5.3.
    recipients_per_message: int = 500
    #: Recipients of one mailbox in any 24 hours. A message that passes it is told 554 5.2.0.
    recipients_per_day: int = 10_000
    #: MaxSendSize of a mailbox: 35 MiB. A larger message is told 552 5.3.4 after the dot.
    max_message_bytes: int = 36_700_160
    #: The header section alone: 256 KiB, the default of a receive connector.
    max_header_bytes: int = 262_144
    #: Unknown or misplaced commands and failed AUTHs before 421 4.7.0: five, as on a receive connector.
    protocol_errors: int = 5
    #: How long a client may say nothing: five minutes, the default of a receive connector.
    inactivity_seconds: float = 300.0
    #: How long a session may last: twenty minutes; Exchange Online has been seen to cut one after 20:55.
    session_seconds: float = 1_200.0


PER_MAILBOX = frozenset(
    {
        "connections",
        "messages_per_minute",
        "recipients_per_message",
        "recipients_per_day",
        "max_message_bytes",
    }
)
"""The limits for which a mailbox can have a value of its own."""


@dataclass(slots=True)
class SlidingMinute:
    """Events of the last 60 seconds, and the most there ever were in any 60 seconds."""

    most: int = 0
    _times: deque[float] = field(default_factory=deque, repr=False)

    def add(self, now: float) -> None:
        """Count an event that happens now."""
        self._times.append(now)
        self.most = max(self.most, self.count(now))

    def count(self, now: float) -> int:
        """Return how many events lie less than 60 seconds back."""
        times = self._times
        while times and now - times[0] >= MINUTE_SECONDS:
            times.popleft()
        return len(times)


@dataclass(slots=True)
class RollingDay:
    """A sum over the last 24 hours, kept by the minute so that its size has a bound."""

    total: int = 0
    _minutes: deque[list[int]] = field(default_factory=deque, repr=False)  # [minute, amount], oldest first

    def add(self, now: float, amount: int) -> None:
        """Add what came up now."""
        minute = int(now // MINUTE_SECONDS)
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1][1] += amount
        else:
            self._minutes.append([minute, amount])
        self.total += amount

    def sum(self, now: float) -> int:
        """Return what came up in the last 24 hours."""
        oldest = int(now // MINUTE_SECONDS) - DAY_MINUTES
        while self._minutes and self._minutes[0][0] <= oldest:
            self.total -= self._minutes.popleft()[1]
        return self.total


@dataclass(slots=True)
class Usage:
    """
    What one mailbox is using right now and has used lately.

    `submitting` holds the connections that count against the limit of three. A connection takes its place
    with the first message that it submits and keeps it until it closes. That is the strict reading of the
    documentation's "connections"; the service itself may count only those that are in the middle of a
    message.
    """

    submitting: set[object] = field(default_factory=set)
    most_submitting: int = 0
    authenticated: int = 0
    most_authenticated: int = 0
    messages: int = 0
    minute: SlidingMinute = field(default_factory=SlidingMinute)
    recipients: RollingDay = field(default_factory=RollingDay)

    def take_place(self, connection: object, allowed: int) -> bool:
        """Return whether this connection has, or now gets, one of the allowed places."""
        if connection in self.submitting:
            return True
        if len(self.submitting) >= allowed:
            return False
        self.submitting.add(connection)
        self.most_submitting = max(self.most_submitting, len(self.submitting))
        return True

    def restore(self) -> None:
        """Begin counting again. Connections that are open now still count, and keep their places."""
        self.most_submitting = len(self.submitting)
        self.most_authenticated = self.authenticated
        self.messages = 0
        self.minute = SlidingMinute()
        self.recipients = RollingDay()

    def enter(self) -> None:
        """Count a connection that has authenticated as this mailbox."""
        self.authenticated += 1
        self.most_authenticated = max(self.most_authenticated, self.authenticated)

    def leave(self, connection: object) -> None:
        """Count it no longer, and free its place."""
        self.authenticated -= 1
        self.submitting.discard(connection)
