"""
What an app may ask: the JSON on the outbox, read into a ``Message`` or refused with every problem at once.

The fields stand in one place, ``MessageFields``. What a field means is checked there too; what only the
deployment can say (is there such a sender, may it write from this address) is checked where a message meets
its sender, in ``core.sender``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)

from shared.core.address import CONTROL, Address, parse_address
from shared.errors import MessageError

ID = re.compile(r"[A-Za-z0-9._:@-]{1,256}")
# A message waits in the ledger as it came; a table property holds 64 KiB, and so does a queue message.
LARGEST_BODY_BYTES = 65_536
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_LONGEST_SUBJECT = 998  # RFC 5322 §2.1.1 counts octets of a line; longer ones are no subject any more
_LONGEST_FILE_NAME = 255  # what a file system takes
# What is said about a message must fit into a property of a table: 32 Ki UTF-16 units.
_MOST_PROBLEMS = 100
_LONGEST_PATH = 100


def _refuse_controls(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError("contains a line break or another control character")
    return value


def _refuse_surrogates(value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("contains half a surrogate pair, which is no character")
    if "\0" in value:
        raise ValueError("contains a NUL character")
    return value


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise ValueError("is not a string; write an address such as ada@contoso.com")  # noqa: TRY004 - pydantic collects ValueError
    return parse_address(value)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _base64(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("is not a string of base64")  # noqa: TRY004 - pydantic collects ValueError
    try:
        return base64.b64decode(value.translate(_WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64") from error


def _matching(pattern: re.Pattern[str], said: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(said)
        return value

    return AfterValidator(check)


_NO_RECIPIENT = "to: there is no recipient; give at least one address in to, cc or bcc"


def _media_type(value: str) -> str:
    if not _CONTENT_TYPE.fullmatch(value):
        raise ValueError("is not a media type such as application/pdf")
    # RFC 2045 §6.4 and RFC 2046 §5.2.1 forbid base64 for both, and an attachment is base64.
    if value.lower().startswith(("multipart/", "message/")):
        raise ValueError("may not be multipart/… or message/…; use application/octet-stream")
    return value


# A queue message travels as XML 1.0, which has no way to write these (§2.2, Char).
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHITE_SPACE = {ord(character): None for character in "\r\n\t "}

Line = Annotated[str, AfterValidator(_refuse_controls)]
Text = Annotated[str, AfterValidator(_refuse_surrogates)]
OneAddress = Annotated[Address, PlainValidator(_address)]
Addresses = Annotated[tuple[OneAddress, ...], BeforeValidator(_one_or_many)]


class AttachmentFields(BaseModel):
    """A file that travels with the message; with a ``content_id`` it is shown inside the HTML (``cid:``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    filename: Annotated[Line, Field(min_length=1, max_length=_LONGEST_FILE_NAME)]
    content_type: Annotated[str, AfterValidator(_media_type)] = "application/octet-stream"
    content: Annotated[bytes, PlainValidator(_base64), Field(repr=False)]
    content_id: (
        Annotated[str, _matching(_CONTENT_ID, "may hold letters, digits and . _ - @ only, 1 to 200 of them")]
        | None
    ) = None


class MessageFields(BaseModel):
    """The fields of a message, as product documentation lists them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)

    id: Annotated[str, _matching(ID, "must be 1 to 256 of A–Z a–z 0–9 . _ : @ -")] | None = None
    sender: Annotated[Line, Field(min_length=1, max_length=100)] | None = None
    from_: Annotated[OneAddress | None, Field(alias="from")] = None
    to: Annotated[Addresses, Field(strict=False)] = ()
    cc: Annotated[Addresses, Field(strict=False)] = ()
    bcc: Annotated[Addresses, Field(strict=False)] = ()
    reply_to: Annotated[Addresses, Field(strict=False)] = ()
    subject: Annotated[Line, Field(max_length=_LONGEST_SUBJECT)] = ""
    text: Text | None = None
    html: Text | None = None
    attachments: Annotated[tuple[AttachmentFields, ...], Field(strict=False)] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message that can be read; ``content_hash`` is equal for two that ask for the same mail."""

    id: str
    fields: MessageFields
    content_hash: str

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everyone it goes to, each mailbox once, in the order to, cc, bcc."""
        once: dict[str, Address] = {}
        for address in (*self.fields.to, *self.fields.cc, *self.fields.bcc):
            once.setdefault(address.key, address)
        return tuple(once.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits in the ledger under ``id`` and is due: what Sendoff itself puts on the outbox."""

    id: str


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
    if isinstance(value, dict) and "id" not in value:
        named = f'{{"id": {json.dumps(message_id)}{", " if value else ""}'.encode()
        plain = named + plain[1:].lstrip()
    text = plain.decode(errors="surrogateescape")
    text = base64.b64encode(plain).decode() if _NOT_IN_XML.search(text) else text
    # With an id it may have grown beyond what a queue takes; it fitted as it came.
    return text if len(text.encode()) <= LARGEST_BODY_BYTES else body.decode()


def read(body: bytes, *, fallback_id: str) -> Message | Waiting:
    """
    Read what stood on the outbox: UTF-8 JSON, plain or base64.

    Raises ``MessageError`` with every problem, each as ``field: what is wrong``.
    """
    value = _json(_plain(body))
    if value.get("action") == "send":
        return _waiting(value)
    problems = () if any(value.get(name) for name in ("to", "cc", "bcc")) else (_NO_RECIPIENT,)
    try:
        fields = MessageFields.model_validate(value)
    except ValidationError as error:
        raise MessageError((*_problems(error), *problems), message_id=_readable_id(value)) from None
    if problems:
        raise MessageError(problems, message_id=_readable_id(value))
    return Message(fields.id or fallback_id, fields, _content_hash(fields))


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
        raise MessageError(("message: its JSON is nested too deeply",)) from None
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
        name = CONTROL.sub("?", given)  # an app's own field name is as untrusted as its value
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


def _waiting(value: dict[str, Any]) -> Waiting:
    message_id = _readable_id(value)
    if set(value) != {"action", "id"} or not message_id:
        raise MessageError(('action: "send" takes an id and nothing else',), message_id=message_id)
    return Waiting(message_id)


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
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "list_type": "is not a list",
    "none_required": "must be left out",
}


