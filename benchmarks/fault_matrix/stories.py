"""
What one fault means for the sender's other mail: several messages each, with what must come of every one.

Each story is told in the order in which it happens; what it looks at on the way must be as it says.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fault_matrix.mail_servers import BILLING
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.fault_matrix.teller import Teller

_NOT_AS: Final = "554 5.2.252 SendAsDenied; the mailbox may not send as it"
_SWITCHED_OFF: Final = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled"
_NO_TOKEN: Final = "535 5.7.3 Authentication unsuccessful"
_NO_SESSION: Final = "454 4.7.0 Temporary authentication failure"
_TOO_FAST: Final = "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
# A hold has been probed once by then.
_NOT_YET: Final = timedelta(seconds=90)


# Holds.


def _address_is_denied(teller: Teller) -> None:
    teller.fault("after_dot", reply=_NOT_AS)
    teller.send("first", State.HELD, from_=BILLING)
    teller.held(BILLING)
    teller.send("other", State.ACCEPTED)
    teller.send("second", State.HELD, from_=BILLING)
    teller.at_the_server(1)
    teller.look("set aside", "2", str(len(teller.world.waiting(BILLING))))


def _resumed_address(teller: Teller) -> None:
    _address_is_denied(teller)
    teller.world.resume()
    teller.held()
    teller.time_passes("first", "second")
    teller.accepted(other=1, first=1, second=1)
    teller.events("sender.held", "sender.resumed")


def _address_by_itself(teller: Teller) -> None:
    _address_is_denied(teller)
    teller.fault("after_dot", reply=_NOT_AS)
    teller.time_passes("first", at_most=_NOT_YET)
    teller.held(BILLING)
    teller.send("another", State.ACCEPTED)
    teller.at_the_server(2)
    teller.time_passes("first", "second")
    teller.accepted(other=1, another=1, first=1, second=1)
    teller.held()
    teller.events("sender.held", "sender.resumed")


def _sender_by_itself(teller: Teller) -> None:
    teller.fault("auth", reply=_SWITCHED_OFF, times=2)
    teller.send("first", State.HELD)
    teller.held("the sender")
    teller.send("second", State.HELD)
    teller.send("other", State.HELD, from_=BILLING)
    teller.connections(1)
    teller.time_passes("first", at_most=_NOT_YET)
    teller.connections(2)
    teller.held("the sender")
    teller.at_the_server(0)
    teller.time_passes("first", "second", "other")
    teller.accepted(first=1, second=1, other=1)
    teller.held()
    teller.connections(3)
    teller.events("sender.held", "sender.resumed")


# Pauses.


def _failing_twice(*faults: Mapping[str, Any]) -> Callable[[Teller], None]:
    def tell(teller: Teller) -> None:
        one, two = faults
        teller.fault(**one)
        teller.send("first", State.DEFERRED)
        teller.paused(paused=False)
        teller.fault(**two)
        teller.send("second", State.DEFERRED)
        teller.paused(paused=True)
        teller.send("third", State.DEFERRED)
        teller.connections(2)
        teller.held()
        teller.time_passes("first", "second", "third")
        teller.accepted(third=1, first=2, second=2)
        teller.look("counted against the sender", "nothing", str(teller.world.state().trouble or "nothing"))
        teller.events()

    return tell


def _message_fails_twice(teller: Teller) -> None:
    teller.fault("data", reply="451 4.3.2 Temporary server error. Please try again later ATTR1", times=2)
    teller.send("first", State.DEFERRED)
    teller.send("second", State.DEFERRED)
    teller.paused(paused=False)
    teller.send("third", State.ACCEPTED)
    teller.time_passes("first", "second")
    teller.accepted(third=1, first=2, second=2)


def _success_between(teller: Teller) -> None:
    teller.fault("connect", "drop")
    teller.send("first", State.DEFERRED)
    teller.send("second", State.ACCEPTED)
    teller.world.close_sessions()
    teller.fault("connect", "drop")
    teller.send("third", State.DEFERRED)
    teller.paused(paused=False)
    teller.time_passes("first", "third")
    teller.accepted(second=1, first=2, third=2)


def _too_fast(teller: Teller) -> None:
    teller.fault("after_dot", reply=_TOO_FAST)
    teller.send("first", State.DEFERRED)
    teller.paused(paused=True)
    teller.send("second", State.DEFERRED)
    teller.send("other", State.DEFERRED, from_=BILLING)
    teller.connections(1)
    teller.time_passes("first", "second", "other")
    teller.accepted(first=1, second=1, other=1)
    teller.held()


def _far_back_off(teller: Teller) -> None:
    teller.fault("connect", "drop", times=3)
    teller.send("first", State.DEFERRED)
    teller.time_passes("first", at_most=timedelta(minutes=2))
    entry = teller.world.find(f"{teller.world.sender.name}-first")
    teller.look("attempts", "3", str(entry.attempts))
    teller.look("on the outbox", "nothing", str(len(teller.world.outbox.puts) or "nothing"))
    teller.time_passes("first")
    teller.accepted(first=4)
    late = teller.world.clock() - (entry.due_at or teller.world.clock())
    teller.look("not before its time", "True", str(late >= timedelta()))


# Tokens.


def _second_token(teller: Teller) -> None:
    tokens = teller.world.tokens
    teller.fault("auth", reply=_NO_TOKEN)
    teller.send("first", State.ACCEPTED)
    teller.look("token in use", "number 2", f"number {1 + tokens.values.index(tokens.present)}")
    sessions = teller.world.server.sessions()
    teller.world.close_sessions()
    teller.send("second", State.ACCEPTED)
    teller.connections(sessions + 1)
    teller.held()
    teller.paused(paused=False)
    teller.accepted(first=1, second=1)
    teller.events()


_DROPPED: Final = {"at": "connect", "do": "drop"}
_CLOSING: Final = {"at": "connect", "reply": "421 4.3.2 Service not available, closing transmission channel"}
_AUTH_NOT_NOW: Final = {"at": "auth", "reply": _NO_SESSION}

#: Each by its name.
STORIES: Final[Mapping[str, Callable[[Teller], None]]] = {
    "one From address is denied, a person resumes it": _resumed_address,
    "one From address is denied, then no longer": _address_by_itself,
    "SMTP AUTH is off, then on again": _sender_by_itself,
    "two connections in a row are dropped": _failing_twice(_DROPPED, _DROPPED),
    "two connections in a row get 421": _failing_twice(_CLOSING, _CLOSING),
    "two sign-ins in a row are put off": _failing_twice(_AUTH_NOT_NOW, _AUTH_NOT_NOW),
    "one connection is dropped, the next sign-in put off": _failing_twice(_DROPPED, _AUTH_NOT_NOW),
    "two messages in a row are put off": _message_fails_twice,
    "a message is accepted between two failures": _success_between,
    "the submission rate is exceeded": _too_fast,
    "three connections in a row are dropped, the back-off is long": _far_back_off,
    "a token is refused, the next one taken": _second_token,
}
