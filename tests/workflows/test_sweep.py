"""What has had its time is removed, and one line says how much."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.workflows.sweep import SweepTools, sweep
from tests.twins import NOON, Clock, MemoryConsents, MemoryLedger
from tests.workflows.conftest import Bench, lines, message
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    import pytest

RETENTION = timedelta(days=30)


def tools(
    clock: Clock, *, pending: MemoryConsents | None = None, ledger: MemoryLedger | None = None
) -> SweepTools:
    return SweepTools(
        pending=pending or MemoryConsents(),
        ledger=ledger or MemoryLedger(),
        retention=RETENTION,
        clock=clock,
    )


def test_sign_ins_that_never_came_back_are_swept(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    pending = MemoryConsents()
    pending.begin(state="a", sender="noreply", flow="{}", expires_at=NOON - timedelta(seconds=1))
    key = pending.begin(state="b", sender="noreply", flow="{}", expires_at=NOON + timedelta(seconds=1))
    sweep(tools(clock, pending=pending))
    assert pending.find(state="b", key=key) is not None
    assert lines(caplog) == [
        ("INFO", "swept", "swept 1 unfinished sign-ins and 0 messages settled over 30 days ago")
    ]


def test_messages_are_swept_when_they_were_settled_longer_ago_than_they_are_kept(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.send(message(id="old"))
    bench.clock.advance(timedelta(seconds=1))
    bench.send(message(id="kept"))
    bench.mailer.script = [BUSY]
    bench.clock.now = NOON
    bench.send(message(id="waits"))
    caplog.clear()
    bench.clock.now = NOON + RETENTION + timedelta(seconds=1)
    sweep(tools(bench.clock, ledger=bench.ledger))
    assert bench.ledger.ids() == {"kept", "waits"}
    assert lines(caplog) == [
        ("INFO", "swept", "swept 0 unfinished sign-ins and 1 messages settled over 30 days ago")
    ]


def test_a_message_that_was_swept_is_a_new_one_when_it_comes_again(bench: Bench) -> None:
    bench.send(message())
    bench.clock.advance(RETENTION + timedelta(seconds=1))
    sweep(tools(bench.clock, ledger=bench.ledger))
    bench.send(message(text="Hello again"), queue_id="queue-id-2")
    assert len(bench.mailer.submitted) == 2


def test_nothing_to_sweep_is_not_worth_a_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    sweep(tools(clock))
    assert lines(caplog) == []
