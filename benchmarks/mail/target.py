"""
One input carried from the queue to the octets of a mail, with what must hold of each.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from typing import TYPE_CHECKING

from benchmarks.mail.asks import TEMPLATE, asks
from benchmarks.mail.in_memory import compose
from shared.core import intake
from shared.core.intake import Amendment, Call, ClaimCheck, Waiting
from shared.errors import MessageError

if TYPE_CHECKING:
    from shared.core.message import Message

_LONGEST_LINE = 998  # RFC 5322 §2.1.1
_FIELD_NAME = re.compile(rb"^([!-9;-~]+[ \t]*):", re.MULTILINE)
_OUR_FIELDS = frozenset(
    (
        *(
            b"from",
            b"to",
            b"cc",
            b"reply-to",
            b"subject",
            b"date",
            b"message-id",
            b"in-reply-to",
            b"references",
        ),
        *(
            b"mime-version",
            b"content-type",
            b"content-transfer-encoding",
            b"content-disposition",
            b"content-id",
        ),
        b"list-unsubscribe-post",
    )
)
_BLOBS = {path: content for ask in asks(1, 32) for path, content in ask.blobs.items()} | {"a.json": b"{}"}


class BrokenPromiseError(Exception):
    """A mail was made that must not be."""


def carry(body: bytes) -> str:
    """
    Carry one input as far as it goes; returns ``refused``, ``sent`` or ``waiting``.

    Anything that is raised is a finding: nothing but a refusal may come of bad input.
    """
    try:
        found = intake.read(body, fallback_id="queue-id")
        if isinstance(found, Waiting | Call | Amendment):
            return "waiting"
        message = _payload(found) if isinstance(found, ClaimCheck) else found
        composed = compose(message, _BLOBS, TEMPLATE)
    except MessageError as error:
        _check_refusal(error)
        return "refused"
    octets = composed.mime.to_bytes()
    if len(octets) != composed.mime.size:
        raise BrokenPromiseError(f"{len(octets)} octets where {composed.mime.size} were announced")
    _check(message, octets)
    return "sent"


def _payload(check: ClaimCheck) -> Message:
    content = _BLOBS.get(check.blob)
    if content is None:
        raise MessageError((f"blob: there is no {check.blob}",))
    return intake.read_payload(content, fallback_id="queue-id")


def _check_refusal(error: MessageError) -> None:
    for problem in error.problems:
        problem.encode()  # it is written to the ledger: half a surrogate pair could not be
        if ":" not in problem:
            raise BrokenPromiseError("a refusal that names no field")


def _check(message: Message, octets: bytes) -> None:
    lines = octets.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise BrokenPromiseError("a bare CR or LF, or a NUL")
    if max(map(len, lines)) > _LONGEST_LINE:
        raise BrokenPromiseError("a line of more than 998 octets")
    # A raw message has what its author wrote; in any other, each field was asked for or is ours.
    head = octets.partition(b"\r\n\r\n")[0] + b"\r\n"
    names = [name.lower().rstrip() for name in _FIELD_NAME.findall(head)]
    if b"bcc" in names:
        raise BrokenPromiseError("a Bcc that others can see")
    if message.fields.is_raw:
        return
    asked = {name.lower().encode() for name in message.fields.headers}
    if unknown := set(names) - asked - _OUR_FIELDS:
        raise BrokenPromiseError(f"header fields that nobody asked for: {unknown}")
    if message_from_bytes(octets).defects:
        raise BrokenPromiseError("a mail that does not hold together")
