"""
SMTP's grammar without a socket: replies, commands, the dots of a body, and what became of a message.

RFC 5321 throughout; RFC 2034 and 3463 for enhanced codes, RFC 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8).
Nothing here compares one reply code with another to decide what to do next: that is `shared.core.reply`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from shared.errors import SendoffError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# Bytes. RFC 5321 §4.5.3.1.5 allows 512; Exchange's diagnostics are longer, and nobody needs more than this.
MAX_REPLY_LINE_BYTES: Final = 8 * 1024
# Bytes of one whole reply. An EHLO reply takes about 1 KiB; this only bounds a server that never stops.
MAX_REPLY_BYTES: Final = 64 * 1024
# Bytes of a body handed over at a time: large enough that the loop costs nothing, small enough to stop early.
BODY_CHUNK_BYTES: Final = 256 * 1024


# Bytes that are gathered before they are written: four TLS records.
GATHER_BYTES: Final = 64 * 1024


class ProtocolError(SendoffError):
    """The server said what SMTP does not allow; the connection is out of step and must be discarded."""


class Phase(enum.Enum):
    """How far a session or a message has come; of a failure, where it happened."""

    #: The message waits for a session; nothing was said to the server.
    BORROW = "borrow"
    #: The name is looked up and the TCP connection opened.
    CONNECT = "connect"
    #: Connected; the server's 220 is awaited.
    GREETING = "greeting"
    #: EHLO was sent, before or after TLS.
    EHLO = "ehlo"
    #: STARTTLS was sent, or had to be and was not offered.
    STARTTLS = "starttls"
    #: The TLS handshake is under way.
    TLS = "tls"
    #: The handshake ended at the server's certificate: it is not one to trust.
    CERTIFICATE = "certificate"
    #: AUTH was sent, or had to be and XOAUTH2 was not offered.
    AUTH = "auth"
    #: Authenticated and between messages.
    READY = "ready"
    #: Before MAIL, the message is compared with what the server offers; nothing of it was sent.
    CHECK = "check"
    #: MAIL was sent and is not yet answered.
    MAIL = "mail"
    #: MAIL was accepted; recipients are being named.
    RCPT = "rcpt"
    #: A recipient was accepted; the answer to DATA is awaited.
    DATA = "data"
    #: 354 came; the body is being written and its last byte has not left.
    BODY = "body"
    #: The final dot was sent and is not yet answered: the message may or may not be accepted.
    END_OF_DATA = "end of data"
    #: The server took responsibility for the message.
    DONE = "done"
    #: QUIT was sent.
    QUIT = "quit"


_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
# What Exchange adds for its support: "[AM0PR…outlook.com 2026-11-24T06:55:00.000Z 08DE…]", "[Hostname=…]".
_SUFFIX = re.compile(r"(?:\s+\[(?:Hostname=[^\[\]]*|[\w-]+\.[\w.-]+(?:\s[^\[\]]*)?)\])+\s*$")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server: its code and the text of each line, without the codes."""

    code: int
    lines: tuple[str, ...]

    @property
    def enhanced(self) -> str:
        """The enhanced status code, such as "5.7.3", or ""."""
        found = _ENHANCED.match(self.lines[0]) if self.lines else None
        return found[1] if found else ""

    @property
    def text(self) -> str:
        """The reply word for word, one line for each of its lines."""
        last = len(self.lines) - 1
        return "\n".join(
            f"{self.code}{' ' if number == last else '-'}{line}".rstrip()
            for number, line in enumerate(self.lines)
        )

    @property
    def group_text(self) -> str:
        """The reply on one line without what differs each time (host, time, id): for grouping."""
        return " ".join([str(self.code), *(_SUFFIX.sub("", line).strip() for line in self.lines)]).rstrip()

    @property
    def positive(self) -> bool:
        """2yz: done as asked (RFC 5321 §4.2.1)."""
        return self.code // 100 == 2  # noqa: PLR2004 - RFC 5321 §4.2.1, the first digit

    @property
    def intermediate(self) -> bool:
        """3yz: the server waits for more."""
        return self.code // 100 == 3  # noqa: PLR2004 - as above

    @property
    def negative(self) -> bool:
        """4yz or 5yz: not done."""
        return self.code // 100 in {4, 5}

    @property
    def transient(self) -> bool:
        """4yz: not now."""
        return self.code // 100 == 4  # noqa: PLR2004 - as above

    @property
    def closing(self) -> bool:
        """421: whatever was asked, the server closes the connection (RFC 5321 §3.8)."""
        return self.code == 421  # noqa: PLR2004 - the one code with a meaning for the connection


