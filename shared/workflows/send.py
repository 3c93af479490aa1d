"""
``send``: one message from the queue to a settled ledger entry, or back to the queue.

1. Read what the queue delivered; what cannot be read or may not be sent is recorded as rejected.
2. Claim it in the ledger. From here on nobody else sends it.
3. Get an access token for its sender.
4. Hand it to the mail server.
5. Record what came of it, with the server's reply word for word; where it goes again, put it back with a
delay.

Whatever is expected ends normally. What raises is a bug or a storage account that does not answer; the queue
then delivers again.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from shared.core import delivery, mime, remedies, sender
from shared.core.address import without_addresses
from shared.core.delivery import Delivery, Entry, Ignore, LookAgain, OtherContent, State, Take
from shared.core.message import Message, Waiting, read, waiting_body
from shared.core.oauth import NO_GRANT
from shared.core.reply import Judgement, Verdict, judge
from shared.core.smtp import Envelope, Submission
from shared.errors import GrantError, MessageError
from shared.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.oauth import AccessToken, Service
    from shared.core.sender import Sender
    from shared.ports import Ledger, Outbox

log = logging.getLogger(__name__)


class Tokens(Protocol):
    """Access tokens; both raise ``GrantError`` where there is none to be had."""

    def token(self, sender: Sender) -> AccessToken:
        """Return a usable one."""
        ...

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        """Return another than the one the server has just refused."""
        ...


class Mailer(Protocol):
    """The mail server, over authenticated sessions."""

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: bytes, *, smtputf8: bool
    ) -> Submission:
        """Hand one message over and return what became of it; expected failures do not raise."""
        ...


@dataclass(frozen=True, slots=True)
class SendTools:
    """
    What sending needs of the world.

    ``jitter`` gives a number from 0 to 1, ``mail_id`` a new Message-ID for a domain.
    """

    ledger: Ledger
    outbox: Outbox
    tokens: Tokens
    mailer: Mailer
    senders: Mapping[str, Sender]
    services: Mapping[str, Service]
    consent_url: Callable[[str], str]
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    mail_id: Callable[[str], str]


def send(tools: SendTools, body: bytes, came: Delivery) -> State | None:
    """
    Carry one delivery as far as it goes.

    Returns the state the message is left in, None where it was not touched.
    """
    return _Sending(tools, body, came).run()


class _Refused(Exception):  # noqa: N818 - never leaves this file
    """The message was recorded as rejected, or needs nothing more."""

    def __init__(self, state: State | None) -> None:
        self.state = state


class _Sending:
    """One delivery under way."""

    def __init__(self, tools: SendTools, body: bytes, came: Delivery) -> None:
        self._tools = tools
        self._body = body
        self._came = came
        #: What the ledger had of a message that came back from waiting.
        self._waited: Entry | None = None

    def run(self) -> State | None:
        try:
            message = self._read()
            chosen = self._choose_sender(message)
            entry = self._claim(message, chosen)
        except _Refused as refused:
            return refused.state
        entry = self._attempt(message, chosen, entry)
        return self._settle(entry, chosen.name)

    # 1. Read.

    def _read(self) -> Message:
        try:
            found = read(self._body, fallback_id=self._came.queue_id)
        except MessageError as error:
            raise self._reject(error, error.message_id or self._came.queue_id) from None
        return self._recall(found) if isinstance(found, Waiting) else found

    def _recall(self, waiting: Waiting) -> Message:
        """Read a message that waits in the ledger."""
        entry = self._tools.ledger.find(waiting.id)
        if entry is None or not entry.body:
            said = f"it is {entry.state.value}" if entry else "the ledger has no such message"
            raise self._ignore(waiting.id, said)
        self._body, self._waited = entry.body, entry
        found = read(entry.body, fallback_id=waiting.id)
        if isinstance(found, Waiting):
            raise self._ignore(waiting.id, "what waits under this id is no message")
        return found

    def _choose_sender(self, message: Message) -> Sender:
        try:
            chosen = sender.choose(self._tools.senders, message)
            chosen.from_for(message)
        except MessageError as error:
            if self._waited:
                raise self._keep_waiting(self._waited, error) from None
            raise self._reject(error, message.id, message.content_hash, message.fields.sender or "") from None
        return chosen

    def _keep_waiting(self, entry: Entry, error: MessageError) -> _Refused:
        """Its sender was taken out of mail.toml after it was accepted: nothing of it is thrown away."""
        now = self._tools.clock()
        decision = delivery.claim(entry, delivery=self._came, content_hash=entry.content_hash, now=now)
        if isinstance(decision, Ignore):
            return self._ignore(entry.id, decision.reason)  # an instance that still has the sender is at it
        reason = "; ".join(error.problems)
        later = delivery.waiting(entry, reason=reason, now=now, jitter=self._tools.jitter(), body=entry.body)
        return _Refused(self._settle(later, entry.sender))

    # 2. Claim.

    def _claim(self, message: Message, chosen: Sender) -> Entry:
        now = self._tools.clock()
        fresh = delivery.first_claim(
            message_id=message.id,
            content_hash=message.content_hash,
            sender=chosen.name,
            delivery=self._came,
            mail_id=self._tools.mail_id(chosen.from_for(message).domain),
            now=now,
        )
        known = self._waited
        while True:
            if known is None and (entry := self._tools.ledger.add(fresh)):
                return entry
            known = known or self._tools.ledger.find(message.id)
            if known is None:
                continue  # it was removed in between: the id is free again
            decision = delivery.claim(known, delivery=self._came, content_hash=message.content_hash, now=now)
            if isinstance(decision, Take):
                if entry := self._tools.ledger.update(decision.entry):
                    return entry
                known = None  # somebody else was faster: look at what they made of it
                continue
            raise self._leave(decision, message)

    def _leave(self, decision: LookAgain | Ignore | OtherContent, message: Message) -> _Refused:
        if isinstance(decision, OtherContent):
            error = MessageError((decision.reason,), message_id=message.id)
            # The first message keeps the id; this one is recorded under its queue message's.
            return self._reject(error, self._came.queue_id, message.content_hash, message.fields.sender or "")
        if isinstance(decision, LookAgain):
            self._put_back(message.id, decision.delay)
        return self._ignore(message.id, decision.reason)

    # 3 and 4. A token, and the mail server.

    def _attempt(self, message: Message, chosen: Sender, entry: Entry) -> Entry:
        """Return the entry as it is to be written after this attempt."""
        from_address = chosen.from_for(message)
        octets = mime.build(
            message, from_address=from_address, mail_id=entry.message_id, date=entry.date or entry.created_at
        )
        envelope = Envelope(
            from_address.addr_spec, tuple(address.addr_spec for address in message.recipients)
        )
        smtputf8 = mime.needs_smtputf8(message, from_address)
        try:
            token = self._tools.tokens.token(chosen)
            submission = self._tools.mailer.submit(chosen, token, envelope, octets, smtputf8=smtputf8)
            judgement = judge(submission)
            if judgement.verdict is Verdict.REAUTHENTICATE:
                token = self._tools.tokens.token_after_refusal(chosen, token)
                submission = self._tools.mailer.submit(chosen, token, envelope, octets, smtputf8=smtputf8)
                judgement = judge(submission)
        except GrantError as error:
            return self._wait_for_token(error, chosen, entry)
        return self._after(submission, judgement, chosen, entry)

    def _wait_for_token(self, error: GrantError, chosen: Sender, entry: Entry) -> Entry:
        """Nothing is wrong with the message, so no attempt is counted; the log says what a person must do."""
        key, event = remedies.for_grant(error)
        explained = self._explain(key, chosen)
        reason = explained if error.code == NO_GRANT else f"{error}; {explained}"
        log.warning(
            "mail of %s waits: %s", chosen.name, reason, extra={"event": event, "sender": chosen.name}
        )
        return delivery.waiting(
            entry, reason=reason, now=self._tools.clock(), jitter=self._tools.jitter(), body=self._body
        )

    def _after(self, submission: Submission, judgement: Judgement, chosen: Sender, entry: Entry) -> Entry:
        return delivery.after(
            entry,
            judgement.verdict,
            reply=submission.reply.text if submission.reply else "",
            reason=delivery.reason(submission, self._explain(judgement.remedy, chosen)),
            now=self._tools.clock(),
            jitter=self._tools.jitter(),
            body=self._body,
        )

    # 5. Settle.

    def _settle(self, entry: Entry, sender_name: str) -> State | None:
        written = self._tools.ledger.update(entry)
        if written is None:
            # The claim ran out and another instance took it over: its record stands, and ours is only told.
            log.error(
                "message %s was taken over while it was being sent; this attempt ended as %s: %s",
                entry.id,
                entry.state.value,
                entry.reply or entry.reason,
                extra={"event": Event.MAIL_IGNORED, "message_id": entry.id},
            )
            return None
        if written.due_at is not None:
            self._put_back(entry.id, written.due_at - self._tools.clock())
        self._say(written, sender_name)
        return written.state

    def _put_back(self, message_id: str, delay: timedelta) -> None:
        self._tools.outbox.put(waiting_body(message_id), delay=max(delay, timedelta()))

    # What is recorded and said on the way.

    def _reject(
        self, error: MessageError, message_id: str, content_hash: str = "", sender_name: str = ""
    ) -> _Refused:
        """Record a refusal; where the id belongs to another message, under the queue message's own id."""
        content_hash = content_hash or hashlib.sha256(self._body).hexdigest()
        refusal = delivery.refusal(
            message_id=message_id,
            content_hash=content_hash,
            sender=sender_name,
            reason="\n".join(error.problems),
            now=self._tools.clock(),
        )
        if not self._tools.ledger.add(refusal):
            known = self._tools.ledger.find(message_id)
            if known and known.content_hash == content_hash:
                return self._ignore(message_id, f"it is {known.state.value} already")
            if message_id != self._came.queue_id:
                return self._reject(error, self._came.queue_id, content_hash, sender_name)
        self._say(refusal, sender_name)
        return _Refused(State.REJECTED)

    def _ignore(self, message_id: str, reason: str) -> _Refused:
        log.info(
            "message %s: nothing to do, %s",
            message_id,
            reason,
            extra={"event": Event.MAIL_IGNORED, "message_id": message_id},
        )
        return _Refused(None)

    def _explain(self, key: str, chosen: Sender) -> str:
        return remedies.explain(
            key,
            sender=chosen,
            service=self._tools.services[chosen.service],
            consent_url=self._tools.consent_url(chosen.name),
        )

    def _say(self, entry: Entry, sender_name: str) -> None:
        """One line for each message that changed, with no address and no content in it."""
        level, event = _LOUDNESS.get(entry.state, (logging.INFO, Event.MAIL_DEFERRED))
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
            sender_name or "unknown",
            entry.attempts,
            f": {said}" if said else "",
            extra={"event": event, "message_id": entry.id, "sender": sender_name, "state": entry.state.value},
        )


_LOUDNESS = {
    State.ACCEPTED: (logging.INFO, Event.MAIL_ACCEPTED),
    State.REJECTED: (logging.WARNING, Event.MAIL_REJECTED),
    State.DEFERRED: (logging.INFO, Event.MAIL_DEFERRED),
}
