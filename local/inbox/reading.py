"""
A received message taken apart for showing.

Mail can be broken in more ways than the standard library's parser expects: it raises nearly anything on
headers that are not what they should be. What cannot be read is shown as it came; nothing here raises on any
input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from email.utils import getaddresses
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

_DEEPEST = 30  # levels of multipart that are opened; real mail has three
_MOST_PARTS = 500  # of one message; real mail has ten

_SNIPPET_CHARACTERS = 140


@dataclass(frozen=True, slots=True)
class Person:
    """One address of a header, with the name that goes with it."""

    name: str
    address: str

    def __str__(self) -> str:
        return self.name or self.address

    def __bool__(self) -> bool:
        return bool(self.name or self.address)

    @property
    def initials(self) -> str:
        """One or two letters that stand for the person."""
        words = [word for word in (self.name or self.address).split() if word[:1].isalnum()]
        return (
            "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper() or "?"
        )

    @property
    def hue(self) -> int:
        """A number from 0 to 7, the same for the same address."""
        return (crc32(self.address.casefold().encode("utf-8", "replace")) >> 10) % 8


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the message's tree. `number` is its place among the leaves, from 0."""

    number: int
    content_type: str
    filename: str
    content_id: str
    is_attachment: bool  # says its Content-Disposition
    content: bytes = field(repr=False)
    text: str | None = field(repr=False)  # of a text part

    @property
    def size(self) -> str:
        """The size for people."""
        return readable_size(len(self.content))

    @property
    def label(self) -> str:
        """A few letters for an icon: the file's extension, or the kind of content."""
        extension = self.filename.rpartition(".")[2] if "." in self.filename else ""
        return (extension or self.content_type.rpartition("/")[2])[:4].upper()


@dataclass(frozen=True, slots=True)
class Summary:
    """What the list shows of a message's content."""

    subject: str
    sender: Person
    to: tuple[Person, ...]
    snippet: str
    attachments: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that a page shows of a message's content."""

    subject: str
    sender: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    headers: tuple[tuple[str, str], ...]  # decoded, in order
    raw_headers: str
    text: str | None
    html: str | None
    attachments: tuple[Part, ...]
    inline: dict[str, Part]  # Content-ID, without brackets -> part
    parts: tuple[Part, ...] = field(repr=False)

    @property
    def files(self) -> tuple[Part, ...]:
        """The attachments that the HTML does not show by itself."""
        return tuple(part for part in self.attachments if not self.is_inline(part))

    def is_inline(self, part: Part) -> bool:
        """Return whether the HTML refers to the part, whatever its Content-Disposition says."""
        body, name = self.html or "", part.content_id
        return bool(name) and (f"cid:{name}" in body or f"cid:{quote(name)}" in body)

    def summary(self) -> Summary:
        """Return the little that the list shows."""
        snippet = " ".join((self.text or "")[: _SNIPPET_CHARACTERS * 4].split())[:_SNIPPET_CHARACTERS]
        return Summary(self.subject, self.sender, self.to + self.cc, snippet, len(self.files))


def readable_size(octets: int) -> str:
    """Return a size as people write it: `870 B`, `12.4 KB`, `3.1 MB`."""
    if octets < 1000:  # noqa: PLR2004 - the next unit
        return f"{octets} B"
    size = octets / 1000
    return f"{size:.1f} KB" if size < 1000 else f"{size / 1000:.1f} MB"  # noqa: PLR2004 - the next unit


def read(raw: bytes) -> Reading:
    """Take a message apart."""
    message: Message = _attempt(lambda: message_from_bytes(raw, policy=default), EmailMessage())
    parts = tuple(_part(number, leaf) for number, leaf in enumerate(_leaves(message)))
    text, html = _first(parts, "text/plain"), _first(parts, "text/html")
    if text is None and html is None and len(parts) == 1 and parts[0].content_type.startswith("multipart/"):
        text = parts[0]  # a multipart whose boundary is missing: its source is all there is
    bodies = {part.number for part in (text, html) if part is not None}
    return Reading(
        subject=_header(message, "Subject"),
        sender=next(iter(_people(message, "From")), Person("", "")),
        to=_people(message, "To"),
        cc=_people(message, "Cc"),
        reply_to=_people(message, "Reply-To"),
        headers=tuple((name, _decoded(name, value)) for name, value in _raw_items(message)),
        raw_headers=_header_section(raw),
        text=text.text if text is not None else None,
        html=html.text if html is not None else None,
        attachments=tuple(part for part in parts if part.number not in bodies),
        inline={part.content_id: part for part in parts if part.content_id},
        parts=parts,
    )


