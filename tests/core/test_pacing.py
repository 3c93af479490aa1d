"""However instances ask, the server never counts more than the mailbox may send, and hardly less."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.pacing import (
    AT_ONCE_FOR,
    IN_TRANSIT,
    PLACE_LEASE,
    Ask,
    Grant,
    Pace,
    Permit,
    grant,
    next_slot,
)
from shared.core.sender import Limits

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# How long an instance may keep to itself that the server counted a message late; see the pacer.
TELL_WITHIN = 20 * SECOND
EXCHANGE = Limits()


@dataclass
class Instance:
    """One that asks; what it may have open, and what it has to tell."""

    name: str
    places: int = 0
    places_until: datetime = NOON
    #: When it may be told, what was thought, and when it truly was.
    late: list[tuple[datetime, datetime, datetime]] = field(default_factory=list)


class World:
    """Some instances, one mailbox, and what its server counts."""

    def __init__(
        self, limits: Limits, *, seed: int = 0, instances: int = 1, slowest: float = 1.4, prompt: bool = False
    ) -> None:
        self.limits = limits
        self.pace = Pace()
        self.now = NOON
        self.instances = [Instance(f"instance-{number}") for number in range(instances)]
        self.counted: list[datetime] = []
        self.permits: list[Permit] = []
        self.most_entries = 0
        self._random = random.Random(seed)
        self._slowest = slowest
        self._prompt = prompt

    def ask(self, instance: Instance, ask: Ask) -> Grant:
        known = [each for each in instance.late if each[0] <= self.now]
        instance.late = [each for each in instance.late if each[0] > self.now]
        late = tuple((thought, truly) for _, thought, truly in known)
        asked = replace(ask, holder=instance.name, late=late)
        self.pace, granted = grant(self.pace, asked, self.limits, now=self.now)
        instance.places, instance.places_until = granted.places, granted.places_until
        self.most_entries = max(self.most_entries, len(self.pace.sends))
        live = sum(each.places for each in self.instances if each.places_until > self.now)
        assert live <= self.limits.connections
        return granted

    def send(self, instance: Instance, granted: Grant, *, used: float = 1.0) -> None:
        """Use what was granted, each message at some moment at which it may be used."""
        for permit in granted.permits:
            self.permits.append(permit)
            for _ in range(permit.count):
                if self._random.random() < used:
                    self._hand_over(instance, permit)

    def _hand_over(self, instance: Instance, permit: Permit) -> None:
        soonest = max(self.now, permit.slot)
        delay = 0 if self._prompt else self._random.choice([0, self._random.random(), 1])
        begins = soonest + (permit.until - soonest) * delay
        counted = begins + self._random.random() * self._slowest * SECOND
        self.counted.append(counted)
        if counted > permit.counted_at:
            instance.late.append((counted, permit.counted_at, counted))

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass, in which nobody keeps longer to itself what is late than it may."""
        until = self.now + duration
        while True:
            known = [(each[0] + TELL_WITHIN, one) for one in self.instances for each in one.late[:1]]
            first, who = min(known, key=lambda pair: pair[0], default=(until, None))
            if who is None or first >= until:
                self.now = until
                return
            self.now = max(self.now, first)
            self.ask(who, Ask("", places=who.places))

    def most_in_a_minute(self) -> int:
        counted = sorted(self.counted)
        first = most = 0
        for last, at in enumerate(counted):
            while counted[first] <= at - MINUTE:
                first += 1
            most = max(most, last - first + 1)
        return most


@given(
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([1, 2, 3, 7, 30, 100]),
    connections=st.integers(1, 4),
    instances=st.integers(1, 6),
    slowest=st.sampled_from([0.0, 1.4, 20.0]),
)
def test_no_minute_holds_more_messages_than_the_mailbox_may_send(
    seed: int, rate: int, connections: int, instances: int, slowest: float
) -> None:
    limits = Limits(messages_per_minute=rate, connections=connections)
    world = World(limits, seed=seed, instances=instances, slowest=slowest)
    rng = random.Random(seed)
    used, urgency = rng.choice([0.5, 1.0]), rng.choice([0.0, 0.2, 1.0])
    for _ in range(200):
        world.pass_time(rng.choice([0, rng.random(), 3 * rng.random(), 30 * rng.random()]) * SECOND)
        instance = rng.choice(world.instances)
        ask = Ask(
            "",
            messages=rng.choice([0, 1, 1, 4, 60]),
            places=rng.randrange(5),
            ahead=rng.choice([0, 0, 8]) * SECOND,
            urgent=rng.random() < urgency,
        )
        world.send(instance, world.ask(instance, ask), used=used)
    assert world.most_in_a_minute() <= rate


