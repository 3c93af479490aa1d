"""What those who listen hear: each change once, and after a crash once more under the same id."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.herald import Herald
from tests.twins import Crash, MemoryOutbox
from tests.workflows.conftest import SENDERS, Bench, message
from tests.workflows.test_send import BUSY, UNKNOWN
from tests.workflows.test_send_in_doubt import IN_DOUBT

if TYPE_CHECKING:
    from collections.abc import Callable

METADATA = {"tenant": "contoso", "Größe": "zwölf"}


def accepted(bench: Bench) -> bytes:
    del bench
    return message(metadata=METADATA)


def refused_by_the_server(bench: Bench) -> bytes:
    bench.mailer.script = [UNKNOWN]
    return message(metadata=METADATA)


def in_doubt(bench: Bench) -> bytes:
    bench.mailer.script = [IN_DOUBT]
    return message(metadata=METADATA, on_doubt="hold")


def not_composed(bench: Bench) -> bytes:
    del bench
    return message(metadata=METADATA, text=None, template="welcome")


def unknown_sender(bench: Bench) -> bytes:
    del bench
    return message(metadata=METADATA, sender="nobody")


def other_content(bench: Bench) -> bytes:
    bench.send(message(), queue_id="queue-id-0")
    bench.events.told.clear()
    return message(metadata=METADATA, text="Hello, Bob")


SETTLED: list[tuple[Callable[[Bench], bytes], State]] = [
    (accepted, State.ACCEPTED),
    (refused_by_the_server, State.REJECTED),
    (in_doubt, State.IN_DOUBT),
    (not_composed, State.REJECTED),
    (unknown_sender, State.REJECTED),
    (other_content, State.REJECTED),
]
every_end = pytest.mark.parametrize(
    ("prepare", "state"), SETTLED, ids=lambda value: getattr(value, "__name__", "")
)


@every_end
def test_every_end_is_told_once_with_metadata(
    bench: Bench, prepare: Callable[[Bench], bytes], state: State
) -> None:
    body = prepare(bench)
    assert bench.send(body) is state
    (told,) = bench.events.told
    assert (told.state, told.metadata) == (state, METADATA)
    recorded = bench.ledger.find(told.id)
    assert recorded is not None
    assert (recorded.state, recorded.metadata, recorded.changes) == (state, METADATA, told.changes)


@every_end
def test_a_settled_message_that_is_delivered_again_is_told_again_under_the_same_id(
    bench: Bench, prepare: Callable[[Bench], bytes], state: State
) -> None:
    body = prepare(bench)
    bench.send(body)
    bench.clock.advance(timedelta(minutes=10))
    assert bench.send(body, times=2) is None
    first, second = bench.events.told
    assert (second.id, second.state, second.metadata) == (first.id, state, METADATA)
    assert len(set(bench.events.ids)) == 1


@pytest.mark.parametrize(("prepare", "state"), SETTLED[:-1], ids=lambda value: getattr(value, "__name__", ""))
def test_a_duplicate_that_an_app_put_there_is_not_told(
    bench: Bench, prepare: Callable[[Bench], bytes], state: State
) -> None:
    body = prepare(bench)
    bench.send(body)
    bench.clock.advance(timedelta(minutes=10))
    assert bench.send(body, queue_id="queue-id-9") is None
    assert [entry.state for entry in bench.events.told] == [state]


def test_each_message_with_other_content_is_a_refusal_of_its_own(bench: Bench) -> None:
    body = other_content(bench)
    bench.send(body, queue_id="queue-id-1")
    bench.send(body, queue_id="queue-id-2")
    assert bench.events.states == [("queue-id-1", State.REJECTED), ("queue-id-2", State.REJECTED)]


@every_end
def test_an_end_whose_telling_broke_off_is_told_by_the_next_delivery(
    bench: Bench, prepare: Callable[[Bench], bytes], state: State
) -> None:
    body = prepare(bench)

    def crash(_: str) -> None:
        bench.events.before = lambda _: None
        raise Crash

    bench.events.before = crash
    with pytest.raises(Crash):
        bench.send(body)
    assert bench.events.told == []
    bench.send(body, times=2)
    assert [entry.state for entry in bench.events.told] == [state]


def test_an_end_whose_record_was_written_before_a_crash_is_told_by_the_next_delivery(bench: Bench) -> None:
    def crash(called: str) -> None:
        if called == "update":
            bench.ledger.after = lambda _: None
            raise Crash

    bench.ledger.after = crash
    with pytest.raises(Crash):
        bench.send(message())
    bench.send(message(), times=2)
    assert bench.events.states == [("order-17", State.ACCEPTED)]
    assert len(bench.mailer.submitted) == 1


def test_what_cannot_be_read_is_told_once_and_again_when_it_comes_again(bench: Bench) -> None:
    bench.send(b"not json")
    assert bench.events.states == [("queue-id-1", State.REJECTED)]
    bench.send(b"not json", times=2)
    assert bench.events.ids == ["queue-id-1/1", "queue-id-1/1"]


def test_a_message_that_goes_again_is_told_of_each_change_under_an_id_of_its_own(bench: Bench) -> None:
    bench.mailer.script = [BUSY, BUSY]
    bench.send(message(metadata=METADATA))
    bench.send_what_waits()
    bench.send_what_waits(queue_id="queue-id-3")
    assert [entry.state for entry in bench.events.told] == [State.DEFERRED, State.DEFERRED, State.ACCEPTED]
    assert bench.events.ids == ["order-17/2", "order-17/4", "order-17/6"]
    assert all(entry.metadata == METADATA for entry in bench.events.told)


def test_a_waiting_message_that_is_delivered_again_after_it_was_settled_is_told_again(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    waits = bench.outbox.puts[-1].text.encode()
    bench.send_what_waits(queue_id="queue-id-2")
    bench.send(waits, queue_id="queue-id-2", times=2)
    bench.send(waits, queue_id="queue-id-3")
    assert bench.events.ids == ["order-17/2", "order-17/4", "order-17/4"]


def test_mail_that_waits_for_its_sender_is_told(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message(sender="reports", metadata=METADATA))
    bench.senders = {"noreply": SENDERS["noreply"]}
    bench.send_what_waits()
    assert [(entry.state, entry.metadata) for entry in bench.events.told] == [(State.DEFERRED, METADATA)] * 2


def test_a_message_that_comes_too_early_is_not_told_again(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.send(bench.outbox.puts[-1].text.encode(), queue_id="queue-id-2", times=2)
    assert len(bench.events.told) == 1


def test_a_claim_that_was_lost_is_told_by_its_new_holder_alone(bench: Bench) -> None:
    def taken_over() -> None:
        bench.mailer.meanwhile = lambda: None
        assert bench.send(message(), times=2) is State.ACCEPTED

    bench.mailer.meanwhile = taken_over
    assert bench.send(message()) is None
    assert bench.events.states == [("order-17", State.ACCEPTED)]


# What stands on the queue of events.


@pytest.mark.parametrize(
    ("opted_in", "kinds"),
    [
        (frozenset(), ["mail.rejected"]),
        (frozenset({"mail.accepted"}), ["mail.accepted", "mail.rejected"]),
        (frozenset({"mail.deferred"}), ["mail.deferred", "mail.rejected"]),
    ],
    ids=["as it is", "accepted", "deferred"],
)
def test_the_queue_of_events_has_what_the_deployment_asked_for(
    bench: Bench, opted_in: frozenset[str], kinds: list[str]
) -> None:
    queue = MemoryOutbox()
    herald = Herald(queue, source="https://mail.contoso.com", opted_in=opted_in)
    bench.mailer.script = [BUSY]
    bench.send(message(metadata=METADATA))
    bench.send_what_waits()
    bench.send(message(id="order-18", metadata=METADATA, sender="nobody"), queue_id="queue-id-3")
    for entry in bench.events.told:
        herald.tell(entry)
    events = [json.loads(put.text) for put in queue.puts]
    assert [event["type"] for event in events] == kinds
    assert all(event["data"]["metadata"] == METADATA for event in events)
    assert all(event["source"] == "https://mail.contoso.com" for event in events)
    assert all(put.delay.total_seconds() == 0 for put in queue.puts)
