from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.delivery import Entry, State
from shared.core.waiting import DUE_SHARDS, Due, InLine, Rank, due, due_key, in_line, line_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
IDS = st.text("ABCxyz019._:@-", min_size=1, max_size=256)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
# What a key of Azure Tables may not hold, beside control characters.
FORBIDDEN = set("/\\#?")


def entry(message_id: str = "order-1", *, at: datetime = NOW, changes: int = 1) -> Entry:
    return Entry(message_id, State.DEFERRED, "hash", at, at, sender="noreply", changes=changes)


def key(of: Entry, rank: Rank = Rank.NORMAL) -> str:
    return in_line(of, rank=rank, recipients=1).key


def test_a_priority_is_a_rank() -> None:
    assert [Rank.of(priority) for priority in ("high", "normal", "low")] == [1, 2, 3]


def test_a_place_says_who_waits_with_how_many_recipients() -> None:
    place = in_line(entry(), rank=Rank.HIGH, recipients=7)
    assert place == InLine("line-noreply", place.key, "order-1", 7)


@given(st.lists(st.tuples(st.sampled_from(list(Rank)), TIMES, IDS), max_size=20))
def test_keys_sort_by_priority_then_by_age(waiting: list[tuple[Rank, datetime, str]]) -> None:
    by_key = sorted(waiting, key=lambda each: key(entry(each[2], at=each[1]), each[0]))
    assert [each[:2] for each in by_key] == sorted(each[:2] for each in waiting)


def test_the_same_entry_stands_in_the_same_place_and_a_later_one_in_another() -> None:
    first = entry()
    assert key(first) == key(replace(first, updated_at=NOW + MICROSECOND))
    assert key(first) != key(replace(first, changes=2))
    assert key(first) != key(entry("order-2"))


def test_a_message_that_comes_back_keeps_its_turn() -> None:
    older, younger = entry("b", at=NOW, changes=9), entry("a", at=NOW + MICROSECOND)
    assert key(older) < key(younger)


@given(IDS)
def test_a_key_holds_nothing_that_a_table_does_not_take(message_id: str) -> None:
    keys = [key(entry(message_id)), due(entry(message_id), NOW).key]
    for each in keys:
        assert not set(each) & FORBIDDEN
        assert len(each) <= 512


@pytest.mark.parametrize("address", ["a/b#c?@contoso.com", "ü@bücher.example", "x" * 300, "\\@contoso.com"])
def test_an_address_of_any_letters_has_a_line_that_a_table_takes(address: str) -> None:
    line = line_of("noreply", address)
    assert line.isascii()
    assert not set(line) & FORBIDDEN
    assert len(line) < 100
    assert line == line_of("noreply", address)
    assert line not in {line_of("noreply"), line_of("other", address), line_of("noreply", f"{address}x")}


def test_a_held_address_has_a_line_of_its_own() -> None:
    aside = in_line(entry(), rank=Rank.NORMAL, recipients=1, address="billing@contoso.com")
    assert aside.line == line_of("noreply", "billing@contoso.com")
    assert aside.key == key(entry())


@given(TIMES, IDS)
def test_what_waits_for_a_time_is_found_by_it_and_not_before(at: datetime, message_id: str) -> None:
    waits = due(entry(message_id), at)
    assert (waits.message_id, waits.at) == (message_id, at)
    assert waits.shard in {f"due-{number}" for number in range(DUE_SHARDS)}
    assert waits.key >= due_key(at)
    assert waits.key < due_key(at + MICROSECOND)


@given(TIMES, TIMES)
def test_keys_of_times_sort_as_the_times_do(one: datetime, two: datetime) -> None:
    assert (due_key(one) < due_key(two)) == (one < two)
    assert len(due_key(one)) == len(due_key(two))


def test_messages_are_spread_over_the_shards() -> None:
    shards = {due(entry(f"order-{number}"), NOW).shard for number in range(200)}
    assert len(shards) == DUE_SHARDS
    one = due(entry(), NOW)
    assert one == Due(one.shard, one.key, "order-1", NOW)


def test_what_waits_may_be_brought_back_at_another_time_than_it_is_due() -> None:
    known = replace(entry(), due_at=NOW)
    early = due(known, NOW - timedelta(seconds=3))
    assert early.at == NOW - timedelta(seconds=3)
    assert early.key < due_key(NOW)
    assert early.shard == due(known, NOW).shard