@pytest.mark.parametrize("instances", [1, 6])
@pytest.mark.parametrize("rate", [1, 2, 7, 30, 100, 240, 300, 1200])
def test_a_backlog_uses_at_least_95_percent_of_the_rate(rate: int, instances: int) -> None:
    world = World(
        Limits(messages_per_minute=rate, connections=instances), seed=rate, instances=instances, prompt=True
    )
    turn = 0
    while world.now < NOON + 6 * MINUTE:
        instance, turn = world.instances[turn % instances], turn + 1
        ask = Ask("", messages=4, places=1, ahead=8 * SECOND)
        granted = world.ask(instance, ask)
        world.send(instance, granted)
        if granted.permits:  # whoever serves asks again when it has used what it got
            world.pass_time(max(timedelta(), granted.permits[-1].slot - world.now))
        else:
            assert granted.later is not None
            world.pass_time(granted.later - world.now)
    after_the_first = [at for at in world.counted if NOON + MINUTE <= at < NOON + 6 * MINUTE]
    assert len(after_the_first) >= int(0.95 * 5 * rate)
    assert world.most_in_a_minute() <= rate


def test_200_messages_take_no_longer_than_the_rate_asks_for() -> None:
    world = World(EXCHANGE, seed=1, prompt=True)
    (instance,) = world.instances
    while len(world.counted) < 200:
        granted = world.ask(instance, Ask("", messages=4, places=3, ahead=8 * SECOND))
        world.send(instance, granted)
        if not granted.permits:
            assert granted.later is not None
            world.pass_time(granted.later - world.now)
    assert max(world.counted) - NOON <= 200 / 0.95 * (MINUTE / 30)
    assert world.most_in_a_minute() == 30


def asked(pace: Pace, *, now: datetime = NOON, limits: Limits = EXCHANGE, **of: object) -> tuple[Pace, Grant]:
    ask = Ask("instance-0", places=1)
    return grant(pace, replace(ask, **of), limits, now=now)  # type: ignore[arg-type]  # fields of an Ask


def test_half_a_minutes_worth_goes_at_once_and_no_more() -> None:
    pace, granted = asked(Pace(), messages=100)
    assert granted.permits[0].slot == NOON
    assert sum(permit.count for permit in granted.permits) == 15
    _, none = asked(pace, messages=1)
    assert none.permits == ()
    assert none.later is not None
    assert NOON + SECOND <= none.later <= NOON + 5 * SECOND


def test_one_that_asks_gets_a_handful_beside_what_it_has_in_hand() -> None:
    _, granted = asked(Pace(), messages=1)
    (permit,) = granted.permits
    assert permit.count == 1 + 15 // 8
    assert (permit.until, permit.counted_at) == (NOON + AT_ONCE_FOR, NOON + AT_ONCE_FOR + IN_TRANSIT)


def test_what_is_spread_over_the_minute_keeps_its_distance() -> None:
    pace, _ = asked(Pace(), messages=15)
    _, granted = asked(pace, messages=60, ahead=MINUTE)
    slots = [permit.slot for permit in granted.permits]
    assert all(permit.count == 1 for permit in granted.permits)
    assert all(later - sooner >= 2 * SECOND for sooner, later in pairwise(slots))
    assert slots[-1] <= NOON + MINUTE


def test_slots_are_given_no_further_ahead_than_was_asked() -> None:
    pace, _ = asked(Pace(), messages=15)
    _, granted = asked(pace, messages=60, ahead=8 * SECOND)
    assert granted.permits
    assert max(permit.slot for permit in granted.permits) <= NOON + 8 * SECOND


