"""A queue message, as the queue trigger hands it to the worker."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from azure.functions.meta import Datum
from azure.storage.queue import QueueMessage

from local.host.bindings import Incoming
from local.host.host_json import MessageEncoding

#: Queue service: a message lives seven days unless its sender says otherwise.
_DEFAULT_LIFE = timedelta(days=7)


class UndecodableMessageError(ValueError):
    """The message's text is not Base64 though host.json says it is."""


def decode_text(text: str, encoding: MessageEncoding) -> str | bytes:
    """Return the body in a message's text: a string where it is UTF-8, else bytes."""
    if encoding is MessageEncoding.NONE:
        return text
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableMessageError(str(error)) from None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def encode_body(body: str | bytes, encoding: MessageEncoding) -> str:
    """Return the text under which a body is stored; ValueError for bytes that `none` cannot carry."""
    if encoding is MessageEncoding.BASE64:
        return base64.b64encode(body.encode() if isinstance(body, str) else body).decode("ascii")
    return body if isinstance(body, str) else body.decode("utf-8")


def incoming_message(message: QueueMessage, body: str | bytes) -> Incoming:
    """Return what the function is given for a message of the queue."""
    return _incoming(
        body,
        {
            "Id": message.id,
            "DequeueCount": message.dequeue_count,
            "ExpirationTime": message.expires_on,
            "InsertionTime": message.inserted_on,
            "NextVisibleTime": message.next_visible_on,
            "PopReceipt": message.pop_receipt,
        },
    )


def incoming_by_hand(body: str, invocation_id: str) -> Incoming:
    """Return what the function is given when someone runs it by hand: no message stands behind it."""
    now = datetime.now(UTC)
    return _incoming(
        body,
        {
            "Id": invocation_id,
            "DequeueCount": 1,
            "ExpirationTime": now + _DEFAULT_LIFE,
            "InsertionTime": now,
            "NextVisibleTime": now,
            "PopReceipt": "",
        },
    )


def _incoming(body: str | bytes, fields: Mapping[str, object]) -> Incoming:
    metadata = {name: _metadata(value) for name, value in fields.items() if value is not None}
    datum = Datum(body, "string" if isinstance(body, str) else "bytes")
    return Incoming(binding="queueTrigger", datum=datum, metadata={"QueueTrigger": datum} | metadata)


def _metadata(value: object) -> Datum:
    """Return the datum of one field: the host sends strings plain and everything else as JSON."""
    if isinstance(value, str):
        return Datum(value, "string")
    if isinstance(value, datetime):
        return Datum(json.dumps(value.astimezone(UTC).isoformat()), "json")
    return Datum(json.dumps(value), "json")
