"""
Those written in Python, each in a process of its own: ``python -m benchmarks.smtp_speed.contestants NAME``.

Each keeps so many connections open from one question to the next, and answers with the seconds from its first
message to the server's last "250", and those of them that the processor was busy with it.
"""

from __future__ import annotations

import itertools
import json
import smtplib
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.smtp_speed.child import answer_questions
from shared.adapters.smtp_pool import Route, SmtpPool
from shared.core import smtp
from shared.core.smtp import Envelope
from shared.core.xoauth2 import Credentials, initial_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_BYTES = 64 * 1024


class Contestant(Protocol):
    """Sends one message; as many threads at once as it may have connections."""

    def send(self, recipients: tuple[str, ...], message: bytes) -> None:
        """Send it; raises where it was not accepted."""
        ...


class Ours:
    """``SmtpPool``, as the send function uses it."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._pool = SmtpPool(
            ehlo_name="localhost",
            context_factory=lambda: ssl.create_default_context(cafile=facts["ca_file"]),
        )
        self._route = Route("localhost", facts["port"], "noreply", facts["connections"])
        self._credentials = Credentials(facts["user"], facts["token"])

    def send(self, recipients: tuple[str, ...], message: bytes) -> None:
        """Send it; raises where it was not accepted."""
        envelope = Envelope(self._credentials.user, recipients)
        submission = self._pool.submit(self._route, self._credentials, envelope, message)
        if not submission.accepted:
            raise RuntimeError(f"not accepted: {submission}")


class StandardLibrary:
    """``smtplib``, with a connection for each thread, which is as good as it gets by hand."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._mine = threading.local()

    def send(self, recipients: tuple[str, ...], message: bytes) -> None:
        """Send it; raises where it was not accepted."""
        if not hasattr(self._mine, "connection"):
            self._mine.connection = connect(self._facts)
        refused = self._mine.connection.sendmail(self._facts["user"], recipients, message)
        if refused:
            raise RuntimeError(f"not accepted: {refused}")


class Bare:
    """
    No client at all: octets made beforehand are written to a socket, and line ends counted.

    It shows what the server can take.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._mine = threading.local()

    def send(self, recipients: tuple[str, ...], message: bytes) -> None:
        """Send it; raises where it was not accepted."""
        if not hasattr(self._mine, "socket"):
            self._mine.socket = _without_delay(connect(self._facts))
            envelope = [smtp.mail_command(self._facts["user"]), *map(smtp.rcpt_command, recipients)]
            self._mine.envelope = b"".join((*envelope, smtp.DATA))
            self._mine.body = b"".join(smtp.dot_stuff([message]))
        sock: socket.socket = self._mine.socket
        sock.sendall(self._mine.envelope)
        _read(sock, len(recipients) + 2)
        sock.sendall(self._mine.body)
        if not _read(sock, 1).startswith(b"250"):
            raise RuntimeError("not accepted")


def _without_delay(connection: smtplib.SMTP) -> socket.socket:
    sock = connection.sock
    if sock is None:
        raise RuntimeError("not connected")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read(sock: socket.socket, lines: int) -> bytes:
    read = b""
    while read.count(b"\n") < lines:
        more = sock.recv(_READ_BYTES)
        if not more:
            raise ConnectionError("the server closed the connection")
        read += more
    return read


def connect(facts: Mapping[str, Any]) -> smtplib.SMTP:
    """Connect and sign in with the standard library."""
    connection = smtplib.SMTP("localhost", facts["port"], local_hostname="localhost")
    connection.starttls(context=ssl.create_default_context(cafile=facts["ca_file"]))
    connection.ehlo()
    code, said = connection.docmd("AUTH", f"XOAUTH2 {initial_response(facts['user'], facts['token'])}")
    if code != 235:  # noqa: PLR2004 - RFC 4954 §4
        raise RuntimeError(f"AUTH: {code} {said!r}")
    return connection


CONTESTANTS: Mapping[str, Callable[[Mapping[str, Any]], Contestant]] = {
    "ours": Ours,
    "smtplib": StandardLibrary,
    "bare": Bare,
}


def main() -> int:
    """Send as often as asked."""
    name, facts = sys.argv[1], json.loads(sys.argv[2])
    contestant = CONTESTANTS[name](facts)
    connections: int = facts["connections"]

    def run(question: Mapping[str, Any]) -> dict[str, Any]:
        message = Path(question["message"]).read_bytes()
        recipients = tuple(question["recipients"])
        numbers = itertools.count()

        def work(_: int) -> None:
            while next(numbers) < question["messages"]:
                contestant.send(recipients, message)

        began, busy = time.perf_counter(), time.process_time()
        list(threads.map(work, range(connections)))
        return {
            "seconds": time.perf_counter() - began,
            "processor_seconds": time.process_time() - busy,
        }

    # The threads stay too, and with them the connections of those that have one for each.
    with ThreadPoolExecutor(connections) as threads:
        answer_questions({}, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
