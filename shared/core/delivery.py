"""
What is done next with a message: states, the one table of allowed transitions, claims, attempts and back-off.

Nothing here touches the ledger: an ``Entry`` and the time come in, a decision goes out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from shared.core.reply import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from shared.core.reply import Judgement
    from shared.core.smtp import Submission


class State(enum.Enum):
    """Where a message stands."""

    #: Its time has not come.
    SCHEDULED = "scheduled"
    #: It is on the outbox.
    QUEUED = "queued"
    #: An instance has claimed it and is handing it to the server.
    SENDING = "sending"
    #: It goes again later; nobody need do anything.
    DEFERRED = "deferred"
    #: It waits for a person to mend its sender.
    HELD = "held"
    #: The server took responsibility: 250 after the end of data.
    ACCEPTED = "accepted"
    #: It cannot be sent as it stands; the reason says why.
    REJECTED = "rejected"
    #: Its ``expires_at`` passed before it could be sent.
    EXPIRED = "expired"
    #: An app or a person took it back.
    CANCELLED = "cancelled"
    #: The connection was lost after the end of data, and ``on_doubt`` says to hold such a message.
    IN_DOUBT = "in_doubt"
    #: The host gave up on its queue message.
    DEAD_LETTERED = "dead_lettered"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to the message by itself."""
        return not ALLOWED[self]


_END = frozenset[State]()
_WAITING = frozenset(
    {State.SENDING, State.CANCELLED, State.EXPIRED, State.HELD, State.DEFERRED, State.DEAD_LETTERED}
)

#: From each state, the states that may follow. What is not here cannot be written.
ALLOWED: Mapping[State, frozenset[State]] = {
    State.SCHEDULED: _WAITING | {State.QUEUED, State.SCHEDULED, State.REJECTED},
    State.QUEUED: _WAITING | {State.QUEUED, State.REJECTED},
    State.DEFERRED: _WAITING | {State.QUEUED, State.REJECTED},
    State.HELD: _WAITING | {State.QUEUED, State.REJECTED},
    # A claim that its holder lost to a crash is taken again: sending follows sending.
    State.SENDING: frozenset(
        {
            State.SENDING,
            State.ACCEPTED,
            State.DEFERRED,
            State.HELD,
            State.REJECTED,
            State.EXPIRED,
            State.IN_DOUBT,
            State.DEAD_LETTERED,
        }
    ),
    State.ACCEPTED: _END,
    State.REJECTED: _END,
    State.EXPIRED: _END,
    State.CANCELLED: _END,
    State.IN_DOUBT: _END,
    State.DEAD_LETTERED: _END,
}

MOST_ATTEMPTS = 8
FIRST_BACK_OFF = timedelta(seconds=15)
BACK_OFF_GROWTH = 4
LONGEST_BACK_OFF = timedelta(hours=2)
JITTER = 0.2  # of the delay, each way: instances that failed together must not come back together

# How long a message waits that nothing is wrong with: short at first, because a person may be about to mend
# it.
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=1)

# Longer than any attempt: nothing runs longer than the host's functionTimeout of 30 minutes.
CLAIM_LEASE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One time that the queue handed a message over."""

    queue_id: str
    dequeue_count: int


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A message in the ledger.

    ``version`` is the ledger's own mark (an ETag); ``body`` is the message as it came, kept while it waits.
    """

    id: str
    state: State
    content_hash: str
    created_at: datetime
    updated_at: datetime
    sender: str = ""
    attempts: int = 0
    waits: int = 0
    changes: int = 1
    message_id: str = ""
    date: datetime | None = None
    due_at: datetime | None = None
    lease_until: datetime | None = None
    claimed_by: Delivery | None = None
    reply: str = ""
    reason: str = ""
    body: bytes = field(default=b"", repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: str = ""

    def evolve(self, state: State, *, now: datetime, **changes: Any) -> Self:
        """
        Return the entry in its next state.

        Raises ``ValueError`` for a transition that ``ALLOWED`` does not have.
        """
        if state not in ALLOWED[self.state]:
            raise ValueError(f"a message that is {self.state.value} cannot become {state.value}")
        return replace(self, state=state, updated_at=now, changes=self.changes + 1, **changes)

    @property
    def attempt(self) -> int:
        """The number of the attempt that is under way, or would be next."""
        return self.attempts + 1


@dataclass(frozen=True, slots=True)
class Take:
    """Claim it: write ``entry``, then send."""

    entry: Entry


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
    entry: Entry, *, delivery: Delivery, content_hash: str, now: datetime
) -> Take | LookAgain | Ignore | OtherContent:
    """Decide what a delivery may do with a message that the ledger knows already."""
    if entry.content_hash != content_hash:
        return OtherContent(f"id: {entry.id} was used before for a message with other content; use a new id")
    if entry.state.is_settled:
        return Ignore(f"it is {entry.state.value} already")
    if entry.state is State.SENDING:
        return _claim_again(entry, delivery, now)
    if entry.due_at and entry.due_at > now:
        return LookAgain(entry.due_at - now, f"it is {entry.state.value} and not due yet")
    return Take(entry.evolve(State.SENDING, now=now, **_lease(delivery, now)))


