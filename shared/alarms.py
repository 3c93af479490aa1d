"""
What happens to a sender, said to those who may have to act: as an event, in the log, by mail to operators.

The sentence is the catalogue's, with what to type or the link to open in it, so nobody has to look it up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.core.remedies import CATALOGUE, NEEDS_CONSENT
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.connection import Warned
    from shared.core.grant import Account
    from shared.core.holds import Hold
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.ports import Events

log = logging.getLogger(__name__)

HELD: Final = "sender.held"
RESUMED: Final = "sender.resumed"
CONNECTED: Final = "sender.connected"
CONSENT_REQUIRED: Final = "sender.consent_required"
CREDENTIAL_EXPIRING: Final = "sender.credential_expiring"


class Operators(Protocol):
    """The people of mail.toml's ``operators``."""

    def write(self, about: Sender, subject: str, text: str, *, at: datetime, can_send: bool) -> None:
        """Send them a mail from a sender that works; ``can_send`` says whether ``about`` itself does."""
        ...


class Alarms:
    """Says what happens to senders."""

    def __init__(
        self,
        events: Events,
        operators: Operators,
        *,
        services: Mapping[str, Service],
        consent_url: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._events = events
        self._operators = operators
        self._services = services
        self._consent_url = consent_url
        self._clock = clock

    def held(self, sender: Sender, hold: Hold, address: str) -> None:
        """Say that a sender, or one From address of it, is held; also when it has been for another day."""
        again = hold.told_at is not None
        at = self._clock() if again else hold.since
        remedy, service = CATALOGUE.get(hold.remedy), self._services[sender.service]
        data: dict[str, Any] = {"remedy": hold.remedy, "reason": hold.reason, "since": hold.since.isoformat()}
        if address:
            data["address"] = address
        if remedy:
            data["who"] = remedy.who_for(service).value
        if again:
            data["repeated"] = True
        needs_consent = hold.remedy in NEEDS_CONSENT and not service.is_app_only
        if needs_consent:
            data["consent_url"] = self._consent_url(sender.name)
        self._events.tell_of_sender(HELD, sender.name, data, at=at)
        if needs_consent:
            self._events.tell_of_sender(CONSENT_REQUIRED, sender.name, data, at=at)
        log.error(
            "%s is %sheld and its mail waits: %s",
            _whom(sender, address),
            "still " if again else "",
            hold.reason,
            extra={
                "event": Word.CONSENT_REQUIRED if needs_consent else Word.SENDER_HELD,
                "sender": sender.name,
            },
        )
        subject = f"Mail of {_whom(sender, address)} {'still ' if again else ''}waits"
        since = hold.since.strftime("%Y-%m-%d %H:%M UTC")
        self._operators.write(
            sender,
            subject,
            f"{_whom(sender, address)} is held since {since}; nothing is lost, its mail waits."
            f"\n\n{hold.reason}",
            at=at,
            can_send=bool(address),
        )

    def resumed(self, sender: Sender, address: str, *, why: str) -> None:
        """Say that a hold is over."""
        now = self._clock()
        data = {"address": address} if address else {}
        self._events.tell_of_sender(RESUMED, sender.name, {**data, "reason": why}, at=now)
        log.warning(
            "%s is no longer held: %s; its mail flows",
            _whom(sender, address),
            why,
            extra={"event": Word.SENDER_RESUMED, "sender": sender.name},
        )

    def connected(self, sender: Sender, account: Account) -> None:
        """Say that a grant was stored."""
        log.info(
            "%s is connected as %s",
            sender.name,
            account.username,
            extra={"event": Word.SENDER_CONNECTED, "sender": sender.name},
        )
        data = {"account": account.username, "display_name": account.display_name}
        self._events.tell_of_sender(CONNECTED, sender.name, data, at=self._clock())

    def expiring(self, sender: Sender, credential: str, warned: Warned, *, reason: str) -> None:
        """Say that what a sender's service proves itself with ends soon, or has ended."""
        over = warned.expires_at <= warned.at
        data = {
            "credential": credential,
            "expires_at": warned.expires_at.isoformat(),
            "days_left": max(0, (warned.expires_at - warned.at).days),
            "reason": reason,
        }
        self._events.tell_of_sender(CREDENTIAL_EXPIRING, sender.name, data, at=warned.at)
        log.log(
            logging.ERROR if over else logging.WARNING,
            "%s of %s %s on %s: %s",
            credential,
            sender.name,
            "ended" if over else "ends",
            warned.expires_at.date().isoformat(),
            reason,
            extra={"event": Word.CREDENTIAL_EXPIRING, "sender": sender.name},
        )
        said = f"{credential} {'ended' if over else 'ends'} on {warned.expires_at.date().isoformat()}"
        # Of the senders that need it each is told of; one mail a day tells of it for all.
        today = warned.at.replace(hour=0, minute=0, second=0, microsecond=0)
        self._operators.write(sender, said, f"{said}.\n\n{reason}", at=today, can_send=not over)


def _whom(sender: Sender, address: str) -> str:
    return f"{address} of {sender.name}" if address else sender.name
