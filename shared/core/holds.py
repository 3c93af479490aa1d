"""
When a sender stops by itself, why, and what lets it go on.

A *hold* waits for a person: it has a reason and a remedy, is probed at growing intervals, and ends when a
probe passes or a person resumes it. A *pause* waits for time alone. What concerns one From address holds that
address and nothing else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core.pacing import Pace
from shared.core.reply import Scope, Verdict
from shared.core.smtp import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.connection import Connection, Warned
    from shared.core.reply import Judgement

FIRST_PROBE: Final = timedelta(minutes=1)
# A permission given in Exchange takes up to an hour to act; asking more often than this helps nobody.
LONGEST_PROBE: Final = timedelta(hours=1)

# A hold that nobody has mended is told again after so long.
TELL_AGAIN: Final = timedelta(days=1)

# What Exchange says for a while when its back ends are busy, and for hours when a permission or the routing
# is wrong (MailKit#566 and facts of the field): the same answer for so long is a person's business.
ESCALATING: Final = frozenset({"mailbox-logon-failed", "back-end-not-reached"})
ESCALATES_AFTER: Final = timedelta(hours=2)

# While a token cannot be had, the next try; whoever holds tokens remembers a failure for as long.
TOKEN_PAUSE: Final = timedelta(seconds=10)
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=5)
# After so many failures in a row that concern the sender and not a message, the others wait.
_PAUSES_FROM: Final = 2


#: In the place of an instance's name: a promise that was taken back, and that others may still rely on.
#: Nobody serves for it, and nobody may say before its time that the line is empty.
OWED: Final = "owed"


#: Characters. The state of a sender is one property of a table, and it may hold several reasons.
LONGEST_REASON: Final = 1_000


class Proof(enum.Enum):
    """What shows that the cause of a hold is gone."""

    #: Signing in works: the cause showed before any message was handed over.
    SESSION = "session"
    #: The provider gives a new token: what is wrong is the grant, and the old token may work for an hour yet.
    TOKEN = "token"  # noqa: S105 - the kind of proof
    #: One message goes through: the server said it after a message only, so one of those that wait is tried.
    MESSAGE = "message"
    #: A person says so: a person held it.
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Why a sender, or one From address of it, is held.

    ``remedy`` is its key in the catalogue, ``reason`` the sentence with what to type. ``trying`` says that
    one message may go to see whether the cause is gone, ``told_at`` when the event last went out.
    """

    remedy: str
    reason: str
    since: datetime
    proof: Proof
    probe_at: datetime | None
    probes: int = 0
    trying: bool = False
    told_at: datetime | None = None

    def is_to_be_told(self, now: datetime) -> bool:
        """Whether somebody is to hear of it now: at its beginning, and once a day while it lasts."""
        return self.told_at is None or now - self.told_at >= TELL_AGAIN

    def probed(self, now: datetime) -> Hold:
        """Return the hold with its next probe later than the one before."""
        wait = min(FIRST_PROBE * 2 ** min(self.probes + 1, 16), LONGEST_PROBE)
        return replace(self, probes=self.probes + 1, probe_at=now + wait, trying=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Until when a sender's mail waits for nothing but time, and why."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures in a row that concern the sender: how many, the rule of the latest, and since when that."""

    rule: str
    since: datetime
    count: int


@dataclass(frozen=True, slots=True)
class SenderState:
    """
    What all instances must agree on about one sender; the table ``senders`` keeps it.

    ``line`` says that mail waits in its line. ``serving`` names the instances that serve it and until when
    each has promised to look at it again. ``returning`` are From addresses whose mail is to come
    back to the line from where it stood aside. ``last_mail_at`` is when a message was last let go,
    ``granted_at`` when a person last gave or took away the grant; ``warned`` is the last warning that the
    client credential, which ends at ``credential_expires_at``, is about to.
    """

    sender: str
    pace: Pace = field(default_factory=Pace)
    line: bool = False
    serving: Mapping[str, datetime] = field(default_factory=dict)
    pause: Pause | None = None
    hold: Hold | None = None
    address_holds: Mapping[str, Hold] = field(default_factory=dict)
    returning: frozenset[str] = frozenset()
    trouble: Trouble | None = None
    last_mail_at: datetime | None = None
    connection: Connection | None = None
    granted_at: datetime | None = None
    credential_expires_at: datetime | None = None
    warned: Warned | None = None
    version: str = ""

    def is_served(self, now: datetime, *, beside: str = "") -> bool:
        """Whether an instance (another than ``beside``) has promised to look at the line after now."""
        return any(until > now for holder, until in self.serving.items() if holder not in (beside, OWED))

    def paused(self, now: datetime) -> Pause | None:
        """Return the pause that is in force."""
        return self.pause if self.pause and self.pause.until > now else None

    def hold_for(self, address: str) -> Hold | None:
        """Return what holds mail from this address: the sender's hold, or the address's own."""
        return self.hold or self.address_holds.get(address)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an attempt said about its sender: the judgement, the sentence, when, and from which address."""

    judgement: Judgement
    phase: Phase
    reason: str
    address: str
    at: datetime


_AT_THE_DOOR: Final = frozenset(
    {Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS, Phase.CERTIFICATE, Phase.AUTH}
)


def hold_of(finding: Finding) -> Hold:
    """Return the hold that a verdict asks for."""
    proof = Proof.SESSION if finding.phase in _AT_THE_DOOR else Proof.MESSAGE
    return new_hold(finding.judgement.remedy, finding.reason, proof=proof, now=finding.at)


def new_hold(remedy: str, reason: str, *, proof: Proof, now: datetime) -> Hold:
    """Return a hold that begins now."""
    probe_at = None if proof is Proof.PERSON else now + FIRST_PROBE
    return Hold(remedy, reason[:LONGEST_REASON], since=now, proof=proof, probe_at=probe_at)


def after_finding(state: SenderState, finding: Finding) -> SenderState:
    """
    Return the sender's state after an attempt that was not accepted.

    A HOLD holds it, or the From address; a THROTTLE pauses it; a failure that concerns the sender pauses it
    from the second in a row, and after hours of the same holds it. What concerns the message changes nothing.
    """
    judgement, now = finding.judgement, finding.at
    if judgement.verdict in {Verdict.HOLD, Verdict.REAUTHENTICATE}:
        return held(state, hold_of(finding), finding.address if judgement.scope is Scope.ADDRESS else "")
    if judgement.verdict is Verdict.THROTTLE:
        count = state.trouble.count + 1 if state.trouble and state.trouble.rule == judgement.rule else 1
        pause = Pause(now + throttled_for(judgement.remedy, count), finding.reason)
        return replace(paused(state, pause), trouble=_trouble(state, finding))
    if judgement.verdict is not Verdict.DEFER or judgement.scope is not Scope.SENDER:
        return state
    state = replace(state, trouble=_trouble(state, finding))
    trouble = state.trouble
    if trouble and trouble.rule in ESCALATING and now - trouble.since >= ESCALATES_AFTER:
        hours = (now - trouble.since).total_seconds() / 3600
        reason = f"{finding.reason}; it has been so for {hours:.0f} hours, which time alone does not mend"
        return held(state, hold_of(replace(finding, reason=reason)), "")
    if trouble and trouble.count >= _PAUSES_FROM:
        wait = min(_FIRST_PAUSE * 2 ** min(trouble.count - _PAUSES_FROM, 16), _LONGEST_PAUSE)
        return paused(state, Pause(now + wait, finding.reason))
    return state


def _trouble(state: SenderState, finding: Finding) -> Trouble:
    known, rule = state.trouble, finding.judgement.rule
    if known and known.rule == rule:
        return replace(known, count=known.count + 1)
    return Trouble(rule, finding.at, known.count + 1 if known else 1)


def throttled_for(remedy: str, count: int) -> timedelta:
    """
    Return how long to wait after the ``count``-th answer in a row that it was too fast or too much.

    Connections are free again within seconds, messages within the minute, recipients within hours.
    """
    if remedy in {"recipients-per-day", "tenant-recipients-per-day"}:
        return timedelta(hours=1)
    if remedy == "message-rate":
        return timedelta(minutes=1)
    wait: timedelta = min(_FIRST_PAUSE * 2 ** min(count - 1, 16), timedelta(minutes=1))
    return wait


def _longer(known: Pause | None, new: Pause) -> Pause:
    return known if known and known.until > new.until else new


def held(state: SenderState, hold: Hold, address: str) -> SenderState:
    """
    Return the state with the sender held, or, where one is named, the address.

    A hold for the same cause keeps its beginning and its probes; one that a person made is not replaced.
    """
    known = state.address_holds.get(address) if address else state.hold
    if known and known.proof is Proof.PERSON:
        return state
    if known and known.remedy == hold.remedy:
        hold = replace(
            hold,
            since=known.since,
            probes=known.probes,
            probe_at=known.probe_at or hold.probe_at,
            trying=False,
            told_at=known.told_at,
        )
    if address:
        return replace(state, address_holds={**state.address_holds, address: hold})
    return replace(state, hold=hold)


def resumed(state: SenderState, address: str) -> SenderState:
    """
    Return the state with the hold of the sender, or of the address, gone: the one way out of any hold.

    Its line may have mail in it, so it is to be served. The very same state where nothing was held.
    """
    if not (address in state.address_holds if address else state.hold or state.pause):
        return state
    if address:
        rest = {name: hold for name, hold in state.address_holds.items() if name != address}
        return replace(state, address_holds=rest, returning=state.returning | {address}, line=True)
    owed = {OWED: max(state.serving.values())} if state.serving else {}
    return replace(state, hold=None, pause=None, trouble=None, line=True, serving=owed)


def paused(state: SenderState, pause: Pause) -> SenderState:
    """
    Return the state with the sender paused, for as long as it is already at least.

    Its line is to be looked at when that is over: what met the pause stands there.
    """
    return replace(state, pause=_longer(state.pause, pause), line=True)


def something_to_clear(state: SenderState, address: str) -> bool:
    """Whether an accepted message clears anything away."""
    return bool(state.trouble or state.hold or address in state.address_holds)


def returned(state: SenderState, address: str) -> SenderState:
    """Return the state in which the mail of an address has come back."""
    return replace(state, returning=state.returning - {address}, line=True)


def told(state: SenderState, address: str, now: datetime) -> SenderState:
    """Return the state in which a hold was told; the very same one where it had been."""
    hold = state.address_holds.get(address) if address else state.hold
    if hold is None or not hold.is_to_be_told(now):
        return state
    hold = replace(hold, told_at=now)
    if address:
        return replace(state, address_holds={**state.address_holds, address: hold})
    return replace(state, hold=hold)


#: What an accepted message proves nothing about.
_NOT_BY_MAIL: Final = frozenset({Proof.PERSON, Proof.TOKEN})


def after_success(state: SenderState, address: str) -> SenderState:
    """Return the state after an accepted message: what was counted against it is forgotten, holds end."""
    state = replace(state, trouble=None)
    of_address = state.address_holds.get(address)
    if of_address and of_address.proof not in _NOT_BY_MAIL:
        state = resumed(state, address)
    if state.hold and state.hold.proof not in _NOT_BY_MAIL:
        state = resumed(state, "")
    return state
