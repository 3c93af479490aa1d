"""
The courier: carries one claimed message to the mail server and says what came of it.

It composes the message, gets an access token, hands it over, and, where the token was refused, does so once
more with a new one. What an attempt says about its sender goes to `Holds`; what it says about the message
comes back as the entry that is to be written.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from shared.core import holds, outcomes, remedies, timing
from shared.core.holds import Finding, Pause, Proof
from shared.core.remedies import ABOUT_THE_GRANT, CATALOGUE, Who
from shared.core.reply import Verdict, judge
from shared.core.smtp import Phase
from shared.errors import GrantError, MessageError, PayloadError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.composer import Composed
    from shared.core.delivery import Entry
    from shared.core.grant import AccessToken
    from shared.core.holds import Hold
    from shared.core.message import Message
    from shared.core.sender import Sender
    from shared.core.smtp import Envelope, Octets, Submission
    from shared.ports import Telemetry, Tokens

log = logging.getLogger(__name__)

# From here on the server may count a message.
_COUNTED = frozenset({Phase.DATA, Phase.BODY, Phase.END_OF_DATA, Phase.DONE})


class Composer(Protocol):
    """Makes a message ready to go; raises ``MessageError`` for one that cannot be sent as asked."""

    def compose(self, message: Message, sender: Sender, *, mail_id: str, date: datetime) -> Composed:
        """Return envelope and octets, the same at every attempt."""
        ...


class Mailer(Protocol):
    """The mail server, over authenticated sessions."""

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        """Hand one message over and return what became of it; expected failures do not raise."""
        ...

    def knock(self, sender: Sender, token: AccessToken) -> Submission | None:
        """Sign in and hand nothing over; returns how that failed, None where it did not."""
        ...


class SenderHolds(Protocol):
    """What holds senders."""

    def found(self, sender: Sender, finding: Finding) -> None:
        """Take in what a failed attempt says about its sender."""
        ...

    def hold(self, sender: Sender, hold: Hold, *, address: str = "") -> None:
        """Hold a sender, or one From address of it."""
        ...

    def wait(self, sender: Sender, pause: Pause) -> None:
        """Let a sender wait for time alone."""
        ...


@dataclass(frozen=True, slots=True)
class Carried:
    """
    What came of it.

    ``entry`` is to be written; in its sender's line where it waits without a ``due_at``. ``counted`` says
    that the server may have counted the message, ``accepted`` that it took it.
    """

    entry: Entry
    counted: bool = False
    accepted: bool = False


class Courier:
    """
    Carries messages.

    ``explain`` gives the catalogue's sentence for a remedy and a sender, ``jitter`` a number from 0 to 1.
    """

    def __init__(
        self,
        *,
        composer: Composer,
        tokens: Tokens,
        mailer: Mailer,
        holds: SenderHolds,
        explain: Callable[[str, Sender], str],
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
    ) -> None:
        self._composer = composer
        self._tokens = tokens
        self._mailer = mailer
        self._holds = holds
        self._explain = explain
        self._telemetry = telemetry
        self._clock = clock
        self._jitter = jitter

    def carry(self, message: Message, sender: Sender, entry: Entry, body: bytes) -> Carried:
        """Carry a message that this process has claimed; ``body`` is kept where it has to wait."""
        attempt = entry.attempts + 1
        with self._telemetry.span(
            "attempt", message_id=entry.id, sender=sender.name, attempt=attempt
        ) as span:
            carried = self._carry(message, sender, entry, body)
            span.note(state=carried.entry.state.value)
        return carried

    def _carry(self, message: Message, sender: Sender, entry: Entry, body: bytes) -> Carried:
        date = entry.date or entry.created_at
        try:
            with self._telemetry.span("compose"):
                composed = self._composer.compose(message, sender, mail_id=entry.message_id, date=date)
            entry = replace(entry, message_id=composed.mail_id)
            submission = self._submit(composed, sender)
        except MessageError as error:
            return Carried(outcomes.refuse(entry, reason="\n".join(error.problems), now=self._clock()))
        except GrantError as error:
            return Carried(self._without_token(error, sender, entry, body))
        except PayloadError as error:
            waits = outcomes.waiting(
                entry, reason=str(error), now=self._clock(), jitter=self._jitter(), body=body
            )
            return Carried(waits)
        return self._after(submission, message, sender, entry, body)

    def probe(self, sender: Sender, *, new_token: bool = False) -> str:
        """
        Find out whether a sender could send, without sending anything; returns what is wrong, "" if nothing.

        Where the hold is about the grant, the old token proves nothing: ``new_token`` asks for another.
        """
        try:
            token = self._tokens.new_token(sender) if new_token else self._tokens.token(sender)
            failed = self._mailer.knock(sender, token)
            if failed and judge(failed).verdict is Verdict.REAUTHENTICATE:
                token = self._tokens.token_after_refusal(sender, token)
                failed = self._mailer.knock(sender, token)
        except GrantError as error:
            return self._about_token(error, sender)
        return outcomes.reason(failed, self._explain(judge(failed).remedy, sender)) if failed else ""

    def _submit(self, composed: Composed, sender: Sender) -> Submission:
        """Hand it over; where the token was refused, once more with a new one."""
        with self._telemetry.span("token"):
            token = self._tokens.token(sender)
        submission = self._hand_over(composed, sender, token)
        if judge(submission).verdict is Verdict.REAUTHENTICATE:
            with self._telemetry.span("token"):
                token = self._tokens.token_after_refusal(sender, token)
            submission = self._hand_over(composed, sender, token)
        return submission

    def _hand_over(self, composed: Composed, sender: Sender, token: AccessToken) -> Submission:
        envelope, octets = composed.envelope, composed.mime
        with self._telemetry.span("smtp") as span:
            submission = self._mailer.submit(sender, token, envelope, octets, smtputf8=octets.smtputf8)
            judgement, reply = judge(submission), submission.reply
            span.note(
                verdict=judgement.verdict.value,
                phase=submission.phase.value,
                reply_code=reply.code if reply else "",
                enhanced_code=reply.enhanced if reply else "",
            )
        return submission

    def _without_token(self, error: GrantError, sender: Sender, entry: Entry, body: bytes) -> Entry:
        """Nothing is wrong with the message, so no attempt is counted; it goes when there is a token."""
        reason, now = self._about_token(error, sender), self._clock()
        key, _ = remedies.for_grant(error)
        if isinstance(error, TokenUnavailableError) and CATALOGUE[key].who is Who.NOBODY:
            self._holds.wait(sender, Pause(now + holds.TOKEN_PAUSE, reason))
            return outcomes.in_line(entry, now=now, body=body, reason=reason, held=False)
        proof = Proof.TOKEN if key in ABOUT_THE_GRANT else Proof.SESSION
        self._holds.hold(sender, holds.new_hold(key, reason, proof=proof, now=now))
        return outcomes.in_line(entry, now=now, body=body, reason=reason, held=True)

    def _about_token(self, error: GrantError, sender: Sender) -> str:
        return remedies.why(error, lambda key: self._explain(key, sender))

    def _after(
        self, submission: Submission, message: Message, sender: Sender, entry: Entry, body: bytes
    ) -> Carried:
        judgement, now = judge(submission), self._clock()
        reason = outcomes.reason(submission, self._explain(judgement.remedy, sender))
        written = outcomes.after(
            entry,
            judgement,
            hold_on_doubt=message.fields.on_doubt == "hold",
            reply=submission.reply.text if submission.reply else "",
            reason=reason,
            now=now,
            jitter=self._jitter(),
            body=body,
        )
        if written.due_at is not None:
            again_at = timing.within_window(message.fields, written.due_at)
            written = replace(written, due_at=min(again_at, written.expires_at or again_at))
        if not submission.accepted:
            address = sender.from_for(message).key
            finding = Finding(judgement, submission.phase, reason, address, now)
            self._holds.found(sender, finding)
        return Carried(written, counted=submission.phase in _COUNTED, accepted=submission.accepted)
