"""
One connection: what it hears goes to whoever understands it, what is said goes out in batches.

All replies to one batch of input leave in one write, delayed by a round trip where that is wanted. Nothing
that came before the TLS handshake is believed after it (the STARTTLS injection of CVE-2011-0411).
"""

import asyncio
import ssl
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from socket import SO_LINGER, SOL_SOCKET
from typing import cast

from local.microsoft.exchange import replies
from local.microsoft.exchange.framing import Framer, Item
from local.microsoft.exchange.organization import Organization

_HANDSHAKE_SECONDS = 15.0
_CLOSE_NOTIFY_SECONDS = 1.0  # how long a closed TLS connection waits for the client's farewell
_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"  # alert, fatal, handshake_failure (RFC 5246 §7.2)


class Wire(asyncio.Protocol, ABC):
    """One connection. A subclass knows what the items that it hears mean."""

    def __init__(self, organization: Organization, context: ssl.SSLContext) -> None:
        self.over_tls = False
        self.peer = ""
        self.organization = organization
        self.input = Framer()
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()  # done when the socket is closed
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._hears = False  # what is heard now waits in the buffer
        self._deaf_for_good = False  # what is heard now is thrown away
        self._refuses_handshake = False
        self._replies: list[str] = []
        self._delayed: deque[Callable[[], None]] = deque()
        self._handshake: asyncio.Task[None] | None = None
        self._opened_at = self._heard_at = self._loop.time()
        self._alarm: asyncio.TimerHandle | None = None

    @abstractmethod
    def connected(self) -> None:
        """Greet a new client."""

    @abstractmethod
    def heard(self, item: Item) -> None:
        """Act on one item of the input."""

    @abstractmethod
    def closed(self) -> None:
        """Forget a client that is gone; called once."""

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = str(transport.get_extra_info("peername")[0])
        self._open = self._hears = True
        self._watch()
        self.connected()
        self._work()

    def data_received(self, data: bytes) -> None:
        """Act on all that is whole now, and answer it in one write."""
        self._heard_at = self._loop.time()
        if self._refuses_handshake:
            self._refuses_handshake = False
            self.send(_HANDSHAKE_FAILURE)
            self.close()
        if self._open and not self._deaf_for_good:
            self.input.feed(data)
            self._work()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session, whoever ended it."""
        del exc
        self._end()
        self._leave()

    def _work(self) -> None:
        while self._hears and (item := self.input.take()) is not None:
            self.heard(item)
        self.flush()

    # What can be said and done.

    def reply(self, reply: str) -> None:
        """Say something, together with all else that is said before the input runs out. 421 says goodbye."""
        self.organization.store.counters.replied(reply)
        self._replies.append(reply)
        if reply.startswith("421"):
            self.close()

    def flush(self) -> None:
        """Write the replies that are waiting."""
        if self._replies:
            self.send(b"")

    def send(self, octets: bytes) -> None:
        """Write the replies that are waiting, and then these octets, in one piece."""
        waiting = "".join(f"{reply}\r\n" for reply in self._replies).encode()
        self._replies.clear()
        self._after_a_round_trip(lambda: self._write(waiting + octets))

    def close(self) -> None:
        """End the session once everything said so far is written."""
        self.flush()
        self.be_deaf()
        self._after_a_round_trip(self._close)

    def reset(self) -> None:
        """End the connection at once with a TCP reset."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def be_deaf(self) -> None:
        """Throw away whatever the client says from now on."""
        self._hears = False
        self._deaf_for_good = True
        self.input.clear()

    def hush(self, seconds: float, then: Callable[[], None]) -> None:
        """Neither hear nor say anything for so long, and then go on."""
        self.flush()
        self._hears = False

        def go_on() -> None:
            if not self._deaf_for_good:
                self._hears = True
                then()
                self._work()

        self._loop.call_later(seconds, go_on)

    def _after_a_round_trip(self, what: Callable[[], None]) -> None:
        delay = self.organization.round_trip_seconds
        if delay <= 0 and not self._delayed:
            what()
            return
        self._delayed.append(what)  # a queue of our own: equal times have no order in the loop's
        self._loop.call_later(delay, self._say_what_is_due)

    def _say_what_is_due(self) -> None:
        self._delayed.popleft()()

    def _write(self, octets: bytes) -> None:
        if self._open and self._transport is not None:
            self._transport.write(octets)

    def _close(self) -> None:
        self._end()
        if self._transport is not None:
            self._transport.close()

    def _end(self) -> None:
        if self._open:
            self._open = False
            self.be_deaf()
            if self._alarm is not None:
                self._alarm.cancel()
            self.closed()

    def _leave(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    # TLS.

    def start_tls(self, *, refuse: bool = False) -> None:
        """
        Switch to TLS after the replies that are waiting, or refuse the handshake with an alert.

        What the client sent along with STARTTLS is thrown away, and what it sends before the handshake breaks
        the handshake.
        """
        self._hears = False
        self.input.clear()
        if refuse:
            self._refuses_handshake = True
        elif self._transport is not None:
            self._transport.pause_reading()
            self.flush()
            self._after_a_round_trip(self._begin_handshake)

    def _begin_handshake(self) -> None:
        if self._open:
            self._handshake = self._loop.create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        if self._transport is None:
            return
        try:
            secured = await self._loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_CLOSE_NOTIFY_SECONDS,
            )
        except OSError:  # ssl.SSLError and timeouts are OSErrors
            secured = None
        if secured is None or not self._open:
            self.abort()
            self._leave()  # asyncio tells of the loss of a connection only once its handshake is done
            return
        self._transport = secured
        self.over_tls = self._hears = True
        self._work()

    # Time.

    def _watch(self) -> None:
        """Look again when the session may be idle for too long, or too old."""
        now, limits = self._loop.time(), self.organization.limits
        idle_at = self._heard_at + limits.inactivity_seconds
        old_at = self._opened_at + limits.session_seconds
        if now < min(idle_at, old_at):
            self._alarm = self._loop.call_at(min(idle_at, old_at), self._watch)
        elif now >= old_at:
            self.reply(replies.session_expired(timedelta(seconds=now - self._opened_at)))
        else:
            self.reply(replies.IDLE)
            self.close()

    def watch_anew(self) -> None:
        """Take changed time limits into account."""
        if self._open:
            if self._alarm is not None:
                self._alarm.cancel()
            self._watch()
