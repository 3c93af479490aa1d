"""
A mail server that says what the stack's own says and looks at nothing: for the race without a way.

The stack's own judges each command and each message, in one event loop; without a way to wait for it would be
the slowest in the race itself. This one has a thread for each connection, which waits in the kernel.
"""

from __future__ import annotations

import itertools
import socket
import threading
from typing import TYPE_CHECKING, Final

from local.microsoft.exchange import replies
from local.microsoft.exchange.framing import Body, Framer, Line

if TYPE_CHECKING:
    import ssl

_READ_BYTES = 256 * 1024
_BACKLOG = 16
_PEER = "127.0.0.1"
_HELLO: Final = replies.extensions(_PEER, over_tls=True)
_HELLO_IN_PLAINTEXT: Final = replies.extensions(_PEER, over_tls=False)
_ANSWERS: Final = {
    b"AUTH": replies.AUTHENTICATED,
    b"MAIL": replies.SENDER_OK,
    b"RCPT": replies.RECIPIENT_OK,
    b"DATA": replies.START_INPUT,
    b"RSET": replies.RESET,
    b"NOOP": replies.OK,
    b"QUIT": replies.CLOSING,
}
_ACCEPTED: Final = replies.accepted("<1@contoso.com>")


class LeanServer:
    """Listens at ``port``; ``accepted`` messages so far."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._numbers: list[int] = []  # one for each connection, so that no two threads count in one
        self._listening = socket.create_server((_PEER, 0), backlog=_BACKLOG)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def accepted(self) -> int:
        """How many messages all connections have taken."""
        return sum(self._numbers)

    def stop(self) -> None:
        """Listen no more."""
        self._listening.close()

    def _listen(self) -> None:
        for place in itertools.count():
            try:
                sock, _ = self._listening.accept()
            except OSError:  # closed
                return
            self._numbers.append(0)
            threading.Thread(target=self._serve, args=(sock, place), daemon=True).start()

    def _serve(self, sock: socket.socket, place: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(f"{replies.banner('08DE')}\r\n".encode())
        framer = Framer()
        hello = _HELLO_IN_PLAINTEXT
        octets = b"-"
        while octets:
            said: list[str] = []
            while (item := framer.take()) is not None:
                if isinstance(item, Body):
                    self._numbers[place] += 1
                    said.append(_ACCEPTED)
                elif isinstance(item, Line) and item.octets.upper() == b"STARTTLS":
                    sock.sendall(f"{replies.STARTTLS_READY}\r\n".encode())
                    sock, hello = self._context.wrap_socket(sock, server_side=True), _HELLO
                elif isinstance(item, Line):
                    verb = item.octets[:4].upper()
                    if verb == b"DATA":
                        framer.expect_body()
                    said.append(hello if verb == b"EHLO" else _ANSWERS[verb])
            octets = _exchange(sock, said)
            framer.feed(octets)
        sock.close()


def _exchange(sock: socket.socket, said: list[str]) -> bytes:
    """Say what there is to say and wait for more; nothing at the end."""
    try:
        if said:
            sock.sendall("".join(f"{reply}\r\n" for reply in said).encode())
        return sock.recv(_READ_BYTES)
    except OSError:
        return b""
