"""
The pacer: who in this process may hand a message over now, so that all processes together keep the limits.

It holds what the register has granted to this process: permits for messages and places for connections. A
message takes a *seat*, which is one of each; only where none is left is storage asked. What cannot have a
seat goes to the sender's line, and one process or another serves that.

A thread of its own looks after the places: it renews the lease while a message is under way, however long
that takes, and gives connections back that nobody uses.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.core import pacing
from shared.core.holds import OWED, Pause
from shared.core.pacing import Ask, Grant, Pace, Permit

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.holds import Hold, SenderState
    from shared.core.sender import Sender
    from shared.register import Register

log = logging.getLogger(__name__)

# How long what was read about a sender is believed: a hold, a pause, that its line is served.
KNOWN_FOR: Final = timedelta(seconds=5)
# Who serves a line reads it again with its next slots, which is seldom later than this.
_BELIEVED_SERVING: Final = timedelta(seconds=10)
# How far ahead the one that serves a line takes its slots: a read and a write for every few messages.
AHEAD: Final = timedelta(seconds=8)
_SLOTS_AHEAD: Final = 4
# The one that serves has promised to look at the line for so long after its last slot; where so many wait
# that it will be at it for longer anyway, for up to half a minute.
_PROMISE: Final = timedelta(seconds=3)
_LONGEST_PROMISE: Final = timedelta(seconds=30)
# Who joins a line relies on such a promise where it holds for this much longer, which is ample for a write.
_AMPLE: Final = timedelta(seconds=2)
_LOOK_TAKES: Final = timedelta(seconds=1)
# A message waits in its thread for a slot that is this near, or for a connection of this process for so long;
# else it goes to the line.
_NEAR: Final = timedelta(seconds=1.2)
_PATIENCE: Final = timedelta(seconds=10)
# Where every connection is taken by others, one may be free again soon.
_PLACE_AGAIN: Final = timedelta(seconds=1)
# Before its lease ends: renewed where it is in use, and given up where it is not.
_RENEW_BEFORE: Final = timedelta(seconds=25)
_DROP_BEFORE: Final = timedelta(seconds=8)
_RUNS_OUT: Final = _DROP_BEFORE + timedelta(seconds=3)
# Where no connection is left for others, one that rests so long is given back.
_REST_WHEN_CROWDED: Final = timedelta(seconds=2)
# How long a sent message may stay untold where the server counted it late; it matters after a minute.
_TELL_WITHIN: Final = timedelta(seconds=20)
_CLOSE_AT_A_TIME: Final = 8  # senders whose connections are closed at the same time
_TEND_EVERY_SECONDS: Final = 1.0
# In the place of an instance's name: a call for one to serve is on the outbox, and is taken up within this.
_CALLED: Final = "called"
_CALL_TAKES: Final = timedelta(seconds=8)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


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
class _Desk:
    """What this process has of one sender."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    state: SenderState | None = None
    read_at: datetime = _LONG_AGO
    permits: deque[tuple[Permit, int]] = field(default_factory=deque)
    places: int = 0
    places_until: datetime = _LONG_AGO
    busy: int = 0
    #: How many of the busy ones have a message of the line in hand.
    from_line: int = 0
    waiting: int = 0
    servers: set[int] = field(default_factory=set)
    asking: bool = False
    promise: datetime = _LONG_AGO
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
        return self.state if self.state and self.state.line and self.state.is_served(now + _AMPLE) else None

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
        return self.places if self.places_until - now > _DROP_BEFORE else 0

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


