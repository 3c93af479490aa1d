"""
A message as RFC 5322 bytes.

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
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING

from shared.core import headers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.core.address import Address
    from shared.core.message import AttachmentFields, Message

_CRLF = b"\r\n"
_LONGEST_LINE = 998  # RFC 5322 §2.1.1, octets without CRLF
_BASE64_LINE = 76  # RFC 2045 §6.8
_BOUNDARY = "=_"  # how each of them begins
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class _Part:
    """
    A body part: its Content-* fields, each with its CRLF, and its encoded content without one at the end.
    """

    fields: tuple[bytes, ...]
    content: bytes


def needs_smtputf8(message: Message, from_address: Address) -> bool:
    """Whether an address of the message can only be carried by SMTPUTF8 (RFC 6531)."""
    everyone = (from_address, *message.recipients, *message.fields.reply_to)
    return any(address.needs_smtputf8 for address in everyone)


def build(message: Message, *, from_address: Address, mail_id: str, date: datetime) -> bytes:
    """
    Return the message as RFC 5322 bytes with CRLF line ends.

    ``mail_id`` is the Message-ID with its angle brackets; ``date`` is aware.
    """
    fields = message.fields
    utf8 = needs_smtputf8(message, from_address)
    body = _body(message, mail_id)
    written = [headers.addresses("From", (from_address,), utf8=utf8)]
    written += [
        headers.addresses(name, several, utf8=utf8)
        for name, several in (("To", fields.to), ("Cc", fields.cc), ("Reply-To", fields.reply_to))
        if several
    ]
    if not (fields.to or fields.cc):
        # RFC 5322 §3.6.3 asks for no To, but some receivers hold a message without one for spam.
        written.append(b"To: undisclosed-recipients:;\r\n")
    written += [
        headers.unstructured("Subject", fields.subject),
        f"Date: {format_datetime(date)}\r\n".encode(),
        f"Message-ID: {mail_id}\r\n".encode(),
        b"MIME-Version: 1.0\r\n",
        *body.fields,
        _CRLF,
        body.content,
    ]
    if not body.content.endswith(_CRLF):
        written.append(_CRLF)
    return b"".join(written)


def _body(message: Message, mail_id: str) -> _Part:
    fields = message.fields
    inline = [_file(file) for file in fields.attachments if file.content_id]
    files = [_file(file) for file in fields.attachments if not file.content_id]
    texts = [
        _text(text, kind)
        for text, kind in ((fields.text, "plain"), (fields.html, "html"))
        if text is not None
    ]
    body = _multipart("alternative", texts or [_text("", "plain")], mail_id)
    body = _multipart("related", [body, *inline], mail_id)
    return _multipart("mixed", [body, *files], mail_id)


def _multipart(subtype: str, parts: Sequence[_Part], mail_id: str) -> _Part:
    """Wrap several parts in one; a part that is alone needs no wrapping."""
    if len(parts) == 1:
        return parts[0]
    boundary = _BOUNDARY + hashlib.sha256(f"{mail_id}/{subtype}".encode()).hexdigest()[:32]
    delimiter = f"--{boundary}".encode()
    pieces: list[bytes] = []
    for part in parts:
        pieces += [delimiter, _CRLF, *part.fields, _CRLF, part.content, _CRLF]
    pieces += [delimiter, b"--", _CRLF]
    field = headers.structured("Content-Type", f"multipart/{subtype}", [("boundary", boundary)])
    return _Part((field,), b"".join(pieces))


def _text(text: str, subtype: str) -> _Part:
    """Encode text in the way that is shortest, and as plain ASCII where it is that."""
    octets = _LINE_ENDS.sub(_CRLF, text.encode())
    short = max(map(len, octets.split(_CRLF))) <= _LONGEST_LINE
    # What could be one of our boundaries is encoded: quoted-printable has no "=_" and base64 no "--", so no
    # text can end the part that it stands in, even where its author knows the Message-ID.
    if octets.isascii() and short and _BOUNDARY.encode() not in octets:
        encoding, content = "7bit", octets
    else:
        quoted = binascii.b2a_qp(octets, istext=True)
        quoted = _LINE_ENDS.sub(_CRLF, quoted)
        encoding, content = "quoted-printable", quoted
        if len(octets) * 4 / 3 < len(quoted):
            encoding, content = "base64", _base64(octets)
    charset = "us-ascii" if octets.isascii() else "utf-8"
    fields = (
        headers.structured("Content-Type", f"text/{subtype}", [("charset", charset)]),
        headers.structured("Content-Transfer-Encoding", encoding),
    )
    return _Part(fields, content)


def _file(file: AttachmentFields) -> _Part:
    disposition = "inline" if file.content_id else "attachment"
    fields = [
        # The name stands in both fields: old clients read the one in Content-Type alone.
        headers.structured("Content-Type", file.content_type, [("name", file.filename)]),
        headers.structured("Content-Transfer-Encoding", "base64"),
        headers.structured("Content-Disposition", disposition, [("filename", file.filename)]),
    ]
    if file.content_id:
        fields.append(f"Content-ID: <{file.content_id}>\r\n".encode())
    return _Part(tuple(fields), _base64(file.content))


def _base64(octets: bytes) -> bytes:
    encoded = binascii.b2a_base64(octets, newline=False)
    return _CRLF.join(encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE))
