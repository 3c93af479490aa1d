"""
Misbehaviour on request: at which point of a session the server leaves its manners, and how.

A script is a list of steps. When a session reaches a step's point (and, where the step names a mailbox, is
authenticated as that mailbox), the step happens instead of what the server would do. The first step that fits
is taken; it is used up after `times`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Point(enum.Enum):
    """Where a session can be disturbed. The command in question is then not carried out."""

    #: Instead of the banner.
    CONNECT = "connect"
    #: Instead of the answer to STARTTLS, or (`tls_alert`) of the handshake.
    STARTTLS = "starttls"
    #: Instead of the answer to EHLO or HELO, before or after TLS.
    EHLO = "ehlo"
    #: Instead of the verdict on an AUTH, once the client has shown its token.
    AUTH = "auth"
    #: Instead of the answer to MAIL.
    MAIL = "mail"
    #: Instead of the answer to one RCPT.
    RCPT = "rcpt"
    #: Instead of 354 (or of taking a BDAT chunk).
    DATA = "data"
    #: In the middle of the message: as soon as its first octets have come.
    BODY = "body"
    #: Instead of the reply to the whole message.
    AFTER_DOT = "after_dot"
    #: Instead of the answer to QUIT.
    QUIT = "quit"


#: No mailbox is known yet at these points.
BEFORE_AUTHENTICATION = frozenset({Point.CONNECT, Point.STARTTLS, Point.EHLO})


class Trick(enum.Enum):
    """What the server can do instead of what it should."""

    #: Gives the step's `reply`. 421 also closes the connection, and so does any reply at `body`.
    REPLY = "reply"
    #: Closes the connection, with everything said so far delivered.
    DROP = "drop"
    #: Resets the connection (RST): the client sees an error, not an end.
    RESET = "reset"
    #: Says nothing, for `seconds` (then goes on as if nothing had been) or for good.
    SILENCE = "silence"
    #: Says something that is not SMTP.
    GARBAGE = "garbage"
    #: Gives half of the `reply` (or of what it would have said), without a line end, and closes the
    #: connection.
    HALF_REPLY = "half_reply"
    #: Gives a reply line of 100,000 octets.
    LONG_LINE = "long_line"
    #: Agrees to TLS and then refuses the handshake with a fatal alert. At `starttls` only.
    TLS_ALERT = "tls_alert"


@dataclass(slots=True)
class Step:
    """
    One disturbance.

    `skip` is how many fitting occasions pass unharmed first. `stored`, at `after_dot` only, says whether the
    message counts as accepted all the same; without it, it does unless the step gives a reply that is not
    2yz.
    """

    at: Point
    do: Trick
    reply: str | None = None
    times: int = 1
    skip: int = 0
    mailbox: str | None = None
    seconds: float | None = None
    stored: bool | None = None

    @property
    def keeps_the_message(self) -> bool:
        """Whether a message that is disturbed after its dot counts as accepted."""
        if self.stored is not None:
            return self.stored
        return self.do is not Trick.REPLY or (self.reply or "").startswith("2")


class Script:
    """The steps that are still to come."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def take(self, at: Point, mailbox: str | None) -> Step | None:
        """Use up and return the step that happens now, if one does."""
        for step in self.steps:
            if step.at is not at or (step.mailbox is not None and step.mailbox != mailbox):
                continue
            if step.skip > 0:
                step.skip -= 1
                return None
            step.times -= 1
            if step.times == 0:
                self.steps.remove(step)
            return step
        return None