class Pacer:
    """
    Seats for messages; safe to use from many threads.

    ``trim`` closes resting connections of a sender until no more than so many are open.
    """

    def __init__(
        self,
        register: Register,
        *,
        holder: str,
        trim: Callable[[str, int], object],
        clock: Callable[[], datetime],
        most_served: int,
        tend: bool = True,
    ) -> None:
        self._register = register
        self._holder = holder
        self._trim = trim
        self._clock = clock
        self._most_served = most_served
        self._desks: dict[str, tuple[Sender, _Desk]] = {}
        self._lock = threading.Lock()
        self._tender: threading.Thread | None = None
        self._tends = tend
        self._stopping = threading.Event()

    # Seats.

    def admit(
        self,
        sender: Sender,
        *,
        recipients: int,
        address: str,
        urgent: bool = False,
        from_line: bool = False,
        behind: int = 0,
    ) -> Seat | NotNow:
        """
        Return a seat for one message, or why there is none just now.

        Waits for a slot or a connection that is near. ``from_line`` is for the message whose turn it is,
        ``behind`` how many are known to wait with it.
        """
        desk = self._desk(sender)
        busy_for = behind * timedelta(minutes=1) / sender.limits.messages_per_minute
        desk.busy_with_line_for = min(busy_for, _LONGEST_PROMISE)
        waited_for = AHEAD + _PATIENCE if from_line else _PATIENCE
        give_up_at = self._clock() + waited_for
        with desk.changed:
            desk.waiting += 1
            try:
                while True:
                    found = self._seat(desk, sender, recipients, address, urgent=urgent, from_line=from_line)
                    if not isinstance(found, timedelta):
                        return found
                    left = give_up_at - self._clock()
                    if left <= timedelta():
                        return NotNow(_NO_PLACE)
                    desk.changed.wait(max(0.001, min(found, left).total_seconds()))
            finally:
                desk.waiting -= 1

    def leave(self, seat: Seat, *, used: bool, recipients: int | None = None) -> None:
        """
        Give the seat up; where the message went to the server, it is counted as of now at the latest.

        ``recipients`` is how many it had, where that is not what the seat was asked for.
        """
        _, desk = self._desks[seat.sender]
        now = self._clock()
        with desk.changed:
            desk.busy -= 1
            desk.from_line -= seat.from_line
            if used:
                desk.spent += 0 if recipients is None else recipients - seat.recipients
                if now > seat.permit.counted_at:
                    desk.late.append((seat.permit.counted_at, now))
            else:
                desk.spent -= seat.recipients
                if now < seat.permit.until:
                    desk.permits.appendleft((seat.permit, 1))
            desk.changed.notify_all()

    def _seat(
        self, desk: _Desk, sender: Sender, recipients: int, address: str, *, urgent: bool, from_line: bool
    ) -> Seat | NotNow | timedelta:
        """Return a seat, or why not, or how long to wait before it is tried again; called with the lock."""
        now = self._clock()
        # Who serves believes what it read for as long as it has slots.
        known = desk.known(now) or desk.promised(now, own=from_line)
        if known and (no := _blocked(known, address, now, from_line=from_line)):
            return no
        if desk.asking:
            return _PATIENCE
        untold = desk.may_stay_untold(recipients, sender, now)
        if known and untold and desk.busy < desk.live_places(now) and not known.hold_for(address):
            if permit := desk.take(now):
                desk.spent += recipients
                return self._sit(desk, sender, permit, recipients, from_line=from_line)
            if from_line and (slot := desk.next_slot(now)):
                return slot - now
        elif desk.busy and desk.busy >= desk.live_places(now) and self._has_all(desk, sender):
            return _PATIENCE  # one of this process's own is soon free
        return self._ask(desk, sender, recipients, address, urgent=urgent, from_line=from_line)

    @staticmethod
    def _sit(
        desk: _Desk,
        sender: Sender,
        permit: Permit,
        recipients: int,
        *,
        from_line: bool,
        trial: Hold | None = None,
    ) -> Seat:
        desk.busy += 1
        desk.from_line += from_line
        return Seat(sender.name, permit, recipients, from_line=from_line, trial=trial)

    @staticmethod
    def _has_all(desk: _Desk, sender: Sender) -> bool:
        return desk.places >= sender.limits.connections or desk.crowded

    def _ask(
        self, desk: _Desk, sender: Sender, recipients: int, address: str, *, urgent: bool, from_line: bool
    ) -> Seat | NotNow | timedelta:
        """Ask the register, with the lock let go meanwhile; take the seat that it grants."""
        later, why = desk.later.get((urgent, from_line), (_LONG_AGO, ""))
        if later > (now := self._clock()):
            return _wait_or_not(later, why, now, from_line=from_line)
        ask = Ask(
            self._holder,
            messages=_SLOTS_AHEAD if from_line else desk.waiting,
            recipients=recipients,
            places=max(
                desk.live_places(self._clock()), min(sender.limits.connections, desk.busy + desk.waiting)
            ),
            ahead=AHEAD if from_line else timedelta(),
            urgent=urgent,
        )
        told = self._consult(desk, sender, ask, address, serving=from_line)
        now = self._clock()
        if isinstance(told, NotNow):
            return told
        grant, trial = told
        counted = bool(grant.permits)  # its recipients with them
        may_go = counted or desk.may_stay_untold(recipients, sender, now)
        if may_go and desk.busy < desk.live_places(now) and (permit := desk.take(now)):
            desk.spent += 0 if counted else recipients
            return self._sit(desk, sender, permit, recipients, from_line=from_line, trial=trial)
        if may_go and 0 < desk.live_places(now) <= desk.busy:
            return _PATIENCE
        if may_go and (slot := desk.next_slot(now)) and desk.live_places(now):
            return max(slot - now, timedelta(milliseconds=1))
        later = grant.later or now + _PLACE_AGAIN
        why = _DAY_IS_FULL if grant.day_is_full else _MINUTE_IS_FULL if grant.places else _NO_PLACE
        desk.later[urgent, from_line] = later, why
        return _wait_or_not(later, why, now, from_line=from_line)

    def _consult(
        self, desk: _Desk, sender: Sender, ask: Ask, address: str | None = None, *, serving: bool = False
    ) -> tuple[Grant, Hold | None] | NotNow:
        """Put a question to the register; called with the lock, which is let go while storage answers."""
        answer: list[tuple[Grant, Hold | None] | NotNow] = []
        ask = replace(ask, spent=desk.spent, late=tuple(desk.late))

        def decide(state: SenderState) -> SenderState:
            now = self._clock()
            blocked = None if address is None else _blocked(state, address, now, from_line=serving)
            if blocked:
                answer[:] = [blocked]
                return state
            pace, grant = pacing.grant(state.pace, ask, sender.limits, now=now)
            trial = state.hold if address is not None else None
            answer[:] = [(grant, trial)]
            decided = _granted(state, pace, ask, grant, now)
            if not serving:
                return decided
            last = max((permit.slot for permit in grant.permits), default=grant.later or now)
            promise = max(max(now, min(last, now + AHEAD)) + _PROMISE, now + desk.busy_with_line_for)
            return replace(decided, serving={**_live(decided, now), self._holder: promise})

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

    def _take_down(self, desk: _Desk, grant: Grant) -> None:
        desk.places, desk.places_until = grant.places, grant.places_until
        desk.crowded = grant.crowded
        desk.permits.extend((permit, permit.count) for permit in grant.permits)
        if grant.permits:
            desk.at_once = grant.permits[0].count > 1
        if grant.places:
            self._start_tending()

    # The line.

    def begin_serving(self, sender: Sender, *, called: bool = False) -> Service:
        """
        Note that mail waits in the sender's line, and decide who serves it.

        ``called`` says that this is the answer to a call: nothing new was put there.
        """
        desk = self._desk(sender)
        with desk.changed:
            if self._helps(desk, sender):
                return Service.MINE
            now = self._clock()
            # A promise holds whatever has happened since it was read; a hold may be over, and is read anew.
            if not called and desk.promised(now, own=False):
                return Service.SEEN_TO
            service = self._mark(desk, sender, called=called)
            if service is Service.MINE:
                desk.servers.add(threading.get_ident())
            return service

    def hand_over(self, sender: Sender) -> None:
        """Serve no longer although there is mail: a call is to be put on the outbox."""
        desk = self._desk(sender)
        with desk.changed:
            desk.servers.discard(threading.get_ident())
            self._mark(desk, sender, called=True, hand_over=True)

    def withdraw(self, sender: Sender) -> None:
        """Take a promise back: nothing may go just now, and whoever knows when it may calls."""
        desk = self._desk(sender)

        def decide(state: SenderState) -> SenderState:
            serving = dict(state.serving)
            promised = serving.pop(self._holder, None)
            if promised is None:
                return state
            return replace(state, serving={**serving, OWED: max(promised, serving.get(OWED, promised))})

        with desk.changed:
            desk.servers.discard(threading.get_ident())
            _, desk.state = self._register.change(sender.name, decide)
            desk.read_at = desk.promise = self._clock()

    def end_serving(self, sender: Sender) -> None:
        """Serve no longer, whatever the reason; the promise that was given ends by itself."""
        desk = self._desk(sender)
        with desk.changed:
            desk.servers.discard(threading.get_ident())

    def line_is_empty(self, sender: Sender, *, looked_at: datetime | None = None) -> timedelta | None:
        """
        Say that the line was found empty; returns how long to wait before it is looked at again, or None.

        While the promise lasts that others rely on, it has to be looked at once more; so it has to where the
        look began, ``looked_at``, too long ago.
        """
        desk = self._desk(sender)
        with desk.changed:
            now = self._clock()
            if looked_at is not None and now - looked_at > _LOOK_TAKES:
                return timedelta(milliseconds=1)
            if desk.promise > now:
                return min(desk.promise - now, timedelta(seconds=1))
            # From here on nobody of this process relies on this thread.
            desk.servers.discard(threading.get_ident())
            if desk.from_line:
                return None  # another thread has one of the line in hand; the mark stays for as long

            def decide(state: SenderState) -> SenderState:
                others = {name: until for name, until in _live(state, now).items() if name != self._holder}
                return replace(state, serving=others, line=bool(others))

            _, desk.state = self._register.change(sender.name, decide, known=desk.state)
            desk.read_at = self._clock()
            return None

    def known(self, sender: Sender) -> SenderState | None:
        """Return what was last read of a sender, however long ago."""
        return self._desk(sender).state

    def alive(self, sender: Sender) -> frozenset[str]:
        """Return the instances that held anything of a sender when it was last read."""
        now = self._clock()
        state = self._desk(sender).state or self._register.read(sender.name)
        return frozenset({self._holder, *_live(state, now), *(place.holder for place in state.pace.places)})

    @property
    def holder(self) -> str:
        """The name of this process among the instances."""
        return self._holder

    def begin_trial(self, sender: Sender, address: str) -> bool:
        """Whether this message may try the hold of its From address, or that is over."""
        mine: list[bool] = []

        def decide(state: SenderState) -> SenderState:
            hold = state.address_holds.get(address)
            mine.append(hold is None or hold.trying)
            if hold is None or not hold.trying:
                return state
            holds = {**state.address_holds, address: replace(hold, trying=False)}
            return replace(state, address_holds=holds)

        self._register.change(sender.name, decide)
        return mine[-1]

    def place_for_probe(self, sender: Sender) -> bool:
        """Take a connection for a probe; False where none is free. It is given back by itself."""
        desk = self._desk(sender)
        with desk.changed:
            if desk.asking:
                return False
            places = max(desk.live_places(self._clock()), min(desk.busy + 1, sender.limits.connections))
            self._consult(desk, sender, Ask(self._holder, places=places))
            return desk.live_places(self._clock()) > desk.busy

    def forget(self, sender: str) -> None:
        """Believe nothing that was read of a sender: it was changed."""
        if sender in self._desks:
            _, desk = self._desks[sender]
            with desk.changed:
                desk.state, desk.read_at = None, _LONG_AGO
                desk.changed.notify_all()

    def _helps(self, desk: _Desk, sender: Sender) -> bool:
        """Whether another thread of this process is of use where one serves the line already."""
        most = min(desk.places, sender.limits.connections)
        if desk.at_once and 0 < len(desk.servers) < most:
            desk.servers.add(threading.get_ident())
            return True
        return False

    def _may_serve(self) -> bool:
        served = sum(1 for _, desk in list(self._desks.values()) if desk.servers)
        return served < self._most_served

    def _mark(self, desk: _Desk, sender: Sender, *, called: bool, hand_over: bool = False) -> Service:
        """Write that the line has mail and, where nobody else does, who serves it."""
        mine = not hand_over and self._may_serve()
        service: list[Service] = []

        def decide(state: SenderState) -> SenderState:
            now = self._clock()
            service.clear()
            serving = _live(state, now)
            promised = [
                serving.pop(name)
                for name, over in ((self._holder, hand_over), (_CALLED, called), (OWED, True))
                if over and name in serving
            ]
            if _somebody_sees_to_it(replace(state, serving=serving), now):
                service.append(Service.SEEN_TO)
                return state if state.line else replace(state, line=True)
            service.append(Service.MINE if mine else Service.CALL)
            who, until = (self._holder, now + _PROMISE + _AMPLE) if mine else (_CALLED, now + _CALL_TAKES)
            # Others may rely on the promise that this one takes the place of.
            return replace(state, line=True, serving={**serving, who: max([until, *promised])})

        known = desk.current() if desk.known(self._clock()) else None
        _, desk.state = self._register.change(sender.name, decide, known=known)
        desk.read_at = self._clock()
        desk.promise = desk.state.serving.get(self._holder, desk.read_at)
        return service[-1]

    # Looking after what this process holds.

    def tend(self) -> bool:
        """Renew leases that are in use and give up what is not; returns whether anything is held still."""
        desks = sorted(self._desks.values(), key=lambda each: each[1].places_until)
        resting = []
        for sender, desk in desks:
            with desk.changed:
                if not desk.asking and self._renewed_or_rests(sender, desk):
                    resting.append((sender, desk))
        # Closing takes a while where the server is slow to say goodbye, and other leases run out meanwhile.
        with ThreadPoolExecutor(_CLOSE_AT_A_TIME) as at_a_time:
            for done in [at_a_time.submit(self._let_go, sender, desk) for sender, desk in resting]:
                done.result()
        return any(desk.places or desk.spent or desk.late for _, desk in list(self._desks.values()))

    def close(self) -> None:
        """Give back every connection of this process, which is about to end."""
        self._stopping.set()
        try:
            for sender, desk in list(self._desks.values()):
                with desk.changed:
                    if desk.live_places(self._clock()) and not desk.asking:
                        self._give_back(sender, desk, keep=0)
        except Exception:  # storage is away: the leases end by themselves
            log.debug("the leases of this instance could not be given back", exc_info=True)

    def _renewed_or_rests(self, sender: Sender, desk: _Desk) -> bool:
        """Renew the lease where it is in use; whether connections rest that are to be given back."""
        now = self._clock()
        left = desk.places_until - now
        told_late = bool(desk.late) and now - desk.late[0][1] > _TELL_WITHIN
        if (desk.busy and left < _RENEW_BEFORE) or (told_late and desk.live_places(now)):
            self._consult(desk, sender, Ask(self._holder, places=desk.places))
            return False
        spare = desk.places > desk.needed and desk.crowded
        if not spare:
            desk.spare_since = None
        elif desk.spare_since is None:
            desk.spare_since = now
        rests_among_others = desk.spare_since is not None and now - desk.spare_since > _REST_WHEN_CROWDED
        runs_out = not desk.busy and desk.places > 0 and left < _RUNS_OUT
        return rests_among_others or runs_out or told_late

    def _let_go(self, sender: Sender, desk: _Desk) -> None:
        with desk.changed:
            if not desk.asking:
                self._give_back(sender, desk, keep=desk.needed)

    def _give_back(self, sender: Sender, desk: _Desk, *, keep: int) -> None:
        """Close what rests, then say so; a lease that is nearly over ends by itself."""
        desk.places, desk.spare_since = keep, None
        desk.changed.release()
        try:
            self._trim(sender.name, keep)
        finally:
            desk.changed.acquire()
        ends_by_itself = desk.places_until - self._clock() < _RUNS_OUT and not desk.busy
        if ends_by_itself and not desk.spent and not desk.late:
            desk.places = 0
            return
        self._consult(desk, sender, Ask(self._holder, places=max(keep, desk.busy)))

    def _start_tending(self) -> None:
        with self._lock:
            if self._tends and self._tender is None:
                self._tender = threading.Thread(target=self._keep_tending, name="pacer", daemon=True)
                self._tender.start()

    def _keep_tending(self) -> None:
        while not self._stopping.wait(_TEND_EVERY_SECONDS):
            try:
                held = self.tend()
            except Exception:  # storage is away: the leases end, and it is tried again
                log.debug("the leases of this instance could not be looked after", exc_info=True)
                held = True
            with self._lock:
                if not held:
                    self._tender = None
                    return

    def _desk(self, sender: Sender) -> _Desk:
        with self._lock:
            if sender.name not in self._desks:
                self._desks[sender.name] = (sender, _Desk())
            return self._desks[sender.name][1]


