"""A message with a time goes once, at that time and never before it; far off it is not on the outbox."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.core.delivery import State
from shared.core.intake import waiting_body
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.scribe import SOON
from tests.twins import NOON, Crash
from tests.workflows.conftest import UNHURRIED, Bench, lines, message
from tests.workflows.test_holds import by_hand
from tests.workflows.test_send_crashes import crash_at
from tests.workflows.test_send_in_line import hold
from tests.workflows.world import World


def at(seconds: float) -> str:
    """Return the time so many seconds after noon as an app writes it."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def run(world: World, *bodies: bytes, minutes: int = 10) -> World:
    for body in bodies:
        world.put(body)
    world.run(minutes)
    return world


@pytest.mark.parametrize("seconds", [0.5, 3, 5, 5.001, 8, 30, 74.9, 75, 75.1, 119, 120, 3_601.25])
def test_it_goes_once_within_two_seconds_of_its_time_and_never_before(seconds: float) -> None:
    told = run(World(), message(id="a", subject="a", send_at=at(seconds)), minutes=65)
    (went,) = told.accepted_after("a")
    assert seconds <= went <= seconds + 2
    assert (told.states(), told.left()) == ({"a": "accepted"}, [])


@pytest.mark.parametrize("seconds", [0, -1, -86_400])
def test_a_time_that_has_passed_means_now(bench: Bench, seconds: float) -> None:
    assert bench.send(message(send_at=at(seconds))) is State.ACCEPTED
    assert (bench.pauses, bench.outbox.puts) == ([], [])
    entry = bench.ledger.only()
    assert (entry.attempts, entry.reason, entry.changes) == (1, "", 2)


@pytest.mark.parametrize("days", [1, 400, 36_500])
def test_far_off_it_waits_in_the_room_and_not_on_the_outbox(bench: Bench, days: int) -> None:
    assert bench.send(message(send_at=at(days * 86_400))) is State.SCHEDULED
    entry = bench.ledger.only()
    assert (entry.state, entry.due_at, entry.attempts) == (
        State.SCHEDULED,
        NOON + timedelta(days=days),
        0,
    )
    assert (entry.body, entry.date, entry.claimed_by) == (message(send_at=at(days * 86_400)), None, None)
    for _ in range(3):
        bench.clock.advance(timedelta(hours=1))
        assert bench.release() == 0
    assert (bench.outbox.puts, bench.mailer.submitted) == ([], [])
    assert [(due.message_id, due.at) for due in bench.room.dues()] == [
        ("order-17", NOON + timedelta(days=days))
    ]


def test_what_is_due_before_release_comes_by_again_is_on_the_outbox_at_once(bench: Bench) -> None:
    assert bench.send(message(send_at=at(SOON.total_seconds()))) is State.SCHEDULED
    assert [(put.text, put.delay) for put in bench.outbox.puts] == [
        (waiting_body("order-17"), SOON - BROUGHT_BACK_EARLY)
    ]
    assert bench.room.dues() == []


def test_what_is_at_hand_waits_where_it_is_and_is_written_down_once(bench: Bench) -> None:
    assert bench.send(message(send_at=at(4))) is State.ACCEPTED
    assert (bench.pauses, bench.clock() - NOON) == ([4.0], timedelta(seconds=4))
    assert [change.state for change in bench.ledger.history("order-17")] == [State.SENDING, State.ACCEPTED]


def test_an_hour_zone_is_only_another_way_to_write_the_moment(bench: Bench) -> None:
    bench.send(message(send_at="2026-11-24T23:45:00+05:45"))
    assert bench.ledger.only().due_at == NOON + timedelta(hours=6)


def test_the_schedule_is_history_and_the_date_is_that_of_the_sending(bench: Bench) -> None:
    bench.send(message(send_at=at(3_600)))
    assert bench.send_what_waits() is State.ACCEPTED
    history = bench.ledger.history("order-17")
    assert [(each.state, each.attempt, each.at - NOON) for each in history] == [
        (State.SCHEDULED, 0, timedelta()),
        (State.SENDING, 1, timedelta(hours=1)),
        (State.ACCEPTED, 1, timedelta(hours=1)),
    ]
    assert bench.ledger.only().date == NOON + timedelta(hours=1)


def test_being_scheduled_is_said_once_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.send(message(send_at=at(3_600)))
    bench.send(message(send_at=at(3_600)), times=2)
    words = [(level, word) for level, word, _ in lines(caplog)]
    assert words == [("INFO", "mail-scheduled"), ("INFO", "mail-ignored")]


