"""A mail server in a thread of its own, and a client that speaks to it octet by octet."""

import asyncio
import base64
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import jwt
import trustme

from local.microsoft.exchange import Exchange, Mailbox

T = TypeVar("T")

NOREPLY = "noreply@contoso.com"
SVC = "svc-mail@contoso.com"
SHARED = "reports@contoso.com"
APPLICATION = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

_KEY = "a key of the test's own, long enough for HS256"
_AUTHORITY = trustme.CA()
_CERTIFICATE = _AUTHORITY.issue_cert("localhost", "127.0.0.1")


def mailboxes() -> list[Mailbox]:
    return [
        Mailbox(NOREPLY, frozenset({NOREPLY, APPLICATION})),
        Mailbox(SVC, frozenset({SVC}), send_as=frozenset({SHARED})),
        Mailbox(SHARED, frozenset()),
    ]


def token(user: str = NOREPLY, **changes: Any) -> str:
    """A signed access token; a claim that is set to None is left out."""
    claims = {
        "aud": "https://outlook.office.com",
        "scp": "SMTP.Send",
        "upn": user,
        "exp": time.time() + 3600,
    } | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, _KEY, "HS256")


def verify(access_token: str) -> Mapping[str, object]:
    try:
        return jwt.decode(access_token, _KEY, ["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError as invalid:
        raise ValueError(str(invalid)) from invalid


def sasl(user: str, access_token: str) -> str:
    return base64.b64encode(f"user={user}\x01auth=Bearer {access_token}\x01\x01".encode()).decode()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _CERTIFICATE.configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _AUTHORITY.configure_trust(context)
    return context


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """A connection that sends what it is told and reads whole replies."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def send(self, *lines: str | bytes) -> None:
        """Send lines, each with its CRLF, in one segment."""
        self.socket.sendall(b"".join((x.encode() if isinstance(x, str) else x) + b"\r\n" for x in lines))

    def reply(self) -> str:
        """The next reply, its lines joined by a bar, without what stands in brackets at its end."""
        lines = []
        while True:
            line = self.reader.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError(line)
            lines.append(line[:-2].decode())
            if line[3:4] != b"-":
                return re.sub(r" \[LO2P265CA0071\.[^]]+\]$", "", "|".join(lines))

    def ask(self, *lines: str | bytes) -> str:
        self.send(*lines)
        return self.reply()

    def starttls(self) -> None:
        assert self.ask("STARTTLS") == "220 2.0.0 SMTP server ready"
        self.secure()

    def secure(self) -> None:
        self.reader.close()
        self.socket = client_context().wrap_socket(self.socket, server_hostname="localhost")
        self.reader = self.socket.makefile("rb")

    def is_closed(self) -> bool:
        """Whether the server has said all it will say, and closed."""
        return self.reader.read(1) == b""

    def read_below_tls(self) -> bytes:
        """Read from the TCP connection itself: the ssl module takes a reset for an end."""
        with socket.socket(fileno=os.dup(self.socket.fileno())) as connection:
            connection.settimeout(10)
            return connection.recv(1)

    def greet(self) -> Self:
        """Come as far as the second EHLO."""
        assert self.reply().startswith("220 ")
        self.ask("EHLO client.example")
        self.starttls()
        self.ask("EHLO client.example")
        return self

    def enter(self, user: str = NOREPLY) -> Self:
        """Come as far as a successful AUTH."""
        self.greet()
        assert self.ask("AUTH XOAUTH2 " + sasl(user, token(user))).startswith("235 ")
        return self

    def submit(
        self, message: str = "", *, mail_from: str = NOREPLY, to: tuple[str, ...] = ("a@b.example",)
    ) -> str:
        """Submit a message, and give the reply to it as a whole."""
        text = message or f"From: <{mail_from}>\r\nMessage-ID: <1@client.example>\r\n\r\nHello"
        self.send(f"MAIL FROM:<{mail_from}>", *(f"RCPT TO:<{address}>" for address in to), "DATA")
        answers = [self.reply() for _ in range(len(to) + 2)]
        assert answers[-1].startswith("354 "), answers
        return self.ask(text, ".")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()
        self.socket.close()


class RunningExchange:
    """The server, its event loop in a thread."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.exchange = Exchange(
            mailboxes=mailboxes(), verify=verify, context=server_context(), clock=self.clock
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._clients: list[Client] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def call(self, work: Callable[[], T]) -> T:
        async def in_the_loop() -> T:
            return work()

        return self.run(in_the_loop())

    def control(self, **changes: object) -> None:
        self.call(lambda: self.exchange.control(changes))

    def script(self, **step: object) -> None:
        self.control(next=[step])

    def counters(self) -> Any:
        return self.call(self.exchange.describe)["counters"]

    def client(self) -> Client:
        client = Client(self.exchange.port)
        self._clients.append(client)
        return client

    def raw(self) -> list[bytes]:
        return [message.raw for message in self.exchange.store.messages()]

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.exchange.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.reader.close()
            client.socket.close()
        self.run(self.exchange.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
