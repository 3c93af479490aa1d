"""What nobody has any use for any more is not sent: it ends as expired, at its time, wherever it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.holds import Pause
from tests.twins import NOON
from tests.workflows.conftest import BILLING, UNHURRIED, Bench, lines, message
from tests.workflows.test_holds import by_hand
from tests.workflows.test_send import BUSY
from tests.workflows.test_send_at import at
from tests.workflows.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

# What waits is brought back a moment before it expires, and may wait in its thread for the rest.
PUNCTUAL = timedelta(seconds=2)


def expired_at(told: World, message_id: str) -> timedelta:
    """Return how long after noon a message expired: never sent, and told once."""
    entry = told.instance.ledger.find(message_id)
    assert entry is not None
    assert (entry.state, entry.reply) == (State.EXPIRED, "")
    assert (entry.body, entry.due_at, entry.lease_until, entry.claimed_by) == (b"", None, None, None)
    assert told.accepted[message_id] == 0
    assert [each.id for each in told.instance.events.told if each.state is State.EXPIRED] == [message_id]
    return entry.updated_at - NOON


def test_one_that_comes_too_late_is_recorded_and_not_sent(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    assert bench.send(message(expires_at=at(-1))) is State.EXPIRED
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts, entry.changes) == (State.EXPIRED, 0, 1)
    assert entry.reason == "its expires_at 2026-11-24T11:59:59+00:00 passed before it could be sent"
    assert bench.events.states == [("order-17", State.EXPIRED)]
    assert [(level, word) for level, word, _ in lines(caplog)] == [("WARNING", "mail-expired")]
    assert (bench.mailer.submitted, bench.outbox.puts) == ([], [])


def test_too_late_and_delivered_again_it_is_recorded_once(bench: Bench) -> None:
    bench.send(message(expires_at=at(-1)))
    assert bench.send(message(expires_at=at(-1)), times=2) is None
    assert bench.ledger.only().changes == 1


def test_what_expires_later_goes(bench: Bench) -> None:
    assert bench.send(message(expires_at=at(1))) is State.ACCEPTED


def test_the_very_moment_is_too_late(bench: Bench) -> None:
    assert bench.send(message(expires_at=at(0))) is State.EXPIRED


def test_scheduled_mail_that_an_outage_outlasts_is_not_sent_late() -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(600), expires_at=at(1_200)))
    told.run(1)
    told.pass_by(30)
    told.run(2)
    assert expired_at(told, "a") >= timedelta(minutes=20)
    assert told.left() == []


def held_sender(told: World) -> None:
    told.instance.holds.hold(UNHURRIED, by_hand())


def held_address(told: World) -> None:
    told.instance.holds.hold(UNHURRIED, by_hand(), address=BILLING)


def paused(told: World) -> None:
    told.instance.holds.wait(UNHURRIED, Pause(NOON + timedelta(hours=2), "too many at once"))


def busy(told: World) -> None:
    told.server.script = [BUSY] * 20


@pytest.mark.parametrize("seconds", [40, 200, 1_800])
@pytest.mark.parametrize(
    ("stop", "state"),
    [
        (held_sender, State.HELD),
        (held_address, State.HELD),
        (paused, State.DEFERRED),
        (busy, State.DEFERRED),
    ],
)
def test_wherever_it_waits_it_expires_at_its_time(
    stop: Callable[[World], None], state: State, seconds: int
) -> None:
    told = World()
    stop(told)
    told.put(message(id="a", subject="a", expires_at=at(seconds), **{"from": BILLING}))
    told.run(0)
    assert told.instance.state_of("a") is state
    told.run(31)
    late = expired_at(told, "a") - timedelta(seconds=seconds)
    assert timedelta() <= late <= PUNCTUAL
    (reason,) = {each.reason for each in told.instance.ledger.history("a") if each.state is State.EXPIRED}
    assert "passed before it could be sent; it waited because " in reason


@pytest.mark.parametrize("stop", [held_sender, held_address])
def test_resumed_after_that_nothing_of_it_goes(stop: Callable[[World], None]) -> None:
    told = World()
    stop(told)
    told.put(message(id="a", subject="a", expires_at=at(200), **{"from": BILLING}))
    told.put(message(id="b", subject="b", **{"from": BILLING}), after=1)
    told.run(10)
    told.ask(lambda bench: bench.holds.resume(UNHURRIED, why="resumed"))
    told.ask(lambda bench: bench.holds.resume(UNHURRIED, address=BILLING, why="resumed"))
    told.run(5)
    assert told.states() == {"a": "expired", "b": "accepted"}
    assert told.left() == []


def test_a_window_that_opens_after_it_expires_never_lets_it_go() -> None:
    window = {"days": ["wed"], "from": "08:00", "to": "09:00", "time_zone": "UTC"}
    told = World()
    told.put(message(id="a", subject="a", window=window, expires_at=at(600)))
    told.run(30)
    late = expired_at(told, "a") - timedelta(seconds=600)
    assert timedelta() <= late <= PUNCTUAL
    assert told.left() == []


def test_what_is_moved_beyond_its_expiry_expires_when_it_said() -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(300), expires_at=at(600)))
    later = NOON + timedelta(minutes=30)
    told.ask(lambda bench: bench.amender().amend("a", send_at=later), after=60)
    told.run(45)
    late = expired_at(told, "a") - timedelta(seconds=600)
    assert timedelta() <= late <= PUNCTUAL


def test_of_two_deliveries_of_what_has_expired_one_records_it() -> None:
    told = World()
    body = message(id="a", subject="a", send_at=at(300), expires_at=at(600))
    told.put(body)
    told.run(1)
    told.pass_by(20)
    told.put(body)
    told.run(5)
    assert expired_at(told, "a") >= timedelta(seconds=600)


@pytest.mark.parametrize("expires_at", ["0001-01-01T00:00:00Z", "1600-12-31T23:59:59Z"])
def test_a_time_before_all_calendars_of_storage_is_refused(bench: Bench, expires_at: str) -> None:
    assert bench.send(message(expires_at=expires_at)) is State.REJECTED
