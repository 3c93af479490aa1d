"""What the workflows work on here: two senders of contoso.com, a clock, and the twins."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from shared.composer import Composer
from shared.core.address import parse_address
from shared.core.delivery import Delivery, State
from shared.core.oauth import Service
from shared.core.sender import Sender, SmtpServer
from shared.workflows.send import SendTools, send
from tests.twins import (
    Clock,
    MemoryEvents,
    MemoryLedger,
    MemoryLetters,
    MemoryOutbox,
    MemoryPayloads,
    MemoryTemplates,
    ScriptedMailer,
    ScriptedTokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage

SERVICES: Mapping[str, Service] = {
    "microsoft": Service(
        "microsoft",
        "contoso.onmicrosoft.com",
        "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "https://login.microsoftonline.com/contoso.onmicrosoft.com",
    )
}


def sender(name: str, mailbox: str, **more: Any) -> Sender:
    return Sender(
        name=name,
        service="microsoft",
        mailbox=mailbox,
        from_address=parse_address(f"Contoso <{mailbox}>"),
        smtp=SmtpServer("smtp.office365.com"),
        **more,
    )


SENDERS: Mapping[str, Sender] = {
    "noreply": sender("noreply", "noreply@contoso.com", default=True),
    "reports": sender("reports", "reports@contoso.com", sign_in_as="svc-mail@contoso.com"),
}


def consent_url(name: str) -> str:
    return f"https://mail.contoso.com/api/oauth/start/{name}"


def message(**fields: Any) -> bytes:
    """Return the queue's JSON of a small message; a field that is None is left out."""
    whole = {"id": "order-17", "to": "ada@example.net", "subject": "Hello", "text": "Hello, Ada"} | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


@dataclass
class Bench:
    """One ``send`` workflow on twins."""

    clock: Clock = field(default_factory=Clock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    payloads: MemoryPayloads = field(default_factory=MemoryPayloads)
    templates: MemoryTemplates = field(default_factory=MemoryTemplates)
    letters: MemoryLetters = field(default_factory=MemoryLetters)
    mailer: ScriptedMailer = field(default_factory=ScriptedMailer)
    tokens: ScriptedTokens = field(default_factory=ScriptedTokens)
    senders: Mapping[str, Sender] = field(default_factory=lambda: dict(SENDERS))
    jitter: float = 0.5
    mail_ids: int = 0

    def send(self, body: bytes, *, queue_id: str = "queue-id-1", times: int = 1) -> State | None:
        """Deliver a message that the queue hands over for the ``times``-th time."""
        return send(self._tools(), body, Delivery(queue_id, times))

    def send_what_waits(self, *, queue_id: str = "queue-id-2", times: int = 1) -> State | None:
        """Let the time of what was put on the outbox last come, and deliver it."""
        last = self.outbox.puts[-1]
        self.clock.advance(last.delay)
        return self.send(last.text.encode(), queue_id=queue_id, times=times)

    def _tools(self) -> SendTools:
        return SendTools(
            ledger=self.ledger,
            outbox=self.outbox,
            events=self.events,
            payloads=self.payloads,
            composer=Composer(payloads=self.payloads, templates=self.templates),
            tokens=self.tokens,
            mailer=self.mailer,
            senders=self.senders,
            services=SERVICES,
            consent_url=consent_url,
            clock=self.clock,
            jitter=lambda: self.jitter,
            mail_id=self._mail_id,
        )

    def _mail_id(self, domain: str) -> str:
        self.mail_ids += 1
        return f"<{self.mail_ids}@{domain}>"


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="shared")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Return level, event and sentence of every line that Sendoff logged."""
    return [(record.levelname, str(vars(record)["event"]), record.getMessage()) for record in caplog.records]


def mail(bench: Bench, number: int = -1) -> EmailMessage:
    return message_from_bytes(bench.mailer.submitted[number].mime, policy=policy.default)


def refused(bench: Bench, body: bytes, *, queue_id: str = "queue-id-1") -> str:
    """Send what is refused before the mail server hears of it, and return why."""
    before = len(bench.mailer.submitted)
    assert bench.send(body, queue_id=queue_id) is State.REJECTED
    assert len(bench.mailer.submitted) == before
    assert bench.outbox.puts == []
    (entry,) = [entry for entry in bench.events.told if entry.state is State.REJECTED]
    recorded = bench.ledger.find(entry.id)
    assert recorded is not None
    assert (recorded.state, recorded.attempts, recorded.reply) == (State.REJECTED, 0, "")
    return recorded.reason
