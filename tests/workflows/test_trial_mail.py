"""Test mails: one for each id, recorded as any other, gone the way of all mail."""

from __future__ import annotations

import pytest

from shared.core.delivery import State
from shared.core.holds import Proof, new_hold
from shared.errors import MessageError
from tests.twins import NOON, Crash
from tests.workflows.conftest import NOREPLY, SENDERS, Bench, mail


def deliver_all(bench: Bench) -> None:
    for number, put in enumerate(list(bench.outbox.puts)):
        bench.deliver(put.text.encode(), queue_id=f"queue-id-{number}")


def test_a_test_mail_is_accepted_as_any_other_and_says_what_it_is(bench: Bench) -> None:
    entry = bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    assert (entry.id, entry.state, entry.sender) == ("test-1", State.QUEUED, "noreply")
    deliver_all(bench)
    assert bench.state_of("test-1") is State.ACCEPTED
    sent = mail(bench)
    assert (sent["To"], sent["Subject"]) == ("ada@example.net", "Test mail of the sender noreply")
    assert sent["From"] == "Contoso <noreply@contoso.com>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Message-ID"] == entry.message_id
    body = sent.get_body(("plain",))
    assert body is not None
    assert "from noreply@contoso.com" in body.get_content()


def test_the_same_id_again_sends_no_second_one(bench: Bench) -> None:
    first = bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    second = bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    assert first == second
    deliver_all(bench)
    third = bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    assert third.state is State.ACCEPTED
    deliver_all(bench)
    assert len(bench.mailer.submitted) == 1


def test_another_id_sends_another(bench: Bench) -> None:
    for number in range(2):
        bench.trial.send(NOREPLY, "ada@example.net", message_id=f"test-{number}")
    deliver_all(bench)
    assert len(bench.mailer.submitted) == 2


def test_it_goes_through_the_sender_it_is_a_test_of(bench: Bench) -> None:
    for each in SENDERS.values():
        bench.trial.send(each, each.mailbox, message_id=f"test-{each.name}")
    deliver_all(bench)
    assert [each.sender for each in bench.mailer.submitted] == ["noreply", "reports"]


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "ada@example.net\r\nBcc: eve@example.net", "ada@example.net, eve@example.net"],
)
def test_an_address_that_is_none_is_refused_and_leaves_nothing(bench: Bench, address: str) -> None:
    with pytest.raises(MessageError) as raised:
        bench.trial.send(NOREPLY, address, message_id="test-1")
    assert any(problem.startswith("to") for problem in raised.value.problems)
    assert (bench.ledger.ids(), bench.outbox.puts) == (set(), [])


def test_where_the_sender_is_held_the_test_waits_and_is_sent_after(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, new_hold("held-by-hand", "a move", proof=Proof.PERSON, now=NOON))
    bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    deliver_all(bench)
    assert bench.state_of("test-1") is State.HELD
    bench.holds.resume(NOREPLY, why="a person resumed it")
    bench.serve(called=True)
    assert bench.state_of("test-1") is State.ACCEPTED


def test_a_crash_before_the_queue_has_it_is_mended_by_the_same_press_again(bench: Bench) -> None:
    def crash(_: str) -> None:
        raise Crash

    bench.outbox.before = crash
    with pytest.raises(Crash):
        bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    bench.outbox.before = lambda _: None
    bench.another().trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    deliver_all(bench)
    assert bench.state_of("test-1") is State.ACCEPTED
    assert len(bench.mailer.submitted) == 1


def test_it_asks_for_no_more_than_a_high_priority_and_no_time(bench: Bench) -> None:
    entry = bench.trial.send(NOREPLY, "ada@example.net", message_id="test-1")
    assert (entry.due_at, entry.planned_at, entry.expires_at) == (None, None, None)
