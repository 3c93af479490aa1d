"""
One cell's world: its own mail server, sender, pool of sessions and clock, in front of a ledger of all cells.

Between the queue and the mail server everything is the app's own; of the queue there is what was put on it.
How it is put together stands in ``_make_tools``, how what waits comes back in ``send_what_waits``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.fault_matrix.mail_servers import MAILBOX, MailServer, MailServers
from benchmarks.fault_matrix.parts import Clock, NoPayloads, PooledMailer, Queue, SignedTokens
from benchmarks.mail.in_memory import Blobs, Templates
from shared.adapters.smtp_pool import SmtpPool
from shared.composer import Composer
from shared.core import events
from shared.core.address import parse_address
from shared.core.delivery import Delivery, Entry, State
from shared.core.intake import read, waiting_body
from shared.core.message import Message
from shared.core.oauth import Service
from shared.core.sender import Sender, SmtpServer
from shared.herald import Herald
from shared.workflows.send import SendTools, send

if TYPE_CHECKING:
    import ssl

    from shared.adapters.smtp_session import Timeouts
    from shared.adapters.table_ledger import Change
    from shared.ports import Ledger

RECIPIENTS = ("ada@first.example", "grace@middle.example", "edsger@last.example")
#: Stands in each message's text, and may stand in nothing that is logged or told.
BODY_CANARY = "canary-in-the-body"

_LARGE_FILE = "large.bin"
# Octets. More than the sending and the receiving side of a loopback connection hold together, so that a
# fault in the middle of the body finds us writing.
_LARGE_OCTETS = 8 * 1024 * 1024
_BLOBS = Blobs({_LARGE_FILE: bytes(range(256)) * (_LARGE_OCTETS // 256)})
_SERVICES = {
    "microsoft": Service(
        "microsoft", "contoso.com", "client-id", "https://login.microsoftonline.com/contoso.com"
    )
}


class History(Protocol):
    """Who can tell what a message went through: the ledger."""

    def history(self, message_id: str) -> list[Change]:
        """Return every change of a message, the first one first."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """Where all cells keep what outlives an instance; ``history`` is the ledger again."""

    ledger: Ledger
    history: History


class World:
    """Sends messages, and tells what became of them. Close it at the end."""

    def __init__(self, name: str, servers: MailServers, stores: Stores, *, timeouts: Timeouts) -> None:
        self.server = servers.make()
        self.server.open()
        self.tokens = SignedTokens(servers)
        self.outbox, self.told = Queue(), Queue()
        self.sender = Sender(
            name=name,
            service="microsoft",
            mailbox=MAILBOX,
            from_address=parse_address(f"Contoso <{MAILBOX}>"),
            smtp=SmtpServer("localhost", self.server.port),
        )
        self._servers = servers
        self._clock = Clock()
        self._stores = stores
        self._pool = SmtpPool(context_factory=self._trusting, timeouts=timeouts)
        self._composer = Composer(payloads=_BLOBS, templates=Templates({}))
        self._tools = self._make_tools()
        self._mail_ids = 0

    def send(self, body: bytes, *, queue_id: str, times: int = 1) -> State | None:
        """Deliver what the queue hands over for the ``times``-th time."""
        return send(self._tools, body, Delivery(queue_id, times))

    def send_what_waits(self, message_id: str, *, queue_id: str) -> State | None:
        """Let the time come for a message that waits, and deliver it as it comes back to the outbox."""
        back = [(text, delay) for text, delay in self.outbox.puts if text == waiting_body(message_id)]
        if not back:
            raise LookupError("nothing brings it back")
        text, delay = back[-1]
        self._clock.skip(delay)
        return self.send(text.encode(), queue_id=queue_id)

    def message(self, message_id: str, *, on_doubt: str = "resend", large: bool = False) -> bytes:
        """Return a message of this sender as it stands on the queue."""
        fields: dict[str, Any] = {
            "id": message_id,
            "sender": self.sender.name,
            "to": RECIPIENTS,
            "subject": "A message of the fault matrix",
            "text": f"{BODY_CANARY}\n.\nThe line above is a dot alone.\n" + "Nothing to see here.\n" * 20,
            "on_doubt": on_doubt,
        }
        if large:
            fields["attachments"] = [{"filename": _LARGE_FILE, "blob": _LARGE_FILE}]
        return json.dumps(fields).encode()

    def find(self, message_id: str) -> Entry:
        """Return what the ledger has of a message."""
        entry = self._stores.ledger.find(message_id)
        if entry is None:
            raise LookupError(f"the ledger has no {message_id}")
        return entry

    def history(self, message_id: str) -> list[Change]:
        """Return every change of a message."""
        return self._stores.history.history(message_id)

    def octets(self, body: bytes, entry: Entry) -> bytes:
        """Return the whole message as it must arrive under the Message-ID and Date of its entry."""
        message = read(body, fallback_id=entry.id)
        if not isinstance(message, Message):
            raise TypeError("not a message")
        date = entry.date or entry.created_at
        composed = self._composer.compose(message, self.sender, mail_id=entry.message_id, date=date)
        return composed.mime.to_bytes()

    def close_sessions(self) -> None:
        """Say QUIT to every session that is open, as an instance does before it goes."""
        self._pool.close_idle(self.sender.name)

    def stranger(self) -> MailServer:
        """Return a server with another authority's certificate, to listen at the real one's port."""
        return self._servers.make(stranger_at=self.server.port)

    def close(self) -> None:
        """End everything."""
        self._pool.close()
        self.server.close()

    def secrets(self) -> tuple[str, ...]:
        """Return what may be in no log, no event and no reply that is kept."""
        return (*self.tokens.values, *self.tokens.as_sent, BODY_CANARY)

    def _make_tools(self) -> SendTools:
        return SendTools(
            ledger=self._stores.ledger,
            outbox=self.outbox,
            events=Herald(self.told, source="https://mail.contoso.com", opted_in=events.OPT_IN),
            payloads=NoPayloads(),
            composer=self._composer,
            tokens=self.tokens,
            mailer=PooledMailer(self._pool),
            senders={self.sender.name: self.sender},
            services=_SERVICES,
            consent_url=lambda sender: f"https://mail.contoso.com/api/oauth/start/{sender}",
            clock=self._clock,
            jitter=lambda: 0.5,
            mail_id=self._mail_id,
        )

    def _mail_id(self, domain: str) -> str:
        self._mail_ids += 1
        return f"<{self._mail_ids}.{self.sender.name}@{domain}>"

    def _trusting(self) -> ssl.SSLContext:
        return self._servers.trust.client_context
