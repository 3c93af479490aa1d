"""Upkeep: tokens that last, holds for what a person must mend, and warnings before credentials end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from shared.core.connection import Connection
from shared.core.delivery import State
from shared.core.holds import Proof, new_hold
from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.core.service import GrantKind
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from shared.grants import Renewal
from shared.workflows.upkeep import UpkeepTools, upkeep
from tests.twins import NOON, ScriptedKeeper, grant, jwt
from tests.workflows.conftest import (
    NOREPLY,
    SENDERS,
    SERVICES,
    Bench,
    consent_url,
    explain,
    lines,
    message,
)

if TYPE_CHECKING:
    from shared.core.holds import Hold

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
DONE = "upkeep looked at 2 senders: noreply {}, reports still fresh"
UNREACHABLE = TokenUnavailableError("the provider could not be asked: ReadTimeout")
REVOKED = ConsentRequiredError("the provider refused: invalid_grant AADSTS50173", code="AADSTS50173")
NEVER = ConsentRequiredError("nobody has consented for noreply@contoso.com yet", code=NO_GRANT)
EXPIRED = CredentialError("the provider refused: invalid_client AADSTS7000222", code="AADSTS7000222")
FOR_GRAPH = jwt(aud="https://graph.microsoft.com", scp="SMTP.Send")


@pytest.fixture
def bench() -> Bench:
    """Two senders that are connected, whose tokens come from the keeper."""
    made = Bench(keeps=True)
    for number, (name, each) in enumerate(SENDERS.items()):
        made.grants.grants[name] = grant(each.consenting_account, number=1 + 100_000 * number)
    return made


def told(bench: Bench) -> list[tuple[str, str]]:
    return [(event.kind, event.sender) for event in bench.events.of_senders]


def hold(bench: Bench) -> Hold:
    found = bench.state.hold
    assert found is not None
    return found


# Lines in the log.


def scripted(bench: Bench, **renewals: Renewal) -> UpkeepTools:
    return replace(bench.upkeep_tools(), keeper=ScriptedKeeper(renewals))


def failed(error: GrantError) -> Renewal:
    outcomes = {
        ConsentRequiredError: RefreshOutcome.CONSENT_REQUIRED,
        CredentialError: RefreshOutcome.CREDENTIAL_BROKEN,
    }
    return Renewal(outcomes.get(type(error), RefreshOutcome.TRANSIENT), error=error)


def test_every_sender_is_looked_after_and_has_a_line_of_its_own(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    refreshed = Renewal(RefreshOutcome.REFRESHED, grant(life=timedelta(minutes=75)))
    outcomes = upkeep(scripted(bench, noreply=refreshed))
    assert outcomes == {"noreply": RefreshOutcome.REFRESHED, "reports": RefreshOutcome.STILL_FRESH}
    assert lines(caplog) == [
        ("INFO", "token-refreshed", "the token of noreply is refreshed: it lasts 75 minutes"),
        ("INFO", "token-refreshed", "the token of reports is still fresh: it lasts 60 minutes"),
        ("INFO", "upkeep-done", DONE.format("refreshed")),
    ]


@pytest.mark.parametrize(
    ("error", "word", "remedy"),
    [
        (UNREACHABLE, ("WARNING", "token-unavailable"), "token-unavailable"),
        (REVOKED, ("ERROR", "consent-required"), "sign-in-revoked"),
        (NEVER, ("ERROR", "consent-required"), "consent-missing"),
        (EXPIRED, ("ERROR", "credential-broken"), "client-secret-expired"),
    ],
    ids=["transient", "consent gone", "never consented", "secret refused"],
)
def test_a_sender_without_a_token_gets_a_line_that_says_what_to_do(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: GrantError, word: tuple[str, str], remedy: str
) -> None:
    renewal = failed(error)
    assert upkeep(scripted(bench, noreply=renewal))["noreply"] is renewal.outcome
    action = explain(remedy, NOREPLY)
    reason = action if error is NEVER else f"{error}; {action}"
    said = lines(caplog)
    assert said[0] == (*word, f"no token for noreply ({renewal.outcome.value}): {reason}")
    assert said[-2:] == [
        ("INFO", "token-refreshed", "the token of reports is still fresh: it lasts 60 minutes"),
        ("INFO", "upkeep-done", DONE.format(renewal.outcome.value)),
    ]


# Warm and idle.


def test_what_is_asked_of_the_keeper_follows_the_mail(bench: Bench) -> None:
    bench.register.change("noreply", lambda state: replace(state, last_mail_at=NOON))
    keeper = ScriptedKeeper()
    upkeep(replace(bench.upkeep_tools(), keeper=keeper))
    assert keeper.asked == [("noreply", True, False), ("reports", False, False)]


def test_in_a_year_a_busy_senders_token_never_runs_out_and_an_idle_one_is_used_every_day(
    bench: Bench,
) -> None:
    used: dict[str, list[timedelta]] = {"noreply@contoso.com": [], "svc-mail@contoso.com": []}
    for run in range(365 * 96):
        passed = run * QUARTER
        bench.clock.now = NOON + passed
        if run % 48 == 0:  # mail at noon and at midnight
            bench.register.change("noreply", lambda state: replace(state, last_mail_at=bench.clock()))
        before = len(bench.provider.refreshed)
        bench.upkeep()
        for each in bench.provider.refreshed[before:]:
            used[each.account.username].append(passed)
        assert bench.grants.grants["noreply"].expires_at - bench.clock() > timedelta(minutes=25)
    gaps = {name: {b - a for a, b in pairwise(at)} for name, at in used.items()}
    assert gaps == {"noreply@contoso.com": {QUARTER}, "svc-mail@contoso.com": {DAY}}  # tokens of an hour
    assert len(used["svc-mail@contoso.com"]) == 364
    assert told(bench) == []
    assert len(bench.grants.stored) == len(bench.provider.refreshed)


def test_mail_makes_an_idle_sender_warm_and_a_day_without_makes_it_idle(bench: Bench) -> None:
    bench.clock.advance(timedelta(hours=3))
    bench.upkeep()
    assert bench.provider.refreshed == []
    bench.send(message())
    used = 0
    for _ in range(97):
        bench.clock.advance(QUARTER)
        bench.upkeep()
    used, before = len(bench.provider.refreshed), bench.clock()
    assert 90 < used < 100
    while bench.clock() < before + timedelta(hours=20):
        bench.clock.advance(QUARTER)
        bench.upkeep()
    assert len(bench.provider.refreshed) - used <= 4


# What every instance and whoever asks may know.


def test_how_a_sender_is_connected_is_written_down_for_all(bench: Bench) -> None:
    bench.credentials.ends["microsoft"] = NOON + timedelta(days=300)
    bench.upkeep()
    assert bench.state.connection == Connection.of(grant())
    assert bench.state.credential_expires_at == NOON + timedelta(days=300)
    assert bench.state.granted_at is None


def test_where_nothing_is_new_nothing_is_written(bench: Bench) -> None:
    bench.upkeep()
    before = bench.state.version
    bench.clock.advance(QUARTER)
    bench.upkeep()
    assert bench.state.version == before


# Held.


@pytest.mark.parametrize(
    ("error", "remedy", "needs_consent"),
    [
        (REVOKED, "sign-in-revoked", True),
        (ConsentRequiredError("the provider refused: invalid_grant"), "consent-required", True),
        (EXPIRED, "client-secret-expired", False),
        (CredentialError("the provider refused: invalid_client"), "credential-broken", False),
    ],
    ids=["revoked", "gone", "secret expired", "credential broken"],
)
def test_what_a_person_must_mend_holds_the_sender_before_any_mail_meets_it_and_is_told_once(
    bench: Bench, error: GrantError, remedy: str, *, needs_consent: bool
) -> None:
    before = dict(bench.grants.grants)
    bench.clock.advance(DAY - QUARTER)
    bench.provider.failing["refresh"] = error
    for _ in range(8):
        bench.clock.advance(QUARTER)
        bench.upkeep()
        bench.release()
    assert (hold(bench).remedy, hold(bench).since) == (remedy, NOON + DAY)
    kinds = ["sender.held", "sender.consent_required"] if needs_consent else ["sender.held"]
    events = [event for event in bench.events.of_senders if event.sender == "noreply"]
    assert [event.kind for event in events] == kinds
    for event in events:
        assert event.data["reason"] == f"{error}; {explain(remedy, NOREPLY)}"
        assert event.data.get("consent_url") == (consent_url("noreply") if needs_consent else None)
    assert bench.grants.grants == before


def test_a_token_that_is_of_no_use_holds_the_sender_and_says_what_it_is_for(bench: Bench) -> None:
    bench.provider.access_token = lambda _: FOR_GRAPH
    bench.clock.advance(DAY)
    for _ in range(3):
        assert bench.upkeep()["noreply"] is RefreshOutcome.CREDENTIAL_BROKEN
        bench.clock.advance(QUARTER)
    assert hold(bench).remedy == "token-audience"
    assert "aud: https://graph.microsoft.com" in hold(bench).reason
    assert sorted(set(told(bench))) == sorted(told(bench))
    assert bench.grants.grants["noreply"].access_token == "canary-access-token-1"


def test_a_sender_that_nobody_connected_is_held_with_the_link(bench: Bench) -> None:
    del bench.grants.grants["reports"]
    for _ in range(3):
        bench.upkeep()
        bench.clock.advance(QUARTER)
    state = bench.states.load("reports")
    assert state.hold is not None
    assert state.hold.remedy == "consent-missing"
    assert told(bench) == [("sender.held", "reports"), ("sender.consent_required", "reports")]
    assert bench.events.of_senders[1].data["consent_url"] == consent_url("reports")
    assert "sign in as svc-mail@contoso.com at " + consent_url("reports") in state.hold.reason
    assert bench.state.hold is None


def test_a_second_cause_is_told_too(bench: Bench) -> None:
    bench.clock.advance(DAY)
    for error in (REVOKED, REVOKED, EXPIRED, EXPIRED):
        bench.provider.failing["refresh"] = error
        bench.upkeep()
    held = [each.data["remedy"] for each in bench.events.of_senders if each.kind == "sender.held"]
    assert held == ["sign-in-revoked"] * 2 + ["client-secret-expired"] * 2  # of two senders


def test_what_time_mends_changes_nothing_at_all(bench: Bench) -> None:
    bench.upkeep()
    before = (dict(bench.grants.grants), bench.states.all())
    bench.clock.advance(DAY)
    bench.provider.failing["refresh"] = UNREACHABLE
    for _ in range(96):
        bench.clock.advance(QUARTER)
        assert set(bench.upkeep().values()) == {RefreshOutcome.TRANSIENT}
    assert (dict(bench.grants.grants), bench.states.all()) == before
    assert bench.events.of_senders == []
    bench.provider.failing.clear()
    assert set(bench.upkeep().values()) == {RefreshOutcome.REFRESHED}


def test_a_hold_for_the_grant_stays_while_the_provider_cannot_be_asked(bench: Bench) -> None:
    bench.clock.advance(DAY)
    bench.provider.failing["refresh"] = REVOKED
    bench.upkeep()
    before = hold(bench)
    bench.provider.failing["refresh"] = UNREACHABLE
    bench.upkeep()
    assert hold(bench) == before


def test_a_hold_by_hand_is_left_alone(bench: Bench) -> None:
    by_hand = new_hold("held-by-hand", "we move house", proof=Proof.PERSON, now=NOON)
    bench.holds.hold(NOREPLY, by_hand)
    bench.clock.advance(DAY)
    bench.provider.failing["refresh"] = REVOKED
    bench.upkeep()
    bench.provider.failing.clear()
    bench.upkeep()
    assert hold(bench).remedy == "held-by-hand"


def test_a_hold_that_is_not_about_the_grant_is_not_ended_by_a_token(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, new_hold("smtp-auth-disabled", "it is off", proof=Proof.SESSION, now=NOON))
    bench.clock.advance(DAY)
    assert bench.upkeep()["noreply"] is RefreshOutcome.REFRESHED
    assert hold(bench).remedy == "smtp-auth-disabled"


# Let go.


def revoked(bench: Bench) -> None:
    """Let the provider refuse from now on, while the token in the vault lasts for another hour."""
    bench.grants.grants["noreply"] = grant(at=bench.clock(), life=timedelta(hours=1))
    bench.provider.failing["refresh"] = REVOKED
    bench.clock.advance(timedelta(minutes=25))
    bench.register.change("noreply", lambda state: replace(state, last_mail_at=bench.clock()))
    assert bench.upkeep()["noreply"] is RefreshOutcome.CONSENT_REQUIRED


def test_a_probe_that_could_sign_in_with_the_old_token_ends_no_hold(bench: Bench) -> None:
    revoked(bench)
    bench.events.of_senders.clear()
    for _ in range(30):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
    assert hold(bench).probes > 3
    assert hold(bench).remedy == "sign-in-revoked"
    assert bench.mailer.knocked == []
    assert bench.events.of_senders == []
    assert bench.send(message()) is State.HELD


def test_upkeep_that_finds_the_old_token_still_fresh_ends_no_hold(bench: Bench) -> None:
    revoked(bench)
    bench.grants.grants["noreply"] = replace(
        bench.grants.grants["noreply"], expires_at=bench.clock() + timedelta(hours=20)
    )
    assert bench.upkeep()["noreply"] is RefreshOutcome.CONSENT_REQUIRED
    assert hold(bench).remedy == "sign-in-revoked"


def test_the_sender_goes_on_when_the_provider_gives_tokens_again(bench: Bench) -> None:
    revoked(bench)
    assert bench.send(message()) is State.HELD
    bench.provider.failing.clear()
    bench.clock.advance(QUARTER)
    assert bench.upkeep()["noreply"] is RefreshOutcome.REFRESHED
    assert bench.state.hold is None
    assert told(bench)[-1] == ("sender.resumed", "noreply")
    assert bench.events.of_senders[-1].data["reason"] == "the provider gives tokens again"
    assert bench.serve(called=True) == 1
    assert bench.state_of("order-17") is State.ACCEPTED
    assert bench.mailer.submitted[0].token.value != "canary-access-token-1"


def test_a_probe_ends_the_hold_too_when_the_provider_gives_tokens_again(bench: Bench) -> None:
    revoked(bench)
    bench.provider.failing.clear()
    for _ in range(3):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
    assert bench.state.hold is None
    assert [token.value for _, token in bench.mailer.knocked] == [bench.grants.grants["noreply"].access_token]


def test_a_new_secret_in_the_vault_ends_the_hold_without_anybody_else(bench: Bench) -> None:
    bench.clock.advance(DAY)
    bench.provider.failing["refresh"] = EXPIRED
    bench.upkeep()
    assert hold(bench).remedy == "client-secret-expired"
    bench.provider.failing.clear()
    bench.upkeep()
    assert {state.hold for state in bench.states.all()} == {None}


# Credentials that end.


def test_the_end_of_a_credential_is_told_of_every_sender_that_needs_it(bench: Bench) -> None:
    bench.credentials.ends["microsoft"] = NOON + timedelta(days=29)
    for _ in range(3):
        bench.upkeep()
        bench.clock.advance(QUARTER)
    events = [each for each in bench.events.of_senders if each.kind == "sender.credential_expiring"]
    assert [each.sender for each in events] == ["noreply", "reports"]
    assert events[0].data == {
        "credential": "oauth-microsoft-client-secret",
        "expires_at": (NOON + timedelta(days=29)).isoformat(),
        "days_left": 29,
        "reason": explain("credential-expiring", NOREPLY),
    }


def test_a_credential_whose_end_cannot_be_read_stops_nothing(bench: Bench) -> None:
    bench.credentials.failing = TokenUnavailableError("cannot read the secret", code="503")
    bench.clock.advance(DAY)
    assert set(bench.upkeep().values()) == {RefreshOutcome.REFRESHED}
    assert bench.events.of_senders == []


# An application that sends by itself.


def test_an_applications_senders_need_nobody(bench: Bench) -> None:
    bench.services = {"microsoft": replace(SERVICES["microsoft"], grant=GrantKind.APP)}
    bench = bench.another()
    bench.grants.grants.clear()
    assert set(bench.upkeep().values()) == {RefreshOutcome.REFRESHED}
    assert sorted(bench.provider.fetched) == ["noreply@contoso.com", "reports@contoso.com"]
    assert bench.state.connection is not None
    assert bench.state.connection.dies_at is None
    assert bench.events.of_senders == []


# At once.


def test_eight_upkeeps_at_once_renew_each_token_once_and_tell_everything_once(bench: Bench) -> None:
    bench.provider.revokes_families = True
    bench.credentials.ends["microsoft"] = NOON + timedelta(days=5)
    bench.clock.advance(DAY)
    instances = [bench.another(f"instance-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda each: each.upkeep(), instances))
    assert {outcome for each in found for outcome in each.values()} <= {
        RefreshOutcome.REFRESHED,
        RefreshOutcome.STILL_FRESH,
        RefreshOutcome.TRANSIENT,
    }
    assert (len(bench.provider.refreshed), bench.provider.reused) == (2, [])
    assert sorted(told(bench)) == [
        ("sender.credential_expiring", "noreply"),
        ("sender.credential_expiring", "reports"),
    ]
    assert {state.hold for state in bench.states.all()} == {None}


def test_eight_upkeeps_at_once_hold_a_sender_once(bench: Bench) -> None:
    bench.provider.failing["refresh"] = REVOKED
    bench.clock.advance(DAY)
    instances = [bench.another(f"instance-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: each.upkeep(), instances))
    assert sorted(told(bench)) == [
        ("sender.consent_required", "noreply"),
        ("sender.consent_required", "reports"),
        ("sender.held", "noreply"),
        ("sender.held", "reports"),
    ]
