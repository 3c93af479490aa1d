"""Connecting a sender and disconnecting it: the grant, the register and the holds, changed together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.connection import Connection
from shared.core.delivery import State
from shared.core.holds import Proof, new_hold
from shared.core.remedies import ENDED_BY_CONSENT
from shared.errors import ConsentRequiredError, StorageError, TokenUnavailableError
from tests.twins import NOON, Crash, grant
from tests.workflows.conftest import BILLING, NOREPLY, SENDERS, UNHURRIED, Bench, consent_url, lines, message

MINUTE = timedelta(minutes=1)
SECOND_ACCOUNT = "svc-second@contoso.com"
WHY = "a person took the grant away"


@pytest.fixture
def bench() -> Bench:
    """An instance whose tokens come from the keeper, and nobody has consented."""
    return Bench(keeps=True)


def told(bench: Bench) -> list[str]:
    return [event.kind for event in bench.events.of_senders]


def connect(bench: Bench, account: str = "noreply@contoso.com", *, number: int = 1) -> None:
    bench.connections.connect(NOREPLY, grant(account, number=number, at=bench.clock()))


# Connect.


def test_a_consent_is_stored_written_down_and_told(bench: Bench) -> None:
    connect(bench)
    assert bench.grants.grants["noreply"] == grant()
    assert (bench.state.connection, bench.state.granted_at) == (Connection.of(grant()), NOON)
    assert told(bench) == ["sender.connected"]


def test_mail_that_waited_for_a_consent_flows(bench: Bench) -> None:
    assert bench.send(message()) is State.HELD
    bench.clock.advance(timedelta(seconds=2))
    connect(bench)
    assert told(bench) == [
        "sender.held",
        "sender.consent_required",
        "sender.resumed",
        "sender.connected",
    ]
    assert bench.events.of_senders[2].data["reason"] == "noreply@contoso.com has signed in"
    assert bench.serve(called=True) == 1
    assert bench.state_of("order-17") is State.ACCEPTED


@pytest.mark.parametrize("remedy", sorted(ENDED_BY_CONSENT))
def test_a_consent_ends_every_hold_whose_cause_is_the_token(bench: Bench, remedy: str) -> None:
    bench.holds.hold(NOREPLY, new_hold(remedy, "no token", proof=Proof.SESSION, now=NOON))
    connect(bench)
    assert bench.state.hold is None


@pytest.mark.parametrize("remedy", ["held-by-hand", "mailbox-full", "smtp-auth-disabled", "send-as-denied"])
def test_a_consent_ends_no_other_hold(bench: Bench, remedy: str) -> None:
    bench.holds.hold(NOREPLY, new_hold(remedy, "it is so", proof=Proof.PERSON, now=NOON))
    connect(bench)
    assert bench.state.hold is not None
    assert told(bench)[-1] == "sender.connected"


def test_a_consent_ends_no_hold_of_an_address(bench: Bench) -> None:
    bench.holds.hold(
        NOREPLY, new_hold("send-as-denied", "not it", proof=Proof.MESSAGE, now=NOON), address=BILLING
    )
    connect(bench)
    assert list(bench.state.address_holds) == [BILLING]


def test_storage_that_fails_after_the_grant_was_stored_makes_no_consent_fail(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    assert bench.send(message()) is State.HELD

    def away(_: str) -> None:
        raise StorageError("no answer")

    caplog.clear()
    bench.states.before = away
    connect(bench)
    bench.states.before = lambda _: None
    assert bench.grants.grants["noreply"] == grant()
    assert lines(caplog)[-1][:2] == ("ERROR", "storage-away")
    bench.clock.advance(MINUTE)
    bench.upkeep()
    assert bench.state.hold is None
    assert bench.state.connection is not None
    assert bench.serve(called=True) == 1


def test_a_vault_that_does_not_take_the_grant_connects_nobody(bench: Bench) -> None:
    bench.send(message())

    def away() -> None:
        raise TokenUnavailableError("cannot reach the vault", code="503")

    bench.grants.storing = away
    with pytest.raises(TokenUnavailableError):
        connect(bench)
    assert (bench.state.connection, bench.state.granted_at) == (None, None)
    assert bench.state.hold is not None
    assert "sender.connected" not in told(bench)
    assert bench.leases is not None
    assert bench.leases.acquire("grant-noreply", MINUTE)


def test_a_consent_waits_for_the_renewal_that_is_under_way(bench: Bench) -> None:
    connect(bench)
    assert bench.leases is not None
    mark = bench.leases.acquire("grant-noreply", MINUTE)
    looks = iter(range(100))

    def finish(_: str) -> None:
        if bench.leases is not None and next(looks) == 3:
            bench.grants.grants["noreply"] = grant(number=2)  # what the other had fetched
            bench.leases.release("grant-noreply", mark)

    bench.leases.before = finish
    connect(bench, SECOND_ACCOUNT, number=9)
    assert bench.grants.grants["noreply"].account.username == SECOND_ACCOUNT


def test_a_renewal_that_does_not_end_costs_a_person_no_second_sign_in(bench: Bench) -> None:
    assert bench.leases is not None
    bench.leases.acquire("grant-noreply", timedelta(hours=1))
    connect(bench)
    assert bench.grants.grants["noreply"].access_token == "canary-access-token-1"
    assert bench.leases.acquire("grant-noreply", MINUTE) == ""


# Disconnect.


def test_disconnecting_takes_the_grant_away_and_says_how_to_come_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    connect(bench)
    caplog.clear()
    bench.clock.advance(MINUTE)
    assert bench.connections.disconnect(NOREPLY, why=WHY)
    state = bench.state
    assert bench.grants.grants == {}
    assert (state.connection, state.granted_at) == (None, NOON + MINUTE)
    assert state.hold is not None
    assert (state.hold.remedy, state.hold.proof) == ("consent-missing", Proof.TOKEN)
    assert state.hold.reason.startswith(f"{WHY}; ")
    assert consent_url("noreply") in state.hold.reason
    assert told(bench) == ["sender.connected", "sender.held", "sender.consent_required"]
    assert lines(caplog)[-1] == ("WARNING", "sender-disconnected", f"noreply is disconnected: {WHY}")


def test_mail_waits_after_disconnecting_and_no_attempt_is_counted(bench: Bench) -> None:
    connect(bench)
    assert bench.send(message(id="a")) is State.ACCEPTED
    bench.connections.disconnect(NOREPLY, why=WHY)
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.HELD
    entry = bench.ledger.find("b")
    assert entry is not None
    assert entry.attempts == 0
    for _ in range(120):
        bench.clock.advance(MINUTE)
        bench.release()
        if bench.clock().minute % 15 == 0:
            bench.upkeep()
    assert bench.state_of("b") is State.HELD
    assert told(bench).count("sender.held") == 2  # of the other sender, too, that nobody connected
    connect(bench, SECOND_ACCOUNT, number=9)
    bench.serve(called=True)
    assert bench.state_of("b") is State.ACCEPTED
    assert bench.mailer.submitted[-1].token.user == SECOND_ACCOUNT


def test_disconnecting_what_nobody_connected_is_said_to_be_nothing(bench: Bench) -> None:
    assert not bench.connections.disconnect(NOREPLY, why=WHY)
    connect(bench)
    assert bench.connections.disconnect(NOREPLY, why=WHY)
    assert not bench.connections.disconnect(NOREPLY, why=WHY)


def test_disconnecting_one_sender_leaves_the_other(bench: Bench) -> None:
    connect(bench)
    reports = SENDERS["reports"]
    bench.connections.connect(reports, grant("svc-mail@contoso.com"))
    bench.connections.disconnect(NOREPLY, why=WHY)
    assert list(bench.grants.grants) == ["reports"]
    assert bench.send(message(sender="reports")) is State.ACCEPTED


def test_no_instance_uses_a_token_of_the_first_account_once_another_is_connected(bench: Bench) -> None:
    bench = bench.another(senders={"noreply": UNHURRIED})
    others = [bench.another(f"instance-{number}") for number in range(3, 6)]
    connect(bench)
    for number, each in enumerate((bench, *others)):
        assert each.send(message(id=f"before-{number}"), queue_id=f"queue-id-{number}") is State.ACCEPTED
        bench.clock.advance(timedelta(seconds=5))
    bench.clock.advance(MINUTE)
    bench.connections.disconnect(NOREPLY, why=WHY)
    bench.clock.advance(timedelta(seconds=20))
    connect(others[0], SECOND_ACCOUNT, number=9)
    bench.clock.advance(timedelta(seconds=20))
    done = len(bench.mailer.submitted)
    for number, each in enumerate((bench, *others)):
        each.send(message(id=f"after-{number}"), queue_id=f"queue-id-2{number}")
        each.serve(called=True)
        bench.clock.advance(timedelta(seconds=5))
    after = bench.mailer.submitted[done:]
    assert len(after) == 4
    assert {each.token.user for each in after} == {SECOND_ACCOUNT}


def test_disconnecting_waits_for_the_renewal_that_is_under_way_so_that_it_does_not_come_back(
    bench: Bench,
) -> None:
    connect(bench)
    assert bench.leases is not None
    mark = bench.leases.acquire("grant-noreply", MINUTE)
    looks = iter(range(100))

    def finish(_: str) -> None:
        if bench.leases is not None and next(looks) == 3:
            bench.grants.grants["noreply"] = grant(number=2)
            bench.leases.release("grant-noreply", mark)

    bench.leases.before = finish
    assert bench.connections.disconnect(NOREPLY, why=WHY)
    assert bench.grants.grants == {}


def test_where_the_renewal_does_not_end_disconnecting_is_refused_and_can_be_asked_again(bench: Bench) -> None:
    connect(bench)
    assert bench.leases is not None
    bench.leases.acquire("grant-noreply", timedelta(seconds=100))
    with pytest.raises(TokenUnavailableError, match="is being renewed just now"):
        bench.connections.disconnect(NOREPLY, why=WHY)
    assert "noreply" in bench.grants.grants
    bench.clock.advance(timedelta(seconds=100))
    assert bench.connections.disconnect(NOREPLY, why=WHY)
    assert bench.grants.grants == {}


@pytest.mark.parametrize("at", range(1, 20))
def test_wherever_disconnecting_breaks_off_it_can_be_asked_again_and_no_token_is_used_after_it(
    at: int,
) -> None:
    bench = Bench(keeps=True)
    other = bench.another("instance-2")
    connect(bench)
    other.send(message(id="before"))
    bench.clock.advance(MINUTE)
    reached = 0

    def crash(_: str) -> None:
        nonlocal reached
        reached += 1
        if reached >= at:
            raise Crash

    assert bench.leases is not None
    twins = (bench.states, bench.grants, bench.leases, bench.events)
    for twin in twins:
        twin.before = twin.after = crash
    with suppress(Crash):
        bench.connections.disconnect(NOREPLY, why=WHY)
    for twin in twins:
        twin.before = twin.after = lambda _: None
    if "noreply" not in bench.grants.grants:
        # Whoever had a token in mind has heard of it before the grant was gone.
        assert bench.state.granted_at == NOON + MINUTE
        assert bench.state.hold is not None
    bench.clock.advance(timedelta(minutes=3))  # the lease of the one that died is over
    again = bench.another("instance-3")
    again.connections.disconnect(NOREPLY, why=WHY)
    assert bench.grants.grants == {}
    for number, each in enumerate((other, again)):
        assert each.send(message(id=f"after-{number}"), queue_id=f"queue-id-{number}") is State.HELD
        with pytest.raises(ConsentRequiredError):
            each.keeper.token(NOREPLY)
    assert len(bench.mailer.submitted) == 1
    for _ in range(20):
        bench.clock.advance(MINUTE)
        again.release()
    again.upkeep()
    assert bench.state.hold is not None
    assert "sender.held" in told(bench)
    assert "sender.resumed" not in told(bench)


# What upkeep saw.


def test_what_upkeep_saw_does_not_bring_back_what_was_disconnected(bench: Bench) -> None:
    connect(bench)
    bench.connections.disconnect(NOREPLY, why=WHY)
    bench.upkeep()
    assert (bench.state.connection, bench.grants.grants) == (None, {})


def test_a_refresh_is_written_down_for_who_looks(bench: Bench) -> None:
    connect(bench)
    bench.clock.advance(MINUTE)
    refreshed = replace(grant(), refreshed_at=bench.clock(), expires_at=bench.clock() + timedelta(hours=1))
    bench.connections.seen(NOREPLY, refreshed, None)
    assert bench.state.connection == Connection.of(refreshed)
    assert bench.state.granted_at == NOON
