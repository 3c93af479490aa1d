"""
The outbox as an app sees it, and the ledger as an operator does.

The queue is spoken to with Microsoft's plain SDK and no knowledge of Sendoff, just as an app would.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_ledger import TABLE, Change, TableLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_EVERY_SECONDS = 0.1


class MessageFileError(Exception):
    """The file holds no message; the message says why."""


def read_message(path: Path) -> dict[str, Any]:
    """Return the message in ``path``, with an id by which it can be followed; raises ``MessageFileError``."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MessageFileError(f"{path} cannot be read: {error}") from None
    except ValueError as error:
        raise MessageFileError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise MessageFileError(f"{path} does not hold a JSON object")
    return {"id": f"{path.stem}-{uuid.uuid4().hex[:8]}", **value}


def drop(connection_string: str, message: dict[str, Any], queue: str = "outbox") -> str:
    """Put a message on the outbox; returns the queue message's id."""
    with QueueClient.from_connection_string(connection_string, queue) as client:
        with contextlib.suppress(ResourceExistsError):
            client.create_queue()
        return str(client.send_message(json.dumps(message, ensure_ascii=False)).id)


def history(connection_string: str, message_id: str) -> list[Change]:
    """Return every change of a message so far."""
    return _ledger(connection_string).history(message_id)


def follow(
    connection_string: str,
    message_id: str,
    *,
    queue_id: str = "",
    seen: int = 0,
    seconds: float | None = None,
) -> Iterator[Change]:
    """
    Give each change of a message after the first ``seen``, as it comes, until it settles.

    A message that is refused for its id is recorded under ``queue_id``. Raises ``TimeoutError`` after
    ``seconds``.
    """
    ledger = _ledger(connection_string)
    deadline = time.monotonic() + seconds if seconds is not None else None
    while True:
        changes = ledger.history(message_id)[seen:]
        if not changes and queue_id:
            changes = ledger.history(queue_id)
        for change in changes:
            seen += 1
            yield change
            if change.state.is_settled:
                return
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"message {message_id} did not settle within {seconds:.0f} s")
        time.sleep(_LOOK_EVERY_SECONDS)


def _ledger(connection_string: str) -> TableLedger:
    return TableLedger(Table(TABLE, Account(connection_string)))
