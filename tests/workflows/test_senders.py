"""How each sender stands, for those who ask."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.delivery import State
from shared.core.holds import Pause, Proof, new_hold
from shared.core.service import GrantKind
from shared.errors import MessageError
from shared.workflows import senders
from tests.twins import NOON, grant
from tests.workflows.conftest import BILLING, NOREPLY, SERVICES, Bench, consent_url, mail, message

UNTOUCHED: dict[str, Any] = {
    "name": "reports",
    "mailbox": "reports@contoso.com",
    "from": ["reports@contoso.com"],
    "state": "sending",
    "hold": None,
    "held_addresses": {},
    "account": None,
    "credential_expires_at": None,
    "paused": None,
    "mail_is_waiting": False,
    "waiting": 0,
    "last_mail_at": None,
    "messages_in_the_last_minute": 0,
    "recipients_in_the_last_day": 0,
    "connections": 0,
    "limits": {"messages_per_minute": 30, "connections": 3, "recipients_per_day": 10_000},
}


def shown(bench: Bench, name: str = "noreply") -> dict[str, Any]:
    found = senders.show(bench.senders_tools(), name)
    assert found is not None
    return found


def test_a_sender_that_has_done_nothing_is_sending(bench: Bench) -> None:
    assert shown(bench, "reports") == UNTOUCHED


def test_all_senders_of_mail_toml_are_shown_in_its_order_and_no_others(bench: Bench) -> None:
    bench.send(message())
    bench.register.change("gone", lambda state: state)
    found = senders.show_all(bench.senders_tools())
    assert [each["name"] for each in found] == ["noreply", "reports"]
    assert found == [shown(bench), shown(bench, "reports")]


def test_what_was_sent_is_counted(bench: Bench) -> None:
    bench.send(message(to=["a@example.net", "b@example.net"]))
    found = shown(bench)
    assert found["from"] == ["noreply@contoso.com", BILLING]
    assert (found["last_mail_at"], found["connections"]) == ("2026-11-24T12:00:00Z", 1)
    assert found["messages_in_the_last_minute"] >= 1
    assert found["recipients_in_the_last_day"] == 2
    bench.clock.advance(timedelta(minutes=2))
    found = shown(bench)
    assert (found["messages_in_the_last_minute"], found["connections"]) == (0, 0)


def test_a_held_sender_says_why_who_must_act_and_when_it_is_probed(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, new_hold("mailbox-full", "empty it", proof=Proof.MESSAGE, now=NOON))
    bench.send(message())
    found = shown(bench)
    assert (found["state"], found["mail_is_waiting"], found["waiting"]) == ("held", True, 1)
    assert found["hold"] == {
        "remedy": "mailbox-full",
        "reason": "empty it",
        "who": "an administrator",
        "since": "2026-11-24T12:00:00Z",
        "probes": 0,
        "next_probe_at": "2026-11-24T12:01:00Z",
    }


def test_a_held_address_is_shown_beside_a_sender_that_sends(bench: Bench) -> None:
    bench.holds.hold(
        NOREPLY, new_hold("send-as-denied", "grant it", proof=Proof.MESSAGE, now=NOON), address=BILLING
    )
    found = shown(bench)
    assert (found["state"], found["hold"]) == ("sending", None)
    assert list(found["held_addresses"]) == [BILLING]
    assert found["held_addresses"][BILLING]["reason"] == "grant it"


def test_mail_that_waits_for_an_address_alone_is_waiting_too(bench: Bench) -> None:
    bench.holds.hold(
        NOREPLY, new_hold("send-as-denied", "grant it", proof=Proof.MESSAGE, now=NOON), address=BILLING
    )
    assert bench.send(message(**{"from": BILLING})) is State.HELD
    assert (shown(bench)["mail_is_waiting"], shown(bench)["waiting"]) == (True, 1)


def test_a_paused_sender_says_until_when_and_no_longer_than_that(bench: Bench) -> None:
    bench.holds.wait(NOREPLY, Pause(NOON + timedelta(minutes=1), "too many at once"))
    assert shown(bench)["state"] == "paused"
    assert shown(bench)["paused"] == {"until": "2026-11-24T12:01:00Z", "reason": "too many at once"}
    bench.clock.advance(timedelta(minutes=1))
    assert (shown(bench)["state"], shown(bench)["paused"]) == ("sending", None)


def test_a_person_holds_a_sender_and_lets_it_go_on(bench: Bench) -> None:
    tools = bench.senders_tools()
    held = senders.hold(tools, "noreply", reason="we move house")
    assert held is not None
    assert (held["state"], held["hold"]["reason"], held["hold"]["next_probe_at"]) == (
        "held",
        "we move house",
        None,
    )
    assert held["hold"]["remedy"] == "held-by-hand"
    assert bench.send(message()) is State.HELD
    resumed = senders.resume(tools, "noreply")
    assert resumed is not None
    assert (resumed["state"], resumed["hold"], resumed["mail_is_waiting"]) == ("sending", None, True)
    bench.clock.advance(timedelta(seconds=5))
    assert bench.serve(called=True) == 1
    assert [event.kind for event in bench.events.of_senders] == ["sender.held", "sender.resumed"]


def test_a_person_holds_one_address_and_lets_it_go_on(bench: Bench) -> None:
    tools = bench.senders_tools()
    held = senders.hold(tools, "noreply", address=BILLING)
    assert held is not None
    assert (held["state"], list(held["held_addresses"])) == ("sending", [BILLING])
    assert held["held_addresses"][BILLING]["reason"] == "a person held it and gave no reason"
    assert bench.send(message(id="a", **{"from": BILLING})) is State.HELD
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.ACCEPTED
    resumed = senders.resume(tools, "noreply", address=BILLING)
    assert resumed is not None
    assert resumed["held_addresses"] == {}
    assert bench.serve(called=True) == 1


def test_a_person_ends_a_pause_too_and_the_mail_flows_at_once(bench: Bench) -> None:
    bench.holds.wait(NOREPLY, Pause(NOON + timedelta(hours=1), "the day is full"))
    bench.send(message())
    bench.outbox.puts.clear()
    resumed = senders.resume(bench.senders_tools(), "noreply")
    assert resumed is not None
    assert (resumed["state"], resumed["paused"]) == ("sending", None)
    assert bench.calls
    assert bench.serve(called=True) == 1


def test_what_is_not_held_may_be_resumed(bench: Bench) -> None:
    assert senders.resume(bench.senders_tools(), "reports") == UNTOUCHED


def test_an_unknown_sender_is_neither_shown_nor_held_nor_resumed(bench: Bench) -> None:
    tools = bench.senders_tools()
    assert senders.show(tools, "nobody") is None
    assert senders.hold(tools, "nobody", reason="x") is None
    assert senders.resume(tools, "nobody") is None
    assert senders.send_test(tools, "nobody", to="ada@example.net") is None
    assert senders.disconnect(tools, "nobody") is None
    assert bench.states.all() == []


# Whose grant it is.


def test_a_connected_sender_says_whose_grant_it_has_and_how_long_that_lasts(bench: Bench) -> None:
    bench.connections.connect(NOREPLY, grant())
    bench.connections.seen(NOREPLY, grant(at=NOON + timedelta(minutes=45)), NOON + timedelta(days=100))
    found = shown(bench)
    assert found["account"] == {
        "name": "noreply@contoso.com",
        "display_name": "Contoso Somebody",
        "connected_at": "2026-11-24T12:45:00Z",
        "refreshed_at": "2026-11-24T12:45:00Z",
        "token_expires_at": "2026-11-24T13:45:00Z",
        "grant_expires_at": "2027-02-22T12:45:00Z",
    }
    assert found["credential_expires_at"] == "2027-03-04T12:00:00Z"
    assert "canary" not in json.dumps(found)


def test_an_applications_own_grant_has_no_end(bench: Bench) -> None:
    bench.connections.seen(NOREPLY, replace(grant(), refresh_token=""), None)
    assert shown(bench)["account"]["grant_expires_at"] is None


def test_taking_the_grant_away_shows_in_how_it_stands(bench: Bench) -> None:
    bench.connections.connect(NOREPLY, grant())
    found = senders.disconnect(bench.senders_tools(), "noreply")
    assert found is not None
    assert (found["state"], found["account"], found["hold"]["remedy"]) == ("held", None, "consent-missing")
    assert found["hold"]["reason"].startswith("a person took the grant away; ")
    assert consent_url("noreply") in found["hold"]["reason"]
    assert bench.grants.grants == {}


def test_where_nobody_has_consented_there_is_nothing_to_take_away(bench: Bench) -> None:
    with pytest.raises(senders.NothingToRemoveError, match="nobody has consented for noreply"):
        senders.disconnect(bench.senders_tools(), "noreply")


def test_an_applications_own_permission_is_not_taken_away_here(bench: Bench) -> None:
    bench.services = {"microsoft": replace(SERVICES["microsoft"], grant=GrantKind.APP)}
    bench.grants.grants["noreply"] = replace(grant(), refresh_token="")
    with pytest.raises(senders.NothingToRemoveError, match="the application's own permission"):
        senders.disconnect(bench.senders_tools(), "noreply")
    assert "noreply" in bench.grants.grants
    assert bench.states.all() == []


# A test mail.


def test_a_test_mail_goes_to_the_senders_own_mailbox_or_wherever_it_is_told(bench: Bench) -> None:
    tools = bench.senders_tools()
    first, second = (
        senders.send_test(tools, "noreply"),
        senders.send_test(tools, "noreply", to="a@example.net"),
    )
    assert first is not None
    assert second is not None
    assert (first["to"], second["to"]) == ("noreply@contoso.com", "a@example.net")
    assert first["id"] != second["id"]
    assert bench.ledger.ids() == {first["id"], second["id"]}
    for put in list(bench.outbox.puts):
        assert bench.send(put.text.encode()) is State.ACCEPTED
    assert [mail(bench, number)["To"] for number in (0, 1)] == ["noreply@contoso.com", "a@example.net"]


def test_where_the_sender_is_held_the_test_mail_waits_and_the_answer_says_so(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, new_hold("mailbox-full", "empty it", proof=Proof.MESSAGE, now=NOON))
    found = senders.send_test(bench.senders_tools(), "noreply")
    assert found is not None
    assert found["hold"]["reason"] == "empty it"
    assert bench.send(bench.outbox.puts[-1].text.encode()) is State.HELD


def test_a_test_mail_to_no_address_is_refused(bench: Bench) -> None:
    with pytest.raises(MessageError, match="to"):
        senders.send_test(bench.senders_tools(), "noreply", to="nobody")
    assert bench.ledger.ids() == set()
