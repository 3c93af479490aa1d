"""
``send``: one message from the queue to a settled ledger entry, or back to the queue.

1. Read what the queue delivered; what cannot be read or may not be sent is recorded as rejected.
2. Claim it in the ledger. From here on nobody else sends it.
3. Compose it: template, text part, files, limits. What cannot be sent as asked is recorded as rejected.
4. Get an access token for its sender, and hand the message to the mail server.
5. Record what came of it, with the server's reply word for word; where it goes again, put it back with a
   delay; tell those who listen.

Whatever is expected ends normally. What raises is a bug or a storage account that does not answer; the queue
then delivers again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from shared.core import delivery, intake, remedies, sender
from shared.core.delivery import Delivery, Entry, Ignore, LookAgain, OtherContent, State, Take
from shared.core.intake import ClaimCheck, Waiting
from shared.core.oauth import NO_GRANT
from shared.core.reply import Verdict, judge
from shared.errors import GrantError, MessageError, PayloadError
from shared.scribe import Scribe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.composer import Composed
    from shared.core.message import Message
    from shared.core.oauth import AccessToken, Service
    from shared.core.sender import Sender
    from shared.core.smtp import Envelope, Octets, Submission
    from shared.ports import Events, Ledger, Outbox

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
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        """Hand one message over and return what became of it; expected failures do not raise."""
        ...


class Composer(Protocol):
    """Makes a message ready to go; raises ``MessageError`` for one that cannot be sent as asked."""

    def compose(self, message: Message, sender: Sender, *, mail_id: str, date: datetime) -> Composed:
        """Return envelope and octets, the same at every attempt."""
        ...


class Payloads(Protocol):
    """The container that apps put large messages in."""

    def read(self, path: str, *, limit: int) -> bytes | None:
        """Return a blob of at most ``limit`` octets, or None; a larger one is a ``ValueError``."""
        ...


@dataclass(frozen=True, slots=True)
class SendTools:
    """
    What sending needs of the world.

    ``jitter`` gives a number from 0 to 1, ``mail_id`` a new Message-ID for a domain.
    """

    ledger: Ledger
    outbox: Outbox
    events: Events
    payloads: Payloads
    composer: Composer
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


class _Ended(Exception):  # noqa: N818 - never leaves this file
    """The delivery came to its end before anything was sent: recorded as rejected, or nothing to do."""

    def __init__(self, state: State | None) -> None:
        self.state = state


class _Sending:
    """One delivery under way."""

    def __init__(self, tools: SendTools, body: bytes, came: Delivery) -> None:
        self._tools = tools
        self._body = body
        self._came = came
        self._metadata: Mapping[str, str] = {}
        self._scribe = Scribe(
            came, ledger=tools.ledger, outbox=tools.outbox, events=tools.events, clock=tools.clock
        )
        #: What the ledger had of a message that came back from waiting.
        self._waited: Entry | None = None

    def run(self) -> State | None:
        try:
            message = self._read()
            chosen = self._choose_sender(message)
            entry = self._claim(message, chosen)
        except _Ended as ended:
            return ended.state
        return self._scribe.settle(self._attempt(message, chosen, entry))

    # 1. Read.

    def _read(self) -> Message:
        try:
            found = intake.read(self._body, fallback_id=self._came.queue_id)
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
            raise _Ended(self._scribe.leave(entry, f"it is {entry.state.value} already"))
        self._body, self._waited = entry.body, entry
        found = intake.read(entry.body, fallback_id=waiting.id)
        if isinstance(found, Waiting):
            raise _Ended(self._scribe.ignore(waiting.id, "what waits under this id is no message"))
        return found

    def _fetch(self, check: ClaimCheck) -> Message:
        """Read a message that was too large for the queue."""
        try:
            body = self._tools.payloads.read(check.blob, limit=intake.LARGEST_PAYLOAD_BYTES)
        except ValueError as error:
            raise MessageError((f"blob: {error}",)) from None
        if body is None:
            raise MessageError((f"blob: there is no {check.blob} in the container mail-payloads",))
        waited = self._waited
        message = intake.read_payload(body, fallback_id=waited.id if waited else self._came.queue_id)
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
        decision = delivery.claim(
            entry, delivery=self._came, content_hash=entry.content_hash, now=self._tools.clock()
        )
        if isinstance(decision, Ignore):
            # An instance that still has the sender is at it.
            return _Ended(self._scribe.ignore(entry.id, decision.reason))
        return _Ended(self._scribe.settle(self._wait(entry, "; ".join(error.problems))))

    def _end_waiting(self, entry: Entry, error: MessageError) -> _Ended:
        """What it waits to send is gone or another: its own record says so."""
        decision = delivery.claim(
            entry, delivery=self._came, content_hash=entry.content_hash, now=self._tools.clock()
        )
        if isinstance(decision, LookAgain):
            self._scribe.put_back(entry.id, decision.delay)
        if not isinstance(decision, Take):
            return _Ended(self._scribe.ignore(entry.id, decision.reason))
        claimed = self._tools.ledger.update(decision.entry)
        if claimed is None:
            return _Ended(self._scribe.ignore(entry.id, "another delivery of it was faster"))
        reason = "\n".join(error.problems)
        refused = delivery.refuse(claimed, reason=reason, now=self._tools.clock())
        return _Ended(self._scribe.settle(refused))

    # 2. Claim.

    def _claim(self, message: Message, chosen: Sender) -> Entry:
        now = self._tools.clock()
        fresh = delivery.first_claim(
            message_id=message.id,
            content_hash=message.content_hash,
            sender=chosen.name,
            delivery=self._came,
            mail_id=message.fields.message_id or self._tools.mail_id(chosen.from_for(message).domain),
            metadata=message.fields.metadata,
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
            raise self._leave(decision, message, known)

    def _leave(self, decision: LookAgain | Ignore | OtherContent, message: Message, known: Entry) -> _Ended:
        if isinstance(decision, OtherContent):
            error = MessageError((decision.reason,), message_id=message.id)
            # The first message keeps the id; this one is recorded under its queue message's.
            return self._reject(error, self._came.queue_id, message.content_hash, message.fields.sender or "")
        if isinstance(decision, LookAgain):
            self._scribe.put_back(message.id, decision.delay)
        return _Ended(self._scribe.leave(known, decision.reason))

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

    # 3. Compose.

    def _attempt(self, message: Message, chosen: Sender, entry: Entry) -> Entry:
        """Return the entry as it is to be written after this attempt."""
        date = entry.date or entry.created_at
        try:
            composed = self._tools.composer.compose(message, chosen, mail_id=entry.message_id, date=date)
            entry = replace(entry, message_id=composed.mail_id)
            submission = self._submit(composed, chosen)
        except MessageError as error:
            return delivery.refuse(entry, reason="\n".join(error.problems), now=self._tools.clock())
        except GrantError as error:
            return self._wait_for_token(error, chosen, entry)
        except PayloadError as error:
            return self._wait(entry, str(error))
        return self._after(submission, message, chosen, entry)

    # 4. A token, and the mail server.

    def _submit(self, composed: Composed, chosen: Sender) -> Submission:
        """Hand it over; where the token was refused, once more with a new one."""
        tools = self._tools
        token = tools.tokens.token(chosen)
        envelope, octets = composed.envelope, composed.mime
        submission = tools.mailer.submit(chosen, token, envelope, octets, smtputf8=octets.smtputf8)
        if judge(submission).verdict is Verdict.REAUTHENTICATE:
            token = tools.tokens.token_after_refusal(chosen, token)
            submission = tools.mailer.submit(chosen, token, envelope, octets, smtputf8=octets.smtputf8)
        return submission

    def _wait_for_token(self, error: GrantError, chosen: Sender, entry: Entry) -> Entry:
        """Nothing is wrong with the message, so no attempt is counted; the log says what a person must do."""
        key, word = remedies.for_grant(error)
        explained = self._explain(key, chosen)
        reason = explained if error.code == NO_GRANT else f"{error}; {explained}"
        log.warning("mail of %s waits: %s", chosen.name, reason, extra={"event": word, "sender": chosen.name})
        return self._wait(entry, reason)

    def _wait(self, entry: Entry, reason: str) -> Entry:
        return delivery.waiting(
            entry, reason=reason, now=self._tools.clock(), jitter=self._tools.jitter(), body=self._body
        )

    def _after(self, submission: Submission, message: Message, chosen: Sender, entry: Entry) -> Entry:
        judgement = judge(submission)
        return delivery.after(
            entry,
            judgement,
            hold_on_doubt=message.fields.on_doubt == "hold",
            reply=submission.reply.text if submission.reply else "",
            reason=delivery.reason(submission, self._explain(judgement.remedy, chosen)),
            now=self._tools.clock(),
            jitter=self._tools.jitter(),
            body=self._body,
        )

    def _explain(self, key: str, chosen: Sender) -> str:
        return remedies.explain(
            key,
            sender=chosen,
            service=self._tools.services[chosen.service],
            consent_url=self._tools.consent_url(chosen.name),
        )
