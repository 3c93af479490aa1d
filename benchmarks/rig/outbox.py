"""The outbox as a busy app uses it: thousands of messages from a few threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.storage.queue import QueueClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_THREADS = 8  # below the ten connections that the SDK keeps
_QUEUE = "outbox"


def drop(facts: Mapping[str, Any], messages: Iterable[Mapping[str, Any]]) -> None:
    """Put all of them on the outbox, more or less in order."""
    with (
        QueueClient.from_connection_string(facts["storage"], _QUEUE) as queue,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for sent in [pool.submit(queue.send_message, json.dumps(message)) for message in messages]:
            sent.result()


def drop_one(facts: Mapping[str, Any], message: Mapping[str, Any]) -> datetime:
    """Put one message on the outbox and return when the queue had it."""
    with QueueClient.from_connection_string(facts["storage"], _QUEUE) as queue:
        queue.send_message(json.dumps(message))
    return datetime.now(UTC)


def length(facts: Mapping[str, Any], queue: str = _QUEUE) -> int:
    """Return how many messages a queue has, hidden ones too."""
    with QueueClient.from_connection_string(facts["storage"], queue) as client:
        return client.get_queue_properties().approximate_message_count or 0
