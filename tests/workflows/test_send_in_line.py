"""A message that may not go just now: it waits in its sender's line, once, and nothing of it is counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.holds import Pause, Proof, new_hold
from shared.core.sender import Limits
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.core.waiting import line_of
from shared.errors import StorageError
from tests.twins import NOON, Crash
from tests.workflows.conftest import BILLING, NOREPLY, SENDERS, Bench, lines, message
from tests.workflows.test_send import BUSY
from tests.workflows.test_send_crashes import crash_at

if TYPE_CHECKING:
    from collections.abc import Callable

ASIDE = line_of("noreply", BILLING)


def others_before_it(bench: Bench) -> None:
    bench.register.change("noreply", lambda state: replace(state, line=True))


def paused(bench: Bench) -> None:
    bench.holds.wait(NOREPLY, Pause(NOON + timedelta(minutes=5), "too many at once"))


def hold(bench: Bench, *, address: str = "") -> None:
    held = new_hold("mailbox-full", "it is full", proof=Proof.MESSAGE, now=bench.clock())
    bench.holds.hold(NOREPLY, held, address=address)


def held(bench: Bench) -> None:
    hold(bench)


NO_SEAT = [
    (others_before_it, State.DEFERRED, "others of the sender are before it"),
    (paused, State.DEFERRED, "too many at once"),
    (held, State.HELD, "it is full"),
]
without_a_seat = pytest.mark.parametrize(
    ("stop", "state", "reason"), NO_SEAT, ids=lambda value: getattr(value, "__name__", "")
)


@without_a_seat
def test_without_a_seat_it_stands_in_line_and_says_why(
    bench: Bench, stop: Callable[[Bench], None], state: State, reason: str
) -> None:
    stop(bench)
    sent = bench.run_send(message(metadata={"tenant": "contoso"}))
    assert (sent.state, sent.line, sent.called) == (state, "noreply", False)
    entry = bench.ledger.only()
    assert (entry.state, entry.reason, entry.attempts, entry.due_at) == (state, reason, 0, None)
    assert (entry.body, entry.metadata) == (message(metadata={"tenant": "contoso"}), {"tenant": "contoso"})
    assert (entry.claimed_by, entry.lease_until, entry.date) == (None, None, None)
    assert bench.line == ["order-17"]
    assert bench.mailer.submitted == []
    assert [(change.state, change.attempt) for change in bench.ledger.history("order-17")] == [(state, 0)]
    assert bench.events.states == [("order-17", state)]


@without_a_seat
def test_a_delivery_that_is_repeated_leaves_it_in_line_once(
    bench: Bench, stop: Callable[[Bench], None], state: State, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop(bench)
    bench.send(message())
    caplog.clear()
    for times in (2, 3):
        bench.clock.advance(timedelta(seconds=30))
        assert bench.send(message(), times=times) is state
    assert bench.line == ["order-17"]
    entry = bench.ledger.only()
    assert (entry.changes, entry.attempts, entry.reason) == (1, 0, reason)
    assert len(bench.events.told) == 1


WRITES = [
    "ledger before add",
    "ledger after add",
    "room before join",
    "room after join",
    "events before tell",
]


@without_a_seat
@pytest.mark.parametrize("write", WRITES)
def test_a_crash_at_any_write_leaves_it_in_line_once(
    bench: Bench, stop: Callable[[Bench], None], state: State, reason: str, write: str
) -> None:
    stop(bench)
    twin, moment, name = write.split()
    setattr(getattr(bench, twin), moment, crash_at(name))
    with pytest.raises(Crash):
        bench.send(message())
    second = bench.another()
    assert second.send(message(), times=2) is state
    assert second.line == ["order-17"]
    entry = second.ledger.only()
    assert (entry.state, entry.reason, entry.attempts) == (state, reason, 0)


@pytest.mark.parametrize("write", WRITES)
def test_after_a_crash_at_any_write_a_free_seat_sends_it_once(bench: Bench, write: str) -> None:
    others_before_it(bench)
    twin, moment, name = write.split()
    setattr(getattr(bench, twin), moment, crash_at(name))
    with pytest.raises(Crash):
        bench.send(message())
    second = bench.another()
    second.register.change("noreply", lambda state: replace(state, line=False))
    assert second.send(message(), times=2) is State.ACCEPTED
    second.queue_up(message(id="order-18"))
    second.clock.advance(timedelta(minutes=1))
    second.serve()
    assert (second.line, len(second.mailer.submitted)) == ([], 2)


def test_the_line_is_in_the_order_of_priority_then_age(bench: Bench) -> None:
    others_before_it(bench)
    for name, priority in (("a", "low"), ("b", None), ("c", "high"), ("d", "normal"), ("e", "high")):
        bench.clock.advance(timedelta(milliseconds=1))
        bench.send(message(id=name, priority=priority))
    assert bench.line == ["c", "e", "b", "d", "a"]


def test_the_line_knows_how_many_recipients_each_has(bench: Bench) -> None:
    others_before_it(bench)
    bench.send(message(to=["a@example.net", "b@example.net"], bcc="c@example.net"))
    (place,) = bench.room.head(line_of("noreply"), most=10)
    assert place.recipients == 3


def test_what_a_minute_does_not_take_goes_to_the_line(bench: Bench) -> None:
    states = [bench.send(message(id=f"order-{number}"), queue_id=f"q-{number}") for number in range(20)]
    assert states == [State.ACCEPTED] * 15 + [State.DEFERRED] * 5
    assert bench.line == [f"order-{number}" for number in range(15, 20)]
    entry = bench.ledger.find("order-15")
    assert entry is not None
    assert entry.reason == "the mailbox has sent what it may in a minute"


def test_an_urgent_one_goes_at_once_where_the_minute_still_takes_it(bench: Bench) -> None:
    for number in range(16):
        bench.send(message(id=f"order-{number}"), queue_id=f"q-{number}")
    assert bench.send(message(id="code", priority="high"), queue_id="queue-id-2") is State.ACCEPTED


def test_what_a_day_does_not_take_waits_for_the_day(bench: Bench) -> None:
    bench.senders = {"noreply": replace(NOREPLY, limits=Limits(recipients_per_day=2))}
    states = [bench.send(message(id=f"order-{number}"), queue_id=f"q-{number}") for number in range(3)]
    assert states == [State.ACCEPTED, State.ACCEPTED, State.DEFERRED]
    pause = bench.state.pause
    assert pause is not None
    assert timedelta(hours=23) < pause.until - bench.clock() < timedelta(hours=25)


def test_the_line_of_one_sender_is_none_of_anothers(bench: Bench) -> None:
    others_before_it(bench)
    assert bench.send(message(id="a")) is State.DEFERRED
    assert bench.send(message(id="b", sender="reports"), queue_id="queue-id-2") is State.ACCEPTED


# Holds.


def test_a_held_address_holds_that_address_alone(bench: Bench) -> None:
    hold(bench, address=BILLING)
    assert bench.send(message(id="a", **{"from": BILLING})) is State.HELD
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.ACCEPTED
    assert (bench.line, bench.room.ids_in(ASIDE)) == ([], ["a"])


def test_a_held_sender_holds_every_address_in_one_line(bench: Bench) -> None:
    hold(bench, address=BILLING)
    hold(bench)
    assert bench.send(message(id="a", **{"from": BILLING})) is State.HELD
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.HELD
    assert (bench.line, bench.room.ids_in(ASIDE)) == (["a", "b"], [])


def test_an_address_that_may_send_again_while_a_message_of_it_steps_aside_takes_it_along(
    bench: Bench,
) -> None:
    hold(bench, address=BILLING)
    other = bench.another()

    def resumed(name: str) -> None:
        if name == "join":
            bench.room.before = lambda _: None
            other.holds.resume(NOREPLY, address=BILLING, why="a person resumed it")

    bench.room.before = resumed
    bench.deliver(message(**{"from": BILLING}))
    for _ in range(10):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert bench.state_of("order-17") is State.ACCEPTED


# The same id again.


def test_a_duplicate_of_one_in_line_changes_nothing(bench: Bench) -> None:
    others_before_it(bench)
    bench.send(message())
    bench.send(message(), queue_id="queue-id-2")
    assert bench.line == ["order-17"]
    assert bench.ledger.only().changes == 1
    assert bench.ledger.ids() == {"order-17"}


def test_other_content_under_the_id_of_one_in_line_is_refused(bench: Bench) -> None:
    others_before_it(bench)
    bench.send(message())
    assert bench.send(message(text="Hello, Bob"), queue_id="queue-id-2") is State.REJECTED
    refused = bench.ledger.find("queue-id-2")
    assert refused is not None
    assert refused.reason == "id: order-17 was used before for a message with other content; use a new id"
    assert (bench.line, bench.state_of("order-17")) == (["order-17"], State.DEFERRED)
    bench.serve()
    assert b"Hello, Ada" in bench.mailer.submitted[0].mime


def test_a_duplicate_of_one_that_is_settled_takes_no_seat_and_no_place(bench: Bench) -> None:
    bench.send(message())
    others_before_it(bench)
    bench.pacer.forget("noreply")
    sent = bench.run_send(message(), queue_id="queue-id-2")
    assert (sent.state, bench.line) == (None, [])
    assert bench.state_of("order-17") is State.ACCEPTED


def test_a_duplicate_of_one_that_waits_for_a_time_is_put_back_for_it(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    others_before_it(bench)
    bench.pacer.forget("noreply")
    assert bench.run_send(message(), queue_id="queue-id-2").state is None
    assert bench.line == []
    assert [put.delay + BROUGHT_BACK_EARLY for put in bench.outbox.puts] == [timedelta(seconds=15)] * 2


def test_one_whose_time_has_come_stands_in_line_behind_others(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    others_before_it(bench)
    bench.clock.advance(timedelta(seconds=10))
    assert bench.send_what_waits() is State.DEFERRED
    entry = bench.ledger.only()
    assert (bench.line, entry.attempts, entry.due_at) == (["order-17"], 1, None)
    assert bench.serve() == 1
    assert (bench.state_of("order-17"), bench.ledger.only().attempts) == (State.ACCEPTED, 2)


# A crash while it was sent, and doubt.


@pytest.mark.parametrize("seat", [True, False], ids=["a seat", "no seat"])
def test_after_a_crash_one_that_is_to_be_held_on_doubt_is_in_doubt(
    bench: Bench, caplog: pytest.LogCaptureFixture, *, seat: bool
) -> None:
    bench.mailer.script = [Crash()]
    with pytest.raises(Crash):
        bench.send(message(on_doubt="hold"))
    second = bench.another()
    if not seat:
        others_before_it(second)
    assert second.send(message(on_doubt="hold"), times=2) is State.IN_DOUBT
    entry = bench.ledger.only()
    assert (entry.attempts, entry.body, entry.claimed_by, entry.lease_until) == (1, b"", None, None)
    assert entry.reason == (
        "the instance that was sending it ended before it could say what came of it; "
        "it may have been accepted"
    )
    changes = [(change.state, change.attempt) for change in bench.ledger.history("order-17")]
    assert changes == [(State.SENDING, 1), (State.IN_DOUBT, 1)]
    assert bench.events.states == [("order-17", State.IN_DOUBT)]
    assert len(bench.mailer.submitted) == 1
    assert bench.line == []
    assert lines(caplog)[-1][:2] == ("WARNING", "mail-in-doubt")


def test_after_a_crash_without_a_seat_it_waits_in_line_with_the_attempt_counted(bench: Bench) -> None:
    bench.mailer.script = [Crash()]
    with pytest.raises(Crash):
        bench.send(message())
    second = bench.another()
    others_before_it(second)
    assert second.send(message(), times=2) is State.DEFERRED
    assert (second.line, bench.ledger.only().attempts) == (["order-17"], 1)
    second.serve()
    assert (bench.state_of("order-17"), bench.ledger.only().attempts) == (State.ACCEPTED, 2)


# Storage is away when the server has said yes.


def away(bench: Bench, times: int) -> None:
    """Let storage fail so often, from the server's answer on."""
    left = [times]

    def fail(name: str) -> None:
        if name == "update" and left[0]:
            left[0] -= 1
            raise StorageError("the table ledger does not answer")

    bench.mailer.meanwhile = lambda: setattr(bench.ledger, "before", fail)


