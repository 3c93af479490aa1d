"""
``upkeep``: every sender has a token that lasts, and whoever must act hears of it.

1. For each sender, renew its token where it would not last until the upkeep after the next.
2. Say what came of each: one line where all is well, one with what to do where it is not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.core import remedies
from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.oauth import Service
    from shared.core.sender import Sender
    from shared.grants import Renewal

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Keeps grants usable."""

    def renew(self, sender: Sender) -> Renewal:
        """Renew one sender's token where it needs it."""
        ...


@dataclass(frozen=True, slots=True)
class UpkeepTools:
    """What upkeep needs of the world."""

    keeper: Keeper
    senders: Mapping[str, Sender]
    services: Mapping[str, Service]
    consent_url: Callable[[str], str]
    clock: Callable[[], datetime]


def upkeep(tools: UpkeepTools) -> dict[str, RefreshOutcome]:
    """Look after every sender once; returns the outcome of each by its name."""
    outcomes: dict[str, RefreshOutcome] = {}
    for sender in tools.senders.values():
        renewal = tools.keeper.renew(sender)
        outcomes[sender.name] = renewal.outcome
        _say(tools, sender, renewal)
    log.info(
        "upkeep looked at %d senders: %s",
        len(outcomes),
        ", ".join(f"{name} {outcome.value}" for name, outcome in outcomes.items()),
        extra={"event": Word.UPKEEP_DONE},
    )
    return outcomes


def _say(tools: UpkeepTools, sender: Sender, renewal: Renewal) -> None:
    if renewal.error is None:
        minutes = (renewal.expires_at - tools.clock()).total_seconds() / 60
        log.info(
            "the token of %s is %s: it lasts %.0f minutes",
            sender.name,
            renewal.outcome.value,
            minutes,
            extra={"event": Word.TOKEN_REFRESHED, "sender": sender.name},
        )
        return
    key, event = remedies.for_grant(renewal.error)
    explained = remedies.explain(
        key, sender=sender, service=tools.services[sender.service], consent_url=tools.consent_url(sender.name)
    )
    log.log(
        # Time mends the one; the others need a person.
        logging.WARNING if renewal.outcome is RefreshOutcome.TRANSIENT else logging.ERROR,
        "no token for %s (%s): %s%s",
        sender.name,
        renewal.outcome.value,
        "" if renewal.error.code == NO_GRANT else f"{renewal.error}; ",
        explained,
        extra={"event": event, "sender": sender.name},
    )
