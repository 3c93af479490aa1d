"""
One authenticated SMTP session over a socket: connect, EHLO, STARTTLS, EHLO, AUTH XOAUTH2, then messages.

A refused command leaves the session usable (RSET clears what was begun); anything that leaves the two ends
out of step, a lost connection above all, makes it unusable for good. Neither raises: both come back as a
`Submission` that says in which phase it ended. The access token is in no such record.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from shared.adapters.smtp_wire import LostError, Wire, why
from shared.core import smtp
from shared.core.smtp import Envelope, Octets, Phase, ProtocolError, Reply, Submission, Whole
from shared.core.xoauth2 import decode_challenge, initial_response, respond_to_challenge, without_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.xoauth2 import Credentials


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Seconds to wait in each phase.

    RFC 5321 §4.5.3.2 asks for minutes because a relay has nobody to give a message back to. We have a ledger:
    until the final dot is sent, giving up costs one retry, so these are shorter. After it, giving up costs a
    doubt, so that one is the RFC's.
    """

    #: A TCP connection to one address; Azure to Exchange takes milliseconds.
    connect: float = 20
    #: The 220; a busy front end may be slow to greet.
    greeting: float = 60
    #: EHLO, STARTTLS, RSET: the front end answers these alone.
    command: float = 60
    #: The TLS handshake.
    tls: float = 30
    #: Exchange asks the mailbox's back end and its token service.
    auth: float = 90
    #: The answer to MAIL, to each RCPT, and to DATA.
    envelope: float = 120
    #: Without any progress while the body is written (the RFC's three minutes).
    body: float = 180
    #: The answer to the final dot (the RFC's ten minutes).
    end_of_data: float = 600
    #: NOOP before a session that has idled is used again.
    check: float = 10
    #: The answer to QUIT, which changes nothing.
    quit: float = 2


