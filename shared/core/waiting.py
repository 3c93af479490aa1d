"""
Where mail waits: in the line of its sender, or until a time.

A *line* has everything of one sender that could go but may not just now, in the order in which it goes: by
priority, then by age. What is held for a From address stands aside, in a line of its own, until that address
may send again. What waits for a *time* (a back-off, a later hour) is found by that time.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.delivery import Entry
    from shared.core.message import Message

# A partition of Azure Tables takes 2,000 writes a second; eight of them take more than a queue delivers.
DUE_SHARDS: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Rank(enum.IntEnum):
    """The order within a line; lower goes first."""

    #: Somebody waits for it: a password reset, a code.
    HIGH = 1
    #: Everything else.
    NORMAL = 2
    #: Newsletters, reports.
    LOW = 3

    @classmethod
    def of(cls, priority: str) -> Rank:
        """Return the rank of a message's ``priority``."""
        return cls[priority.upper()]


@dataclass(frozen=True, slots=True)
class InLine:
    """
    One message in a line.

    ``line`` and ``key`` are where it stands; keys sort as the messages go. ``recipients`` is how many it has,
    ``since`` when it came to wait.
    """

    line: str
    key: str
    message_id: str
    recipients: int
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Due:
    """One message that waits for a time; ``shard`` and ``key`` are where it stands."""

    shard: str
    key: str
    message_id: str
    at: datetime


def line_of(sender: str, address: str = "") -> str:
    """Return the name of a sender's line, or of the one where the mail of a held address stands aside."""
    if not address:
        return f"line-{sender}"
    # An address may hold letters that a key may not.
    return f"held-{sender}-{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def in_line(entry: Entry, *, rank: Rank, recipients: int, address: str = "") -> InLine:
    """
    Return the place of a message in its sender's line.

    The same for as long as its entry is the same: who writes it twice has written it once. A message that
    comes back to the line stands there under another key, so a late removal of the old one does not take it.
    """
    age = _microseconds(entry.created_at)
    key = f"{rank:d}-{age:018d}-{entry.changes:06d}-{entry.id}"
    return InLine(line_of(entry.sender, address), key, entry.id, recipients, entry.updated_at)


def standing(message: Message, *, address: str = "") -> Callable[[Entry], InLine]:
    """Return what says where a message stands: in its sender's line, or aside with its From address."""
    rank, recipients = Rank.of(message.fields.priority), message.recipient_count
    return lambda entry: in_line(entry, rank=rank, recipients=recipients, address=address)


def due(entry: Entry, at: datetime) -> Due:
    """Return where a message waits for a time."""
    shard = int.from_bytes(hashlib.sha256(entry.id.encode()).digest()[:2], "big") % DUE_SHARDS
    return Due(f"due-{shard}", f"{due_key(at)}-{entry.id}", entry.id, at)


def due_key(at: datetime) -> str:
    """Return the key from which on nothing is due at ``at``."""
    return f"{_microseconds(at):018d}"


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
