from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from shared.adapters.smtp_wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

# Larger than what two Unix sockets hold between them.
LARGE = b"x" * 4_000_000


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield Wire(ours), theirs
    ours.close()
    theirs.close()


def test_a_reply_stops_what_a_deaf_server_will_never_read(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"451 4.3.1 Insufficient system resources\r\n")
    assert not wire.send(LARGE, 10, stop_at_reply=True)
    assert wire.reply(10).code == 451


def test_replies_are_taken_in_while_a_long_pipeline_is_written(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"250 2.1.5 Recipient OK\r\n" * 500)
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(Exception, match="the server closed the connection"):
        wire.send(LARGE, 10)
    assert all(wire.reply(10).code == 250 for _ in range(500))


def test_silence_is_named_with_its_length(ends: tuple[Wire, socket.socket]) -> None:
    wire, _ = ends
    with pytest.raises(Exception, match=r"no answer within 0\.01 s"):
        wire.reply(0.01)


def test_a_server_that_never_stops_talking_is_left(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"250 \r\n" * 10_000)
    with pytest.raises(Exception, match="flood of replies"):
        wire.send(LARGE, 10)
