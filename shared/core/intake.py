"""
From what stood on the queue to a message: base64 or plain, JSON read strictly, every problem at once.

Bad input of any kind ends in a ``MessageError``, whatever bytes an app puts there; nothing else comes out of
here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import ValidationError

from shared.core.address import CONTROL
from shared.core.field_types import ID, blob_path
from shared.core.message import NO_RECIPIENT, Message, MessageFields, content_hash, contradictions
from shared.core.timetable import moment
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

# What a claim check may bring: 35 MiB of files are 47 MiB of base64, and Exchange takes up to 150 MB where
# somebody raised it.
LARGEST_PAYLOAD_BYTES = 220_000_000
_BOM = b"\xef\xbb\xbf"
# What a queue message holds, and a property of the table in which a message waits as it came.
LARGEST_BODY_BYTES = 65_536
# What is said about a message must fit into a property of a table: 32 Ki UTF-16 units.
_MOST_PROBLEMS = 100
_LONGEST_PATH = 100
_TOO_DEEP = "message: its JSON is nested too deeply"
_SURROGATE = re.compile("[\ud800-\udfff]")
# A queue message travels as XML 1.0, which has no way to write these (§2.2, Char).
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits in the ledger under ``id`` and is due: what Sendoff itself puts on the outbox."""

    id: str


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """A message that was too large for the queue: it lies in the container mail-payloads."""

    blob: str


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an app that has only the queue asks: take a message back, or, with a ``send_at``, move it."""

    id: str
    send_at: datetime | None


@dataclass(frozen=True, slots=True)
class Call:
    """A call to serve the line of ``sender``: what Sendoff itself puts on the outbox."""

    sender: str


def call_body(sender: str) -> str:
    """Return what stands on the outbox to have a sender's line served."""
    return json.dumps({"action": "serve", "sender": sender})


def waiting_body(message_id: str) -> str:
    """Return what stands on the outbox for a message that waits in the ledger."""
    return json.dumps({"action": "send", "id": message_id})


def with_id(body: bytes, message_id: str) -> str:
    """
    Return ``body`` as text for the queue.

    ``message_id`` goes in where it is an object that has no id of its own. Nothing else of it changes, for
    what is wrong with it is still to be found; what a queue cannot carry as it is goes as base64.
    """
    plain = _plain(body)
    try:
        value = json.loads(plain.decode())
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and "id" not in value and "blob" not in value:
        named = f'{{"id": {json.dumps(message_id)}{", " if value else ""}'.encode()
        plain = named + plain[1:].lstrip()
    text = plain.decode(errors="surrogateescape")
    text = base64.b64encode(plain).decode() if _NOT_IN_XML.search(text) else text
    # With an id it may have grown beyond what a queue takes; it fitted as it came.
    return text if len(text.encode()) <= LARGEST_BODY_BYTES else body.decode()


def read(body: bytes, *, fallback_id: str) -> Message | Waiting | ClaimCheck | Call | Amendment:
    """
    Read what stood on the outbox: UTF-8 JSON, plain or base64.

    Raises ``MessageError`` with every problem, each as ``field: what is wrong``.
    """
    value = _json(_plain(body))
    if "action" in value:
        return _action(value)
    if value.get("blob") is not None:
        return _claim_check(value)
    return _message(value, fallback_id)


def read_payload(body: bytes, *, fallback_id: str) -> Message:
    """Read what a claim check pointed to: a message, and no further claim check."""
    return _message(_json(body.removeprefix(_BOM).strip()), fallback_id)


def fetch(check: ClaimCheck, get: Callable[..., bytes | None], *, fallback_id: str) -> Message:
    """
    Read a message that was too large for the queue.

    ``get(path, limit=…)`` gives a blob or None, and raises ``ValueError`` for a larger one.
    """
    try:
        body = get(check.blob, limit=LARGEST_PAYLOAD_BYTES)
    except ValueError as error:
        raise MessageError((f"blob: {error}",)) from None
    if body is None:
        raise MessageError((f"blob: there is no {check.blob} in the container mail-payloads",))
    return read_payload(body, fallback_id=fallback_id)


