"""What happens where a write is lost or comes too late: nothing of a grant, and no warning, is."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from shared.core.holds import Proof, new_hold
from shared.core.oauth import RefreshOutcome
from shared.errors import CredentialError, TokenUnavailableError
from tests.twins import NOON, Crash, grant
from tests.workflows.conftest import NOREPLY, Bench
from tests.workflows.test_grants import VAULT_DOWN, raising, strict
from tests.workflows.test_operators import OPERATORS, connect, mails


def test_other_instance_does_not_reuse_what_one_could_not_store() -> None:
    world = strict()
    first, second = world.instance(), world.instance()
    world.store.storing = raising(VAULT_DOWN)
    first.renew(NOREPLY, warm=True)
    world.store.storing = lambda: None
    world.clock.advance(timedelta(seconds=30))
    second.renew(NOREPLY, warm=True)
    assert world.provider.reused == []


def test_unsaved_is_stored_by_the_next_token_request_not_only_by_upkeep_of_this_process() -> None:
    world = strict()
    first = world.instance()
    world.store.storing = raising(VAULT_DOWN)
    first.renew(NOREPLY, warm=True)
    world.store.storing = lambda: None
    world.clock.advance(timedelta(minutes=1))
    first.token(NOREPLY)
    assert world.store.grants["noreply"].refresh_token == "canary-refresh-token-2"


def test_operators_mail_never_goes_from_a_held_address() -> None:
    bench = Bench(operators=OPERATORS)
    connect(bench, NOREPLY)
    hold = new_hold("send-as-denied", "it may not", proof=Proof.MESSAGE, now=NOON)
    bench.holds.hold(NOREPLY, hold, address="noreply@contoso.com")  # its own From
    assert mails(bench) == []


def test_a_warning_whose_telling_broke_off_is_told_all_the_same() -> None:
    bench = Bench()

    def crash(_: str) -> None:
        raise Crash

    bench.events.before = crash
    with suppress(Crash):
        bench.connections.warn(NOREPLY, "oauth-x", NOON + timedelta(days=29))
    bench.events.before = lambda _: None
    bench.another().connections.warn(NOREPLY, "oauth-x", NOON + timedelta(days=29))
    assert len(bench.events.of_senders) == 1


def test_the_known_end_of_a_credential_is_not_forgotten_when_it_cannot_be_read_once() -> None:
    bench = Bench(keeps=True)
    bench.grants.grants["noreply"] = grant()
    bench.credentials.ends["microsoft"] = NOON + timedelta(days=300)
    bench.upkeep()
    bench.credentials.failing = TokenUnavailableError("cannot read", code="503")
    bench.upkeep()
    assert bench.state.credential_expires_at == NOON + timedelta(days=300)


def test_memory_serves_after_a_disconnect_that_broke_off_before_the_delete() -> None:
    world = strict(timedelta(hours=1))
    keeper = world.instance()
    world.granted_at["noreply"] = NOON + timedelta(seconds=1)  # register written, vault not
    for _ in range(50):
        keeper.token(NOREPLY)
    assert world.loads <= 2, world.loads


def test_a_grant_that_the_vault_can_never_take_is_said_and_its_token_serves() -> None:
    world = strict()
    keeper = world.instance()
    world.store.storing = raising(CredentialError("the grant has 30000 octets and Key Vault takes 25000"))
    assert keeper.renew(NOREPLY, warm=True).outcome is RefreshOutcome.CREDENTIAL_BROKEN
    for _ in range(3):
        world.clock.advance(timedelta(seconds=40))
        assert keeper.token(NOREPLY).value == "canary-access-token-2"