def _claim_again(entry: Entry, delivery: Delivery, now: datetime) -> Take | Ignore:
    """Take over from an instance that died, and from no other."""
    before = entry.claimed_by
    # The queue hides a message while its function runs and shows it again only when the instance is gone, so
    # a second delivery of the very queue message that holds the claim proves that the first has ended.
    redelivered = (
        before is not None
        and before.queue_id == delivery.queue_id
        and before.dequeue_count < delivery.dequeue_count
    )
    if not redelivered and entry.lease_until and entry.lease_until > now:
        # The queue message that holds the claim stays on the queue until it is done, so it needs no help from
        # this one.
        return Ignore("another delivery of it is being sent")
    return Take(
        entry.evolve(
            State.SENDING,
            now=now,
            attempts=entry.attempts + 1,
            **_lease(delivery, now)
            | {"reason": "the instance that was sending it ended before it could say what came of it"},
        )
    )


def _lease(delivery: Delivery, now: datetime) -> dict[str, Any]:
    return {
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
) -> Entry:
    """
    Return the entry of a message that the ledger has not seen, claimed.

    It has the Message-ID (``mail_id``) and the Date that it keeps for good.
    """
    return Entry(
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
    """Return how long to wait for something that is not the message's fault: 5 s, doubling to a minute."""
    delay: timedelta = min(FIRST_WAIT * 2 ** min(waits, 10), LONGEST_WAIT)
    return delay * _spread(jitter)


# Exchange counts messages by the minute, and a person seldom mends a mailbox faster than that.
_WAIT_FOR = {
    Verdict.THROTTLE: timedelta(seconds=45),
    Verdict.HOLD: timedelta(minutes=1),
    # Both tokens were refused: a person's business, as on HOLD.
    Verdict.REAUTHENTICATE: timedelta(minutes=1),
}


def reason(submission: Submission, explained: str) -> str:
    """Return why an attempt ended as it did: what the network did, what it means, what the server added."""
    if submission.accepted:
        return "; ".join(f"recipient refused: {reply.text}" for reply in submission.refused.values())
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
    """Return the entry after an attempt: settled, or deferred until it goes again, with ``body`` kept."""
    verdict = judgement.verdict
    if verdict is Verdict.THROTTLE or verdict is Verdict.HOLD or verdict is Verdict.REAUTHENTICATE:
        delay = _WAIT_FOR[verdict] * (1 + JITTER * jitter)
        return waiting(entry, reply=reply, reason=reason, now=now, jitter=jitter, body=body, delay=delay)
    entry = replace(entry, attempts=entry.attempt, reply=reply, reason=reason)
    if verdict is Verdict.ACCEPTED:
        return _settled(entry, State.ACCEPTED, now=now)
    if verdict is Verdict.REJECT:
        return _settled(entry, State.REJECTED, now=now)
    if judgement.doubt and hold_on_doubt:
        return _settled(entry, State.IN_DOUBT, now=now)
    if entry.attempts >= MOST_ATTEMPTS:
        entry = replace(entry, reason=f"{reason}; given up after {entry.attempts} attempts")
        return _settled(entry, State.REJECTED, now=now)
    due_at = now + back_off(entry.attempts, jitter=jitter)
    return _deferred(entry, now=now, waits=0, due_at=due_at, body=body)


def refuse(entry: Entry, *, reason: str, now: datetime) -> Entry:
    """Return the entry of a message that cannot be sent as asked: settled before any server heard of it."""
    return _settled(replace(entry, reply="", reason=reason), State.REJECTED, now=now)


def waiting(
    entry: Entry,
    *,
    reason: str,
    now: datetime,
    jitter: float,
    body: bytes,
    reply: str = "",
    delay: timedelta | None = None,
) -> Entry:
    """Return the entry deferred without an attempt counted: nothing is wrong with the message."""
    due_at = now + (delay or wait(entry.waits, jitter=jitter))
    return _deferred(
        entry, now=now, waits=entry.waits + 1, reply=reply, reason=reason, due_at=due_at, body=body
    )


def _settled(entry: Entry, state: State, *, now: datetime, **changes: Any) -> Entry:
    return entry.evolve(state, now=now, lease_until=None, claimed_by=None, body=b"", **changes)


def _deferred(entry: Entry, *, now: datetime, **changes: Any) -> Entry:
    return entry.evolve(State.DEFERRED, now=now, lease_until=None, claimed_by=None, **changes)