def posted(body: bytes) -> dict[str, Any]:
    """Return the object that came over HTTP; raises ``MessageError``."""
    return _json(body.removeprefix(_BOM).strip())


def read_posted(body: bytes, *, key: str, fallback_id: str) -> Message:
    """
    Read what came over HTTP: a message, and nothing that means something on the queue alone.

    ``key`` is an id given beside it, "" for none; the two must not differ.
    """
    value = posted(body)
    for name, instead in (
        ("action", "use DELETE or PATCH on /messages/{id}"),
        ("blob", "post the message itself"),
    ):
        if name in value:
            raise MessageError((f"{name}: it is for the queue; {instead}",))
    if key and not ID.fullmatch(key):
        raise MessageError(("Idempotency-Key: must be 1 to 256 of A–Z a–z 0–9 . _ : @ -",))
    if key and value.get("id") not in (None, key):
        raise MessageError(("id: it differs from the header Idempotency-Key; give one of them",))
    return _message({**value, "id": key} if key else value, fallback_id)


def read_value(value: dict[str, Any]) -> Message:
    """Read a message that is part of something else; raises ``MessageError`` with every problem."""
    return _message(value, "")


def _message(value: dict[str, Any], fallback_id: str) -> Message:
    try:
        fields = MessageFields.model_validate(value)
    except ValidationError as error:
        raise MessageError(_problems(error, value), message_id=_readable_id(value)) from None
    if problems := tuple(contradictions(fields)):
        raise MessageError(problems, message_id=_readable_id(value))
    try:
        return Message(fields.id or fallback_id, fields, content_hash(fields))
    except RecursionError:
        raise MessageError((_TOO_DEEP,), message_id=_readable_id(value)) from None


def _plain(body: bytes) -> bytes:
    """Undo base64 where an SDK put it there: JSON never begins with one of its letters."""
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] in (b"{", b"[", b""):
        return text
    try:
        decoded = base64.b64decode(b"".join(text.split()), validate=True)  # some tools fold it
    except (binascii.Error, ValueError):
        return text
    return decoded.removeprefix(b"\xef\xbb\xbf").strip()


def _json(text: bytes) -> dict[str, Any]:
    if not text:
        raise MessageError(("message: it is empty; put a JSON object on the queue",))
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise MessageError(("message: it is not UTF-8 text",)) from None
    try:
        value = json.loads(decoded, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except _DuplicateFieldError as error:
        raise MessageError((f"{error.field}: it is there twice",)) from None
    except RecursionError:
        raise MessageError((_TOO_DEEP,)) from None
    except ValueError as error:
        raise MessageError((f"message: it is not valid JSON: {_where(error)}",)) from None
    if not isinstance(value, dict):
        raise MessageError(("message: it is not a JSON object; put one message in each queue message",))
    return cast("dict[str, Any]", value)


class _DuplicateFieldError(ValueError):
    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field[:_LONGEST_PATH] if field.isidentifier() else "message"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for given, item in pairs:
        name = _SURROGATE.sub("\ufffd", given)  # half a character, which nothing after this can carry
        if name in value:
            raise _DuplicateFieldError(name)
        value[name] = item
    return value


def _no_constant(name: str) -> Literal[0]:
    raise ValueError(f"{name} is not a JSON number")


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        said = f"{error.msg[:1].lower()}{error.msg[1:]}".removesuffix(" at")
        return f"{said} at line {error.lineno}, column {error.colno}"
    return "a number in it is too long" if "digits" in str(error) else str(error)


def _action(value: dict[str, Any]) -> Waiting | Call | Amendment:
    """Read what is to be done about a message; apps cancel and reschedule, the others are our own."""
    action, message_id = value["action"], _readable_id(value)
    if action == "send" and set(value) == {"action", "id"} and message_id:
        return Waiting(message_id)
    if action == "serve" and set(value) == {"action", "sender"} and isinstance(value["sender"], str):
        return Call(value["sender"])
    # What is wrong with it is recorded under an id of its own: the message of that id is not to blame.
    if action not in ("cancel", "reschedule"):
        raise MessageError((f"action: {_quoted(action)} is none; there are cancel and reschedule",))
    wanted = {"action", "id"} | ({"send_at"} if action == "reschedule" else set())
    problems = [f"{_named(name)}: is not a field of {action}" for name in value if name not in wanted]
    problems += [f"{name}: is required" for name in sorted(wanted - set(value))]
    if "id" in value and not message_id:
        problems.append("id: must be 1 to 256 of A–Z a–z 0–9 . _ : @ -")
    send_at = None
    if action == "reschedule" and "send_at" in value:
        try:
            send_at = moment(value["send_at"]) if isinstance(value["send_at"], str) else None
        except ValueError as error:
            problems.append(f"send_at: {error}")
        else:
            if send_at is None:
                problems.append("send_at: is not a string")
    if problems:
        raise MessageError(tuple(problems[:_MOST_PROBLEMS]))
    return Amendment(message_id, send_at)


def _quoted(value: object) -> str:
    return f'"{_named(value)}"' if isinstance(value, str) else "what is no string"


def _named(name: str) -> str:
    """Return what an app wrote, fit for a line."""
    return CONTROL.sub("?", name[:_LONGEST_PATH]).replace("\ufffd", "?")


def _claim_check(value: dict[str, Any]) -> ClaimCheck:
    path = value["blob"]
    if len(value) > 1:
        raise MessageError(
            ("blob: it stands alone; the message itself lies in the blob",), message_id=_readable_id(value)
        )
    if not isinstance(path, str):
        raise MessageError(("blob: is not a string",))
    try:
        return ClaimCheck(blob_path(path))
    except ValueError as error:
        raise MessageError((f"blob: {error}",)) from None


def _readable_id(value: dict[str, Any]) -> str:
    message_id = value.get("id")
    return message_id if isinstance(message_id, str) and ID.fullmatch(message_id) else ""


_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of a message",
    "string_type": "is not a string",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "list_type": "is not a list",
    "int_type": "is not a whole number",
    "bool_type": "is not true or false",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "string_unicode": "contains half a surrogate pair, which is no character",
}


