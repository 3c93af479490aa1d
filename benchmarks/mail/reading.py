"""
What a person gets to see of a message, whichever parser took it apart, and how two of those differ.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import idna

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Person = tuple[str, str]
"""A name, "" where there is none, and an address."""

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_LONGEST_SHOWN = 160  # characters of a value in the list of differences


@dataclass(frozen=True, slots=True)
class File:
    """An attachment; its bytes as their number and their SHA-256."""

    filename: str
    content_id: str
    inline: bool
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A message taken apart. ``headers`` has the further fields, by their name in small letters."""

    sender: tuple[Person, ...]
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    subject: str
    text: str | None
    html: str | None
    files: tuple[File, ...]
    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    headers: dict[str, tuple[str, ...]]


def file(filename: str, content: bytes, *, media_type: str, content_id: str = "", inline: bool) -> File:
    """Return a file with its bytes counted and hashed."""
    digest = hashlib.sha256(content).hexdigest()
    return File(filename, content_id, inline, media_type.lower(), len(content), digest)


def differences(wanted: Reading, got: Reading) -> Iterator[str]:
    """Give every part in which ``got`` is not what was wanted, as ``part: got, wanted``."""
    for part in fields(Reading):
        name = part.name
        one, other = _normal(name, getattr(wanted, name)), _normal(name, getattr(got, name))
        if name == "headers":
            yield from _header_differences(one, other)
        elif name == "message_id" and not one:
            # Where the app gave none, Sendoff makes one; that it is there is all that can be asked.
            if not other:
                yield "message_id: there is none"
        elif one != other:
            yield _said(name, other, one)


def _header_differences(
    wanted: Mapping[str, tuple[str, ...]], got: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    for name, values in wanted.items():
        if (found := got.get(name, ())) != values:
            yield _said(f"headers.{name}", found, values)
    for hidden in ("bcc", "resent-bcc"):
        if hidden in got:
            yield _said(f"headers.{hidden}", got[hidden], ())


def _normal(name: str, value: Any) -> Any:
    if name in ("text", "html") and value is not None:
        # Line ends are the platform's, and the last line of a mail always ends.
        return _LINE_ENDS.sub("\n", value).rstrip("\n")
    if name in ("sender", "to", "cc", "reply_to"):
        return tuple((shown, _ascii(address)) for shown, address in value)
    return value


def _ascii(address: str) -> str:
    """Return an address with its domain in A-label form: some parsers show it in the other one."""
    local_part, at, domain = address.rpartition("@")
    return local_part + at + (domain if domain.isascii() else idna.encode(domain, uts46=True).decode())


def _said(name: str, got: object, wanted: object) -> str:
    one, other = repr(got), repr(wanted)
    start = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, start - 20)
    return f"{name}: got …{one[start:][:_LONGEST_SHOWN]}, wanted …{other[start:][:_LONGEST_SHOWN]}"
