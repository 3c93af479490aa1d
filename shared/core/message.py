"""
What an app may ask: every field of a message, declared here and nowhere else.

The JSON Schema that apps read is made from these declarations, and so is each refusal. What a field means is
checked here; what only the deployment can say (is there such a sender, may it write from this address) where
a message meets its sender, in ``core.sender``. How a queue message becomes one of these is ``core.intake``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from shared.core.address import CONTROL, Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ID = re.compile(r"[A-Za-z0-9._:@-]{1,256}")
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
LONGEST_SUBJECT = 998  # RFC 5322 §2.1.1 counts octets of a line; longer ones are no subject any more
_LONGEST_FILE_NAME = 255  # what a file system takes
_LONGEST_BLOB_PATH = 1024  # what Azure takes
_MOST_METADATA = 16
_LONGEST_METADATA = 1024
_MOST_METADATA_BYTES = 16_384  # as JSON: an event, which brings them back, must fit a queue message of 64 KiB

_MEDIA_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_CONTENT_TYPE = re.compile(rf"{_MEDIA_WORD}/{_MEDIA_WORD}(; *charset=[A-Za-z0-9._-]{{1,40}})?")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_TEMPLATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")  # BCP 47, as far as a folder needs it
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 §2.2: printable ASCII but the colon
_WHITE_SPACE = {ord(character): None for character in "\r\n\t "}

#: Header fields that the message's own fields, its structure or the servers on its way write.
OWNED_HEADERS = frozenset(
    (
        *("from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "in-reply-to"),
        *("references", "mime-version", "return-path", "received", "dkim-signature"),
    )
)
OWNED_PREFIXES = (
    "content-",
    "resent-",
    "arc-",
    "authentication-results",
    "received-",
    "x-ms-exchange-organization-",
)


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
        raise ValueError("is not a string of base64")  # noqa: TRY004 - as above
    try:
        return base64.b64decode(value.translate(_WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64") from error


def _media_type(value: str) -> str:
    if not _CONTENT_TYPE.fullmatch(value):
        raise ValueError("is not a media type such as application/pdf")
    # RFC 2045 §6.4 and RFC 2046 §5.2.1 forbid base64 for both, and an attachment is base64.
    if value.lower().startswith(("multipart/", "message/")):
        raise ValueError("may not be multipart/… or message/…; use application/octet-stream")
    return value


def blob_path(value: str) -> str:
    """Return a path that stays in its container; raises ``ValueError`` for one that might not."""
    parts = value.split("/")
    if not value or len(value) > _LONGEST_BLOB_PATH or CONTROL.search(value):
        raise ValueError(
            f"is not a path of 1 to {_LONGEST_BLOB_PATH} characters in the container mail-payloads"
        )
    if "\\" in value or "://" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("is not a path inside the container mail-payloads, such as 2026/invoice.pdf")
    return value


def _header_name(value: str) -> str:
    lowered = value.lower()
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("is not the name of a header field")
    if lowered in OWNED_HEADERS or lowered.startswith(OWNED_PREFIXES):
        raise ValueError("is written by the message itself; use the field of that name where there is one")
    return value


def _matching(pattern: re.Pattern[str], said: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(said)
        return value

    return AfterValidator(check)


def _written(pattern: re.Pattern[str]) -> WithJsonSchema:
    """Say a pattern in the schema too; those here mean the same to Python and to ECMA 262."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


