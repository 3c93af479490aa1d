from __future__ import annotations

import base64
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from shared.adapters.smtp_session import SmtpSession
from shared.core.reply import Verdict, judge
from shared.core.smtp import Envelope, Phase, Submission
from shared.core.xoauth2 import Credentials
from tests.adapters.smtp.conftest import CREDENTIALS, HASTY, PATIENT, TOKEN, Open, Serve
from tests.adapters.smtp.scripted_server import EHLO, EHLO_BEFORE_TLS, Peer, Script, drop, says, silence

if TYPE_CHECKING:
    from collections.abc import Callable

MIME = b"Subject: hello\r\n\r\n.a line that begins with a dot\r\n"
ENVELOPE = Envelope("noreply@contoso.com", ("one@example.com", "two@example.com"))


def opened(session: SmtpSession | Submission) -> SmtpSession:
    assert isinstance(session, SmtpSession), session
    return session


def failed(session: SmtpSession | Submission) -> Submission:
    assert isinstance(session, Submission)
    return session


def ehlo_without(keyword: str) -> dict[str, Callable[[Peer], None]]:
    return {
        "ehlo again": lambda peer: peer.say(EHLO.replace(f"250-{keyword}\r\n", "").replace(keyword, "DSN"))
    }


def test_the_dialogue_is_word_for_word_what_exchange_documents(open_session: Open, serve: Serve) -> None:
    server = serve()
    session = opened(open_session(server))
    submission = session.submit(ENVELOPE, MIME)
    session.close()
    sasl = base64.b64encode(f"user=noreply@contoso.com\x01auth=Bearer {TOKEN}\x01\x01".encode()).decode()
    assert server.lines == [
        "EHLO sender.contoso.com",
        "STARTTLS",
        "EHLO sender.contoso.com",
        f"AUTH XOAUTH2 {sasl}",
        f"MAIL FROM:<noreply@contoso.com> SIZE={len(MIME)}",
        "RCPT TO:<one@example.com>",
        "RCPT TO:<two@example.com>",
        "DATA",
        "QUIT",
    ]
    assert server.messages == [b"Subject: hello\r\n\r\n..a line that begins with a dot\r\n"]
    assert submission.phase is Phase.DONE
    assert submission.reply is not None
    assert submission.reply.text == (
        "250 2.0.0 OK <1@contoso.com> [Hostname=AM0PR02MB1234.eurprd02.prod.outlook.com]"
    )


@pytest.mark.parametrize("recipients", [1, 10, 100])
def test_a_message_costs_two_round_trips_whatever_its_recipients(
    recipients: int, open_session: Open, serve: Serve
) -> None:
    server = serve()
    session = opened(open_session(server))
    before = server.peers[0].round_trips
    envelope = Envelope(
        "noreply@contoso.com", tuple(f"r{number}@example.com" for number in range(recipients))
    )
    assert session.submit(envelope, MIME).accepted
    assert server.peers[0].round_trips - before == 2
    assert session.submit(envelope, MIME).accepted
    assert server.peers[0].round_trips - before == 4


def test_a_thousand_recipients_go_in_one_transaction(open_session: Open, serve: Serve) -> None:
    server = serve()
    envelope = Envelope("noreply@contoso.com", tuple(f"r{number}@example.com" for number in range(1000)))
    assert opened(open_session(server)).submit(envelope, MIME).accepted
    assert sum(line.startswith("RCPT") for line in server.lines) == 1000


def test_without_pipelining_each_command_waits_for_its_answer(open_session: Open, serve: Serve) -> None:
    server = serve(Script(ehlo_without("PIPELINING")))
    session = opened(open_session(server))
    before = server.peers[0].round_trips
    assert session.submit(ENVELOPE, MIME).accepted
    assert server.peers[0].round_trips - before == 5


