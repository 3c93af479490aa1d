from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.workflows.health import Health
from tests.twins import MemoryLedger

if TYPE_CHECKING:
    from tests.twins import Clock


def fail(_: str) -> None:
    raise OSError("storage does not answer")


def test_it_is_good_when_storage_answers(clock: Clock) -> None:
    assert Health(MemoryLedger(), clock).is_good()


def test_it_is_bad_when_storage_does_not(clock: Clock) -> None:
    ledger = MemoryLedger()
    ledger.before = fail
    assert not Health(ledger, clock).is_good()


def test_storage_is_asked_no_more_often_than_every_ten_seconds(clock: Clock) -> None:
    ledger = MemoryLedger()
    asked: list[str] = []
    ledger.before = asked.append
    health = Health(ledger, clock)
    for _ in range(21):
        health.is_good()
        clock.advance(timedelta(seconds=1))
    assert len(asked) == 3


def test_a_bad_answer_is_remembered_no_longer_than_a_good_one(clock: Clock) -> None:
    ledger = MemoryLedger()
    ledger.before = fail
    health = Health(ledger, clock)
    assert not health.is_good()
    ledger.before = lambda _: None
    assert not health.is_good()
    clock.advance(timedelta(seconds=10))
    assert health.is_good()
