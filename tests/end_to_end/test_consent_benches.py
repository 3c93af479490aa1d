"""The benchmarks of consent and upkeep in their short forms."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from benchmarks import grants, herd, provider_outage, revoked, upkeep_year
from benchmarks.consent.instance import Instance
from benchmarks.consent.matrix import CASES
from benchmarks.consent.parts import BEGIN, Clock
from benchmarks.consent.provider import Away, Provider
from benchmarks.consent.vault import Vault
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOUR = timedelta(hours=1)
SHORT = [
    pytest.param(grants.main, "--only secret --by-hand", id="grants"),
    pytest.param(herd.main, "--instances 2 --messages 30", id="herd"),
    pytest.param(revoked.main, "--messages 60 --over 6 --per-minute 600", id="revoked"),
    pytest.param(provider_outage.main, "--lives 60 70 90 --step 7 --day-minutes 300", id="provider_outage"),
]


@pytest.mark.parametrize(("bench", "arguments"), SHORT)
def test_what_the_contract_demands_of_grants_holds(
    bench: Callable[[Sequence[str]], int], arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(arguments.split()) == 0, capsys.readouterr().out


def test_a_month_of_upkeep_keeps_a_token_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    seed = str(random.SystemRandom().randrange(1_000_000))
    assert upkeep_year.main(["--days", "30", "--outages", "60", "--seed", seed]) == 0, capsys.readouterr().out


def test_an_outage_that_outlasts_the_tokens_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise nobody could tell a walk that delays nothing from one that sees nothing."""
    assert provider_outage.main(["--minutes", "120", "--lives", "60", "--step", "60"]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_the_matrix_has_every_kind_of_service_grant_and_credential() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert {(case.kind, case.grant, case.credential, case.form) for case in CASES} >= {
        (kind, grant, *credential)
        for kind, grant in (("microsoft", "delegated"), ("microsoft", "app"))
        for credential in (
            ("secret", ""),
            ("certificate", "pem"),
            ("certificate", "pfx"),
            ("managed_identity", ""),
        )
    } | {("custom", grant, "secret", "") for grant in ("delegated", "app")}


def instance(*outages: Away) -> tuple[Clock, Provider, Vault, Instance]:
    clock = Clock()
    vault, provider = Vault(clock), Provider(clock, lambda: HOUR, outages)
    made = Instance(clock, provider, vault, "noreply")
    made.connect()
    return clock, provider, vault, made


def test_the_mail_server_of_simulated_time_takes_no_token_that_is_over() -> None:
    clock, provider, _, made = instance()
    token = made.keeper.token(made.senders["noreply"])
    assert provider.is_good(token.value)
    clock.now += HOUR
    assert made.server.knock(made.senders["noreply"], token) is not None
    assert made.send("m-1", "noreply") is State.ACCEPTED  # with another token
    assert provider.given == 2


def test_the_provider_of_simulated_time_ends_a_consent_whose_refresh_token_is_used_twice() -> None:
    clock, provider, vault, made = instance()
    old = vault.load_grant("noreply")
    assert old
    provider.refresh(old, now=clock())
    clock.now += HOUR
    assert made.send("m-1", "noreply") is State.HELD
    assert provider.reused == 1


def test_the_provider_of_simulated_time_is_away_when_it_is_said_to_be() -> None:
    clock, provider, vault, made = instance(Away(BEGIN + HOUR, BEGIN + 2 * HOUR))
    for moment, away in ((BEGIN, False), (BEGIN + HOUR, True), (BEGIN + 2 * HOUR, False)):
        clock.now = moment
        assert provider.is_away() is away
    assert vault.versions("noreply") == 1
    made.run_upkeep()
    assert vault.versions("noreply") == 2
