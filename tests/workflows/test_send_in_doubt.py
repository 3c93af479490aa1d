"""The connection was lost after the end of data: the message may have been accepted, or not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.delivery import State
from shared.core.smtp import Phase, Submission
from tests.workflows.conftest import Bench, lines, mail, message
from tests.workflows.test_send import BUSY, UNKNOWN

if TYPE_CHECKING:
    import pytest

IN_DOUBT = Submission(Phase.END_OF_DATA, problem="the connection was lost")


def test_a_message_in_doubt_is_held_where_the_app_asks_for_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.mailer.script = [IN_DOUBT]
    assert bench.send(message(on_doubt="hold")) is State.IN_DOUBT
    entry = bench.ledger.only()
    assert (entry.state, entry.attempts, entry.body, entry.due_at) == (State.IN_DOUBT, 1, b"", None)
    assert entry.reason.startswith("the connection was lost; ")
    assert bench.outbox.puts == []
    assert [(level, word) for level, word, _ in lines(caplog)] == [("WARNING", "mail-in-doubt")]
    assert bench.send(message(on_doubt="hold"), queue_id="queue-id-2") is None
    assert len(bench.mailer.submitted) == 1


def test_a_message_in_doubt_goes_again_as_the_same_mail_otherwise(bench: Bench) -> None:
    bench.mailer.script = [IN_DOUBT]
    assert bench.send(message(on_doubt="resend")) is State.DEFERRED
    assert bench.ledger.only().attempts == 1
    bench.clock.advance(timedelta(hours=1))
    assert bench.send_what_waits() is State.ACCEPTED
    first, second = bench.mailer.submitted
    assert first.mime == second.mime
    assert (mail(bench)["Message-ID"], mail(bench)["Date"]) == (
        "<1@contoso.com>",
        "Tue, 24 Nov 2026 12:00:00 +0000",
    )


def test_a_message_that_is_surely_not_accepted_is_in_no_doubt(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    assert bench.send(message(on_doubt="hold")) is State.DEFERRED


def test_hold_keeps_no_refusal_from_being_one(bench: Bench) -> None:
    bench.mailer.script = [UNKNOWN]
    assert bench.send(message(on_doubt="hold")) is State.REJECTED
