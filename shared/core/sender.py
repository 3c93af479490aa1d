"""Senders: the names that apps use, and what each may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.address import Address
    from shared.core.message import Message

DEFAULT_SMTP_PORT = 587


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where a sender's mail is handed over: STARTTLS always."""

    host: str
    port: int = DEFAULT_SMTP_PORT


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one mailbox may send.

    The defaults are Exchange Online's (see ``docs/operations.md`` for the sources).
    """

    messages_per_minute: int = 30
    connections: int = 3
    recipients_per_message: int = 500
    recipients_per_day: int = 10_000
    max_message_bytes: int = 36_700_160  # 35 MiB


@dataclass(frozen=True, slots=True)
class Sender:
    """One entry of ``[senders]`` in mail.toml."""

    name: str
    service: str
    mailbox: str
    from_address: Address
    smtp: SmtpServer
    sign_in_as: str = ""
    also_from: tuple[Address, ...] = ()
    limits: Limits = Limits()
    default: bool = False

    @property
    def consenting_account(self) -> str:
        """Who must sign in: ``sign_in_as``, or the mailbox itself."""
        return self.sign_in_as or self.mailbox

    def from_for(self, message: Message) -> Address:
        """
        Return the From that ``message`` goes out with.

        Raises ``MessageError`` when it asks for an address that is neither ``from`` nor one of ``also_from``.
        """
        wanted = message.fields.from_
        if wanted is None:
            return self.from_address
        self.check_from(wanted, message)
        return wanted

    def check_from(self, wanted: Address, message: Message) -> None:
        """Raise ``MessageError`` for an address that this sender may not write ``message`` from."""
        if all(allowed.key != wanted.key for allowed in (self.from_address, *self.also_from)):
            problem = f"from: {wanted.addr_spec} is not an address of the sender {self.name}"
            raise MessageError((f"{problem}; allow it in also_from in mail.toml",), message_id=message.id)


def choose(senders: Mapping[str, Sender], message: Message) -> Sender:
    """
    Return the sender that ``message`` names, or the default one.

    Raises ``MessageError`` when there is none of that name.
    """
    name = message.fields.sender
    if name is None:
        for sender in senders.values():
            if sender.default or len(senders) == 1:
                return sender
    elif name in senders:
        return senders[name]
    known = ", ".join(sorted(senders))
    said = (
        f"sender: there is none called {name}"
        if name
        else "sender: none is named and mail.toml has no default one"
    )
    raise MessageError((f"{said}; mail.toml has {known}",), message_id=message.id)
