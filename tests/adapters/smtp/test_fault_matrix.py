"""Every phase, every fault: where it ends, what is decided, and whether there is doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.adapters.smtp_session import SmtpSession
from shared.core.reply import Verdict, judge
from shared.core.smtp import Envelope, Phase, Submission
from tests.adapters.smtp.conftest import HASTY, Open, Serve
from tests.adapters.smtp.scripted_server import (
    Peer,
    Script,
    drop,
    garbage,
    half_a_reply,
    long_line,
    reset,
    says,
    silence,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ENVELOPE = Envelope("noreply@contoso.com", ("one@example.com", "two@example.com", "three@example.com"))
MIME = b"Subject: matrix\r\n\r\n" + b"line\r\n" * 100

NETWORK_FAULTS = (drop, reset, silence, garbage, half_a_reply, long_line)
NOT_NOW = says("451 4.3.2 Temporary server error. Please try again later ATTR1")
NEVER = says("550 5.9.9 Never")
ENDS_IN = {
    "connect": Phase.GREETING,
    "ehlo": Phase.EHLO,
    "starttls": Phase.STARTTLS,
    "tls": Phase.TLS,
    "ehlo again": Phase.EHLO,
    "auth": Phase.AUTH,
    "mail": Phase.MAIL,
    "rcpt 0": Phase.RCPT,
    "rcpt 1": Phase.RCPT,
    "rcpt 2": Phase.RCPT,
    "data": Phase.DATA,
    "body": Phase.BODY,
    "dot": Phase.END_OF_DATA,
}


def submit(open_session: Open, serve: Serve, step: str, fault: Callable[[Peer], None]) -> Submission:
    session = open_session(serve(Script({step: fault})), timeouts=HASTY)
    # Too large for the kernel to swallow at once, so that a fault in the middle of the body finds us writing.
    mime = MIME + b"x" * 76 * 200_000 + b"\r\n" if step == "body" else MIME
    return session.submit(ENVELOPE, mime) if isinstance(session, SmtpSession) else session


@pytest.mark.parametrize("fault", NETWORK_FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("step", ENDS_IN)
def test_a_lost_connection_defers_and_is_in_doubt_only_after_the_end_of_data(
    step: str, fault: Callable[[Peer], None], open_session: Open, serve: Serve
) -> None:
    submission = submit(open_session, serve, step, fault)
    judgement = judge(submission)
    assert (submission.phase, submission.reply) == (ENDS_IN[step], None)
    assert submission.problem
    assert judgement.verdict is Verdict.DEFER
    assert judgement.doubt == (step == "dot")


@pytest.mark.parametrize(
    "step", [step for step in ENDS_IN if step not in {"tls", "rcpt 0", "rcpt 1", "rcpt 2"}]
)
def test_a_4yz_defers_in_every_phase_and_is_the_evidence(step: str, open_session: Open, serve: Serve) -> None:
    submission = submit(open_session, serve, step, NOT_NOW)
    assert submission.phase is ENDS_IN[step]
    assert submission.reply is not None
    assert submission.reply.text == "451 4.3.2 Temporary server error. Please try again later ATTR1"
    assert judge(submission).verdict is Verdict.DEFER
    assert not judge(submission).doubt


@pytest.mark.parametrize(
    "step", [step for step in ENDS_IN if step not in {"tls", "rcpt 0", "rcpt 1", "rcpt 2"}]
)
def test_a_5yz_rejects_the_message_only_once_it_is_being_sent(
    step: str, open_session: Open, serve: Serve
) -> None:
    submission = submit(open_session, serve, step, NEVER)
    assert submission.phase is ENDS_IN[step]
    assert submission.reply is not None
    assert submission.reply.text == "550 5.9.9 Never"
    before = ENDS_IN[step] in {Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
    assert judge(submission).verdict is (Verdict.HOLD if before else Verdict.REJECT)


@pytest.mark.parametrize("fault", [NOT_NOW, NEVER], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_refused_recipient_is_recorded_and_the_rest_go(
    number: int, fault: Callable[[Peer], None], open_session: Open, serve: Serve
) -> None:
    submission = submit(open_session, serve, f"rcpt {number}", fault)
    assert submission.accepted
    assert list(submission.refused) == [ENVELOPE.rcpt_to[number]]
    assert submission.refused[ENVELOPE.rcpt_to[number]].text == fault.__name__
    assert judge(submission).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("step", ["connect", "ehlo", "ehlo again", "auth", "mail", "rcpt 1", "data", "dot"])
def test_a_421_ends_the_session_and_is_the_evidence(step: str, open_session: Open, serve: Serve) -> None:
    def leave(peer: Peer) -> None:
        peer.say("421 4.3.2 Service not available, closing transmission channel\r\n")
        drop(peer)

    submission = submit(open_session, serve, step, leave)
    assert submission.phase is ENDS_IN[step]
    assert submission.reply is not None
    assert submission.reply.code == 421
    assert judge(submission).verdict is Verdict.DEFER
    assert not judge(submission).doubt


def test_quit_that_is_not_answered_changes_nothing(open_session: Open, serve: Serve) -> None:
    for fault in NETWORK_FAULTS:
        session = open_session(serve(Script({"quit": fault})), timeouts=HASTY)
        assert isinstance(session, SmtpSession)
        submission = session.submit(ENVELOPE, MIME)
        session.close()
        assert submission.accepted
