from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import Entry, State
from shared.core.waiting import Due, InLine, Rank, due, in_line, line_of
from tests.twins import NOON

if TYPE_CHECKING:
    from shared.ports import WaitingRoom

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
LINE = line_of("noreply")
UNUSUAL_IDS = ["a:b@c.d_-", "x" * 256, "0", "..", "-", "A.B", "noreply@contoso.com:2026-11-24"]


def entry(message_id: str, *, at: datetime = NOON, changes: int = 1, sender: str = "noreply") -> Entry:
    return Entry(message_id, State.DEFERRED, "hash", at, at, sender=sender, changes=changes)


def place(
    message_id: str,
    *,
    rank: Rank = Rank.NORMAL,
    at: datetime = NOON,
    changes: int = 1,
    sender: str = "noreply",
) -> InLine:
    return in_line(entry(message_id, at=at, changes=changes, sender=sender), rank=rank, recipients=3)


def waits(message_id: str, at: datetime) -> Due:
    return due(entry(message_id), at)


def ids(found: list[InLine]) -> list[str]:
    return [each.message_id for each in found]


# Lines.


def test_nobody_waits_in_a_line_that_nobody_joined(room: WaitingRoom) -> None:
    assert room.head(LINE, most=10) == []
    room.leave([place("order-1")])


def test_who_joined_is_found_with_everything_known_of_it(room: WaitingRoom) -> None:
    room.join(place("order-1"))
    assert room.head(LINE, most=10) == [place("order-1")]


@pytest.mark.parametrize("message_id", UNUSUAL_IDS)
def test_every_id_that_an_app_may_give_can_wait(room: WaitingRoom, message_id: str) -> None:
    room.join(place(message_id))
    room.wait(waits(message_id, NOON))
    assert room.head(LINE, most=10) == [place(message_id)]
    (page,) = room.due(NOON + SECOND)
    assert page == [waits(message_id, NOON)]
    room.leave([place(message_id)])
    room.forget(page)
    assert room.head(LINE, most=10) == []
    assert list(room.due(NOON + SECOND)) == []


def test_who_joins_twice_stands_there_once(room: WaitingRoom) -> None:
    room.join(place("order-1"))
    room.join(place("order-1"))
    assert len(room.head(LINE, most=10)) == 1


def test_a_line_goes_by_priority_then_by_age(room: WaitingRoom) -> None:
    order = [
        place("z", rank=Rank.HIGH, at=NOON + SECOND),
        place("high-and-young", rank=Rank.HIGH, at=NOON + 2 * SECOND),
        place("old", at=NOON - timedelta(days=400)),
        place("a", at=NOON),
        place("b", at=NOON + MICROSECOND),
        place("low-and-old", rank=Rank.LOW, at=NOON - timedelta(days=1)),
        place("low", rank=Rank.LOW),
    ]
    shuffled = order.copy()
    random.Random(1).shuffle(shuffled)
    for each in shuffled:
        room.join(each)
    assert room.head(LINE, most=10) == order
    assert room.head(LINE, most=2) == order[:2]


def test_lines_have_nothing_to_do_with_each_other(room: WaitingRoom) -> None:
    room.join(place("order-1"))
    room.join(place("order-2", sender="noreply2"))
    room.join(place("order-3", sender="billing"))
    assert ids(room.head(LINE, most=10)) == ["order-1"]
    assert ids(room.head(line_of("billing"), most=10)) == ["order-3"]


def test_those_who_leave_are_gone_and_the_others_stay(room: WaitingRoom) -> None:
    places = [place(f"order-{number}", at=NOON + number * SECOND) for number in range(6)]
    for each in places:
        room.join(each)
    room.leave(places[1:4])
    assert room.head(LINE, most=10) == [places[0], *places[4:]]


def test_one_that_left_before_keeps_nobody_in_line(room: WaitingRoom) -> None:
    places = [place(f"order-{number}", at=NOON + number * SECOND) for number in range(4)]
    for each in places:
        room.join(each)
    room.leave(places[1:2])
    room.leave(places)
    assert room.head(LINE, most=10) == []
    room.leave(places)


def test_a_late_removal_does_not_take_a_message_that_came_back(room: WaitingRoom) -> None:
    before, after = place("order-1", changes=1), place("order-1", changes=3)
    room.join(before)
    room.join(after)
    room.leave([before])
    assert room.head(LINE, most=10) == [after]
    room.leave([before])
    assert room.head(LINE, most=10) == [after]


def test_more_leave_at_once_than_one_transaction_holds(room: WaitingRoom) -> None:
    places = [place(f"order-{number:03}", at=NOON + number * SECOND) for number in range(130)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(room.join, places))
    assert room.head(LINE, most=1000) == places
    room.leave(places[:120])
    assert room.head(LINE, most=1000) == places[120:]
    room.leave([])


def test_a_held_line_moves_into_another_where_each_keeps_its_turn(room: WaitingRoom) -> None:
    aside = line_of("noreply", "billing@contoso.com")
    places = [place(f"order-{number:03}", at=NOON + number * SECOND) for number in range(120)]
    for number, each in enumerate(places):
        room.join(each if number % 10 == 0 else replace(each, line=aside))
    assert room.move(aside, LINE) == 108
    assert room.head(LINE, most=1000) == places
    assert room.head(aside, most=10) == []
    assert room.move(aside, LINE) == 0


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_first_of_a_line_may_move_alone(room: WaitingRoom, most: int) -> None:
    aside = line_of("noreply", "billing@contoso.com")
    places = [place(f"order-{number}", at=NOON + number * SECOND) for number in range(5)]
    for each in places:
        room.join(replace(each, line=aside))
    assert room.move(aside, LINE, most=most) == min(most, 5)
    assert room.head(LINE, most=10) == places[:most]
    assert ids(room.head(aside, most=10)) == ids(places[most:])


