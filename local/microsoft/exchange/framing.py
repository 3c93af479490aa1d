"""
Input cut into lines, message bodies and chunks, however the client packed them.

A client that pipelines sends MAIL, RCPT, DATA in one segment (RFC 2920), and the next message right behind
the dot of the last. Nothing here reads from a socket: octets are fed in, items are taken out.
"""

from typing import TYPE_CHECKING, NamedTuple

from local.microsoft.exchange.limits import SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_OCTETS = 12_288  # RFC 4954 §4 asks for this much, since an AUTH line carries a whole token

_END_OF_BODY = b"\r\n.\r\n"


class Line(NamedTuple):
    """A command line, or a line of a SASL exchange, without its end."""

    octets: bytes


class OverlongLine(NamedTuple):
    """A line that has not ended where the longest one would have."""


class BodyBegun(NamedTuple):
    """The first octets of a message are there."""


class Body(NamedTuple):
    """A whole message, its dots undone; None when it was larger than the server takes at all."""

    content: bytes | None


class Chunk(NamedTuple):
    """As many octets as BDAT announced."""

    content: bytes


Item = Line | OverlongLine | BodyBegun | Body | Chunk


class Framer:
    """The input of one session. It reads lines until it is told to expect something else, once."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._take: Callable[[], Item | None] = self._line
        self._searched = 0  # octets of the buffer that hold no end of the body
        self._body_begun = False
        self._body_too_large = False
        self._chunk_octets = 0

    def feed(self, octets: bytes) -> None:
        """Add what came in."""
        self._buffer += octets

    def clear(self) -> None:
        """Throw away what came in and was not taken."""
        self._buffer.clear()

    def take(self) -> Item | None:
        """Take the next item, or None until more octets are there."""
        return self._take()

    def expect_body(self) -> None:
        """Read what follows as a message that ends with a dot on a line of its own."""
        self._searched = 0
        self._body_begun = self._body_too_large = False
        self._take = self._body

    def expect_chunk(self, octets: int) -> None:
        """Read exactly so many octets, whatever they are (RFC 3030)."""
        self._chunk_octets = octets
        self._take = self._chunk

    def _line(self) -> Line | OverlongLine | None:
        end = self._buffer.find(b"\n", 0, LINE_OCTETS)
        if end < 0:
            return OverlongLine() if len(self._buffer) >= LINE_OCTETS else None
        octets = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return Line(octets)

    def _body(self) -> BodyBegun | Body | None:
        buffer = self._buffer
        if not self._body_begun:
            self._body_begun = bool(buffer)
            return BodyBegun() if buffer else None
        if not self._body_too_large and buffer.startswith(b".\r\n"):
            end, rest = 0, 3
        else:
            found = buffer.find(_END_OF_BODY, self._searched)
            if found < 0:
                self._wait_for_more_body()
                return None
            end, rest = found + 2, found + 5
        # Each line that begins with a dot loses it (RFC 5321 §4.5.2).
        content = bytes(buffer[:end]).removeprefix(b".").replace(b"\r\n.", b"\r\n")
        del buffer[:rest]
        self._take = self._line
        return Body(None if self._body_too_large else content)

    def _wait_for_more_body(self) -> None:
        self._searched = max(0, len(self._buffer) - len(_END_OF_BODY) + 1)
        if len(self._buffer) > SIZE_BYTES:
            self._body_too_large = True
        if self._body_too_large:  # nobody will read it: only its end matters
            del self._buffer[: self._searched]
            self._searched = 0

    def _chunk(self) -> Chunk | None:
        if len(self._buffer) < self._chunk_octets:
            return None
        content = bytes(self._buffer[: self._chunk_octets])
        del self._buffer[: self._chunk_octets]
        self._take = self._line
        return Chunk(content)
