"""Seats and lines across processes: real pacers and a real register, over the twin of its table."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core import holds
from shared.core.address import Address
from shared.core.holds import Hold, Pause, Proof, SenderState
from shared.core.pacing import PLACE_LEASE, Pace, Sent
from shared.core.sender import Limits, Sender, SmtpServer
from shared.desk import NotNow, Seat, Service
from shared.pacer import Pacer
from shared.register import Register
from tests.twins import NOON, Clock, MemorySenders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
ADDRESS = "noreply@contoso.com"


def sender(**limits: int) -> Sender:
    return Sender(
        "noreply",
        "microsoft",
        ADDRESS,
        Address("", ADDRESS),
        SmtpServer("smtp.office365.com"),
        limits=Limits(**limits),
    )


EXCHANGE = sender()
# So many that nobody waits for the minute.
PLENTY = sender(messages_per_minute=60_000)
# Nor for a connection.
ROOM = sender(messages_per_minute=60_000, connections=100)


class Senders(MemorySenders):
    """The twin; ``loading`` is called before each read."""

    def __init__(self) -> None:
        super().__init__()
        self.loading: Callable[[str], object] = lambda _: None

    def load(self, sender: str) -> SenderState:
        self.loading("load")
        return super().load(sender)


class House:
    """Several processes on one table, with one clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Senders()
        self.register = Register(self.store, pause=lambda _: None, jitter=lambda: 0.5)
        self.trimmed: list[tuple[str, int]] = []
        self.on_trim: Callable[[str, int], object] = lambda _holder, _keep: None

    def pacer(self, holder: str = "a", *, most_served: int = 4) -> Pacer:
        def trim(_: str, keep: int) -> None:
            self.trimmed.append((holder, keep))
            self.on_trim(holder, keep)

        return Pacer(
            Register(self.store, pause=lambda _: None, jitter=lambda: 0.5),
            holder=holder,
            trim=trim,
            clock=self.clock,
            most_served=most_served,
            tend=False,
        )

    @property
    def state(self) -> SenderState:
        return self.store.load("noreply")

    def change(self, decide: Callable[[SenderState], SenderState]) -> None:
        self.register.change("noreply", decide)

    def places(self, holder: str) -> int:
        live = [each for each in self.state.pace.places if each.until > self.clock.now]
        return sum(place.count for place in live if place.holder == holder)

    def pass_seconds(self, seconds: int, *pacers: Pacer) -> None:
        """Let time pass, in which each process looks after what it holds once a second."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            for pacer in pacers:
                pacer.tend()


@pytest.fixture
def house() -> House:
    return House()


def admit(
    pacer: Pacer, of: Sender = EXCHANGE, *, recipients: int = 1, urgent: bool = False, from_line: bool = False
) -> Seat | NotNow:
    return pacer.admit(of, recipients=recipients, address=ADDRESS, urgent=urgent, from_line=from_line)


def seat(pacer: Pacer, of: Sender = EXCHANGE, *, recipients: int = 1, from_line: bool = False) -> Seat:
    given = admit(pacer, of, recipients=recipients, from_line=from_line)
    assert isinstance(given, Seat), given
    return given


def refused(pacer: Pacer, of: Sender = EXCHANGE, *, recipients: int = 1, urgent: bool = False) -> NotNow:
    given = admit(pacer, of, recipients=recipients, urgent=urgent)
    assert isinstance(given, NotNow), given
    return given


# Seats.


def test_what_a_minute_may_hold_at_once_goes_and_then_no_more(house: House) -> None:
    pacer = house.pacer()
    for _ in range(15):
        pacer.leave(seat(pacer), used=True)
    no = refused(pacer)
    assert (no.hold, no.pause) == (None, None)
    assert no.later is not None
    assert no.later > house.clock.now + SECOND


def test_two_processes_share_the_minute(house: House) -> None:
    pacers = [house.pacer("a"), house.pacer("b")]
    went = 0
    for number in range(40):
        pacer = pacers[number % 2]
        given = admit(pacer)
        if isinstance(given, Seat):
            pacer.leave(given, used=True)
            went += 1
    assert went == 15


def test_urgent_mail_has_the_other_half_of_the_minute(house: House) -> None:
    pacer = house.pacer()
    for _ in range(15):
        pacer.leave(seat(pacer), used=True)
    refused(pacer)
    for _ in range(15):
        given = admit(pacer, urgent=True)
        assert isinstance(given, Seat)
        pacer.leave(given, used=True)
    assert refused(pacer, urgent=True).later is not None


def test_a_seat_that_was_not_used_is_there_for_the_next(house: House) -> None:
    pacer = house.pacer()
    for _ in range(100):
        pacer.leave(seat(pacer), used=False)
    for _ in range(15):
        pacer.leave(seat(pacer), used=True)
    refused(pacer)


def test_recipients_of_a_seat_that_was_not_used_are_not_counted(house: House) -> None:
    pacer = house.pacer()
    pacer.leave(seat(pacer, recipients=100), used=False)
    pacer.leave(seat(pacer, recipients=7), used=True)
    house.change(lambda state: state)
    house.clock.advance(MINUTE)
    pacer.leave(seat(pacer, recipients=1), used=True)
    assert house.state.pace.recipients_today(house.clock.now) == 8


def in_a_thread(house: House, of: Pacer, *others: Pacer) -> tuple[Seat | NotNow, int]:
    """Ask for a seat while time passes; return what came of it, and after how many seconds."""
    done: list[Seat | NotNow] = []
    waits, passed = threading.Thread(target=lambda: done.append(admit(of, PLENTY))), 0
    waits.start()
    waits.join(0.05)
    while waits.is_alive():
        house.pass_seconds(1, of, *others)
        passed += 1
        of.forget("noreply")  # wakes who waits
        waits.join(0.05)
    return done[0], passed


def test_connections_of_other_processes_are_left_to_them(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    seats = [seat(first, PLENTY) for _ in range(3)]
    given, _ = in_a_thread(house, second, first)
    assert isinstance(given, NotNow)
    assert (house.places("a"), house.places("b")) == (3, 0)
    for each in seats:
        first.leave(each, used=True)


def test_a_connection_that_rests_is_given_to_whom_it_serves(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    seats = [seat(first, PLENTY) for _ in range(3)]
    first.leave(seats[0], used=True)
    given, seconds = in_a_thread(house, second, first)
    assert isinstance(given, Seat)
    assert seconds <= 6
    assert (house.places("a"), house.places("b")) == (2, 1)


def test_a_permit_in_hand_without_a_connection_is_no_reason_to_ask_without_end(house: House) -> None:
    pacer = house.pacer()
    given = seat(pacer)  # with another permit for the next
    full = (Sent(NOON + SECOND, 30),)
    house.change(lambda state: replace(state, pace=replace(state.pace, sends=full)))
    pacer.forget("noreply")
    asked: list[str] = []
    house.store.before = asked.append
    house.store.loading = asked.append
    waits = threading.Thread(target=admit, args=(pacer,))
    waits.start()
    waits.join(0.3)
    house.clock.advance(MINUTE)
    pacer.leave(given, used=True)
    waits.join(10)
    assert len(asked) < 20


def test_a_message_waits_for_a_connection_of_its_own_process(house: House) -> None:
    pacer = house.pacer()
    seats = [seat(pacer, PLENTY) for _ in range(3)]
    done: list[Seat | NotNow] = []
    waits = threading.Thread(target=lambda: done.append(admit(pacer, PLENTY)))
    waits.start()
    waits.join(0.05)
    assert done == []
    pacer.leave(seats.pop(), used=True)
    waits.join(10)
    assert isinstance(done[0], Seat)
    assert house.places("a") == 3


def test_who_waits_too_long_for_a_connection_goes_to_the_line(house: House) -> None:
    pacer = house.pacer()
    seats = [seat(pacer, PLENTY) for _ in range(3)]
    given, seconds = in_a_thread(house, pacer)
    assert isinstance(given, NotNow)
    assert 10 <= seconds <= 12
    for each in seats:
        pacer.leave(each, used=True)


def test_mail_goes_behind_a_line_that_has_some(house: House) -> None:
    house.change(lambda state: replace(state, line=True))
    assert refused(house.pacer()).reason == "others of the sender are before it"


def test_a_hold_and_a_pause_keep_mail_back_and_say_why(house: House) -> None:
    pacer = house.pacer()
    pause = Pause(NOON + MINUTE, "too fast")
    house.change(lambda state: holds.paused(state, pause))
    assert refused(pacer) == NotNow("too fast", pause=pause, later=NOON + MINUTE)
    hold = Hold("refused", "nobody knows", NOON, Proof.SESSION, NOON + MINUTE)
    house.change(lambda state: replace(state, hold=hold))
    house.clock.advance(5 * SECOND)
    assert refused(pacer).hold == hold
    house.change(lambda state: replace(state, hold=None, line=False))
    house.clock.advance(MINUTE)
    assert isinstance(admit(pacer), Seat)


def test_a_held_address_keeps_back_its_own_mail_alone(house: House) -> None:
    pacer = house.pacer()
    hold = Hold("send-as-denied", "no Send As", NOON, Proof.MESSAGE, NOON + MINUTE)
    house.change(lambda state: replace(state, address_holds={"billing@contoso.com": hold}))
    no = pacer.admit(EXCHANGE, recipients=1, address="billing@contoso.com")
    assert isinstance(no, NotNow)
    assert no.hold == hold
    assert isinstance(admit(pacer), Seat)


def test_one_message_tries_a_hold_and_no_other(house: House) -> None:
    hold = Hold("mailbox-full", "it is full", NOON, Proof.MESSAGE, NOON + MINUTE, trying=True)
    house.change(lambda state: replace(state, hold=hold, line=True))
    first, second = house.pacer("a"), house.pacer("b")
    trying = seat(first, from_line=True)
    assert trying.trial == hold
    assert isinstance(admit(second, from_line=True), NotNow)
    assert isinstance(admit(first, from_line=True), NotNow)


@pytest.mark.parametrize("processes", [1, 2])
def test_many_threads_never_exceed_what_the_mailbox_may_do(house: House, processes: int) -> None:
    of = sender(messages_per_minute=60)
    world = Traffic(house, of, processes)
    world.run(until=NOON + 3 * MINUTE)
    assert world.most_at_once <= of.limits.connections
    assert world.most_in_a_minute() <= 60
    assert len(world.counted) >= 60  # and it was not for want of trying


class Traffic:
    """Threads that send as fast as they may, and a server that counts what they do."""

    def __init__(self, house: House, of: Sender, processes: int) -> None:
        self._house = house
        self._of = of
        self._pacers = [house.pacer(f"process-{number}") for number in range(processes)]
        self._rng = random.Random(1)
        self._lock = threading.Lock()
        self._tick = threading.Condition(self._lock)
        self._over = threading.Event()
        self._busy: dict[str, int] = {}
        self._idle: dict[str, int] = {}
        self._under_way: dict[int, timedelta] = {}
        self._asking: dict[int, object] = {}
        self.counted: list[object] = []
        self.at: list[timedelta] = []
        self.most_at_once = 0
        house.on_trim = self._trim

    def run(self, *, until: object) -> None:
        threads = [
            threading.Thread(target=self._work, args=(pacer,)) for pacer in self._pacers for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while self._house.clock.now < until:  # type: ignore[operator]  # a datetime
            with self._tick:
                # No process stands still for longer than the pacer allows for.
                if self._under_way and self._now() - min(self._under_way.values()) > 2 * SECOND:
                    self._tick.wait(0.005)
                    continue
                self._house.clock.advance(SECOND / 5)
                self._tick.notify_all()
                self._tick.wait(0.0005)
            for pacer in self._pacers:
                pacer.tend()
                pacer.forget("noreply")  # wakes who waits
        self._over.set()
        while any(thread.is_alive() for thread in threads):
            self._house.clock.advance(SECOND)
            for pacer in self._pacers:
                pacer.forget("noreply")
            with self._tick:
                self._tick.notify_all()
                self._tick.wait(0.001)

    def _now(self) -> timedelta:
        return self._house.clock.now - NOON

    def _work(self, pacer: Pacer) -> None:
        me = threading.get_ident()
        while not self._over.is_set():
            given = admit(pacer, self._of)
            if isinstance(given, NotNow):
                with self._tick:
                    self._tick.wait(0.002)
                continue
            with self._tick:
                self._open(pacer.holder)
                self._under_way[me] = begun = self._now()
                lasts = self._rng.choice([0.1, 0.5, 1.4]) * SECOND
                while self._now() - begun < lasts and not self._over.is_set():
                    self._tick.wait(0.01)
                self.at.append(self._now())
                self.counted.append(given)
                self._busy[pacer.holder] -= 1
                self._idle[pacer.holder] = self._idle.get(pacer.holder, 0) + 1
                del self._under_way[me]
            pacer.leave(given, used=True)

    def _open(self, holder: str) -> None:
        if self._idle.get(holder, 0):
            self._idle[holder] -= 1
        self._busy[holder] = self._busy.get(holder, 0) + 1
        at_once = sum(self._busy.values()) + sum(self._idle.values())
        self.most_at_once = max(self.most_at_once, at_once)

    def _trim(self, holder: str, keep: int) -> None:
        with self._lock:
            kept = max(0, keep - self._busy.get(holder, 0))
            self._idle[holder] = min(kept, self._idle.get(holder, 0))

    def most_in_a_minute(self) -> int:
        at = sorted(self.at)
        return max(sum(1 for other in at if each - MINUTE < other <= each) for each in at)


# The day's recipients.


@pytest.mark.parametrize("before", [0, 8_000, 8_400, 8_900, 9_400])
@pytest.mark.parametrize("from_line", [False, True])
@pytest.mark.parametrize("processes", [1, 3])
def test_no_day_has_more_recipients_than_the_mailbox_may_have(
    house: House, before: int, processes: int, *, from_line: bool
) -> None:
    day = Pace(recipients=(Sent(NOON + 15 * MINUTE, before),))
    house.change(lambda state: replace(state, pace=day))
    pacers = [house.pacer(f"process-{number}") for number in range(processes)]
    went, no = before, 0
    for number in range(200):
        pacer = pacers[number % processes]
        house.change(lambda state: replace(state, pace=replace(state.pace, sends=(), last_slot=None)))
        given = admit(pacer, recipients=500, from_line=from_line)
        if isinstance(given, NotNow):
            no += 1
            house.pass_seconds(1, *pacers)
            continue
        went += 500
        pacer.leave(given, used=True)
        house.pass_seconds(3, *pacers)
    assert no
    assert went <= 10_000
    assert went >= 9_000


def test_near_the_end_of_the_day_each_message_is_counted_before_it_goes(house: House) -> None:
    pacer = house.pacer()
    house.change(lambda state: replace(state, pace=Pace(recipients=(Sent(NOON + MINUTE, 9_500),))))
    for number in range(1, 6):
        given = seat(pacer, recipients=10)
        assert house.state.pace.recipients_today(house.clock.now) == 9_500 + 10 * number
        pacer.leave(given, used=True)


def test_a_full_day_pauses_the_sender_until_it_is_not(house: House) -> None:
    pacer = house.pacer()
    house.change(lambda state: replace(state, pace=Pace(recipients=(Sent(NOON + MINUTE, 10_000),))))
    no = refused(pacer)
    assert no.later == NOON + MINUTE + timedelta(days=1)
    assert house.state.paused(house.clock.now) == Pause(no.later, no.reason)
    house.clock.now = no.later
    assert isinstance(admit(pacer), Seat)


def test_nobody_gets_a_seat_whose_connection_is_given_back_meanwhile(house: House) -> None:
    pacer = house.pacer()
    pacer.leave(seat(pacer), used=True)
    events: list[str] = []

    def comes() -> None:
        given = seat(pacer)
        events.append("seat")
        pacer.leave(given, used=True)

    came = threading.Thread(target=comes)

    def while_it_closes(_holder: str, _keep: int) -> None:
        came.start()
        came.join(0.3)  # long enough for a seat, were there one
        events.append("closed")

    house.on_trim = while_it_closes
    house.clock.advance(PLACE_LEASE - 9 * SECOND)
    pacer.tend()
    came.join(10)
    assert events == ["closed", "seat"]
    assert house.places("a") == 1


def test_a_connection_whose_lease_ends_is_closed_whatever_holds_the_desk_up(house: House) -> None:
    pacer = house.pacer()
    pacer.leave(seat(pacer), used=True)
    house.clock.advance(PLACE_LEASE - 9 * SECOND)
    _, desk = pacer._desks["noreply"]
    closing = threading.Thread(target=pacer.close_what_runs_out)
    with desk.changed:
        closing.start()
        closing.join(10)
    assert not closing.is_alive()
    assert house.trimmed == [("a", 0)]


# The line: whatever the order of events, nobody is left in a line that nobody will look at.


class Lines:
    """A line, those who join it and those who serve it, each a sequence of steps that others come between."""

    def __init__(self, seed: int, *, instances: int, pauses: bool) -> None:
        self.house = House()
        self.rng = random.Random(seed)
        self.pacers = [self.house.pacer(f"process-{number}") for number in range(instances)]
        self.rows: set[int] = set()
        self.served: set[int] = set()
        self.calls: list[object] = []
        self.actors: list[Iterator[None]] = []
        self.pauses = pauses
        self.told: list[str] = []

    def run(self, *, messages: int) -> None:
        joined = 0
        while joined < messages or self.actors or self.calls:
            choice = self.rng.random()
            if choice < 0.15 and joined < messages:
                joined += 1
                self.actors.append(self._file(self.rng.choice(self.pacers), joined))
            elif choice < 0.25 and self.calls:
                self.calls.pop()
                self.actors.append(self._answer(self.rng.choice(self.pacers)))
            elif choice < 0.35:
                self.house.clock.advance(self.rng.choice([0.01, 0.5, 1, 1, 4]) * SECOND)
            elif choice < 0.37 and self.pauses:
                pause = Pause(self.house.clock.now + self.rng.choice([1, 4]) * SECOND, "too fast")
                self.house.change(lambda state, pause=pause: holds.paused(state, pause))  # type: ignore[misc]  # bound now
            elif self.actors:
                actor = self.rng.choice(self.actors)
                try:
                    next(actor)
                except StopIteration:
                    self.actors.remove(actor)

    def _file(self, pacer: Pacer, row: int) -> Iterator[None]:
        self.rows.add(row)
        yield
        yield from self._begin(pacer, called=False)

    def _answer(self, pacer: Pacer) -> Iterator[None]:
        yield
        yield from self._begin(pacer, called=True)

    def _begin(self, pacer: Pacer, *, called: bool) -> Iterator[None]:
        service = pacer.begin_serving(ROOM, called=called)
        yield
        if service is Service.CALL:
            self.calls.append(pacer)
        if service is Service.MINE:
            yield from self._serve(pacer)
            yield
            pacer.end_serving(ROOM)

    def _serve(self, pacer: Pacer) -> Iterator[None]:
        for _ in range(self.rng.choice([3, 1000])):
            seen, looked_at = sorted(self.rows), self.house.clock.now
            yield
            if not seen:
                # An answer of storage that took longer than this is not acted on by any client of ours.
                if self.house.clock.now - looked_at < 1.5 * SECOND and pacer.line_is_empty(ROOM) is None:
                    return
                yield
                continue
            given = pacer.admit(ROOM, recipients=1, address="", from_line=True, behind=len(seen) * 500)
            yield
            if isinstance(given, NotNow):
                pacer.withdraw(ROOM)
                return
            self.rows.discard(seen[0])
            self.served.add(seen[0])
            pacer.leave(given, used=True)
            yield
        pacer.hand_over(ROOM)
        yield
        self.calls.append(pacer)


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("instances", [1, 2, 3])
@pytest.mark.parametrize("block", range(4))
def test_nobody_is_left_in_a_line_that_is_not_marked(instances: int, block: int, *, pauses: bool) -> None:
    for seed in range(block * 100, block * 100 + 100):
        lines = Lines(seed, instances=instances, pauses=pauses)
        lines.run(messages=8)
        assert not lines.rows or lines.house.state.line, f"seed {seed}"
        assert len(lines.rows | lines.served) == 8


def test_who_has_promised_looks_again_before_the_line_counts_as_empty(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    assert first.begin_serving(EXCHANGE) is Service.MINE
    assert first.line_is_empty(EXCHANGE) == SECOND
    # Another relies on that for as long as it is sure to hold.
    assert second.begin_serving(EXCHANGE) is Service.SEEN_TO
    house.clock.advance(4 * SECOND)
    assert second.begin_serving(EXCHANGE) is Service.MINE
    house.clock.advance(SECOND)
    assert first.line_is_empty(EXCHANGE) is None
    assert house.state.line  # the second one is there


def test_the_last_to_find_a_line_empty_clears_its_mark(house: House) -> None:
    pacer = house.pacer()
    assert pacer.begin_serving(EXCHANGE) is Service.MINE
    assert house.state.line
    house.clock.advance(5 * SECOND)
    assert pacer.line_is_empty(EXCHANGE) is None
    assert (house.state.line, house.state.serving) == (False, {})


def test_the_mark_stays_while_another_thread_of_the_process_has_one_in_hand(house: House) -> None:
    pacer = house.pacer()
    assert pacer.begin_serving(PLENTY) is Service.MINE
    given = [seat(pacer, PLENTY, from_line=True) for _ in range(2)]
    pacer.leave(given[1], used=True)
    came: list[object] = []

    def help_and_find_it_empty() -> None:
        came.append(pacer.begin_serving(PLENTY))
        house.clock.advance(MINUTE)  # and no promise of this process lasts so long
        pacer.tend()
        came.append(pacer.line_is_empty(PLENTY))

    helper = threading.Thread(target=help_and_find_it_empty)
    helper.start()
    helper.join(10)
    assert came[0] is Service.MINE
    # The last message is under way in the first thread; should this process end now, somebody has to look.
    assert house.state.line
    pacer.leave(given[0], used=True)


def test_who_files_while_the_last_server_leaves_serves_itself(house: House) -> None:
    pacer = house.pacer()
    assert pacer.begin_serving(EXCHANGE) is Service.MINE
    house.clock.advance(5 * SECOND)
    assert pacer.line_is_empty(EXCHANGE) is None
    # It has not said yet that it serves no longer.
    filed: list[Service] = []
    files = threading.Thread(target=lambda: filed.append(pacer.begin_serving(EXCHANGE)))
    files.start()
    files.join(10)
    assert filed == [Service.MINE]
    assert house.state.line


def test_a_promise_that_others_rely_on_outlasts_a_server_that_stops(house: House) -> None:
    first, second, third = house.pacer("a"), house.pacer("b"), house.pacer("c")
    assert first.begin_serving(PLENTY) is Service.MINE
    given = first.admit(PLENTY, recipients=1, address="", from_line=True, behind=100_000)
    assert isinstance(given, Seat)
    first.leave(given, used=True)
    assert second.begin_serving(PLENTY) is Service.SEEN_TO  # it has read the promise, and relies on it
    first.withdraw(PLENTY)
    assert third.begin_serving(PLENTY, called=True) is Service.MINE
    while third.line_is_empty(PLENTY):
        house.clock.advance(SECOND)
    # The second one files another; either it still relies on somebody, or it serves itself.
    service = second.begin_serving(PLENTY)
    assert service is Service.MINE or house.state.line


def test_a_process_that_serves_enough_lines_calls_another(house: House) -> None:
    busy, free = house.pacer("a", most_served=0), house.pacer("b")
    assert busy.begin_serving(EXCHANGE) is Service.CALL
    assert house.state.line
    assert busy.begin_serving(EXCHANGE) is Service.SEEN_TO  # the call is on its way
    assert free.begin_serving(EXCHANGE) is Service.SEEN_TO
    assert free.begin_serving(EXCHANGE, called=True) is Service.MINE


def test_a_call_that_nobody_takes_up_is_made_again(house: House) -> None:
    busy = house.pacer("a", most_served=0)
    assert busy.begin_serving(EXCHANGE) is Service.CALL
    house.clock.advance(10 * SECOND)
    assert busy.begin_serving(EXCHANGE) is Service.CALL


def test_who_hands_over_leaves_its_promise_to_whoever_answers_the_call(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    assert first.begin_serving(EXCHANGE) is Service.MINE
    promised = house.state.serving["a"]
    first.hand_over(EXCHANGE)
    assert house.state.line
    assert max(house.state.serving.values()) >= promised
    assert second.begin_serving(EXCHANGE, called=True) is Service.MINE
    assert house.state.serving["b"] >= promised


def test_a_line_of_one_that_died_is_served_by_the_next_that_files(house: House) -> None:
    house.pacer("dead").begin_serving(EXCHANGE)
    house.clock.advance(MINUTE)
    assert house.pacer("b").begin_serving(EXCHANGE) is Service.MINE


@pytest.mark.parametrize("paused", [False, True])
def test_nobody_serves_a_sender_that_may_not_send(house: House, *, paused: bool) -> None:
    hold = Hold("refused", "nobody knows", NOON, Proof.SESSION, NOON + MINUTE)
    if paused:
        house.change(lambda state: holds.paused(state, Pause(NOON + MINUTE, "too fast")))
    else:
        house.change(lambda state: replace(state, hold=hold))
    assert house.pacer().begin_serving(EXCHANGE) is Service.SEEN_TO
    assert house.state.line  # and who lets it go on sees that mail waits


# Looking after what is held.


def test_a_lease_is_renewed_while_a_message_is_under_way(house: House) -> None:
    pacer = house.pacer()
    given = seat(pacer)
    for _ in range(10 * 60):
        house.pass_seconds(1, pacer)
        assert house.places("a") >= 1
    pacer.leave(given, used=True)
    house.pass_seconds(90, pacer)
    assert house.places("a") == 0
    assert not pacer.tend()


def test_connections_that_nobody_uses_are_closed_before_their_lease_ends(house: House) -> None:
    pacer = house.pacer()
    pacer.leave(seat(pacer), used=True)
    closed_at: list[timedelta] = []
    house.on_trim = lambda _holder, keep: closed_at.append(house.clock.now - NOON) if keep == 0 else None
    house.pass_seconds(60, pacer)
    assert len(closed_at) == 1
    assert timedelta(seconds=10) < closed_at[0] < PLACE_LEASE - SECOND


def test_where_others_want_them_spare_connections_are_closed_and_then_given_back(house: House) -> None:
    pacer = house.pacer()
    seats = [seat(pacer, PLENTY) for _ in range(3)]
    held_at_trim: list[int] = []
    house.on_trim = lambda *_: held_at_trim.append(house.places("a"))
    for each in seats[1:]:
        pacer.leave(each, used=True)
    house.pass_seconds(5, pacer)
    assert house.trimmed[-1] == ("a", 1)
    assert held_at_trim == [3]  # others could not have them yet
    assert house.places("a") == 1


def test_who_ends_gives_everything_back(house: House) -> None:
    pacer = house.pacer()
    pacer.leave(seat(pacer), used=True)
    pacer.close()
    assert house.trimmed == [("a", 0)]
    assert house.places("a") == 0
    assert isinstance(admit(house.pacer("b")), Seat)


def test_a_message_that_was_counted_late_is_told_within_the_minute(house: House) -> None:
    pacer = house.pacer()
    given = seat(pacer)
    house.pass_seconds(20, pacer)
    truly = house.clock.now
    pacer.leave(given, used=True)
    house.pass_seconds(25, pacer)
    assert truly in [sent.at for sent in house.state.pace.sends]


def test_a_storage_that_is_away_stops_no_later_tending(house: House) -> None:
    pacer = house.pacer()
    given = seat(pacer)

    def away(_: str) -> None:
        raise OSError("storage is away")

    house.store.before = away
    house.clock.advance(25 * SECOND)
    with pytest.raises(OSError, match="storage is away"):
        pacer.tend()
    house.store.before = lambda _: None
    house.pass_seconds(1, pacer)
    assert house.places("a") == 1
    pacer.leave(given, used=True)


def test_a_probe_takes_a_connection_where_one_is_free(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    assert first.place_for_probe(EXCHANGE)
    assert house.places("a") == 1
    seats = [seat(second, PLENTY) for _ in range(2)]
    assert not house.pacer("c").place_for_probe(EXCHANGE)
    house.pass_seconds(60, first)
    assert house.places("a") == 0
    assert len(seats) == 2


def test_who_holds_anything_counts_as_alive(house: House) -> None:
    first, second = house.pacer("a"), house.pacer("b")
    first.begin_serving(EXCHANGE)
    given = seat(first, from_line=True)
    second.begin_serving(EXCHANGE)
    assert second.alive(EXCHANGE) == {"a", "b"}
    first.leave(given, used=True)
