"""
One cell's world: its own mail server, sender, pool of sessions and clock, in front of stores that all share.

Between the queue and the mail server everything is the app's own. Time passes when ``let_time_pass`` says so:
what is on the outbox is delivered when it is seen, and ``release`` runs every minute.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.fault_matrix.instance import Instance, Stores
from benchmarks.fault_matrix.mail_servers import BILLING, MAILBOX, MailServer, MailServers
from benchmarks.fault_matrix.parts import Clock, Queue, SignedTokens
from benchmarks.mail.in_memory import Blobs, Templates
from shared.adapters.smtp_pool import SmtpPool
from shared.composer import Composer
from shared.core.address import parse_address
from shared.core.delivery import Delivery, Entry, State
from shared.core.intake import read
from shared.core.message import Message
from shared.core.sender import Sender, SmtpServer
from shared.core.waiting import line_of
from shared.workflows.release import release
from shared.workflows.send import send
from shared.workflows.serve_line import serve_line

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from shared.adapters.smtp_session import Timeouts
    from shared.adapters.table_ledger import Change
    from shared.core.holds import SenderState

RECIPIENTS = ("ada@first.example", "grace@middle.example", "edsger@last.example")
#: Stands in each message's text, and may stand in nothing that is logged or told.
BODY_CANARY = "canary-in-the-body"

_LARGE_FILE = "large.bin"
# Octets. More than the sending and the receiving side of a loopback connection hold together, so that a
# fault in the middle of the body finds us writing.
_LARGE_OCTETS = 8 * 1024 * 1024
_BLOBS = Blobs({_LARGE_FILE: bytes(range(256)) * (_LARGE_OCTETS // 256)})
_RELEASE_EVERY = timedelta(minutes=1)
# Longer than any pause after one fault, the hour after a daily quota.
_PATIENCE = timedelta(hours=2)
_MOST_WAITING = 100


class World:
    """Sends messages, and tells what became of them. Close it at the end."""

    def __init__(self, name: str, servers: MailServers, stores: Stores, *, timeouts: Timeouts) -> None:
        self.server = servers.make()
        self.server.open()
        self.tokens = SignedTokens(servers)
        self.clock = Clock()
        self.outbox, self.told = Queue(self.clock), Queue(self.clock)
        self.sender = Sender(
            name=name,
            service="microsoft",
            mailbox=MAILBOX,
            from_address=parse_address(f"Contoso <{MAILBOX}>"),
            smtp=SmtpServer("localhost", self.server.port),
            also_from=(parse_address(f"Billing <{BILLING}>"),),
        )
        self._servers = servers
        self._stores = stores
        self._pool = SmtpPool(context_factory=self._trusting, timeouts=timeouts)
        self._composer = Composer(payloads=_BLOBS, templates=Templates({}))
        self._instance = Instance(
            self.sender,
            stores,
            clock=self.clock,
            outbox=self.outbox,
            told=self.told,
            pool=self._pool,
            composer=self._composer,
            tokens=self.tokens,
        )
        self._came_back = 0

    # What happens.

    def deliver(self, body: bytes, *, queue_id: str, times: int = 1) -> State | None:
        """Deliver what the queue hands over for the ``times``-th time, as the function ``send`` does."""
        sent = send(self._instance.send_tools, body, Delivery(queue_id, times))
        if sent.line:
            serve_line(self._instance.serve_tools, sent.line, called=sent.called)
        return sent.state

    def let_time_pass(self, *, until: Callable[[], bool], at_most: timedelta = _PATIENCE) -> None:
        """Let everything happen that is due, as far as ``until``."""
        ends_at, next_release = self.clock() + at_most, self.clock() + _RELEASE_EVERY
        while not until() and self.clock() < ends_at:
            if put := self.outbox.take(until=max(next_release, self.clock())):
                self.clock.reach(put.seen_at)
                self._came_back += 1
                self.deliver(put.text.encode(), queue_id=f"{self.sender.name}-back-{self._came_back}")
            else:
                self.clock.reach(next_release)
                next_release = self.clock() + _RELEASE_EVERY
                release(self._instance.release_tools)

    def resume(self) -> None:
        """Let the sender, or the addresses of it that are held, go on, as a person does."""
        state = self.state()
        for address in ([""] if state.hold else []) + list(state.address_holds):
            self._instance.holds.resume(self.sender, address=address, why="a person resumed it")

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

    # What there is to see.

    def find(self, message_id: str) -> Entry:
        """Return what the ledger has of a message."""
        entry = self._stores.ledger.find(message_id)
        if entry is None:
            raise LookupError(f"the ledger has no {message_id}")
        return entry

    def history(self, message_id: str) -> list[Change]:
        """Return every change of a message."""
        return self._stores.history.history(message_id)

    def state(self) -> SenderState:
        """Return what stands in the register of the sender."""
        return self._instance.register.read(self.sender.name)

    def waiting(self, address: str = "") -> list[str]:
        """Return the ids of those in the sender's line, or of those that are held with an address."""
        line = line_of(self.sender.name, address)
        return [place.message_id for place in self._instance.room.head(line, most=_MOST_WAITING)]

    def secrets(self) -> tuple[str, ...]:
        """Return what may be in no log, no event, no reply and no reason that is kept."""
        return (*self.tokens.values, *self.tokens.as_sent, BODY_CANARY)

    # Messages.

    def message(
        self, message_id: str, *, on_doubt: str = "resend", large: bool = False, from_: str = MAILBOX
    ) -> bytes:
        """Return a message of this sender as it stands on the queue."""
        fields: dict[str, Any] = {
            "id": message_id,
            "sender": self.sender.name,
            "from": from_,
            "to": RECIPIENTS,
            "subject": "A message of the fault matrix",
            "text": f"{BODY_CANARY}\n.\nThe line above is a dot alone.\n" + "Nothing to see here.\n" * 20,
            "on_doubt": on_doubt,
        }
        if large:
            fields["attachments"] = [{"filename": _LARGE_FILE, "blob": _LARGE_FILE}]
        return json.dumps(fields).encode()

    def octets(self, body: bytes, entry: Entry) -> bytes:
        """Return the whole message as it must arrive under the Message-ID and Date of its entry."""
        message = read(body, fallback_id=entry.id)
        if not isinstance(message, Message):
            raise TypeError("not a message")
        date = entry.date or entry.created_at
        composed = self._composer.compose(message, self.sender, mail_id=entry.message_id, date=date)
        return composed.mime.to_bytes()

    def _trusting(self) -> ssl.SSLContext:
        return self._servers.trust.client_context
