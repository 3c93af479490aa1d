"""What the workflows work on here: two senders of contoso.com, a clock, and the twins."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from shared.alarms import Alarms
from shared.amender import Amender
from shared.composer import Composer
from shared.connections import Connections
from shared.core import remedies
from shared.core.address import parse_address
from shared.core.delivery import Delivery, State
from shared.core.intake import call_body
from shared.core.remedies import Names
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
from shared.trial_mail import TrialMail
from shared.workflows.consent import ConsentTools
from shared.workflows.messages import MessagesTools
from shared.workflows.release import ReleaseTools, release
from shared.workflows.schedules import SchedulesTools, fire
from shared.workflows.send import SendTools, Sent, send
from shared.workflows.senders import SendersTools
from shared.workflows.serve_line import ServeTools, serve_line
from shared.workflows.upkeep import UpkeepTools, upkeep
from tests.twins import (
    Clock,
    MemoryConsents,
    MemoryCredentials,
    MemoryEvents,
    MemoryGrants,
    MemoryLeases,
    MemoryLedger,
    MemoryLetters,
    MemoryOutbox,
    MemoryPayloads,
    MemorySchedules,
    MemorySenders,
    MemoryTelemetry,
    MemoryTemplates,
    MemoryWaiting,
    ScriptedMailer,
    ScriptedProvider,
    ScriptedTokens,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from email.message import EmailMessage

    from shared.core.address import Address
    from shared.core.holds import SenderState
    from shared.core.oauth import RefreshOutcome
    from tests.twins import Put

SERVICES: Mapping[str, Service] = {
    "microsoft": Service(
        "microsoft",
        "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        Microsoft("contoso.onmicrosoft.com", "https://login.microsoftonline.com/contoso.onmicrosoft.com"),
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
    "noreply": sender(
        "noreply",
        "noreply@contoso.com",
        default=True,
        also_from=(parse_address("Billing <billing@contoso.com>"),),
    ),
    "reports": sender("reports", "reports@contoso.com", sign_in_as="svc-mail@contoso.com"),
}
NOREPLY = SENDERS["noreply"]
BILLING = "billing@contoso.com"
# No limit is in the way here; what it takes to keep one is tested with the pacer.
UNHURRIED = replace(NOREPLY, limits=Limits(messages_per_minute=10_000, connections=100))
# As many as one process serves where it has eight threads.
MOST_SERVED = 4
REDIRECT_URI = "https://mail.contoso.com/api/oauth/redirect"


def consent_url(name: str) -> str:
    return f"https://mail.contoso.com/api/oauth/start/{name}"


def explain(key: str, about: Sender, services: Mapping[str, Service] = SERVICES) -> str:
    """Return the catalogue's sentence, as ``services`` fills it in."""
    names = Names(
        sender=about,
        service=services[about.service],
        consent_url=consent_url(about.name),
        redirect_uri=REDIRECT_URI,
        vault="contoso-mail",
        admin_consent_url="https://login.example/adminconsent",
    )
    return remedies.explain(key, names)


def one_by_one(do: Callable[[Sender], RefreshOutcome], senders: Iterable[Sender]) -> Sequence[RefreshOutcome]:
    """Do something for each sender, in order."""
    return [do(each) for each in senders]


def message(**fields: Any) -> bytes:
    """Return the queue's JSON of a small message; a field that is None is left out."""
    whole = {"id": "order-17", "to": "ada@example.net", "subject": "Hello", "text": "Hello, Ada"} | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


