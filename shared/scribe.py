"""
The scribe: what comes of a delivery is written into the ledger, told as an event, and said in the log.

Each of its methods ends one delivery, so sending reads as what is done and not as what is written about it.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import metrics, outcomes, timing
from shared.core.address import without_addresses
from shared.core.delivery import State
from shared.core.intake import waiting_body
from shared.core.waiting import due
from shared.errors import StorageError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.delivery import Delivery, Entry
    from shared.core.waiting import InLine
    from shared.errors import MessageError
    from shared.ports import Events, Ledger, Outbox, Telemetry, WaitingRoom

log = logging.getLogger(__name__)

_LOUDNESS = {
    State.ACCEPTED: (logging.INFO, Word.MAIL_ACCEPTED),
    State.REJECTED: (logging.WARNING, Word.MAIL_REJECTED),
    State.DEFERRED: (logging.INFO, Word.MAIL_DEFERRED),
    State.HELD: (logging.INFO, Word.MAIL_HELD),
    State.SCHEDULED: (logging.INFO, Word.MAIL_SCHEDULED),
    State.CANCELLED: (logging.INFO, Word.MAIL_CANCELLED),
    State.EXPIRED: (logging.WARNING, Word.MAIL_EXPIRED),
    State.IN_DOUBT: (logging.WARNING, Word.MAIL_IN_DOUBT),
}


# What is due sooner goes to the outbox at once, to be seen at its time; `release` comes by every minute, and
# this is longer, so that nothing is late between two of its runs.
SOON = timedelta(seconds=75)
# How long an attempt's outcome is written again and again while storage is away. Less than the time after
# which another instance believes this one lost (`claims.LOST_AFTER`), and than the queue's lock.
_STUBBORN_FOR = timedelta(seconds=110)
_STUBBORN_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ScribeTools:
    """What writing down needs of the world."""

    ledger: Ledger
    room: WaitingRoom
    outbox: Outbox
    events: Events
    telemetry: Telemetry
    clock: Callable[[], datetime]
    pause: Callable[[float], object]


class Scribe:
    """Writes down what came of one delivery."""

    def __init__(self, came: Delivery, tools: ScribeTools) -> None:
        self._came = came
        self._ledger = tools.ledger
        self._room = tools.room
        self._outbox = tools.outbox
        self._events = tools.events
        self._telemetry = tools.telemetry
        self._clock = tools.clock
        self._pause = tools.pause

    def settle(self, entry: Entry, stand: Callable[[Entry], InLine]) -> State | None:
        """
        Write the state after an attempt; one that goes again waits where it is found when it may.

        ``stand`` says where in its sender's line it stands.
        """
        written = self._write(entry)
        if written is None:
            # The claim ran out and another instance took it over: its record stands, and ours is only told.
            log.error(
                "message %s was taken over while it was being sent; this attempt ended as %s: %s",
                entry.id,
                entry.state.value,
                without_addresses(entry.reply) or entry.reason,
                extra={"event": Word.MAIL_IGNORED, "message_id": entry.id},
            )
            return None
        if written.state in (State.DEFERRED, State.HELD, State.SCHEDULED):
            self.park(written, stand)
        self._tell(written)
        return written.state

    def first(self, entry: Entry, stand: Callable[[Entry], InLine]) -> bool:
        """Write the entry of a message that has to wait at once; False when its id is taken."""
        return self._found_a_place(self._ledger.add(entry), stand)

    def amended(self, entry: Entry, stand: Callable[[Entry], InLine]) -> bool:
        """Write what an app or a person made of a message; False when somebody else was faster."""
        return self._found_a_place(self._ledger.update(entry), stand)

    def _found_a_place(self, written: Entry | None, stand: Callable[[Entry], InLine]) -> bool:
        """Put what was written where it waits, and tell of it; False when it was not written."""
        if written is None:
            return False
        if not written.state.is_settled:
            self.park(written, stand)
        self._tell(written)
        return True

    def park(self, entry: Entry, stand: Callable[[Entry], InLine]) -> None:
        """Put what waits where it is found: at its time, or when its turn in the line comes."""
        if entry.due_at is None:
            self._room.join(stand(entry))
            if entry.expires_at is not None:  # in line it may stand for days
                self._bring_back(entry, entry.expires_at)
        else:
            self._bring_back(entry, entry.due_at)

    def _write(self, entry: Entry) -> Entry | None:
        """Write what an attempt came to, however long storage is away: the server will not tell it twice."""
        give_up_at = self._clock() + _STUBBORN_FOR
        while True:
            try:
                return self._ledger.update(entry)
            except StorageError as error:
                if self._clock() >= give_up_at:
                    raise
                log.warning(
                    "message %s is %s, and storage does not take it down: %s; trying on",
                    entry.id,
                    entry.state.value,
                    error,
                    extra={"event": Word.STORAGE_AWAY, "message_id": entry.id},
                )
                self._pause(_STUBBORN_PAUSE_SECONDS)

    def reject(
        self,
        error: MessageError,
        message_id: str,
        *,
        body: bytes,
        metadata: Mapping[str, str],
        content_hash: str = "",
        sender: str = "",
    ) -> State | None:
        """
        Record a refusal of what was never claimed.

        Where the id belongs to another message, it is recorded under the queue message's own.
        """
        refusal = outcomes.refusal(
            message_id=message_id,
            content_hash=content_hash or hashlib.sha256(body).hexdigest(),
            sender=sender,
            reason="\n".join(error.problems),
            metadata=metadata,
            now=self._clock(),
        )
        for under in dict.fromkeys((message_id, self._came.queue_id)):
            refusal = replace(refusal, id=under)
            if self._ledger.add(refusal):
                break
            known = self._ledger.find(under)
            if known and known.content_hash == refusal.content_hash:
                return self.leave(known, f"it is {known.state.value} already")
        self._tell(refusal)  # where both ids are taken, it stands in the log and in the event alone
        return State.REJECTED

    def leave(self, known: Entry, reason: str) -> State | None:
        """
        Leave a message as it is; returns None, for this delivery changed nothing.

        Where the queue hands a settled one over again, the delivery before this one broke off after it had
        settled it: what it may not have told is told now, under the same event id.
        """
        if known.state.is_settled and self._came.dequeue_count > 1:
            self._events.tell(known)
        return self.ignore(known.id, reason)

    @staticmethod
    def ignore(message_id: str, reason: str) -> State | None:
        """Say that a delivery had nothing to do; returns None."""
        log.info(
            "message %s: nothing to do, %s",
            message_id,
            reason,
            extra={"event": Word.MAIL_IGNORED, "message_id": message_id},
        )
        return None

    def _bring_back(self, entry: Entry, at: datetime) -> None:
        """Have a message come back at a time."""
        left = at - self._clock()
        if left > SOON:
            self._room.wait(due(entry, at))
            return
        # What is nearly due is brought back when it is: early, it would come round and round.
        early = timing.BROUGHT_BACK_EARLY if left > timing.BROUGHT_BACK_EARLY else timedelta()
        self.put_back(entry.id, left - early)

    def put_back(self, message_id: str, delay: timedelta) -> None:
        """Put a message that waits in the ledger on the outbox, to be seen after ``delay``."""
        self._outbox.put(waiting_body(message_id), delay=max(delay, timedelta()))

    def _tell(self, entry: Entry) -> None:
        """Tell those who listen, by an event and by a line with no recipient and no content in it."""
        self._events.tell(entry)
        if metric := metrics.OF_STATE.get(entry.state):
            self._telemetry.count(metric, sender=entry.sender or "unknown")
        level, word = _LOUDNESS.get(entry.state, (logging.INFO, Word.MAIL_DEFERRED))
        # A server's words may quote a recipient; ours name the accounts that a person must look at.
        reply = without_addresses(entry.reply)
        reason = entry.reason.replace("\n", "; ")
        reason = without_addresses(reason) if entry.state is State.ACCEPTED else reason
        said = " | ".join(part for part in (reply, reason) if part)
        log.log(
            level,
            "message %s is %s (sender %s, attempt %d)%s",
            entry.id,
            entry.state.value,
            entry.sender or "unknown",
            entry.attempts,
            f": {said}" if said else "",
            extra={"event": word, "message_id": entry.id, "sender": entry.sender, "state": entry.state.value},
        )


def nowhere(entry: Entry) -> InLine:
    """Stand in no line: for what is settled, or waits for a time."""
    raise AssertionError(f"message {entry.id} waits for no line")
