"""What others can read: the events of what happens to a message, and the schema of one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.message import json_schema
from tests.end_to_end.desk import Desk, new_id
from tests.waiting import eventually

if TYPE_CHECKING:
    from cloudevents.core.base import BaseCloudEvent


def attributes(event: BaseCloudEvent) -> dict[str, Any]:
    return {name: value for name, value in event.get_attributes().items() if name != "time"}


def test_a_refusal_is_told_as_an_event_that_the_official_sdk_can_read(desk: Desk) -> None:
    message_id = new_id("told")
    metadata = {"tenant": "contoso", "Größe": "zwölf 🎉"}
    desk.put(
        {
            "id": message_id,
            "sender": "nobody",
            "to": "ada@example.net",
            "text": "x",
            "metadata": metadata,
        }
    )
    entry = desk.until(message_id, "rejected")
    event = desk.event(message_id)
    assert attributes(event) == {
        "specversion": "1.0",
        "id": f"{message_id}/1",
        "source": desk.facts["functions"],
        "type": "mail.rejected",
        "subject": message_id,
        "datacontenttype": "application/json",
    }
    time = event.get_time()
    assert time is not None
    assert datetime.now(UTC) - timedelta(minutes=5) < time <= datetime.now(UTC)
    assert event.get_data() == {
        "id": message_id,
        "sender": "nobody",
        "state": "rejected",
        "attempts": 0,
        "message_id": "",
        "reply": "",
        "reason": entry["reason"],
        "metadata": metadata,
    }


@pytest.mark.parametrize("readable", [True, False], ids=["its id is read", "no id can be read"])
def test_what_the_host_gave_up_on_is_kept_recorded_and_told(desk: Desk, readable: bool) -> None:  # noqa: FBT001 - a table
    marker = new_id("dead")
    message = {"id": marker, "to": "ada@example.net", "text": "x", "metadata": {"tenant": "contoso"}}
    body = json.dumps(message) if readable else f"{marker} is no JSON: ü"
    digest = sha256(body.encode()).hexdigest()
    message_id = marker if readable else f"sha256:{digest}"
    desk.put(body, queue="outbox-poison")
    entry = desk.until(message_id, "dead_lettered")
    container, _, path = entry["reason"].rpartition(" ")[2].partition("/")
    assert container == "mail-dead-letters"
    assert path == f"{entry['created_at']:%Y/%m/%d}/{digest}"
    assert desk.download(container, path) == body.encode()
    event = desk.event(message_id)
    assert attributes(event)["type"] == "mail.dead_lettered"
    data = event.get_data()
    assert isinstance(data, dict)
    assert (data["id"], data["state"]) == (message_id, "dead_lettered")
    assert data["metadata"] == ({"tenant": "contoso"} if readable else {})
    assert data["reason"] == entry["reason"]
    assert desk.line(f"message {message_id} came to the poison queue").endswith("[dead-letter]")
    eventually(lambda: desk.waiting("outbox-poison") == 0)


def test_the_schema_of_a_message_is_public(desk: Desk) -> None:
    answer = desk.get("/api/schemas/message.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert answer.json() == json_schema()