def _problems(error: ValidationError) -> tuple[str, ...]:
    """
    Every problem as ``field: what is wrong``, the field written as a path such as ``attachments[0].content``.
    """
    problems: list[str] = []
    for problem in error.errors(include_url=False, include_input=False):
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]
        ).lstrip(".")
        if problem["type"] == "value_error":
            said = str(problem["ctx"]["error"])
        elif problem["type"] in ("string_too_long", "too_long"):
            said = f"is longer than {problem['ctx']['max_length']} characters"
        else:
            said = _SENTENCES.get(problem["type"]) or problem["msg"]
        problems.append(f"{path[:_LONGEST_PATH]}: {said}" if path else said)
    problems = list(dict.fromkeys(problems))
    if (more := len(problems) - _MOST_PROBLEMS) > 0:
        problems[_MOST_PROBLEMS:] = [f"message: {more} more problems"]
    return tuple(problems)


def _content_hash(fields: MessageFields) -> str:
    """SHA-256 of the normalised message; the id names it and is no part of it."""
    digest = hashlib.sha256()
    normalised = {
        "sender": fields.sender,
        "from": str(fields.from_ or ""),
        **{
            name: [str(address) for address in getattr(fields, name)]
            for name in ("to", "cc", "bcc", "reply_to")
        },
        "subject": fields.subject,
        "text": fields.text,
        "html": fields.html,
        "attachments": [
            [file.filename, file.content_type, file.content_id, hashlib.sha256(file.content).hexdigest()]
            for file in fields.attachments
        ],
    }
    digest.update(json.dumps(normalised, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()