@pytest.mark.parametrize("late", [timedelta(minutes=2), timedelta(hours=5), timedelta(days=30)])
def test_after_an_outage_it_goes_late_and_the_history_says_how_late(late: timedelta) -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(600)))
    told.run(1)
    told.pass_by(9)
    told.clock.advance(late)
    told.run(2)
    assert told.states() == {"a": "accepted"}
    (claimed,) = [
        each for each in told.instance.ledger.history("a") if each.state is State.SENDING and each.reason
    ]
    how_late = claimed.at - NOON - timedelta(seconds=600)
    assert how_late >= late
    said = str(timedelta(seconds=round(how_late.total_seconds())))
    assert claimed.reason == f"{said} late: it was due at 2026-11-24T12:10:00+00:00"


def test_one_that_goes_at_its_time_says_nothing_of_being_late() -> None:
    told = run(World(), message(id="a", subject="a", send_at=at(200)))
    assert [each.reason for each in told.instance.ledger.history("a")] == ["", "", ""]


@pytest.mark.parametrize("known", ["scheduled", "due", "accepted"])
def test_the_same_message_again_is_ignored(known: str) -> None:
    body = message(id="a", subject="a", send_at=at(300))
    told = World()
    told.put(body)
    told.put(body, after={"scheduled": 60, "due": 300, "accepted": 320}[known])
    told.put(body, after=400)
    told.run(10)
    (went,) = told.accepted_after("a")
    assert 300 <= went <= 302
    assert (told.states(), told.left()) == ({"a": "accepted"}, [])


def test_the_same_id_with_another_time_is_other_content(bench: Bench) -> None:
    bench.send(message(send_at=at(3_600)))
    assert bench.send(message(send_at=at(60)), queue_id="queue-id-2") is State.REJECTED
    entry = bench.ledger.find("order-17")
    assert entry is not None
    assert (entry.state, entry.due_at) == (State.SCHEDULED, NOON + timedelta(hours=1))
    refused = bench.ledger.find("queue-id-2")
    assert refused is not None
    assert "other content" in refused.reason


def test_a_held_sender_holds_what_falls_due_and_lets_it_go_afterwards() -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(300)))
    told.ask(lambda bench: bench.holds.hold(UNHURRIED, by_hand()), after=60)
    told.run(7)
    assert told.states() == {"a": "held"}
    assert told.instance.line == ["a"]
    told.ask(lambda bench: bench.holds.resume(UNHURRIED, why="a person resumed it"))
    told.run(3)
    assert (told.states(), told.left()) == ({"a": "accepted"}, [])
    assert len(told.accepted_after("a")) == 1


def test_while_it_is_held_its_time_does_not_come_for_others(bench: Bench) -> None:
    """What is scheduled while its sender is held is not held: its time has not come."""
    hold(bench)
    assert bench.send(message(send_at=at(3_600))) is State.SCHEDULED
    assert bench.line == []


@pytest.mark.parametrize(
    "write",
    ["ledger before add", "ledger after add", "room before wait", "room after wait", "events before tell"],
)
def test_a_crash_while_it_is_put_away_leaves_it_waiting_once(bench: Bench, write: str) -> None:
    twin, moment, name = write.split()
    setattr(getattr(bench, twin), moment, crash_at(name))
    body = message(send_at=at(3_600))
    with pytest.raises(Crash):
        bench.send(body)
    second = bench.another()
    second.send(body, times=2)
    entry = second.ledger.only()
    assert (entry.state, entry.changes) == (State.SCHEDULED, 1)
    assert [due.at for due in second.room.dues()] == [NOON + timedelta(hours=1)]
    assert second.send_what_waits(queue_id="queue-id-9") is State.ACCEPTED
    assert len(second.mailer.submitted) == 1


def test_a_large_one_keeps_its_claim_check_while_it_waits(bench: Bench) -> None:
    bench.payloads.blobs["big.json"] = message(send_at=at(3_600), text="x" * 100_000)
    assert bench.send(json.dumps({"blob": "big.json"}).encode()) is State.SCHEDULED
    assert bench.ledger.only().body == b'{"blob": "big.json"}'
    assert bench.send_what_waits() is State.ACCEPTED
    assert b"x" * 60 in bench.mailer.submitted[-1].mime


@pytest.mark.parametrize("send_at", ["1970-01-01T00:00:00Z", "9000-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_break_nothing(bench: Bench, send_at: str) -> None:
    state = bench.send(message(send_at=send_at))
    assert state is (State.ACCEPTED if send_at.startswith("1") else State.SCHEDULED)


def test_those_that_fall_due_together_all_go() -> None:
    told = World()
    names = [f"m{number}" for number in range(30)]
    for name in names:
        told.put(message(id=name, subject=name, send_at=at(180)))
    told.run(6)
    assert set(told.states().values()) == {"accepted"}
    assert all(len(told.accepted_after(name)) == 1 for name in names)
    assert min(told.accepted_after(name)[0] for name in names) >= 180