def test_who_stands_in_both_lines_already_is_moved_all_the_same(room: WaitingRoom) -> None:
    aside = line_of("noreply", "billing@contoso.com")
    room.join(place("order-1"))
    room.join(replace(place("order-1"), line=aside))  # a move that broke off
    assert room.move(aside, LINE) == 1
    assert room.head(LINE, most=10) == [place("order-1")]


# Since when.


def test_who_joined_waits_since_its_entry_was_last_written_and_keeps_that(room: WaitingRoom) -> None:
    aside = line_of("noreply", "billing@contoso.com")
    came = replace(place("order-1", at=NOON - timedelta(days=1)), line=aside, since=NOON + MICROSECOND)
    room.join(came)
    assert [each.since for each in room.head(aside, most=1)] == [NOON + MICROSECOND]
    room.move(aside, LINE)
    (moved,) = room.head(LINE, most=1)
    assert moved.since == NOON + MICROSECOND
    assert moved.since.tzinfo is UTC
    assert room.oldest(LINE) == NOON + MICROSECOND
    assert room.oldest(aside) is None


def test_nobody_is_the_oldest_of_an_empty_line(room: WaitingRoom) -> None:
    assert room.oldest(LINE) is None


@pytest.mark.parametrize("oldest", list(Rank))
def test_the_oldest_is_found_in_every_rank(room: WaitingRoom, oldest: Rank) -> None:
    for rank in Rank:
        room.join(place(f"order-{rank}", rank=rank, at=NOON - SECOND if rank is oldest else NOON))
        room.join(place(f"later-{rank}", rank=rank, at=NOON + SECOND))
    room.join(place("of-another", at=NOON - timedelta(days=1), sender="noreply2"))
    assert room.oldest(LINE) == NOON - SECOND


def test_one_that_came_before_this_was_written_down_is_no_obstacle(room: WaitingRoom) -> None:
    old = replace(place("order-1"), since=None)
    room.join(old)
    assert room.head(LINE, most=1) == [old]
    assert room.oldest(LINE) is None
    room.join(place("order-2", rank=Rank.LOW, at=NOON + SECOND))
    assert room.oldest(LINE) == NOON + SECOND


def test_one_that_was_asked_for_early_and_came_late_hides_nobody(room: WaitingRoom) -> None:
    room.join(replace(place("scheduled-yesterday", at=NOON - timedelta(days=1)), since=NOON + SECOND))
    room.join(replace(place("waits-longer", at=NOON), since=NOON))
    assert room.oldest(LINE) == NOON


# What waits for a time.


def every(room: WaitingRoom, until: datetime) -> list[Due]:
    """Take what is due as `release` does."""
    found: list[Due] = []
    for page in room.due(until):
        assert page
        assert len({each.shard for each in page}) == 1
        found += page
        room.forget(page)
    return found


def test_nothing_is_due_where_nothing_waits(room: WaitingRoom) -> None:
    assert list(room.due(NOON)) == []
    room.forget([waits("order-1", NOON)])


def test_what_is_due_is_found_with_its_time_and_what_is_not_stays(room: WaitingRoom) -> None:
    at = [NOON - timedelta(days=1), NOON - MICROSECOND, NOON, NOON + MICROSECOND, NOON + timedelta(days=9000)]
    for number, each in enumerate(at):
        room.wait(waits(f"order-{number}", each))
    found = every(room, NOON)
    assert {(each.message_id, each.at) for each in found} == {("order-0", at[0]), ("order-1", at[1])}
    assert all(each.at.tzinfo is UTC for each in found)
    assert len(every(room, NOON + SECOND)) == 2
    assert len(every(room, NOON + timedelta(days=9001))) == 1


def test_what_waits_twice_for_one_time_is_due_once(room: WaitingRoom) -> None:
    room.wait(waits("order-1", NOON))
    room.wait(waits("order-1", NOON))
    assert len(every(room, NOON + SECOND)) == 1


def test_what_is_due_comes_in_pages_that_are_removed_one_by_one(room: WaitingRoom) -> None:
    due_now = [waits(f"order-{number}", NOON + number * SECOND) for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(room.wait, due_now))
    found = every(room, NOON + timedelta(hours=1))
    assert sorted(each.message_id for each in found) == sorted(each.message_id for each in due_now)
    for shard in {each.shard for each in found}:
        of_shard = [each.at for each in found if each.shard == shard]
        assert of_shard == sorted(of_shard)
    assert every(room, NOON + timedelta(hours=1)) == []


def test_what_was_not_removed_is_due_again(room: WaitingRoom) -> None:
    room.wait(waits("order-1", NOON))
    next(iter(room.due(NOON + SECOND)))
    assert len(every(room, NOON + SECOND)) == 1


def test_a_message_that_waits_again_is_not_removed_with_its_first_time(room: WaitingRoom) -> None:
    room.wait(waits("order-1", NOON))
    room.wait(waits("order-1", NOON + SECOND))
    room.forget([waits("order-1", NOON)])
    assert every(room, NOON + timedelta(hours=1)) == [waits("order-1", NOON + SECOND)]


def test_lines_and_times_do_not_mix(room: WaitingRoom) -> None:
    room.join(place("order-1"))
    room.wait(waits("order-1", NOON))
    assert every(room, NOON + timedelta(days=1)) == [waits("order-1", NOON)]
    assert ids(room.head(LINE, most=10)) == ["order-1"]
