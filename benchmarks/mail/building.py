"""
Builds one message and says what it took: ``python -m benchmarks.mail.building WAY FILE time|memory``.

A process of its own for each, so that no run profits from what another left in memory.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.core import intake, mime
from shared.core.address import parse_address
from shared.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK_BYTES = 1024 * 1024  # as Sendoff reads a blob
_DATE = datetime(2026, 11, 24, 8, tzinfo=UTC)
_MAIL_ID = "<build@contoso.com>"
_TEXT, _HTML = "The report is attached.\n", "<p>The report is attached.</p>\n"


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """A file read in pieces, as a blob is."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                yield chunk


def _sendoff(path: Path, write: Callable[[bytes], Any]) -> None:
    _with_sendoff(_OnDisk(path), write)


def _sendoff_in_memory(path: Path, write: Callable[[bytes], Any]) -> None:
    _with_sendoff(mime.InMemory(path.read_bytes()), write)


def _with_sendoff(source: mime.Source, write: Callable[[bytes], Any]) -> None:
    attachment = {"filename": "report.pdf", "content_type": "application/pdf", "blob": "report.pdf"}
    asked = {"to": "ada@example.com", "text": _TEXT, "html": _HTML, "attachments": [attachment]}
    message = intake.read(json.dumps(asked).encode(), fallback_id="build")
    if not isinstance(message, Message):
        raise TypeError("it is no message")
    built = mime.build(
        message,
        mime.Body("The report", _TEXT, _HTML),
        from_address=parse_address("Contoso <noreply@contoso.com>"),
        mail_id=_MAIL_ID,
        date=_DATE,
        files={"report.pdf": source},
    )
    for piece in built.chunks():
        write(piece)


def _standard_library(path: Path, write: Callable[[bytes], Any]) -> None:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Contoso <noreply@contoso.com>"
    mail["To"] = "ada@example.com"
    mail["Subject"] = "The report"
    mail["Date"] = format_datetime(_DATE)
    mail["Message-ID"] = _MAIL_ID
    mail.set_content(_TEXT)
    mail.add_alternative(_HTML, subtype="html")
    mail.add_attachment(path.read_bytes(), maintype="application", subtype="pdf", filename="report.pdf")
    write(mail.as_bytes())


WAYS: dict[str, Callable[[Path, Callable[[bytes], Any]], None]] = {
    "sendoff": _sendoff,
    "sendoff-in-memory": _sendoff_in_memory,
    "standard-library": _standard_library,
}


def _measured(way: str, path: Path, what: str) -> dict[str, float]:
    """Return octets written, milliseconds, and the peak of memory above what it began with, octets."""
    octets = 0
    with Path(os.devnull).open("wb") as nowhere:

        def write(piece: bytes) -> None:
            nonlocal octets
            octets += len(piece)
            nowhere.write(piece)

        before = _resident("VmRSS")
        if what == "memory":
            tracemalloc.start()
        began = time.perf_counter()
        WAYS[way](path, write)
        milliseconds = (time.perf_counter() - began) * 1000
    traced = tracemalloc.get_traced_memory()[1] if what == "memory" else 0
    resident = _resident("VmHWM") - before
    return {"octets": octets, "milliseconds": milliseconds, "traced": traced, "resident": resident}


def _resident(line: str) -> int:
    """Return this process's resident memory, octets: now (VmRSS) or at its peak (VmHWM)."""
    status = Path("/proc/self/status")
    if status.exists():
        # The kernel's own count for this program; getrusage inherits the peak of whoever started it.
        found = re.search(rf"^{line}:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
