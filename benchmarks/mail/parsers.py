"""
Three parsers that are not ours, each giving a ``Reading``.

The standard library's ``email``; ``mail-parser``, which many security tools read mail with; and Node's
``mailparser``, which the JavaScript world does.
"""

from __future__ import annotations

import base64
import contextlib
import email
import json
import re
import subprocess
import tempfile
import unicodedata
from dataclasses import fields, replace
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import mailparser  # type: ignore[import-untyped]  # it has no types
from mailparser.utils import decode_header_part  # type: ignore[import-untyped]  # as above

from benchmarks.mail.reading import File, Reading, file
from local import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NODE_FOLDER = environment.MAILPARSER.folder
_NODE_SCRIPT = environment.MAILPARSER.source / "parse.mjs"
_BETWEEN_ENCODED_WORDS = re.compile(r"\?=\s+=\?")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class Parser(Protocol):
    """Takes a message apart."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def read(self, raw: bytes) -> Reading:
        """Return what is in a message."""
        ...

    def comparable(self, reading: Reading) -> Reading:
        """Return a reading without what this parser cannot tell apart."""
        ...


class StandardLibrary:
    """``email`` with its modern policy."""

    name = "standard library"

    def read(self, raw: bytes) -> Reading:
        """Return what is in a message."""
        parsed = email.message_from_bytes(raw, policy=default)
        texts, files = _parts(parsed)
        return Reading(
            sender=_people(parsed, "from"),
            to=_people(parsed, "to"),
            cc=_people(parsed, "cc"),
            reply_to=_people(parsed, "reply-to"),
            subject=str(parsed["Subject"] or ""),
            text=texts.get("plain"),
            html=texts.get("html"),
            files=tuple(files),
            message_id=str(parsed["Message-ID"] or ""),
            in_reply_to=tuple(str(parsed["In-Reply-To"] or "").split()),
            references=tuple(str(parsed["References"] or "").split()),
            headers=_grouped((name, str(value)) for name, value in parsed.items()),
        )

    def comparable(self, reading: Reading) -> Reading:
        """Return it as it is: this parser tells everything apart."""
        return reading


class MailParser:
    """PyPI's ``mail-parser``."""

    name = "mail-parser"

    def read(self, raw: bytes) -> Reading:
        """Return what is in a message."""
        parsed = mailparser.parse_from_bytes(raw)
        headers = {
            name.lower(): tuple(
                _unfolded(str(one)) for one in (value if isinstance(value, list) else [value])
            )
            for name, value in parsed.headers.items()
        }
        return Reading(
            sender=tuple(parsed.from_),
            to=_without_group(parsed.to),
            cc=tuple(parsed.cc),
            reply_to=tuple(parsed.reply_to),
            subject=_unfolded(parsed.subject),
            text="".join(parsed.text_plain) if parsed.text_plain else None,
            html="".join(parsed.text_html) if parsed.text_html else None,
            files=tuple(
                file(
                    found["filename"],
                    base64.b64decode(found["payload"]),
                    media_type=found["mail_content_type"],
                    content_id=found["content-id"].strip("<>"),
                    inline=found["content-disposition"].startswith("inline"),
                )
                for found in parsed.attachments
            ),
            message_id=parsed.message_id,
            in_reply_to=tuple(parsed.in_reply_to.split()),
            references=tuple(parsed.references.split()),
            headers=headers,
        )

    def comparable(self, reading: Reading) -> Reading:
        """
        Return it in Unicode's composed form (NFC), with file names decoded once more, no spaces at the ends.

        mail-parser does all of it to whatever it reads: its ``sanitize`` and ``decode_header_part``. A part
        without text is no part to it.
        """
        changed = {part.name: _composed(getattr(reading, part.name)) for part in fields(Reading)}
        for name in ("text", "html"):
            changed[name] = (changed[name] or "").rstrip("\r\n") or None
        changed["subject"] = changed["subject"].strip()
        changed["files"] = tuple(
            replace(one, filename=_composed(decode_header_part(one.filename))) for one in reading.files
        )
        return Reading(**changed)


class NodeMailparser:
    """npm's ``mailparser``, in one Node process that reads message after message."""

    name = "Node mailparser"

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._path = folder / "message.eml"

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[NodeMailparser]:
        """Start it and end it."""
        command = [str(environment.node()), str(_NODE_SCRIPT)]
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(
                command, cwd=_NODE_FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
            with process:  # closing its standard input ends it
                yield cls(process, Path(folder))

    def read(self, raw: bytes) -> Reading:
        """Return what is in a message."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("Node was started without its pipes")
        self._path.write_bytes(raw)
        self._process.stdin.write(f"{self._path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("Node's mailparser ended; what it said stands above")
        found = json.loads(line)
        people = {
            name: tuple((shown, address) for shown, address in found[name])
            for name in ("sender", "to", "cc", "reply_to")
        }
        return Reading(
            **people,
            subject=found["subject"],
            text=found["text"],
            html=found["html"],
            files=tuple(File(**one) for one in found["files"]),
            message_id=found["message_id"],
            in_reply_to=tuple(word for value in found["in_reply_to"] for word in value.split()),
            references=tuple(word for value in found["references"] for word in value.split()),
            headers={name: tuple(values) for name, values in found["headers"].items()},
        )

    def comparable(self, reading: Reading) -> Reading:
        """Return it as it is: this parser tells everything apart."""
        return reading


def _people(parsed: EmailMessage, field: str) -> tuple[tuple[str, str], ...]:
    # White space between two encoded words is part of neither (RFC 2047 §6.2). The standard library knows
    # that of a subject and forgets it in a name: https://github.com/python/cpython/issues/128110.
    values = [
        _BETWEEN_ENCODED_WORDS.sub("?==?", value.encode(errors="surrogateescape").decode())
        for name, value in parsed.raw_items()
        if name.lower() == field
    ]
    return tuple(
        (address.display_name, address.addr_spec)
        for value in values
        for address in default.header_factory(field, _FOLD.sub("", value)).addresses
    )


def _composed(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, tuple):
        return tuple(_composed(one) for one in value)
    if isinstance(value, dict):
        return {name: _composed(one) for name, one in value.items()}
    return value


def _unfolded(value: str) -> str:
    """Take out the line ends that mail-parser leaves where a field was folded (RFC 5322 §2.2.3)."""
    return _FOLD.sub("", value)


def _without_group(people: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, address) for name, address in people if address)


def _parts(parsed: EmailMessage) -> tuple[dict[str, str], list[File]]:
    texts: dict[str, str] = {}
    files = []
    for part in parsed.walk():
        if part.is_multipart() or not isinstance(part, EmailMessage):
            continue
        name, content = part.get_filename(), part.get_payload(decode=True)
        if not isinstance(content, bytes):
            raise TypeError(f"a part without content: {part.get_content_type()}")
        if name is None:
            charset = part.get_content_charset("us-ascii")
            texts.setdefault(part.get_content_subtype(), content.decode(charset))
        else:
            files.append(
                file(
                    name,
                    content,
                    media_type=part.get_content_type(),
                    content_id=str(part["Content-ID"] or "").strip("<>"),
                    inline=part.get_content_disposition() == "inline",
                )
            )
    return texts, files


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name.lower()] = (*found.get(name.lower(), ()), value)
    return found
