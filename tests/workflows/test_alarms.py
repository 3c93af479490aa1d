"""What happens to senders is told: as an event that says what to do, in the log, and daily while it lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from shared.core.holds import TELL_AGAIN, Proof, new_hold
from shared.core.remedies import CATALOGUE, NEEDS_CONSENT
from shared.core.service import GrantKind
from tests.twins import NOON, grant
from tests.workflows.conftest import (
    BILLING,
    NOREPLY,
    SENDERS,
    SERVICES,
    Bench,
    consent_url,
    explain,
    lines,
)

if TYPE_CHECKING:
    from shared.core.holds import Hold

MINUTE = timedelta(minutes=1)
SECRET = "oauth-microsoft-client-secret"


def hold_for(remedy: str, *, address: str = "") -> Hold:
    """Return a hold that no probe ends."""
    proof = Proof.MESSAGE if address else Proof.PERSON
    return replace(new_hold(remedy, explain(remedy, NOREPLY), proof=proof, now=NOON), probe_at=None)


def told(bench: Bench) -> list[str]:
    return [event.kind for event in bench.events.of_senders]


# Held.


@pytest.mark.parametrize("remedy", sorted(NEEDS_CONSENT))
def test_a_hold_that_a_sign_in_ends_is_told_with_the_link(bench: Bench, remedy: str) -> None:
    bench.holds.hold(NOREPLY, hold_for(remedy))
    assert told(bench) == ["sender.held", "sender.consent_required"]
    for event in bench.events.of_senders:
        assert event.data["consent_url"] == consent_url("noreply")
        assert consent_url("noreply") in event.data["reason"]


@pytest.mark.parametrize("remedy", sorted(set(CATALOGUE) - NEEDS_CONSENT))
def test_no_other_hold_is_told_with_a_link_that_would_not_help(bench: Bench, remedy: str) -> None:
    bench.holds.hold(NOREPLY, hold_for(remedy))
    assert told(bench) == ["sender.held"]
    assert "consent_url" not in bench.events.of_senders[0].data


def test_nobody_is_asked_to_sign_in_for_an_application(bench: Bench) -> None:
    app = bench.another(services={"microsoft": replace(SERVICES["microsoft"], grant=GrantKind.APP)})
    app.holds.hold(NOREPLY, hold_for("consent-required"))
    assert told(app) == ["sender.held"]
    assert "consent_url" not in app.events.of_senders[0].data


def test_a_hold_that_is_found_after_a_delay_is_told_with_its_beginning(bench: Bench) -> None:
    bench.clock.advance(timedelta(seconds=40))
    bench.holds.hold(NOREPLY, hold_for("mailbox-full"))
    (event,) = bench.events.of_senders
    assert (event.at, event.data["since"]) == (NOON, NOON.isoformat())
    assert "repeated" not in event.data


# Every day.


def run(bench: Bench, days: int, *, every: timedelta) -> None:
    end = bench.clock() + timedelta(days=days)
    while bench.clock() < end:
        bench.clock.advance(every)
        bench.release()


@pytest.mark.parametrize("every", [MINUTE, timedelta(hours=1), timedelta(hours=7)], ids=str)
def test_a_hold_is_told_again_once_a_day_however_often_release_runs(bench: Bench, every: timedelta) -> None:
    bench.holds.hold(NOREPLY, hold_for("consent-required"))
    bench.events.of_senders.clear()
    run(bench, 4, every=every)
    held = [event for event in bench.events.of_senders if event.kind == "sender.held"]
    wanted = [event for event in bench.events.of_senders if event.kind == "sender.consent_required"]
    assert len(held) == len(wanted) == (4 if every < timedelta(hours=2) else 3)
    for event in held:
        assert (event.data["repeated"], event.data["since"]) == (True, NOON.isoformat())
    gaps = [b.at - a.at for a, b in pairwise(held)]
    assert all(gap >= TELL_AGAIN for gap in gaps)


def test_the_hold_of_an_address_is_told_again_too(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.holds.hold(NOREPLY, hold_for("send-as-denied", address=BILLING), address=BILLING)
    caplog.clear()
    run(bench, 1, every=timedelta(hours=1))
    (_, again) = bench.events.of_senders
    assert (again.data["address"], again.data["repeated"]) == (BILLING, True)
    said = [line for line in lines(caplog) if line[1] == "sender-held"]
    assert [line[2].split(":")[0] for line in said] == [
        f"{BILLING} of noreply is still held and its mail waits"
    ]


def test_what_is_over_is_not_told_again(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, hold_for("consent-required"))
    bench.clock.advance(timedelta(hours=23))
    bench.holds.resume(NOREPLY, why="a person resumed it")
    bench.events.of_senders.clear()
    run(bench, 2, every=timedelta(hours=1))
    assert bench.events.of_senders == []


def test_a_failure_found_again_and_again_tells_no_earlier(bench: Bench) -> None:
    for _ in range(100):
        bench.holds.hold(NOREPLY, hold_for("consent-missing"))
        bench.clock.advance(MINUTE)
    assert told(bench) == ["sender.held", "sender.consent_required"]


def test_of_several_instances_that_look_after_each_other_one_tells_again(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, hold_for("consent-missing"))
    bench.events.of_senders.clear()
    bench.clock.advance(TELL_AGAIN)
    for number in range(4):
        bench.another(f"instance-{number}").release()
    assert told(bench) == ["sender.held", "sender.consent_required"]


# Connected, and what ends.


def test_a_connection_is_told_with_the_account(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.connections.connect(NOREPLY, grant())
    (event,) = bench.events.of_senders
    assert (event.kind, event.sender, event.at) == ("sender.connected", "noreply", NOON)
    assert event.data == {"account": "noreply@contoso.com", "display_name": "Contoso Somebody"}
    assert lines(caplog) == [("INFO", "sender-connected", "noreply is connected as noreply@contoso.com")]


@pytest.mark.parametrize(
    ("left", "days", "level", "says"),
    [
        (timedelta(days=30), 30, "WARNING", "ends on 2026-12-24"),
        (timedelta(hours=5), 0, "WARNING", "ends on 2026-11-24"),
        (timedelta(), 0, "ERROR", "ended on 2026-11-24"),
        (timedelta(days=-3), 0, "ERROR", "ended on 2026-11-21"),
    ],
    ids=["in a month", "today", "now", "days ago"],
)
def test_the_end_of_a_credential_is_told_with_what_is_left_and_what_to_type(
    *, bench: Bench, caplog: pytest.LogCaptureFixture, left: timedelta, days: int, level: str, says: str
) -> None:
    bench.connections.warn(NOREPLY, SECRET, NOON + left)
    (event,) = bench.events.of_senders
    reason = explain("credential-expiring", NOREPLY)
    assert event.kind == "sender.credential_expiring"
    assert event.data == {
        "credential": SECRET,
        "expires_at": (NOON + left).isoformat(),
        "days_left": days,
        "reason": reason,
    }
    assert SECRET in reason
    assert lines(caplog) == [(level, "credential-expiring", f"{SECRET} of noreply {says}: {reason}")]


def test_warnings_come_30_7_and_1_days_before_and_then_daily_and_again_for_the_next_credential(
    bench: Bench,
) -> None:
    end, given = NOON + timedelta(days=40), []
    while bench.clock() < end + timedelta(days=2):
        bench.connections.warn(NOREPLY, SECRET, end)
        bench.clock.advance(timedelta(hours=1))
    renewed = end + timedelta(days=34)
    while bench.clock() < end + timedelta(days=5):
        bench.connections.warn(NOREPLY, SECRET, renewed)
        bench.clock.advance(timedelta(hours=1))
    given = [
        (event.data["expires_at"] == end.isoformat(), event.data["days_left"])
        for event in bench.events.of_senders
    ]
    assert given == [(True, 30), (True, 7), (True, 1), (True, 0), (True, 0), (False, 30)]


def test_each_sender_is_warned_of_for_itself(bench: Bench) -> None:
    for each in SENDERS.values():
        for _ in range(2):
            bench.connections.warn(each, SECRET, NOON + timedelta(days=3))
    assert [event.sender for event in bench.events.of_senders] == ["noreply", "reports"]