def _attempt(read_it: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return read_it()
    except Exception:  # noqa: BLE001 - the parser raises nearly anything on broken mail, and it must be shown
        return otherwise


def _leaves(message: Message) -> Iterator[Message]:
    """Walk the parts that hold content; a forwarded message is one part, and is not opened."""
    found = 0
    waiting = [(message, 0)]
    while waiting and found < _MOST_PARTS:
        part, depth = waiting.pop()
        children = _attempt(partial(_children, part), None) if depth < _DEEPEST else None
        if children:
            waiting += [(child, depth + 1) for child in reversed(children)]
        else:
            found += 1
            yield part


def _children(part: Message) -> list[Message] | None:
    payload = part.get_payload()
    if part.get_content_maintype() != "multipart" or not isinstance(payload, list):
        return None
    return [child for child in payload if isinstance(child, Message)]


def _part(number: int, leaf: Message) -> Part:
    content_type = _attempt(leaf.get_content_type, "application/octet-stream")
    content = _attempt(lambda: _content(leaf), b"")
    is_text = content_type.startswith(("text/", "multipart/"))
    return Part(
        number=number,
        content_type=content_type,
        filename=_printable(_attempt(leaf.get_filename, None) or ""),
        content_id=_header(leaf, "Content-ID").strip("<> "),
        is_attachment=_attempt(leaf.get_content_disposition, None) == "attachment",
        content=content,
        text=_text(leaf, content) if is_text else None,
    )


def _content(leaf: Message) -> bytes:
    payload = leaf.get_payload()
    if isinstance(payload, list):  # a forwarded message, or a multipart too deep to open
        return b"".join(child.as_bytes() for child in payload if isinstance(child, Message))
    decoded = leaf.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else str(payload).encode("utf-8", "replace")


def _text(leaf: Message, content: bytes) -> str:
    charset = _attempt(lambda: leaf.get_content_charset("utf-8"), "utf-8")
    if charset == "us-ascii":
        charset = "utf-8"  # the same, and right more often where the header is wrong
    text = _attempt(lambda: content.decode(charset, "replace"), content.decode("utf-8", "replace"))
    return text.replace("\r\n", "\n")


def _first(parts: tuple[Part, ...], content_type: str) -> Part | None:
    fitting = (part for part in parts if part.content_type == content_type and not part.is_attachment)
    return next(fitting, None)


def _raw_items(message: Message) -> list[tuple[str, str]]:
    """Return the headers as they came, folded, with UTF-8 for what is not ASCII."""
    return [(_printable(name), _as_utf8(str(value))) for name, value in message.raw_items()]


def _as_utf8(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decoded(name: str, value: str) -> str:
    return _attempt(lambda: _printable(str(default.header_fetch_parse(name, value))), _printable(value))


def _header(message: Message, wanted: str) -> str:
    return next(
        (_decoded(name, value) for name, value in _raw_items(message) if name.lower() == wanted.lower()), ""
    )


def _people(message: Message, wanted: str) -> tuple[Person, ...]:
    values = [value for name, value in _raw_items(message) if name.lower() == wanted.lower()]
    return tuple(person for value in values for person in _addresses(wanted, value))


def _addresses(name: str, value: str) -> list[Person]:
    def by_the_book() -> list[tuple[str, str]]:
        header = default.header_fetch_parse(name, value)
        return [(each.display_name, each.addr_spec) for each in header.addresses]

    def by_the_rule_of_thumb() -> list[tuple[str, str]]:
        return getaddresses([" ".join(value.split())])

    nothing: list[tuple[str, str]] = []
    found = _attempt(by_the_book, nothing) or _attempt(by_the_rule_of_thumb, nothing) or [(value, "")]
    return [Person(_printable(display), _printable(address)) for display, address in found]


def _printable(text: str) -> str:
    """Return the text in one line, without control characters."""
    one_line = " ".join(_as_utf8(text).split())
    return "".join(character if character.isprintable() else "\ufffd" for character in one_line)


def _header_section(raw: bytes) -> str:
    head, _, _ = raw.partition(b"\r\n\r\n")
    return head.decode("utf-8", "replace").replace("\r\n", "\n")
