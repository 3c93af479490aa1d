"""
Where a message stands: its states, the one table of allowed transitions, and its entry in the ledger.

What may be done with an entry is decided in ``core.claims``, what becomes of it in ``core.outcomes``. Nothing
here touches the ledger: an ``Entry`` and the time come in, a decision goes out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any


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
    State.QUEUED: _WAITING | {State.QUEUED, State.SCHEDULED, State.REJECTED},
    State.DEFERRED: _WAITING | {State.QUEUED, State.SCHEDULED, State.REJECTED},
    State.HELD: _WAITING | {State.QUEUED, State.SCHEDULED, State.REJECTED},
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
# The content of a message of which nothing but its id is known.
ANNOUNCED = ""


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
    One without a ``content_hash`` was announced (cancelled, or given another time) before it came.
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
    expires_at: datetime | None = None
    #: When it was to go, whatever it waited for after that.
    planned_at: datetime | None = None
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


def settled(entry: Entry, state: State, *, now: datetime, **changes: Any) -> Entry:
    """Return the entry in a state that ends it; nothing of what it waited with is kept."""
    return entry.evolve(state, now=now, lease_until=None, claimed_by=None, due_at=None, body=b"", **changes)
