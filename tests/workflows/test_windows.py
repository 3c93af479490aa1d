"""A delivery window holds for first sends, for retries and for what stands in line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.core.delivery import State
from shared.core.holds import Pause
from tests.twins import NOON
from tests.workflows.conftest import BILLING, UNHURRIED, Bench, message
from tests.workflows.test_holds import by_hand
from tests.workflows.test_send import BUSY
from tests.workflows.test_send_at import at
from tests.workflows.world import World

ALL = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def window(from_: str, to: str, *, days: list[str] = ALL, zone: str = "UTC") -> dict[str, Any]:
    return {"days": days, "from": from_, "to": to, "time_zone": zone}


def told_of(minutes: int, *, script: int = 0, **fields: Any) -> World:
    """Return a world in which one message was put on the queue and the time has passed."""
    told = World((BUSY,) * script)
    told.put(message(id="a", subject="a", **fields))
    told.run(minutes)
    return told


def goes_at(told: World) -> datetime:
    (seconds,) = told.accepted_after("a")
    assert (told.states(), told.left()) == ({"a": "accepted"}, [])
    return NOON + timedelta(seconds=seconds)


def within(at: datetime, opens: str) -> bool:
    """Whether it went within two seconds of the opening; noon is that of Tuesday, 24 November 2026."""
    return timedelta() <= at - datetime.fromisoformat(opens) <= timedelta(seconds=2)


def test_in_an_open_window_it_goes_at_once(bench: Bench) -> None:
    assert bench.send(message(window=window("11:00", "13:00"))) is State.ACCEPTED
    assert bench.pauses == []


@pytest.mark.parametrize(
    ("hours", "opens"),
    [
        (window("12:05", "13:00"), "2026-11-24T12:05:00+00:00"),
        (window("14:00", "15:00"), "2026-11-24T14:00:00+00:00"),
        (window("13:10", "14:00", zone="Europe/Vienna"), "2026-11-24T12:10:00+00:00"),
        (window("17:50", "18:00", zone="Asia/Kathmandu"), "2026-11-24T12:05:00+00:00"),
        (window("11:00", "12:00", days=["tue"]), "2026-12-01T11:00:00+00:00"),
        (window("09:00", "10:00", days=["wed"]), "2026-11-25T09:00:00+00:00"),
        (window("22:00", "06:00"), "2026-11-24T22:00:00+00:00"),
        (window("00:00", "24:00", days=["sat"]), "2026-11-28T00:00:00+00:00"),
    ],
)
def test_a_first_send_waits_until_it_opens(hours: dict[str, Any], opens: str) -> None:
    told = told_of(7 * 24 * 60, window=hours)
    assert within(goes_at(told), opens)
    assert told.instance.ledger.history("a")[0].state is State.SCHEDULED


def test_a_night_that_began_yesterday_is_open(bench: Bench) -> None:
    assert bench.send(message(window=window("23:00", "13:00", days=["mon"]))) is State.ACCEPTED


@pytest.mark.parametrize(
    ("send_at", "opens"),
    [
        (at(3_600), "2026-11-24T14:00:00+00:00"),
        (at(2.5 * 3_600), "2026-11-24T14:30:00+00:00"),
        (at(3 * 3_600), "2026-11-25T14:00:00+00:00"),
        (at(-3_600), "2026-11-24T14:00:00+00:00"),
    ],
    ids=["before it", "within", "at its end", "in the past"],
)
def test_send_at_is_respected_within_the_window(send_at: str, opens: str) -> None:
    told = told_of(27 * 60, send_at=send_at, window=window("14:00", "15:00"))
    assert within(goes_at(told), opens)


def test_what_an_outage_makes_late_waits_for_the_next_opening() -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(1_200), window=window("12:00", "13:00")))
    told.run(1)
    told.pass_by(90)
    told.run(24 * 60)
    assert within(goes_at(told), "2026-11-25T12:00:00+00:00")


def test_a_retry_waits_until_the_window_opens_again() -> None:
    told = told_of(25 * 60, script=3, window=window("11:00", "12:03"))
    # After 0 s, 15 s and 75 s; the fourth would be after 315 s, when it has closed.
    assert within(goes_at(told), "2026-11-25T11:00:00+00:00")
    history = told.instance.ledger.history("a")
    assert [each.attempt for each in history if each.state is State.SENDING] == [1, 2, 3, 4]
    assert {each.state for each in history} == {State.SENDING, State.DEFERRED, State.ACCEPTED}


def test_a_retry_within_the_window_goes_at_its_own_time() -> None:
    told = told_of(10, script=2, window=window("11:00", "13:00"))
    assert goes_at(told) - NOON < timedelta(seconds=80)


def test_mail_in_line_lets_the_others_pass_while_its_window_is_closed() -> None:
    told = World()
    told.instance.holds.wait(UNHURRIED, Pause(NOON + timedelta(minutes=20), "too many at once"))
    told.put(message(id="a", subject="a", window=window("11:00", "12:10")))
    told.put(message(id="b", subject="b"), after=1)
    told.run(25)
    assert told.states() == {"a": "deferred", "b": "accepted"}
    told.run(24 * 60)
    assert within(goes_at_first(told, "a"), "2026-11-25T11:00:00+00:00")
    assert (told.states(), told.left()) == ({"a": "accepted", "b": "accepted"}, [])


def goes_at_first(told: World, subject: str) -> datetime:
    (seconds,) = told.accepted_after(subject)
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize("address", ["", BILLING])
def test_held_mail_that_is_resumed_in_the_night_waits_for_its_morning(address: str) -> None:
    told = World()
    told.instance.holds.hold(UNHURRIED, by_hand(), address=address)
    told.put(message(id="a", subject="a", window=window("11:00", "12:10"), **{"from": BILLING}))
    told.ask(lambda bench: bench.holds.resume(UNHURRIED, address=address, why="resumed"), after=3_600)
    told.run(25 * 60)
    assert within(goes_at(told), "2026-11-25T11:00:00+00:00")


def test_rescheduled_into_the_night_it_waits_for_its_morning() -> None:
    told = World()
    told.put(message(id="a", subject="a", send_at=at(600), window=window("11:00", "13:00")))
    later = NOON + timedelta(hours=2)
    told.ask(lambda bench: bench.amender().amend("a", send_at=later), after=60)
    told.run(25 * 60)
    assert within(goes_at(told), "2026-11-25T11:00:00+00:00")


@pytest.mark.parametrize("moment", ["in line", "held aside"])
def test_rescheduled_while_it_stood_in_line_it_is_not_early(moment: str) -> None:
    """Its row in the line is met before its time, with the window closed or its address still held."""
    told = World()
    if moment == "in line":
        told.instance.holds.wait(UNHURRIED, Pause(NOON + timedelta(minutes=20), "too many at once"))
    else:
        told.instance.holds.hold(UNHURRIED, by_hand())
    hours = window("11:00", "12:10") if moment == "in line" else None
    told.put(message(id="a", subject="a", window=hours, **{"from": BILLING}))
    later = NOON + timedelta(days=3, minutes=-30)
    told.ask(lambda bench: bench.amender().amend("a", send_at=later), after=60)
    if moment != "in line":
        told.ask(lambda bench: bench.holds.hold(UNHURRIED, by_hand(), address=BILLING), after=120)
        told.ask(lambda bench: bench.holds.resume(UNHURRIED, why="resumed"), after=180)
        told.ask(lambda bench: bench.holds.resume(UNHURRIED, address=BILLING, why="resumed"), after=1_800)
    told.run(3 * 24 * 60 + 10)
    assert goes_at(told) >= later


def test_the_end_of_the_calendar_breaks_no_window(bench: Bench) -> None:
    state = bench.send(message(send_at="9999-12-31T23:59:59Z", window=window("11:00", "13:00")))
    assert state in {State.SCHEDULED, State.REJECTED}
