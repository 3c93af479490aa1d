"""
What becomes of a message: after an attempt, or when it has to wait, is refused, taken back or moved.

Back-off and the number of attempts are here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.delivery import ALLOWED, ANNOUNCED, Entry, State, settled
from shared.core.reply import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from shared.core.reply import Judgement
    from shared.core.smtp import Submission

MOST_ATTEMPTS = 8
FIRST_BACK_OFF = timedelta(seconds=15)
BACK_OFF_GROWTH = 4
LONGEST_BACK_OFF = timedelta(hours=2)
JITTER = 0.2  # of the delay, each way: instances that failed together must not come back together
# How long a message waits that nothing is wrong with (its file could not be read, its sender is not in
# mail.toml): short at first, because that may be mended within seconds.
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)


def first_waiting(
    *,
    message_id: str,
    content_hash: str,
    sender: str,
    mail_id: str,
    metadata: Mapping[str, str],
    now: datetime,
    body: bytes,
    reason: str,
    state: State,
    due_at: datetime | None = None,
    planned_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Entry:
    """
    Return the entry of a message that the ledger has not seen and that may not go just now.

    It waits until ``due_at``, or else in its sender's line.
    """
    return Entry(
        id=message_id,
        state=state,
        due_at=due_at,
        planned_at=due_at or planned_at,
        expires_at=expires_at,
        content_hash=content_hash,
        created_at=now,
        updated_at=now,
        sender=sender,
        message_id=mail_id,
        metadata=metadata,
        body=body,
        reason=reason,
    )


def in_line(
    entry: Entry, *, now: datetime, body: bytes, reason: str, held: bool, attempts: int | None = None
) -> Entry:
    """
    Return the entry waiting in its sender's line; the very same where it does already.

    ``attempts`` is how many there have been, where that is not what the entry says.
    """
    state = State.HELD if held else State.DEFERRED
    attempts = entry.attempts if attempts is None else attempts
    if entry.state is state and entry.due_at is None and entry.attempts == attempts:
        return entry
    return entry.evolve(
        state,
        now=now,
        lease_until=None,
        claimed_by=None,
        due_at=None,
        body=body,
        reason=reason,
        attempts=attempts,
    )


def refusal(
    *,
    message_id: str,
    content_hash: str,
    sender: str,
    reason: str,
    metadata: Mapping[str, str],
    now: datetime,
) -> Entry:
    """Return the entry of a message that was refused before anything was sent."""
    return Entry(
        id=message_id,
        state=State.REJECTED,
        content_hash=content_hash,
        created_at=now,
        updated_at=now,
        sender=sender,
        reason=reason,
        metadata=metadata,
    )


def back_off(attempts: int, *, jitter: float) -> timedelta:
    """
    Return how long to wait after ``attempts`` attempts: 15 s, 1 min, 4 min, 16 min, 64 min, then 2 h.

    ``jitter`` is a number from 0 to 1.
    """
    delay: timedelta = min(FIRST_BACK_OFF * BACK_OFF_GROWTH ** (attempts - 1), LONGEST_BACK_OFF)
    return delay * _spread(jitter)


def _spread(jitter: float) -> float:
    return 1 - JITTER + 2 * JITTER * jitter


def wait(waits: int, *, jitter: float) -> timedelta:
    """Return how long to wait for something that is not the message's fault: 5 s, doubling to 15 minutes."""
    delay: timedelta = min(FIRST_WAIT * 2 ** min(waits, 10), LONGEST_WAIT)
    return delay * _spread(jitter)


def reason(submission: Submission, explained: str) -> str:
    """Return why an attempt ended as it did: what the network did, what it means, what the server added."""
    if submission.accepted:
        return "; ".join(f"{who} was refused: {reply.text}" for who, reply in submission.refused.items())
    said = f"{submission.problem}; {explained}" if submission.problem else explained
    return f"{said}; the server adds {submission.challenge}" if submission.challenge else said


