"""
A message that an app brings whole: sent byte for byte but for its line ends.

What changes: every line ends in CRLF, Bcc goes, and Date and Message-ID are added where they are missing. The
envelope is the app's ``to``, ``cc`` and ``bcc``, or, where those are absent, what the headers say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING

from shared.core.address import Address, parse_address
from shared.core.mailboxes import mailboxes
from shared.core.message import unique
from shared.core.mime import Mime

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n")
_LONGEST_LINE = 998  # RFC 5322 §2.1.1
_HIDDEN = (b"bcc", b"resent-bcc")


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw message taken apart: its header fields without Bcc, its body, and the addresses that it names."""

    fields: tuple[bytes, ...]
    body: bytes
    from_addresses: tuple[Address, ...]
    recipients: tuple[Address, ...]

    @property
    def mail_id(self) -> str:
        """Its own Message-ID, "" where it has none."""
        for field in self.fields:
            if _name(field) == b"message-id":
                said = field.partition(b":")[2].decode(errors="replace")
                return " ".join(said.split())[:_LONGEST_LINE]
        return ""

    def mime(self, *, mail_id: str, date: datetime) -> Mime:
        """Return it ready to go, with ``mail_id`` and ``date`` where it has none of its own."""
        names = {_name(field) for field in self.fields}
        added = [] if b"date" in names else [f"Date: {format_datetime(date)}\r\n".encode()]
        added += [] if b"message-id" in names else [f"Message-ID: {mail_id}\r\n".encode()]
        head = b"".join([*added, *self.fields])
        whole = (head, b"\r\n", self.body)

        def chunks() -> Iterator[bytes]:
            return iter(whole)

        utf8 = not head.isascii()
        size = sum(map(len, whole))
        return Mime(size, len(head), chunks, smtputf8=utf8, eight_bit=not self.body.isascii() or utf8)


def take_apart(octets: bytes) -> Raw:
    """Read a raw message; raises ``ValueError`` with what is wrong, worded so that it can follow ``raw:``."""
    text = _LINE_ENDS.sub(b"\r\n", octets)
    if b"\0" in text:
        raise ValueError("contains a NUL character, which no mail server takes")
    head, blank, body = text.partition(b"\r\n\r\n")
    if not blank:
        head = head.removesuffix(b"\r\n")
    head += b"\r\n"
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    longest = max(map(len, text.split(b"\r\n")))
    if longest > _LONGEST_LINE:
        raise ValueError(f"has a line of {longest} octets; RFC 5322 allows {_LONGEST_LINE}")
    fields = list(_fields(head))
    senders = _addresses(fields, b"from")
    if len(senders) != 1:
        raise ValueError(f"has {len(senders)} From addresses; it must have one")
    named = [address for name in (b"to", b"cc", b"bcc") for address in _addresses(fields, name)]
    kept = tuple(field for field in fields if _name(field) not in _HIDDEN)
    return Raw(kept, body, senders, unique(tuple(named)))


def _fields(head: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(head):
        found = _FIELD.match(head, place)
        if found is None:
            raise ValueError("does not begin with header fields, each a name, a colon and a value")
        yield found[0]
        place = found.end()


def _addresses(fields: Iterable[bytes], name: bytes) -> tuple[Address, ...]:
    """Return the addresses of every field of that name; the names beside them are not read."""
    found = []
    for field in fields:
        if _name(field) != name:
            continue
        value = field.partition(b":")[2].replace(b"\r\n", b"").decode(errors="surrogateescape")
        try:
            found += [parse_address(spec) for spec in mailboxes(value)]
        except ValueError as error:
            raise ValueError(f"has an address in its header that {error}") from None
    return tuple(found)


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()