_DAY_IS_FULL: Final = "the recipients that the mailbox may have in 24 hours are used up"
_MINUTE_IS_FULL: Final = "the mailbox has sent what it may in a minute"
_NO_PLACE: Final = "every connection of the mailbox is in use"


def _wait_or_not(later: datetime, why: str, now: datetime, *, from_line: bool) -> timedelta | NotNow:
    """Return how long to wait for what is near, else that it is not."""
    if later - now <= (AHEAD if from_line else _NEAR):
        return max(later - now, timedelta(milliseconds=1))
    return NotNow(why, later=later)


def _granted(state: SenderState, pace: Pace, ask: Ask, grant: Grant, now: datetime) -> SenderState:
    """Return the state with a grant in it; the very same where nothing was given and nothing told."""
    if ask.messages and not (grant.permits or grant.day_is_full or ask.spent or ask.late):
        return state
    decided = replace(state, pace=pace)
    if grant.day_is_full and grant.later:
        decided = replace(decided, pause=Pause(grant.later, _DAY_IS_FULL))
    if grant.permits:
        trial = replace(state.hold, trying=False) if state.hold else None
        decided = replace(decided, last_mail_at=now, hold=trial)
    return decided


def _blocked(state: SenderState, address: str, now: datetime, *, from_line: bool) -> NotNow | None:
    hold = state.hold_for(address)
    if hold and not (from_line and hold.trying):
        return NotNow(hold.reason, hold=hold)
    if (pause := state.paused(now)) and not hold:
        return NotNow(pause.reason, pause=pause, later=pause.until)
    if state.line and not from_line:
        return NotNow("others of the sender are before it")
    return None


def _live(state: SenderState, now: datetime) -> dict[str, datetime]:
    return {holder: until for holder, until in state.serving.items() if until > now}


def _somebody_sees_to_it(state: SenderState, now: datetime) -> bool:
    """Whether nobody need begin to serve: another does, or nothing may go, and `release` sees when it may."""
    held = state.hold is not None and not state.hold.trying
    return held or state.paused(now) is not None or state.is_served(now + _AMPLE)