def after(
    entry: Entry,
    judgement: Judgement,
    *,
    hold_on_doubt: bool,
    reply: str,
    reason: str,
    now: datetime,
    jitter: float,
    body: bytes,
) -> Entry:
    """
    Return the entry after an attempt: settled, deferred until it goes again, or in its sender's line.

    ``body`` is kept with what waits. In line is what has no ``due_at``.
    """
    verdict = judgement.verdict
    if verdict is Verdict.THROTTLE or verdict is Verdict.HOLD or verdict is Verdict.REAUTHENTICATE:
        held = verdict is not Verdict.THROTTLE  # both tokens refused: a person's business, as on HOLD
        return in_line(replace(entry, reply=reply), now=now, body=body, reason=reason, held=held)
    entry = replace(entry, attempts=entry.attempt, reply=reply, reason=reason)
    if verdict is Verdict.ACCEPTED:
        return settled(entry, State.ACCEPTED, now=now)
    if verdict is Verdict.REJECT:
        return settled(entry, State.REJECTED, now=now)
    if judgement.doubt and hold_on_doubt:
        return settled(entry, State.IN_DOUBT, now=now)
    if entry.attempts >= MOST_ATTEMPTS:
        entry = replace(entry, reason=f"{reason}; given up after {entry.attempts} attempts")
        return settled(entry, State.REJECTED, now=now)
    due_at = now + back_off(entry.attempts, jitter=jitter)
    return _deferred(entry, now=now, waits=0, due_at=due_at, body=body)


def refuse(entry: Entry, *, reason: str, now: datetime) -> Entry:
    """Return the entry of a message that cannot be sent as asked: settled before any server heard of it."""
    return settled(replace(entry, reply="", reason=reason), State.REJECTED, now=now)


def waiting(
    entry: Entry,
    *,
    reason: str,
    now: datetime,
    jitter: float,
    body: bytes,
) -> Entry:
    """Return the entry deferred without an attempt counted: nothing is wrong with the message."""
    due_at = now + wait(entry.waits, jitter=jitter)
    return _deferred(entry, now=now, waits=entry.waits + 1, reply="", reason=reason, due_at=due_at, body=body)


def scheduled(entry: Entry, *, due_at: datetime, now: datetime, body: bytes, reason: str = "") -> Entry:
    """Return the entry waiting for its time; the very same where it does already."""
    if entry.state is State.SCHEDULED and entry.due_at == due_at:
        return entry
    planned = entry.state in (State.SCHEDULED, State.QUEUED)
    return entry.evolve(
        State.SCHEDULED if planned else State.DEFERRED,
        now=now,
        due_at=due_at,
        planned_at=due_at if planned else entry.planned_at,
        body=body,
        reason=reason,
        lease_until=None,
        claimed_by=None,
    )


@dataclass(frozen=True, slots=True)
class TooLate:
    """It cannot be changed any more; ``state`` says why."""

    state: State

    @property
    def reason(self) -> str:
        """Why, as a sentence."""
        if self.state is State.SENDING:
            return "it is being sent just now"
        return f"it is {self.state.value} already"


def cancel(entry: Entry, *, now: datetime) -> Entry | TooLate:
    """Return the entry taken back, or why that comes too late."""
    if State.CANCELLED not in ALLOWED[entry.state]:
        return TooLate(entry.state)
    return settled(replace(entry, reply="", reason="it was taken back"), State.CANCELLED, now=now)


def reschedule(entry: Entry, *, send_at: datetime, now: datetime) -> Entry | TooLate:
    """Return the entry with another time, or why that comes too late."""
    if State.SCHEDULED not in ALLOWED[entry.state]:
        return TooLate(entry.state)
    said = f"it was given another time, {send_at.isoformat(timespec='seconds')}"
    return entry.evolve(
        State.SCHEDULED,
        now=now,
        due_at=min(send_at, entry.expires_at or send_at),
        planned_at=send_at,
        reason=said,
        reply="",
        lease_until=None,
        claimed_by=None,
    )


def announced(message_id: str, *, now: datetime, send_at: datetime | None) -> Entry:
    """Return the entry of a message that was cancelled, or given a time, before it came."""
    state = State.CANCELLED if send_at is None else State.SCHEDULED
    said = "it was taken back before it came" if send_at is None else "it was given a time before it came"
    return Entry(
        id=message_id,
        state=state,
        content_hash=ANNOUNCED,
        created_at=now,
        updated_at=now,
        due_at=send_at,
        planned_at=send_at,
        reason=said,
    )


def adopted(entry: Entry, came: Entry, *, now: datetime) -> Entry:
    """Return the entry of a message that was given a time before it came, with what came."""
    return replace(
        came,
        state=State.SCHEDULED,
        created_at=entry.created_at,
        updated_at=now,
        due_at=entry.due_at,
        planned_at=entry.planned_at,
        changes=entry.changes + 1,
        version=entry.version,
        reason=entry.reason,
    )


def _deferred(entry: Entry, *, now: datetime, due_at: datetime, **changes: Any) -> Entry:
    # When it expires, that is what is to be found out about it next.
    due_at = min(due_at, entry.expires_at or due_at)
    return entry.evolve(State.DEFERRED, now=now, lease_until=None, claimed_by=None, due_at=due_at, **changes)
