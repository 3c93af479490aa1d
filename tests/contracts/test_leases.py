from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.grants import Leases
    from tests.twins import Clock

MINUTE = timedelta(minutes=1)


def test_a_lease_that_nobody_holds_is_given(leases: Leases) -> None:
    assert leases.acquire("grant-noreply", MINUTE)


def test_a_lease_is_given_to_one(leases: Leases) -> None:
    leases.acquire("grant-noreply", MINUTE)
    assert leases.acquire("grant-noreply", MINUTE) == ""


def test_leases_of_two_names_have_nothing_to_do_with_each_other(leases: Leases) -> None:
    assert leases.acquire("grant-noreply", MINUTE)
    assert leases.acquire("grant-billing", MINUTE)


def test_a_lease_that_was_given_back_is_given_again(leases: Leases) -> None:
    leases.release("grant-noreply", leases.acquire("grant-noreply", MINUTE))
    assert leases.acquire("grant-noreply", MINUTE)


def test_a_lease_ends_by_itself(leases: Leases, clock: Clock) -> None:
    leases.acquire("grant-noreply", MINUTE)
    clock.advance(MINUTE - timedelta(seconds=1))
    assert leases.acquire("grant-noreply", MINUTE) == ""
    clock.advance(timedelta(seconds=1))
    assert leases.acquire("grant-noreply", MINUTE)
    assert leases.acquire("grant-noreply", MINUTE) == ""


def test_who_gives_back_too_late_takes_nothing_from_the_next_holder(leases: Leases, clock: Clock) -> None:
    late = leases.acquire("grant-noreply", MINUTE)
    clock.advance(MINUTE)
    leases.acquire("grant-noreply", MINUTE)
    leases.release("grant-noreply", late)
    assert leases.acquire("grant-noreply", MINUTE) == ""


def test_giving_back_twice_is_harmless(leases: Leases) -> None:
    mark = leases.acquire("grant-noreply", MINUTE)
    leases.release("grant-noreply", mark)
    leases.release("grant-noreply", mark)
    assert leases.acquire("grant-noreply", MINUTE)


def test_of_many_that_ask_at_once_one_gets_it(leases: Leases) -> None:
    with ThreadPoolExecutor(8) as threads:
        marks = list(threads.map(lambda _: leases.acquire("grant-noreply", MINUTE), range(8)))
    assert len([mark for mark in marks if mark]) == 1


def test_of_many_that_find_one_ended_one_gets_it(leases: Leases, clock: Clock) -> None:
    leases.acquire("grant-noreply", MINUTE)
    clock.advance(2 * MINUTE)
    with ThreadPoolExecutor(8) as threads:
        marks = list(threads.map(lambda _: leases.acquire("grant-noreply", MINUTE), range(8)))
    assert len([mark for mark in marks if mark]) == 1