@dataclass
class Bench:
    """One instance, with its own pacer and lines, on storage and a mail server that others may share."""

    clock: Clock = field(default_factory=Clock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    states: MemorySenders = field(default_factory=MemorySenders)
    room: MemoryWaiting = field(default_factory=MemoryWaiting)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    schedules: MemorySchedules = field(default_factory=MemorySchedules)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    payloads: MemoryPayloads = field(default_factory=MemoryPayloads)
    templates: MemoryTemplates = field(default_factory=MemoryTemplates)
    letters: MemoryLetters = field(default_factory=MemoryLetters)
    mailer: ScriptedMailer = field(default_factory=ScriptedMailer)
    telemetry: MemoryTelemetry = field(default_factory=MemoryTelemetry)
    tokens: ScriptedTokens = field(default_factory=ScriptedTokens)
    senders: Mapping[str, Sender] = field(default_factory=lambda: dict(SENDERS))
    holder: str = "instance-1"
    jitter: float = 0.5
    mail_ids: int = 0
    new_ids: int = 0
    pauses: list[float] = field(default_factory=list)
    services: Mapping[str, Service] = field(default_factory=lambda: dict(SERVICES))
    operators: tuple[Address, ...] = ()
    grants: MemoryGrants = field(default_factory=MemoryGrants)
    provider: ScriptedProvider = field(default_factory=ScriptedProvider)
    credentials: MemoryCredentials = field(default_factory=MemoryCredentials)
    pending: MemoryConsents = field(default_factory=MemoryConsents)
    leases: MemoryLeases | None = None
    # Where tokens come from: the keeper and its provider, or what the test has written down in ``tokens``.
    keeps: bool = False

    def __post_init__(self) -> None:
        self.register = Register(self.states, pause=self._pause, jitter=lambda: self.jitter)
        self.pacer = Pacer(
            self.register,
            holder=self.holder,
            trim=lambda _name, _most: None,
            clock=self.clock,
            most_served=MOST_SERVED,
            tend=False,
        )
        self.lines = Lines(self.room, clock=self.clock)
        alarms = Alarms(
            self.events,
            Operators(self.operators, outbox=self.outbox, register=self.register, senders=self.senders),
            services=self.services,
            consent_url=consent_url,
            clock=self.clock,
        )
        self.holds = Holds(
            self.register,
            room=self.room,
            outbox=self.outbox,
            alarms=alarms,
            forget=self.pacer.forget,
            clock=self.clock,
        )
        self.leases = self.leases or MemoryLeases(self.clock)
        self.keeper = GrantKeeper(
            store=self.grants,
            refresher=lambda _: self.provider,
            leases=self.leases,
            services=self.services,
            granted_at=self._granted_at,
            clock=self.clock,
            pause=self._pause,
        )
        self.connections = Connections(
            self.register,
            grants=self.grants,
            holds=self.holds,
            leases=self.leases,
            alarms=alarms,
            explain=self.explain,
            clock=self.clock,
            pause=self._pause,
        )
        self.trial = TrialMail(self.outbox, self.ledger, clock=self.clock, mail_id=self._mail_id)

    def another(self, holder: str = "instance-2", **changes: Any) -> Bench:
        """Return another instance on the same storage, mail server and clock."""
        shared = {
            name: getattr(self, name)
            for name in (
                *("clock", "ledger", "states", "room", "outbox", "schedules", "events", "payloads"),
                *("templates", "letters", "mailer", "tokens", "senders", "jitter", "services", "operators"),
                *("grants", "provider", "credentials", "pending", "leases", "keeps"),
            )
        }
        return Bench(**shared | changes, holder=holder)

    # What happens.

    def run_send(self, body: bytes, *, queue_id: str = "queue-id-1", times: int = 1) -> Sent:
        """Deliver a message that the queue hands over for the ``times``-th time."""
        return send(self.send_tools(), body, Delivery(queue_id, times))

    def send(self, body: bytes, *, queue_id: str = "queue-id-1", times: int = 1) -> State | None:
        """Deliver a message and return the state that it is left in."""
        return self.run_send(body, queue_id=queue_id, times=times).state

    def deliver(self, body: bytes, *, queue_id: str = "queue-id-1", times: int = 1) -> Sent:
        """Deliver a message and serve the line that it names, as the function does."""
        sent = self.run_send(body, queue_id=queue_id, times=times)
        if sent.line:
            self.serve(sent.line, called=sent.called)
        return sent

    def send_what_waits(self, *, queue_id: str = "queue-id-2", times: int = 1) -> State | None:
        """Let the time of what waits for one come, by way of ``release`` where it is far, and deliver it."""
        if dues := self.room.dues():
            self.clock.now = max(self.clock.now, dues[0].at - timedelta(seconds=30))
            self.release()
        last = self.outbox.puts[-1]
        self.clock.advance(last.delay)
        return self.send(last.text.encode(), queue_id=queue_id, times=times)

    def queue_up(self, *bodies: bytes) -> None:
        """Let messages come while others of the sender are before them: each goes to the line."""
        self.register.change("noreply", lambda state: replace(state, line=True))
        self.pacer.forget("noreply")
        for number, body in enumerate(bodies):
            self.clock.advance(timedelta(milliseconds=1 if number else 0))  # no two are of one age
            assert self.send(body, queue_id=f"queued-{number}") in {State.DEFERRED, State.HELD}

    def serve(self, name: str = "noreply", *, called: bool = False) -> int:
        return serve_line(self.serve_tools(), name, called=called)

    def release(self) -> int:
        return release(self.release_tools())

    def fire(self) -> int:
        return fire(self.schedules_tools())

    def upkeep(self) -> dict[str, RefreshOutcome]:
        return upkeep(self.upkeep_tools())

    # What there is to see.

    @property
    def state(self) -> SenderState:
        """What stands in the register of ``noreply``."""
        return self.states.load("noreply")

    @property
    def line(self) -> list[str]:
        """The ids of those in the line of ``noreply``."""
        return self.room.ids_in(line_of("noreply"))

    @property
    def calls(self) -> list[Put]:
        """The calls to serve the line of ``noreply``."""
        return [put for put in self.outbox.puts if put.text == call_body("noreply")]

    def state_of(self, message_id: str) -> State | None:
        entry = self.ledger.find(message_id)
        return entry.state if entry else None

    @property
    def subjects(self) -> list[str]:
        """The subject of each mail that the server was handed, in that order."""
        return [mail(self, number)["Subject"] for number in range(len(self.mailer.submitted))]

    # The tools, as `services` puts them together.

    def scribe_tools(self) -> ScribeTools:
        return ScribeTools(
            telemetry=self.telemetry,
            ledger=self.ledger,
            room=self.room,
            outbox=self.outbox,
            events=self.events,
            clock=self.clock,
            pause=self._pause,
        )

    def amender(self) -> Amender:
        return Amender(self.scribe_tools())

    def courier(self) -> Courier:
        return Courier(
            telemetry=self.telemetry,
            composer=Composer(payloads=self.payloads, templates=self.templates),
            tokens=self.keeper if self.keeps else self.tokens,
            mailer=self.mailer,
            holds=self.holds,
            explain=self.explain,
            clock=self.clock,
            jitter=lambda: self.jitter,
        )

    def send_tools(self) -> SendTools:
        return SendTools(
            ledger=self.ledger,
            scribe=self.scribe_tools(),
            payloads=self.payloads,
            amender=self.amender(),
            pacer=self.pacer,
            holds=self.holds,
            courier=self.courier(),
            senders=self.senders,
            clock=self.clock,
            jitter=lambda: self.jitter,
            mail_id=self._mail_id,
        )

    def serve_tools(self) -> ServeTools:
        return ServeTools(
            scribe=self.scribe_tools(),
            payloads=self.payloads,
            pacer=self.pacer,
            lines=self.lines,
            holds=self.holds,
            courier=self.courier(),
            senders=self.senders,
            clock=self.clock,
            jitter=lambda: self.jitter,
            pause=self._pause,
        )

    def release_tools(self) -> ReleaseTools:
        return ReleaseTools(
            telemetry=self.telemetry,
            room=self.room,
            outbox=self.outbox,
            register=self.register,
            holds=self.holds,
            prober=self.courier(),
            places=self.pacer,
            senders=self.senders,
            clock=self.clock,
        )

    def messages_tools(self) -> MessagesTools:
        return MessagesTools(
            ledger=self.ledger,
            outbox=self.outbox,
            payloads=self.payloads,
            amender=self.amender(),
            senders=self.senders,
            clock=self.clock,
            new_id=self._new_id,
            mail_id=self._mail_id,
        )

    def schedules_tools(self) -> SchedulesTools:
        return SchedulesTools(
            store=self.schedules,
            outbox=self.outbox,
            senders=self.senders,
            clock=self.clock,
        )

    def senders_tools(self) -> SendersTools:
        return SendersTools(
            register=self.register,
            room=self.room,
            holds=self.holds,
            connections=self.connections,
            trial=self.trial,
            senders=self.senders,
            services=self.services,
            clock=self.clock,
            new_id=self._new_id,
        )

    def upkeep_tools(self) -> UpkeepTools:
        return UpkeepTools(
            telemetry=self.telemetry,
            keeper=self.keeper,
            register=self.register,
            holds=self.holds,
            connections=self.connections,
            credentials=self.credentials,
            senders=self.senders,
            services=self.services,
            explain=self.explain,
            side_by_side=one_by_one,
            clock=self.clock,
        )

    def consent_tools(self) -> ConsentTools:
        return ConsentTools(
            provider=lambda _: self.provider,
            pending=self.pending,
            grants=self.grants,
            connections=self.connections,
            senders=self.senders,
            services=self.services,
            explain=self.explain,
            redirect_uri=REDIRECT_URI,
            clock=self.clock,
        )

    def explain(self, key: str, about: Sender) -> str:
        return explain(key, about, self.services)

    def _granted_at(self, name: str) -> datetime | None:
        known = self.pacer.known(self.senders[name])
        return known.granted_at if known else None

    def _mail_id(self, domain: str) -> str:
        self.mail_ids += 1
        return f"<{self.mail_ids}@{domain}>"

    def _new_id(self) -> str:
        self.new_ids += 1
        return f"made-{self.new_ids}"

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))


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
