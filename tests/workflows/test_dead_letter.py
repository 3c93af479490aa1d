from __future__ import annotations

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

REASON = "the host gave up after its last delivery failed; the log of function send says why"


def give_up(bench: Bench, body: bytes, queue_id: str = "poison-id-1") -> Entry:
    message_id = dead_letter(DeadLetterTools(bench.ledger, bench.clock), body, Delivery(queue_id, 1))
    entry = bench.ledger.find(message_id)
    assert entry is not None
    return entry


def test_a_message_that_was_never_claimed_is_written_down_with_what_stood_on_the_queue(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    entry = give_up(bench, message())
    assert (entry.id, entry.state, entry.reason) == ("order-17", State.DEAD_LETTERED, REASON)
    assert entry.body == message()
    assert lines(caplog) == [
        ("ERROR", "dead-letter", "message order-17 came to the poison queue and is dead_lettered")
    ]


@pytest.mark.parametrize("body", [b"", b"not json", b'{"id": "a b"}', b"\xff", message(id=None)])
def test_what_has_no_id_goes_by_its_queue_messages(bench: Bench, body: bytes) -> None:
    entry = give_up(bench, body)
    assert (entry.id, entry.body) == ("poison-id-1", body)


def test_an_invalid_message_keeps_the_id_that_can_be_read(bench: Bench) -> None:
    assert give_up(bench, message(text=7)).id == "order-17"


def test_a_message_whose_last_attempt_crashed_is_closed(bench: Bench) -> None:
    bench.mailer.script = [Crash()]
    with pytest.raises(Crash):
        bench.send(message())
    entry = give_up(bench, message())
    assert (entry.state, entry.body) == (State.DEAD_LETTERED, message())
    assert (entry.claimed_by, entry.lease_until) == (None, None)
    assert [change.state for change in bench.ledger.history("order-17")] == [
        State.SENDING,
        State.DEAD_LETTERED,
    ]


def test_a_message_that_waited_keeps_its_own_body(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    entry = give_up(bench, bench.outbox.puts[-1].text.encode())
    assert (entry.state, entry.body, entry.due_at) == (State.DEAD_LETTERED, message(), None)


def test_a_message_that_is_settled_stays_what_it_is(bench: Bench) -> None:
    bench.send(message())
    assert give_up(bench, message()).state is State.ACCEPTED
    assert len(bench.ledger.history("order-17")) == 2


def test_it_can_be_told_twice(bench: Bench) -> None:
    give_up(bench, message())
    bench.clock.advance(timedelta(minutes=1))
    give_up(bench, message())
    assert len(bench.ledger.history("order-17")) == 1


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
