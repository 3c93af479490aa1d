"""
Messages taken back and moved at a given moment, over the queue and over HTTP, as an app does it.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient

from shared.adapters.table_ledger import TABLE
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterable

_THREADS = 24  # more than are ever under way together; each waits for its moment
_SECONDS = 30
_CHANGES = "RowKey ge 'change-' and RowKey lt 'change.'"


class Way(enum.Enum):
    """How an app changes its mind."""

    #: ``{"action": "cancel"}`` on the outbox.
    CANCEL_BY_QUEUE = "cancel, queue"
    #: ``DELETE /messages/{id}``.
    CANCEL_BY_HTTP = "cancel, HTTP"
    #: ``{"action": "reschedule"}`` on the outbox.
    MOVE_BY_QUEUE = "reschedule, queue"
    #: ``PATCH /messages/{id}``.
    MOVE_BY_HTTP = "reschedule, HTTP"

    @property
    def is_cancel(self) -> bool:
        """Whether it takes the message back."""
        return self in (Way.CANCEL_BY_QUEUE, Way.CANCEL_BY_HTTP)

    @property
    def answers(self) -> bool:
        """Whether the app is told what came of it."""
        return self in (Way.CANCEL_BY_HTTP, Way.MOVE_BY_HTTP)


@dataclass(frozen=True, slots=True)
class Race:
    """One message that is due ``at``, and what is asked about it at the ``moment``, to go at ``then``."""

    message_id: str
    way: Way
    at: datetime
    moment: datetime
    then: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller got over HTTP: 200 with the message as it stands, or why not."""

    status: int
    state: str


def run(facts: Mapping[str, Any], races: Iterable[Race]) -> dict[str, Answer]:
    """Ask for each at its moment; returns the answers, by the message's id."""
    with (
        QueueClient.from_connection_string(facts["storage"], "outbox") as queue,
        requests.Session() as http,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        http.trust_env = False
        http.headers["x-functions-key"] = facts["key"]
        http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_THREADS))
        asked = {
            race.message_id: pool.submit(_ask, facts, queue, http, race)
            for race in sorted(races, key=lambda race: race.moment)
        }
        answers = {message_id: answer.result() for message_id, answer in asked.items()}
    return {message_id: answer for message_id, answer in answers.items() if answer}


def _ask(facts: Mapping[str, Any], queue: QueueClient, http: requests.Session, race: Race) -> Answer | None:
    time.sleep(max(0.0, (race.moment - datetime.now(UTC)).total_seconds()))
    action = {"action": "cancel" if race.way.is_cancel else "reschedule", "id": race.message_id}
    moved = {"send_at": race.then.isoformat()}
    if not race.way.answers:
        queue.send_message(json.dumps(action if race.way.is_cancel else action | moved))
        return None
    place = f"{facts['functions']}/api/messages/{race.message_id}"
    if race.way.is_cancel:
        answer = http.delete(place, timeout=_SECONDS)
    else:
        answer = http.patch(place, json=moved, timeout=_SECONDS)
    return Answer(answer.status_code, _state(answer))


def _state(answer: requests.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return ""
    return str(said.get("state", "")) if isinstance(said, Mapping) else ""


def histories(facts: Mapping[str, Any]) -> dict[str, list[State]]:
    """Return the states that each message in the ledger went through."""
    found: dict[str, list[State]] = {}
    with TableClient.from_connection_string(facts["storage"], TABLE) as table:
        rows = table.query_entities(_CHANGES, select=["PartitionKey", "RowKey", "state"])
        for row in sorted(rows, key=lambda row: (row["PartitionKey"], row["RowKey"])):
            found.setdefault(row["PartitionKey"], []).append(State(row["state"]))
    return found
