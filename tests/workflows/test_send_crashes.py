"""
What a crash costs, at every point of the way.

The queue delivers again what a process took and did not finish. Nothing is lost, and only what dies between
the server's yes and our record of it is sent twice, with the same octets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.core.claims import CLAIM_LEASE
from shared.core.delivery import State
from tests.twins import Crash, ScriptedMailer, ScriptedTokens
from tests.workflows.conftest import Bench, lines, message
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    from collections.abc import Callable


def crash_at(name: str, times: int = 1) -> Callable[[str], None]:
    """Return what lets the process end at the ``times``-th call of this name, and never again."""
    left = [times]

    def look(called: str) -> None:
        if called == name:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    return look


def before_the_claim(bench: Bench) -> None:
    bench.ledger.before = crash_at("add")


def after_the_claim(bench: Bench) -> None:
    bench.ledger.after = crash_at("add")


def at_the_token(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(Crash())


def before_the_server_hears_all(bench: Bench) -> None:
    bench.mailer = ScriptedMailer(Crash())


def after_the_servers_yes(bench: Bench) -> None:
    bench.ledger.before = crash_at("update")


def after_the_record(bench: Bench) -> None:
    bench.ledger.after = crash_at("update")


@pytest.mark.parametrize(
    ("crash", "handed_over", "attempts"),
    [
        (before_the_claim, 1, 1),
        (after_the_claim, 1, 2),
        (at_the_token, 1, 2),
        (before_the_server_hears_all, 2, 2),
        (after_the_servers_yes, 2, 2),
        (after_the_record, 1, 1),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_crash_costs(
    bench: Bench, crash: Callable[[Bench], None], handed_over: int, attempts: int
) -> None:
    crash(bench)
    with pytest.raises(Crash):
        bench.send(message())
    bench.send(message(), times=2)
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts) == (State.ACCEPTED, attempts)
    assert len(bench.mailer.submitted) == handed_over
    assert len({sent.mime for sent in bench.mailer.submitted}) == 1
    assert bench.ledger.ids() == {"order-17"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_record_of_a_deferral_keeps_the_message_going(bench: Bench, moment: str) -> None:
    bench.mailer.script = [BUSY, BUSY]
    setattr(bench.ledger, moment, crash_at("update"))
    with pytest.raises(Crash):
        bench.send(message())
    bench.send(message(), times=2)
    assert bench.ledger.only().state is State.DEFERRED
    bench.mailer.script = []
    assert bench.send_what_waits() is State.ACCEPTED


def test_a_crash_before_it_was_put_back_keeps_the_message_going(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.outbox.before = crash_at("put")
    with pytest.raises(Crash):
        bench.send(message())
    assert bench.send(message(), times=2) is None  # it is not due yet: only now it is put back
    assert bench.send_what_waits() is State.ACCEPTED
    assert bench.ledger.only().attempts == 2


def test_a_crash_of_a_later_attempt_is_made_good_like_one_of_the_first(bench: Bench) -> None:
    bench.mailer.script = [BUSY, Crash()]
    bench.send(message())
    with pytest.raises(Crash):
        bench.send_what_waits()
    body = bench.outbox.puts[-1].text.encode()
    assert bench.send(body, queue_id="queue-id-2", times=2) is State.ACCEPTED
    assert bench.ledger.only().attempts == 3


def test_two_copies_on_the_queue_are_sent_once(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.send(message(), times=2)  # the host ended before it deleted the queue message
    assert bench.send_what_waits(queue_id="queue-id-2") is State.ACCEPTED
    assert bench.send(bench.outbox.puts[0].text.encode(), queue_id="queue-id-3") is None
    assert len(bench.mailer.submitted) == 2


# Who holds the claim.


def test_the_same_message_under_another_queue_message_waits_for_the_one_that_is_sent(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[State | None] = []
    bench.mailer.meanwhile = lambda: states.append(_second(bench).send(message(), queue_id="queue-id-2"))
    assert bench.send(message()) is State.ACCEPTED
    assert states == [None]
    assert len(bench.mailer.submitted) == 1
    assert ("INFO", "mail-ignored") in [(level, event) for level, event, _ in lines(caplog)]


def test_a_claim_whose_holder_never_comes_back_is_taken_over_when_it_ends(bench: Bench) -> None:
    bench.mailer.script = [Crash()]
    with pytest.raises(Crash):
        bench.send(message())
    bench.clock.advance(CLAIM_LEASE / 2)
    assert bench.send(message(), queue_id="queue-id-2") is None
    bench.clock.advance(CLAIM_LEASE / 2)
    assert bench.send(message(), queue_id="queue-id-2", times=2) is State.ACCEPTED


def test_a_claim_that_was_lost_leaves_the_new_holders_record_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def taken_over() -> None:
        bench.mailer.meanwhile = lambda: None
        bench.clock.advance(CLAIM_LEASE)
        assert _second(bench).send(message(), queue_id="queue-id-2") is State.ACCEPTED

    bench.mailer.meanwhile = taken_over
    bench.mailer.script = [BUSY]
    assert bench.send(message()) is None
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts) == (State.ACCEPTED, 2)
    level, event, said = lines(caplog)[-1]
    assert (level, event) == ("ERROR", "mail-ignored")
    assert said == (
        "message order-17 was taken over while it was being sent; "
        "this attempt ended as deferred: 451 4.3.2 Please try again later"
    )
    assert bench.outbox.puts == []


def test_a_race_for_the_claim_is_looked_at_again(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.clock.advance(bench.outbox.puts[-1].delay)
    body = bench.outbox.puts[-1].text.encode()

    def faster(called: str) -> None:
        if called == "update":
            bench.ledger.before = lambda _: None
            assert _second(bench).send(body, queue_id="queue-id-3") is State.ACCEPTED

    bench.ledger.before = faster
    assert bench.send(body, queue_id="queue-id-2") is None
    assert len(bench.mailer.submitted) == 1


def test_an_id_that_was_freed_meanwhile_is_claimed_anew(bench: Bench) -> None:
    bench.send(message())

    def freed(called: str) -> None:
        if called == "add":
            bench.ledger.after = lambda _: None
            bench.ledger.remove("order-17")

    bench.ledger.after = freed
    assert bench.send(message(), queue_id="queue-id-2") is State.ACCEPTED


def _second(bench: Bench) -> Bench:
    """Return another instance on the same ledger and queue."""
    return Bench(clock=bench.clock, ledger=bench.ledger, outbox=bench.outbox, mailer=ScriptedMailer())
