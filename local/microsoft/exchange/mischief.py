"""How each trick of a script is played on a client."""

from collections.abc import Callable

from local.microsoft.exchange import replies
from local.microsoft.exchange.script import Point, Step, Trick
from local.microsoft.exchange.wire import Wire

GARBAGE = b"\x00\x81\xfe\xffThis is not the server you are looking for\x07\r\n"
LONG_LINE = b"250 2.0.0 " + b"x" * 99_988 + b"\r\n"  # far beyond the 512 octets of RFC 5321 §4.5.3.1.5


def play(step: Step, wire: Wire, properly: Callable[[], None], *, half_of: str = replies.OK) -> None:
    """Do what the step says instead of what is proper; `half_of` is the reply that `half_reply` cuts."""
    match step.do:
        case Trick.REPLY:
            _reply(step, wire)
        case Trick.DROP:
            wire.close()
        case Trick.RESET:
            wire.reset()
        case Trick.SILENCE:
            _keep_silent(step, wire, properly)
        case Trick.GARBAGE:
            wire.send(GARBAGE)
        case Trick.HALF_REPLY:
            whole = (step.reply or half_of).encode()
            wire.send(whole[: len(whole) // 2])
            wire.close()
        case Trick.LONG_LINE:
            wire.send(LONG_LINE)
        case Trick.TLS_ALERT:
            wire.reply(replies.STARTTLS_READY)
            wire.flush()
            wire.start_tls(refuse=True)


def _reply(step: Step, wire: Wire) -> None:
    wire.reply(step.reply or "")
    if step.at is Point.BODY:
        wire.close()  # the rest of the message cannot be told from commands


def _keep_silent(step: Step, wire: Wire, properly: Callable[[], None]) -> None:
    wire.flush()
    if step.seconds is None:
        wire.be_deaf()
    else:
        wire.hush(step.seconds, properly)
