"""
What an app may ask: every field of a message, declared here and nowhere else.

The JSON Schema that apps read is made from these declarations, and so is each refusal. What a single value
may look like stands in ``core.field_types``; what only the deployment can say (is there such a sender, may it
write from this address) where a message meets its sender, in ``core.sender``. How a queue message becomes one
of these is ``core.intake``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.core.address import Address
from shared.core.field_types import (
    Addresses,
    Base64,
    BlobPath,
    ClockTime,
    ContentId,
    HeaderName,
    HeaderValues,
    Language,
    Line,
    MailId,
    MailIds,
    MediaType,
    MessageKey,
    Moment,
    OneAddress,
    TemplateName,
    Text,
    ZoneName,
    without_nulls,
)
from shared.core.timetable import DAYS, Window, clock_time, zone

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SUBJECT = 998  # RFC 5322 §2.1.1 counts octets of a line; longer ones are no subject any more
_LONGEST_FILE_NAME = 255  # what a file system takes
_MOST_METADATA = 16
_LONGEST_METADATA = 1024
_MOST_METADATA_BYTES = 16_384  # as JSON: an event, which brings them back, must fit a queue message of 64 KiB


class AttachmentFields(BaseModel):
    """A file that travels with the message; with a ``content_id`` it is shown inside the HTML (``cid:``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="Attachment")

    filename: Annotated[
        Line, Field(min_length=1, max_length=_LONGEST_FILE_NAME, description="The name it arrives with")
    ]
    content_type: Annotated[MediaType, Field(description="Its media type")] = "application/octet-stream"
    content: Annotated[Base64 | None, Field(repr=False, description="The file itself; or give blob")] = None
    blob: Annotated[
        BlobPath | None, Field(description="Where it lies in the container mail-payloads; or give content")
    ] = None
    content_id: Annotated[
        ContentId | None, Field(description="Makes it inline: the HTML shows it as cid:<content_id>")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return without_nulls(value, cls.model_fields)


class WindowFields(BaseModel):
    """The hours in which a message may be delivered; ``to`` before ``from`` is the next morning."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="Window")

    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        Field(strict=False, min_length=1, max_length=7, description="The days on which it opens"),
    ] = DAYS
    from_: Annotated[ClockTime, Field(alias="from", description="When it opens")] = "00:00"
    to: Annotated[ClockTime, Field(description="When it closes; a message goes before that")] = "24:00"
    time_zone: Annotated[ZoneName, Field(description="Whose clocks these are, such as Europe/Vienna")]

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return without_nulls(value, [field.alias or name for name, field in cls.model_fields.items()])

    @property
    def window(self) -> Window:
        """The window itself."""
        begins, until = clock_time(self.from_), clock_time(self.to)
        return Window(frozenset(self.days), begins, until, zone(self.time_zone))


class MessageFields(BaseModel):
    """One message for Sendoff's outbox."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=False, title="Message"
    )

    id: Annotated[
        MessageKey | None,
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
        TemplateName | None,
        Field(description="A template of the container mail-templates, filled with data when it is sent"),
    ] = None
    data: Annotated[
        dict[str, Any] | None, Field(description="What the template is filled with", repr=False)
    ] = None
    language: Annotated[
        Language | None,
        Field(description="The template's language; de-AT falls back to de, then to default"),
    ] = None
    send_at: Annotated[
        Moment | None, Field(description="When it is sent; at once where it is left out. No horizon")
    ] = None
    expires_at: Annotated[
        Moment | None, Field(description="When it is of no more use: not sent after this")
    ] = None
    window: Annotated[
        WindowFields | None, Field(description="The hours in which it may be delivered, retries too")
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
        return without_nulls(value, [field.alias or name for name, field in cls.model_fields.items()])

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
    yield from _time_contradictions(fields)
    yield from _raw_contradictions(fields)
    yield from _template_contradictions(fields)
    yield from _attachment_contradictions(fields)


def _time_contradictions(fields: MessageFields) -> Iterator[str]:
    begins, ends = fields.send_at, fields.expires_at
    if begins is not None and ends is not None and ends <= begins:
        yield "expires_at: it is not after send_at; give a later time, or leave one of them out"
    if fields.window is not None:
        if fields.window.from_ == fields.window.to:
            yield "window.to: it is the same as from, so it never opens; write 00:00 to 24:00 for all day"
        elif fields.window.from_ == "24:00":
            yield "window.from: 24:00 is the end of a day; write 00:00"


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

    @property
    def recipient_count(self) -> int:
        """How many it has at least: a raw message may name them in its header alone."""
        return max(1, len(self.recipients))


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
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, WindowFields):
            return value.model_dump(by_alias=True)
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
    for described in (schema, file, schema["$defs"]["WindowFields"]):
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