def test_urgent_messages_keep_no_distance_and_yet_the_minute() -> None:
    pace, _ = asked(Pace(), messages=15)
    given_now = 0
    while True:
        pace, granted = asked(pace, messages=1, urgent=True)
        if not granted.permits:
            break
        assert granted.permits[0].slot == NOON
        given_now += sum(permit.count for permit in granted.permits)
    assert given_now == 15
    assert granted.later is not None
    assert granted.later >= NOON + MINUTE


@given(st.integers(0, 2**32), st.sampled_from([1, 3, 30]), st.booleans())
def test_later_is_when_the_next_may_go_and_not_before(seed: int, rate: int, urgent: bool) -> None:  # noqa: FBT001 - Hypothesis names it
    limits = Limits(messages_per_minute=rate)
    world = World(limits, seed=seed)
    (instance,) = world.instances
    rng = random.Random(seed)
    ask = Ask("", messages=1, places=1, urgent=urgent)
    for _ in range(60):
        granted = world.ask(instance, ask)
        if granted.permits:
            assert granted.later is None
            world.pass_time(rng.random() * SECOND)
            continue
        assert granted.later is not None
        just_before = max(world.now, granted.later - timedelta(milliseconds=1))
        if granted.later > world.now + SECOND:  # it is never sooner than in a second
            _, still_none = grant(world.pace, replace(ask, holder=instance.name), limits, now=just_before)
            assert still_none.permits == ()
        _, then = grant(world.pace, replace(ask, holder=instance.name), limits, now=granted.later)
        assert then.permits
        world.pass_time(granted.later - world.now)


def test_a_late_count_moves_the_message_to_when_it_was() -> None:
    limits = Limits(messages_per_minute=1)
    pace, granted = asked(Pace(), messages=1, limits=limits)
    (permit,) = granted.permits
    truly = NOON + 40 * SECOND
    pace, _ = asked(pace, now=truly, late=((permit.counted_at, truly),), limits=limits)
    assert [(sent.at, sent.count) for sent in pace.sends] == [(truly, 1)]
    assert next_slot(pace, limits, now=truly) == truly + MINUTE


def test_an_unused_permit_costs_the_minute_no_more_than_itself() -> None:
    world = World(Limits(messages_per_minute=2))
    (instance,) = world.instances
    world.ask(instance, Ask("", messages=2, places=1))
    world.pass_time(MINUTE + IN_TRANSIT + AT_ONCE_FOR)
    assert world.ask(instance, Ask("", messages=1, places=1)).permits


# What stands in the table.


@pytest.mark.parametrize("urgent", [False, True])
def test_the_entries_are_few_at_any_rate(*, urgent: bool) -> None:
    world = World(Limits(messages_per_minute=1_000_000))
    (instance,) = world.instances
    rng = random.Random(1)
    world.ask(instance, Ask("", messages=500_000, places=1))  # what may go at once has gone
    while world.now < NOON + 3 * MINUTE:
        world.ask(instance, Ask("", messages=rng.choice([1, 20]), places=1, ahead=SECOND, urgent=urgent))
        world.pass_time(rng.choice([0.01, 0.2, 0.3]) * SECOND)
    assert world.most_entries <= 260  # sixty seconds and what is granted ahead, at four a second


def test_the_recipients_of_a_day_are_at_most_97_sums() -> None:
    pace = Pace()
    for minutes in range(0, 3 * 24 * 60, 5):
        pace, _ = asked(pace, now=NOON + timedelta(minutes=minutes), spent=1)
    assert len(pace.recipients) <= 97
    assert pace.recipients_today(NOON + 3 * DAY) >= 24 * 12


# Connections.


def test_connections_are_given_until_none_is_left() -> None:
    world = World(EXCHANGE, instances=3)
    first, second, third = world.instances
    granted = world.ask(first, Ask("", places=2))
    assert (granted.places, granted.crowded) == (2, False)
    granted = world.ask(second, Ask("", places=2))
    assert (granted.places, granted.crowded) == (1, True)
    granted = world.ask(third, Ask("", places=1, messages=1))
    assert (granted.places, granted.permits) == (0, ())
    assert granted.later is not None
    # One may be free within seconds.
    assert granted.later == NOON + SECOND


