"""
``send``: one message from the queue to a settled ledger entry, or to where it waits.

1. Read what the queue delivered; what cannot be read or may not be sent is recorded as rejected.
2. Take a seat: the right to send for its sender now. Without one, it goes to the sender's line.
3. Claim it in the ledger. From here on nobody else sends it.
4. Carry it to the mail server.
5. Record what came of it, with the server's reply word for word; where it goes again, it waits in the ledger;
   tell those who listen.

Whatever is expected ends normally. What raises is a bug or a storage account that does not answer; the queue
then delivers again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import claims, holds, intake, outcomes, sender, timing
from shared.core.claims import Adopt, Doubt, Expire, Ignore, LookAgain, OtherContent, Take
from shared.core.delivery import Entry, State
from shared.core.intake import Amendment, Call, ClaimCheck, Waiting
from shared.core.waiting import standing
from shared.desk import Seat
from shared.errors import MessageError
from shared.scribe import Scribe, nowhere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.delivery import Delivery
    from shared.core.message import Message
    from shared.core.sender import Sender
    from shared.core.waiting import InLine
    from shared.desk import NotNow
    from shared.ports import Amender, Courier, Holds, Ledger, Pacer, Payloads
    from shared.scribe import ScribeTools


@dataclass(frozen=True, slots=True)
class SendTools:
    """
    What sending needs of the world.

    ``jitter`` gives a number from 0 to 1, ``mail_id`` a new Message-ID for a domain.
    """

    ledger: Ledger
    scribe: ScribeTools
    payloads: Payloads
    amender: Amender
    pacer: Pacer
    holds: Holds
    courier: Courier
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    mail_id: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What came of a delivery.

    ``state`` is the one that the message is left in, None where it was not touched. ``line`` names the sender
    whose line may have to be served now; ``called`` says that the delivery was a call to do so.
    """

    state: State | None = None
    line: str = ""
    called: bool = False


def send(tools: SendTools, body: bytes, came: Delivery) -> Sent:
    """Carry one delivery as far as it goes."""
    return _Sending(tools, body, came).run()


class _Ended(Exception):  # noqa: N818 - never leaves this file
    """The delivery came to its end before anything was sent."""

    def __init__(self, state: State | None, *, line: str = "", called: bool = False) -> None:
        self.sent = Sent(state, line, called)


