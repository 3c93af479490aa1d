"""A mail server on 127.0.0.1 with real TLS that does what its script says, misbehaviour included."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import trustme

EHLO_BEFORE_TLS = (
    "250-AM0PR02CA0099.outlook.office365.com Hello [127.0.0.1]\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n"
    "250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n"
    "250 SMTPUTF8\r\n"
)
EHLO = EHLO_BEFORE_TLS.replace("250-STARTTLS", "250-AUTH LOGIN XOAUTH2")
REPLIES = {
    "connect": "220 AM0PR02CA0099.outlook.office365.com Microsoft ESMTP MAIL Service ready\r\n",
    "ehlo": EHLO_BEFORE_TLS,
    "starttls": "220 2.0.0 SMTP server ready\r\n",
    "ehlo again": EHLO,
    "auth": "235 2.7.0 Authentication successful\r\n",
    "mail": "250 2.1.0 Sender OK\r\n",
    "rcpt": "250 2.1.5 Recipient OK\r\n",
    "data": "354 Start mail input; end with <CRLF>.<CRLF>\r\n",
    "dot": "250 2.0.0 OK <1@contoso.com> [Hostname=AM0PR02MB1234.eurprd02.prod.outlook.com]\r\n",
    "rset": "250 2.0.0 Resetting\r\n",
    "noop": "250 2.0.0 OK\r\n",
    "quit": "221 2.0.0 Service closing transmission channel\r\n",
}


class Gone(Exception):  # noqa: N818 - it says what the client is
    """The client, or the script itself, has ended the connection."""


@dataclass
class Peer:
    """The server's end of one connection."""

    sock: socket.socket
    context: ssl.SSLContext
    lines: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    #: How often something came from the client after something had been said to it.
    round_trips: int = 0
    #: Set when the test is over.
    over: threading.Event = field(default_factory=threading.Event)
    _buffer: bytes = b""
    _spoke: bool = False

    def say(self, reply: str | bytes) -> None:
        self._spoke = True
        try:
            self.sock.sendall(reply.encode() if isinstance(reply, str) else reply)
        except OSError as error:
            raise Gone from error

    def _read(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.round_trips, self._spoke = self.round_trips + self._spoke, False
        self._buffer += data

    def line(self) -> str:
        while b"\r\n" not in self._buffer:
            self._read()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def some_body(self) -> None:
        while not self._buffer:
            self._read()

    def body(self) -> bytes:
        while b"\r\n.\r\n" not in b"\r\n" + self._buffer[-(1 << 17) :]:
            self._read()
        body, self._buffer = (b"\r\n" + self._buffer).split(b"\r\n.\r\n", 1)
        return body[2:] + (b"\r\n" if body else b"")

    def start_tls(self) -> None:
        try:
            self.sock.getpeername()
            self.sock = self.context.wrap_socket(self.sock, server_side=True)
        except (OSError, ValueError) as error:
            raise Gone from error

    def close(self) -> None:
        self.sock.close()


# What a server can do instead of answering; each ends the script by raising `Gone`, or lets it go on.


def drop(peer: Peer) -> None:
    with contextlib.suppress(OSError):
        peer.sock.shutdown(socket.SHUT_RDWR)
    raise Gone


def reset(peer: Peer) -> None:
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Gone


def silence(peer: Peer) -> None:
    peer.over.wait(10)
    raise Gone


def garbage(peer: Peer) -> None:
    peer.say(b"\x16\x03\x01 what is this \xff\xfe\r\n")
    silence(peer)


def half_a_reply(peer: Peer) -> None:
    peer.say(b"250-2.0.0 and th")
    drop(peer)


def long_line(peer: Peer) -> None:
    peer.say(b"250 " + b"x" * 70_000 + b"\r\n")
    silence(peer)


def says(reply: str) -> Callable[[Peer], None]:
    def say(peer: Peer) -> None:
        peer.say(reply + "\r\n")

    say.__name__ = reply
    return say


@dataclass(frozen=True)
class Script:
    """A server like Exchange, but for what it does at named steps: every "rcpt", or only "rcpt 2"."""

    instead: dict[str, Callable[[Peer], None]] = field(default_factory=dict)

    def __call__(self, peer: Peer) -> None:
        secure, recipients = False, 0
        self._answer(peer, "connect")
        while True:
            line = peer.line()
            verb = line.partition(" ")[0].lower()
            match verb:
                case "ehlo":
                    self._answer(peer, "ehlo again" if secure else "ehlo")
                case "starttls":
                    self._answer(peer, "starttls")
                    if "tls" in self.instead:
                        self.instead["tls"](peer)
                    peer.start_tls()
                    secure = True
                case "rcpt":
                    self._answer(peer, f"rcpt {recipients}")
                    recipients += 1
                case "data":
                    recipients = 0
                    self._answer(peer, "data")
                    if "data" not in self.instead or self.instead["data"].__name__.startswith("354"):
                        self._take_body(peer)
                case "quit":
                    self._answer(peer, "quit")
                    raise Gone
                case _:
                    self._answer(peer, verb)

    def _take_body(self, peer: Peer) -> None:
        if "body" in self.instead:
            peer.some_body()
            self.instead["body"](peer)
        peer.messages.append(peer.body())
        self._answer(peer, "dot")

    def _answer(self, peer: Peer, step: str) -> None:
        usual = "rcpt" if step.startswith("rcpt") else step
        action = self.instead.get(step) or self.instead.get(usual)
        if action is not None:
            action(peer)
        else:
            peer.say(REPLIES[usual])


class ScriptedServer:
    """Runs one script a connection: the first for the first, and the last for all that follow."""

    def __init__(
        self, authority: trustme.CA, *scripts: Callable[[Peer], None], name: str = "localhost"
    ) -> None:
        self._scripts = scripts or (Script(),)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        # A small window, inherited by each connection, so that a client of a deaf server soon has to wait.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, self._context)
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer, script))
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer, script: Callable[[Peer], None]) -> None:
        with contextlib.suppress(Gone):
            script(peer)
        peer.close()

    @property
    def lines(self) -> list[str]:
        return [line for peer in self.peers for line in peer.lines]

    @property
    def messages(self) -> list[bytes]:
        return [message for peer in self.peers for message in peer.messages]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(10)
        for peer in self.peers:
            peer.over.set()
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
