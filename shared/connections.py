"""
Connections: giving a sender its grant, taking it away, and writing down how it stands, for all instances.

Consent, upkeep and a person's word over HTTP come here, so that what each of them changes is changed
together: the grant in the vault, what the register says of it, the holds that it ends or begins.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core import connection
from shared.core.grant import LEASE, lease_name
from shared.core.holds import Proof, new_hold
from shared.core.remedies import ENDED_BY_CONSENT
from shared.errors import StorageError, TokenUnavailableError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.core.connection import Warned
    from shared.core.grant import Account, Grant
    from shared.core.holds import Hold, SenderState
    from shared.core.sender import Sender

log = logging.getLogger(__name__)

# A person waits meanwhile.
_LONGEST_WAIT = timedelta(seconds=20)
_LOOK_EVERY = timedelta(milliseconds=500)


class Grants(Protocol):
    """Where grants are kept."""

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write the grant of a sender."""
        ...

    def delete_grant(self, sender: str) -> bool:
        """Remove it; False where there was none."""
        ...


class Leases(Protocol):
    """Who may do what only one may do."""

    def acquire(self, name: str, duration: timedelta) -> str:
        """Return a mark, or "" when another holds it."""
        ...

    def release(self, name: str, mark: str) -> None:
        """Give it back; harmless for ""."""
        ...


class Register(Protocol):
    """What every instance agrees on about each sender."""

    def change(
        self, sender: str, decide: Callable[[SenderState], SenderState]
    ) -> tuple[SenderState, SenderState]:
        """Change a sender's state; returns what stood there before and after."""
        ...


class Holds(Protocol):
    """What holds senders and lets them go on."""

    def hold(self, sender: Sender, hold: Hold, *, address: str = "") -> None:
        """Hold a sender and say so."""
        ...

    def resume(
        self, sender: Sender, *, address: str = "", why: str, only: frozenset[str] = frozenset()
    ) -> bool:
        """End a hold, of these remedies where some are named."""
        ...


class Alarms(Protocol):
    """Says what happens to senders."""

    def connected(self, sender: Sender, account: Account) -> None:
        """Say that a grant was stored."""
        ...

    def expiring(self, sender: Sender, credential: str, warned: Warned, *, reason: str) -> None:
        """Say that a credential ends soon."""
        ...


class Connections:
    """Connects senders and disconnects them; ``explain`` gives the catalogue's sentence for a remedy."""

    def __init__(
        self,
        register: Register,
        *,
        grants: Grants,
        holds: Holds,
        leases: Leases,
        alarms: Alarms,
        explain: Callable[[str, Sender], str],
        clock: Callable[[], datetime],
        pause: Callable[[float], object],
    ) -> None:
        self._register = register
        self._grants = grants
        self._holds = holds
        self._leases = leases
        self._alarms = alarms
        self._explain = explain
        self._clock = clock
        self._pause = pause

    def connect(self, sender: Sender, grant: Grant) -> None:
        """Store a grant that a person has just given; from then on mail flows."""
        with self._alone(sender):
            # Whoever renews the old grant at this moment and takes too long must not cost a person another
            # sign-in: this one is stored in any case.
            self._grants.store_grant(sender.name, grant)
        try:
            self._register.change(sender.name, lambda state: connection.connected(state, grant))
            why = f"{grant.account.username} has signed in"
            self._holds.resume(sender, why=why, only=ENDED_BY_CONSENT)
            self._alarms.connected(sender, grant.account)
        except StorageError as error:
            # The grant is what counts, and a person waits for the page; upkeep finds the rest.
            log.error(  # noqa: TRY400 - a sentence says it; the storage account has its own log
                "%s is connected, and that could not be written down: %s; the next upkeep does",
                sender.name,
                error,
                extra={"event": Word.STORAGE_AWAY, "sender": sender.name},
            )

    def disconnect(self, sender: Sender, *, why: str) -> bool:
        """
        Take a sender's grant away; its mail waits until somebody consents. False where there was none.

        Every instance hears of it before the grant is gone, so none goes on with a token that it has in mind.
        """
        now = self._clock()
        reason = f"{why}; {self._explain('consent-missing', sender)}"
        self._holds.hold(sender, new_hold("consent-missing", reason, proof=Proof.TOKEN, now=now))
        self._register.change(sender.name, lambda state: connection.disconnected(state, now))
        with self._alone(sender) as alone:
            if not alone:
                raise TokenUnavailableError(f"the grant of {sender.name} is being renewed just now")
            removed = self._grants.delete_grant(sender.name)
        log.warning(
            "%s is disconnected: %s",
            sender.name,
            why,
            extra={"event": Word.SENDER_DISCONNECTED, "sender": sender.name},
        )
        return removed

    @contextmanager
    def _alone(self, sender: Sender) -> Iterator[bool]:
        """
        Keep off whoever renews the grant, and would write it over what is written here.

        Gives False where that was in vain: a renewal takes long, or storage is away.
        """
        name, mark, deadline = lease_name(sender.name), "", self._clock() + _LONGEST_WAIT
        with suppress(StorageError):
            while not (mark := self._leases.acquire(name, LEASE)) and self._clock() < deadline:
                self._pause(_LOOK_EVERY.total_seconds())
        try:
            yield bool(mark)
        finally:
            with suppress(StorageError):  # it ends by itself
                self._leases.release(name, mark)

    def seen(self, sender: Sender, grant: Grant | None, credential_expires_at: datetime | None) -> None:
        """Write down what upkeep saw, where it is news."""
        self._register.change(sender.name, lambda state: connection.seen(state, grant, credential_expires_at))

    def warn(self, sender: Sender, credential: str, expires_at: datetime) -> None:
        """Say that what the sender's service proves itself with ends soon, where that is due."""
        now = self._clock()
        if connection.warning(expires_at, None, now) is None:
            return  # it is far away, whatever was said before
        state, _ = self._register.change(sender.name, lambda state: state)
        warned = connection.warning(expires_at, state.warned, now)
        if warned is None:
            return
        # Said before it is noted: a warning that is given twice does less harm than one that is lost.
        reason = self._explain("credential-expiring", sender)
        self._alarms.expiring(sender, credential, warned, reason=reason)
        self._register.change(sender.name, lambda state: connection.warned(state, warned))
