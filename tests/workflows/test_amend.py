"""Taken back or moved: in every state, at every moment; the answer agrees with what happens then."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import Entry, State
from shared.core.outcomes import TooLate
from tests.twins import NOON, Crash
from tests.workflows.conftest import UNHURRIED, Bench, message
from tests.workflows.test_holds import by_hand
from tests.workflows.test_send import BUSY
from tests.workflows.test_send_at import at
from tests.workflows.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

LATER = NOON + timedelta(minutes=30)


def cancel(message_id: str = "order-17") -> bytes:
    return json.dumps({"action": "cancel", "id": message_id}).encode()


def reschedule(send_at: datetime, message_id: str = "order-17") -> bytes:
    said = {"action": "reschedule", "id": message_id, "send_at": send_at.isoformat()}
    return json.dumps(said).encode()


def scheduled(bench: Bench) -> None:
    bench.send(message(send_at=at(3_600)))


def deferred(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())


def in_line(bench: Bench) -> None:
    bench.queue_up(message())


def held(bench: Bench) -> None:
    bench.holds.hold(UNHURRIED, by_hand())
    bench.send(message())


WAITING = pytest.mark.parametrize("wait", [scheduled, deferred, in_line, held])


@WAITING
def test_what_waits_is_taken_back(bench: Bench, wait: Callable[[Bench], None]) -> None:
    wait(bench)
    bench.send(cancel(), queue_id="queue-id-2")
    entry = bench.ledger.only()
    assert (entry.state, entry.reason, entry.body) == (State.CANCELLED, "it was taken back", b"")
    assert bench.events.states[-1] == ("order-17", State.CANCELLED)


@WAITING
def test_what_waits_is_moved(bench: Bench, wait: Callable[[Bench], None]) -> None:
    wait(bench)
    bench.send(reschedule(LATER), queue_id="queue-id-2")
    entry = bench.ledger.only()
    assert (entry.state, entry.due_at) == (State.SCHEDULED, LATER)
    assert entry.reason == "it was given another time, 2026-11-24T12:30:00+00:00"
    assert LATER in [due.at for due in bench.room.dues()]


@pytest.mark.parametrize("send_at", [None, LATER])
def test_what_was_sent_cannot_be_amended(bench: Bench, send_at: datetime | None) -> None:
    bench.send(message())
    answer = bench.amender().amend("order-17", send_at=send_at)
    assert answer == TooLate(State.ACCEPTED)
    assert bench.ledger.only().state is State.ACCEPTED


def test_what_is_being_sent_cannot_be_amended(bench: Bench) -> None:
    answers: list[object] = []
    bench.mailer.meanwhile = lambda: answers.append(bench.amender().amend("order-17", send_at=None))
    assert bench.send(message()) is State.ACCEPTED
    assert answers == [TooLate(State.SENDING)]


def test_an_unknown_one_is_none_unless_it_is_to_be_kept(bench: Bench) -> None:
    assert bench.amender().amend("order-17", send_at=None) is None
    assert bench.ledger.ids() == set()


def test_a_cancel_that_comes_first_waits_for_its_message(bench: Bench) -> None:
    bench.send(cancel())
    assert bench.send(message(), queue_id="queue-id-2") is None
    assert (bench.state_of("order-17"), bench.mailer.submitted) == (State.CANCELLED, [])


def test_a_reschedule_that_comes_first_gives_its_message_that_time() -> None:
    told = World()
    told.put(reschedule(LATER, "a"))
    told.put(message(id="a", subject="a", send_at=at(60)), after=5)
    told.run(35)
    (went,) = told.accepted_after("a")
    assert 1_800 <= went <= 1_802
    assert (told.states(), told.left()) == ({"a": "accepted"}, [])


def test_a_message_that_comes_after_the_time_it_was_given_is_sent_late() -> None:
    told = World()
    told.put(reschedule(NOON + timedelta(minutes=5), "a"))
    told.put(message(id="a", subject="a"), after=900)
    told.run(20)
    assert (told.states(), len(told.accepted_after("a"))) == ({"a": "accepted"}, 1)


def test_a_duplicate_does_not_undo_what_was_asked() -> None:
    """Moved to an earlier time and held by then: the same message again does not bring the old time back."""
    told = World()
    body = message(id="a", subject="a", send_at=at(7_200))
    told.put(body)
    told.ask(lambda bench: bench.amender().amend("a", send_at=NOON + timedelta(minutes=5)), after=60)
    told.ask(lambda bench: bench.holds.hold(UNHURRIED, by_hand()), after=90)
    told.put(body, after=400)
    told.run(10)
    assert told.states() == {"a": "held"}


# At every moment.


def story(wait: str) -> World:
    told = World((BUSY,) if wait == "deferred" else ())
    told.put(message(id="a", subject="a", **({"send_at": at(90)} if wait == "scheduled" else {})))
    if wait == "held":
        told.instance.holds.hold(UNHURRIED, by_hand())
        for after in (70, 100):  # whoever has no answer asks again
            told.ask(lambda bench: bench.holds.resume(UNHURRIED, why="resumed"), after=after)
    return told


STORIES = ["at once", "scheduled", "deferred", "held"]
WHAT = pytest.mark.parametrize("send_at", [None, LATER], ids=["cancelled", "moved"])


def faults(told: World, answer: object, *, twice: bool = False) -> list[str]:
    """Return what does not agree with the answer."""
    went, state = told.accepted_after("a"), told.states().get("a")
    found = [f"{left} is left" for left in told.left()]
    if isinstance(answer, Entry) and answer.state is State.CANCELLED:
        found += [f"cancelled, and it went at {went}"] if went or state != "cancelled" else []
    elif isinstance(answer, Entry):
        right = state == "accepted" and len(went) == 1 and went[0] >= 1_800
        found += [] if right else [f"moved, and it is {state} and went at {went}"]
    elif isinstance(answer, TooLate):
        found += [] if state == "accepted" and len(went) == 1 else [f"too late, and {state} at {went}"]
    else:
        sent = state == "accepted" and 1 <= len(went) <= 1 + twice
        found += [] if sent or (state == "cancelled" and not went) else [f"{state}, went at {went}"]
    told_of = {each.state.value for each in told.instance.events.told}
    return found + ([] if state in told_of else [f"nobody was told that it is {state}"])


@WHAT
@pytest.mark.parametrize("wait", STORIES)
def test_asked_at_any_write_of_another_the_answer_agrees(wait: str, send_at: datetime | None) -> None:
    plain, wrong = story(wait), {}
    plain.run(45)
    for point, said in enumerate(plain.points, start=1):
        told, answers, busy = story(wait), list[object](), list[int]()

        def reached(
            number: int,
            _: str,
            at: int = point,
            told: World = told,
            out: list[object] = answers,
            busy: list[int] = busy,
        ) -> None:
            if number >= at and not busy:
                busy.append(number)
                out.append(told.instance.another("over HTTP").amender().amend("a", send_at=send_at))

        told.at = reached
        told.run(45)
        if answers[0] is not None and (found := faults(told, answers[0])):
            wrong[f"{point} {said}"] = found
    assert wrong == {}


@WHAT
@pytest.mark.parametrize("wait", STORIES)
def test_wherever_an_instance_dies_it_is_sent_once_or_cancelled(wait: str, send_at: datetime | None) -> None:
    def begun() -> World:
        told = story(wait)
        told.put(cancel("a") if send_at is None else reschedule(send_at, "a"), after=8)
        return told

    plain, wrong = begun(), {}
    plain.run(60)
    for point, said in enumerate(plain.points, start=1):
        told = begun()

        def reached(number: int, _: str, at: int = point) -> None:
            if number == at:
                raise Crash

        told.at = reached
        told.run(60)
        if found := faults(told, None, twice=said in {"after server.submit", "before ledger.update"}):
            wrong[f"{point} {said}"] = found
    assert wrong == {}