def test_a_large_body_arrives_whole(open_session: Open, serve: Serve) -> None:
    server = serve()
    mime = b"Subject: large\r\n\r\n" + b"".join(b".%d\r\n" % number * 3 for number in range(200_000))
    assert opened(open_session(server)).submit(ENVELOPE, mime).accepted
    assert server.messages[0].replace(b"\r\n..", b"\r\n.") == mime


def test_the_direct_535_is_the_evidence(open_session: Open, serve: Serve) -> None:
    text = (
        "535 5.7.3 Authentication unsuccessful [AM0PR02CA0099.prod.outlook.com 2026-11-24T06:55:00.000Z 08DE]"
    )
    submission = failed(open_session(serve(Script({"auth": says(text)}))))
    assert (submission.phase, submission.challenge) == (Phase.AUTH, "")
    assert submission.reply is not None
    assert submission.reply.text == text
    assert judge(submission).verdict is Verdict.REAUTHENTICATE


def test_the_334_is_answered_with_an_empty_line_and_its_reason_kept(open_session: Open, serve: Serve) -> None:
    reason = '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'

    def challenge(peer: Peer) -> None:
        peer.say(f"334 {base64.b64encode(reason.encode()).decode()}\r\n")
        assert peer.line() == ""
        peer.say(
            "535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 See https://support.google.com\r\n"
        )

    submission = failed(open_session(serve(Script({"auth": challenge}))))
    assert (submission.phase, submission.challenge) == (Phase.AUTH, reason)
    assert submission.reply is not None
    assert submission.reply.enhanced == "5.7.8"
    assert judge(submission).verdict is Verdict.REAUTHENTICATE


def test_a_server_that_quotes_the_token_does_not_get_it_into_the_record(
    open_session: Open, serve: Serve
) -> None:
    def quote(peer: Peer) -> None:
        line = peer.lines[-1]
        peer.say(
            f"501-5.5.4 not understood: '{line[:90]}...'\r\n501-5.5.4 {line}\r\n501 5.5.4 Bearer {TOKEN}\r\n"
        )

    submission = failed(open_session(serve(Script({"auth": quote}))))
    assert submission.reply is not None
    assert TOKEN not in submission.reply.text
    assert base64.b64encode(TOKEN.encode())[4:20].decode() not in submission.reply.text
    assert submission.reply.text.count("[token]") == 3


def test_the_token_is_in_no_repr_and_no_problem(open_session: Open, serve: Serve) -> None:
    server = serve(Script({"auth": lambda peer: peer.say(f"garbage {peer.lines[-1]}\r\n")}))
    submission = failed(open_session(server))
    assert submission.problem.startswith("not an SMTP reply: garbage AUTH XOAUTH2 [token]")
    assert TOKEN not in repr(CREDENTIALS)


def test_a_user_that_could_forge_a_field_is_never_sent(open_session: Open, serve: Serve) -> None:
    server = serve()
    submission = failed(
        open_session(server, credentials=Credentials("a@contoso.com\x01auth=Bearer x", TOKEN))
    )
    assert submission.phase is Phase.AUTH
    assert judge(submission).verdict is not Verdict.REJECT
    assert not any(line.startswith("AUTH") for line in server.lines)


def test_plaintext_slipped_in_after_starttls_ends_the_connection(open_session: Open, serve: Serve) -> None:
    inject = says("220 2.0.0 SMTP server ready\r\n250-evil.example.com\r\n250 AUTH XOAUTH2")
    server = serve(Script({"starttls": inject}))
    submission = failed(open_session(server))
    assert (submission.phase, submission.problem) == (Phase.TLS, "plaintext after the answer to STARTTLS")
    assert not any(line.startswith("AUTH") for line in server.lines)


def test_a_server_without_starttls_gets_no_token(open_session: Open, serve: Serve) -> None:
    plain = EHLO_BEFORE_TLS.replace("250-STARTTLS", "250-AUTH LOGIN XOAUTH2")
    server = serve(Script({"ehlo": lambda peer: peer.say(plain)}))
    submission = failed(open_session(server))
    assert submission.phase is Phase.STARTTLS
    assert submission.problem == "the server does not offer STARTTLS"
    assert judge(submission).rule == "starttls-not-offered"
    assert not any(line.startswith("AUTH") for line in server.lines)