def test_the_servers_yes_is_written_down_as_soon_as_storage_is_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    away(bench, 100)
    assert bench.send(message()) is State.ACCEPTED
    assert bench.pauses == [1.0] * 100
    assert len(bench.mailer.submitted) == 1
    assert [(change.state, change.attempt) for change in bench.ledger.history("order-17")] == [
        (State.SENDING, 1),
        (State.ACCEPTED, 1),
    ]
    assert {(level, word) for level, word, _ in lines(caplog)[:-1]} == {("WARNING", "storage-away")}
    assert bench.events.states == [("order-17", State.ACCEPTED)]


def test_a_write_whose_answer_was_lost_is_not_taken_for_anothers(bench: Bench) -> None:
    def fail(_: str) -> None:
        bench.ledger.after = lambda _: None
        raise StorageError("the table ledger does not answer")

    bench.mailer.meanwhile = lambda: setattr(bench.ledger, "after", fail)
    assert bench.send(message()) is State.ACCEPTED
    assert bench.events.states == [("order-17", State.ACCEPTED)]
    assert len(bench.mailer.submitted) == 1


def test_storage_that_stays_away_is_given_up_before_another_may_take_over(bench: Bench) -> None:
    away(bench, 1_000)
    with pytest.raises(StorageError):
        bench.send(message())
    assert sum(bench.pauses) < 120
    assert bench.state_of("order-17") is State.SENDING


# A sender that mail.toml lost or never had.


def test_nothing_stands_in_a_line_of_an_unknown_sender(bench: Bench) -> None:
    bench.senders = {"reports": SENDERS["reports"]}
    assert bench.run_send(message(sender="noreply")).line == ""
    assert bench.line == []
