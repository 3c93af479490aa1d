"""
A desk: what this process holds of one sender; and the office that keeps the desks and asks the register.

Whoever works on a desk holds its lock, and lets it go while storage answers.
"""

from __future__ import annotations

import enum
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core import pacing
from shared.core.holds import Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.holds import Hold, SenderState
    from shared.core.pacing import Ask, Grant, Pace, Permit
    from shared.core.sender import Sender
    from shared.register import Register

# How long what was read about a sender is believed: a hold, a pause, that its line is served.
KNOWN_FOR: Final = timedelta(seconds=5)
# Who serves a line reads it again with its next slots, which is seldom later than this.
_BELIEVED_SERVING: Final = timedelta(seconds=10)
# How far ahead the one that serves a line takes its slots: a read and a write for every few messages.
AHEAD: Final = timedelta(seconds=8)
# The one that serves has promised to look at the line for so long after its last slot; where so many wait
# that it will be at it for longer anyway, for up to half a minute.
PROMISE: Final = timedelta(seconds=3)
# Who joins a line relies on such a promise where it holds for this much longer, which is ample for a write.
AMPLE: Final = timedelta(seconds=2)
DROP_BEFORE: Final = timedelta(seconds=8)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
DAY_IS_FULL: Final = "the recipients that the mailbox may have in 24 hours are used up"
MINUTE_IS_FULL: Final = "the mailbox has sent what it may in a minute"
NO_PLACE: Final = "every connection of the mailbox is in use"


@dataclass(frozen=True, slots=True)
class Seat:
    """The right to hand over one message now, over one connection."""

    sender: str
    permit: Permit
    recipients: int
    from_line: bool = False
    #: The hold that this message may try out, where there is one.
    trial: Hold | None = None


class Service(enum.Enum):
    """Who sees to a line that has mail."""

    #: This thread.
    MINE = "mine"
    #: Another that has promised to, or nobody until a hold or a pause is over.
    SEEN_TO = "seen to"
    #: Whoever takes up the call that is now to be put on the outbox.
    CALL = "call"


@dataclass(frozen=True, slots=True)
class NotNow:
    """No seat: the sender is held or paused, or the message has its turn later."""

    reason: str
    hold: Hold | None = None
    pause: Pause | None = None
    later: datetime | None = None


