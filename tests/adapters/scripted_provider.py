"""An OAuth 2 provider over TLS that answers word for word as a test tells it, and keeps what it was asked."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator


@dataclass(frozen=True)
class Reply:
    """``cut`` ends an answer before its length; ``endless`` has no end; 0 as status closes unanswered."""

    body: bytes | dict[str, Any] | list[Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    endless: bool = False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


class ScriptedProvider:
    """``answers`` has for each path what is answered: each once, and the last of them from then on."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.answers: dict[str, list[Reply]] = {}
        self.asked: list[Asked] = []
        self._server = _Server(context, self)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[ScriptedProvider]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def answer(self, path: str, *replies: Reply) -> None:
        self.answers[path] = list(replies)

    def next_reply(self, path: str) -> Reply:
        replies = self.answers.get(path) or [Reply(status=404)]
        return replies.pop(0) if len(replies) > 1 else replies[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, context: ssl.SSLContext, provider: ScriptedProvider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.provider = provider

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        # The handshake is made by the thread that serves, so that a slow client holds up nobody.
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        provider = self.server.provider
        provider.asked.append(Asked(self.command, path, dict(self.headers), dict(parse_qsl(body.decode()))))
        reply = provider.next_reply(path)
        self.close_connection = True
        if not reply.status:
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json"} | reply.headers
        if not reply.endless:
            headers["Content-Length"] = str(len(content) + (100 if reply.cut else 0))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        while reply.endless:
            self.wfile.write(b" " * 65_536)


def id_token(claims: dict[str, Any]) -> str:
    """Return a JWT whose signature nobody has made: the back channel's TLS stands in for it."""
    return ".".join(_part(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims)) + ".c2lnbmF0dXJl"


def _part(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
