"""
A message as RFC 5322 bytes, given in pieces so that no file is in memory twice.

The same message, Message-ID and Date give the same bytes every time, so a later attempt repeats the first one
exactly and a receiver can tell a duplicate. Nothing here is random: multipart boundaries come from the
Message-ID.

``multipart/mixed`` (files) > ``multipart/related`` (inline images) > ``multipart/alternative`` (text and
HTML), each only where it is needed. Bcc is never written: those recipients stand in the envelope alone.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING, Protocol

from shared.core import headers
from shared.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from shared.core.address import Address
    from shared.core.message import AttachmentFields, Message

_CRLF = b"\r\n"
_LONGEST_LINE = 998  # RFC 5322 §2.1.1, octets without CRLF
_BASE64_LINE = 76  # RFC 2045 §6.8
_OCTETS_A_LINE = _BASE64_LINE // 4 * 3
_LINES_AT_ONCE = 1024  # about 57 KiB of a file at a time
_BOUNDARY = "=_"  # how each of them begins
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")


class Source(Protocol):
    """A file: its size in octets, and its content in pieces, as often as they are asked for."""

    @property
    def size(self) -> int:
        """How many octets it has."""
        ...

    @property
    def chunks(self) -> Callable[[], Iterator[bytes]]:
        """Begin to read it."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """A file that came with the message."""

    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many octets it has."""
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        """Begin to read it."""
        yield self.content


@dataclass(frozen=True, slots=True)
class Mime:
    """A message ready to go: octets in all and in the header, its pieces, and what it asks of a server."""

    size: int
    header_size: int
    chunks: Callable[[], Iterator[bytes]]
    smtputf8: bool = False
    eight_bit: bool = False

    def to_bytes(self) -> bytes:
        """Return the whole of it."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Body:
    """What there is to read in a message, after a template was filled and a text part made."""

    subject: str
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A file as base64 lines."""

    source: Source

    @property
    def size(self) -> int:
        letters = (self.source.size + 2) // 3 * 4
        return letters + len(_CRLF) * max(0, (letters - 1) // _BASE64_LINE)

    def chunks(self) -> Iterator[bytes]:
        """Give it in pieces; raises ``PayloadError`` where the file is not as long as it said."""
        rest, read, first = b"", 0, True
        group = _OCTETS_A_LINE * _LINES_AT_ONCE
        for chunk in self.source.chunks():
            read += len(chunk)
            whole = memoryview(rest + chunk if rest else chunk)
            usable = len(whole) - len(whole) % _OCTETS_A_LINE
            for start in range(0, usable, group):
                yield _lines(whole[start : min(start + group, usable)], first=first)
                first = False
            rest = bytes(whole[usable:])
        if rest:
            yield _lines(rest, first=first)
        if read != self.source.size:
            raise PayloadError("a file changed while it was being sent; the message is sent again")


_Piece = bytes | _Encoded


@dataclass(frozen=True, slots=True)
class _Part:
    """
    A body part: its Content-* fields, each with its CRLF, and its encoded content without one at the end.
    """

    fields: tuple[bytes, ...]
    content: tuple[_Piece, ...]


def needs_smtputf8(message: Message, from_address: Address) -> bool:
    """Whether an address of the message can only be carried by SMTPUTF8 (RFC 6531)."""
    everyone = (from_address, *message.recipients, *message.fields.reply_to)
    return any(address.needs_smtputf8 for address in everyone)


def build(
    message: Message,
    body: Body,
    *,
    from_address: Address,
    mail_id: str,
    date: datetime,
    files: Mapping[str, Source],
) -> Mime:
    """
    Return the message with CRLF line ends.

    ``mail_id`` is the Message-ID with its angle brackets; ``date`` is aware; ``files`` has what ``blob``
    paths name.
    """
    utf8 = needs_smtputf8(message, from_address)
    content = _body(message, body, mail_id, files)
    head = b"".join([*_header(message, body, from_address, mail_id, date, utf8=utf8), *content.fields])
    pieces: list[_Piece] = [head, _CRLF, *content.content]
    last = pieces[-1]
    if not isinstance(last, bytes) or not last.endswith(_CRLF):
        pieces.append(_CRLF)
    size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)

    def chunks() -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.chunks()

    # RFC 6532 letters in the header are octets above 127 like any others.
    return Mime(size, len(head), chunks, smtputf8=utf8, eight_bit=utf8)


