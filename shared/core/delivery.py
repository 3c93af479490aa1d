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
    from collections.abc import Collection, Mapping
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

# How long a message waits that nothing is wrong with (its file could not be read, its sender is not in
# mail.toml): short at first, because that may be mended within seconds.
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)

# Longer than any attempt: nothing runs longer than the host's functionTimeout of 30 minutes.
CLAIM_LEASE = timedelta(minutes=30)
# An instance whose storage is away tries for less than this to write down what came of a message.
LOST_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One time that a message was handed over: by the queue, or, where ``holder`` is named, from its line.

    ``holder`` is the instance that serves the line.
    """

    queue_id: str
    dequeue_count: int
    holder: str = ""


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
class Doubt:
    """It may have been accepted, and ``on_doubt`` says to hold it: write ``entry``."""

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
    entry: Entry,
    *,
    delivery: Delivery,
    content_hash: str,
    now: datetime,
    hold_on_doubt: bool = False,
    alive: Collection[str] = (),
) -> Take | Doubt | LookAgain | Ignore | OtherContent:
    """
    Decide what a delivery may do with a message that the ledger knows already.

    ``alive`` are the instances that are known to live; who serves a line knows them.
    """
    if entry.content_hash != content_hash:
        return OtherContent(f"id: {entry.id} was used before for a message with other content; use a new id")
    if entry.state.is_settled:
        return Ignore(f"it is {entry.state.value} already")
    if entry.state is State.SENDING:
        return _claim_again(entry, delivery, now, hold_on_doubt=hold_on_doubt, alive=alive)
    if entry.due_at and entry.due_at > now:
        return LookAgain(entry.due_at - now, f"it is {entry.state.value} and not due yet")
    return Take(entry.evolve(State.SENDING, now=now, **_lease(entry, delivery, now)))


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
        return Doubt(_settled(counted, State.IN_DOUBT, now=now))
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


def first_in_line(
    *,
    message_id: str,
    content_hash: str,
    sender: str,
    mail_id: str,
    metadata: Mapping[str, str],
    now: datetime,
    body: bytes,
    reason: str,
    held: bool,
) -> Entry:
    """
    Return the entry of a message that the ledger has not seen and that may not go just now.

    It waits in its sender's line, and is held where the sender is.
    """
    return Entry(
        id=message_id,
        state=State.HELD if held else State.DEFERRED,
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
) -> Entry:
    """Return the entry deferred without an attempt counted: nothing is wrong with the message."""
    due_at = now + wait(entry.waits, jitter=jitter)
    return _deferred(entry, now=now, waits=entry.waits + 1, reply="", reason=reason, due_at=due_at, body=body)


def _settled(entry: Entry, state: State, *, now: datetime, **changes: Any) -> Entry:
    return entry.evolve(state, now=now, lease_until=None, claimed_by=None, body=b"", **changes)


def _deferred(entry: Entry, *, now: datetime, **changes: Any) -> Entry:
    return entry.evolve(State.DEFERRED, now=now, lease_until=None, claimed_by=None, **changes)
