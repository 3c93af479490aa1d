"""Mail to those who operate the deployment: through a sender that works, and the same alarm once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.address import parse_address
from shared.core.connection import Connection
from shared.core.holds import TELL_AGAIN, Pause, Proof, new_hold
from tests.twins import NOON, Crash, grant
from tests.workflows.conftest import BILLING, NOREPLY, SENDERS, Bench, consent_url, explain

if TYPE_CHECKING:
    from shared.core.holds import Hold
    from shared.core.sender import Sender

REPORTS = SENDERS["reports"]
OPERATORS = (parse_address("ops@contoso.com"), parse_address("Ada <ada@example.net>"))


@pytest.fixture
def bench() -> Bench:
    """Two senders that are connected, and two people to write to."""
    made = Bench(operators=OPERATORS)
    for each in SENDERS.values():
        connect(made, each)
    return made


def connect(bench: Bench, sender: Sender) -> None:
    known = Connection.of(grant(sender.consenting_account))
    bench.register.change(sender.name, lambda state: replace(state, connection=known))


def gone(remedy: str = "consent-required") -> Hold:
    return new_hold(remedy, explain(remedy, NOREPLY), proof=Proof.SESSION, now=NOON)


def mails(bench: Bench) -> list[dict[str, Any]]:
    """Return the mails that were written to the operators, as they stand on the outbox."""
    found = [json.loads(put.text) for put in bench.outbox.puts]
    return [each for each in found if str(each.get("id", "")).startswith("operators-")]


def through(bench: Bench) -> list[str]:
    return [each["sender"] for each in mails(bench)]


def test_a_hold_is_written_from_the_other_sender_with_the_link_in_it(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, gone())
    (mail,) = mails(bench)
    assert mail["sender"] == "reports"
    assert mail["to"] == ["ops@contoso.com", "ada@example.net"]
    assert mail["subject"] == "[Sendoff] Mail of noreply waits"
    assert consent_url("noreply") in mail["text"]
    assert "noreply is held since 2026-11-24 12:00 UTC; nothing is lost, its mail waits." in mail["text"]
    assert "This was sent through the sender reports." in mail["text"]


def test_what_is_written_is_a_message_that_goes(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, gone())
    (put,) = [each for each in bench.outbox.puts if "operators-" in each.text]
    bench.deliver(put.text.encode(), queue_id="queue-id-1")
    (submitted,) = bench.mailer.submitted
    assert submitted.sender == "reports"
    assert b"Auto-Submitted: auto-generated" in submitted.mime


def test_nobody_is_written_to_where_mail_toml_names_nobody(bench: Bench) -> None:
    quiet = bench.another(operators=())
    quiet.holds.hold(NOREPLY, gone())
    assert quiet.outbox.puts == []


def test_nothing_is_written_through_the_sender_that_is_held(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, gone())
    bench.holds.hold(REPORTS, gone())
    assert through(bench) == ["reports"]  # the second had nobody left to write


@pytest.mark.parametrize("standing", ["never connected", "held", "paused"])
def test_nothing_is_written_where_no_other_sender_works(standing: str) -> None:
    bench = Bench(operators=OPERATORS)
    connect(bench, NOREPLY)
    if standing != "never connected":
        connect(bench, REPORTS)
    if standing == "held":
        by_hand = new_hold("held-by-hand", "a move", proof=Proof.PERSON, now=NOON)
        bench.register.change("reports", lambda state: replace(state, hold=by_hand))
    if standing == "paused":
        bench.holds.wait(REPORTS, Pause(NOON + timedelta(minutes=5), "no token"))
    bench.holds.hold(NOREPLY, gone())
    assert mails(bench) == []
    assert [event.kind for event in bench.events.of_senders] == ["sender.held", "sender.consent_required"]


def test_a_pause_that_is_over_is_none(bench: Bench) -> None:
    bench.holds.wait(REPORTS, Pause(NOON + timedelta(minutes=5), "no token"))
    bench.clock.advance(timedelta(minutes=6))
    bench.holds.hold(NOREPLY, replace(gone(), since=bench.clock()))
    assert through(bench) == ["reports"]


def test_a_sender_that_is_in_mail_toml_no_more_writes_nothing(bench: Bench) -> None:
    connect(bench, replace(REPORTS, name="former"))
    alone = bench.another(senders={"noreply": NOREPLY})
    alone.holds.hold(NOREPLY, gone())
    assert mails(alone) == []


def test_the_default_sender_is_preferred_where_several_work(bench: Bench) -> None:
    senders = {
        "reports": REPORTS,
        "alerts": replace(REPORTS, name="alerts"),
        "noreply": NOREPLY,
    }
    connect(bench, senders["alerts"])
    more = bench.another(senders=senders)
    more.holds.hold(senders["alerts"], gone())
    assert through(more) == ["noreply"]


# One address.


def of_address() -> Hold:
    return new_hold("send-as-denied", "it may not", proof=Proof.MESSAGE, now=NOON)


def test_an_address_that_is_held_is_written_of_through_another_sender_where_there_is_one(
    bench: Bench,
) -> None:
    bench.holds.hold(NOREPLY, of_address(), address=BILLING)
    (mail,) = mails(bench)
    assert (mail["sender"], mail["subject"]) == (
        "reports",
        f"[Sendoff] Mail of {BILLING} of noreply waits",
    )


def test_an_address_that_is_held_may_be_written_of_through_its_own_sender() -> None:
    bench = Bench(operators=OPERATORS)
    connect(bench, NOREPLY)
    bench.holds.hold(NOREPLY, of_address(), address=BILLING)
    assert through(bench) == ["noreply"]


# Once.


def test_the_same_alarm_is_the_same_message_whoever_writes_it(bench: Bench) -> None:
    saves = iter(range(100))

    def crash_after_the_mail_was_put(_: str) -> None:
        if next(saves) == 1:
            raise Crash

    bench.states.before = crash_after_the_mail_was_put
    with pytest.raises(Crash):
        bench.holds.hold(NOREPLY, gone())
    assert len(mails(bench)) == 1
    bench.clock.advance(timedelta(seconds=30))
    bench.another().release()
    assert len(mails(bench)) == 2
    assert len({mail["id"] for mail in mails(bench)}) == 1


def test_two_alarms_of_one_moment_are_two_messages(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, of_address(), address=BILLING)
    bench.holds.hold(NOREPLY, of_address(), address="news@contoso.com")
    assert len({mail["id"] for mail in mails(bench)}) == 2


def test_what_lasts_is_written_of_every_day_as_another_message(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, gone())
    for _ in range(3 * 24):
        bench.clock.advance(timedelta(hours=1))
        bench.register.change(
            "noreply",
            lambda state: replace(state, hold=replace(state.hold, probe_at=None) if state.hold else None),
        )
        bench.release()
    found = mails(bench)
    assert [each["subject"] for each in found] == [
        "[Sendoff] Mail of noreply waits",
        *["[Sendoff] Mail of noreply still waits"] * 3,
    ]
    assert len({each["id"] for each in found}) == 4


def test_an_alarm_that_could_not_go_for_a_day_does_not_go(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, gone())
    (mail,) = mails(bench)
    assert mail["expires_at"] == (NOON + 2 * TELL_AGAIN).isoformat()


# Credentials.


def test_a_credential_that_ends_soon_is_written_of_even_by_the_sender_that_needs_it() -> None:
    bench = Bench(operators=OPERATORS)
    connect(bench, NOREPLY)
    bench.connections.warn(NOREPLY, "oauth-microsoft-client-secret", NOON + timedelta(days=7))
    (mail,) = mails(bench)
    assert mail["sender"] == "noreply"
    assert mail["subject"] == "[Sendoff] oauth-microsoft-client-secret ends on 2026-12-01"


def test_a_credential_that_has_ended_is_not_written_of_through_who_needs_it(bench: Bench) -> None:
    bench.connections.warn(NOREPLY, "oauth-microsoft-client-secret", NOON)
    (mail,) = mails(bench)
    assert (mail["sender"], mail["subject"]) == (
        "reports",
        "[Sendoff] oauth-microsoft-client-secret ended on 2026-11-24",
    )
    alone = Bench(operators=OPERATORS)
    connect(alone, NOREPLY)
    alone.connections.warn(NOREPLY, "oauth-microsoft-client-secret", NOON)
    assert mails(alone) == []


def test_a_name_of_any_script_can_be_written(bench: Bench) -> None:
    hold = new_hold("held-by-hand", "Umzug: Größe „Ł“", proof=Proof.PERSON, now=NOON)
    bench.holds.hold(NOREPLY, hold)
    assert "Umzug: Größe „Ł“" in mails(bench)[0]["text"]
