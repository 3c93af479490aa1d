"""What operators read of senders is what is told and answered: events, how they stand, test mails."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import alarms, mail_config, operators
from shared import holds as holding
from shared.core import (
    connection,
    holds,
    pacing,
    remedies,
    waiting,
)
from shared.core.connection import Connection, Warned
from shared.core.grant import Account
from shared.core.holds import Finding, Hold, Proof, SenderState
from shared.core.reply import judge_reply
from shared.core.smtp import Phase, Reply
from shared.errors import ConsentRequiredError
from shared.herald import Herald
from shared.register import Register
from shared.trial_mail import TrialMail
from shared.web import sender_routes
from shared.workflows import senders
from tests.pages import (
    ADMINISTRATORS,
    OPERATIONS,
    blocks,
    listed,
    section,
)
from tests.twins import Clock, MemoryEvents, MemoryLedger, MemoryOutbox


class OneState:
    """The store of the register, for one sender."""

    def __init__(self) -> None:
        self.state = SenderState("noreply")

    def load(self, sender: str) -> SenderState:
        assert sender == self.state.sender
        return self.state

    def save(self, state: SenderState) -> SenderState:
        self.state = state
        return state

    def all(self) -> list[SenderState]:
        return [self.state]


class OneInLine:
    """A waiting room in which one message waits."""

    def head(self, line: str, *, most: int) -> list[waiting.InLine]:
        return [waiting.InLine(line, "", "order-4711", 1)][:most]

    def move(self, line: str, into: str, *, most: int | None = None) -> int:
        raise AssertionError(f"{most} of {line} are not to be moved into {into}")

    join = leave = wait = due = forget = None


class NothingIsTakenAway:
    """Connections that nobody ends in the docs."""

    def disconnect(self, sender: Any, *, why: str) -> bool:
        raise AssertionError(f"{sender.name} is not to be disconnected: {why}")


class Deployment:
    """The sender of administrators.md, and what operations.md shows of it."""

    def __init__(self) -> None:
        (table,) = blocks(ADMINISTRATORS, "toml")
        mail = mail_config.read(tomllib.loads(table), "mail.toml", [])
        self.sender = mail.senders["noreply"]
        self.service = mail.services[self.sender.service]
        self.clock = Clock(datetime(2026, 11, 24, 7, 42, 16, tzinfo=UTC))
        self.store, self.queue = OneState(), MemoryOutbox()
        register = Register(self.store, pause=lambda _: None, jitter=lambda: 0)
        room: Any = OneInLine()
        self.alarms = alarms.Alarms(
            Herald(self.queue, source="https://mail.contoso.com", opted_in=frozenset()),
            operators.Operators(
                mail.operators, outbox=MemoryOutbox(), register=register, senders=mail.senders
            ),
            services=mail.services,
            consent_url=lambda name: f"https://mail.contoso.com/api/oauth/start/{name}",
            clock=self.clock,
        )
        self.holds = holding.Holds(
            register,
            room=room,
            outbox=MemoryOutbox(),
            alarms=self.alarms,
            forget=lambda _: None,
            clock=self.clock,
        )
        self.looking = senders.SendersTools(
            register,
            room,
            self.holds,
            NothingIsTakenAway(),
            TrialMail(MemoryOutbox(), MemoryLedger(), clock=self.clock, mail_id=lambda domain: f"1@{domain}"),
            {"noreply": self.sender},
            mail.services,
            self.clock,
            lambda: "c3a1f0",
        )

    def explain(self, key: str) -> str:
        names = remedies.Names(
            sender=self.sender,
            service=self.service,
            consent_url="https://mail.contoso.com/api/oauth/start/noreply",
            vault="contoso-mail",
        )
        return remedies.explain(key, names)

    def is_refused_by_exchange(self) -> None:
        refused = Reply(535, ("5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",))
        judgement = judge_reply(Phase.AUTH, refused)
        reason = self.explain(judgement.remedy)
        finding = Finding(judgement, Phase.AUTH, reason, self.sender.mailbox, self.clock())
        self.holds.found(self.sender, finding)

    def is_refused_by_entra(self) -> None:
        error = ConsentRequiredError("the provider refused: AADSTS50173", code="AADSTS50173")
        key, _ = remedies.for_grant(error)
        hold = holds.new_hold(key, f"{error}; {self.explain(key)}", proof=Proof.TOKEN, now=self.clock())
        self.holds.hold(self.sender, hold)

    def events(self) -> list[dict[str, Any]]:
        found = [json.loads(put.text) for put in self.queue.puts]
        self.queue.puts.clear()
        return found


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def test_the_events_of_senders_in_the_docs_are_those_that_are_told(deployment: Deployment) -> None:
    told = section(OPERATIONS, "What is told of senders")
    kinds = {
        alarms.HELD,
        alarms.CONSENT_REQUIRED,
        alarms.RESUMED,
        alarms.CONNECTED,
        alarms.CREDENTIAL_EXPIRING,
    }
    assert set(listed(told)) == kinds
    shown = [json.loads(block) for block in blocks(told, "json")]
    deployment.is_refused_by_exchange()
    happened = deployment.events()
    deployment.clock.now = datetime(2026, 11, 25, 0, 15, 2, tzinfo=UTC)
    deployment.holds.resume(deployment.sender, why="a probe could sign in again")
    assert [event["type"] for event in deployment.events()] == [alarms.RESUMED]
    deployment.is_refused_by_entra()
    happened += deployment.events()[1:]
    deployment.alarms.connected(
        deployment.sender, Account("noreply@contoso.com", display_name="Contoso Notifications")
    )
    happened += deployment.events()
    warned = connection.warning(datetime(2026, 12, 2, tzinfo=UTC), None, deployment.clock())
    assert isinstance(warned, Warned)
    deployment.alarms.expiring(
        deployment.sender,
        deployment.service.credential_name,
        warned,
        reason=deployment.explain("credential-expiring"),
    )
    happened += deployment.events()
    for example, event in zip(shown, happened, strict=True):
        begins, cut, _ = example["data"].get("reason", "").partition("…")
        if cut and event["data"]["reason"].startswith(begins):
            event["data"]["reason"] = f"{begins}…"
    assert shown == happened


def test_every_field_of_those_events_is_in_the_docs() -> None:
    told = section(OPERATIONS, "What is told of senders")
    queue = MemoryEvents()
    deployment = Deployment()
    tells = alarms.Alarms(
        queue,
        operators.Operators((), outbox=MemoryOutbox(), register=deployment.store, senders={}),
        services={deployment.service.name: deployment.service},
        consent_url=lambda name: name,
        clock=deployment.clock,
    )
    now = deployment.clock()
    hold = holds.new_hold("consent-missing", "", proof=Proof.TOKEN, now=now)
    tells.held(deployment.sender, replace(hold, told_at=now), "billing@contoso.com")
    tells.resumed(deployment.sender, "billing@contoso.com", why="")
    tells.connected(deployment.sender, Account("noreply@contoso.com"))
    tells.expiring(deployment.sender, "", Warned(now, timedelta(), now), reason="")
    rows = dict(re.findall(r"^\| `(sender\.\w+)` \| .+ \| (.+) \|$", told, re.MULTILINE))
    fields = {event.kind: set(event.data) for event in queue.of_senders}
    assert {kind: set(re.findall(r"`(\w+)`", row)) for kind, row in rows.items()} == fields


def test_the_senders_in_the_docs_are_as_they_are_shown(deployment: Deployment) -> None:
    deployment.is_refused_by_exchange()
    state, held = deployment.store.state, deployment.store.state.hold
    assert isinstance(held, Hold)
    refreshed = datetime(2026, 11, 24, 7, 30, 1, tzinfo=UTC)
    deployment.store.state = replace(
        state,
        hold=held.probed(datetime(2026, 11, 24, 7, 43, 20, tzinfo=UTC)),
        line=True,
        last_mail_at=datetime(2026, 11, 24, 7, 42, 14, tzinfo=UTC),
        connection=Connection(
            "noreply@contoso.com",
            "Contoso Notifications",
            connected_at=datetime(2026, 3, 2, 9, 14, 33, tzinfo=UTC),
            refreshed_at=refreshed,
            token_expires_at=refreshed + timedelta(minutes=77, seconds=12),
            dies_at=refreshed + timedelta(days=90),
        ),
        credential_expires_at=datetime(2027, 11, 24, tzinfo=UTC),
        pace=pacing.Pace(recipients=(pacing.Sent(datetime(2026, 11, 24, 7, 45, tzinfo=UTC), 412),)),
    )
    deployment.clock.now = datetime(2026, 11, 24, 7, 44, 31, tzinfo=UTC)
    (told,) = blocks(section(OPERATIONS, "How every sender stands"), "json")
    assert {"senders": senders.show_all(deployment.looking)} == json.loads(told)


def test_the_answer_to_a_test_mail_in_the_docs_is_what_is_answered(deployment: Deployment) -> None:
    (told,) = blocks(section(OPERATIONS, "A test mail, and disconnecting"), "json")
    answer = sender_routes.send_test(
        deployment.looking,
        "noreply",
        b'{"to": "ada@example.com"}',
        base="https://mail.contoso.com/api/messages",
    )
    assert answer.status == 202
    assert json.loads(answer.body) == json.loads(told)
