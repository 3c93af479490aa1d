"""
The commands of one session, in the order in which a client needs them.

Each command's answer comes from `replies`; where a script has something in store for this point of the
session, that happens instead.
"""

import secrets
import ssl
from collections.abc import Callable

from local.microsoft.exchange import mischief, replies
from local.microsoft.exchange.addresses import BadArgument, Sender, is_domain, read_recipient, read_sender
from local.microsoft.exchange.framing import Body, BodyBegun, Chunk, Item, Line, OverlongLine
from local.microsoft.exchange.limits import SIZE_BYTES
from local.microsoft.exchange.organization import Mailbox, Organization
from local.microsoft.exchange.sasl import Sasl
from local.microsoft.exchange.script import Point
from local.microsoft.exchange.submission import Submission, submit
from local.microsoft.exchange.wire import Wire


class Session(Wire):
    """One client, from the banner to the end."""

    def __init__(self, organization: Organization, context: ssl.SSLContext) -> None:
        super().__init__(organization, context)
        self.id = f"08DE{secrets.token_hex(6).upper()}"
        self._greeted = False
        self._errors = 0
        self._sasl = Sasl(self)
        self._mailbox: Mailbox | None = None
        self._sender: Sender | None = None
        self._recipients: list[str] = []
        self._chunks: list[bytes] = []
        self._chunk_is_last = False
        self._commands: dict[str, Callable[[str], None]] = {
            "EHLO": lambda name: self._act(Point.EHLO, lambda: self._greet(name, extended=True)),
            "HELO": lambda name: self._act(Point.EHLO, lambda: self._greet(name, extended=False)),
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self._bdat,
            "RSET": self._rset,
            "QUIT": lambda _: self._act(Point.QUIT, self._quit),
            "NOOP": lambda _: self.reply(replies.OK),
            "VRFY": lambda _: self.reply(replies.CANNOT_VERIFY),
            "HELP": lambda _: self.reply(replies.HELP),
        }

    def connected(self) -> None:
        """Greet a new client."""
        self.organization.store.counters.session_opened()
        self._act(Point.CONNECT, lambda: self.reply(replies.banner(self.id)))

    def closed(self) -> None:
        """Give up the place among those that submit."""
        self.organization.store.counters.session_closed()
        if self._mailbox is not None:
            self.organization.usage(self._mailbox).leave(self)

    def heard(self, item: Item) -> None:
        """Carry out a command, or go on with a message."""
        match item:
            case Line(octets):
                self._line(octets)
            case BodyBegun():
                self._act(Point.BODY, lambda: None)
            case Body(content):
                self._submit(content, binary=False)
            case Chunk(content):
                self._chunk(content)
            case OverlongLine():
                self.reply(replies.COMMAND_TOO_LONG)
                self.close()

    def _line(self, octets: bytes) -> None:
        text = octets.decode("utf-8", "replace")  # a replaced character is in no command and no valid address
        if self._sasl.waits_for_a_line:
            self._sasl.line(text)
            return
        verb, _, argument = text.partition(" ")
        command = self._commands.get(verb.upper())
        if command is None:
            self.protocol_error(replies.unrecognized(self.id))
        else:
            command(argument.strip(" "))

    def protocol_error(self, reply: str) -> None:
        """Refuse what no well-made client sends; too many of these end the session."""
        self.reply(reply)
        self._errors += 1
        if self._errors >= self.organization.limits.protocol_errors:
            self.reply(replies.TOO_MANY_ERRORS)

    def _act(self, at: Point, properly: Callable[[], None], *, mailbox: str | None = None) -> None:
        """Do what is proper at this point, unless the script has something else in store."""
        who = self._mailbox.address if self._mailbox is not None else mailbox
        step = self.organization.script.take(at, who)
        if step is None:
            properly()
        else:
            mischief.play(step, self, properly)

    # Greeting, TLS, AUTH.

    def _greet(self, name: str, *, extended: bool) -> None:
        if not is_domain(name):
            self.protocol_error(replies.invalid_domain(self.id))
            return
        self._greeted = True
        self._forget_message()
        if extended:
            self.reply(replies.extensions(self.peer, over_tls=self.over_tls))
        else:
            self.reply(replies.hello(self.peer))

    def _starttls(self, argument: str) -> None:
        if argument:
            self.protocol_error(replies.BAD_ARGUMENTS)
        elif self.over_tls or not self._greeted:
            self.protocol_error(replies.BAD_SEQUENCE)
        else:
            self._act(Point.STARTTLS, self._secure)

    def _secure(self) -> None:
        self.reply(replies.STARTTLS_READY)
        self._greeted = False  # all that was said before TLS is forgotten (RFC 3207 §4.2)
        self.start_tls()

    def _auth(self, argument: str) -> None:
        if not self._greeted or self._mailbox is not None:
            self.protocol_error(replies.BAD_SEQUENCE)
        else:
            self._sasl.begin(argument)

    def authenticating(self, mailbox: str, properly: Callable[[], None]) -> None:
        """Judge the token that the client has shown, unless the script has something else in store."""
        self._act(Point.AUTH, properly, mailbox=mailbox)

    def enter(self, mailbox: Mailbox) -> None:
        """Work for this mailbox from now on."""
        self._mailbox = mailbox
        self.organization.usage(mailbox).enter()

    # The envelope.

    def _mail(self, argument: str) -> None:
        if not self.over_tls:
            self.protocol_error(replies.TLS_FIRST)
        elif self._mailbox is None:
            self.protocol_error(replies.not_authenticated(self.id))
        elif self._sender is not None:
            self.protocol_error(replies.BAD_SEQUENCE)
        else:
            self._act(Point.MAIL, lambda: self._take_sender(argument))

    def _take_sender(self, argument: str) -> None:
        try:
            self._sender = read_sender(argument)
        except BadArgument as refused:
            self.reply(str(refused))
        else:
            self.reply(replies.SENDER_OK)

    def _rcpt(self, argument: str) -> None:
        sender, mailbox = self._sender, self._mailbox
        if sender is None or mailbox is None or self._chunks:
            self.protocol_error(replies.BAD_SEQUENCE)
        else:
            self._act(Point.RCPT, lambda: self._take_recipient(argument, sender, mailbox))

    def _take_recipient(self, argument: str, sender: Sender, mailbox: Mailbox) -> None:
        try:
            address = read_recipient(argument, smtputf8=sender.smtputf8)
        except BadArgument as refused:
            self.reply(str(refused))
            return
        if len(self._recipients) >= self.organization.limit(mailbox, "recipients_per_message"):
            self.reply(replies.TOO_MANY_RECIPIENTS)
        else:
            self._recipients.append(address)
            self.reply(replies.RECIPIENT_OK)

    def _rset(self, _argument: str) -> None:
        self._forget_message()
        self.reply(replies.RESET)

    def _forget_message(self) -> None:
        self._sender = None
        self._recipients = []
        self._chunks = []

    # The message.

    def _data(self, argument: str) -> None:
        if argument:
            self.protocol_error(replies.BAD_ARGUMENTS)
        elif self._sender is None or self._sender.binary or not self._recipients or self._chunks:
            self.protocol_error(replies.BAD_SEQUENCE)
        else:
            self._act(Point.DATA, self._ask_for_body)

    def _ask_for_body(self) -> None:
        self.reply(replies.START_INPUT)
        self.input.expect_body()

    def _bdat(self, argument: str) -> None:
        octets, _, last = argument.partition(" ")
        if not (octets.isascii() and octets.isdigit()) or last.upper() not in ("", "LAST"):
            self.protocol_error(replies.BAD_ARGUMENTS)
        elif int(octets) + sum(map(len, self._chunks)) > SIZE_BYTES:
            self.reply(replies.MESSAGE_TOO_LARGE)
            self.close()  # rather than read all that and throw it away
        else:
            self._chunk_is_last = bool(last)
            self.input.expect_chunk(int(octets))

    def _chunk(self, content: bytes) -> None:
        if not self._recipients:
            self.protocol_error(replies.BAD_SEQUENCE)  # the chunk comes all the same (RFC 3030 §2)
            return
        self._chunks.append(content)
        if self._chunk_is_last:
            self._submit(b"".join(self._chunks), binary=True)
        else:
            self._act(Point.DATA, lambda: self.reply(replies.chunk_taken(len(content))))

    def _submit(self, raw: bytes | None, *, binary: bool) -> None:
        if self._sender is None or self._mailbox is None:
            return
        mailbox = self._mailbox
        submission = Submission(self._sender.address, tuple(self._recipients), raw, binary, self)
        self._forget_message()
        step = self.organization.script.take(Point.AFTER_DOT, mailbox.address)
        if step is None:
            self.reply(submit(submission, mailbox, self.organization))
            return
        reply = submit(submission, mailbox, self.organization) if step.keeps_the_message else replies.OK
        mischief.play(step, self, lambda: self.reply(reply), half_of=reply)

    def _quit(self) -> None:
        self.reply(replies.CLOSING)
        self.close()
