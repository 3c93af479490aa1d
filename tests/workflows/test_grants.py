"""The keeper of grants: many threads and instances, one refresh, and no second question right after a no."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from shared.grants import GrantKeeper
from tests.twins import NOON, Clock, MemoryGrants, MemoryLeases, ScriptedProvider, grant
from tests.workflows.conftest import SENDERS

if TYPE_CHECKING:
    from collections.abc import Callable

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
    with pytest.raises(TokenUnavailableError):
        keeper.token(NOREPLY)
    assert keeper.token(NOREPLY).value == "canary-access-token-2"
    assert len(world.provider.refreshed) == 1
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-1"


def test_a_provider_that_rotates_nothing_leaves_the_refresh_token_in_force() -> None:
    after = grant().refreshed(
        access_token="new", refresh_token="", expires_at=NOON + timedelta(hours=2), now=NOON
    )
    assert after.refresh_token == grant().refresh_token


# Upkeep.


def test_upkeep_leaves_alone_what_lasts_until_the_run_after_the_next() -> None:
    world = World(life=timedelta(minutes=35))
    renewal = world.instance().renew(NOREPLY)
    assert (renewal.outcome, renewal.error) == (RefreshOutcome.STILL_FRESH, None)
    assert renewal.expires_at == NOON + timedelta(minutes=35)
    assert world.provider.refreshed == []


def test_upkeep_renews_what_does_not() -> None:
    world = World(life=timedelta(minutes=34, seconds=59))
    renewal = world.instance().renew(NOREPLY)
    assert (renewal.outcome, renewal.expires_at) == (RefreshOutcome.REFRESHED, NOON + timedelta(hours=1))
    assert world.store.grants["noreply"].access_token == "canary-access-token-2"


def test_upkeep_renews_on_request_whatever_it_lasts() -> None:
    world = World()
    assert world.instance().renew(NOREPLY, force=True).outcome is RefreshOutcome.REFRESHED


def test_upkeep_that_gets_the_lease_late_does_not_refresh_again() -> None:
    world = World(life=EXPIRED)
    written_between_our_look_and_our_lease(world)
    renewal = world.instance().renew(NOREPLY)
    assert (renewal.outcome, renewal.expires_at) == (RefreshOutcome.REFRESHED, NOON + timedelta(hours=1))
    assert world.provider.refreshed == []


def test_upkeep_leaves_the_renewal_that_is_under_way_elsewhere() -> None:
    world = World(life=EXPIRED)
    world.leases.acquire(LEASE, timedelta(minutes=1))
    renewal = world.instance().renew(NOREPLY)
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
    renewal = world.instance().renew(NOREPLY)
    assert (renewal.outcome, renewal.error) == (outcome, error)
    assert world.store.grants["noreply"] is before
    assert world.leases.acquire(LEASE, timedelta(minutes=1))


def test_upkeep_says_that_nobody_has_consented() -> None:
    world = World()
    world.store.grants.clear()
    renewal = world.instance().renew(NOREPLY)
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
    assert keeper.renew(NOREPLY).outcome is RefreshOutcome.REFRESHED
    assert keeper.token(NOREPLY).value == "canary-access-token-3"


def test_nothing_of_a_grant_that_is_secret_is_printed() -> None:
    world = World()
    keeper = world.instance()
    printed = f"{grant()!r} {keeper.token(NOREPLY)!r} {keeper.renew(NOREPLY)!r} {keeper!r}"
    assert "canary" not in printed
