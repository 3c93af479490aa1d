"""The head of a line as one process knows it, over the twin of the table."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shared.core.delivery import Entry, State
from shared.core.waiting import InLine, Rank, in_line, line_of
from shared.line import Lines
from tests.twins import NOON, Clock, MemoryWaiting

SECOND = timedelta(seconds=1)
LINE = line_of("noreply")


class Room(MemoryWaiting):
    """The twin, which counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def head(self, line: str, *, most: int) -> list[InLine]:
        self.looks += 1
        return super().head(line, most=most)


def place(message_id: str, *, rank: Rank = Rank.NORMAL, at: datetime = NOON, changes: int = 1) -> InLine:
    entry = Entry(message_id, State.DEFERRED, "hash", at, at, sender="noreply", changes=changes)
    return in_line(entry, rank=rank, recipients=1)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(room: Room, clock: Clock) -> Lines:
    return Lines(room, clock=clock)


def filled(room: Room, number: int) -> list[InLine]:
    places = [place(f"order-{index:04}", at=NOON + index * SECOND) for index in range(number)]
    for each in places:
        room.join(each)
    return places


def taken(lines: Lines) -> InLine:
    assert lines.look("noreply") is not None
    found = lines.take("noreply")
    assert found is not None
    return found


def test_an_empty_line_has_nobody_to_look_at_or_to_take(lines: Lines) -> None:
    assert lines.look("noreply") is None
    assert lines.take("noreply") is None


def test_an_empty_line_is_looked_at_anew_each_time(lines: Lines, room: Room) -> None:
    assert lines.look("noreply") is None
    room.join(place("order-1"))
    assert lines.look("noreply") == place("order-1")


def test_messages_are_taken_in_their_order_each_once(lines: Lines, room: Room) -> None:
    places = filled(room, 100)
    assert [taken(lines) for _ in places] == places
    assert lines.take("noreply") is None
    assert lines.look("noreply") is None


def test_a_hundred_messages_cost_few_looks(lines: Lines, room: Room) -> None:
    for each in filled(room, 100):
        assert lines.look("noreply") is not None
        assert taken(lines) == each
        lines.done("noreply", each)
    assert room.looks <= 10


def test_an_urgent_message_is_next_within_seconds(lines: Lines, room: Room, clock: Clock) -> None:
    filled(room, 40)
    taken(lines)
    room.join(place("urgent", rank=Rank.HIGH, at=NOON + timedelta(hours=1)))
    clock.advance(4 * SECOND)
    assert taken(lines).message_id == "urgent"


def test_what_was_put_back_is_next_again(lines: Lines, room: Room) -> None:
    first, second = filled(room, 2)
    assert taken(lines) == first
    lines.put_back("noreply", first)
    assert taken(lines) == first
    assert taken(lines) == second


def test_what_is_in_other_hands_is_passed_over_for_a_while(lines: Lines, room: Room, clock: Clock) -> None:
    first, second = filled(room, 2)
    lines.pass_over("noreply", taken(lines))
    assert lines.somebody_passed("noreply")
    assert taken(lines) == second
    lines.done("noreply", second)
    assert lines.look("noreply") is None
    clock.advance(31 * SECOND)
    assert lines.look("noreply") == first


def test_those_who_are_done_leave_together(lines: Lines, room: Room) -> None:
    places = filled(room, 30)
    for _ in range(19):
        lines.done("noreply", taken(lines))
    assert len(room.head(LINE, most=100)) == 30
    lines.done("noreply", taken(lines))
    assert room.head(LINE, most=100) == places[20:]


def test_those_who_are_done_leave_within_seconds(lines: Lines, room: Room, clock: Clock) -> None:
    filled(room, 3)
    lines.done("noreply", taken(lines))
    clock.advance(6 * SECOND)
    lines.done("noreply", taken(lines))
    assert len(room.head(LINE, most=100)) == 1


def test_tidying_lets_everybody_leave_who_is_done(lines: Lines, room: Room) -> None:
    places = filled(room, 3)
    lines.done("noreply", taken(lines))
    lines.tidy("noreply")
    assert room.head(LINE, most=100) == places[1:]
    assert taken(lines) == places[1]


def test_a_message_that_came_back_is_not_taken_while_it_is_in_hand(lines: Lines, room: Room) -> None:
    room.join(place("order-1"))
    before = taken(lines)
    room.join(place("order-1", changes=3))
    assert lines.take("noreply") is None
    lines.done("noreply", before)
    lines.tidy("noreply")
    assert lines.look("noreply") == place("order-1", changes=3)


def test_nobody_is_forgotten_behind_many_that_are_done_or_passed_over(lines: Lines, room: Room) -> None:
    places = filled(room, 120)
    for _ in range(50):
        lines.pass_over("noreply", taken(lines))
    rest = [taken(lines) for _ in range(70)]
    assert rest == places[50:]


def test_who_could_not_leave_because_storage_was_away_leaves_later(lines: Lines, room: Room) -> None:
    filled(room, 1)
    lines.done("noreply", taken(lines))

    def away(_: str) -> None:
        raise OSError("storage is away")

    room.before = away
    with pytest.raises(OSError, match="storage is away"):
        lines.tidy("noreply")
    room.before = lambda _: None
    lines.tidy("noreply")
    assert room.head(LINE, most=10) == []


def test_lines_of_two_senders_have_nothing_to_do_with_each_other(lines: Lines, room: Room) -> None:
    filled(room, 1)
    assert lines.look("billing") is None
    assert lines.look("noreply") is not None
