"""The line of a sender: who goes next, who steps aside, who serves it, and when somebody else does."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.claims import LOST_AFTER
from shared.core.delivery import State
from shared.core.holds import Pause, Proof, new_hold
from shared.core.intake import call_body, waiting_body
from shared.core.pacing import Place
from shared.core.smtp import Phase, Reply, Submission
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.core.waiting import line_of
from shared.desk import Service
from shared.errors import StorageError
from shared.workflows.serve_line import SERVE_FOR, serve_line
from tests.twins import ACCEPTED, Crash
from tests.workflows.conftest import BILLING, MOST_SERVED, NOREPLY, SENDERS, UNHURRIED, Bench, message
from tests.workflows.test_send import BUSY, REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_MANY = Submission(Phase.MAIL, Reply(432, ("4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",)))
NOT_AS = Submission(Phase.END_OF_DATA, Reply(554, ("5.2.252 SendAsDenied; not allowed to send as it",)))
CHECK, PATH = b'{"blob": "2026/order-17.json"}', "2026/order-17.json"
ASIDE = line_of("noreply", BILLING)


@pytest.fixture
def bench() -> Bench:
    return Bench(senders={"noreply": UNHURRIED})


def named(name: str, **fields: object) -> bytes:
    return message(id=name, subject=name, **fields)


def meanwhile(bench: Bench, *things: Callable[[], object]) -> None:
    """Let these happen while the server is at work, one for each message."""
    left = list(things)
    bench.mailer.meanwhile = lambda: left.pop(0)() if left else None


# The order.


def test_everybody_goes_in_the_order_of_priority_then_age(bench: Bench) -> None:
    wanted = (("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal"), ("e", "high"))
    for name, priority in wanted:
        bench.clock.advance(timedelta(milliseconds=1))
        bench.queue_up(named(name, priority=priority))
    assert bench.serve() == 5
    assert bench.subjects == ["c", "e", "b", "d", "a"]
    assert {bench.state_of(name) for name, _ in wanted} == {State.ACCEPTED}
    assert (bench.line, bench.state.line) == ([], False)


def test_an_urgent_one_that_comes_in_the_middle_is_next(bench: Bench) -> None:
    bench.queue_up(*(named(f"n{number}") for number in range(6)))
    other = bench.another()

    def comes() -> None:
        assert other.send(named("code", priority="high"), queue_id="queue-id-9") is State.DEFERRED
        bench.clock.advance(timedelta(seconds=4))

    meanwhile(bench, bool, comes)
    assert bench.serve() == 7
    assert bench.subjects == ["n0", "n1", "code", "n2", "n3", "n4", "n5"]


def test_a_message_that_comes_while_the_line_is_served_goes_behind_the_others(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b"))
    other = bench.another()
    meanwhile(bench, lambda: other.deliver(named("c"), queue_id="queue-id-9"))
    assert bench.serve() == 3
    assert bench.subjects == ["a", "b", "c"]


def test_many_more_than_are_read_at_a_time_keep_their_order(bench: Bench) -> None:
    names = [f"n{number:03d}" for number in range(150)]
    bench.queue_up(*map(named, names))
    assert bench.serve() == 150
    assert bench.subjects == names
    assert bench.line == []


def test_an_empty_line_is_looked_at_for_as_long_as_others_rely_on_it(bench: Bench) -> None:
    bench.queue_up(named("a"))
    assert bench.serve() == 1
    assert bench.pauses
    assert all(seconds <= 1 for seconds in bench.pauses)
    assert not bench.state.is_served(bench.clock())
    assert bench.state.line is False


@pytest.mark.parametrize("after", [1, 2, 3])
def test_who_joins_an_empty_line_that_is_looked_at_goes_at_once(bench: Bench, after: int) -> None:
    bench.queue_up(named("a"))
    other = bench.another()
    served: list[int] = []

    def pause(seconds: float) -> None:
        bench.clock.advance(timedelta(seconds=seconds))
        served.append(0)
        if len(served) == after:
            sent = other.run_send(named("b"), queue_id="queue-id-9")
            assert (sent.state, sent.line) == (State.DEFERRED, "noreply")
            served.append(other.serve(sent.line))

    went = serve_line(replace(bench.serve_tools(), pause=pause), "noreply")
    assert went + sum(served) == 2
    assert bench.subjects == ["a", "b"]
    assert bench.line == []


# What comes of each.


def test_one_that_goes_again_leaves_the_line_and_is_found_by_its_time(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b"))
    bench.mailer.script = [BUSY]
    assert bench.serve() == 1  # the server did not come to count the first
    assert bench.subjects == ["a", "b"]
    entry = bench.ledger.find("a")
    assert entry is not None
    assert (entry.state, entry.attempts) == (State.DEFERRED, 1)
    assert bench.line == []
    (back,) = [put for put in bench.outbox.puts if put.text == waiting_body("a")]
    assert back.delay + BROUGHT_BACK_EARLY == timedelta(seconds=15)


def test_one_that_is_settled_already_leaves_the_line(bench: Bench) -> None:
    bench.queue_up(named("a"))
    (place,) = bench.room.head(line_of("noreply"), most=1)
    bench.serve()
    bench.room.join(place)  # a removal that did not come through
    bench.register.change("noreply", lambda state: replace(state, line=True))
    again = bench.another()
    assert again.serve() == 0
    assert (bench.line, len(bench.mailer.submitted)) == ([], 1)


def test_one_that_the_ledger_does_not_know_leaves_the_line(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b"))
    bench.ledger.remove("a")
    assert bench.serve() == 1
    assert (bench.line, bench.subjects) == ([], ["b"])


def test_a_message_in_a_blob_is_fetched_when_its_turn_comes(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message()
    bench.queue_up(CHECK)
    assert bench.serve() == 1
    assert bench.state_of("order-17") is State.ACCEPTED


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (message(text="Hello, Bob"), "blob: it holds another message now than the one that waits"),
        (message(id="order-18"), "blob: it holds another message now than the one that waits"),
        (b"not json", "message: it is not valid JSON: expecting value at line 1, column 1"),
        (None, f"blob: there is no {PATH} in the container mail-payloads"),
    ],
    ids=["other text", "other id", "broken", "gone"],
)
def test_a_message_whose_blob_is_not_what_it_was_ends_under_its_own_id(
    bench: Bench, blob: bytes | None, reason: str
) -> None:
    bench.payloads.blobs[PATH] = message(metadata={"tenant": "contoso"})
    bench.queue_up(CHECK, named("b"))
    if blob is None:
        del bench.payloads.blobs[PATH]
    else:
        bench.payloads.blobs[PATH] = blob
    assert bench.serve() == 1
    entry = bench.ledger.find("order-17")
    assert entry is not None
    assert (entry.state, entry.reason, entry.attempts) == (State.REJECTED, reason, 0)
    told = [each for each in bench.events.told if each.id == "order-17"]
    assert [(each.state.value, each.metadata) for each in told] == [
        ("deferred", {"tenant": "contoso"}),
        ("rejected", {"tenant": "contoso"}),
    ]
    assert (bench.line, bench.subjects) == ([], ["b"])


def test_an_address_that_mail_toml_no_longer_has_throws_no_waiting_mail_away(bench: Bench) -> None:
    bench.queue_up(named("a", **{"from": BILLING}))
    bench.senders = {"noreply": replace(UNHURRIED, also_from=())}
    bench.serve()
    assert bench.state_of("a") is State.DEFERRED


# Who has it in hand.


def one_that_died(bench: Bench) -> None:
    """Let another instance take the first in line, and end there."""
    other = bench.another("instance-9")
    other.mailer.script = [Crash()]
    with pytest.raises(Crash):
        other.serve()
    bench.mailer.submitted.clear()


def test_the_message_of_an_instance_that_may_live_is_passed_and_looked_at_again(bench: Bench) -> None:
    bench.queue_up(named("a"))
    one_that_died(bench)
    bench.clock.advance(timedelta(seconds=60))  # its promises and leases have ended
    assert bench.serve(called=True) == 0
    assert (bench.line, bench.state.line) == (["a"], True)
    assert bench.state_of("a") is State.SENDING
    bench.clock.advance(LOST_AFTER)
    bench.release()
    assert bench.calls
    assert bench.serve(called=True) == 1
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts) == (State.ACCEPTED, 2)
    assert bench.line == []


def test_others_go_past_one_that_is_in_other_hands(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b"))
    one_that_died(bench)
    bench.clock.advance(timedelta(seconds=60))
    assert bench.serve(called=True) == 1
    assert (bench.subjects, bench.line) == (["b"], ["a"])


def test_the_message_of_an_instance_that_is_known_to_live_is_not_taken(bench: Bench) -> None:
    bench.queue_up(named("a"))
    one_that_died(bench)
    place = Place("instance-9", 1, bench.clock() + timedelta(minutes=10))
    bench.register.change("noreply", lambda state: replace(state, pace=replace(state.pace, places=(place,))))
    bench.clock.advance(2 * LOST_AFTER)
    assert bench.serve(called=True) == 0
    assert (bench.line, bench.state_of("a")) == (["a"], State.SENDING)
    bench.clock.now = place.until
    assert bench.serve(called=True) == 1
    assert bench.state_of("a") is State.ACCEPTED


def test_a_dead_instances_message_is_in_doubt_where_it_is_to_be_held_then(bench: Bench) -> None:
    bench.queue_up(named("a", on_doubt="hold"))
    one_that_died(bench)
    bench.clock.advance(LOST_AFTER)
    assert bench.serve(called=True) == 0
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts, bench.line) == (State.IN_DOUBT, 1, [])
    assert bench.mailer.submitted == []


def test_a_message_that_a_delivery_of_the_queue_has_leaves_the_line_to_it(bench: Bench) -> None:
    bench.queue_up(named("a"))
    bench.register.change("noreply", lambda state: replace(state, line=False))
    other = bench.another()
    meanwhile(bench, lambda: bench.serve() == 0)
    assert other.send(named("a"), queue_id="queue-id-2") is State.ACCEPTED
    assert (len(bench.mailer.submitted), bench.line) == (1, [])


def test_a_race_for_one_is_looked_at_again(bench: Bench) -> None:
    bench.queue_up(named("a"))
    bench.register.change("noreply", lambda state: replace(state, line=False))
    other = bench.another()
    bench.register.change("noreply", lambda state: replace(state, line=True))

    def faster(name: str) -> None:
        if name == "update":
            bench.ledger.before = lambda _: None
            other.register.change("noreply", lambda state: replace(state, line=False, serving={}))
            assert other.send(named("a"), queue_id="queue-id-2") is State.ACCEPTED

    bench.ledger.before = faster
    assert bench.serve() == 0
    assert (len(bench.mailer.submitted), bench.line) == (1, [])


# Addresses that are held.


def hold_billing(bench: Bench) -> None:
    hold = new_hold("send-as-denied", "not as billing", proof=Proof.MESSAGE, now=bench.clock())
    bench.holds.hold(NOREPLY, hold, address=BILLING)


def test_one_whose_address_is_held_steps_aside_and_others_pass(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b", **{"from": BILLING}), named("c"), named("d", **{"from": BILLING}))
    hold_billing(bench)
    assert bench.serve() == 2
    assert bench.subjects == ["a", "c"]
    assert (bench.line, bench.room.ids_in(ASIDE)) == ([], ["b", "d"])
    for name in ("b", "d"):
        entry = bench.ledger.find(name)
        assert entry is not None
        assert (entry.state, entry.reason, entry.attempts) == (State.HELD, "not as billing", 0)


def test_an_address_that_is_refused_in_the_middle_steps_aside_with_all_its_mail(bench: Bench) -> None:
    bench.queue_up(named("a", **{"from": BILLING}), named("b"), named("c", **{"from": BILLING}))
    bench.mailer.script = [NOT_AS]
    bench.serve()
    assert bench.subjects == ["a", "b"]
    assert (bench.line, bench.room.ids_in(ASIDE)) == ([], ["a", "c"])
    assert bench.state_of("a") is bench.state_of("c") is State.HELD


def test_mail_of_an_address_that_may_send_again_does_not_step_aside_any_more(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b", **{"from": BILLING}), named("c"), named("d"))
    hold_billing(bench)
    bench.serve()
    bench.queue_up(named("e"), named("f"), named("g"))
    other = bench.another()
    # The one that serves has read that the address is held, and learns of nothing.
    meanwhile(
        bench,
        lambda: other.holds.resume(NOREPLY, address=BILLING, why="a person resumed it"),
        lambda: bench.clock.advance(timedelta(seconds=4)),
    )
    bench.serve()
    for _ in range(5):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert bench.state_of("b") is State.ACCEPTED
    assert (bench.line, bench.room.ids_in(ASIDE)) == ([], [])


def test_one_that_tries_its_address_and_goes_through_takes_all_the_others_along(bench: Bench) -> None:
    bench.queue_up(*(named(name, **{"from": BILLING}) for name in "abc"))
    hold_billing(bench)
    bench.serve()
    assert bench.room.ids_in(ASIDE) == ["a", "b", "c"]
    for _ in range(5):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert {bench.state_of(name) for name in "abc"} == {State.ACCEPTED}
    assert (bench.line, bench.room.ids_in(ASIDE)) == ([], [])


def test_one_whose_instance_died_while_its_address_was_held_is_not_lost(bench: Bench) -> None:
    bench.queue_up(named("a", **{"from": BILLING}))
    one_that_died(bench)
    hold_billing(bench)
    bench.clock.advance(LOST_AFTER)
    bench.serve(called=True)
    bench.holds.resume(NOREPLY, address=BILLING, why="a person resumed it")
    for _ in range(40):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert bench.state_of("a") is State.ACCEPTED


# The sender is stopped in the middle.


@pytest.mark.parametrize(
    ("script", "tried"),
    [([TOO_MANY], 1), ([REFUSED, REFUSED], 2)],
    ids=["too many at once", "the token is refused"],
)
def test_what_stops_the_sender_is_tried_once_and_no_other_message_with_it(
    bench: Bench, script: list[Submission], tried: int
) -> None:
    bench.queue_up(*map(named, "abcde"))
    bench.mailer.script = list(script)
    assert bench.serve() == 0
    assert len(bench.mailer.submitted) == tried
    assert sorted(bench.line) == ["a", "b", "c", "d", "e"]
    entry = bench.ledger.find("a")
    assert entry is not None
    assert entry.attempts == 0


def test_a_pause_in_the_middle_lets_the_line_go_on_when_it_is_over(bench: Bench) -> None:
    bench.queue_up(*map(named, "abc"))
    bench.mailer.script = [ACCEPTED, TOO_MANY]
    bench.serve()
    pause = bench.state.pause
    assert pause is not None
    (call,) = bench.calls
    bench.clock.advance(call.delay)
    assert bench.clock() >= pause.until
    assert bench.serve(called=True) == 2
    assert sorted(bench.subjects) == ["a", "b", "b", "c"]


def test_a_paused_sender_is_not_served(bench: Bench) -> None:
    bench.queue_up(named("a"))
    bench.holds.wait(NOREPLY, Pause(bench.clock() + timedelta(minutes=1), "too many at once"))
    assert bench.serve() == 0
    assert (bench.line, bench.mailer.submitted) == (["a"], [])


def test_mail_that_went_straight_into_a_long_pause_flows_when_it_is_over(bench: Bench) -> None:
    quota = Submission(Phase.END_OF_DATA, Reply(554, ("5.2.0 SubmissionQuotaExceeded",)))
    bench.mailer.script = [quota]
    sent = bench.deliver(named("a"))
    assert sent.state is State.DEFERRED
    pause = bench.state.pause
    assert pause is not None
    assert pause.until - bench.clock() == timedelta(hours=1)
    bench.outbox.puts.clear()
    bench.clock.now = pause.until - timedelta(seconds=30)
    bench.release()
    (call,) = bench.calls
    bench.clock.advance(call.delay)
    assert bench.serve(called=True) == 1
    assert bench.state_of("a") is State.ACCEPTED


# Who serves.


def test_one_at_a_time_serves(bench: Bench) -> None:
    bench.queue_up(*map(named, "abc"))
    other = bench.another()
    seen: list[int] = []
    meanwhile(bench, lambda: seen.append(other.serve()))
    assert bench.serve() == 3
    assert seen == [0]
    assert bench.calls == []


def test_a_sender_that_mail_toml_does_not_have_is_not_served(bench: Bench) -> None:
    assert bench.serve("nobody", called=True) == 0
    assert (bench.outbox.puts, bench.states.all()) == ([], [])


def test_after_some_minutes_another_run_goes_on(bench: Bench) -> None:
    bench.queue_up(*(named(f"n{number}") for number in range(10)))
    bench.mailer.meanwhile = lambda: bench.clock.advance(timedelta(minutes=6))
    assert timedelta(minutes=12) < SERVE_FOR <= timedelta(minutes=20)
    assert bench.serve() == 3  # 17.5 minutes at the middle of the spread
    assert [(put.text, put.delay) for put in bench.outbox.puts] == [(call_body("noreply"), timedelta())]
    assert bench.state.line is True
    other = bench.another()
    assert other.serve() == 0  # the call sees to it
    bench.mailer.meanwhile = lambda: None
    assert other.serve(called=True) == 7
    assert bench.subjects == [f"n{number}" for number in range(10)]
    assert bench.line == []


def test_a_call_that_is_lost_is_made_good_by_release(bench: Bench) -> None:
    bench.queue_up(*(named(f"n{number}") for number in range(6)))
    bench.mailer.meanwhile = lambda: bench.clock.advance(timedelta(minutes=6))
    bench.serve()
    bench.outbox.puts.clear()
    bench.clock.advance(timedelta(minutes=1))
    bench.release()
    assert [put.delay for put in bench.calls] == [timedelta()]


def test_a_process_that_serves_as_many_lines_as_it_can_calls_another(bench: Bench) -> None:
    bench.queue_up(named("a"))
    for number in range(MOST_SERVED):
        busy = replace(SENDERS["reports"], name=f"busy-{number}")
        assert bench.pacer.begin_serving(busy) is Service.MINE
    assert bench.serve() == 0
    (call,) = bench.outbox.puts
    assert (call.text, call.delay) == (call_body("noreply"), timedelta(seconds=2))
    bench.clock.advance(call.delay)
    other = bench.another()
    assert other.serve(called=True) == 1
    assert bench.line == []


# A process that lives on after storage failed in the middle.


def fails_once(twin: object, moment: str, name: str) -> None:
    def fail(called: str) -> None:
        if called == name:
            setattr(twin, moment, lambda _: None)
            raise StorageError("no answer")

    setattr(twin, moment, fail)


@pytest.mark.parametrize(
    "write",
    [
        "states before save",
        "states after save",
        "ledger after update",
        "room before leave",
        "room after leave",
        "events before tell",
    ],
)
def test_a_failure_in_the_middle_keeps_nobody_from_being_served_by_the_same_process(
    bench: Bench, write: str
) -> None:
    bench.queue_up(named("a"), named("b"))
    twin, moment, name = write.split()
    fails_once(getattr(bench, twin), moment, name)
    with contextlib.suppress(StorageError):  # in the middle it goes on by itself
        bench.serve()
    for _ in range(5):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert bench.state_of("a") is bench.state_of("b") is State.ACCEPTED
    assert len(bench.mailer.submitted) == 2
    bench.queue_up(named("c"))
    assert bench.serve(called=True) == 1


def test_one_answer_of_storage_that_does_not_come_leaves_the_line_served(bench: Bench) -> None:
    bench.queue_up(named("a"), named("b"))
    fails_once(bench.events, "before", "tell")
    bench.serve()
    assert bench.state_of("a") is bench.state_of("b") is State.ACCEPTED
    assert bench.line == []


def test_an_end_whose_telling_broke_off_is_told_when_the_line_is_served_again(bench: Bench) -> None:
    bench.queue_up(named("a"))
    fails_once(bench.events, "before", "tell")
    bench.serve()
    bench.clock.advance(timedelta(minutes=1))
    bench.release()
    bench.another().serve(called=True)
    assert ("a", State.ACCEPTED) in bench.events.states