def _problems(error: ValidationError, value: dict[str, Any]) -> tuple[str, ...]:
    """Every problem of a message, with what only the whole of it can lack."""
    if any(value.get(name) for name in ("to", "cc", "bcc", "raw", "raw_blob")):
        return problems_of(error)
    return (*problems_of(error), NO_RECIPIENT)[:_MOST_PROBLEMS]


def problems_of(error: ValidationError) -> tuple[str, ...]:
    """Every problem as ``field: what is wrong``, with a path such as ``attachments[0].content``."""
    found = error.errors(include_url=False)
    # A list of which every entry is wrong is not empty besides.
    inside = {problem["loc"][:depth] for problem in found for depth in range(len(problem["loc"]))}
    told = [each for each in found if each["type"] != "too_short" or each["loc"] not in inside]
    problems = list(dict.fromkeys(_sentence(problem) for problem in told))
    if (more := len(problems) - _MOST_PROBLEMS) > 0:
        problems[_MOST_PROBLEMS:] = [f"message: {more} more problems"]
    return tuple(problems)


def _sentence(problem: Any) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    # Pydantic marks a dictionary's bad key as a part of the path of its own.
    parts = [part for part in problem["loc"] if part != "[key]"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    if kind == "value_error":
        said = str(context["error"])
    elif kind in ("string_too_long", "too_long") and isinstance(problem["input"], str):
        said = f"is longer than {context['max_length']} characters"
    elif kind == "too_long":
        said = f"has more than {context['max_length']} entries"
    elif kind == "string_pattern_mismatch" and path == "id":
        said = "must be 1 to 256 of A–Z a–z 0–9 . _ : @ -"
    elif kind == "string_pattern_mismatch":
        said = "is not a Message-ID such as <4711@contoso.com>"
    elif kind == "literal_error":
        said = f"must be {context['expected']}"
    else:
        said = _SENTENCES.get(kind) or problem["msg"]
    # An app's own field name is as untrusted as its value.
    path = CONTROL.sub("?", path[:_LONGEST_PATH]).replace("\ufffd", "?")
    return f"{path or repr(path)}: {said}"  # a field's name can be empty, too
