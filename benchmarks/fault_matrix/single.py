"""
Faults that stand in no row of the matrix: replies with a meaning of their own, and what is no reply at all.
"""

from __future__ import annotations

from typing import Final

from benchmarks.fault_matrix.expected import Cell, read_mark

_TOKEN_REFUSED: Final = {
    "at": "auth",
    "do": "reply",
    "reply": "535 5.7.3 Authentication unsuccessful {token}",
}
_NEXT_ONE_TOO: Final = {**_TOKEN_REFUSED, "reply": "535 5.7.3 Authentication unsuccessful {next_token}"}
_CLOSING: Final = "421 4.3.2 Service not available, closing transmission channel"
_TAKEN_IN_SPITE: Final = {
    "at": "after_dot",
    "do": "reply",
    "reply": "451 4.4.0 Message failed to be made redundant",
    "stored": True,
}
_ONE_NOT_NOW: Final = (
    {"at": "rcpt", "do": "reply", "reply": "450 4.2.1 Mailbox of {recipient} busy"},
    {"at": "rcpt", "do": "reply", "reply": "550 5.1.10 {recipient} not found", "times": 2},
)


def _after_dot(reply: str) -> dict[str, str]:
    return {"at": "after_dot", "do": "reply", "reply": reply}


def _closing(at: str, skip: int = 0) -> dict[str, str | int]:
    return {"at": at, "do": "reply", "reply": _CLOSING, "skip": skip}


def single_cells() -> list[Cell]:
    """Return them."""
    return [
        # Nobody there, and somebody else there.
        Cell("connect", "refused", (), read_mark("D0"), listens="nobody"),
        Cell("TLS", "wrong certificate", (), read_mark("H0"), listens="stranger"),
        # It agrees to TLS and goes on in plaintext.
        Cell(
            "TLS",
            "no handshake",
            ({"at": "starttls", "do": "reply", "reply": "220 2.0.0 SMTP server ready"},),
            read_mark("D0"),
            silent_at="tls",
        ),
        # The server ends a session that idles: the next message does not notice.
        Cell("warm: MAIL", "ended while idle", (), read_mark("A1"), warm=True, cut_idle=True),
        # A token is refused: another one is tried at once; two refusals are a person's business.
        Cell("AUTH", "token refused once", (_TOKEN_REFUSED,), read_mark("A1")),
        Cell("AUTH", "token refused twice", (_TOKEN_REFUSED, _NEXT_ONE_TOO), read_mark("H0")),
        # 421 closes the connection wherever it comes, and says by that that nothing was taken.
        Cell("connect", "421", (_closing("connect"),), read_mark("D0")),
        Cell("AUTH", "421", (_closing("auth"),), read_mark("D0")),
        Cell("MAIL", "421", (_closing("mail"),), read_mark("D0")),
        Cell("warm: MAIL", "421", (_closing("mail"),), read_mark("A1"), warm=True),
        Cell("RCPT, middle", "421", (_closing("rcpt", 1),), read_mark("D0")),
        Cell("DATA", "421", (_closing("data"),), read_mark("D0")),
        Cell("after the dot", "421", (_closing("after_dot"),), read_mark("D0")),
        Cell("hold: after the dot", "421", (_closing("after_dot"),), read_mark("D0"), on_doubt="hold"),
        # Limits: nothing is counted against the message.
        Cell(
            "after the dot",
            "432 too many connections",
            (_after_dot("432 4.3.2 Concurrent connections limit exceeded."),),
            read_mark("T0"),
        ),
        Cell(
            "after the dot",
            "421 submission rate",
            (
                _after_dot(
                    "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
                ),
            ),
            read_mark("T0"),
        ),
        Cell(
            "after the dot",
            "554 daily quota",
            (_after_dot("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"),),
            read_mark("T0"),
        ),
        # A 5yz after the dot that is about the mailbox and not about the message.
        Cell(
            "after the dot",
            "554 SendAs denied",
            (_after_dot("554 5.2.252 SendAsDenied; noreply@contoso.com not allowed to send as it"),),
            read_mark("H0"),
        ),
        # A 4yz by which Exchange may have taken the message all the same (facts: replicas).
        Cell("taken at the dot", "451 not made redundant", (_TAKEN_IN_SPITE,), read_mark("D1")),
        Cell(
            "hold: taken at the dot",
            "451 not made redundant",
            (_TAKEN_IN_SPITE,),
            read_mark("I1"),
            on_doubt="hold",
        ),
        # Nobody is left, and one of them may be there later.
        Cell("RCPT, each", "one 4yz, two 5yz", _ONE_NOT_NOW, read_mark("D0")),
    ]