def test_a_server_without_xoauth2_holds_the_sender(open_session: Open, serve: Serve) -> None:
    server = serve(Script(ehlo_without("AUTH LOGIN XOAUTH2")))
    submission = failed(open_session(server))
    assert (submission.phase, judge(submission).rule) == (Phase.AUTH, "xoauth2-not-offered")


def test_a_certificate_for_another_name_is_not_trusted(open_session: Open, serve: Serve) -> None:
    server = serve(name="smtp.example.com")
    submission = failed(open_session(server))
    assert submission.phase is Phase.CERTIFICATE
    assert "certificate of localhost not trusted" in submission.problem
    assert judge(submission).verdict is Verdict.HOLD


def test_a_certificate_of_an_unknown_authority_is_not_trusted(serve: Serve) -> None:
    submission = failed(
        SmtpSession.open("localhost", serve().port, CREDENTIALS, context=ssl.create_default_context())
    )
    assert submission.phase is Phase.CERTIFICATE


def test_a_context_that_does_not_verify_is_refused(serve: Serve) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="does not verify"):
        SmtpSession.open("localhost", serve().port, CREDENTIALS, context=context)


def test_nobody_listening_is_a_submission_too(serve: Serve, context: ssl.SSLContext) -> None:
    server = serve()
    server.close()
    submission = failed(SmtpSession.open("localhost", server.port, CREDENTIALS, context=context))
    assert submission.phase is Phase.CONNECT
    assert submission.problem.startswith(f"cannot connect to localhost:{server.port}: ")
    assert judge(submission).verdict is Verdict.DEFER


def test_the_default_name_after_ehlo_is_our_own_address_literal(
    serve: Serve, context: ssl.SSLContext
) -> None:
    server = serve()
    session = opened(
        SmtpSession.open("localhost", server.port, CREDENTIALS, context=context, timeouts=PATIENT)
    )
    session.close()
    assert server.lines[0] == "EHLO [127.0.0.1]"


def test_all_recipients_refused_but_data_granted_ends_with_a_lone_dot(
    open_session: Open, serve: Serve
) -> None:
    server = serve(Script({"rcpt": says("550 5.1.10 RESOLVER.ADR.RecipientNotFound")}))
    session = opened(open_session(server))
    submission = session.submit(ENVELOPE, MIME)
    assert submission.phase is Phase.RCPT
    assert set(submission.refused) == set(ENVELOPE.rcpt_to)
    assert judge(submission).verdict is Verdict.REJECT
    assert server.messages == [b""]
    assert session.usable


def test_one_not_now_among_refused_recipients_is_worth_another_try(open_session: Open, serve: Serve) -> None:
    script = Script(
        {"rcpt 0": says("550 5.1.10 no"), "rcpt 1": says("451 4.3.2 later"), "data": says("503 5.5.2 no")}
    )
    submission = opened(open_session(serve(script))).submit(ENVELOPE, MIME)
    assert (submission.phase, judge(submission).verdict) == (Phase.RCPT, Verdict.DEFER)


@pytest.mark.parametrize("step", ["mail", "data", "dot"])
def test_after_a_refusal_the_same_session_carries_the_next_message(
    step: str, open_session: Open, serve: Serve
) -> None:
    refused: list[str] = []

    def once(peer: Peer) -> None:
        usual = {"mail": "250 2.1.0 OK", "data": "354 go", "dot": "250 2.0.0 OK"}[step]
        peer.say((usual if refused else "550 5.9.9 no") + "\r\n")
        refused.append(step)

    # DATA is answered as a real server answers it once MAIL was refused, and granted again afterwards.
    once.__name__ = "354" if step == "data" else step
    script: dict[str, Callable[[Peer], None]] = {step: once}
    if step == "mail":
        script |= {"rcpt": lambda peer: peer.say("250 OK\r\n" if len(refused) > 1 else "503 5.5.2 no\r\n")}
    server = serve(Script(script) if step != "data" else _refuses_data_once())
    session = opened(open_session(server))
    assert not session.submit(ENVELOPE, MIME).accepted
    assert session.usable
    assert session.submit(ENVELOPE, MIME).accepted
    assert len(server.peers) == 1


