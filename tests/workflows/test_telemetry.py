"""What is counted and measured where: each state once, the oldest that waits, and what upkeep sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.holds import Proof, new_hold
from shared.core.metrics import Metric
from shared.core.smtp import Phase, Reply, Submission
from shared.errors import StorageError
from tests.twins import NOON, grant
from tests.workflows.conftest import SENDERS, Bench, message

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = Submission(Phase.MAIL, Reply(451, ("4.3.2 Please try again later",)))
UNKNOWN = Submission(Phase.RCPT, Reply(550, ("5.1.10 RESOLVER.ADR.RecipientNotFound",)))
DISABLED = Submission(
    Phase.AUTH, Reply(535, ("5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",))
)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("answer", "metric"),
    [
        ([], Metric.ACCEPTED),
        ([BUSY], Metric.DEFERRED),
        ([UNKNOWN], Metric.REJECTED),
        ([DISABLED], Metric.HELD),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_a_state_is_counted_once_with_its_sender(
    bench: Bench, answer: list[Submission], metric: Metric
) -> None:
    bench.mailer.script = list(answer)
    bench.send(message())
    assert bench.telemetry.counts == [(metric, {"sender": "noreply"})]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_state_is_counted_once_where_storage_takes_it_down_at_the_second_try(
    bench: Bench, moment: str
) -> None:
    bench.mailer.meanwhile = lambda: setattr(bench.ledger, moment, _first_update(StorageError("no answer")))
    assert bench.send(message()) is State.ACCEPTED
    assert bench.pauses
    assert bench.telemetry.counts == [(Metric.ACCEPTED, {"sender": "noreply"})]


def _first_update(error: Exception) -> Callable[[str], None]:
    left = [error]

    def reached(name: str) -> None:
        if name == "update" and left:
            raise left.pop()

    return reached


def test_a_message_that_the_queue_hands_over_again_is_not_counted_again(bench: Bench) -> None:
    bench.send(message())
    bench.send(message(), times=2)
    bench.send(message(), queue_id="queue-id-2")
    assert bench.telemetry.counts == [(Metric.ACCEPTED, {"sender": "noreply"})]


def test_a_refusal_that_the_queue_hands_over_again_is_not_counted_again(bench: Bench) -> None:
    for times in (1, 2, 3):
        bench.send(b"Hello, Ada!", times=times)
        bench.clock.advance(MINUTE)
    assert bench.telemetry.counts == [(Metric.REJECTED, {"sender": "unknown"})]


def test_an_attempt_that_is_put_off_and_one_that_works_are_counted_as_they_end(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.send_what_waits()
    assert [metric for metric, _ in bench.telemetry.counts] == [Metric.DEFERRED, Metric.ACCEPTED]
    attempts = [said["attempt"] for name, said in bench.telemetry.spans if name == "attempt"]
    assert attempts == [1, 2]


# The oldest that waits.


def oldest(bench: Bench) -> list[tuple[float, str]]:
    """Let `release` run, and return what it says."""
    bench.telemetry.gauges.clear()
    bench.release()
    return [
        (value, said["sender"])
        for metric, value, said in bench.telemetry.gauges
        if metric is Metric.OLDEST_WAITING
    ]


def test_the_oldest_in_a_line_is_measured_from_when_it_came_there(bench: Bench) -> None:
    bench.queue_up(message(id="a"))
    bench.clock.advance(MINUTE)
    bench.queue_up(message(id="b"))
    bench.clock.advance(MINUTE)
    assert oldest(bench) == [(120, "noreply")]


def test_an_old_one_of_low_priority_is_not_hidden_by_what_goes_before_it(bench: Bench) -> None:
    bench.queue_up(message(id="newsletter", priority="low"))
    bench.clock.advance(10 * MINUTE)
    bench.queue_up(message(id="code", priority="high"), message(id="order"))
    bench.clock.advance(MINUTE)
    ((seconds, sender),) = oldest(bench)
    assert (int(seconds), sender) == (660, "noreply")


def test_a_held_sender_is_not_measured_for_it_has_an_alarm_of_its_own(bench: Bench) -> None:
    bench.queue_up(message(id="a"))
    hold = new_hold("smtp-auth-disabled-for-mailbox", "it is off", proof=Proof.MESSAGE, now=NOON)
    bench.register.change("noreply", lambda state: replace(state, hold=hold))
    bench.clock.advance(MINUTE)
    assert oldest(bench) == []


def test_nothing_is_measured_where_nobody_waits(bench: Bench) -> None:
    bench.send(message())
    assert oldest(bench) == []


# Upkeep.


def test_upkeep_counts_what_came_of_each_sender_and_measures_its_token() -> None:
    bench = Bench(keeps=True)
    bench.grants.grants["noreply"] = grant(SENDERS["noreply"].consenting_account)
    bench.upkeep()
    assert sorted((metric, said["sender"], said["outcome"]) for metric, said in bench.telemetry.counts) == [
        (Metric.REFRESHES, "noreply", "still fresh"),
        (Metric.REFRESHES, "reports", "consent required"),
    ]
    assert bench.telemetry.gauges == [(Metric.TOKEN_LEFT, 3600.0, {"sender": "noreply"})]