_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\r?", re.DOTALL)
# A terminal or a log must not obey a server, so control characters are spelled out.
_SPELLED_OUT = {code: f"\\x{code:02x}" for code in (*range(0x09), *range(0x0A, 0x20), *range(0x7F, 0xA0))}


def printable(raw: bytes) -> str:
    """Turn bytes from outside into text: UTF-8 where it is, the rest and every control spelled out."""
    if raw.isascii() and (text := raw.decode("ascii")).isprintable():
        return text
    return raw.decode("utf-8", "backslashreplace").translate(_SPELLED_OUT)


class ReplyParser:
    """Bytes in, in pieces of any size; whole replies out."""

    __slots__ = ("_broken", "_buffer", "_code", "_lines", "_scanned", "_size")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._code = b""
        self._lines: list[str] = []
        self._size = 0
        self._broken: ProtocolError | None = None

    @property
    def pending(self) -> bool:
        """Whether bytes arrived that no whole reply has taken up."""
        return bool(self._buffer or self._lines or self._broken)

    def feed(self, data: bytes) -> list[Reply]:
        """
        Return the replies that these bytes complete.

        What stands before a malformed line still comes back; the error is raised by the next call at the
        latest, and by every one after it.
        """
        replies: list[Reply] = []
        try:
            if self._broken is None:
                self._buffer += data
                self._take_lines(replies)
        except ProtocolError as error:
            self._broken = error
        if self._broken is not None and not replies:
            raise self._broken
        return replies

    def _take_lines(self, replies: list[Reply]) -> None:
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            if (reply := self._take_line(line)) is not None:
                replies.append(reply)
        self._scanned = len(self._buffer)
        if self._scanned > MAX_REPLY_LINE_BYTES:
            raise ProtocolError(f"reply line of more than {MAX_REPLY_LINE_BYTES} bytes")

    def _take_line(self, line: bytes) -> Reply | None:
        self._size += len(line)
        if len(line) > MAX_REPLY_LINE_BYTES or self._size > MAX_REPLY_BYTES:
            raise ProtocolError(f"reply of more than {min(self._size, MAX_REPLY_BYTES)} bytes")
        parts = _REPLY_LINE.fullmatch(line)
        if parts is None:
            raise ProtocolError(f"not an SMTP reply: {printable(line[:100])}")
        code, more, text = parts[1], parts[2], parts[3] or b""
        if self._code not in {b"", code}:
            raise ProtocolError(f"one reply with two codes, {self._code.decode()} and {code.decode()}")
        self._code = code
        self._lines.append(printable(text.removesuffix(b"\r")))
        if more == b"-":
            return None
        reply = Reply(int(code), tuple(self._lines))
        self._code, self._lines, self._size = b"", [], 0
        return reply


def extensions(ehlo: Reply) -> Mapping[str, str]:
    """Read what an EHLO reply offers: keyword in capitals -> its parameters (RFC 5321 §4.1.1.1)."""
    offered = (line.strip().partition(" ") for line in ehlo.lines[1:])
    return MappingProxyType({name.upper(): rest.strip() for name, _, rest in offered if name})


STARTTLS: Final = b"STARTTLS\r\n"
DATA: Final = b"DATA\r\n"
RSET: Final = b"RSET\r\n"
NOOP: Final = b"NOOP\r\n"
QUIT: Final = b"QUIT\r\n"
#: Ends a body that has none, where DATA was answered 354 although nobody is left to send to (RFC 2920 §3.1).
LONE_DOT: Final = b".\r\n"

