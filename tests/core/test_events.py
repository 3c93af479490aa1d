from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.core.delivery import Entry, State
from shared.core.events import OF_STATE, OPT_IN, of_message, of_sender

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
SOURCE = "https://mail.contoso.com"
LARGEST_QUEUE_MESSAGE = 64 * 1024
ENTRY = Entry(
    "order-1",
    State.ACCEPTED,
    "hash",
    NOW - timedelta(hours=1),
    NOW,
    sender="noreply",
    attempts=2,
    changes=3,
    message_id="<m@contoso.com>",
    reply="250 2.0.0 OK",
    reason="",
    metadata={"order": "4711", "größe": "🥨"},
)


def told(entry: Entry) -> str:
    event = of_message(entry, source=SOURCE)
    assert event is not None
    return event


def read(event: str) -> tuple[dict[str, Any], Any]:
    """The event as the official SDK parses it, which raises for one that is not valid."""
    parsed = JSONFormat().read(CloudEvent, event)
    return dict(parsed.get_attributes()), parsed.get_data()


def test_an_event_is_a_cloud_event_with_everything_that_is_known() -> None:
    attributes, data = read(told(ENTRY))
    assert attributes == {
        "specversion": "1.0",
        "id": "order-1/3",
        "source": SOURCE,
        "type": "mail.accepted",
        "subject": "order-1",
        "time": NOW,
        "datacontenttype": "application/json",
    }
    assert data == {
        "id": "order-1",
        "sender": "noreply",
        "state": "accepted",
        "attempts": 2,
        "message_id": "<m@contoso.com>",
        "reply": "250 2.0.0 OK",
        "reason": "",
        "metadata": {"order": "4711", "größe": "🥨"},
    }


def test_a_deferred_message_says_when_it_goes_again() -> None:
    _, data = read(told(replace(ENTRY, state=State.DEFERRED, due_at=NOW + timedelta(minutes=1))))
    assert data["due_at"] == "2026-11-24T12:01:00.250000+00:00"


TOLD = {
    State.ACCEPTED: "mail.accepted",
    State.DEFERRED: "mail.deferred",
    State.REJECTED: "mail.rejected",
    State.EXPIRED: "mail.expired",
    State.CANCELLED: "mail.cancelled",
    State.IN_DOUBT: "mail.in_doubt",
    State.DEAD_LETTERED: "mail.dead_lettered",
}


@pytest.mark.parametrize("state", list(State))
def test_the_states_of_the_contract_are_told_and_the_others_are_not(state: State) -> None:
    event = of_message(replace(ENTRY, state=state), source=SOURCE)
    assert (read(event)[0]["type"] if event else None) == TOLD.get(state)
    assert OF_STATE == TOLD
    assert set(OPT_IN) == {"mail.accepted", "mail.deferred"}


def test_the_same_change_has_the_same_id_and_another_has_another() -> None:
    ids = [read(told(replace(ENTRY, changes=changes)))[0]["id"] for changes in (3, 3, 4)]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


@pytest.mark.parametrize("character", ["x", "ü", "日", "🦆", '"', "\\", "\n", "\uffff"])
def test_the_longest_event_fits_a_queue_message(character: str) -> None:
    # As much metadata as a message may have: 16 KiB as JSON.
    room = 16_000 // len(json.dumps(character, ensure_ascii=False).encode()[1:-1])
    pairs = {f"{number:02}": character * min(1024, room // 16) for number in range(16)}
    entry = replace(
        ENTRY,
        id="x" * 256,
        message_id=f"<{'x' * 400}@contoso.com>",
        state=State.REJECTED,
        reply=character * 60_000,
        reason=character * 60_000,
        metadata=pairs,
    )
    event = told(entry)
    _, data = read(event)
    assert data["metadata"] == pairs
    assert data["reply"].startswith(character * 1000)
    assert entry.reason.startswith(data["reason"])
    assert len(event.encode()) <= LARGEST_QUEUE_MESSAGE


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


@given(reply=TEXT, reason=TEXT, metadata=st.dictionaries(TEXT, TEXT, max_size=4))
def test_any_words_survive_the_queue_which_is_xml(reply: str, reason: str, metadata: dict[str, str]) -> None:
    event = told(replace(ENTRY, state=State.REJECTED, reply=reply, reason=reason, metadata=metadata))
    envelope = Element("MessageText")
    envelope.text = event
    assert fromstring(tostring(envelope)).text == event
    _, data = read(event)
    assert (data["reply"], data["reason"], data["metadata"]) == (reply, reason, metadata)


# Senders.

HELD = {"remedy": "mailbox-full", "reason": "it is full", "since": NOW.isoformat()}


def test_an_event_about_a_sender_says_what_is_known_of_it() -> None:
    attributes, data = read(of_sender("sender.held", "noreply", HELD, source=SOURCE, at=NOW))
    assert attributes == {
        "specversion": "1.0",
        "id": f"noreply/sender.held/{NOW.isoformat()}",
        "source": SOURCE,
        "type": "sender.held",
        "subject": "noreply",
        "time": NOW,
        "datacontenttype": "application/json",
    }
    assert data == {"sender": "noreply", **HELD}


def test_the_same_event_about_a_sender_has_the_same_id_and_another_has_another() -> None:
    told_of = [
        of_sender(kind, sender, {}, source=SOURCE, at=at)
        for kind, sender, at in (
            ("sender.held", "noreply", NOW),
            ("sender.held", "noreply", NOW),
            ("sender.resumed", "noreply", NOW),
            ("sender.held", "billing", NOW),
            ("sender.held", "noreply", NOW + timedelta(seconds=1)),
        )
    ]
    ids = [read(event)[0]["id"] for event in told_of]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("character", ["x", "ü", "🦆", '"', "\uffff"])
def test_a_long_reason_of_a_sender_fits_a_queue_message(character: str) -> None:
    event = of_sender("sender.held", "noreply", {"reason": character * 60_000}, source=SOURCE, at=NOW)
    assert len(event.encode()) <= LARGEST_QUEUE_MESSAGE
    assert read(event)[1]["reason"].startswith(character * 1000)


def test_what_is_no_text_is_told_as_it_is() -> None:
    event = of_sender("sender.held", "noreply", {"probes": 3, "since": None}, source=SOURCE, at=NOW)
    assert read(event)[1] == {"sender": "noreply", "probes": 3, "since": None}