def tls_context() -> ssl.SSLContext:
    """Build what sessions verify by: the machine's CAs (or SSL_CERT_FILE), the host's name, TLS 1.2 up."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(slots=True)
class _Answers:
    """What the server said to MAIL, every RCPT and DATA, as far as it came."""

    mail: Reply | None = None
    accepted: int = 0
    refused: dict[str, Reply] = field(default_factory=dict)
    data: Reply | None = None

    def refusal(self) -> Submission | None:
        """Find what refused the message before its body, if anything did."""
        if self.mail is not None and self.mail.negative:
            return Submission(Phase.MAIL, self.mail)
        if self.refused and not self.accepted:
            # One "not now" among them and the message is worth another try; the rest are refused then as now.
            replies = sorted(self.refused.values(), key=lambda reply: not reply.transient)
            return Submission(Phase.RCPT, replies[0])
        if self.data is not None and self.data.negative:
            return Submission(Phase.DATA, self.data)
        return None


class SmtpSession:
    """One connection that has signed in; not for two threads at once."""

    def __init__(self, wire: Wire, timeouts: Timeouts) -> None:
        self.phase = Phase.GREETING
        self.usable = True
        self._wire = wire
        self._timeouts = timeouts
        self._offered: Mapping[str, str] = {}
        self._hello_reply: Reply | None = None

    @classmethod
    def open(
        cls,
        host: str,
        port: int,
        credentials: Credentials,
        *,
        context: ssl.SSLContext,
        ehlo_name: str = "",
        timeouts: Timeouts | None = None,
    ) -> Self | Submission:
        """
        Connect and sign in; where that fails, a `Submission` says how.

        `ehlo_name` is a domain name or address literal; "" stands for the address literal of our own end.
        """
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("a TLS context that does not verify the server")
        waits = timeouts or Timeouts()
        try:
            sock = socket.create_connection((host, port), waits.connect)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            return Submission(Phase.CONNECT, problem=f"cannot connect to {host}:{port}: {why(error)}")
        session = cls(Wire(sock), waits)
        try:
            failure = session._begin(host, credentials, context, ehlo_name)
        except BaseException:
            session.discard()
            raise
        if failure is None:
            session.phase = Phase.READY
            return session
        session.close()
        return _without_secret(failure, credentials)

    def submit(self, envelope: Envelope, mime: Octets | bytes, *, smtputf8: bool = False) -> Submission:
        """
        Send one message; afterwards `usable` tells whether the session can carry another.

        What raises while `mime` is read is passed on; the message was not complete then, so it was not
        accepted.
        """
        mime = Whole(mime) if isinstance(mime, bytes) else mime
        problem = self._cannot_carry(mime, smtputf8=smtputf8)
        try:
            mail = smtp.mail_command(
                envelope.mail_from,
                size=mime.size if "SIZE" in self._offered else None,
                smtputf8=smtputf8,
                eight_bit=mime.eight_bit,
            )
            rcpt = [smtp.rcpt_command(address, smtputf8=smtputf8) for address in envelope.rcpt_to]
        except ValueError as error:
            return Submission(Phase.CHECK, problem=str(error))
        if problem or not rcpt:
            return Submission(Phase.CHECK, problem=problem or "no recipients")
        if not self.quiet():
            return Submission(Phase.MAIL, problem="the session ended while it was idle")
        answers = _Answers()
        try:
            submission = self._transaction(
                answers, mail, dict(zip(envelope.rcpt_to, rcpt, strict=True)), mime
            )
        except (LostError, ProtocolError) as error:
            self.usable = False
            submission = self._cut_short(answers, error)
        if self.usable:
            self.phase = Phase.READY
        return replace(submission, refused=answers.refused) if answers.refused else submission

    def check(self) -> bool:
        """Ask the server whether it is still there (NOOP)."""
        if self.quiet():
            try:
                self._wire.send(smtp.NOOP, self._timeouts.check)
                self.usable = self._wire.reply(self._timeouts.check).positive
            except (LostError, ProtocolError):
                self.usable = False
        return self.usable

    def quiet(self) -> bool:
        """Tell, without a round trip, whether nothing speaks against using this session."""
        self.usable = self.usable and self._wire.quiet()
        return self.usable

    def close(self, *, wait: bool = True) -> None:
        """Say QUIT where the session is in step, wait shortly for the answer if asked to, and close."""
        if self.quiet():
            self.phase = Phase.QUIT
            try:
                self._wire.send(smtp.QUIT, self._timeouts.quit)
                if wait:
                    self._wire.reply(self._timeouts.quit)
            except (LostError, ProtocolError):
                pass
        self.discard()

    def discard(self) -> None:
        """Close the connection at once."""
        self.usable = False
        self._wire.close()

    # -- signing in --

    def _begin(
        self, host: str, credentials: Credentials, context: ssl.SSLContext, ehlo_name: str
    ) -> Submission | None:
        try:
            name = ehlo_name or self._wire.own_literal()
            return (
                self._greeting()
                or self._hello(name)
                or self._secure(host, context)
                or self._hello(name)
                or self._authenticate(credentials)
            )
        except ssl.SSLCertVerificationError as error:
            self.usable, self.phase = False, Phase.CERTIFICATE
            return Submission(
                self.phase, problem=f"certificate of {host} not trusted: {error.verify_message}"
            )
        except (LostError, ProtocolError) as error:
            self.usable = False
            return self._cut_short(_Answers(), error)

    def _greeting(self) -> Submission | None:
        reply = self._answer(Phase.GREETING, self._timeouts.greeting)
        return None if reply.positive else Submission(self.phase, reply)

    def _hello(self, name: str) -> Submission | None:
        reply = self._ask(smtp.ehlo_command(name), Phase.EHLO, self._timeouts.command)
        self._offered, self._hello_reply = smtp.extensions(reply), reply
        return None if reply.positive else Submission(self.phase, reply)

    def _secure(self, host: str, context: ssl.SSLContext) -> Submission | None:
        if "STARTTLS" not in self._offered:
            return Submission(Phase.STARTTLS, self._hello_reply, problem="the server does not offer STARTTLS")
        reply = self._ask(smtp.STARTTLS, Phase.STARTTLS, self._timeouts.command)
        if reply.negative:
            return Submission(self.phase, reply)
        self.phase = Phase.TLS
        self._wire.start_tls(context, host, self._timeouts.tls)
        return None

    def _authenticate(self, credentials: Credentials) -> Submission | None:
        self.phase = Phase.AUTH
        if "XOAUTH2" not in self._offered.get("AUTH", "").upper().split():
            return Submission(self.phase, self._hello_reply, problem="the server does not offer AUTH XOAUTH2")
        try:
            first = smtp.auth_command(initial_response(credentials.user, credentials.access_token))
        except ValueError as error:
            return Submission(self.phase, problem=str(error))
        challenge = ""
        reply = self._ask(first, Phase.AUTH, self._timeouts.auth, more=True)
        if reply.intermediate:
            challenge = decode_challenge(reply.lines[0])
            answer = respond_to_challenge(challenge).encode("ascii") + b"\r\n"
            reply = self._ask(answer, Phase.AUTH, self._timeouts.auth)
        return None if reply.positive else Submission(self.phase, reply, challenge=challenge)

    # -- one question, one answer --

    def _ask(self, command: bytes, phase: Phase, timeout: float, *, more: bool = False) -> Reply:
        self.phase = phase
        self._wire.send(command, timeout)
        return self._answer(phase, timeout, more=more)

    def _answer(self, phase: Phase, timeout: float, *, more: bool = False) -> Reply:
        """Await the answer of this phase: yes or no, or, where `more` is set, "go on"."""
        self.phase = phase
        reply = self._wire.reply(timeout)
        if reply.closing:
            raise LostError("the server closes the connection", reply)
        if reply.intermediate and not more:
            raise ProtocolError(f"an answer that this question cannot have: {reply.text}")
        return reply

    def _cut_short(self, answers: _Answers, error: LostError | ProtocolError) -> Submission:
        """Say what became of a message whose session broke: what was refused before that stands."""
        mail_refused = answers.mail is not None and answers.mail.negative
        nobody_left = self.phase is Phase.DATA and not answers.accepted
        if (mail_refused or nobody_left) and (refusal := answers.refusal()) is not None:
            return refusal
        reply = error.reply if isinstance(error, LostError) else None
        reply = reply or self._last_words()
        return Submission(self.phase, reply, problem="" if reply else str(error))

    def _last_words(self) -> Reply | None:
        """Find the refusal that a server sent before it closed, where our writing noticed the close first."""
        try:
            reply = self._wire.arrived()
        except (LostError, ProtocolError):
            return None
        if reply is None or not reply.negative:
            return None
        # Of many answers outstanding, this one may be some recipient's; then only a farewell speaks for all.
        many = self.phase in {Phase.RCPT, Phase.DATA}
        return reply if reply.closing or not many else None

    def _tidy(self, command: bytes) -> None:
        """End what a refused message began; where that fails, the session is of no more use."""
        try:
            self._ask(command, self.phase, self._timeouts.command)
        except (LostError, ProtocolError):
            self.usable = False

    # -- sending one message --

    def _cannot_carry(self, mime: Octets, *, smtputf8: bool) -> str:
        limit = self._offered.get("SIZE", "")
        if smtputf8 and "SMTPUTF8" not in self._offered:
            return "the message needs SMTPUTF8, which the server does not offer"
        if mime.eight_bit and "8BITMIME" not in self._offered:
            return "the message needs 8BITMIME, which the server does not offer"
        if limit.isascii() and limit.isdecimal() and 0 < int(limit) < mime.size:
            return f"the message has {mime.size} bytes, the server takes {limit}"
        if isinstance(mime, Whole) and smtp.has_bare_line_end(mime.content):
            return "the message has a CR or LF that stands alone"
        return ""

    def _transaction(
        self, answers: _Answers, mail: bytes, rcpt: Mapping[str, bytes], mime: Octets
    ) -> Submission:
        if "PIPELINING" in self._offered:
            self._envelope_at_once(answers, mail, rcpt)
        else:
            self._envelope_step_by_step(answers, mail, rcpt)
        refusal = answers.refusal()
        if refusal is None:
            return self._body(mime)
        # RFC 2920 §3.1: DATA may be granted although nobody is left to send to; a lone dot ends that at once.
        granted = answers.data is not None and answers.data.intermediate
        self._tidy(smtp.LONE_DOT if granted else smtp.RSET)
        return refusal

    def _envelope_at_once(self, answers: _Answers, mail: bytes, rcpt: Mapping[str, bytes]) -> None:
        wait = self._timeouts.envelope
        self.phase = Phase.MAIL
        self._wire.send(b"".join((mail, *rcpt.values(), smtp.DATA)), wait)
        answers.mail = self._answer(Phase.MAIL, wait)
        for address in rcpt:
            self._record(answers, address, self._answer(Phase.RCPT, wait))
        answers.data = self._granted(self._answer(Phase.DATA, wait, more=True))

    def _envelope_step_by_step(self, answers: _Answers, mail: bytes, rcpt: Mapping[str, bytes]) -> None:
        wait = self._timeouts.envelope
        answers.mail = self._ask(mail, Phase.MAIL, wait)
        if answers.mail.negative:
            return
        for address, command in rcpt.items():
            self._record(answers, address, self._ask(command, Phase.RCPT, wait))
        if answers.accepted:
            answers.data = self._granted(self._ask(smtp.DATA, Phase.DATA, wait, more=True))

    @staticmethod
    def _record(answers: _Answers, address: str, reply: Reply) -> None:
        if reply.positive:
            answers.accepted += 1
        else:
            answers.refused[address] = reply

    @staticmethod
    def _granted(reply: Reply) -> Reply:
        if reply.positive:
            raise ProtocolError(f"an answer that DATA cannot have: {reply.text}")
        return reply

    def _body(self, mime: Octets) -> Submission:
        self.phase = Phase.BODY
        for piece in self._read(mime):
            early = self._wire.arrived()
            if early is None and not self._wire.send(piece, self._timeouts.body, stop_at_reply=True):
                early = self._wire.arrived()
            if early is not None:
                # The server has made up its mind; the rest of the body would be read as commands.
                self.usable = False
                if early.negative:
                    return Submission(Phase.BODY, early)
                raise ProtocolError(f"an answer before the end of data: {early.text}")
        reply = self._answer(Phase.END_OF_DATA, self._timeouts.end_of_data)
        if reply.positive:
            self.phase = Phase.DONE
        return Submission(self.phase, reply)

    def _read(self, mime: Octets) -> Iterator[bytes]:
        """Read the message; when that fails, the connection goes with half a message on it."""
        try:
            yield from smtp.dot_stuff(mime.chunks())
        except BaseException:
            self.usable = False
            raise


def _without_secret(failure: Submission, credentials: Credentials) -> Submission:
    reply = failure.reply
    if reply is not None:
        reply = Reply(reply.code, tuple(without_secret(line, credentials) for line in reply.lines))
    return replace(
        failure,
        reply=reply,
        problem=without_secret(failure.problem, credentials),
        challenge=without_secret(failure.challenge, credentials),
    )
