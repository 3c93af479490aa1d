from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.delivery import Entry, State
from shared.herald import Herald
from tests.twins import MemoryOutbox

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ENTRY = Entry("order-1", State.REJECTED, "hash", NOW, NOW, metadata={"order": "4711"})
TOLD = {"rejected", "expired", "cancelled", "in_doubt", "dead_lettered"}


def told(state: State, *opted_in: str) -> list[str]:
    queue = MemoryOutbox()
    herald = Herald(queue, source="https://mail.contoso.com", opted_in=frozenset(opted_in))
    herald.tell(replace(ENTRY, state=state))
    assert all(put.delay == timedelta() for put in queue.puts)
    return [json.loads(put.text)["type"] for put in queue.puts]


@pytest.mark.parametrize("state", list(State))
def test_what_is_rare_is_told_to_everybody(state: State) -> None:
    assert told(state) == ([f"mail.{state.value}"] if state.value in TOLD else [])


@pytest.mark.parametrize("state", list(State))
def test_what_comes_with_every_mail_is_told_to_those_who_ask_for_it(state: State) -> None:
    assert told(state, "mail.accepted") == (["mail.accepted"] if state is State.ACCEPTED else told(state))
    assert told(state, "mail.deferred") == (["mail.deferred"] if state is State.DEFERRED else told(state))


def test_an_event_brings_back_what_the_app_gave_it() -> None:
    queue = MemoryOutbox()
    Herald(queue, source="https://mail.contoso.com", opted_in=frozenset()).tell(ENTRY)
    event = json.loads(queue.puts[0].text)
    assert (event["source"], event["data"]["metadata"]) == ("https://mail.contoso.com", {"order": "4711"})
