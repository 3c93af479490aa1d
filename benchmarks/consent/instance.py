"""
One instance of the app in simulated time, put together as ``shared/services.py`` does it.

Mail that waits comes back when its time has come, ``release`` and ``upkeep`` run when they are called.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.consent.parts import MailServer
from shared.alarms import Alarms
from shared.amender import Amender
from shared.composer import Composer
from shared.connections import Connections
from shared.core import remedies
from shared.core.address import parse_address
from shared.core.delivery import Delivery, State
from shared.core.sender import Limits, Sender, SmtpServer
from shared.core.service import Microsoft, Service
from shared.core.waiting import line_of
from shared.courier import Courier
from shared.grants import GrantKeeper
from shared.holds import Holds
from shared.line import Lines
from shared.operators import Operators
from shared.pacer import Pacer
from shared.register import Register
from shared.scribe import ScribeTools
from shared.telemetry import Silence
from shared.workflows.release import ReleaseTools, release
from shared.workflows.send import SendTools, send
from shared.workflows.serve_line import ServeTools, serve_line
from shared.workflows.upkeep import UpkeepTools, upkeep
from tests.twins import (
    MemoryEvents,
    MemoryLeases,
    MemoryLedger,
    MemoryOutbox,
    MemoryPayloads,
    MemorySenders,
    MemoryTemplates,
    MemoryWaiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from benchmarks.consent.parts import Clock
    from benchmarks.consent.provider import Provider
    from benchmarks.consent.vault import Vault
    from shared.core.holds import SenderState

_SERVICE = Service(
    "microsoft", "client-id", Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com")
)
_SERVICES: Mapping[str, Service] = {"microsoft": _SERVICE}
_UNHURRIED = Limits(messages_per_minute=10_000, connections=100)  # limits are not what is looked at


def sender(name: str) -> Sender:
    """Return a sender with a mailbox of its own."""
    mailbox = f"{name}@contoso.com"
    return Sender(
        name, "microsoft", mailbox, parse_address(mailbox), SmtpServer("localhost"), limits=_UNHURRIED
    )


class Instance:
    """Its senders are connected as soon as ``connect`` has been called."""

    def __init__(self, clock: Clock, provider: Provider, vault: Vault, *names: str) -> None:
        self.clock, self._provider, self._vault = clock, provider, vault
        self.senders = {name: sender(name) for name in names}
        self.ledger, self.outbox, self.states = MemoryLedger(), MemoryOutbox(), MemorySenders()
        self.events, self.server = MemoryEvents(), MailServer(provider)
        self._room, leases, self._mail_ids = MemoryWaiting(), MemoryLeases(clock), 0
        self._came = 0
        self._due: list[tuple[datetime, str]] = []
        self.register = Register(self.states, pause=clock.pause, jitter=_jitter)
        pacer = Pacer(self.register, holder="i", trim=lambda *_: None, clock=clock, most_served=4, tend=False)
        people = Operators((), outbox=self.outbox, register=self.register, senders=self.senders)
        alarms = Alarms(self.events, people, services=_SERVICES, consent_url=_consent_url, clock=clock)
        holds = Holds(
            self.register,
            room=self._room,
            outbox=self.outbox,
            alarms=alarms,
            forget=pacer.forget,
            clock=clock,
        )
        self.keeper = GrantKeeper(
            store=vault,
            refresher=lambda _: provider,
            leases=leases,
            services=_SERVICES,
            granted_at=self._granted_at,
            clock=clock,
            pause=clock.pause,
        )
        connections = Connections(
            self.register,
            grants=vault,
            holds=holds,
            leases=leases,
            alarms=alarms,
            explain=_explain,
            clock=clock,
            pause=clock.pause,
        )
        scribe = ScribeTools(self.ledger, self._room, self.outbox, self.events, Silence(), clock, clock.pause)
        courier = Courier(
            telemetry=Silence(),
            composer=Composer(payloads=MemoryPayloads(), templates=MemoryTemplates()),
            tokens=self.keeper,
            mailer=self.server,
            holds=holds,
            explain=_explain,
            clock=clock,
            jitter=_jitter,
        )
        self._connections, payloads = connections, MemoryPayloads()
        self._send = SendTools(
            ledger=self.ledger,
            scribe=scribe,
            payloads=payloads,
            amender=Amender(scribe),
            pacer=pacer,
            holds=holds,
            courier=courier,
            senders=self.senders,
            clock=clock,
            jitter=_jitter,
            mail_id=self._mail_id,
        )
        self._serve = ServeTools(
            scribe=scribe,
            payloads=payloads,
            pacer=pacer,
            lines=Lines(self._room, clock=clock),
            jitter=_jitter,
            holds=holds,
            courier=courier,
            senders=self.senders,
            clock=clock,
            pause=clock.pause,
        )
        self._release = ReleaseTools(
            telemetry=Silence(),
            room=self._room,
            outbox=self.outbox,
            register=self.register,
            holds=holds,
            prober=courier,
            places=pacer,
            senders=self.senders,
            clock=clock,
        )
        self._upkeep = UpkeepTools(
            telemetry=Silence(),
            keeper=self.keeper,
            register=self.register,
            holds=holds,
            connections=connections,
            credentials=vault,
            senders=self.senders,
            services=_SERVICES,
            explain=_explain,
            side_by_side=lambda do, each: [do(one) for one in each],
            clock=clock,
        )

    def connect(self) -> None:
        """Let somebody sign in for every sender."""
        for each in self.senders.values():
            self._connections.connect(each, self._provider.consent(each.mailbox))

    def has_mail(self, name: str) -> None:
        """Note that a sender has sent just now, as sending does."""
        self.register.change(name, lambda state: replace(state, last_mail_at=self.clock()))

    def send(self, message_id: str, name: str) -> State | None:
        """Let an app's message come and return what it is left in."""
        fields = {"id": message_id, "sender": name, "to": "ada@example.com", "subject": "-", "text": "-"}
        return self._deliver(json.dumps(fields))

    def run_upkeep(self) -> None:
        """Run the function ``upkeep``."""
        upkeep(self._upkeep)

    def run_release(self) -> None:
        """Run the function ``release``, and take from the outbox what its time has come for."""
        release(self._release)
        self.take_what_is_due()

    def take_what_is_due(self) -> None:
        """Take messages from the outbox whose time has come, until there is none."""
        while True:
            now = self.clock()
            self._due += [(now + put.delay, put.text) for put in self.outbox.puts]
            self.outbox.puts.clear()
            ready = [text for at, text in self._due if at <= now]
            self._due = [(at, text) for at, text in self._due if at > now]
            if not ready:
                return
            for text in ready:
                self._deliver(text)

    def is_dry(self) -> bool:
        """Whether no mail waits, on the outbox, for a time, or in a line."""
        waits = any(self._room.ids_in(line_of(name)) for name in self.senders)
        return not (waits or self._due or self.outbox.puts or self._room.dues())

    def expires_at(self, name: str) -> datetime | None:
        """Return when the token in the vault ends."""
        grant = self._vault.load_grant(name)
        return grant.expires_at if grant else None

    def _deliver(self, body: str) -> State | None:
        self._came += 1
        sent = send(self._send, body.encode(), Delivery(f"queue-{self._came}", 1))
        if sent.line:
            serve_line(self._serve, sent.line, called=sent.called)
        return sent.state

    def _granted_at(self, name: str) -> datetime | None:
        state: SenderState = self.states.load(name)
        return state.granted_at

    def _mail_id(self, domain: str) -> str:
        self._mail_ids += 1
        return f"<{self._mail_ids}@{domain}>"


def _consent_url(name: str) -> str:
    return f"https://mail.contoso.com/api/oauth/start/{name}"


def _explain(key: str, about: Sender) -> str:
    return remedies.explain(key, remedies.Names(about, _SERVICE, _consent_url(about.name)))


def _jitter() -> float:
    return 0.5
