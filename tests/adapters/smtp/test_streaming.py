"""Messages that come in pieces, over real sockets: none is held in memory, and half of one is never sent."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from shared.adapters.smtp_pool import Route, SmtpPool
from shared.adapters.smtp_session import SmtpSession
from shared.core.smtp import Envelope, Phase, Submission
from shared.errors import PayloadError
from tests.adapters.smtp.conftest import CREDENTIALS, PATIENT, Open, Serve
from tests.adapters.smtp.scripted_server import REPLIES, Gone, Peer, Script

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from tests.adapters.smtp.scripted_server import ScriptedServer

ENVELOPE = Envelope("noreply@contoso.com", ("one@example.com",))
HEAD = b"Subject: hello\r\n\r\n"
LINE = b".%070d\r\n"


@dataclass
class Streamed:
    """A message in pieces; ``ends_with`` is raised where it is set, after the last of them."""

    pieces: Callable[[], Iterator[bytes]]
    size: int
    eight_bit: bool = False
    ends_with: BaseException | None = None
    begun: list[int] = field(default_factory=list)

    def chunks(self) -> Iterator[bytes]:
        self.begun.append(1)
        yield from self.pieces()
        if self.ends_with:
            raise self.ends_with


def in_pieces(content: bytes, length: int, **more: BaseException) -> Streamed:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), length):
            yield content[start : start + length]

    return Streamed(pieces, len(content), ends_with=more.get("ends_with"))


def opened(session: SmtpSession | Submission) -> SmtpSession:
    assert isinstance(session, SmtpSession), session
    return session


MIME = HEAD + b"".join(LINE % number for number in range(2000)) + b"..\r\nend\r\n"


@pytest.mark.parametrize("length", [1, 2, 3, 71, 72, 73, 4096, 65_536, 1_000_000])
def test_a_message_arrives_the_same_however_it_is_cut(length: int, open_session: Open, serve: Serve) -> None:
    server = serve()
    session = opened(open_session(server))
    mime = in_pieces(MIME, length)
    assert session.submit(ENVELOPE, mime).accepted
    assert server.messages[0].replace(b"\r\n..", b"\r\n.") == MIME
    assert f"MAIL FROM:<noreply@contoso.com> SIZE={len(MIME)}" in server.lines
    assert mime.begun == [1]


def test_eight_bit_is_asked_for_where_the_message_says_so(open_session: Open, serve: Serve) -> None:
    server = serve()
    mime = in_pieces(MIME, 1000)
    mime.eight_bit = True
    assert opened(open_session(server)).submit(ENVELOPE, mime).accepted
    assert any(line.endswith(" BODY=8BITMIME") for line in server.lines)


def test_nothing_is_read_of_a_message_that_is_refused_before_its_body(
    open_session: Open, serve: Serve
) -> None:
    refuse = Script({"rcpt": lambda peer: peer.say("550 5.1.10 no\r\n")})
    mime = in_pieces(MIME, 1000)
    submission = opened(open_session(serve(refuse))).submit(ENVELOPE, mime)
    assert (submission.phase, mime.begun) == (Phase.RCPT, [])


FAILURES = [PayloadError("a file changed"), OSError("no storage"), KeyboardInterrupt()]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("content", [b"", HEAD, MIME, MIME * 10], ids=["none", "head", "some", "much"])
def test_a_message_that_breaks_off_is_not_accepted_and_takes_its_connection_along(
    content: bytes, failure: BaseException, open_session: Open, serve: Serve
) -> None:
    server = serve()
    session = opened(open_session(server))
    with pytest.raises(type(failure)):
        session.submit(ENVELOPE, in_pieces(content, 1000, ends_with=failure))
    assert not session.usable
    session.close()
    server.close()
    assert server.messages == []
    assert server.lines[-1] == "DATA"  # no QUIT, for it would be part of the body


@pytest.fixture
def pool(context: ssl.SSLContext) -> Iterator[SmtpPool]:
    made = SmtpPool(ehlo_name="sender.contoso.com", context_factory=lambda: context, timeouts=PATIENT)
    yield made
    made.close()


def submit(pool: SmtpPool, server: ScriptedServer, mime: Streamed | bytes) -> Submission:
    return pool.submit(Route("localhost", server.port, "noreply", 1), CREDENTIALS, ENVELOPE, mime)


@pytest.mark.parametrize("before", [0, 1], ids=["a new session", "a used session"])
def test_the_pool_discards_that_connection_frees_its_place_and_the_next_message_goes(
    before: int, pool: SmtpPool, serve: Serve
) -> None:
    server = serve()
    for _ in range(before):
        assert submit(pool, server, MIME).accepted
    with pytest.raises(PayloadError, match=r"^a file changed$"):
        submit(pool, server, in_pieces(MIME, 1000, ends_with=PayloadError("a file changed")))
    assert submit(pool, server, in_pieces(MIME, 1000)).accepted
    assert len(server.peers) == 2
    assert len(server.messages) == before + 1


def test_a_message_that_goes_over_a_second_session_is_read_from_its_beginning(
    pool: SmtpPool, serve: Serve
) -> None:
    def leave_at_the_second(peer: Peer) -> None:
        if peer.messages:
            raise Gone
        peer.say(REPLIES["mail"])

    server = serve(Script({"mail": leave_at_the_second}), Script())
    assert submit(pool, server, MIME).accepted
    mime = in_pieces(MIME, 1000)
    assert submit(pool, server, mime).accepted
    assert server.messages[-1].replace(b"\r\n..", b"\r\n.") == MIME
    assert mime.begun == [1]


class Sink(Script):
    """A server that weighs a body instead of keeping it."""

    def _take_body(self, peer: Peer) -> None:
        weighed, length, last = hashlib.sha256(), 0, b""
        while not (last + peer._buffer).endswith(b"\r\n.\r\n"):
            weighed.update(peer._buffer)
            length += len(peer._buffer)
            last = (last + peer._buffer)[-5:]
            peer._buffer = b""
            peer._read()
        weighed.update(peer._buffer)
        length += len(peer._buffer)
        peer._buffer = b""
        peer.messages.append(f"{length} {weighed.hexdigest()}".encode())
        peer.say(REPLIES["dot"])


def test_twenty_five_megabytes_are_sent_without_being_held(open_session: Open, serve: Serve) -> None:
    piece = b"x" * 76 + b"\r\n"
    count = 25_000_000 // len(piece)

    def pieces() -> Iterator[bytes]:
        yield HEAD
        for _ in range(count // 1000):
            yield piece * 1000

    size = len(HEAD) + count // 1000 * 1000 * len(piece)
    server = serve(Sink())
    session = opened(open_session(server))
    tracemalloc.start()
    try:
        assert session.submit(ENVELOPE, Streamed(pieces, size)).accepted
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expected = hashlib.sha256(HEAD)
    for _ in range(count // 1000):
        expected.update(piece * 1000)
    expected.update(b".\r\n")
    assert server.messages == [f"{size + 3} {expected.hexdigest()}".encode()]
    assert peak < 3_000_000  # both ends together, for they share this process
