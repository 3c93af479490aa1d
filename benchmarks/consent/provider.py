"""
A provider in simulated time: it gives tokens that end, rotates refresh tokens, and is away now and then.

It is strict: a refresh token that is used a second time ends the consent that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.grant import Account, Grant
from shared.core.service import PUBLIC
from shared.errors import ConsentRequiredError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

#: Entra gives access tokens a random life in this range.
SHORTEST_LIFE = timedelta(minutes=60)
LONGEST_LIFE = timedelta(minutes=90)


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which the provider does not answer: from its first moment to before its last."""

    begin: datetime
    end: datetime

    def covers(self, moment: datetime) -> bool:
        """Whether the provider is away at a moment."""
        return self.begin <= moment < self.end


@dataclass(slots=True)
class Provider:
    """``life`` says how long the next access token lasts; ``outages`` are in order."""

    clock: Callable[[], datetime]
    life: Callable[[], timedelta]
    outages: Sequence[Away] = ()
    asked: int = 0
    given: int = 0
    reused: int = 0
    _ends: dict[str, datetime] = field(default_factory=dict)
    _good: dict[str, str] = field(default_factory=dict)
    _over: int = 0

    def consent(self, mailbox: str) -> Grant:
        """Return the grant of a person who signs in now."""
        now = self.clock()
        access, refresh, ends_at = self._issue(mailbox)
        return Grant(
            Account(mailbox),
            (PUBLIC.smtp_scope,),
            now,
            now,
            ends_at,
            refresh_token=refresh,
            access_token=access,
        )

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """Return the grant with a new access token and a new refresh token."""
        self.asked += 1
        if self.is_away():
            raise TokenUnavailableError("the provider answered 503; it is tried again", code="503")
        mailbox = grant.account.username
        if self._good.get(mailbox) != grant.refresh_token:
            self.reused += 1
            self._good.pop(mailbox, None)
            raise ConsentRequiredError("the provider refused: invalid_grant", code="invalid_grant")
        access, refresh, ends_at = self._issue(mailbox)
        return grant.refreshed(access_token=access, refresh_token=refresh, expires_at=ends_at, now=now)

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        """Refuse: nobody sends here without a person's consent."""
        raise ConsentRequiredError(f"{mailbox} has no consent at {now}")

    def is_away(self) -> bool:
        """Whether nothing is answered just now."""
        now = self.clock()
        while self._over < len(self.outages) and self.outages[self._over].end <= now:
            self._over += 1
        return self._over < len(self.outages) and self.outages[self._over].covers(now)

    def is_good(self, access_token: str) -> bool:
        """Whether a mail server would take an access token now."""
        ends_at = self._ends.get(access_token)
        return ends_at is not None and self.clock() < ends_at

    def _issue(self, mailbox: str) -> tuple[str, str, datetime]:
        self.given += 1
        access, refresh = f"access-{self.given}", f"refresh-{self.given}"
        ends_at = self.clock() + self.life()
        self._ends[access] = ends_at
        self._good[mailbox] = refresh
        return access, refresh, ends_at
