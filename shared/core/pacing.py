"""
What a mailbox may still send, and over how many connections, counted across all instances.

Exchange Online counts the messages of a mailbox in any sixty seconds, its recipients in any 24 hours, and the
connections it has open. `Pace` holds what every instance together has used of them; `grant` decides what one
that asks may have. An instance asks for several messages at a time and for a connection for half a minute, so
what stands here is seldom written.

A message is counted from the moment it is granted at the *latest* moment at which the server can count it
(`Sent.at`), and it may not begin before its slot. So whatever the instances do in between, no sixty seconds
at the server hold more than the limit. Nothing is to be given back: an instance that dies leaves a few slots
unused, and its connections are free again when their lease ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.sender import Limits

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
# Recipients are summed by the quarter of an hour, so a day is at most 97 numbers; what leaves the 24 hours
# does so a quarter late.
_QUARTER: Final = timedelta(minutes=15)
# Above so many a minute, sends are counted by the quarter of a second, at its end: an entity of a table holds
# that many entries, whatever the rate.
_MOST_ENTRIES: Final = 240
_GRAIN: Final = timedelta(milliseconds=250)
# From its slot to the server's count: two round trips over a session that is open, and the clocks of two
# instances. What takes longer is told afterwards (`Ask.late`).
IN_TRANSIT: Final = timedelta(seconds=1.5)
# Permits for at once, given several at a time, are good for so long.
AT_ONCE_FOR: Final = timedelta(seconds=5)
# Longer than an instance goes without asking or tending what it holds, and over within a minute when it has
# died.
PLACE_LEASE: Final = timedelta(seconds=45)
# The share of a minute's messages that may go at once; the rest is spread over the minute, so that urgent
# mail never waits for a whole one.
_BURST: Final = 2
# The part of what may go at once that one instance gets at a time, beside what it has in hand.
_HANDFUL: Final = 8
# The part of what is left of a day's recipients that an instance may use before it tells.
_UNTOLD: Final = 20
_NEAR_THE_END: Final = 10


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages, or recipients, that the server counts at ``at`` at the latest."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Place:
    """Connections that an instance may have open until the lease ends."""

    holder: str
    count: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Permit:
    """Messages that may begin from ``slot`` on; ``until`` is the last moment, ``counted_at`` as in `Sent`."""

    slot: datetime
    until: datetime
    counted_at: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """What all instances together have used of one mailbox's limits."""

    sends: tuple[Sent, ...] = ()
    last_slot: datetime | None = None
    recipients: tuple[Sent, ...] = ()
    places: tuple[Place, ...] = ()

    def places_of_others(self, holder: str, now: datetime) -> int:
        """How many connections other instances may have open."""
        return sum(place.count for place in self.places if place.holder != holder and place.until > now)

    def may_stay_untold(self, limits: Limits, now: datetime) -> int:
        """How many recipients an instance may use before they are counted; none where few are left."""
        left = limits.recipients_per_day - self.recipients_today(now)
        return left // _UNTOLD if left > limits.recipients_per_day // _NEAR_THE_END else 0

    def recipients_today(self, now: datetime) -> int:
        """How many recipients were counted in the last 24 hours."""
        return sum(sent.count for sent in self.recipients if sent.at > now - DAY)


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What an instance asks for, and what it has to tell.

    ``messages`` that could begin now, or, where ``ahead`` is not zero, slots within that time. ``recipients``
    of the first of them. ``places`` is how many connections it wants to hold in all; 0 gives back what it
    has. ``spent`` are recipients that went out uncounted; ``late`` the sends that the server counted after
    their time.
    """

    holder: str
    messages: int = 0
    recipients: int = 0
    places: int = 0
    ahead: timedelta = timedelta()
    urgent: bool = False
    spent: int = 0
    late: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What it may have.

    ``later`` is when to ask again where no message may go; what the instance holds is then as it was.
    ``crowded`` says that no connection is left for another instance. ``by_count`` says that recipients must
    be asked for one message at a time.
    """

    permits: tuple[Permit, ...]
    places: int
    places_until: datetime
    later: datetime | None = None
    crowded: bool = False
    day_is_full: bool = False


def grant(pace: Pace, ask: Ask, limits: Limits, *, now: datetime) -> tuple[Pace, Grant]:
    """Decide what an instance may have, and return the pace with that counted."""
    pace = _told(_pruned(pace, now), ask, now)
    held = next((place for place in pace.places if place.holder == ask.holder), Place(ask.holder, 0, now))
    places = max(0, min(ask.places, limits.connections - pace.places_of_others(ask.holder, now)))
    free_at = _day_free_at(pace, ask.recipients, limits, now) if ask.messages else None
    permits: tuple[Permit, ...] = ()
    if ask.messages and places and free_at is None:
        pace, permits = _permits(pace, ask, limits, now)
        if permits:
            pace = replace(pace, recipients=_counted(pace.recipients, ask.recipients, now))
    later = None
    if permits or not ask.messages:
        held = Place(ask.holder, places, now + PLACE_LEASE)
        pace = replace(pace, places=_seated(pace, held))
    else:
        # Where only the connections are taken, one may be free within seconds.
        soonest = now if places else now + timedelta(seconds=1)
        later = free_at or max(next_slot(pace, limits, now=now, urgent=ask.urgent), soonest)
    answer = Grant(
        permits,
        held.count,
        held.until,
        later,
        crowded=pace.places_of_others("", now) >= limits.connections,
        day_is_full=free_at is not None,
    )
    return pace, answer


