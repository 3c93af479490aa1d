"""
What a browser may still do from the page that says *Connected*: send a test mail, disconnect again.

1. Find the sign-in that this browser completed; whoever has no such one gets no further. 2. Do what is asked.
The same press twice is done once: a test mail's id is made from the sign-in and the address.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core.consent import Ended, Outcome, cookie_name
from shared.errors import GrantError, MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.grant import PendingConsent
    from shared.core.holds import SenderState
    from shared.core.sender import Sender
    from shared.ports import Connections, TrialMail


# A table keeps times as fractions of a second.
_SAME = timedelta(milliseconds=1)


class PendingConsents(Protocol):
    """Sign-ins, sealed for their browsers."""

    def find(self, *, state: str, key: str) -> PendingConsent | None:
        """Return this browser's, or None."""
        ...


class Register(Protocol):
    """How senders stand."""

    def read(self, sender: str) -> SenderState:
        """Return a sender's state as it stands."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectedTools:
    """What the page's buttons need of the world."""

    pending: PendingConsents
    register: Register
    connections: Connections
    trial: TrialMail
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]


def send_test(tools: ConnectedTools, form: Mapping[str, str], cookies: Mapping[str, str]) -> Ended:
    """Send a test mail through the sender that this browser has connected."""
    found = _found(tools, form, cookies)
    if isinstance(found, Ended):
        return found
    pending, sender = found
    to = form.get("to", "").strip() or sender.mailbox
    mark = hashlib.sha256(f"{pending.state}\n{to.lower()}".encode()).hexdigest()[:24]
    try:
        entry = tools.trial.send(sender, to, message_id=f"test-{mark}")
    except MessageError as error:
        return Ended(
            Outcome.TEST_REFUSED,
            sender.name,
            sender.consenting_account,
            code=error.problems[0][:200],
            state=pending.state,
            test_to=sender.mailbox,
        )
    hold = tools.register.read(sender.name).hold
    return Ended(
        Outcome.TEST_WAITS if hold else Outcome.TEST_SENT,
        sender.name,
        sender.consenting_account,
        code=to,
        remedy=hold.reason if hold else "",
        state=pending.state,
        test_to=to,
        message_id=entry.id,
    )


def disconnect(tools: ConnectedTools, form: Mapping[str, str], cookies: Mapping[str, str]) -> Ended:
    """Take the grant away that this browser has given."""
    found = _found(tools, form, cookies)
    if isinstance(found, Ended):
        return found
    pending, sender = found
    state = tools.register.read(sender.name)
    granted_at = state.granted_at
    if granted_at is None or not pending.flow or abs(granted_at - _given(pending)) > _SAME:
        # Another sign-in has connected it since, which is not this page's to undo; or it was pressed before.
        ended = Outcome.USED if state.connection else Outcome.DISCONNECTED
        return Ended(ended, sender.name, sender.consenting_account)
    try:
        tools.connections.disconnect(sender, why="it was disconnected from the page that connected it")
    except GrantError as error:
        return Ended(Outcome.UNAVAILABLE, sender.name, sender.consenting_account, code=error.code)
    return Ended(Outcome.DISCONNECTED, sender.name, sender.consenting_account)


def _given(pending: PendingConsent) -> datetime:
    """Return when the grant was given that this sign-in ended with."""
    return datetime.fromisoformat(pending.flow)


def _found(
    tools: ConnectedTools, form: Mapping[str, str], cookies: Mapping[str, str]
) -> tuple[PendingConsent, Sender] | Ended:
    """Return the completed sign-in of this browser, or what to say where there is none."""
    state = form.get("state", "")
    key = cookies.get(cookie_name(state), "") if state else ""
    pending = tools.pending.find(state=state, key=key) if key else None
    sender = tools.senders.get(pending.sender) if pending else None
    if pending is None or sender is None or pending.outcome != Outcome.CONNECTED.value:
        return Ended(Outcome.NOT_BEGUN)
    if pending.expires_at <= tools.clock():
        return Ended(Outcome.EXPIRED, sender.name, sender.consenting_account)
    return pending, sender
