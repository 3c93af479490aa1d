"""
Who may send a message: claims, and what a delivery may do with an entry that the ledger knows already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.delivery import ANNOUNCED, Delivery, Entry, State, settled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

# A scheduled message that goes later than this says so in its history.
LATE = timedelta(minutes=1)
# Longer than any attempt: nothing runs longer than the host's functionTimeout of 30 minutes.
CLAIM_LEASE = timedelta(minutes=30)
# An instance whose storage is away tries for less than this to write down what came of a message.
LOST_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Take:
    """Claim it: write ``entry``, then send."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Doubt:
    """It may have been accepted, and ``on_doubt`` says to hold it: write ``entry``."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Expire:
    """Its ``expires_at`` has passed: write ``entry``, and send nothing."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Adopt:
    """It was given a time before it came: write what came with it, and let it wait."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Leave it and look again after ``delay``."""

    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing is to be done: it is settled, or another queue message will see to it."""

    reason: str


@dataclass(frozen=True, slots=True)
class OtherContent:
    """The id belongs to another message, which stays as it is."""

    reason: str


def claim(
    entry: Entry,
    *,
    delivery: Delivery,
    content_hash: str,
    now: datetime,
    hold_on_doubt: bool = False,
    alive: Collection[str] = (),
) -> Take | Doubt | Expire | Adopt | LookAgain | Ignore | OtherContent:
    """
    Decide what a delivery may do with a message that the ledger knows already.

    ``alive`` are the instances that are known to live; who serves a line knows them.
    """
    if entry.content_hash != content_hash:
        return _claim_unknown(entry)
    if entry.state.is_settled:
        return Ignore(f"it is {entry.state.value} already")
    if entry.state is State.SENDING:
        return _claim_again(entry, delivery, now, hold_on_doubt=hold_on_doubt, alive=alive)
    if is_expired(entry, now):
        return Expire(expired(entry, now=now))
    if entry.due_at and entry.due_at > now:
        return LookAgain(entry.due_at - now, f"it is {entry.state.value} and not due yet")
    taken = entry.evolve(State.SENDING, now=now, **_lease(entry, delivery, now))
    return Take(replace(taken, reason=_lateness(entry, now)))


def _claim_unknown(entry: Entry) -> Ignore | Adopt | OtherContent:
    """Decide about a message whose id the ledger knows, and not its content."""
    if entry.content_hash != ANNOUNCED:
        return OtherContent(f"id: {entry.id} was used before for a message with other content; use a new id")
    return Ignore(f"it was {entry.state.value} before it came") if entry.state.is_settled else Adopt()


def is_expired(entry: Entry, now: datetime) -> bool:
    """Whether the message is of no more use to those it is for."""
    return entry.expires_at is not None and entry.expires_at <= now


def expired(entry: Entry, *, now: datetime) -> Entry:
    """Return the entry of a message whose ``expires_at`` passed before it could be sent."""
    waited = f"; it waited because {entry.reason}" if entry.reason else ""
    at = entry.expires_at or now
    said = f"its expires_at {at.isoformat(timespec='seconds')} passed before it could be sent{waited}"
    return settled(replace(entry, reply="", reason=said), State.EXPIRED, now=now)


def _lateness(entry: Entry, now: datetime) -> str:
    """Return how late a scheduled message goes, where that is worth a word."""
    planned = entry.planned_at
    if planned is None or entry.attempts or now - planned < LATE:
        return ""
    late = timedelta(seconds=round((now - planned).total_seconds()))
    return f"{late} late: it was due at {planned.isoformat(timespec='seconds')}"


_CRASHED = "the instance that was sending it ended before it could say what came of it"


def _claim_again(
    entry: Entry, delivery: Delivery, now: datetime, *, hold_on_doubt: bool, alive: Collection[str]
) -> Take | Doubt | Ignore:
    """Take over from an instance that died, and from no other."""
    if not _has_died(entry, delivery, now, alive) and entry.lease_until and entry.lease_until > now:
        # What holds the claim stays on the queue, or in the line, until it is done, so it needs no help from
        # this delivery.
        return Ignore("another delivery of it is being sent")
    if hold_on_doubt:
        counted = replace(entry, attempts=entry.attempts + 1, reason=f"{_CRASHED}; it may have been accepted")
        return Doubt(settled(counted, State.IN_DOUBT, now=now))
    return Take(
        entry.evolve(
            State.SENDING,
            now=now,
            attempts=entry.attempts + 1,
            **_lease(entry, delivery, now) | {"reason": _CRASHED},
        )
    )


def _has_died(entry: Entry, delivery: Delivery, now: datetime, alive: Collection[str]) -> bool:
    """Whether the instance that holds the claim is known to be gone."""
    before = entry.claimed_by
    if before is None:
        return False
    if before.holder:
        # Its leases have ended, and so long ago that one whose storage was away would have come back.
        gone = before.holder not in alive and now - entry.updated_at >= LOST_AFTER
        # Its own claim comes back to an instance that could not write down what came of it.
        return bool(delivery.holder) and (before.holder == delivery.holder or gone)
    # The queue hides a message while its function runs and shows it again only when the instance is gone, so
    # a second delivery of the very queue message that holds the claim proves that the first has ended.
    return before.queue_id == delivery.queue_id and before.dequeue_count < delivery.dequeue_count


def _lease(entry: Entry, delivery: Delivery, now: datetime) -> dict[str, Any]:
    return {
        "date": entry.date or now.replace(microsecond=0),
        "claimed_by": delivery,
        "lease_until": now + CLAIM_LEASE,
        "due_at": None,
        "reply": "",  # what an attempt before this one was told stands in the history
        "reason": "",
    }


def first_claim(
    *,
    message_id: str,
    content_hash: str,
    sender: str,
    delivery: Delivery,
    mail_id: str,
    metadata: Mapping[str, str],
    now: datetime,
    planned_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Entry:
    """
    Return the entry of a message that the ledger has not seen, claimed.

    It has the Message-ID (``mail_id``) and the Date that it keeps for good.
    """
    entry = Entry(
        id=message_id,
        state=State.SENDING,
        content_hash=content_hash,
        created_at=now,
        updated_at=now,
        sender=sender,
        message_id=mail_id,
        metadata=metadata,
        date=now.replace(microsecond=0),
        lease_until=now + CLAIM_LEASE,
        claimed_by=delivery,
        expires_at=expires_at,
        planned_at=planned_at,
    )
    return replace(entry, reason=_lateness(entry, now))
