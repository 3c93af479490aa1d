"""What cannot be sent as it stands ends as a recorded refusal with every problem and is not tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.timing import BROUGHT_BACK_EARLY
from tests.twins import NOON, Crash
from tests.workflows.conftest import SENDERS, Bench, lines, message
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.sender import Sender


def test_an_invalid_message_is_recorded_with_every_problem(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    body = message(to=["nobody"], colour="red", text=7, subject="a\r\nBcc: x@example.net")
    assert bench.send(body) is State.REJECTED
    entry = bench.ledger.only()
    assert (entry.id, entry.state, entry.attempts) == ("order-17", State.REJECTED, 0)
    problems = entry.reason.splitlines()
    assert sorted(problem.partition(":")[0] for problem in problems) == ["colour", "subject", "text", "to[0]"]
    assert bench.mailer.submitted == []
    assert bench.outbox.puts == []
    ((level, event, said),) = lines(caplog)
    assert (level, event) == ("WARNING", "mail-rejected")
    assert all(problem in said for problem in problems)


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"not json", b"[]", b"7", b"null", b"\xff\xfe", b'{"to":', b"{" * 5_000, b"aGVsbG8="]
)
def test_what_cannot_be_read_is_recorded_under_its_queue_messages_id(bench: Bench, body: bytes) -> None:
    assert bench.send(body) is State.REJECTED
    entry = bench.ledger.only()
    assert entry.id == "queue-id-1"
    assert entry.reason.startswith("message: ")


def test_an_id_that_is_none_is_a_problem_like_any_other(bench: Bench) -> None:
    assert bench.send(message(id="a b")) is State.REJECTED
    assert bench.ledger.ids() == {"queue-id-1"}


def test_an_unknown_sender_is_refused_and_the_known_ones_are_named(bench: Bench) -> None:
    assert bench.send(message(sender="nobody")) is State.REJECTED
    assert bench.ledger.only().reason == "sender: there is none called nobody; mail.toml has noreply, reports"


def test_a_foreign_from_address_is_refused(bench: Bench) -> None:
    assert bench.send(message(**{"from": "ceo@contoso.com"})) is State.REJECTED
    assert bench.ledger.only().reason.startswith(
        "from: ceo@contoso.com is not an address of the sender noreply"
    )


def test_no_default_sender_is_said(bench: Bench) -> None:
    bench.senders = {"a": SENDERS["reports"], "b": SENDERS["reports"]}
    assert bench.send(message()) is State.REJECTED
    assert bench.ledger.only().reason.startswith("sender: none is named and mail.toml has no default one")


def test_a_refusal_that_is_delivered_again_is_recorded_once(bench: Bench) -> None:
    bench.send(message(text=7))
    bench.clock.advance(timedelta(seconds=30))
    assert bench.send(message(text=7), times=2) is None
    assert bench.ledger.ids() == {"order-17"}
    assert len(bench.ledger.history("order-17")) == 1


def test_a_refusal_survives_a_crash_on_either_side_of_its_record(bench: Bench) -> None:
    for moment in ("before", "after"):
        setattr(bench.ledger, moment, _crash_once(bench, moment))
        with pytest.raises(Crash):
            bench.send(message(text=7))
        assert bench.send(message(text=7), times=2) is State.REJECTED
    assert len(bench.ledger.history("order-17")) == 1


def _crash_once(bench: Bench, moment: str) -> object:
    def crash(_: str) -> None:
        setattr(bench.ledger, moment, lambda _: None)
        raise Crash

    return crash


# The same id again.


def test_the_same_message_again_is_ignored(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.send(message())
    assert bench.send(message(), queue_id="queue-id-2") is None
    assert len(bench.mailer.submitted) == 1
    assert lines(caplog)[-1] == (
        "INFO",
        "mail-ignored",
        "message order-17: nothing to do, it is accepted already",
    )


def test_the_same_message_in_other_words_is_the_same(bench: Bench) -> None:
    bench.send(message(to="ada@example.net"))
    assert bench.send(message(to=["ada@example.net"]), queue_id="queue-id-2") is None
    assert bench.ledger.ids() == {"order-17"}


def test_other_content_under_the_same_id_is_refused_and_the_first_untouched(bench: Bench) -> None:
    bench.send(message())
    first = bench.ledger.find("order-17")
    assert bench.send(message(text="Hello, Bob"), queue_id="queue-id-2") is State.REJECTED
    assert bench.ledger.find("order-17") == first
    refused = bench.ledger.find("queue-id-2")
    assert refused is not None
    assert refused.state is State.REJECTED
    assert refused.reason == "id: order-17 was used before for a message with other content; use a new id"
    assert len(bench.mailer.submitted) == 1


def test_other_content_leaves_a_message_that_waits_waiting(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.send(message(text="Hello, Bob"), queue_id="queue-id-3")
    assert bench.send_what_waits() is State.ACCEPTED
    assert b"Hello, Ada" in bench.mailer.submitted[-1].mime


def test_an_invalid_message_under_a_taken_id_leaves_the_first_untouched(bench: Bench) -> None:
    bench.send(message())
    first = bench.ledger.find("order-17")
    assert bench.send(message(text=7), queue_id="queue-id-2") is State.REJECTED
    assert bench.ledger.find("order-17") == first
    assert bench.ledger.ids() == {"order-17", "queue-id-2"}


# A message that waits, when what it needs is taken out of mail.toml.


def test_mail_that_waits_outlives_its_senders_removal(bench: Bench) -> None:
    senders = bench.senders
    bench.mailer.script = [BUSY]
    bench.send(message(sender="reports"))
    bench.senders = _without(senders, "reports")
    assert bench.send_what_waits() is State.DEFERRED
    entry = bench.ledger.only()
    assert entry.attempts == 1
    assert entry.reason == "sender: there is none called reports; mail.toml has noreply"
    bench.senders = senders
    assert bench.send_what_waits(queue_id="queue-id-3") is State.ACCEPTED


def test_a_sender_that_one_instance_lacks_disturbs_no_other(bench: Bench) -> None:
    def without_it() -> None:
        other = Bench(clock=bench.clock, ledger=bench.ledger, senders=_without(bench.senders, "reports"))
        other.send(message(sender="reports"), queue_id="queue-id-3")

    bench.mailer.meanwhile = without_it
    assert bench.send(message(sender="reports")) is State.ACCEPTED
    assert bench.ledger.only().state is State.ACCEPTED


def test_a_sender_that_one_instance_lacks_takes_no_waiting_mail_from_another(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message(sender="reports"))
    body = bench.outbox.puts[-1].text.encode()

    def without_it() -> None:
        other = Bench(clock=bench.clock, ledger=bench.ledger, senders=_without(bench.senders, "reports"))
        other.send(body, queue_id="queue-id-3")

    bench.mailer.meanwhile = without_it
    assert bench.send_what_waits() is State.ACCEPTED
    assert bench.ledger.only().state is State.ACCEPTED


def _without(senders: Mapping[str, Sender], name: str) -> dict[str, Sender]:
    return {known: one for known, one in senders.items() if known != name}


# What Sendoff itself puts on the outbox.


def test_a_message_that_comes_too_early_is_put_back_for_the_rest(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.clock.advance(timedelta(seconds=4))
    assert bench.send(bench.outbox.puts[-1].text.encode(), queue_id="queue-id-2") is None
    assert bench.outbox.puts[-1].delay == timedelta(seconds=11) - BROUGHT_BACK_EARLY
    assert bench.ledger.only().state is State.DEFERRED
    assert bench.send_what_waits(queue_id="queue-id-3") is State.ACCEPTED


def test_a_message_that_comes_late_is_sent(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.clock.advance(timedelta(days=3))
    assert bench.send(bench.outbox.puts[-1].text.encode(), queue_id="queue-id-2") is State.ACCEPTED
    assert bench.ledger.only().date == NOON


def test_the_original_that_comes_again_while_it_waits_is_put_back_too(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    assert bench.send(message(), times=2) is None
    assert [put.delay + BROUGHT_BACK_EARLY for put in bench.outbox.puts] == [timedelta(seconds=15)] * 2


@pytest.mark.parametrize("body", [b'{"action": "send", "id": "unheard-of"}'])
def test_a_waiting_message_that_the_ledger_does_not_know_is_left_alone(
    bench: Bench, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert bench.send(body) is None
    assert bench.ledger.ids() == set()
    assert "the ledger has no such message" in caplog.text


def test_a_waiting_message_that_is_settled_is_left_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.send(message())
    assert bench.send(b'{"action": "send", "id": "order-17"}', queue_id="queue-id-2") is None
    assert "nothing to do, it is accepted" in caplog.text
    assert len(bench.mailer.submitted) == 1


@pytest.mark.parametrize(
    "body",
    [b'{"action": "send"}', b'{"action": "send", "id": "a", "to": "b@example.net"}', b'{"action": "stop"}'],
)
def test_an_app_cannot_bend_what_sendoff_puts_there(bench: Bench, body: bytes) -> None:
    assert bench.send(body) is State.REJECTED
    assert bench.mailer.submitted == []
