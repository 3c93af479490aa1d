"""
What one value of a message may look like: each a type that checks itself and writes its own schema.

What is wrong with a value is said in words that fit behind the field's name: ``subject: contains …``.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from shared.core.address import CONTROL, Address, parse_address
from shared.core.timetable import clock_time, moment, zone

if TYPE_CHECKING:
    from collections.abc import Iterable

ID = re.compile(r"[A-Za-z0-9._:@-]{1,256}")
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
_LONGEST_BLOB_PATH = 1024  # what Azure takes

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


def without_nulls(value: Any, known: Iterable[str]) -> Any:
    """Leave out what is null: many serialisers write that for what is not there."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if item is not None or name not in known}


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("is not a string; write a time such as 2026-12-24T09:00:00+01:00")  # noqa: TRY004 - as above
    return moment(value)


def _clock_time(value: str) -> str:
    clock_time(value)
    return value


def _zone(value: str) -> str:
    zone(value)
    return value


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
Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
ClockTime = Annotated[
    str,
    AfterValidator(_clock_time),
    WithJsonSchema({"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}),
]
ZoneName = Annotated[str, Field(max_length=100), AfterValidator(_zone)]
HeaderName = Annotated[str, AfterValidator(_header_name), _written(_HEADER_NAME)]
HeaderValues = Annotated[
    tuple[Line, ...],
    BeforeValidator(_one_or_many),
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
MessageKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,256}$")]
MediaType = Annotated[str, AfterValidator(_media_type), _written(_CONTENT_TYPE)]
ContentId = Annotated[
    str,
    _matching(_CONTENT_ID, "may hold letters, digits and . _ - @ only, 1 to 200 of them"),
    _written(_CONTENT_ID),
]
TemplateName = Annotated[str, _matching(_TEMPLATE, "is not a template's name"), _written(_TEMPLATE)]
Language = Annotated[str, _matching(_LANGUAGE, "is not a language such as de-AT"), _written(_LANGUAGE)]