_DOMAIN = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_LITERAL = re.compile(r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]")
# RFC 5321 §4.1.2 with RFC 6531's letters: a dot-string or a quoted string, "@", a domain or a literal. Wider
# than the RFC where that is harmless, but nothing it lets through can end a path, an argument or a line.
_ADDRESS = re.compile(
    r'(?:[^\s\x00-\x20\x7f-\x9f"(),:;<>@\[\\\]]+|"(?:[^\x00-\x1f\x7f-\x9f\u2028\u2029"\\]|\\[\x20-\x7e])*")'
    r"@(?:[^\s\x00-\x20\x7f-\x9f\"(),:;<>@\[\\\]]+|\[[0-9A-Za-z:.-]+\])"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def ehlo_command(name: str) -> bytes:
    """Build EHLO with a domain name or an address literal; anything else is a `ValueError`."""
    if not (_DOMAIN.fullmatch(name) or _LITERAL.fullmatch(name)):
        raise ValueError(f"not a domain name or address literal for EHLO: {name!r}")
    return b"EHLO %s\r\n" % name.encode("ascii")


def auth_command(initial_response: str) -> bytes:
    """Build AUTH XOAUTH2 with its initial response (RFC 4954 §4)."""
    if not _BASE64.fullmatch(initial_response):
        raise ValueError("the initial response is not base64")
    return b"AUTH XOAUTH2 %s\r\n" % initial_response.encode("ascii")


def _path(address: str, *, smtputf8: bool) -> bytes:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an address that SMTP cannot carry")
    if not smtputf8 and not address.isascii():
        raise ValueError("an address with letters outside ASCII, and SMTPUTF8 was not asked for")
    return address.encode("utf-8")


def mail_command(
    address: str, *, size: int | None = None, smtputf8: bool = False, eight_bit: bool = False
) -> bytes:
    """
    Build MAIL with the parameters that this message needs; `address` may be "" (a message nobody answers).

    Raises `ValueError` for an address that could end the command or that needs SMTPUTF8 and has it not.
    """
    parameters = (b" SIZE=%d" % size if size is not None else b"") + (b" BODY=8BITMIME" if eight_bit else b"")
    path = _path(address, smtputf8=smtputf8) if address else b""
    return b"MAIL FROM:<%s>%s%s\r\n" % (path, parameters, b" SMTPUTF8" if smtputf8 else b"")


def rcpt_command(address: str, *, smtputf8: bool = False) -> bytes:
    """Build RCPT for one recipient; refuse what `mail_command` refuses, and the empty address."""
    return b"RCPT TO:<%s>\r\n" % _path(address, smtputf8=smtputf8)


def has_bare_line_end(mime: bytes) -> bool:
    """
    Tell whether a CR or an LF stands alone.

    Servers disagree on what such a line end means, so one can smuggle in a second message (RFC 5321 §2.3.8).
    """
    pairs = mime.count(b"\r\n")
    return mime.count(b"\n") != pairs or mime.count(b"\r") != pairs


class Octets(Protocol):
    """
    A message in pieces: how large it is, whether it has octets above 127, and a way to begin reading it.
    """

    @property
    def size(self) -> int:
        """Octets in all."""
        ...

    @property
    def eight_bit(self) -> bool:
        """Whether only 8BITMIME can carry it."""
        ...

    @property
    def chunks(self) -> Callable[[], Iterator[bytes]]:
        """Begin to read it; CRLF line ends throughout."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that is in memory anyway."""

    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self.content)

    @property
    def eight_bit(self) -> bool:
        """Whether only 8BITMIME can carry it."""
        return not self.content.isascii()

    def chunks(self) -> Iterator[bytes]:
        """Give it in large pieces."""
        for start in range(0, len(self.content), BODY_CHUNK_BYTES):
            yield self.content[start : start + BODY_CHUNK_BYTES]


def dot_stuff(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield a body as it goes on the wire; the last piece ends with the dot (RFC 5321 §4.5.2).

    Small pieces are gathered, so that each write is worth a TLS record, and one piece is held back, so that
    the dot travels with the end of the message.
    """
    # Two octets of what went before tell whether a piece begins a line, wherever the cut fell.
    before = b"\r\n"
    held = b""
    for piece in _gathered(chunks):
        if held:
            yield held
        held = (before + piece).replace(b"\r\n.", b"\r\n..")[2:]
        before = (before + piece[-2:])[-2:]
    yield held + (LONE_DOT if before == b"\r\n" else b"\r\n.\r\n")


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size >= GATHER_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MAIL and RCPT carry (RFC 5321 §2.3.1), whatever the message's header says."""

    mail_from: str
    rcpt_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one message at the server."""

    #: Where it ended.
    phase: Phase
    #: The reply that decided; None where there was none.
    reply: Reply | None = None
    #: Recipients refused while the others went; all of them where nobody was left.
    refused: Mapping[str, Reply] = field(default_factory=dict)
    #: What went wrong other than by a reply, in words without secrets or recipients; "" where nothing did.
    problem: str = ""
    #: The reason a server gave before it refused AUTH (the JSON of its 334), or "".
    challenge: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the server answered the end of data with yes."""
        ended = self.phase in {Phase.END_OF_DATA, Phase.DONE}
        return ended and self.reply is not None and self.reply.positive
