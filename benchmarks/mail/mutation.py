"""
Input that no app means to send: real messages with something wrong in them, and bytes from nowhere.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

from benchmarks.mail import scripts
from benchmarks.mail.asks import asks
from shared.core.message import MessageFields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

_LONGEST = 64 * 1024  # octets that a queue message holds
_CORPUS_SEED = 1
_FREE_FIELDS = ("subject", "text", "html")

_HOSTILE_TEXT = (
    "",
    " ",
    "\r\nBcc: mallory@example.com",
    "\nX-Injected: 1",
    "\r.\r\nQUIT\r\n",
    "\0",
    "\x85\u2028\u2029",
    "\ud800",
    "\udc80\udcff",
    "\U0010ffff\ufffe",
    "=?utf-8?q?=0D=0AX-Injected:_1?=",
    "=?utf-8?b?" + "A" * 500 + "?=",
    "../../../etc/passwd",
    "a\\..\\b",
    "https://example.com/x",
    "a@b@c <d@e>, f@g",
    '"' * 500,
    "\\" * 501 + '"',
    "<" * 300 + ">" * 300,
    "(" * 2000,
    "a" * 5000 + "@example.com",
    "ada@" + "a." * 120 + "example",
    "ada@" + "xn--" + "a" * 60 + ".example",
    "ada@\u0130\u200d\u0301.example",
    "x" * 20_000,
    "<p>" * 4000,
    "<!--" * 2000,
    "<table><tr><td>" * 400,
    "&" * 5000 + "&#x110000;",
    "<?xml version='1.0' encoding='utf-16'?><p>",
    "{{ 7 * 7 }}{% for x in range(10**9) %}",
    "%0d%0aX-Injected: 1",
    "boundary=--=_",
    "--=_",
    "\u202e\u200b\u0300" * 300,
    "é" * 998,
    "😀" * 333,
    "charset=\"; name*0*=''%00",
    "text/plain; charset=utf-8\r\n",
    "2026-11-24T08:00:00",
)
_HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e308,
    [],
    {},
    [[]],
    [None],
    {"": ""},
    ["ada@example.com"] * 600,
    {"a": {"b": {"c": [1, 2, 3]}}},
    [{"filename": "a", "content": ""}] * 300,
)
_WHOLE = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'{"to":' * 3000,
    b"[" * 60_000,
    b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"to": "a@example.com", "to": "b@example.com"}',
    b'{"to": "ada@example.com", "x": ' + b"9" * 5000 + b"}",
    b'{"to": "ada@example.com", "data": NaN}',
    b'{"to": "\\ud800@example.com"}',
    b'{"action": "send", "id": "x"}',
    b'{"action": "send"}',
    b'{"action": ["send"], "id": {}}',
    b'{"blob": "../secrets"}',
    b'{"blob": "a.json", "id": "x"}',
    b'{"blob": {}}',
)


def inputs(chance: Random, count: int) -> Iterator[bytes]:
    """Give ``count`` inputs, none longer than a queue message may be."""
    corpus = [*_WHOLE, *(ask.body for ask in asks(_CORPUS_SEED, 160) if len(ask.body) < _LONGEST)]
    ways: tuple[Callable[[Random, list[bytes]], bytes], ...] = (
        _changed_bytes,
        _changed_fields,
        _changed_fields,
        _legal,
        _legal,
        _legal,
        _made_up,
        _spliced,
        _encoded,
        _noise,
    )
    for number in range(count):
        # What is only as it is comes first, each once.
        body = corpus[number] if number < len(corpus) else chance.choice(ways)(chance, corpus)
        yield body[:_LONGEST]


def _changed_bytes(chance: Random, corpus: list[bytes]) -> bytes:
    body = bytearray(chance.choice(corpus))
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body[at : at + 1] = chance.randbytes(1)
            case 1:
                del body[at : at + chance.randrange(1, 40)]
            case 2:
                body[at:at] = chance.choice(
                    (b'"', b"\\", b"{", b"]", b",", b"\0", b"\r\n", b"\xff", b"\\u0000")
                )
            case _:
                end = at + chance.randrange(1, 200)
                body[at:at] = body[at:end]
    return bytes(body)


def _changed_fields(chance: Random, corpus: list[bytes]) -> bytes:
    value = json.loads(chance.choice(corpus[len(_WHOLE) :]))
    for _ in range(chance.randrange(1, 4)):
        _change(chance, value)
    return _dumped(chance, value)


def _change(chance: Random, value: dict[str, Any]) -> None:
    """Change one thing somewhere in a message."""
    place: Any = value
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and _mostly(chance):
            place = place[key]
            continue
        break
    if isinstance(place, dict) and _seldom(chance):
        place[_text(chance)] = place.pop(key)
    elif isinstance(place[key], str) and _mostly(chance):
        at = chance.randrange(len(place[key]) + 1)
        place[key] = chance.choice((_text(chance), place[key][:at] + _text(chance) + place[key][at:]))
    else:
        place[key] = copy.deepcopy(chance.choice(_HOSTILE_VALUES))


def _legal(chance: Random, corpus: list[bytes]) -> bytes:
    """Change what an app may write as it likes, to something that is hostile and yet allowed."""
    value = json.loads(chance.choice(corpus[len(_WHOLE) :]))
    if "raw" in value or "raw_blob" in value:
        return _made_up(chance, corpus)
    for name in _FREE_FIELDS:
        if name in value and _half(chance):
            value[name] = "".join(_text(chance) for _ in range(chance.randrange(4)))
            value[name] = value[name].encode(errors="replace").decode().replace("\0", "")
    if "subject" in value:
        value["subject"] = _printable(value["subject"])[: chance.randrange(400)]
    for attachment in value.get("attachments", []):
        attachment["filename"] = (_printable(_text(chance)) or "x")[:200]
    value["metadata"] = {
        f"key{number}": _printable(_text(chance))[:500] for number in range(chance.randrange(3))
    }
    name = _printable(_text(chance))[:200].replace("\\", "").replace('"', "")
    value["cc"] = [f'"{name}" <ada@example.com>']
    if "headers" in value:
        value["headers"]["X-Hostile"] = _printable(_text(chance))
    if "data" in value:
        value["data"] = {"title": _text(chance), "lines": [_text(chance)] * 3, "count": _text(chance)}
    return _dumped(chance, value)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _made_up(chance: Random, corpus: list[bytes]) -> bytes:
    """Make a message of any fields with any values."""
    del corpus
    names = [info.alias or name for name, info in MessageFields.model_fields.items()]
    value: dict[str, Any] = {"to": "ada@example.com"} if _mostly(chance) else {}
    for name in chance.sample(names, chance.randrange(1, 8)):
        value[name] = _text(chance) if _mostly(chance) else chance.choice(_HOSTILE_VALUES)
    if _seldom(chance):
        head = f"From: noreply@contoso.com\nTo: ada@example.com\n{_text(chance)}: {_text(chance)}\n"
        octets = f"{head}\n{_text(chance)}".encode(errors="surrogatepass")
        whole = _changed_bytes(chance, [octets]) if _half(chance) else octets
        value = {"raw": base64.b64encode(whole).decode()}
    return _dumped(chance, value)


def _spliced(chance: Random, corpus: list[bytes]) -> bytes:
    one, other = chance.choice(corpus), chance.choice(corpus)
    return one[: chance.randrange(len(one) + 1)] + other[chance.randrange(len(other) + 1) :]


def _encoded(chance: Random, corpus: list[bytes]) -> bytes:
    body = base64.b64encode(chance.choice((_changed_bytes, _changed_fields))(chance, corpus))
    return chance.choice((body, body[:-1], body.replace(b"A", b"A\n", 5), b"\xef\xbb\xbf" + body, body[::-1]))


def _noise(chance: Random, corpus: list[bytes]) -> bytes:
    del corpus
    return chance.randbytes(chance.randrange(200))


def _text(chance: Random) -> str:
    return chance.choice(
        (
            chance.choice(_HOSTILE_TEXT),
            chance.choice(_HOSTILE_TEXT),
            chance.choice(scripts.SENTENCES),
            "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(20))),
        )
    )


def _mostly(chance: Random) -> bool:
    return chance.randrange(4) > 0


def _half(chance: Random) -> bool:
    return chance.randrange(2) > 0


def _seldom(chance: Random) -> bool:
    return chance.randrange(6) == 0


def _dumped(chance: Random, value: Any) -> bytes:
    if _half(chance):
        return json.dumps(value).encode()
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