def _header(
    message: Message, body: Body, from_address: Address, mail_id: str, date: datetime, *, utf8: bool
) -> Iterator[bytes]:
    fields = message.fields
    yield headers.addresses("From", (from_address,), utf8=utf8)
    for name, several in (("To", fields.to), ("Cc", fields.cc), ("Reply-To", fields.reply_to)):
        if several:
            yield headers.addresses(name, several, utf8=utf8)
    if not (fields.to or fields.cc):
        # RFC 5322 §3.6.3 asks for no To, but some receivers hold a message without one for spam.
        yield b"To: undisclosed-recipients:;\r\n"
    yield headers.unstructured("Subject", body.subject)
    yield f"Date: {format_datetime(date)}\r\n".encode()
    yield f"Message-ID: {mail_id}\r\n".encode()
    for name, ids in (("In-Reply-To", fields.in_reply_to), ("References", fields.references)):
        if ids:
            yield headers.words(name, ids)
    for name, values in fields.headers.items():
        for value in values:
            yield headers.unstructured(name, value)
    given = {name.lower(): values for name, values in fields.headers.items()}
    if "list-unsubscribe-post" not in given and any(
        "<https:" in value for value in given.get("list-unsubscribe", ())
    ):
        # RFC 8058: Gmail and Yahoo ask bulk senders for the twin, and it means nothing else.
        yield b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    yield b"MIME-Version: 1.0\r\n"


def _body(message: Message, body: Body, mail_id: str, files: Mapping[str, Source]) -> _Part:
    attachments = message.fields.attachments
    inline = [_file(file, files) for file in attachments if file.content_id]
    others = [_file(file, files) for file in attachments if not file.content_id]
    texts = [
        _text(text, kind) for text, kind in ((body.text, "plain"), (body.html, "html")) if text is not None
    ]
    part = _multipart("alternative", texts or [_text("", "plain")], mail_id)
    part = _multipart("related", [part, *inline], mail_id)
    return _multipart("mixed", [part, *others], mail_id)


def _multipart(subtype: str, parts: Sequence[_Part], mail_id: str) -> _Part:
    """Wrap several parts in one; a part that is alone needs no wrapping."""
    if len(parts) == 1:
        return parts[0]
    boundary = _BOUNDARY + hashlib.sha256(f"{mail_id}/{subtype}".encode()).hexdigest()[:32]
    delimiter = f"--{boundary}".encode()
    pieces: list[_Piece] = []
    for part in parts:
        pieces += [b"".join([delimiter, _CRLF, *part.fields, _CRLF]), *part.content, _CRLF]
    pieces.append(delimiter + b"--")
    field = headers.structured("Content-Type", f"multipart/{subtype}", [("boundary", boundary)])
    return _Part((field,), tuple(pieces))


def _text(text: str, subtype: str) -> _Part:
    """Encode text in the way that is shortest, and as plain ASCII where it is that."""
    octets = _LINE_ENDS.sub(_CRLF, text.encode())
    short = max(map(len, octets.split(_CRLF))) <= _LONGEST_LINE
    # What could be one of our boundaries is encoded: quoted-printable has no "=_" and base64 no "--", so no
    # text can end the part that it stands in, even where its author knows the Message-ID.
    if octets.isascii() and short and _BOUNDARY.encode() not in octets:
        encoding, content = "7bit", octets
    else:
        quoted = _LINE_ENDS.sub(_CRLF, binascii.b2a_qp(octets, istext=True))
        encoding, content = "quoted-printable", quoted
        if len(octets) * 4 / 3 < len(quoted):
            encoding, content = "base64", _lines(octets, first=True)
    charset = "us-ascii" if octets.isascii() else "utf-8"
    fields = (
        headers.structured("Content-Type", f"text/{subtype}", [("charset", charset)]),
        headers.structured("Content-Transfer-Encoding", encoding),
    )
    return _Part(fields, (content,))


def _file(file: AttachmentFields, files: Mapping[str, Source]) -> _Part:
    disposition = "inline" if file.content_id else "attachment"
    media_type, _, given = file.content_type.partition(";")
    charset = [("charset", given.partition("=")[2])] if given else []
    fields = [
        # The name stands in both fields: old clients read the one in Content-Type alone.
        headers.structured("Content-Type", media_type, [*charset, ("name", file.filename)]),
        headers.structured("Content-Transfer-Encoding", "base64"),
        headers.structured("Content-Disposition", disposition, [("filename", file.filename)]),
    ]
    if file.content_id:
        fields.append(f"Content-ID: <{file.content_id}>\r\n".encode())
    source = files[file.blob] if file.blob is not None else InMemory(file.content or b"")
    return _Part(tuple(fields), (_Encoded(source),))


def _lines(octets: bytes | memoryview, *, first: bool) -> bytes:
    """Return base64 in lines, with a CRLF before them unless they are the first."""
    encoded = binascii.b2a_base64(octets, newline=False)
    lines = _CRLF.join(
        encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)
    )
    return lines if first else _CRLF + lines
