"""
A socket that speaks in SMTP replies: bytes out, whole replies in, TLS begun in the middle.

Every wait has a deadline. What breaks off is a ``LostError`` with the reply that came before it, if one did.
"""

from __future__ import annotations

import math
import select
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from shared.core.smtp import ProtocolError, Reply, ReplyParser

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Bytes read at a time: the most that one TLS record holds.
_READ_BYTES: Final = 16 * 1024
# Replies that may stand unread: Exchange takes 1,000 recipients at most, and each has one reply.
_UNREAD_REPLIES: Final = 4096


class LostError(Exception):
    """
    The connection is gone, or silent for too long; says which, in words fit for a ledger.

    `reply` is the 421 by which the server took its leave, if it did.
    """

    def __init__(self, problem: str, reply: Reply | None = None) -> None:
        super().__init__(problem)
        self.reply = reply


class Wire:
    """One connection's bytes: sends what it is given, hands back whole replies, waits no longer than told."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        # What TLS has read from the kernel and not handed out, which poll cannot see; without TLS nothing.
        self._held_back: Callable[[], int] = lambda: 0
        sock.setblocking(False)
        self._poll.register(sock, 0)

    def send(self, data: bytes | memoryview, timeout: float, *, stop_at_reply: bool = False) -> bool:
        """
        Hand the data to the kernel, taking in replies while that has to wait; False where a reply stopped it.

        Two ends that both only write would stop each other, as RFC 2920 §3.1 warns. `timeout` is how long
        nothing may move.
        """
        view = memoryview(data)
        deadline = time.monotonic() + timeout
        while view:
            if stop_at_reply and self._replies:
                return False
            try:
                sent = self._sock.send(view)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline, timeout)
                self._take_in()
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._wait(select.POLLIN | select.POLLOUT, deadline, timeout) & ~select.POLLOUT:
                    self._take_in()
            except OSError as error:
                raise LostError(f"connection lost while sending: {why(error)}") from error
            else:
                view = view[sent:]
                deadline = time.monotonic() + timeout
        return True

    def reply(self, timeout: float) -> Reply:
        """Wait for the next reply, at most so many seconds for all of it."""
        deadline = time.monotonic() + timeout
        events = select.POLLIN
        while not self._replies:
            self._parser.feed(b"")  # raises what stood behind the replies that it gave last
            # First wait, then read: what was asked a moment ago is not answered yet, and a read that finds
            # nothing costs an exception.
            if not self._held_back():
                self._wait(events, deadline, timeout)
            events = self._take_in() or select.POLLIN
        return self._replies.popleft()

    def arrived(self) -> Reply | None:
        """Look whether a reply is already here, without waiting."""
        if not self._replies:
            self._parser.feed(b"")  # as above
        while not self._replies and self._readable() and not self._take_in():
            pass
        return self._replies.popleft() if self._replies else None

    def quiet(self) -> bool:
        """Tell whether the connection stands and nothing came over it unasked."""
        if self._replies or self._parser.pending:
            return False
        try:
            return not self._readable() or self._take_in() != 0
        except (LostError, ProtocolError):
            return False

    def start_tls(self, context: ssl.SSLContext, host: str, timeout: float) -> None:
        """
        Do the handshake and verify the certificate for `host`.

        What came in plaintext after the 220 was not written by the server we verify now (RFC 3207 §5): it
        ends the connection.
        """
        if self._replies or self._parser.pending:
            raise ProtocolError("plaintext after the answer to STARTTLS")
        self._poll.unregister(self._sock)
        self._sock.settimeout(timeout)
        try:
            # wrap_socket forgets to close a socket that was reset before it began (seen in CPython 3.11).
            self._sock.getpeername()
            secured = context.wrap_socket(self._sock, server_hostname=host)
        except ssl.SSLCertVerificationError:
            raise
        except TimeoutError as error:
            raise LostError(f"no TLS handshake within {timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise LostError(f"TLS handshake failed: {why(error)}") from error
        self._sock, self._held_back = secured, secured.pending
        self._sock.setblocking(False)
        self._poll.register(self._sock, 0)

    def own_literal(self) -> str:
        """Name our end of the connection as an address literal (RFC 5321 §4.1.3)."""
        address = str(self._sock.getsockname()[0]).partition("%")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def close(self) -> None:
        """Close the connection, saying nothing."""
        self._sock.close()

    def _readable(self) -> bool:
        """Tell whether a read could find something; the end of the connection is something too."""
        if self._held_back():
            return True
        try:
            self._poll.modify(self._sock, select.POLLIN)
        except (OSError, ValueError):
            return True  # lost in the handshake; the read says so
        return bool(self._poll.poll(0))

    def _take_in(self) -> int:
        """Read once; 0 where something came, else the event that reading waits for."""
        try:
            data = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return select.POLLIN
        except ssl.SSLWantWriteError:
            return select.POLLOUT
        except OSError as error:
            raise LostError(f"connection lost: {why(error)}") from error
        if not data:
            raise LostError("the server closed the connection")
        self._replies.extend(self._parser.feed(data))
        if len(self._replies) > _UNREAD_REPLIES:
            raise ProtocolError("a flood of replies that nothing asked for")
        return 0

    def _wait(self, events: int, deadline: float, timeout: float) -> int:
        self._poll.modify(self._sock, events)
        ready = self._poll.poll(max(0, math.ceil((deadline - time.monotonic()) * 1000)))
        if not ready:
            raise LostError(f"no answer within {timeout:g} s")
        return ready[0][1]


def why(error: Exception) -> str:
    """Say what the network did, in the system's own words."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
