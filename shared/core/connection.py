"""
What is known of a sender's connection to its provider, and when somebody is to be warned that it will end.

All instances may know it and so may whoever asks: there is no token here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.core.grant import Grant
    from shared.core.holds import SenderState

# A sender with mail in this time has a token at hand at any moment.
WARM_FOR: Final = timedelta(days=1)
# When somebody hears that a client secret or a certificate is about to end; on the last day and after it,
# every day.
WARN_BEFORE: Final = (timedelta(days=30), timedelta(days=7), timedelta(days=1))
_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Connection:
    """Whose grant a sender has, and how long it lasts; ``dies_at`` is None for an application's own."""

    account: str
    display_name: str
    connected_at: datetime
    refreshed_at: datetime
    token_expires_at: datetime
    dies_at: datetime | None

    @classmethod
    def of(cls, grant: Grant) -> Connection:
        """Return what may be told of ``grant``."""
        return cls(
            grant.account.username,
            grant.account.display_name,
            connected_at=grant.consented_at,
            refreshed_at=grant.refreshed_at,
            token_expires_at=grant.expires_at,
            dies_at=grant.dies_at,
        )


@dataclass(frozen=True, slots=True)
class Warned:
    """The last warning: of what end, how long before it, and when it was given."""

    expires_at: datetime
    before: timedelta
    at: datetime


def connected(state: SenderState, grant: Grant) -> SenderState:
    """Return the state after a person has consented."""
    return replace(state, connection=Connection.of(grant), granted_at=grant.consented_at)


def disconnected(state: SenderState, now: datetime) -> SenderState:
    """Return the state after a person has taken the grant away."""
    return replace(state, connection=None, granted_at=now)


def seen(state: SenderState, grant: Grant | None, credential_expires_at: datetime | None) -> SenderState:
    """Return the state with what upkeep saw; the very same one where nothing is new."""
    connection = Connection.of(grant) if grant else state.connection
    if (connection, credential_expires_at) == (state.connection, state.credential_expires_at):
        return state
    return replace(state, connection=connection, credential_expires_at=credential_expires_at)


def warned(state: SenderState, warning: Warned) -> SenderState:
    """Return the state after a warning."""
    return replace(state, warned=warning)


def is_warm(state: SenderState, now: datetime) -> bool:
    """Whether a token must be at hand: for mail of the last day, mail that waits, or a new consent."""
    lately = (state.last_mail_at, state.granted_at)
    return state.line or any(at is not None and now - at < WARM_FOR for at in lately)


def warning(expires_at: datetime, before: Warned | None, now: datetime) -> Warned | None:
    """Return the warning that is due now about what ends at ``expires_at``, None where none is."""
    left = expires_at - now
    reached = [threshold for threshold in WARN_BEFORE if left <= threshold]
    if not reached:
        return None
    threshold = min(reached)
    if before and before.expires_at == expires_at and before.before <= threshold:
        last_day = threshold == min(WARN_BEFORE)
        if not (last_day and now - before.at >= _EVERY):
            return None
    return Warned(expires_at, threshold, now)