class _Sending:
    """One delivery under way."""

    def __init__(self, tools: SendTools, body: bytes, came: Delivery) -> None:
        self._tools = tools
        self._body = body
        self._came = came
        self._metadata: Mapping[str, str] = {}
        self._scribe = Scribe(came, tools.scribe)
        #: What the ledger had of a message that came back from waiting.
        self._waited: Entry | None = None

    def run(self) -> Sent:
        try:
            message = self._read()
            chosen = self._choose_sender(message)
            seat = self._take_seat(message, chosen)
            return self._carry(message, chosen, seat)
        except _Ended as ended:
            return ended.sent

    # 1. Read.

    def _read(self) -> Message:
        try:
            found = intake.read(self._body, fallback_id=self._came.queue_id)
            if isinstance(found, Call):
                raise _Ended(None, line=found.sender, called=True)
            if isinstance(found, Amendment):
                self._tools.amender.amend(found.id, send_at=found.send_at, announce=True)
                raise _Ended(None)
            if isinstance(found, Waiting):
                found = self._recall(found)
            message = self._fetch(found) if isinstance(found, ClaimCheck) else found
        except MessageError as error:
            if self._waited:
                raise self._end_waiting(self._waited, error) from None
            raise self._reject(error, error.message_id or self._came.queue_id) from None
        self._metadata = message.fields.metadata
        return message

    def _recall(self, waiting: Waiting) -> Message | ClaimCheck:
        """Read a message that waits in the ledger."""
        entry = self._tools.ledger.find(waiting.id)
        if entry is None:
            raise _Ended(self._scribe.ignore(waiting.id, "the ledger has no such message"))
        if not entry.body:
            # Settled, or given a time before it came, and not come yet.
            raise _Ended(self._scribe.leave(entry, f"it is {entry.state.value} already"))
        self._body, self._waited = entry.body, entry
        found = intake.read(entry.body, fallback_id=waiting.id)
        if isinstance(found, Waiting | Call | Amendment):
            raise _Ended(self._scribe.ignore(waiting.id, "what waits under this id is no message"))
        return found

    def _fetch(self, check: ClaimCheck) -> Message:
        """Read a message that was too large for the queue."""
        waited = self._waited
        message = intake.fetch(
            check, self._tools.payloads.read, fallback_id=waited.id if waited else self._came.queue_id
        )
        if waited and (message.id, message.content_hash) != (waited.id, waited.content_hash):
            raise MessageError((f"blob: {check.blob} holds another message now than the one that waits",))
        return message

    def _choose_sender(self, message: Message) -> Sender:
        try:
            chosen = sender.choose(self._tools.senders, message)
            chosen.from_for(message)
        except MessageError as error:
            if self._waited:
                raise self._keep_waiting(self._waited, error) from None
            raise self._reject(error, message.id, message.content_hash, message.fields.sender or "") from None
        return chosen

    def _keep_waiting(self, entry: Entry, error: MessageError) -> _Ended:
        """Its sender was taken out of mail.toml after it was accepted: nothing of it is thrown away."""
        taken = self._take_what_waits(entry)
        if isinstance(taken, _Ended):
            return taken
        waits = outcomes.waiting(
            entry,
            reason="; ".join(error.problems),
            now=self._tools.clock(),
            jitter=self._tools.jitter(),
            body=self._body,
        )
        return _Ended(self._scribe.settle(waits, nowhere))

    def _end_waiting(self, entry: Entry, error: MessageError) -> _Ended:
        """What it waits to send is gone or another: its own record says so."""
        taken = self._take_what_waits(entry)
        if isinstance(taken, _Ended):
            return taken
        claimed = self._tools.ledger.update(taken.entry)
        if claimed is None:
            return _Ended(self._scribe.ignore(entry.id, "another delivery of it was faster"))
        reason = "\n".join(error.problems)
        refused = outcomes.refuse(claimed, reason=reason, now=self._tools.clock())
        return _Ended(self._scribe.settle(refused, nowhere))

    def _take_what_waits(self, entry: Entry) -> Take | _Ended:
        """Claim one that cannot be sent as it is; where another has it, or it is not due, that is the end."""
        self._wait_out(entry.due_at)
        decision = claims.claim(
            entry, delivery=self._came, content_hash=entry.content_hash, now=self._tools.clock()
        )
        if isinstance(decision, Take):
            return decision
        if isinstance(decision, LookAgain):
            self._scribe.park(entry, nowhere)
        return _Ended(self._scribe.ignore(entry.id, "it is in other hands, or not due"))

    def _wait_out(self, at: datetime | None) -> None:
        """Wait here for a time that is at hand: what waits is brought back a little early."""
        left = at - self._tools.clock() if at else timedelta()
        if timedelta() < left <= timing.AT_HAND:
            self._tools.scribe.pause(left.total_seconds())

    def _reject(
        self, error: MessageError, message_id: str, content_hash: str = "", sender: str = ""
    ) -> _Ended:
        return _Ended(
            self._scribe.reject(
                error,
                message_id,
                body=self._body,
                metadata=self._metadata,
                content_hash=content_hash,
                sender=sender,
            )
        )

    # 2. Wait for its time; take a seat, or stand in line.

    def _take_seat(self, message: Message, chosen: Sender) -> Seat:
        if self._waited and (ended := self._over(self._waited)):
            raise ended
        if ended := self._wait_for_its_time(message, chosen):
            raise ended
        admitted = self._tools.pacer.admit(
            chosen,
            recipients=message.recipient_count,
            address=chosen.from_for(message).key,
            urgent=message.fields.priority == "high",
        )
        if isinstance(admitted, Seat):
            return admitted
        raise self._stand_in_line(message, chosen, admitted)

    def _over(self, entry: Entry) -> _Ended | None:
        """Return what ends a delivery of a message that is settled."""
        if entry.state.is_settled:
            return _Ended(self._scribe.leave(entry, f"it is {entry.state.value} already"))
        return None

    def _wait_for_its_time(self, message: Message, chosen: Sender) -> _Ended | None:
        """Let a message wait that is early; one that is a moment early waits here."""
        fields, known, now = message.fields, self._waited, self._tools.clock()
        if known is None or known.state is State.QUEUED:
            goes_at = timing.first_try(fields, now)
        else:
            goes_at = timing.within_window(fields, max(known.due_at or now, now))
        if fields.expires_at is not None and fields.expires_at <= max(now, goes_at):
            goes_at = max(now, fields.expires_at)
        if goes_at - now > timing.AT_HAND:
            return self._schedule(message, chosen, goes_at)
        self._wait_out(goes_at)
        return None

    def _schedule(self, message: Message, chosen: Sender, goes_at: datetime) -> _Ended:
        known = self._waited
        if known is None:
            fresh = self._waits(message, chosen, State.SCHEDULED, due_at=goes_at)
            if self._scribe.first(fresh, nowhere):
                return _Ended(fresh.state)
            known = self._tools.ledger.find(message.id)
        while known is not None:
            now = self._tools.clock()
            decision = self._decide(known, message, now)
            if isinstance(decision, Doubt | Expire):
                return _Ended(self._scribe.settle(decision.entry, nowhere))
            if isinstance(decision, Adopt):
                fresh = self._waits(message, chosen, State.SCHEDULED, due_at=goes_at)
                waits = outcomes.adopted(known, fresh, now=now)
            elif isinstance(decision, Take) and self._waited is None:
                # The same message again, while the first waits for its turn, or for another time by now.
                return _Ended(self._scribe.leave(known, f"it is {known.state.value} already"))
            elif isinstance(decision, Take):
                waits = outcomes.scheduled(known, due_at=goes_at, now=now, body=self._body)
            else:
                return self._leave(decision, message, known)
            if self._scribe.amended(waits, nowhere):
                return _Ended(waits.state)
            known = self._tools.ledger.find(message.id)
        return _Ended(self._scribe.ignore(message.id, "its entry was removed"))

    def _waits(
        self,
        message: Message,
        chosen: Sender,
        state: State,
        *,
        due_at: datetime | None = None,
        reason: str = "",
    ) -> Entry:
        """Return the entry of a message that the ledger does not know and that has to wait."""
        return outcomes.first_waiting(
            message_id=message.id,
            content_hash=message.content_hash,
            sender=chosen.name,
            mail_id=self._mail_id(message, chosen),
            metadata=message.fields.metadata,
            now=self._tools.clock(),
            body=self._body,
            reason=reason,
            state=state,
            due_at=due_at,
            planned_at=message.fields.send_at,
            expires_at=message.fields.expires_at,
        )

    def _stand_in_line(self, message: Message, chosen: Sender, why: NotNow) -> _Ended:
        held = why.hold is not None
        known = self._waited
        self._wait_out(message.fields.expires_at)
        while True:
            now = self._tools.clock()
            if known is None:
                state = State.HELD if held else State.DEFERRED
                fresh = self._waits(message, chosen, state, reason=why.reason)
                stand = self._stand(message, chosen, held=held)
                if self._scribe.first(fresh, stand):
                    return self._stands(message, chosen, fresh)
                known = self._tools.ledger.find(message.id)
                continue
            decision = self._decide(known, message, now)
            if isinstance(decision, Doubt | Expire):
                return _Ended(self._scribe.settle(decision.entry, nowhere))
            if isinstance(decision, Adopt):
                self._waited = None
                return self._schedule(message, chosen, known.due_at or now)
            if not isinstance(decision, Take):
                return self._leave(decision, message, known)
            waits = outcomes.in_line(
                known,
                now=now,
                body=self._body,
                reason=why.reason,
                held=held,
                attempts=decision.entry.attempts,
            )
            stand = self._stand(message, chosen, held=held)
            if waits is known:
                self._scribe.park(known, stand)
                return self._stands(message, chosen, known)
            if self._scribe.amended(waits, stand):
                return self._stands(message, chosen, waits)
            known = self._tools.ledger.find(message.id)

    def _stands(self, message: Message, chosen: Sender, entry: Entry) -> _Ended:
        """End a delivery whose message stands in line, or aside."""
        if entry.state is State.HELD:
            self._tools.holds.look_back(chosen, chosen.from_for(message).key)
        return _Ended(entry.state, line=chosen.name)

    def _stand(self, message: Message, chosen: Sender, *, held: bool) -> Callable[[Entry], InLine]:
        """Return what says where in its sender's line, or aside with its From address, the message stands."""
        address = chosen.from_for(message).key
        aside = held and self._tools.holds.stands_aside(chosen, address)
        return standing(message, address=address if aside else "")

    # 3. Claim, 4. carry, 5. record.

    def _carry(self, message: Message, chosen: Sender, seat: Seat) -> Sent:
        counted = False
        try:
            entry = self._claim(message, chosen)
            carried = self._tools.courier.carry(message, chosen, entry, self._body)
            counted = carried.counted
        finally:
            self._tools.pacer.leave(seat, used=counted)
        written, address = carried.entry, chosen.from_for(message).key
        held = written.state is State.HELD
        state = self._scribe.settle(written, self._stand(message, chosen, held=held))
        if held:
            self._tools.holds.look_back(chosen, address)
        if carried.accepted:
            self._clear(chosen, address)
        stands_in_line = state is not None and not state.is_settled and written.due_at is None
        return Sent(state, line=chosen.name if stands_in_line else "")

    def _clear(self, chosen: Sender, address: str) -> None:
        known = self._tools.pacer.known(chosen)
        if known and holds.something_to_clear(known, address):
            self._tools.holds.succeeded(chosen, address)

    def _claim(self, message: Message, chosen: Sender) -> Entry:
        now = self._tools.clock()
        fresh = claims.first_claim(
            message_id=message.id,
            content_hash=message.content_hash,
            sender=chosen.name,
            delivery=self._came,
            mail_id=self._mail_id(message, chosen),
            metadata=message.fields.metadata,
            now=now,
            planned_at=message.fields.send_at,
            expires_at=message.fields.expires_at,
        )
        if claims.is_expired(fresh, now) and self._waited is None:
            gone = claims.expired(self._waits(message, chosen, State.QUEUED), now=now)
            if self._scribe.first(replace(gone, changes=1), nowhere):
                raise _Ended(gone.state)
        known = self._waited
        while True:
            if known is None and (entry := self._tools.ledger.add(fresh)):
                return entry
            known = known or self._tools.ledger.find(message.id)
            if known is None:
                continue  # it was removed in between: the id is free again
            decision = self._decide(known, message, now)
            if isinstance(decision, Take):
                if entry := self._tools.ledger.update(decision.entry):
                    return entry
                known = None  # somebody else was faster: look at what they made of it
                continue
            if isinstance(decision, Doubt | Expire):
                raise _Ended(self._scribe.settle(decision.entry, nowhere))
            if isinstance(decision, Adopt):
                raise self._schedule(message, chosen, known.due_at or now)
            raise self._leave(decision, message, known)

    def _decide(
        self, known: Entry, message: Message, now: datetime
    ) -> Take | Doubt | Expire | Adopt | LookAgain | Ignore | OtherContent:
        return claims.claim(
            known,
            delivery=self._came,
            content_hash=message.content_hash,
            now=now,
            hold_on_doubt=message.fields.on_doubt == "hold",
        )

    def _leave(self, decision: LookAgain | Ignore | OtherContent, message: Message, known: Entry) -> _Ended:
        if isinstance(decision, OtherContent):
            error = MessageError((decision.reason,), message_id=message.id)
            # The first message keeps the id; this one is recorded under its queue message's.
            return self._reject(error, self._came.queue_id, message.content_hash, message.fields.sender or "")
        if isinstance(decision, LookAgain):
            self._scribe.park(known, nowhere)
        return _Ended(self._scribe.leave(known, decision.reason))

    def _mail_id(self, message: Message, chosen: Sender) -> str:
        return message.fields.message_id or self._tools.mail_id(chosen.from_for(message).domain)
