"""The routes of /senders: JSON for those who ask, problem details for what cannot be done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.delivery import State
from shared.errors import TokenUnavailableError
from shared.web import message_routes, sender_routes
from tests.twins import grant
from tests.workflows.conftest import BILLING, NOREPLY, Bench, message

if TYPE_CHECKING:
    from shared.web.responses import Response


BASE = "https://mail.contoso.com/api/messages"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def read(response: Response, *, status: int = 200) -> Any:
    assert response.status == status
    kind = "application/json; charset=utf-8" if status < 300 else "application/problem+json"
    assert response.content_type == kind
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    value = json.loads(response.body)
    if status >= 300:
        assert (value["type"], value["status"]) == ("about:blank", status)
        assert value["title"]
        assert value["detail"]
    return value


def hold(bench: Bench, body: Any = b"", name: str = "noreply") -> Response:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sender_routes.hold(bench.senders_tools(), name, octets)


def resume(bench: Bench, body: Any = b"", name: str = "noreply") -> Response:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sender_routes.resume(bench.senders_tools(), name, octets)


def send_test(bench: Bench, body: Any = b"", name: str = "noreply") -> Response:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sender_routes.send_test(bench.senders_tools(), name, octets, base=BASE)


def test_all_senders_are_shown_as_one_object(bench: Bench) -> None:
    found = read(sender_routes.show_all(bench.senders_tools()))
    assert list(found) == ["senders"]
    assert [each["name"] for each in found["senders"]] == ["noreply", "reports"]


def test_one_sender_is_shown_as_it_is_among_all(bench: Bench) -> None:
    found = read(sender_routes.show(bench.senders_tools(), "reports"))
    assert found == read(sender_routes.show_all(bench.senders_tools()))["senders"][1]
    assert (found["state"], found["hold"], found["paused"]) == ("sending", None, None)


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}"], ids=["empty", "blank", "an empty object"])
def test_a_sender_is_held_and_resumed_with_nothing_said(bench: Bench, body: bytes) -> None:
    held = read(hold(bench, body))
    assert (held["state"], held["hold"]["remedy"]) == ("held", "held-by-hand")
    assert bench.send(message()) is State.HELD
    assert read(resume(bench, body))["state"] == "sending"


def test_the_reason_is_kept_as_it_was_given(bench: Bench) -> None:
    held = read(hold(bench, {"reason": " Wir ziehen um – bis Freitag \n"}))
    assert held["hold"]["reason"] == "Wir ziehen um – bis Freitag"
    assert "Wir ziehen um – bis Freitag" in hold(bench).body.decode()


@pytest.mark.parametrize("address", [BILLING, "Billing@Contoso.COM", f" {BILLING} "])
def test_one_address_is_held_and_resumed_without_case(bench: Bench, address: str) -> None:
    held = read(hold(bench, {"reason": "so", "address": address}))
    assert (held["state"], list(held["held_addresses"])) == ("sending", [BILLING])
    assert read(resume(bench, {"address": address}))["held_addresses"] == {}


def test_an_address_that_was_taken_out_of_mail_toml_can_still_be_resumed(bench: Bench) -> None:
    hold(bench, {"address": BILLING})
    bench.senders = {"noreply": replace(NOREPLY, also_from=())}
    assert read(resume(bench, {"address": BILLING}))["held_addresses"] == {}


def test_an_unknown_sender_is_said_with_those_there_are(bench: Bench) -> None:
    tools = bench.senders_tools()
    for response in (
        sender_routes.show(tools, "nobody"),
        hold(bench, name="nobody"),
        resume(bench, name="nobody"),
        send_test(bench, name="nobody"),
        sender_routes.disconnect(tools, "nobody"),
    ):
        found = read(response, status=404)
        assert found["detail"] == "mail.toml has no sender 'nobody'; it has noreply, reports"
    assert bench.states.all() == []


@pytest.mark.parametrize("name", ["", "x" * 4_000, "<script>", "no\r\nreply", "\ud800", "../noreply"])
def test_no_name_breaks_the_answer(bench: Bench, name: str) -> None:
    read(sender_routes.show(bench.senders_tools(), name), status=404)


NOT_OBJECTS = [b"not json", b"\xff", b"[]", b"7", b"null", b'"hold"', b"[" * 100_000]


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=lambda body: body[:8].decode("latin-1"))
def test_what_is_no_object_is_refused(bench: Bench, body: bytes) -> None:
    for response in (hold(bench, body), resume(bench, body), send_test(bench, body)):
        assert "the body" in read(response, status=400)["detail"]
    assert bench.states.all() == []


def test_everything_that_is_wrong_is_listed_at_once(bench: Bench) -> None:
    found = read(hold(bench, {"colour": "red", "until": 7, "reason": 7, "address": "x" * 1_001}), status=400)
    assert found["problems"] == [
        "colour: is not a field here",
        "until: is not a field here",
        "reason: is not a string",
        "address: is longer than 1000 characters",
    ]
    assert found["detail"] == "; ".join(found["problems"])
    assert bench.states.all() == []


def test_an_address_of_somebody_else_is_refused_with_what_else_is_wrong(bench: Bench) -> None:
    found = read(hold(bench, {"colour": "red", "address": "ceo@contoso.com"}), status=400)
    assert [problem.partition(":")[0] for problem in found["problems"]] == ["colour", "address"]
    found = read(hold(bench, {"address": "ceo@contoso.com"}), status=400)
    assert found["problems"] == [
        "address: ceo@contoso.com is not an address of noreply; it may send as those in from and also_from"
    ]
    assert bench.states.all() == []


@pytest.mark.parametrize("value", [None, 7, [], {}, True])
def test_a_field_that_is_no_string_is_refused(bench: Bench, value: Any) -> None:
    assert read(hold(bench, {"reason": value}), status=400)["problems"] == ["reason: is not a string"]
    assert read(resume(bench, {"address": value}), status=400)["problems"] == ["address: is not a string"]


def test_resuming_takes_no_reason(bench: Bench) -> None:
    assert read(resume(bench, {"reason": "so"}), status=400)["problems"] == ["reason: is not a field here"]


# A test mail, and the end of a grant.


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"to": ""}', b'{"to": "noreply@contoso.com"}'])
def test_a_test_mail_is_taken_in_and_the_answer_says_where_it_is(bench: Bench, body: bytes) -> None:
    answer = send_test(bench, body)
    found = read(answer, status=202)
    assert (found["state"], found["to"], found["hold"]) == ("queued", "noreply@contoso.com", None)
    assert answer.headers["Location"] == f"{BASE}/{found['id']}"
    known = read(message_routes.show(bench.messages_tools(), found["id"]))
    assert (known["id"], known["state"]) == (found["id"], "queued")


def test_two_test_mails_are_two(bench: Bench) -> None:
    ids = {read(send_test(bench), status=202)["id"] for _ in range(2)}
    assert bench.ledger.ids() == ids
    assert len(ids) == 2


@pytest.mark.parametrize(
    "to",
    ["nobody", "a@example.net\r\nBcc: b@example.net", "a@example.net, b@example.net", "\ud800@x.net", "\0"],
)
def test_a_test_mail_to_no_one_address_is_refused(bench: Bench, to: str) -> None:
    assert read(send_test(bench, {"to": to}), status=400)["problems"]
    assert (bench.ledger.ids(), bench.outbox.puts) == (set(), [])


@pytest.mark.parametrize(
    "body", [{"to": 7}, {"to": ["a@example.net"]}, {"to": None}, {"cc": "a@example.net"}]
)
def test_a_test_mail_takes_an_address_and_nothing_else(bench: Bench, body: Any) -> None:
    assert read(send_test(bench, body), status=400)["problems"]
    assert bench.ledger.ids() == set()


def test_a_grant_is_removed_once_and_then_there_is_none(bench: Bench) -> None:
    tools = bench.senders_tools()
    bench.connections.connect(NOREPLY, grant())
    found = read(sender_routes.disconnect(tools, "noreply"))
    assert (found["state"], found["account"], found["hold"]["remedy"]) == ("held", None, "consent-missing")
    again = read(sender_routes.disconnect(tools, "noreply"), status=409)
    assert (again["title"], bench.grants.grants) == ("nothing to remove", {})


def test_a_vault_that_does_not_answer_is_said(bench: Bench) -> None:
    def down(_: str) -> None:
        raise TokenUnavailableError("cannot delete the secret grant-noreply: HttpResponseError 429")

    bench.connections.connect(NOREPLY, grant())
    bench.grants.before = down
    found = read(sender_routes.disconnect(bench.senders_tools(), "noreply"), status=503)
    assert "nothing was removed, and the sender goes on with its next probe: ask again" in found["detail"]
    assert "noreply" in bench.grants.grants
