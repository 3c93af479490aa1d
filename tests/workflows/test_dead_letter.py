from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import Delivery, State
from shared.workflows.dead_letter import DeadLetterTools, dead_letter
from tests.twins import Crash
from tests.workflows.conftest import Bench, lines, message
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    from shared.core.delivery import Entry

GAVE_UP = "the host gave up after its last delivery failed; the log of function send says why"


def give_up(bench: Bench, body: bytes, queue_id: str = "poison-id-1") -> Entry:
    tools = DeadLetterTools(bench.ledger, bench.letters, bench.events, bench.clock)
    message_id = dead_letter(tools, body, Delivery(queue_id, 1))
    entry = bench.ledger.find(message_id)
    assert entry is not None
    return entry


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def kept_in(body: bytes) -> str:
    """Return where a dead letter of 24 November 2026 is kept."""
    return f"2026/11/24/{digest(body)}"


def why(body: bytes) -> str:
    return f"{GAVE_UP}; what stood on the queue is kept in mail-dead-letters/{kept_in(body)}"


def test_a_message_that_was_never_claimed_is_written_down_and_what_stood_on_the_queue_is_kept(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    entry = give_up(bench, message())
    assert (entry.id, entry.state, entry.reason) == ("order-17", State.DEAD_LETTERED, why(message()))
    assert bench.letters.blobs == {kept_in(message()): message()}
    assert lines(caplog) == [
        (
            "ERROR",
            "dead-letter",
            f"message order-17 came to the poison queue and is dead_lettered: {why(message())}",
        )
    ]


@pytest.mark.parametrize("body", [b"", b"not json", b'{"id": "a b"}', b"\xff", b"aGVsbG8=", b"\0" * 70_000])
def test_what_has_no_id_that_can_be_read_goes_by_the_hash_of_what_stood_on_the_queue(
    bench: Bench, body: bytes
) -> None:
    entry = give_up(bench, body)
    assert (entry.id, entry.state) == (f"sha256:{digest(body)}", State.DEAD_LETTERED)
    assert entry.reason == why(body)
    assert bench.letters.blobs == {kept_in(body): body}


@pytest.mark.parametrize("body", [message(id=None), b'{"blob": "2026/order-17.json"}'])
def test_what_was_to_get_its_id_from_the_queue_goes_by_its_queue_messages(bench: Bench, body: bytes) -> None:
    assert give_up(bench, body).id == "poison-id-1"
    assert bench.letters.blobs == {kept_in(body): body}


def test_an_invalid_message_keeps_the_id_that_can_be_read(bench: Bench) -> None:
    assert give_up(bench, message(text=7)).id == "order-17"


def test_a_message_whose_last_attempt_crashed_is_closed(bench: Bench) -> None:
    bench.mailer.script = [Crash()]
    with pytest.raises(Crash):
        bench.send(message())
    entry = give_up(bench, message())
    assert (entry.state, entry.reason) == (State.DEAD_LETTERED, why(message()))
    assert (entry.claimed_by, entry.lease_until) == (None, None)
    assert bench.letters.blobs == {kept_in(message()): message()}
    assert [change.state for change in bench.ledger.history("order-17")] == [
        State.SENDING,
        State.DEAD_LETTERED,
    ]


def test_a_message_that_waited_keeps_its_own_body(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    waits = bench.outbox.puts[-1].text.encode()
    entry = give_up(bench, waits)
    assert (entry.state, entry.body, entry.due_at) == (State.DEAD_LETTERED, message(), None)
    assert bench.letters.blobs == {kept_in(waits): waits}


def test_a_message_that_is_settled_stays_what_it_is(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.send(message())
    bench.events.told.clear()
    assert give_up(bench, message()).state is State.ACCEPTED
    assert len(bench.ledger.history("order-17")) == 2
    assert bench.letters.blobs == {kept_in(message()): message()}
    assert bench.events.told == []
    assert "order-17 came to the poison queue and is accepted" in caplog.text


def test_it_can_be_told_twice(bench: Bench) -> None:
    give_up(bench, message())
    bench.clock.advance(timedelta(minutes=1))
    give_up(bench, message())
    assert len(bench.ledger.history("order-17")) == 1
    assert bench.letters.blobs == {kept_in(message()): message()}


def test_a_change_in_between_is_looked_at_again(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    body = bench.outbox.puts[-1].text.encode()
    bench.clock.advance(timedelta(minutes=1))

    def sent_meanwhile(_: str) -> None:
        bench.ledger.before = lambda _: None
        bench.send(body, queue_id="queue-id-2")

    bench.ledger.before = sent_meanwhile
    assert give_up(bench, body).state is State.ACCEPTED


# What is told.


def test_a_dead_letter_is_told_with_its_metadata(bench: Bench) -> None:
    give_up(bench, message(metadata={"tenant": "contoso"}))
    (told,) = bench.events.told
    assert told == bench.ledger.find("order-17")
    assert (told.state, told.metadata) == (State.DEAD_LETTERED, {"tenant": "contoso"})


def test_a_dead_letter_of_a_message_that_waited_is_told_with_its_metadata(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message(metadata={"tenant": "contoso"}))
    bench.events.told.clear()
    give_up(bench, bench.outbox.puts[-1].text.encode())
    (told,) = bench.events.told
    assert (told.state, told.metadata) == (State.DEAD_LETTERED, {"tenant": "contoso"})


@pytest.mark.parametrize("broken", ["letters", "ledger", "events"])
def test_a_crash_on_the_way_is_made_good_by_the_next_delivery(bench: Bench, broken: str) -> None:
    def crash(_: str) -> None:
        getattr(bench, broken).before = lambda _: None
        raise Crash

    getattr(bench, broken).before = crash
    with pytest.raises(Crash):
        give_up(bench, message())
    give_up(bench, message())
    assert bench.letters.blobs == {kept_in(message()): message()}
    assert bench.events.states == [("order-17", State.DEAD_LETTERED)]
    assert len(bench.ledger.history("order-17")) == 1


def test_one_that_is_told_again_has_the_same_event_id(bench: Bench) -> None:
    give_up(bench, message())
    give_up(bench, message())
    assert bench.events.ids == ["order-17/1", "order-17/1"]


def test_what_could_not_be_read_is_told_under_its_hash(bench: Bench) -> None:
    body = json.dumps(["no", "message"]).encode()
    give_up(bench, body)
    assert bench.events.states == [(f"sha256:{digest(body)}", State.DEAD_LETTERED)]