def next_slot(pace: Pace, limits: Limits, *, now: datetime, urgent: bool = False) -> datetime:
    """
    Return when the next message may begin.

    Half of a minute's messages may go at once; after that they keep a distance that spreads what is left
    until the first of them leaves the sixty seconds. Urgent ones keep none.
    """
    rate = limits.messages_per_minute
    slot = max(now, pace.last_slot or now)
    in_window = sorted((sent for sent in pace.sends if sent.at > slot - MINUTE), key=lambda sent: sent.at)
    used = sum(sent.count for sent in in_window)
    leaving = iter(in_window)
    while used >= rate:
        gone = next(leaving)
        used -= gone.count
        slot = gone.at + MINUTE
    if urgent or used < max(1, rate // _BURST) or pace.last_slot is None:
        return slot
    oldest = next(leaving, None)
    spread = ((oldest.at + MINUTE) - pace.last_slot) / (rate - used + 1) if oldest else timedelta()
    return max(slot, pace.last_slot + max(MINUTE / rate, spread))


def _permits(pace: Pace, ask: Ask, limits: Limits, now: datetime) -> tuple[Pace, tuple[Permit, ...]]:
    """Give slots, one at a time where they keep a distance, many at once where they need not."""
    permits: list[Permit] = []
    wanted = ask.messages
    while wanted > 0:
        slot = next_slot(pace, limits, now=now, urgent=ask.urgent)
        if slot > now + ask.ahead:
            break
        count = 1
        if slot <= now:
            used = sum(sent.count for sent in pace.sends if sent.at > now - MINUTE)
            at_once = limits.messages_per_minute // _BURST - used
            count = max(1, min(at_once, wanted + at_once // _HANDFUL))
        # Several at a time are not all begun at once.
        lasts = IN_TRANSIT if count == 1 else AT_ONCE_FOR + IN_TRANSIT
        counted_at = slot + lasts
        if limits.messages_per_minute > _MOST_ENTRIES:
            counted_at = _at_end_of(_GRAIN, counted_at)
        permit = Permit(slot, slot + AT_ONCE_FOR, counted_at, count)
        permits.append(permit)
        pace = replace(pace, last_slot=slot, sends=_merged((*pace.sends, Sent(counted_at, count))))
        wanted -= count
    return pace, tuple(permits)


def _told(pace: Pace, ask: Ask, now: datetime) -> Pace:
    """Take in what the instance has to tell."""
    sends = list(pace.sends)
    for thought, truly in ask.late:
        for index, sent in enumerate(sends):
            if sent.at >= thought:  # the entry it went into
                sends[index] = replace(sent, count=sent.count - 1)
                break
        sends.append(Sent(truly, 1))
    kept = tuple(sorted((sent for sent in sends if sent.count > 0), key=lambda sent: sent.at))
    return replace(pace, sends=kept, recipients=_counted(pace.recipients, ask.spent, now))


def _pruned(pace: Pace, now: datetime) -> Pace:
    """Forget what counts no more."""
    return replace(
        pace,
        sends=tuple(sent for sent in pace.sends if sent.at > now - MINUTE),
        recipients=tuple(sent for sent in pace.recipients if sent.at > now - DAY),
        places=tuple(place for place in pace.places if place.until > now),
    )


def _seated(pace: Pace, held: Place) -> tuple[Place, ...]:
    others = tuple(place for place in pace.places if place.holder != held.holder)
    return (*others, held) if held.count else others


def _counted(counts: tuple[Sent, ...], count: int, now: datetime) -> tuple[Sent, ...]:
    """Add to the sum of the present quarter of an hour, which is counted at its end."""
    if not count:
        return counts
    return _merged((*counts, Sent(_at_end_of(_QUARTER, now), count)))


def _at_end_of(period: timedelta, at: datetime) -> datetime:
    """Return when the period ends in which a moment lies, counted from 1970."""
    seconds = period.total_seconds()
    return datetime.fromtimestamp((at.timestamp() // seconds + 1) * seconds, at.tzinfo)


def _merged(counts: Iterable[Sent]) -> tuple[Sent, ...]:
    """Put together what is counted at the same time, in the order of time."""
    merged: dict[datetime, int] = {}
    for sent in counts:
        merged[sent.at] = merged.get(sent.at, 0) + sent.count
    return tuple(Sent(at, merged[at]) for at in sorted(merged))


def _day_free_at(pace: Pace, recipients: int, limits: Limits, now: datetime) -> datetime | None:
    """Return when so many recipients fit into the last 24 hours; None where they do now."""
    over = pace.recipients_today(now) + min(recipients, limits.recipients_per_day) - limits.recipients_per_day
    for sent in pace.recipients:
        if over <= 0:
            return None
        over -= sent.count
        if over <= 0:
            return sent.at + DAY
    return None