def test_connections_that_were_given_back_are_given_again() -> None:
    world = World(EXCHANGE, instances=2)
    first, second = world.instances
    world.ask(first, Ask("", places=3))
    world.ask(first, Ask("", places=0))
    assert world.ask(second, Ask("", places=3)).places == 3


def test_connections_of_one_that_died_are_free_when_its_lease_ends() -> None:
    world = World(EXCHANGE, instances=2)
    first, second = world.instances
    world.ask(first, Ask("", places=3))
    world.pass_time(PLACE_LEASE - SECOND)
    assert world.ask(second, Ask("", places=3)).places == 0
    world.pass_time(SECOND)
    assert world.ask(second, Ask("", places=3)).places == 3


def test_a_lease_is_renewed_by_asking() -> None:
    world = World(EXCHANGE, instances=2)
    first, second = world.instances
    for _ in range(10):
        assert world.ask(first, Ask("", places=3)).places_until == world.now + PLACE_LEASE
        world.pass_time(PLACE_LEASE - SECOND)
        assert world.ask(second, Ask("", places=1)).places == 0


def test_no_message_is_permitted_without_a_connection() -> None:
    pace, granted = asked(Pace(), messages=1, places=0)
    assert granted.permits == ()
    assert pace.sends == ()


# Recipients.


@given(st.integers(0, 2**32))
def test_no_24_hours_have_more_recipients_than_the_mailbox_may_have(seed: int) -> None:
    limits = Limits(messages_per_minute=1000, recipients_per_day=100)
    rng = random.Random(seed)
    pace, now = Pace(), NOON
    counted: list[tuple[datetime, int]] = []
    for _ in range(200):
        now += rng.choice([0, rng.random() * 3600, rng.random() * 36_000]) * SECOND
        spent, recipients = rng.choice([0, 0, 1]), rng.choice([1, 5, 40])
        spent = min(spent, 100 - sum(count for at, count in counted if at > now - DAY))
        counted.append((now, spent))
        pace, granted = asked(pace, now=now, limits=limits, messages=1, recipients=recipients, spent=spent)
        assert granted.day_is_full == (granted.permits == ())
        if granted.permits:
            counted.append((now, recipients))
        in_a_day = sum(count for at, count in counted if at > now - DAY)
        assert in_a_day <= 100
        left = 100 - pace.recipients_today(now)
        assert pace.may_stay_untold(limits, now) == (left // 20 if left > 10 else 0)


def test_recipients_fall_out_of_the_day_a_quarter_late_at_most() -> None:
    limits = Limits(recipients_per_day=10)
    pace, _ = asked(Pace(), messages=1, recipients=10, limits=limits)
    pace, full = asked(pace, now=NOON + DAY - SECOND, messages=1, recipients=1, limits=limits)
    assert full.day_is_full
    assert full.later is not None
    assert NOON + DAY <= full.later <= NOON + DAY + timedelta(minutes=15)
    _, then = asked(pace, now=full.later, messages=1, recipients=10, limits=limits)
    assert then.permits
    assert not then.day_is_full


def test_a_full_day_ends_when_as_many_are_gone_as_are_needed() -> None:
    limits = Limits(recipients_per_day=10)
    pace = Pace()
    for hour in range(5):
        pace, _ = asked(pace, now=NOON + timedelta(hours=hour), spent=2, limits=limits)
    for wanted, hour in ((1, 0), (2, 0), (3, 1), (10, 4), (500, 4)):
        _, full = asked(pace, now=NOON + timedelta(hours=5), messages=1, recipients=wanted, limits=limits)
        assert full.later == NOON + timedelta(hours=24 + hour, minutes=15)


def test_a_full_day_stops_messages_and_not_the_looking_after_connections() -> None:
    limits = Limits(recipients_per_day=10)
    pace, _ = asked(Pace(), spent=10, limits=limits)
    _, granted = asked(pace, places=2, limits=limits)
    assert (granted.places, granted.later, granted.day_is_full) == (2, None, False)