def _refuses_data_once() -> Script:
    class Once(Script):
        def _take_body(self, peer: Peer) -> None:
            if sum(line == "DATA" for line in peer.lines) > 1:
                super()._take_body(peer)

    def data(peer: Peer) -> None:
        first = sum(line == "DATA" for line in peer.lines) == 1
        peer.say("451 4.3.2 later\r\n" if first else "354 go\r\n")

    data.__name__ = "354"
    return Once({"data": data})


def test_a_refusal_in_the_middle_of_the_body_is_used(open_session: Open, serve: Serve) -> None:
    def early(peer: Peer) -> None:
        peer.say("552 5.3.4 Message size exceeds fixed maximum message size\r\n")
        drop(peer)

    mime = b"Subject: large\r\n\r\n" + (b"x" * 74 + b"\r\n") * 200_000
    session = opened(open_session(serve(Script({"body": early}))))
    submission = session.submit(ENVELOPE, mime)
    assert submission.reply is not None
    assert submission.reply.enhanced == "5.3.4"
    assert judge(submission).verdict is Verdict.REJECT
    assert not session.usable


def test_a_server_that_refuses_early_and_stops_reading_is_not_waited_for(
    open_session: Open, serve: Serve
) -> None:
    def early(peer: Peer) -> None:
        peer.over.wait(0.2)  # until our writing has filled every buffer on the way and waits
        peer.say("451 4.3.1 Insufficient system resources\r\n")
        silence(peer)

    mime = b"Subject: large\r\n\r\n" + (b"x" * 74 + b"\r\n") * 200_000
    session = opened(open_session(serve(Script({"body": early}))))
    began = time.monotonic()
    submission = session.submit(ENVELOPE, mime)
    assert time.monotonic() - began < PATIENT.body / 2
    assert submission.phase is Phase.BODY
    assert submission.reply is not None
    assert submission.reply.code == 451


@pytest.mark.parametrize(
    ("step", "reply", "phase"),
    [
        ("mail", "550 5.1.8 Access denied, bad outbound sender", Phase.MAIL),
        ("data", "550 5.1.10 no", Phase.RCPT),
    ],
)
def test_a_refusal_stands_although_the_server_hangs_up_before_it_answered_the_rest(
    step: str, reply: str, phase: Phase, open_session: Open, serve: Serve
) -> None:
    def refuse_and_leave(peer: Peer) -> None:
        if step == "mail":
            peer.say(reply + "\r\n")
        drop(peer)

    script = Script({step: refuse_and_leave, "rcpt": says(reply)})
    session = opened(open_session(serve(script)))
    submission = session.submit(ENVELOPE, MIME)
    assert submission.phase is phase
    assert submission.reply is not None
    assert submission.reply.text == reply
    assert not session.usable


def test_half_an_acceptance_after_the_dot_is_a_doubt(open_session: Open, serve: Serve) -> None:
    def half(peer: Peer) -> None:
        peer.say("250 2.0.0 OK <1@contoso.com>")
        drop(peer)

    submission = opened(open_session(serve(Script({"dot": half})))).submit(ENVELOPE, MIME)
    assert (submission.phase, submission.reply) == (Phase.END_OF_DATA, None)
    assert judge(submission).doubt


def test_an_acceptance_followed_by_garbage_is_an_acceptance(open_session: Open, serve: Serve) -> None:
    server = serve(Script({"dot": says("250 2.0.0 OK\r\nwhat is this")}))
    session = opened(open_session(server))
    assert session.submit(ENVELOPE, MIME).accepted
    assert not session.quiet()