@dataclass(slots=True)
class Desk:
    """What this process has of one sender."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    state: SenderState | None = None
    read_at: datetime = LONG_AGO
    permits: deque[tuple[Permit, int]] = field(default_factory=deque)
    places: int = 0
    places_until: datetime = LONG_AGO
    busy: int = 0
    #: How many of the busy ones have a message of the line in hand.
    from_line: int = 0
    waiting: int = 0
    servers: set[int] = field(default_factory=set)
    asking: bool = False
    promise: datetime = LONG_AGO
    busy_with_line_for: timedelta = timedelta()
    spent: int = 0
    late: list[tuple[datetime, datetime]] = field(default_factory=list)
    crowded: bool = False
    #: Since when more connections are held than are in use.
    spare_since: datetime | None = None
    #: Whether the last grant came without a distance between its messages.
    at_once: bool = False
    #: When to ask again after an answer that gave nothing, for each way of asking, and why it gave nothing.
    later: dict[tuple[bool, bool], tuple[datetime, str]] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        """How many connections are in use, or soon will be by who serves the line."""
        return max(self.busy, min(len(self.servers), self.places))

    def known(self, now: datetime) -> SenderState | None:
        """Return what was read, while it is to be believed."""
        return self.state if now - self.read_at < KNOWN_FOR else None

    def promised(self, now: datetime, *, own: bool) -> SenderState | None:
        """Return what was read however long ago, while a promise holds: this process's own, or another's."""
        if own:
            return self.state if self.promise > now and now - self.read_at < _BELIEVED_SERVING else None
        return self.state if self.state and self.state.line and self.state.is_served(now + AMPLE) else None

    def current(self) -> SenderState | None:
        """Return what was last read, as a beginning for a change: where it stands no longer, that shows."""
        state = self.state
        return state if state and not (state.hold or state.address_holds or state.pause) else None

    def may_stay_untold(self, recipients: int, sender: Sender, now: datetime) -> bool:
        """Whether a message may go before its recipients are counted."""
        most = self.state.pace.may_stay_untold(sender.limits, now) if self.state else 0
        return self.spent + recipients <= most

    def live_places(self, now: datetime) -> int:
        """How many connections may be used for a message that begins now."""
        return self.places if self.places_until - now > DROP_BEFORE else 0

    def take(self, now: datetime) -> Permit | None:
        """Take a permit whose slot has come, and let go of what has run out."""
        while self.permits and self.permits[0][0].until < now:
            self.permits.popleft()
        if not self.permits or self.permits[0][0].slot > now:
            return None
        permit, count = self.permits[0]
        if count > 1:
            self.permits[0] = (permit, count - 1)
        else:
            self.permits.popleft()
        return permit

    def next_slot(self, now: datetime) -> datetime | None:
        """When the first permit in hand may be used."""
        usable = [permit.slot for permit, _ in self.permits if permit.until >= now]
        return min(usable) if usable else None


class Office:
    """
    The desks of this process, one for each sender, and the way to the register.

    ``holder`` is the name of this process among the instances.
    """

    def __init__(self, register: Register, *, holder: str, clock: Callable[[], datetime]) -> None:
        self._register = register
        self._holder = holder
        self._clock = clock
        self._desks: dict[str, tuple[Sender, Desk]] = {}
        self._lock = threading.Lock()

    @property
    def holder(self) -> str:
        """The name of this process among the instances."""
        return self._holder

    def known(self, sender: Sender) -> SenderState | None:
        """Return what was last read of a sender, however long ago."""
        return self._desk(sender).state

    def alive(self, sender: Sender) -> frozenset[str]:
        """Return the instances that held anything of a sender when it was last read."""
        now = self._clock()
        state = self._desk(sender).state or self._register.read(sender.name)
        return frozenset({self._holder, *live(state, now), *(place.holder for place in state.pace.places)})

    def forget(self, sender: str) -> None:
        """Believe nothing that was read of a sender: it was changed."""
        if sender in self._desks:
            _, desk = self._desks[sender]
            with desk.changed:
                desk.state, desk.read_at = None, LONG_AGO
                desk.changed.notify_all()

    def _consult(
        self, desk: Desk, sender: Sender, ask: Ask, address: str | None = None, *, serving: bool = False
    ) -> tuple[Grant, Hold | None] | NotNow:
        """Put a question to the register; called with the lock, which is let go while storage answers."""
        answer: list[tuple[Grant, Hold | None] | NotNow] = []
        ask = replace(ask, spent=desk.spent, late=tuple(desk.late))

        def decide(state: SenderState) -> SenderState:
            now = self._clock()
            no = None if address is None else blocked(state, address, now, from_line=serving)
            if no:
                answer[:] = [no]
                return state
            pace, grant = pacing.grant(state.pace, ask, sender.limits, now=now)
            trial = state.hold if address is not None else None
            answer[:] = [(grant, trial)]
            decided = _granted(state, pace, ask, grant, now)
            if not serving:
                return decided
            last = max((permit.slot for permit in grant.permits), default=grant.later or now)
            promise = max(max(now, min(last, now + AHEAD)) + PROMISE, now + desk.busy_with_line_for)
            return replace(decided, serving={**live(decided, now), self._holder: promise})

        desk.asking = True
        known = desk.current()
        if known and known.line and not serving and address is not None:
            known = desk.known(self._clock())  # no message goes before the line, and nothing would be written
        desk.changed.release()
        try:
            _, after = self._register.change(sender.name, decide, known=known)
        finally:
            desk.changed.acquire()
            desk.asking = False
            desk.changed.notify_all()
        now = self._clock()
        desk.state, desk.read_at = after, now
        (told,) = answer
        if isinstance(told, tuple):
            desk.spent -= ask.spent
            del desk.late[: len(ask.late)]
            self._take_down(desk, told[0])
            if serving:
                desk.promise = after.serving.get(self._holder, now)
        return told

    def _take_down(self, desk: Desk, grant: Grant) -> None:
        desk.places, desk.places_until = grant.places, grant.places_until
        desk.crowded = grant.crowded
        desk.permits.extend((permit, permit.count) for permit in grant.permits)
        if grant.permits:
            desk.at_once = grant.permits[0].count > 1
        if grant.places:
            self._holds_something()

    def _holds_something(self) -> None:
        """Take note that this process holds connections; whoever looks after them begins to."""

    def _desk(self, sender: Sender) -> Desk:
        with self._lock:
            if sender.name not in self._desks:
                self._desks[sender.name] = (sender, Desk())
            return self._desks[sender.name][1]


def _granted(state: SenderState, pace: Pace, ask: Ask, grant: Grant, now: datetime) -> SenderState:
    """Return the state with a grant in it; the very same where nothing was given and nothing told."""
    if ask.messages and not (grant.permits or grant.day_is_full or ask.spent or ask.late):
        return state
    decided = replace(state, pace=pace)
    if grant.day_is_full and grant.later:
        decided = replace(decided, pause=Pause(grant.later, DAY_IS_FULL))
    if grant.permits:
        trial = replace(state.hold, trying=False) if state.hold else None
        decided = replace(decided, last_mail_at=now, hold=trial)
    return decided


def blocked(state: SenderState, address: str, now: datetime, *, from_line: bool) -> NotNow | None:
    """Return why no message from this address may go now, whatever the limits; "" is any address."""
    hold = state.hold_for(address)
    if hold and not (from_line and hold.trying):
        return NotNow(hold.reason, hold=hold)
    if (pause := state.paused(now)) and not hold:
        return NotNow(pause.reason, pause=pause, later=pause.until)
    if state.line and not from_line:
        return NotNow("others of the sender are before it")
    return None


def live(state: SenderState, now: datetime) -> dict[str, datetime]:
    """Return the promises that hold."""
    return {holder: until for holder, until in state.serving.items() if until > now}
