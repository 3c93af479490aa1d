"""
Wherever consent, disconnecting or upkeep breaks off, one more run makes all well; found by trying all points.

Each story is run once for each write that it makes: the process ends there, or storage fails there once.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.core.consent import Begun
from shared.core.delivery import State
from shared.errors import SendoffError, StorageError, TokenUnavailableError
from shared.workflows.consent import finish, start
from tests.twins import Crash, grant
from tests.workflows.conftest import NOREPLY, UNHURRIED, Bench, message

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = timedelta(days=1)
# Longer than any lease.
LATER = timedelta(minutes=15)


class Told:
    """One story on one deployment; ``at`` is the point at which it breaks off, with ``error``."""

    def __init__(self, at: int = 0, error: str = "crash") -> None:
        self.at, self.error = at, error
        self.points: list[str] = []
        self.dead = False
        self.bench = Bench(keeps=True, senders={"noreply": UNHURRIED})
        self.bench.grants.grants["noreply"] = grant()
        self.bench.send(message(id="first"))

    def _watch(self, *, on: bool) -> None:
        bench = self.bench
        assert bench.leases is not None
        for name, twin in (
            ("register", bench.states),
            ("vault", bench.grants),
            ("leases", bench.leases),
            ("events", bench.events),
            ("pending", bench.pending),
        ):
            for moment in ("before", "after"):
                setattr(twin, moment, self._point(f"{moment} {name}") if on else _nothing)

    def _point(self, place: str) -> Callable[[str], None]:
        def reached(name: str) -> None:
            if self.dead:
                raise Crash
            self.points.append(f"{place}.{name}")
            if len(self.points) != self.at:
                return
            if self.error == "crash":
                self.dead = True
                raise Crash
            if "vault" in place:
                raise TokenUnavailableError("no answer")
            raise StorageError("no answer")

        return reached

    def breaks_off(self, do: Callable[[Bench], object]) -> None:
        """Do something that may break off; another process takes over after."""
        self._watch(on=True)
        with suppress(Crash, SendoffError):
            do(self.bench)
        self._watch(on=False)
        self.bench = self.bench.another("instance-2")
        self.bench.clock.advance(LATER)


def _nothing(_: str) -> None:
    """Let it happen."""


def consent(bench: Bench) -> None:
    begun = start(bench.consent_tools(), "noreply")
    assert isinstance(begun, Begun)
    (state,) = parse_qs(urlsplit(begun.url).query)["state"]
    cookies = {begun.cookie_name: begun.cookie_value}
    finish(bench.consent_tools(), {"state": state, "code": "canary-code"}, cookies)


def disconnect(bench: Bench) -> None:
    bench.connections.disconnect(NOREPLY, why="a person took the grant away")


def upkeep(bench: Bench) -> None:
    bench.upkeep()


def all_is_well(told: Told) -> list[str]:
    """Return what is not as it should be after one more run of upkeep, with mail."""
    bench = told.bench
    bench.release()
    bench.upkeep()
    bench.clock.advance(timedelta(seconds=10))
    bench.send(message(id="last"), queue_id="queue-id-9")
    bench.serve(called=True)
    found = []
    if bench.state.hold is not None:
        found.append(f"held: {bench.state.hold.remedy}")
    if bench.state_of("last") is not State.ACCEPTED:
        found.append(f"the last message is {bench.state_of('last')}")
    if bench.state.connection is None:
        found.append("no connection is known")
    return found


def told_wrongly(told: Told) -> list[str]:
    """Return what nobody should have heard: that mail is held, after it was said to flow."""
    kinds = [event.kind for event in told.bench.events.of_senders]
    if "sender.resumed" not in kinds:
        return []
    return ["held was told last"] if "sender.held" in kinds[kinds.index("sender.resumed") :] else []


def consent_where_mail_waits(told: Told) -> list[str]:
    told.bench.connections.disconnect(NOREPLY, why="it begins anew")
    told.bench.clock.advance(LATER)
    told.breaks_off(consent)
    if "noreply" not in told.bench.grants.grants:
        consent(told.bench)  # the page said that it failed, or nothing; the person tries again
    return all_is_well(told) + told_wrongly(told)


def disconnecting(told: Told) -> list[str]:
    told.bench.clock.advance(LATER)
    told.breaks_off(disconnect)
    disconnect(told.bench)
    if told.bench.grants.grants:
        return ["the grant is still there"]
    if told.bench.send(message(id="between"), queue_id="queue-id-5") is not State.HELD:
        return ["mail went without a grant"]
    told.bench.clock.advance(LATER)
    consent(told.bench)
    return all_is_well(told)


def upkeep_that_renews(told: Told) -> list[str]:
    told.bench.clock.advance(DAY)
    told.breaks_off(upkeep)
    held = "sender.held" in [event.kind for event in told.bench.events.of_senders]
    return [*all_is_well(told), *(["a hold was told"] if held else [])]


STORIES: dict[str, Callable[[Told], list[str]]] = {
    "consent": consent_where_mail_waits,
    "disconnect": disconnecting,
    "upkeep": upkeep_that_renews,
}


@pytest.mark.parametrize("error", ["crash", "failure"])
@pytest.mark.parametrize("name", STORIES)
def test_wherever_it_breaks_off_one_more_run_makes_all_well(name: str, error: str) -> None:
    whole = Told()
    assert STORIES[name](whole) == []
    assert len(whole.points) > 5
    wrong = {}
    for at, point in enumerate(whole.points, start=1):
        told = Told(at, error)
        if found := STORIES[name](told):
            wrong[f"{at} {point}"] = found
    assert wrong == {}
