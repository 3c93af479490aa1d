"""
What the mail server accepted, newest first, and what it counted on the way.

Memory has a bound: at most `keep_messages` messages and `keep_bytes` octets of them are kept; beyond that the
oldest are forgotten, and counted as such. The newest message is always kept, however large.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.microsoft.exchange.limits import SlidingMinute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEEP_MESSAGES = 20_000
KEEP_BYTES = 256 * 1024 * 1024  # octets: twenty thousand messages of 13 KB

REMEMBERED_REFUSALS = 50  # enough to see what a client keeps doing wrong


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message for which the server said 250 after the dot."""

    id: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    auth_user: str
    received_at: datetime
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefusedAuthentication:
    """An AUTH that failed. The client is not told the reason; whoever looks at the server is."""

    at: datetime
    user: str
    reason: str


@dataclass(slots=True)
class Counters:
    """What happened since the start, or since the last reset."""

    sessions: int = 0
    sessions_now: int = 0
    most_sessions_at_once: int = 0
    accepted: int = 0
    accepted_bytes: int = 0
    minute: SlidingMinute = field(default_factory=SlidingMinute)
    replies: Counter[str] = field(default_factory=Counter)  # "250 2.1.5" -> how often
    refused_authentications: deque[RefusedAuthentication] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED_REFUSALS)
    )

    def session_opened(self) -> None:
        """Count a new connection."""
        self.sessions += 1
        self.sessions_now += 1
        self.most_sessions_at_once = max(self.most_sessions_at_once, self.sessions_now)

    def session_closed(self) -> None:
        """Count a connection that is gone."""
        self.sessions_now -= 1

    def replied(self, reply: str) -> None:
        """Count a reply under its code and enhanced status code."""
        code, _, rest = reply.partition("\r\n")[0].partition(" ")
        enhanced = rest.partition(" ")[0]
        has_enhanced = enhanced.replace(".", "").isdigit()
        self.replies[f"{code[:3]} {enhanced}" if has_enhanced else code[:3]] += 1

    def authentication_refused(self, user: str, reason: str) -> None:
        """Remember why an AUTH failed."""
        self.refused_authentications.append(RefusedAuthentication(datetime.now(UTC), user, reason))


@dataclass(slots=True)
class _Waiter:
    missing: int
    matching: Callable[[ReceivedMessage], bool] | None
    wake: Callable[[], None]


class MailStore:
    """The accepted messages. Every method may be called from any thread."""

    def __init__(self, *, keep_messages: int = KEEP_MESSAGES, keep_bytes: int = KEEP_BYTES) -> None:
        self.keep_messages = keep_messages
        self.keep_bytes = keep_bytes
        self._bounds = keep_messages, keep_bytes
        self.counters = Counters()
        self.forgotten = 0
        self.kept_bytes = 0
        self._kept: OrderedDict[str, ReceivedMessage] = OrderedDict()  # oldest first
        self._last_id = 0
        self._since_clear = 0
        self._waiters: list[_Waiter] = []
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(
        self, *, mail_from: str, rcpt_to: tuple[str, ...], auth_user: str, raw: bytes, now: float
    ) -> ReceivedMessage:
        """Keep a message. `now` is the server's monotonic clock, for the sliding minute."""
        with self._lock:
            self._last_id += 1
            message = ReceivedMessage(
                id=str(self._last_id),
                mail_from=mail_from,
                rcpt_to=rcpt_to,
                auth_user=auth_user,
                received_at=datetime.now(UTC),
                raw=raw,
            )
            self._kept[message.id] = message
            self.kept_bytes += len(raw)
            self._since_clear += 1
            self._forget_what_is_too_much()
            self.counters.accepted += 1
            self.counters.accepted_bytes += len(raw)
            self.counters.minute.add(now)
            for waiter in self._waiters:
                if waiter.matching is None or waiter.matching(message):
                    waiter.missing -= 1
                    if waiter.missing == 0:
                        waiter.wake()
        return message

    def messages(self) -> list[ReceivedMessage]:
        """Return all that is kept, newest first."""
        with self._lock:
            return list(reversed(self._kept.values()))

    def get(self, message_id: str) -> ReceivedMessage | None:
        """Return one message, if it is still kept."""
        return self._kept.get(message_id)

    def clear(self) -> None:
        """Empty the store. Ids go on where they were; counters stay."""
        with self._lock:
            self._kept.clear()
            self.kept_bytes = 0
            self._since_clear = 0

    def restore(self) -> None:
        """Begin counting again, within the bounds of the start. Sessions that are open now still count."""
        with self._lock:
            still_open = self.counters.sessions_now
            self.counters = Counters(sessions_now=still_open, most_sessions_at_once=still_open)
            self.forgotten = 0
            self.keep_messages, self.keep_bytes = self._bounds

    async def wait_for(
        self,
        count: int = 1,
        *,
        matching: Callable[[ReceivedMessage], bool] | None = None,
        timeout_seconds: float = 10.0,
    ) -> list[ReceivedMessage]:
        """
        Return the matching messages, newest first, once `count` of them have come since the last `clear`.

        Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(arrived.set)

        with self._waiting(count, matching, wake) as waiter:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await arrived.wait()
            except TimeoutError:
                raise self._timed_out(waiter, count, timeout_seconds) from None
        return self._matching(matching)

    def wait_for_blocking(
        self,
        count: int = 1,
        *,
        matching: Callable[[ReceivedMessage], bool] | None = None,
        timeout_seconds: float = 10.0,
    ) -> list[ReceivedMessage]:
        """Wait as `wait_for` does, in a thread other than the server's."""
        arrived = threading.Event()
        with self._waiting(count, matching, arrived.set) as waiter:
            if not arrived.wait(timeout_seconds):
                raise self._timed_out(waiter, count, timeout_seconds)
        return self._matching(matching)

    @contextmanager
    def _waiting(
        self, count: int, matching: Callable[[ReceivedMessage], bool] | None, wake: Callable[[], None]
    ) -> Iterator[_Waiter]:
        with self._lock:
            there = self._since_clear if matching is None else len(self._matching(matching))
            waiter = _Waiter(count - there, matching, wake)
            self._waiters.append(waiter)
            if waiter.missing <= 0:
                wake()
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters.remove(waiter)

    def _matching(self, matching: Callable[[ReceivedMessage], bool] | None) -> list[ReceivedMessage]:
        return [message for message in self.messages() if matching is None or matching(message)]

    @staticmethod
    def _timed_out(waiter: _Waiter, count: int, timeout_seconds: float) -> TimeoutError:
        arrived = count - waiter.missing
        return TimeoutError(f"{arrived} of {count} messages arrived within {timeout_seconds:g} seconds")

    def _forget_what_is_too_much(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > self.keep_messages or self.kept_bytes > self.keep_bytes
        ):
            _, oldest = self._kept.popitem(last=False)
            self.kept_bytes -= len(oldest.raw)
            self.forgotten += 1
