"""The way of a message that can be sent: claim, token, server, settle."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.core.claims import CLAIM_LEASE
from shared.core.delivery import State
from shared.core.holds import LONGEST_PROBE
from shared.core.intake import waiting_body
from shared.core.outcomes import MOST_ATTEMPTS
from shared.core.reply import Scope, Verdict, judge
from shared.core.smtp import Phase, Reply, ReplyParser, Submission
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.core.waiting import line_of
from tests.twins import ACCEPTED, NOON, ScriptedMailer
from tests.workflows.conftest import Bench, lines, message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.delivery import Entry

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
REFUSED = Submission(Phase.AUTH, Reply(535, ("5.7.3 Authentication unsuccessful [AM0PR02CA0099]",)))
BUSY = Submission(Phase.MAIL, Reply(451, ("4.3.2 Please try again later",)))
UNKNOWN = Submission(Phase.RCPT, Reply(550, ("5.1.10 RESOLVER.ADR.RecipientNotFound",)))


# What the server is handed, and what is kept.


def test_a_message_is_sent_and_the_servers_reply_kept_word_for_word(bench: Bench) -> None:
    assert bench.send(message()) is State.ACCEPTED
    entry = bench.ledger.only()
    assert (entry.id, entry.state, entry.attempts) == ("order-17", State.ACCEPTED, 1)
    assert entry.reply == "250 2.0.0 OK <1@contoso.com> [Hostname=AM0PR02MB1234]"
    assert (entry.body, entry.claimed_by, entry.lease_until, entry.due_at) == (b"", None, None, None)
    assert bench.outbox.puts == []


def test_the_server_gets_the_envelope_the_token_and_the_mail(bench: Bench) -> None:
    bench.send(message(sender="reports", to=["a@example.net"], cc="b@example.net", bcc="c@example.net"))
    (sent,) = bench.mailer.submitted
    assert sent.envelope.mail_from == "reports@contoso.com"
    assert sent.envelope.rcpt_to == ("a@example.net", "b@example.net", "c@example.net")
    assert sent.token.value == "canary-access-token-1"
    assert not sent.smtputf8
    mail = message_from_bytes(sent.mime)
    assert (mail["Subject"], mail["To"], mail["Cc"]) == ("Hello", "a@example.net", "b@example.net")
    assert b"c@example.net" not in sent.mime


def test_the_message_is_claimed_before_the_server_hears_of_it(bench: Bench) -> None:
    seen: list[Entry] = []
    bench.mailer.meanwhile = lambda: seen.append(bench.ledger.only())
    bench.send(message())
    (claimed,) = seen
    assert claimed.state is State.SENDING
    assert claimed.lease_until == NOON + CLAIM_LEASE


def test_the_history_tells_claim_and_end(bench: Bench) -> None:
    bench.send(message())
    changes = [(change.state, change.attempt) for change in bench.ledger.history("order-17")]
    assert changes == [(State.SENDING, 1), (State.ACCEPTED, 1)]


def test_a_message_without_an_id_goes_by_its_queue_messages(bench: Bench) -> None:
    bench.send(message(id=None), queue_id="bf5a8b1c-0000-4000-8000-000000000000")
    assert bench.ledger.ids() == {"bf5a8b1c-0000-4000-8000-000000000000"}


def test_base64_is_read_as_well_as_plain_json(bench: Bench) -> None:
    assert bench.send(base64.b64encode(message())) is State.ACCEPTED
    assert bench.ledger.ids() == {"order-17"}


def test_an_address_outside_ascii_asks_for_smtputf8(bench: Bench) -> None:
    bench.send(message(to="zoë@example.net"))
    assert bench.mailer.submitted[0].smtputf8


def test_one_line_says_what_became_of_it_and_names_no_recipient(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.send(message())
    ((level, event, said),) = lines(caplog)
    assert (level, event) == ("INFO", "mail-accepted")
    assert said.startswith("message order-17 is accepted (sender noreply, attempt 1): 250 2.0.0 OK")
    assert "example.net" not in said
    assert "canary" not in caplog.text


def test_recipients_that_were_refused_while_others_went_are_written_down(bench: Bench) -> None:
    no = Reply(550, ("5.1.10 RecipientNotFound",))
    bench.mailer.script = [Submission(Phase.DONE, ACCEPTED.reply, refused={"b@example.net": no})]
    assert bench.send(message(to=["a@example.net", "b@example.net"])) is State.ACCEPTED
    assert bench.ledger.only().reason == "b@example.net was refused: 550 5.1.10 RecipientNotFound"


# Verdicts.


@dataclass(frozen=True)
class Expected:
    """How a message is left: with a delay it goes again at a time, in line when its sender may send."""

    state: State
    attempts: int
    delay: timedelta | None = None
    in_line: bool = False


AFTER: Mapping[Verdict, Expected] = {
    Verdict.ACCEPTED: Expected(State.ACCEPTED, 1),
    Verdict.DEFER: Expected(State.DEFERRED, 1, delay=timedelta(seconds=15)),
    Verdict.THROTTLE: Expected(State.DEFERRED, 0, in_line=True),
    Verdict.REAUTHENTICATE: Expected(State.HELD, 0, in_line=True),
    Verdict.HOLD: Expected(State.HELD, 0, in_line=True),
    Verdict.REJECT: Expected(State.REJECTED, 1),
}


def recorded(path: Path) -> tuple[dict[str, str], Submission]:
    """Return what a transcript says of itself, and how the submission that it tells of ended."""
    head, _, body = path.read_text("utf-8").partition("\n\n")
    header = {name: value.strip() for name, _, value in (line.partition(":") for line in head.splitlines())}
    replies = ReplyParser().feed(body.replace("\n", "\r\n").encode()) if body else [None]
    return header, Submission(Phase(header["phase"]), replies[0])


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_recorded_reply_ends_as_its_verdict_says(
    path: Path, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    header, submission = recorded(path)
    bench.mailer = ScriptedMailer(submission, submission)
    expected = AFTER[Verdict(header["verdict"])]

    state = bench.send(message())

    entry = bench.ledger.only()
    assert (state, entry.state, entry.attempts) == (expected.state, expected.state, expected.attempts)
    assert entry.reply == (submission.reply.text if submission.reply else "")
    again = [put.delay for put in bench.outbox.puts if put.text == waiting_body("order-17")]
    assert again == ([expected.delay - BROUGHT_BACK_EARLY] if expected.delay else [])
    assert entry.due_at == (NOON + expected.delay if expected.delay else None)
    stands = [*bench.line, *bench.room.ids_in(line_of("noreply", "noreply@contoso.com"))]
    assert stands == (["order-17"] if expected.in_line else [])
    assert entry.body == (message() if expected.delay or expected.in_line else b"")
    assert bool(entry.reason) == (expected.state is not State.ACCEPTED)
    assert len([word for _, word, _ in lines(caplog) if word.startswith("mail-")]) == 1


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_recorded_reply_stops_whom_its_verdict_concerns(path: Path, bench: Bench) -> None:
    header, submission = recorded(path)
    judgement = judge(submission)
    bench.mailer = ScriptedMailer(submission, submission)
    bench.send(message())
    whole = bench.state.hold, bench.state.pause, list(bench.state.address_holds)
    held = header["verdict"] in {"hold", "reauthenticate"}
    assert bool(whole[0]) == (held and judgement.scope is not Scope.ADDRESS)
    assert bool(whole[1]) == (header["verdict"] == "throttle")
    assert whole[2] == (["noreply@contoso.com"] if held and judgement.scope is Scope.ADDRESS else [])


def test_what_goes_again_is_put_back_by_its_id(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    assert [put.text for put in bench.outbox.puts] == ['{"action": "send", "id": "order-17"}']


def test_a_later_attempt_repeats_the_first_octet_by_octet(bench: Bench) -> None:
    bench.mailer.script = [BUSY, BUSY]
    bench.send(message())
    bench.send_what_waits()
    assert bench.send_what_waits() is State.ACCEPTED
    first, second, third = (sent.mime for sent in bench.mailer.submitted)
    assert first == second == third
    mail = message_from_bytes(first)
    assert (mail["Message-ID"], mail["Date"]) == ("<1@contoso.com>", "Tue, 24 Nov 2026 12:00:00 +0000")


def test_attempts_come_farther_and_farther_apart_and_end(bench: Bench) -> None:
    bench.mailer.script = [BUSY] * MOST_ATTEMPTS
    state, seconds = bench.send(message()), []
    while state is State.DEFERRED:
        due_at = bench.ledger.only().due_at
        assert due_at is not None
        seconds.append((due_at - bench.clock()).total_seconds())
        state = bench.send_what_waits()
        assert bench.clock() == due_at
    assert seconds == [15, 60, 240, 960, 3840, 7200, 7200]
    entry = bench.ledger.only()
    assert (state, entry.attempts) == (State.REJECTED, 8)
    assert entry.reply == "451 4.3.2 Please try again later"
    assert entry.reason.endswith("; given up after 8 attempts")


def test_what_failed_together_does_not_come_back_together(bench: Bench) -> None:
    bench.mailer.script = [BUSY, BUSY]
    bench.jitter = 0.0
    bench.send(message(id="a"))
    bench.jitter = 1.0
    bench.send(message(id="b"))
    early = BROUGHT_BACK_EARLY.total_seconds()
    assert [put.delay.total_seconds() + early for put in bench.outbox.puts] == [12, 18]


def test_a_refusal_for_good_is_not_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.mailer.script = [UNKNOWN]
    assert bench.send(message()) is State.REJECTED
    assert bench.outbox.puts == []
    assert [(level, event) for level, event, _ in lines(caplog)] == [("WARNING", "mail-rejected")]
    assert bench.ledger.only().reply == "550 5.1.10 RESOLVER.ADR.RecipientNotFound"


def test_the_problem_and_the_servers_own_explanation_are_kept_beside_the_remedy(bench: Bench) -> None:
    bench.mailer.script = [
        Submission(Phase.CONNECT, problem="connection refused", challenge='{"status":"400"}')
    ]
    bench.send(message())
    reason = bench.ledger.only().reason
    assert reason.startswith("connection refused; the connection to the mail server failed")
    assert reason.endswith('; the server adds {"status":"400"}')


# 535: the token was refused, not the message.


def test_535_is_answered_with_a_new_token_at_once(bench: Bench) -> None:
    bench.mailer.script = [REFUSED]
    assert bench.send(message()) is State.ACCEPTED
    tokens = [sent.token.value for sent in bench.mailer.submitted]
    assert tokens == ["canary-access-token-1", "canary-access-token-2"]
    assert bench.ledger.only().attempts == 1


def test_535_never_rejects_the_message(bench: Bench) -> None:
    bench.mailer.script = [REFUSED] * 2
    bench.mailer.doors = [REFUSED] * 38
    assert bench.send(message()) is State.HELD
    for _ in range(19):
        bench.clock.advance(LONGEST_PROBE)
        bench.release()
        entry = bench.ledger.only()
        assert (entry.state, entry.attempts) == (State.HELD, 0)
    assert len(bench.mailer.submitted) == 2
    assert bench.mailer.doors == []
    bench.clock.advance(LONGEST_PROBE)
    bench.release()
    bench.serve(called=True)
    assert bench.state_of("order-17") is State.ACCEPTED
    assert bench.ledger.only().attempts == 1


def test_535_twice_says_what_an_administrator_must_type(bench: Bench) -> None:
    bench.mailer.script = [REFUSED, REFUSED]
    bench.send(message())
    entry = bench.ledger.only()
    assert entry.reply == "535 5.7.3 Authentication unsuccessful [AM0PR02CA0099]"
    assert "Set-CASMailbox noreply@contoso.com -SmtpClientAuthenticationDisabled $false" in entry.reason
    assert len(bench.mailer.submitted) == 2