@pytest.mark.parametrize(
    ("keyword", "mime", "smtputf8"),
    [("SMTPUTF8", MIME, True), ("8BITMIME", "Subject: ü\r\n".encode(), False)],
)
def test_what_the_server_cannot_carry_is_refused_before_mail(
    keyword: str, mime: bytes, *, smtputf8: bool, open_session: Open, serve: Serve
) -> None:
    server = serve(Script(ehlo_without(keyword)))
    session = opened(open_session(server))
    submission = session.submit(ENVELOPE, mime, smtputf8=smtputf8)
    assert submission.phase is Phase.CHECK
    assert submission.problem == f"the message needs {keyword}, which the server does not offer"
    assert judge(submission).verdict is Verdict.REJECT
    assert not any(line.startswith("MAIL") for line in server.lines)
    assert session.usable


@pytest.mark.parametrize(
    ("envelope", "mime"),
    [
        (Envelope("noreply@contoso.com", ("a@example.com>\r\nRCPT TO:<b@example.com",)), MIME),
        (Envelope("noreply@contoso.com> AUTH=<>", ("a@example.com",)), MIME),
        (Envelope("noreply@contoso.com", ("ü@example.com",)), MIME),
        (Envelope("noreply@contoso.com", ()), MIME),
        (ENVELOPE, b"Subject: smuggled\r\n\r\n\n.\nMAIL FROM:<evil@example.com>\r\n"),
        (ENVELOPE, b"Subject: smuggled\r\n\r\n\r.\rMAIL FROM:<evil@example.com>\r\n"),
    ],
)
def test_what_could_smuggle_a_command_is_refused_before_mail(
    envelope: Envelope, mime: bytes, open_session: Open, serve: Serve
) -> None:
    server = serve()
    submission = opened(open_session(server)).submit(envelope, mime)
    assert submission.phase is Phase.CHECK
    assert judge(submission).verdict is Verdict.REJECT
    assert not any(line.startswith("MAIL") for line in server.lines)
    assert "example.com" not in submission.problem


def test_a_message_over_the_advertised_size_is_refused_before_mail(open_session: Open, serve: Serve) -> None:
    small = EHLO.replace("157286400", "100")
    session = opened(open_session(serve(Script({"ehlo again": lambda peer: peer.say(small)}))))
    submission = session.submit(ENVELOPE, b"Subject: x\r\n" + b"y" * 100 + b"\r\n")
    assert submission.problem == "the message has 114 bytes, the server takes 100"


def test_smtputf8_and_eight_bit_are_asked_for_where_needed(open_session: Open, serve: Serve) -> None:
    server = serve()
    session = opened(open_session(server))
    envelope = Envelope("noreply@contoso.com", ("jürgen@exämple.com",))
    mime = "Subject: ü\r\n".encode()
    assert session.submit(envelope, mime, smtputf8=True).accepted
    session.close()
    assert server.lines[4:6] == [
        "MAIL FROM:<noreply@contoso.com> SIZE=13 BODY=8BITMIME SMTPUTF8".replace("13", str(len(mime))),
        "RCPT TO:<jürgen@exämple.com>",
    ]


def test_a_session_the_server_has_left_is_noticed_without_asking(open_session: Open, serve: Serve) -> None:
    def leave(peer: Peer) -> None:
        peer.say("250 2.0.0 OK\r\n421 4.4.1 Connection timed out\r\n")
        drop(peer)

    server = serve(Script({"dot": leave}))
    session = opened(open_session(server))
    assert session.submit(ENVELOPE, MIME).accepted
    server.close()
    assert not session.quiet()


def test_a_noop_that_is_not_answered_ends_the_session(open_session: Open, serve: Serve) -> None:
    session = opened(open_session(serve(Script({"noop": silence})), timeouts=HASTY))
    assert not session.check()
    assert not session.usable
