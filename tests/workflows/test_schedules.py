"""Recurring mail: each occurrence goes once, at its time, whatever dies; the schedule goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.delivery import State
from shared.errors import MessageError
from shared.workflows import schedules
from tests.twins import NOON, Crash
from tests.workflows.world import World

if TYPE_CHECKING:
    from tests.workflows.conftest import Bench

MAIL = {"to": "ada@example.net", "subject": "report", "text": "x"}


def wanted(**more: Any) -> dict[str, Any]:
    return {"every": "PT5M", "start": NOON.isoformat(), "count": 3, "message": MAIL} | more


def put(bench: Bench, **more: Any) -> tuple[dict[str, Any], bool]:
    return schedules.put(bench.schedules_tools(), "report", wanted(**more))


def world(**more: Any) -> World:
    told = World()
    told.clock.advance(timedelta(seconds=1))
    put(told.instance, **more)
    return told


def test_it_is_new_then_changed_and_shows_the_next_ten(bench: Bench) -> None:
    view, new = put(bench, count=None)
    assert (new, view["state"], len(view["next"]), view["next"][0]) == (
        True,
        "active",
        10,
        "2026-11-24T12:05:00Z",
    )
    view, new = put(bench, cron="0 9 * * mon", every=None, count=None)
    assert (new, view["next"][0]) == (False, "2026-11-30T09:00:00Z")


def test_each_occurrence_goes_once_at_its_time_and_the_last_is_the_last() -> None:
    told = world()
    told.run(30)
    went = told.accepted_after("report")
    assert [round(each) for each in went] == [300, 600, 900]
    assert min(each - due for each, due in zip(went, (300, 600, 900), strict=True)) >= 0
    view = schedules.show(told.instance.schedules_tools(), "report")
    assert view is not None
    assert (view["state"], view["occurred"], view["next"]) == ("ended", 3, [])
    assert set(told.states()) == {f"report@2026-11-24T12:{minute:02d}:00Z" for minute in (5, 10, 15)}
    assert told.left() == []


def test_paused_nothing_occurs_until_it_is_resumed() -> None:
    told = world(paused=True)
    told.run(12)
    assert told.states() == {}
    put(told.instance, paused=False)
    told.run(30)
    assert told.accepted["report"] == 3


def test_removed_it_occurs_no_more() -> None:
    told = world()
    told.run(6)
    assert schedules.remove(told.instance.schedules_tools(), "report")
    assert not schedules.remove(told.instance.schedules_tools(), "report")
    told.run(30)
    assert told.accepted["report"] == 1


def test_written_again_between_its_call_and_its_time_it_counts_once() -> None:
    told = world(count=2)
    told.run(4)
    put(told.instance, count=2)
    told.run(30)
    assert told.accepted["report"] == 2


def test_an_occurrence_whose_template_is_gone_is_rejected_and_the_next_one_comes() -> None:
    told = world(message={"to": "ada@example.net", "template": "gone"})
    told.run(30)
    assert set(told.states().values()) == {"rejected"}
    assert len([each for each in told.instance.events.told if each.state is State.REJECTED]) == 3


@pytest.mark.parametrize(("missed", "went"), [("latest", 1), ("all", 3)])
def test_what_an_outage_missed_is_sent_as_the_schedule_says(missed: str, went: int) -> None:
    told = world(missed=missed)
    told.pass_by(60)
    told.run(5)
    assert told.accepted["report"] == went


def test_fired_by_two_instances_it_goes_once() -> None:
    told = world()
    for _ in range(3):
        told.instance.another("another").fire()
    told.clock.advance(timedelta(minutes=4))
    told.instance.fire()
    told.instance.another("another").fire()
    told.run(30)
    assert told.accepted["report"] == 3


def test_wherever_the_timer_dies_each_occurrence_goes_once() -> None:
    plain, wrong = world(), {}
    plain.run(30)
    for point, said in enumerate(plain.points, start=1):
        told = world()

        def reached(number: int, _: str, at: int = point) -> None:
            if number == at:
                raise Crash

        told.at = reached
        told.run(60)
        copies = told.accepted["report"] - 3
        twice = said in {"after server.submit", "before ledger.update"}
        if not 0 <= copies <= twice or set(told.states().values()) != {"accepted"} or told.left():
            wrong[f"{point} {said}"] = (told.states(), copies, told.left())
    assert wrong == {}


def test_everything_that_is_wrong_is_said_at_once(bench: Bench) -> None:
    with pytest.raises(MessageError) as caught:
        put(bench, cron="0 9 * * mon", message={"to": "nobody", "id": "x"})
    assert [each.partition(":")[0] for each in caught.value.problems] == [
        "cron",
        "message.id",
        "message.to[0]",
    ]
