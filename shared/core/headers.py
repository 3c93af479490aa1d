"""
Header fields as the strictest receivers want them: ASCII, folded, at most 76 octets a line where that can be.

Written here because the standard library's folding of long address lists puts an encoded comma between
addresses, which no receiver reads as a list. Words outside ASCII are RFC 2047 encoded words, parameters RFC
2231.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.core.address import Address

# RFC 2047 §2: octets of a line that holds an encoded word. For the others RFC 5322 §2.1.1 would allow two
# more; 998 is what none may exceed.
LINE = 76
# RFC 2047 §2 allows 75; one must also fit on the line of the longest name it can follow.
_ENCODED_WORD = LINE - len("Reply-To: ")
_ROOM = _ENCODED_WORD - len("=?utf-8?b?" + "?=")

_ATOM_TEXT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+^_`{|}~.-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_SPACE = 0x20
# RFC 2047 §5 (3): what may stand as it is in a Q-encoded word inside a phrase.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


def unstructured(name: str, value: str) -> bytes:
    """Return a field of free text, such as Subject."""
    # A space at either end is encoded, too: the white space around a value belongs to no value.
    if _PRINTABLE.fullmatch(value) and "=?" not in value and value == value.strip(" "):
        words = re.findall(r" *[^ ]+", value) or [value]
        # A word that no line can hold (998 octets) must be encoded, for it cannot be folded.
        if all(len(word) < 900 for word in words):  # noqa: PLR2004 - 998 less a name
            return _fold(f"{name}:", [f" {words[0]}", *words[1:]])
    return _fold(f"{name}:", [f" {word}" for word in encoded_words(value)])


def addresses(name: str, several: Iterable[Address], *, utf8: bool = False) -> bytes:
    """Return a field that lists mailboxes; with ``utf8`` (SMTPUTF8) they stand as they are."""
    written = [_mailbox(address, utf8=utf8) for address in several]
    parts: list[str] = []
    for number, words in enumerate(written):
        comma = "," if number + 1 < len(written) else ""
        parts += [f" {word}" for word in words[:-1]]
        parts.append(f" {words[-1]}{comma}")
    return _fold(f"{name}:", parts)


def structured(name: str, value: str, parameters: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return a field such as Content-Type: a token and its parameters (RFC 2045, RFC 2231)."""
    parts = [f" {value}"]
    for key, text in parameters:
        for written in _parameter(key, text):
            parts[-1] += ";"
            parts.append(f" {written}")
    return _fold(f"{name}:", parts)


def words(name: str, several: Iterable[str]) -> bytes:
    """Return a field of ASCII words that stand apart, such as References."""
    return _fold(f"{name}:", [f" {word}" for word in several])


def encoded_words(text: str) -> list[str]:
    """
    Return ``text`` as RFC 2047 encoded words, each whole in its characters, in B or Q, whichever is shorter.
    """
    return [_shorter(chunk) for chunk in _chunks(text)]


def _chunks(text: str) -> Iterator[bytes]:
    """Cut between characters, so that each word can be decoded alone (RFC 2047 §5)."""
    chunk, quoted = b"", 0
    for character in text:
        octets = character.encode()
        length = _q_length(octets)
        if chunk and not _fits(len(chunk) + len(octets), quoted + length):
            yield chunk
            chunk, quoted = b"", 0
        chunk += octets
        quoted += length
    yield chunk


def _fits(octets: int, quoted: int) -> bool:
    """Whether so many octets, or as many as they are in Q, make one encoded word."""
    return (octets + 2) // 3 * 4 <= _ROOM or quoted <= _ROOM


def _q_length(octets: bytes) -> int:
    return sum(1 if octet in _Q_SAFE or octet == _SPACE else 3 for octet in octets)


def _shorter(octets: bytes) -> str:
    encoded = binascii.b2a_base64(octets, newline=False).decode()
    if _q_length(octets) >= len(encoded):
        return f"=?utf-8?b?{encoded}?="
    letters = (
        "_" if octet == _SPACE else chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in octets
    )
    return f"=?utf-8?q?{''.join(letters)}?="


def _mailbox(address: Address, *, utf8: bool) -> list[str]:
    """Return the words of one mailbox, between which a line may be folded."""
    name = address.display_name
    if not name:
        return [address.addr_spec]
    route = f"<{address.addr_spec}>"
    # RFC 6532 has letters stand as they are; a name longer than a line cannot be folded, so it is encoded.
    as_it_is = utf8 and len(name.encode()) < LINE
    # What looks like an encoded word is encoded, or it would be decoded to something else.
    if "=?" not in name and (as_it_is or _PRINTABLE.fullmatch(name)):
        plain = _ATOM_TEXT.fullmatch(name) and name == " ".join(name.split())
        return [*name.split(" "), route] if plain else [_quoted(name), route]
    return [*encoded_words(name), route]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parameter(key: str, text: str) -> list[str]:
    if _TOKEN.fullmatch(text) and len(text) < LINE - len(key) - 4:
        return [f"{key}={text}"]
    # Many receivers decode what looks like an encoded word even in quotes, where RFC 2047 §5 forbids it.
    if _PRINTABLE.fullmatch(text) and "=?" not in text and len(_quoted(text)) < LINE - len(key) - 4:
        return [f"{key}={_quoted(text)}"]
    room = LINE - len(key) - len(" *00*=utf-8'';")
    pieces = _percent_encoded(text, room)
    if len(pieces) == 1:
        return [f"{key}*=utf-8''{pieces[0]}"]
    first, *rest = pieces
    return [
        f"{key}*0*=utf-8''{first}",
        *(f"{key}*{number}*={piece}" for number, piece in enumerate(rest, start=1)),
    ]


def _percent_encoded(text: str, room: int) -> list[str]:
    """Encode as RFC 2231 §4 says, in pieces that are cut between characters."""
    pieces = [""]
    for character in text:
        encoded = quote(character, safe="!#$&+^_`{|}~.-")
        if len(pieces[-1]) + len(encoded) > room:
            pieces.append("")
        pieces[-1] += encoded
    return pieces


def _fold(name: str, parts: Iterable[str]) -> bytes:
    """Lay parts, each with the white space before it, on lines of ``LINE`` octets where that can be."""
    lines: list[str] = []
    line = name
    for part in parts:
        if len((line + part).encode()) > LINE and line.strip() and line != name:
            lines.append(line)
            line = part
        else:
            line += part
    lines.append(line)
    return "\r\n".join(lines).encode() + b"\r\n"
