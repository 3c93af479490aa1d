"""The keeper of grants: many threads and instances, one refresh, and no second question right after a no."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.grant import LAST_RESORT
from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.core.service import GrantKind
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    GrantError,
    TokenUnavailableError,
    UnsuitableTokenError,
)
from shared.grants import GrantKeeper
from tests.twins import NOON, Clock, Crash, MemoryGrants, MemoryLeases, ScriptedProvider, grant, jwt
from tests.workflows.conftest import SENDERS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.core.grant import Grant

NOREPLY = SENDERS["noreply"]
LEASE = "grant-noreply"
EXPIRED = timedelta(seconds=-1)
VAULT_DOWN = TokenUnavailableError("cannot reach the vault", code="503")


class World:
    """One vault, provider and table of leases, for any number of instances."""

    def __init__(self, life: timedelta = timedelta(hours=1)) -> None:
        self.clock = Clock()
        self.provider = ScriptedProvider()
        self.store = MemoryGrants(noreply=grant(life=life))
        self.leases = MemoryLeases(self.clock)
        self.services = dict(SERVICES)
        self.granted_at: dict[str, datetime] = {}
        self.loads = 0
        self.pauses: list[float] = []
        self.during_pause: Callable[[], object] = lambda: None
        self.store.loading = self._count

    def _count(self) -> None:
        self.loads += 1

    def instance(self) -> GrantKeeper:
        return GrantKeeper(
            store=self.store,
            refresher=lambda _: self.provider,
            leases=self.leases,
            services=self.services,
            granted_at=self.granted_at.get,
            clock=self.clock,
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))
        self.during_pause()

    def another_refreshes(self) -> None:
        """Let another instance renew the token and say so in the vault."""
        refreshed = self.provider.refresh(self.store.grants["noreply"], now=self.clock())
        self.store.grants["noreply"] = refreshed
        self.provider.refreshed.clear()


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


# A token for a message.


def test_a_fresh_token_comes_from_the_vault_and_then_from_memory() -> None:
    world = World()
    keeper = world.instance()
    tokens = {keeper.token(NOREPLY).value for _ in range(10)}
    assert tokens == {"canary-access-token-1"}
    assert (world.loads, world.provider.refreshed) == (1, [])


def test_the_user_is_the_account_that_consented() -> None:
    world = World()
    world.store.grants["reports"] = grant("svc-mail@contoso.com")
    assert world.instance().token(SENDERS["reports"]).user == "svc-mail@contoso.com"


def test_a_token_that_ends_soon_is_renewed_and_stored() -> None:
    world = World(life=timedelta(minutes=9))
    assert world.instance().token(NOREPLY).value == "canary-access-token-2"
    stored = world.store.grants["noreply"]
    assert (stored.access_token, stored.refresh_token) == ("canary-access-token-2", "canary-refresh-token-2")
    assert stored.refreshed_at == NOON


def test_the_token_in_memory_is_given_up_when_it_ends_soon() -> None:
    world = World()
    keeper = world.instance()
    keeper.token(NOREPLY)
    world.clock.advance(timedelta(minutes=51))
    assert keeper.token(NOREPLY).value == "canary-access-token-2"


def test_what_upkeep_wrote_meanwhile_is_taken_from_the_vault() -> None:
    world = World()
    keeper = world.instance()
    keeper.token(NOREPLY)
    world.clock.advance(timedelta(minutes=51))
    world.another_refreshes()
    assert keeper.token(NOREPLY).value == "canary-access-token-2"
    assert world.provider.refreshed == []


def test_eight_threads_with_an_expired_token_ask_the_provider_once() -> None:
    world = World(life=EXPIRED)
    keeper = world.instance()
    together = threading.Barrier(8)
    somebody_paused = threading.Event()
    world.during_pause = somebody_paused.set
    # The refresh goes on until somebody else looks for its result, which nobody of this process should do.
    world.provider.refreshing = lambda: somebody_paused.wait(timeout=0.1)

    def ask(_: int) -> str:
        together.wait(timeout=10)
        return keeper.token(NOREPLY).value

    with ThreadPoolExecutor(8) as threads:
        tokens = set(threads.map(ask, range(8)))
    assert tokens == {"canary-access-token-2"}
    assert len(world.provider.refreshed) == 1
    assert (world.loads, world.pauses) == (2, [])


def test_senders_do_not_wait_for_one_another() -> None:
    world = World(life=EXPIRED)
    world.store.grants["reports"] = grant("svc-mail@contoso.com")
    keeper = world.instance()
    refreshing, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        refreshing.set()
        assert go_on.wait(timeout=10)

    world.provider.refreshing = slow
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(keeper.token, NOREPLY)
        assert refreshing.wait(timeout=10)
        assert keeper.token(SENDERS["reports"]).value == "canary-access-token-1"
        go_on.set()
        assert waiting.result(timeout=10).value == "canary-access-token-2"


# Several instances.


def test_who_finds_the_lease_taken_waits_for_what_the_other_writes() -> None:
    world = World(life=EXPIRED)
    world.leases.acquire(LEASE, timedelta(minutes=1))

    def after_three_looks() -> None:
        if len(world.pauses) == 3:
            world.another_refreshes()

    world.during_pause = after_three_looks
    assert world.instance().token(NOREPLY).value == "canary-access-token-2"
    assert world.pauses == [0.5, 0.5, 0.5]
    assert world.provider.refreshed == []


def test_who_finds_the_lease_taken_does_not_wait_for_ever() -> None:
    world = World(life=EXPIRED)
    world.leases.acquire(LEASE, timedelta(minutes=1))
    with pytest.raises(TokenUnavailableError, match="another instance is renewing this token"):
        world.instance().token(NOREPLY)
    assert sum(world.pauses) == 20


def test_a_lease_whose_holder_died_is_taken_over() -> None:
    world = World(life=EXPIRED)
    world.leases.acquire(LEASE, timedelta(seconds=10))
    assert world.instance().token(NOREPLY).value == "canary-access-token-2"
    assert sum(world.pauses) == 10


def written_between_our_look_and_our_lease(world: World) -> None:
    looks = iter(range(1, 100))

    def write() -> None:
        if next(looks) == 2:
            world.another_refreshes()

    world.store.loading = write


def test_who_gets_the_lease_late_does_not_refresh_again() -> None:
    world = World(life=EXPIRED)
    written_between_our_look_and_our_lease(world)
    assert world.instance().token(NOREPLY).value == "canary-access-token-2"
    assert world.provider.refreshed == []


def test_the_lease_is_given_back_whatever_happens() -> None:
    world = World(life=EXPIRED)
    world.provider.failing["refresh"] = CredentialError("invalid_client")
    with pytest.raises(CredentialError):
        world.instance().token(NOREPLY)
    assert world.leases.acquire(LEASE, timedelta(minutes=1))


# Refused by the mail server.


def test_a_refusal_gets_another_token() -> None:
    world = World()
    keeper = world.instance()
    refused = keeper.token(NOREPLY)
    assert keeper.token_after_refusal(NOREPLY, refused).value == "canary-access-token-2"
    assert keeper.token(NOREPLY).value == "canary-access-token-2"


def test_eight_threads_that_were_refused_ask_the_provider_once() -> None:
    world = World()
    keeper = world.instance()
    refused = keeper.token(NOREPLY)
    with ThreadPoolExecutor(8) as threads:
        tokens = {
            token.value
            for token in threads.map(lambda _: keeper.token_after_refusal(NOREPLY, refused), range(8))
        }
    assert tokens == {"canary-access-token-2"}
    assert len(world.provider.refreshed) == 1


def test_a_refused_token_is_not_asked_for_anew_when_the_vault_has_another() -> None:
    world = World()
    keeper = world.instance()
    refused = keeper.token(NOREPLY)
    world.another_refreshes()
    assert keeper.token_after_refusal(NOREPLY, refused).value == "canary-access-token-2"
    assert world.provider.refreshed == []


# Failures.


FAILURES = [
    ConsentRequiredError("the provider refused: invalid_grant AADSTS50173", code="AADSTS50173"),
    CredentialError("the provider refused: invalid_client AADSTS7000222", code="AADSTS7000222"),
    TokenUnavailableError("the provider could not be asked: ReadTimeout"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_is_remembered_for_a_second(error: GrantError) -> None:
    world = World(life=EXPIRED)
    world.provider.failing["refresh"] = error
    keeper = world.instance()
    for _ in range(1_000):
        with pytest.raises(type(error)) as raised:
            keeper.token(NOREPLY)
        assert (str(raised.value), raised.value.code) == (str(error), error.code)
        world.clock.advance(timedelta(microseconds=999))
    assert len(world.provider.refreshed) == 1
    world.provider.failing.clear()
    world.clock.advance(timedelta(milliseconds=1))
    assert keeper.token(NOREPLY).value == "canary-access-token-3"


def test_no_grant_is_remembered_too_and_not_for_long() -> None:
    world = World()
    world.store.grants.clear()
    keeper = world.instance()
    for _ in range(100):
        with pytest.raises(ConsentRequiredError) as raised:
            keeper.token(NOREPLY)
        assert raised.value.code == NO_GRANT
    assert world.loads == 1
    world.store.grants["noreply"] = grant()
    world.clock.advance(timedelta(seconds=1))
    assert keeper.token(NOREPLY).value == "canary-access-token-1"


def test_a_failure_of_one_sender_is_none_of_another() -> None:
    world = World(life=EXPIRED)
    world.provider.failing["refresh"] = FAILURES[0]
    world.store.grants["reports"] = grant("svc-mail@contoso.com")
    keeper = world.instance()
    with pytest.raises(ConsentRequiredError):
        keeper.token(NOREPLY)
    assert keeper.token(SENDERS["reports"]).value == "canary-access-token-1"


def test_what_the_provider_gave_is_kept_when_the_vault_does_not_take_it() -> None:
    world = World(life=EXPIRED)
    world.store.storing = raising(VAULT_DOWN)
    keeper = world.instance()
    for _ in range(3):
        assert keeper.token(NOREPLY).value == "canary-access-token-2"
    assert len(world.provider.refreshed) == 1
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-1"
    assert world.pauses == [0.5, 2.0]


def test_a_provider_that_rotates_nothing_leaves_the_refresh_token_in_force() -> None:
    after = grant().refreshed(
        access_token="new", refresh_token="", expires_at=NOON + timedelta(hours=2), now=NOON
    )
    assert after.refresh_token == grant().refresh_token


# Upkeep.


def test_upkeep_leaves_alone_what_lasts_until_the_run_after_the_next() -> None:
    world = World(life=timedelta(minutes=46))
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert (renewal.outcome, renewal.error) == (RefreshOutcome.STILL_FRESH, None)
    assert renewal.grant is world.store.grants["noreply"]
    assert world.provider.refreshed == []


def test_upkeep_renews_what_does_not() -> None:
    world = World(life=timedelta(minutes=39, seconds=59))
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert renewal.outcome is RefreshOutcome.REFRESHED
    assert renewal.grant is world.store.grants["noreply"]
    assert renewal.grant.expires_at == NOON + timedelta(hours=1)
    assert world.store.grants["noreply"].access_token == "canary-access-token-2"


def test_upkeep_renews_on_request_whatever_it_lasts() -> None:
    world = World()
    assert world.instance().renew(NOREPLY, warm=True, force=True).outcome is RefreshOutcome.REFRESHED


def test_upkeep_that_gets_the_lease_late_does_not_refresh_again() -> None:
    world = World(life=EXPIRED)
    written_between_our_look_and_our_lease(world)
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert renewal.outcome is RefreshOutcome.REFRESHED
    assert renewal.grant is world.store.grants["noreply"]
    assert renewal.grant.expires_at == NOON + timedelta(hours=1)
    assert world.provider.refreshed == []


def test_upkeep_leaves_the_renewal_that_is_under_way_elsewhere() -> None:
    world = World(life=EXPIRED)
    world.leases.acquire(LEASE, timedelta(minutes=1))
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert renewal.outcome is RefreshOutcome.TRANSIENT
    assert str(renewal.error) == "another instance is renewing this token just now"
    assert world.pauses == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (FAILURES[0], RefreshOutcome.CONSENT_REQUIRED),
        (FAILURES[1], RefreshOutcome.CREDENTIAL_BROKEN),
        (FAILURES[2], RefreshOutcome.TRANSIENT),
    ],
    ids=["consent", "credential", "transient"],
)
def test_upkeep_says_what_failed_and_loses_nothing(error: GrantError, outcome: RefreshOutcome) -> None:
    world = World(life=EXPIRED)
    before = world.store.grants["noreply"]
    world.provider.failing["refresh"] = error
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert (renewal.outcome, renewal.error) == (outcome, error)
    assert world.store.grants["noreply"] is before
    assert world.leases.acquire(LEASE, timedelta(minutes=1))


def test_upkeep_says_that_nobody_has_consented() -> None:
    world = World()
    world.store.grants.clear()
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert renewal.outcome is RefreshOutcome.CONSENT_REQUIRED
    assert renewal.error is not None
    assert renewal.error.code == NO_GRANT


def test_upkeep_asks_even_where_a_failure_is_remembered() -> None:
    world = World(life=EXPIRED)
    world.provider.failing["refresh"] = FAILURES[2]
    keeper = world.instance()
    with pytest.raises(TokenUnavailableError):
        keeper.token(NOREPLY)
    world.provider.failing.clear()
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.REFRESHED
    assert keeper.token(NOREPLY).value == "canary-access-token-3"


# Warm and idle.


def test_a_token_that_ran_out_is_left_alone_where_no_mail_is_expected() -> None:
    world = World()
    keeper = world.instance()
    world.clock.advance(timedelta(hours=23, minutes=59))
    assert keeper.renew(NOREPLY, warm=False).outcome is RefreshOutcome.STILL_FRESH
    world.clock.advance(timedelta(minutes=1))
    assert keeper.renew(NOREPLY, warm=False).outcome is RefreshOutcome.REFRESHED
    assert keeper.renew(NOREPLY, warm=False).outcome is RefreshOutcome.STILL_FRESH


def test_mail_of_an_idle_sender_gets_its_token_at_once() -> None:
    world = World(life=EXPIRED)
    keeper = world.instance()
    keeper.renew(NOREPLY, warm=False)
    assert keeper.token(NOREPLY).value == "canary-access-token-2"


# The provider or the vault is away.


@pytest.mark.parametrize("away", ["provider", "vault"])
def test_the_last_minutes_of_a_token_serve_while_what_renews_it_is_away(away: str) -> None:
    world = World()
    keeper = world.instance()
    keeper.token(NOREPLY)
    world.provider.failing["refresh"] = FAILURES[2]
    if away == "vault":
        world.store.loading = raising(VAULT_DOWN)
    world.clock.now = NOON + timedelta(hours=1) - LAST_RESORT
    assert keeper.token(NOREPLY).value == "canary-access-token-1"
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(TokenUnavailableError):
        keeper.token(NOREPLY)


def test_a_process_that_has_just_begun_uses_the_last_minutes_too() -> None:
    world = World(life=timedelta(minutes=5))
    world.provider.failing["refresh"] = FAILURES[2]
    assert world.instance().token(NOREPLY).value == "canary-access-token-1"


@pytest.mark.parametrize("error", FAILURES[:2], ids=lambda error: type(error).__name__)
def test_the_last_minutes_of_a_token_are_not_used_where_a_person_must_act(error: GrantError) -> None:
    world = World(life=timedelta(minutes=5))
    world.provider.failing["refresh"] = error
    with pytest.raises(type(error)):
        world.instance().token(NOREPLY)


def test_an_outage_in_which_upkeep_ran_before_is_not_noticed_for_the_life_of_the_token() -> None:
    world = World()
    keeper = world.instance()
    keeper.renew(NOREPLY, warm=True)
    world.provider.failing["refresh"] = FAILURES[2]
    for _ in range(3):
        world.clock.advance(timedelta(minutes=15))
        assert keeper.renew(NOREPLY, warm=True).outcome in {
            RefreshOutcome.STILL_FRESH,
            RefreshOutcome.TRANSIENT,
        }
        assert keeper.token(NOREPLY).value == "canary-access-token-1"


def test_a_refused_token_is_never_given_again_while_the_provider_is_away() -> None:
    world = World()
    keeper = world.instance()
    refused = keeper.token(NOREPLY)
    world.provider.failing["refresh"] = FAILURES[2]
    with pytest.raises(TokenUnavailableError):
        keeper.token_after_refusal(NOREPLY, refused)


# What could not be stored.


def strict(life: timedelta = EXPIRED) -> World:
    """Return a world whose provider ends the whole family when a refresh token is used twice."""
    world = World(life)
    world.provider.revokes_families = True
    return world


def test_what_could_not_be_stored_is_stored_before_anything_is_asked_with_what_it_replaced() -> None:
    world = strict()
    keeper = world.instance()
    world.store.storing = raising(VAULT_DOWN)
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.TRANSIENT
    world.store.storing = lambda: None
    assert keeper.renew(NOREPLY, warm=True, force=True).outcome is RefreshOutcome.REFRESHED
    assert [each.refresh_token for _, each in world.store.stored] == [
        "canary-refresh-token-2",
        "canary-refresh-token-3",
    ]
    assert world.provider.reused == []


def test_while_the_vault_takes_nothing_the_provider_is_not_asked_again() -> None:
    world = strict()
    keeper = world.instance()
    world.store.storing = raising(VAULT_DOWN)
    for _ in range(20):
        assert keeper.renew(NOREPLY, warm=True, force=True).outcome is RefreshOutcome.TRANSIENT
        assert keeper.token(NOREPLY).value == "canary-access-token-2"
        world.clock.advance(timedelta(minutes=2))
    assert (len(world.provider.refreshed), world.provider.reused) == (1, [])


def test_a_write_of_the_vault_that_fails_once_is_not_noticed() -> None:
    world = strict()
    tries = iter([VAULT_DOWN, VAULT_DOWN, None])

    def fail_twice() -> None:
        if error := next(tries, None):
            raise error

    world.store.storing = fail_twice
    assert world.instance().renew(NOREPLY, warm=True).outcome is RefreshOutcome.REFRESHED
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-2"


def test_a_write_that_reached_the_vault_and_whose_answer_was_lost_costs_nothing() -> None:
    world = strict()
    keeper = world.instance()
    world.store.after = lambda _: raising(VAULT_DOWN)()
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.TRANSIENT
    world.store.after = lambda _: None
    assert keeper.renew(NOREPLY, warm=True, force=True).outcome is RefreshOutcome.REFRESHED
    assert world.provider.reused == []
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-3"


@pytest.mark.parametrize("strictly", [False, True], ids=["old one stays valid", "revokes families"])
def test_after_a_crash_between_the_provider_and_the_vault_only_the_old_one_is_there(
    *, strictly: bool
) -> None:
    world = strict() if strictly else World(life=EXPIRED)
    world.store.before = lambda _: raising(Crash())()
    with pytest.raises(Crash):
        world.instance().renew(NOREPLY, warm=True)
    world.store.before = lambda _: None
    world.clock.advance(timedelta(minutes=15))
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-1"
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert renewal.outcome is (RefreshOutcome.CONSENT_REQUIRED if strictly else RefreshOutcome.REFRESHED)
    assert (renewal.error is not None) is strictly


def test_a_consent_that_was_given_meanwhile_is_not_written_over() -> None:
    world = World(life=EXPIRED)
    keeper = world.instance()
    world.store.storing = raising(VAULT_DOWN)
    keeper.renew(NOREPLY, warm=True)
    world.store.storing = lambda: None
    given = grant(number=7)
    world.store.grants["noreply"] = given
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.STILL_FRESH
    assert world.store.grants["noreply"] is given
    assert keeper.token(NOREPLY).value == "canary-access-token-7"


def test_a_grant_that_was_taken_away_meanwhile_does_not_come_back() -> None:
    world = World(life=EXPIRED)
    keeper = world.instance()
    world.store.storing = raising(VAULT_DOWN)
    keeper.renew(NOREPLY, warm=True)
    world.store.storing = lambda: None
    world.store.delete_grant("noreply")
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.CONSENT_REQUIRED
    assert world.store.grants == {}
    with pytest.raises(ConsentRequiredError):
        keeper.token(NOREPLY)


def test_upkeep_takes_what_another_instance_renewed() -> None:
    world = strict()
    world.another_refreshes()
    renewal = world.instance().renew(NOREPLY, warm=True)
    assert (renewal.outcome, world.provider.refreshed) == (RefreshOutcome.STILL_FRESH, [])


def test_eight_instances_in_threads_renew_once_and_no_refresh_token_is_used_twice() -> None:
    world = strict()
    together = threading.Barrier(8)
    keepers = [world.instance() for _ in range(8)]
    world.clock = Clock()  # what pauses here lets no time pass for the instances

    def ask(keeper: GrantKeeper) -> str:
        together.wait(timeout=10)
        return keeper.token(NOREPLY).value

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, keepers)) == {"canary-access-token-2"}
    assert (len(world.provider.refreshed), world.provider.reused) == (1, [])


# A new token as a proof.


def test_a_new_token_is_one_that_the_provider_gives_now() -> None:
    world = World()
    keeper = world.instance()
    assert keeper.new_token(NOREPLY).value == "canary-access-token-2"
    assert keeper.new_token(NOREPLY).value == "canary-access-token-3"
    assert world.store.grants["noreply"].access_token == "canary-access-token-3"


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_where_the_provider_gives_none_the_old_one_is_no_new_one(error: GrantError) -> None:
    world = World()
    world.provider.failing["refresh"] = error
    with pytest.raises(type(error)):
        world.instance().new_token(NOREPLY)
    assert world.instance().token(NOREPLY).value == "canary-access-token-1"


# An application's own.


APP = replace(SERVICES["microsoft"], grant=GrantKind.APP)
MAILBOX = NOREPLY.mailbox


def app_world(**grants: Grant) -> World:
    world = World()
    world.services["microsoft"] = APP
    world.store.grants = dict(grants)
    return world


def test_an_applications_token_is_fetched_by_whoever_asks_first_and_kept() -> None:
    world = app_world()
    keeper = world.instance()
    assert keeper.token(NOREPLY).value == "canary-access-token-of-the-app-1"
    assert keeper.token(NOREPLY).user == MAILBOX
    assert world.instance().token(NOREPLY).value == "canary-access-token-of-the-app-1"
    assert (world.provider.fetched, world.provider.refreshed) == ([MAILBOX], [])
    assert world.store.grants["noreply"].is_app_only


def test_upkeep_fetches_an_applications_first_token() -> None:
    world = app_world()
    renewal = world.instance().renew(NOREPLY, warm=False)
    assert (renewal.outcome, world.provider.fetched) == (RefreshOutcome.REFRESHED, [MAILBOX])


def test_an_applications_token_that_ran_out_is_fetched_again() -> None:
    world = app_world()
    keeper = world.instance()
    for hour in range(1, 4):
        assert keeper.token(NOREPLY).value == f"canary-access-token-of-the-app-{hour}"
        world.clock.advance(timedelta(hours=1))
    assert world.provider.refreshed == []
    assert world.store.grants["noreply"].is_app_only


def test_upkeep_renews_an_applications_token() -> None:
    world = app_world()
    keeper = world.instance()
    for _ in range(3):
        assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.REFRESHED
        world.clock.advance(timedelta(hours=1))
    assert len(world.provider.fetched) == 3


def test_an_applications_refused_token_is_replaced() -> None:
    world = app_world()
    keeper = world.instance()
    refused = keeper.token(NOREPLY)
    assert keeper.token_after_refusal(NOREPLY, refused).value == "canary-access-token-of-the-app-2"


def test_an_applications_token_that_could_not_be_stored_serves_and_is_stored_later() -> None:
    world = app_world()
    world.store.storing = raising(VAULT_DOWN)
    keeper = world.instance()
    assert keeper.token(NOREPLY).value == "canary-access-token-of-the-app-1"
    world.store.storing = lambda: None
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.STILL_FRESH
    assert world.store.grants["noreply"].access_token == "canary-access-token-of-the-app-1"


def test_a_persons_grant_is_not_used_once_mail_toml_says_that_the_application_sends() -> None:
    world = app_world(noreply=grant())
    assert world.instance().token(NOREPLY).value == "canary-access-token-of-the-app-1"
    assert world.store.grants["noreply"].is_app_only


def test_an_applications_grant_is_not_used_once_mail_toml_says_that_a_person_consents() -> None:
    world = app_world()
    world.instance().token(NOREPLY)
    world.services["microsoft"] = SERVICES["microsoft"]
    keeper = world.instance()
    with pytest.raises(ConsentRequiredError) as raised:
        keeper.token(NOREPLY)
    assert raised.value.code == NO_GRANT
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.CONSENT_REQUIRED


# What a token says of itself.


def token_for(audience: str, **claims: object) -> str:
    return jwt(aud=audience, scp="SMTP.Send", exp=(NOON + timedelta(days=1)).timestamp(), **claims)


GOOD = token_for("https://outlook.office.com")
FOR_GRAPH = token_for("https://graph.microsoft.com")
FLAWED = {
    "another service": (FOR_GRAPH, "token-audience"),
    "another tenant": (
        token_for("https://outlook.office.com", tid="99999999-0000-4000-8000-0"),
        "token-tenant",
    ),
    "another account": (token_for("https://outlook.office.com", oid="somebody-else"), "token-account"),
    "another application": (token_for("https://outlook.office.com", appid="another"), "token-account"),
    "no permission": (jwt(aud="https://outlook.office.com", scp="User.Read"), "token-permission"),
    "over": (jwt(aud="https://outlook.office.com", scp="SMTP.Send", exp=1), "token-expired"),
}


@pytest.mark.parametrize("name", FLAWED)
def test_a_stored_token_that_is_of_no_use_is_replaced_however_long_it_lasts(name: str) -> None:
    for ask in ("token", "upkeep"):
        world = World()
        world.store.grants["noreply"] = replace(grant(), access_token=FLAWED[name][0])
        keeper = world.instance()
        if ask == "upkeep":
            assert keeper.renew(NOREPLY, warm=False).outcome is RefreshOutcome.REFRESHED
        assert keeper.token(NOREPLY).value == "canary-access-token-2"
        assert len(world.provider.refreshed) == 1


@pytest.mark.parametrize("name", FLAWED)
def test_a_new_token_that_is_of_no_use_leaves_the_vault_as_it_was(name: str) -> None:
    world = World(life=EXPIRED)
    before = world.store.grants["noreply"]
    token, flaw = FLAWED[name]
    world.provider.access_token = lambda _: token
    keeper = world.instance()
    with pytest.raises(UnsuitableTokenError) as raised:
        keeper.token(NOREPLY)
    renewal = keeper.renew(NOREPLY, warm=True)
    assert (raised.value.code, renewal.outcome) == (flaw, RefreshOutcome.CREDENTIAL_BROKEN)
    assert (world.store.grants["noreply"], world.store.stored) == (before, [])
    assert "canary" not in f"{raised.value!r} {renewal!r}"


def test_a_token_that_can_be_read_and_is_right_is_used() -> None:
    world = World(life=EXPIRED)
    world.provider.access_token = lambda _: GOOD
    assert world.instance().token(NOREPLY).value == GOOD


def test_a_stored_token_of_no_use_is_not_used_while_the_provider_is_away() -> None:
    world = World()
    world.store.grants["noreply"] = replace(grant(), access_token=FOR_GRAPH)
    world.provider.failing["refresh"] = FAILURES[2]
    with pytest.raises(TokenUnavailableError):
        world.instance().token(NOREPLY)


# What a person has changed meanwhile.


def test_no_token_of_the_first_account_is_used_once_another_is_connected() -> None:
    world = World()
    keepers = [world.instance() for _ in range(3)]
    assert {keeper.token(NOREPLY).value for keeper in keepers} == {"canary-access-token-1"}
    world.clock.advance(timedelta(minutes=1))
    world.store.delete_grant("noreply")
    world.granted_at["noreply"] = world.clock()
    for keeper in keepers:
        with pytest.raises(ConsentRequiredError):
            keeper.token(NOREPLY)
    world.clock.advance(timedelta(minutes=1))
    second = grant("second@contoso.com", number=9, at=world.clock())
    world.store.grants["noreply"] = second
    world.granted_at["noreply"] = second.consented_at
    for keeper in keepers:
        assert keeper.token(NOREPLY).user == "second@contoso.com"
    loads = world.loads
    for keeper in keepers:
        keeper.token(NOREPLY)
    assert world.loads == loads


def test_a_process_that_missed_the_disconnecting_sees_the_new_consent() -> None:
    world = World()
    keeper = world.instance()
    keeper.token(NOREPLY)
    world.clock.advance(timedelta(minutes=2))
    second = grant("second@contoso.com", number=9, at=world.clock())
    world.store.grants["noreply"] = second
    world.granted_at["noreply"] = second.consented_at
    assert keeper.token(NOREPLY).user == "second@contoso.com"


def test_the_first_accounts_token_does_not_serve_while_the_vault_is_away() -> None:
    world = World()
    keeper = world.instance()
    keeper.token(NOREPLY)
    world.clock.advance(timedelta(minutes=2))
    world.granted_at["noreply"] = world.clock()
    world.store.loading = raising(VAULT_DOWN)
    with pytest.raises(TokenUnavailableError):
        keeper.token(NOREPLY)


def test_nothing_of_a_grant_that_is_secret_is_printed() -> None:
    world = World()
    keeper = world.instance()
    printed = f"{grant()!r} {keeper.token(NOREPLY)!r} {keeper.renew(NOREPLY, warm=True)!r} {keeper!r}"
    assert "canary" not in printed
