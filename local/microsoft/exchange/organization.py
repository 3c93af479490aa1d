"""The organization behind the server: its mailboxes, its switches, and what its sessions share."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, TypeVar

from local.microsoft.exchange.limits import Limits, Usage
from local.microsoft.exchange.mail_store import MailStore
from local.microsoft.exchange.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_Settings = TypeVar("_Settings", Limits, "Mailbox")


class AuthFailureForm(enum.Enum):
    """How a token is refused."""

    #: `535 5.7.3` at once: Exchange Online.
    DIRECT = "direct"
    #: `334` with JSON in base64, the client's empty line, then `535 5.7.3`: Gmail, and others that speak
    #: XOAUTH2.
    CHALLENGE = "challenge"


@dataclass(slots=True)
class Mailbox:
    """
    One mailbox, and what an administrator has set on it.

    - `owners`: whose token may authenticate as this mailbox. A user principal name stands for a delegated
      token (which must be the mailbox user's own: nobody signs in to a shared mailbox, so a shared mailbox
      has none), an application id for an application's token with permission on the mailbox.
    - `send_as`: further addresses it may use in MAIL FROM and in From.
    - `smtp_auth_enabled`: its own switch; None follows the organization's.
    - `limits`: its own value for a limit, by name.
    """

    address: str
    owners: frozenset[str]
    send_as: frozenset[str] = frozenset()
    smtp_auth_enabled: bool | None = None
    full: bool = False
    blocked: bool = False
    limits: dict[str, int] = field(default_factory=dict)

    def may_send_as(self, address: str) -> bool:
        """Return whether the address is its own, or one that it has been given."""
        wanted = address.casefold()
        return wanted == self.address.casefold() or any(wanted == other.casefold() for other in self.send_as)


class Organization:
    """Everything that sessions share. `clock` counts seconds, from anywhere, and never goes back."""

    def __init__(
        self,
        *,
        mailboxes: Iterable[Mailbox],
        verify: Callable[[str], Mapping[str, object]],
        clock: Callable[[], float],
    ) -> None:
        self.verify = verify
        self.clock = clock
        self.store = MailStore()
        self.limits = Limits()
        self.mailboxes: dict[str, Mailbox] = {}
        self._usage: dict[str, Usage] = {}
        self._at_start = tuple(_copy(mailbox) for mailbox in mailboxes)
        self.restore()

    def restore(self) -> None:
        """
        Put all settings and counters back as at the start. Accepted messages and open sessions stay.

        What sessions and callers hold on to is changed in place.
        """
        _assign(self.limits, Limits())
        self.script = Script()
        self.smtp_auth_enabled = True
        self.auth_failure_form = AuthFailureForm.DIRECT
        self.round_trip_seconds = 0.0
        before, self.mailboxes = self.mailboxes, {}
        for mailbox in self._at_start:
            live = before.get(mailbox.address.casefold(), _copy(mailbox))
            _assign(live, _copy(mailbox))
            self.add(live)
        for usage in self._usage.values():
            usage.restore()
        self.store.restore()

    def add(self, mailbox: Mailbox) -> Mailbox:
        """Make a mailbox."""
        self.mailboxes[mailbox.address.casefold()] = mailbox
        return mailbox

    def mailbox(self, address: str) -> Mailbox | None:
        """Return the mailbox with this address, however it is capitalized."""
        return self.mailboxes.get(address.casefold())

    def usage(self, mailbox: Mailbox) -> Usage:
        """Return what counts against the mailbox's limits."""
        return self._usage.setdefault(mailbox.address.casefold(), Usage())

    def limit(self, mailbox: Mailbox, name: str) -> int:
        """Return the mailbox's own value of a limit, or the one for all."""
        own = mailbox.limits.get(name)
        return int(getattr(self.limits, name)) if own is None else own


def _copy(mailbox: Mailbox) -> Mailbox:
    return replace(mailbox, limits=dict(mailbox.limits))


def _assign(settings: _Settings, values: _Settings) -> None:
    for each in fields(settings):
        setattr(settings, each.name, getattr(values, each.name))
