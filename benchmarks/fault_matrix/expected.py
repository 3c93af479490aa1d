"""
What each fault must lead to, written down by what the fault means and not taken from the program's own table.

Before MAIL nothing speaks against a message, so nothing there may reject it. A lost or garbled connection
costs an attempt and nothing more. "Not now" (4yz) is tried again. "Never" (5yz) is about us before MAIL, so a
person must act and no attempt is counted; from MAIL on it is about the message. Until the dot has left, a
message is not complete, so nothing is in doubt; after it, only the server's own words end the doubt. QUIT
comes when everything is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL: Final = 3  # recipients of each message


@dataclass(frozen=True, slots=True)
class Expected:
    """
    How a delivery must end.

    ``copies`` is how many complete messages the server has of it, ``reached`` to how many of the recipients
    each went, ``attempts`` how many attempts were counted.
    """

    state: State
    attempts: int
    copies: int
    reached: int = ALL

    @property
    def goes_again(self) -> bool:
        """Whether the message is to be sent by a later delivery."""
        return self.state in {State.DEFERRED, State.HELD}


# A letter for the state and the attempts counted; in the tables a digit for the copies follows it.
_LETTERS: Final[Mapping[str, tuple[State, int, int]]] = {
    "A": (State.ACCEPTED, 1, ALL),
    # Accepted for all but the one recipient that was refused.
    "P": (State.ACCEPTED, 1, ALL - 1),
    "D": (State.DEFERRED, 1, ALL),
    # Deferred because of a limit: no attempt is counted.
    "T": (State.DEFERRED, 0, ALL),
    "H": (State.HELD, 0, ALL),
    "R": (State.REJECTED, 1, ALL),
    "I": (State.IN_DOUBT, 1, ALL),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """
    One phase and one fault.

    ``steps`` is what the mail server is told, ``silent_at`` where it says nothing, so that only there the
    client is told to be impatient. ``warm`` cells use a session that has carried a message before.
    """

    row: str
    fault: str
    steps: tuple[Mapping[str, Any], ...]
    expected: Expected
    silent_at: str = ""
    warm: bool = False
    on_doubt: str = "resend"
    large: bool = False
    #: Who answers at the server's port: "exchange", "nobody", or "stranger" with another certificate.
    listens: str = "exchange"
    #: Whether the server ends the warm session before the message comes.
    cut_idle: bool = False

    @property
    def name(self) -> str:
        """The cell in words."""
        return f"{self.row}: {self.fault}"


FAULTS: Final = (
    "drop", "reset", "silence", "4yz", "5yz", "garbage", "half a reply", "long line", "TLS alert"
)  # fmt: skip
_TRICKS: Final = {
    "drop": "drop",
    "reset": "reset",
    "silence": "silence",
    "4yz": "reply",
    "5yz": "reply",
    "garbage": "garbage",
    "half a reply": "half_reply",
    "long line": "long_line",
    "TLS alert": "tls_alert",
}
# Exchange's words where facts are known, any server's elsewhere. {token} and {recipient} are put in by the
# cell: servers quote what they were told, and none of that may come into a log.
_NOT_NOW: Final = {
    "connect": "450 4.3.2 The server is not accepting connections just now",
    "starttls": "454 4.7.0 TLS not available due to temporary reason",
    "ehlo": "451 4.3.0 Too busy for another session",
    "auth": "454 4.7.0 Temporary authentication failure, AUTH XOAUTH2 {token}",
    "rcpt": "450 4.2.1 The mailbox of {recipient} receives too much mail just now",
}
_NOT_NOW_WITH_A_MESSAGE: Final = "451 4.3.2 Temporary server error. Please try again later ATTR1"
_NEVER: Final = {
    "connect": "554 5.3.2 No mail is taken from this address",
    "starttls": "502 5.5.1 TLS is not implemented",
    "ehlo": "550 5.7.1 Access denied",
    "auth": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. "
    "AUTH XOAUTH2 {token}",
    "mail": "552 5.3.4 Message size exceeds fixed maximum message size",
    "rcpt": "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {recipient} not found",
    "data": "554 5.6.0 Corrupt message content",
    "body": "552 5.3.4 Message size exceeds fixed maximum message size",
    "after_dot": "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant",
    "quit": "554 5.3.0 Never",
}


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    at: str
    #: One mark for each of ``FAULTS``; "-" where there is no such thing.
    marks: str
    step: Mapping[str, Any] = field(default_factory=dict)
    warm: bool = False
    hold: bool = False
    large: bool = False


# fmt: off
#                                        drop reset silence 4yz 5yz garbage half long alert
_ROWS: Final = (
    _Row("connect",           "connect",   "D0 D0 D0 D0 H0 D0 D0 D0 - "),
    _Row("EHLO",              "ehlo",      "D0 D0 D0 D0 H0 D0 D0 D0 - "),
    _Row("TLS",               "starttls",  "D0 D0 D0 D0 H0 D0 D0 D0 D0"),
    _Row("EHLO after TLS",    "ehlo",      "D0 D0 D0 D0 H0 D0 D0 D0 - ", {"skip": 1}),
    _Row("AUTH",              "auth",      "D0 D0 D0 D0 H0 D0 D0 D0 - "),
    _Row("MAIL",              "mail",      "D0 D0 D0 D0 R0 D0 D0 D0 - "),
    _Row("RCPT, first",       "rcpt",      "D0 D0 D0 P1 P1 D0 D0 D0 - "),
    _Row("RCPT, middle",      "rcpt",      "D0 D0 D0 P1 P1 D0 D0 D0 - ", {"skip": 1}),
    _Row("RCPT, last",        "rcpt",      "D0 D0 D0 P1 P1 D0 D0 D0 - ", {"skip": 2}),
    _Row("RCPT, each",        "rcpt",      "-  -  -  D0 R0 -  -  -  - ", {"times": ALL}),
    _Row("DATA",              "data",      "D0 D0 D0 D0 R0 D0 D0 D0 - "),
    _Row("body",              "body",      "D0 D0 D0 D0 R0 D0 D0 D0 - ", large=True),
    # A message of one segment: its dot is under way before the server can say anything about its body. Where
    # the server talks nonsense and then goes on, it takes the message.
    _Row("small body",        "body",      "D0 D0 D0 D0 R0 D1 D0 D1 - "),
    _Row("after the dot",     "after_dot", "D0 D0 D0 D0 R0 D0 D0 D0 - ", {"stored": False}),
    _Row("taken at the dot",  "after_dot", "D1 D1 D1 -  -  D1 D1 D1 - ", {"stored": True}),
    _Row("QUIT",              "quit",      "A1 A1 A1 A1 A1 A1 A1 A1 - "),

    # on_doubt = "hold". A server that swallows a whole message and says nothing leaves a doubt; one that
    # breaks off in the middle of it does not.
    _Row("hold: DATA",             "data",      "D0 D0 D0 D0 R0 D0 D0 D0 - ", hold=True),
    _Row("hold: body",             "body",      "D0 D0 I0 D0 R0 D0 D0 D0 - ", hold=True, large=True),
    _Row("hold: small body",       "body",      "I0 I0 I0 D0 R0 I1 I0 I1 - ", hold=True),
    _Row("hold: after the dot",    "after_dot", "I0 I0 I0 D0 R0 I0 I0 I0 - ", {"stored": False}, hold=True),
    _Row("hold: taken at the dot", "after_dot", "I1 I1 I1 -  -  I1 I1 I1 - ", {"stored": True}, hold=True),

    # A session that has carried a message before. That it is dead shows at MAIL, when nothing of the message
    # is sent yet: a new session has it at once, and no attempt is lost. A reset takes the answers to MAIL and
    # RCPT with it, which stand in one segment with the one that never came, so until the body it is the same.
    _Row("warm: MAIL",             "mail",      "A1 A1 A1 D0 R0 A1 A1 A1 - ", warm=True),
    _Row("warm: RCPT, first",      "rcpt",      "D0 A1 D0 P1 P1 D0 D0 D0 - ", warm=True),
    _Row("warm: RCPT, middle",     "rcpt",      "D0 A1 D0 P1 P1 D0 D0 D0 - ", {"skip": 1}, warm=True),
    _Row("warm: RCPT, last",       "rcpt",      "D0 A1 D0 P1 P1 D0 D0 D0 - ", {"skip": 2}, warm=True),
    _Row("warm: RCPT, each",       "rcpt",      "-  -  -  D0 R0 -  -  -  - ", {"times": ALL}, warm=True),
    _Row("warm: DATA",             "data",      "D0 A1 D0 D0 R0 D0 D0 D0 - ", warm=True),
    _Row("warm: body",             "body",      "D0 D0 D0 D0 R0 D0 D0 D0 - ", warm=True, large=True),
    _Row("warm: after the dot",    "after_dot", "D0 D0 D0 D0 R0 D0 D0 D0 - ", {"stored": False}, warm=True),
    _Row("warm: taken at the dot", "after_dot", "D1 D1 D1 -  -  D1 D1 D1 - ", {"stored": True}, warm=True),
    _Row("warm: QUIT",             "quit",      "A1 A1 A1 A1 A1 A1 A1 A1 - ", warm=True),
)
# fmt: on


#: Accepted by one attempt, for everybody.
ACCEPTED: Final = Expected(State.ACCEPTED, attempts=1, copies=1)


def read_mark(mark: str) -> Expected:
    """Read a mark of the tables: a letter, and how many copies the server has."""
    state, attempts, reached = _LETTERS[mark[0]]
    return Expected(state, attempts, int(mark[1]), reached)


def matrix() -> list[Cell]:
    """Return every phase × every fault that there can be, row by row."""
    return [
        _cell(row, fault, mark)
        for row in _ROWS
        for fault, mark in zip(FAULTS, row.marks.split(), strict=True)
        if mark != "-"
    ]


def _cell(row: _Row, fault: str, mark: str) -> Cell:
    step: dict[str, Any] = {"at": row.at, "do": _TRICKS[fault], **row.step}
    if fault == "4yz":
        step["reply"] = _NOT_NOW.get(row.at, _NOT_NOW_WITH_A_MESSAGE)
    if fault == "5yz":
        step["reply"] = _NEVER[row.at]
    return Cell(
        row.name,
        fault,
        (step,),
        read_mark(mark),
        silent_at=row.at if fault == "silence" else "",
        warm=row.warm,
        on_doubt="hold" if row.hold else "resend",
        large=row.large,
    )
