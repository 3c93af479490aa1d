"""
``upkeep``: every sender has a token that lasts, and whoever must act hears of it.

1. For each sender, renew its token where it would not last until the upkeep after the next, or, where it
   sends nothing, once a day.
2. Hold the senders whose provider wants a person, and let those go on that it no longer refuses.
3. Look how long each service's own credential lasts, and warn before it ends.
4. Say what came of each: one line where all is well, one with what to do where it is not.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core import remedies
from shared.core.connection import is_warm
from shared.core.holds import Proof, SenderState, new_hold
from shared.core.metrics import Metric
from shared.core.oauth import RefreshOutcome
from shared.core.remedies import ABOUT_THE_GRANT
from shared.errors import GrantError, StorageError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from shared.core.grant import Grant
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.grants import Renewal
    from shared.ports import Holds, Telemetry

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Keeps grants usable."""

    def renew(self, sender: Sender, *, warm: bool, force: bool = False) -> Renewal:
        """Renew one sender's token where it needs it, or in any case."""
        ...


class Register(Protocol):
    """How senders stand."""

    def all(self) -> list[SenderState]:
        """Return the state of every sender that has one."""
        ...


class Connections(Protocol):
    """How senders are connected, for all instances."""

    def seen(self, sender: Sender, grant: Grant | None, credential_expires_at: datetime | None) -> None:
        """Write down what upkeep saw."""
        ...

    def warn(self, sender: Sender, credential: str, expires_at: datetime) -> None:
        """Say that a credential ends soon, where that is due."""
        ...


class Credentials(Protocol):
    """What services prove themselves with."""

    def expires_at(self, service: Service) -> datetime | None:
        """Return when it ends, None where that is not known; raises ``GrantError``."""
        ...


@dataclass(frozen=True, slots=True)
class UpkeepTools:
    """
    What upkeep needs of the world.

    ``side_by_side`` does something for each sender, several at a time; what came of each is in order.
    """

    keeper: Keeper
    register: Register
    holds: Holds
    connections: Connections
    credentials: Credentials
    senders: Mapping[str, Sender]
    services: Mapping[str, Service]
    explain: Callable[[str, Sender], str]
    telemetry: Telemetry
    side_by_side: Callable[[Callable[[Sender], RefreshOutcome], Iterable[Sender]], Sequence[RefreshOutcome]]
    clock: Callable[[], datetime]


def upkeep(tools: UpkeepTools) -> dict[str, RefreshOutcome]:
    """Look after every sender once; returns the outcome of each by its name."""
    states = {state.sender: state for state in tools.register.all()}
    ends = _ends_of_credentials(tools)

    def look_after(sender: Sender) -> RefreshOutcome:
        state = states.get(sender.name, SenderState(sender.name))
        try:
            # What cannot be read just now is as it was.
            return _look_after(tools, sender, state, ends.get(sender.service, state.credential_expires_at))
        except StorageError as error:
            log.warning(
                "%s was not looked after: %s; the next upkeep does",
                sender.name,
                error,
                extra={"event": Word.STORAGE_AWAY, "sender": sender.name},
            )
            return RefreshOutcome.TRANSIENT

    outcomes = tools.side_by_side(look_after, tools.senders.values())
    found = dict(zip(tools.senders, outcomes, strict=True))
    log.info(
        "upkeep looked at %d senders: %s",
        len(found),
        ", ".join(f"{name} {outcome.value}" for name, outcome in found.items()),
        extra={"event": Word.UPKEEP_DONE},
    )
    return found


def _look_after(
    tools: UpkeepTools, sender: Sender, state: SenderState, credential_ends: datetime | None
) -> RefreshOutcome:
    refused = state.hold is not None and state.hold.proof is Proof.TOKEN
    # What is held for its grant is asked anew: the token in the vault proves nothing.
    renewal = tools.keeper.renew(sender, warm=is_warm(state, tools.clock()), force=refused)
    tools.telemetry.count(Metric.REFRESHES, sender=sender.name, outcome=renewal.outcome.value)
    if renewal.grant is not None:
        left = (renewal.grant.expires_at - tools.clock()).total_seconds()
        tools.telemetry.gauge(Metric.TOKEN_LEFT, left, sender=sender.name)
    _say(tools, sender, renewal)
    tools.connections.seen(sender, renewal.grant, credential_ends)
    if renewal.error is not None and renewal.outcome is not RefreshOutcome.TRANSIENT:
        _hold(tools, sender, renewal.error)
    elif refused and renewal.outcome is RefreshOutcome.REFRESHED:
        tools.holds.resume(sender, why="the provider gives tokens again", only=ABOUT_THE_GRANT)
    if credential_ends is not None:
        tools.connections.warn(sender, tools.services[sender.service].credential_name, credential_ends)
    return renewal.outcome


def _hold(tools: UpkeepTools, sender: Sender, error: GrantError) -> None:
    key, _ = remedies.for_grant(error)
    reason = _reason(tools, sender, error)
    tools.holds.hold(sender, new_hold(key, reason, proof=Proof.TOKEN, now=tools.clock()))


def _ends_of_credentials(tools: UpkeepTools) -> dict[str, datetime | None]:
    """Return when each service's credential ends; one that cannot be read is left out."""
    ends: dict[str, datetime | None] = {}
    for name, service in tools.services.items():
        # Whoever needs it to renew a token says what is wrong with it.
        with suppress(GrantError):
            ends[name] = tools.credentials.expires_at(service) if service.credential_name else None
    return ends


def _reason(tools: UpkeepTools, sender: Sender, error: GrantError) -> str:
    return remedies.why(error, lambda key: tools.explain(key, sender))


def _say(tools: UpkeepTools, sender: Sender, renewal: Renewal) -> None:
    if renewal.grant is not None:
        left = renewal.grant.expires_at - tools.clock()
        lasts = (
            f"it lasts {left.total_seconds() / 60:.0f} minutes" if left > timedelta() else "no mail needs one"
        )
        log.info(
            "the token of %s is %s: %s",
            sender.name,
            renewal.outcome.value if left > timedelta() else "over",
            lasts,
            extra={"event": Word.TOKEN_REFRESHED, "sender": sender.name},
        )
    if renewal.error is not None:
        key, word = remedies.for_grant(renewal.error)
        log.log(
            # Time mends the one; the others need a person.
            logging.WARNING if remedies.CATALOGUE[key].who is remedies.Who.NOBODY else logging.ERROR,
            "no token for %s (%s): %s",
            sender.name,
            renewal.outcome.value,
            _reason(tools, sender, renewal.error),
            extra={"event": word, "sender": sender.name},
        )