def _without_nulls(value: Any, known: Iterable[str]) -> Any:
    """Leave out what is null: many serialisers write that for what is not there."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if item is not None or name not in known}


_ADDRESS_SCHEMA = {
    "type": "string",
    "description": "ada@contoso.com or Ada Lovelace <ada@contoso.com>",
    "minLength": 3,
}
_BASE64_SCHEMA = {"type": "string", "contentEncoding": "base64"}

Line = Annotated[str, AfterValidator(_refuse_controls)]
Text = Annotated[str, AfterValidator(_refuse_surrogates)]
OneAddress = Annotated[Address, PlainValidator(_address), WithJsonSchema(_ADDRESS_SCHEMA)]
_MANY = WithJsonSchema({"anyOf": [_ADDRESS_SCHEMA, {"type": "array", "items": _ADDRESS_SCHEMA}]})
Addresses = Annotated[tuple[OneAddress, ...], BeforeValidator(_one_or_many), Field(strict=False), _MANY]
Base64 = Annotated[bytes, PlainValidator(_base64), WithJsonSchema(_BASE64_SCHEMA)]
BlobPath = Annotated[str, Field(max_length=_LONGEST_BLOB_PATH), AfterValidator(blob_path)]
MailId = Annotated[
    str,
    Field(pattern=r"^<[^<>\s]+@[^<>\s]+>$"),
    _matching(MESSAGE_ID, "is not a Message-ID such as <4711@contoso.com>"),
]
MailIds = Annotated[
    tuple[MailId, ...],
    BeforeValidator(lambda value: value.split() if isinstance(value, str) else value),
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
HeaderName = Annotated[str, AfterValidator(_header_name), _written(_HEADER_NAME)]
HeaderValues = Annotated[
    tuple[Line, ...],
    BeforeValidator(_one_or_many),
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class AttachmentFields(BaseModel):
    """A file that travels with the message; with a ``content_id`` it is shown inside the HTML (``cid:``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="Attachment")

    filename: Annotated[
        Line, Field(min_length=1, max_length=_LONGEST_FILE_NAME, description="The name it arrives with")
    ]
    content_type: Annotated[
        Annotated[str, AfterValidator(_media_type), _written(_CONTENT_TYPE)],
        Field(description="Its media type"),
    ] = "application/octet-stream"
    content: Annotated[Base64 | None, Field(repr=False, description="The file itself; or give blob")] = None
    blob: Annotated[
        BlobPath | None, Field(description="Where it lies in the container mail-payloads; or give content")
    ] = None
    content_id: Annotated[
        Annotated[
            str,
            _matching(_CONTENT_ID, "may hold letters, digits and . _ - @ only, 1 to 200 of them"),
            _written(_CONTENT_ID),
        ]
        | None,
        Field(description="Makes it inline: the HTML shows it as cid:<content_id>"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return _without_nulls(value, cls.model_fields)


class MessageFields(BaseModel):
    """One message for Sendoff's outbox."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=False, title="Message"
    )

    id: Annotated[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,256}$")] | None,
        Field(description="Idempotency key; the same id with the same content is sent once"),
    ] = None
    sender: Annotated[
        Annotated[Line, Field(min_length=1, max_length=100)] | None,
        Field(description="A sender of mail.toml; the default one where it is left out"),
    ] = None
    from_: Annotated[
        OneAddress | None, Field(alias="from", description="The sender's from, or one of its also_from")
    ] = None
    to: Annotated[Addresses, Field(description="Recipients")] = ()
    cc: Annotated[Addresses, Field(description="Recipients of a copy")] = ()
    bcc: Annotated[Addresses, Field(description="Recipients whom nobody else sees")] = ()
    reply_to: Annotated[Addresses, Field(description="Where answers go")] = ()
    in_reply_to: Annotated[
        MailIds, Field(description="The Message-ID of the mail that this one answers")
    ] = ()
    references: Annotated[MailIds, Field(description="The Message-IDs of the whole conversation")] = ()
    message_id: Annotated[MailId | None, Field(description="A Message-ID of your own")] = None
    subject: Annotated[Annotated[Line, Field(max_length=LONGEST_SUBJECT)] | None, Field()] = None
    text: Annotated[Text | None, Field(description="Plain text; made from html where it is left out")] = None
    html: Text | None = None
    attachments: Annotated[tuple[AttachmentFields, ...], Field(strict=False)] = ()
    headers: Annotated[
        dict[HeaderName, HeaderValues], Field(description="Further header fields, such as List-Unsubscribe")
    ] = {}
    raw: Annotated[
        Base64 | None, Field(repr=False, description="A whole RFC 5322 message instead of its parts")
    ] = None
    raw_blob: Annotated[BlobPath | None, Field(description="The same, in the container mail-payloads")] = None
    template: Annotated[
        Annotated[str, _matching(_TEMPLATE, "is not a template's name"), _written(_TEMPLATE)] | None,
        Field(description="A template of the container mail-templates, filled with data when it is sent"),
    ] = None
    data: Annotated[
        dict[str, Any] | None, Field(description="What the template is filled with", repr=False)
    ] = None
    language: Annotated[
        Annotated[str, _matching(_LANGUAGE, "is not a language such as de-AT"), _written(_LANGUAGE)] | None,
        Field(description="The template's language; de-AT falls back to de, then to default"),
    ] = None
    priority: Annotated[
        Literal["high", "normal", "low"],
        Field(description="The order within a sender when its rate is the limit"),
    ] = "normal"
    on_doubt: Annotated[
        Literal["resend", "hold"],
        Field(description="What to do when a connection was lost after the end of the message"),
    ] = "resend"
    metadata: Annotated[
        dict[
            Annotated[Line, Field(min_length=1, max_length=100)],
            Annotated[Text, Field(max_length=_LONGEST_METADATA)],
        ],
        Field(max_length=_MOST_METADATA, description="Up to 16 pairs that come back in events"),
    ] = {}

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return _without_nulls(value, [field.alias or name for name, field in cls.model_fields.items()])

    @property
    def is_raw(self) -> bool:
        """Whether it brings its own RFC 5322 message."""
        return self.raw is not None or self.raw_blob is not None


_CONTENT = (
    "reply_to",
    "in_reply_to",
    "references",
    "message_id",
    "subject",
    "text",
    "html",
    "attachments",
    "headers",
)


NO_RECIPIENT = "to: there is no recipient; give at least one address in to, cc or bcc"


def contradictions(fields: MessageFields) -> Iterator[str]:
    """Give what no field is wrong with alone: each as ``field: what is wrong``."""
    if not (fields.to or fields.cc or fields.bcc or fields.is_raw):
        yield NO_RECIPIENT
    octets = len(json.dumps(fields.metadata, ensure_ascii=False).encode())
    if octets > _MOST_METADATA_BYTES:
        yield f"metadata: has {octets} octets in all; {_MOST_METADATA_BYTES} can be kept"
    yield from _raw_contradictions(fields)
    yield from _template_contradictions(fields)
    yield from _attachment_contradictions(fields)


def _raw_contradictions(fields: MessageFields) -> Iterator[str]:
    if fields.raw is not None and fields.raw_blob is not None:
        yield "raw_blob: give raw or raw_blob, not both"
    if fields.is_raw:
        for name in (*_CONTENT, "from_", "template"):
            if getattr(fields, name):
                yield f"{name.rstrip('_')}: it cannot stand beside raw, which has its own"


def _template_contradictions(fields: MessageFields) -> Iterator[str]:
    if fields.template is None:
        for name in ("data", "language"):
            if getattr(fields, name) is not None:
                yield f"{name}: it means nothing without a template"
    elif not fields.is_raw and (fields.text is not None or fields.html is not None):
        yield "template: it cannot stand beside text or html"


def _attachment_contradictions(fields: MessageFields) -> Iterator[str]:
    seen: set[str] = set()
    for number, file in enumerate(fields.attachments):
        if (file.content is None) == (file.blob is None):
            yield f"attachments[{number}]: give content or blob, one of the two"
        if file.content_id in seen:
            yield f"attachments[{number}].content_id: another attachment has the same"
        if file.content_id:
            seen.add(file.content_id)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that can be read; ``content_hash`` is equal for two that ask for the same mail."""

    id: str
    fields: MessageFields
    content_hash: str

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everyone it goes to, each mailbox once, in the order to, cc, bcc."""
        return unique((*self.fields.to, *self.fields.cc, *self.fields.bcc))


def unique(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return the addresses, each mailbox once, where it came first."""
    once: dict[str, Address] = {}
    for address in addresses:
        once.setdefault(address.key, address)
    return tuple(once.values())


def content_hash(fields: MessageFields) -> str:
    """
    Return the SHA-256 of the normalised message.

    The id names it and is no part of it; neither is metadata, which does not change the mail.
    """

    def normal(value: Any) -> Any:
        if isinstance(value, bytes):
            return hashlib.sha256(value).hexdigest()
        if isinstance(value, Address):
            return str(value)
        raise TypeError(type(value).__name__)

    values = {
        name: getattr(fields, name)
        for name in MessageFields.model_fields
        # An empty text part is asked for; one that is left out is made from the HTML.
        if name not in ("id", "metadata", "attachments") and getattr(fields, name) not in (None, (), {})
    }
    values["attachments"] = [
        [file.filename, file.content_type, file.content_id, file.content or b"", file.blob]
        for file in fields.attachments
    ]
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, default=normal)
    return hashlib.sha256(text.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a message, made from the declarations above."""
    schema = MessageFields.model_json_schema(by_alias=True)
    # Pydantic writes what a name must look like as a pattern of properties, and lets others pass.
    schema["properties"]["headers"]["additionalProperties"] = False
    file = schema["$defs"]["AttachmentFields"]
    for described in (schema, file):
        required = described.get("required", ())
        described["properties"] = {
            name: written if name in required else _or_null(written)
            for name, written in described["properties"].items()
        }
    file["oneOf"] = [_given("content", {"type": "string"}), _given("blob", {"type": "string"})]
    somebody = {"type": ["string", "array"], "minItems": 1}
    schema["anyOf"] = [
        *(_given(name, somebody) for name in ("to", "cc", "bcc")),
        *(_given(name, {"type": "string"}) for name in ("raw", "raw_blob")),
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _given(name: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {"required": [name], "properties": {name: kind}}


def _or_null(written: dict[str, Any]) -> dict[str, Any]:
    """Allow null, which is the same as left out."""
    said: dict[str, Any] = {
        key: written[key] for key in ("title", "description", "default") if key in written
    }
    rest = {key: value for key, value in written.items() if key not in said}
    kinds = rest.pop("anyOf", None) or [rest]
    return {**said, "anyOf": [*(kind for kind in kinds if kind != {"type": "null"}), {"type": "null"}]}
