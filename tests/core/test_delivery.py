from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.delivery import (
    ALLOWED,
    CLAIM_LEASE,
    JITTER,
    LOST_AFTER,
    MOST_ATTEMPTS,
    Delivery,
    Doubt,
    Entry,
    Ignore,
    LookAgain,
    OtherContent,
    State,
    Take,
    after,
    back_off,
    claim,
    first_claim,
    first_in_line,
    in_line,
    reason,
    refusal,
    refuse,
    wait,
    waiting,
)
from shared.core.reply import Judgement, Scope, Verdict
from shared.core.smtp import Phase, Reply, Submission

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)
LATER = NOW + timedelta(minutes=5)
SECOND = timedelta(seconds=1)
FIRST = Delivery("queue-1", 1)
BODY = b'{"to": "ada@contoso.com"}'


def entry(state: State = State.QUEUED, **fields: object) -> Entry:
    plain = Entry("order-1", state, "hash", EARLIER, EARLIER, sender="noreply")
    return replace(plain, **fields)  # type: ignore[arg-type]  # each test names real fields


SENDING = entry(
    State.SENDING,
    changes=1,
    message_id="<m@contoso.com>",
    date=EARLIER,
    lease_until=LATER,
    claimed_by=FIRST,
)


# States.

MAY_BECOME = {
    "scheduled": "cancelled dead_lettered deferred expired held queued rejected scheduled sending",
    "queued": "cancelled dead_lettered deferred expired held queued rejected sending",
    "deferred": "cancelled dead_lettered deferred expired held queued rejected sending",
    "held": "cancelled dead_lettered deferred expired held queued rejected sending",
    "sending": "accepted dead_lettered deferred expired held in_doubt rejected sending",
    "accepted": "",
    "rejected": "",
    "expired": "",
    "cancelled": "",
    "in_doubt": "",
    "dead_lettered": "",
}


def test_the_states_are_those_of_the_contract() -> None:
    assert [state.value for state in State] == [
        "scheduled",
        "queued",
        "sending",
        "deferred",
        "held",
        "accepted",
        "rejected",
        "expired",
        "cancelled",
        "in_doubt",
        "dead_lettered",
    ]
    assert set(ALLOWED) == set(State)


@pytest.mark.parametrize("to", list(State))
@pytest.mark.parametrize("of", list(State))
def test_a_state_may_follow_another_or_not(of: State, to: State) -> None:
    before = entry(of, changes=3)
    if to.value in MAY_BECOME[of.value].split():
        assert before.evolve(to, now=NOW, reason="why") == replace(
            before, state=to, updated_at=NOW, changes=4, reason="why"
        )
    else:
        with pytest.raises(ValueError, match=f"^a message that is {of.value} cannot become {to.value}$"):
            before.evolve(to, now=NOW)


def test_what_nothing_can_follow_is_settled() -> None:
    settled = ["accepted", "rejected", "expired", "cancelled", "in_doubt", "dead_lettered"]
    assert [state.value for state in State if state.is_settled] == settled


def test_only_what_is_being_sent_can_be_accepted_or_in_doubt() -> None:
    for state in (State.ACCEPTED, State.IN_DOUBT):
        assert [before for before in State if state in ALLOWED[before]] == [State.SENDING]


# The first that is seen of a message.


def test_the_first_claim_fixes_message_id_and_date_for_good() -> None:
    assert first_claim(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        delivery=FIRST,
        mail_id="<m@contoso.com>",
        metadata={"order": "4711"},
        now=NOW,
    ) == Entry(
        "order-1",
        State.SENDING,
        "hash",
        NOW,
        NOW,
        sender="noreply",
        message_id="<m@contoso.com>",
        metadata={"order": "4711"},
        date=NOW.replace(microsecond=0),  # a Date field has seconds
        lease_until=NOW + CLAIM_LEASE,
        claimed_by=FIRST,
    )


def test_a_refusal_is_settled_from_the_start() -> None:
    refused = refusal(
        message_id="order-1",
        content_hash="hash",
        sender="",
        reason="to: is no list",
        metadata={"order": "4711"},
        now=NOW,
    )
    assert refused == Entry(
        "order-1", State.REJECTED, "hash", NOW, NOW, reason="to: is no list", metadata={"order": "4711"}
    )
    assert refused.attempts == 0


# Claims.


def claimed(known: Entry, delivery: Delivery = FIRST, content_hash: str = "hash") -> object:
    return claim(known, delivery=delivery, content_hash=content_hash, now=NOW)


@pytest.mark.parametrize("state", list(State))
def test_an_id_belongs_to_the_first_content_in_every_state(state: State) -> None:
    assert claimed(entry(state), content_hash="other") == OtherContent(
        "id: order-1 was used before for a message with other content; use a new id"
    )


@pytest.mark.parametrize("state", [state for state in State if state.is_settled])
def test_what_is_settled_is_not_sent_again(state: State) -> None:
    assert claimed(entry(state)) == Ignore(f"it is {state.value} already")


WAITING = [State.SCHEDULED, State.QUEUED, State.DEFERRED, State.HELD]


@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize("due_at", [None, NOW, EARLIER])
def test_what_waits_and_is_due_is_claimed(state: State, due_at: datetime | None) -> None:
    known = entry(state, attempts=2, waits=3, due_at=due_at, body=BODY, message_id="<m@contoso.com>")
    assert claimed(known) == Take(
        replace(
            known,
            state=State.SENDING,
            updated_at=NOW,
            changes=2,
            due_at=None,
            date=NOW.replace(microsecond=0),  # what waited in line has none until it is claimed
            lease_until=NOW + CLAIM_LEASE,
            claimed_by=FIRST,
        )
    )


def test_what_was_said_of_an_earlier_attempt_stands_in_the_history_alone() -> None:
    taken = claimed(entry(State.DEFERRED, date=EARLIER, reply="452 4.5.3 later", reason="too many"))
    assert isinstance(taken, Take)
    assert (taken.entry.date, taken.entry.reply, taken.entry.reason) == (EARLIER, "", "")


@pytest.mark.parametrize("state", WAITING)
def test_what_is_not_due_is_looked_at_again_when_it_is(state: State) -> None:
    known = entry(state, due_at=NOW + 90 * SECOND)
    assert claimed(known) == LookAgain(90 * SECOND, f"it is {state.value} and not due yet")


TAKEN_OVER = "the instance that was sending it ended before it could say what came of it"


@pytest.mark.parametrize(
    ("delivery", "lease_until", "taken"),
    [
        # The very queue message that holds the claim is seen again only when its instance is gone.
        (Delivery("queue-1", 2), LATER, True),
        (Delivery("queue-1", 5), LATER, True),
        (Delivery("queue-1", 1), LATER, False),
        # Another queue message with the same id has to wait for the claim to run out.
        (Delivery("queue-2", 1), LATER, False),
        (Delivery("queue-2", 9), LATER, False),
        (Delivery("queue-2", 1), NOW, True),
        (Delivery("queue-1", 1), NOW, True),
        (Delivery("queue-2", 1), None, True),
    ],
)
def test_a_claim_is_taken_over_from_an_instance_that_died_and_from_no_other(
    delivery: Delivery, lease_until: datetime | None, *, taken: bool
) -> None:
    known = replace(SENDING, attempts=1, lease_until=lease_until)
    if taken:
        assert claimed(known, delivery) == Take(
            replace(
                known,
                updated_at=NOW,
                changes=2,
                attempts=2,  # the one that died may have sent it
                reason=TAKEN_OVER,
                lease_until=NOW + CLAIM_LEASE,
                claimed_by=delivery,
            )
        )
    else:
        assert claimed(known, delivery) == Ignore("another delivery of it is being sent")


def test_a_claim_that_nobody_is_named_for_is_taken_only_when_it_ran_out() -> None:
    assert claimed(replace(SENDING, claimed_by=None), Delivery("queue-1", 2)) == Ignore(
        "another delivery of it is being sent"
    )
    assert isinstance(claimed(replace(SENDING, claimed_by=None, lease_until=EARLIER)), Take)


FROM_LINE = Delivery("line", 1, holder="a")


def served(known: Entry, holder: str = "b", *alive: str) -> object:
    came = Delivery("line", 1, holder=holder)
    return claim(known, delivery=came, content_hash="hash", now=NOW, alive=(holder, *alive))


@pytest.mark.parametrize(
    ("since", "alive", "taken"),
    [
        (LOST_AFTER, (), True),
        (LOST_AFTER + SECOND, ("c",), True),
        # One whose storage was away may come back and say what came of it.
        (LOST_AFTER - SECOND, (), False),
        (LOST_AFTER + SECOND, ("a",), False),
        (timedelta(minutes=29), ("a",), False),
    ],
)
def test_a_claim_from_the_line_is_taken_over_when_its_holder_is_long_gone(
    since: timedelta, alive: tuple[str, ...], *, taken: bool
) -> None:
    known = replace(SENDING, claimed_by=FROM_LINE, updated_at=NOW - since)
    decision = served(known, "b", *alive)
    assert isinstance(decision, Take if taken else Ignore)
    if isinstance(decision, Take):
        assert decision.entry.attempts == 1
        assert decision.entry.claimed_by == Delivery("line", 1, holder="b")


def test_an_instance_that_could_not_write_down_what_came_of_it_takes_its_own_claim_again() -> None:
    decision = served(replace(SENDING, claimed_by=FROM_LINE, updated_at=NOW), "a")
    assert isinstance(decision, Take)
    assert decision.entry.attempts == 1  # it may have been sent


def test_a_queue_message_knows_not_who_lives_and_takes_no_claim_from_a_line() -> None:
    known = replace(SENDING, claimed_by=FROM_LINE, updated_at=EARLIER)
    assert isinstance(claimed(known, Delivery("queue-1", 9)), Ignore)


def test_a_line_takes_no_claim_from_the_queue_before_it_runs_out() -> None:
    assert isinstance(served(replace(SENDING, updated_at=EARLIER)), Ignore)
    assert isinstance(served(replace(SENDING, updated_at=EARLIER, lease_until=NOW)), Take)


@pytest.mark.parametrize(
    ("known", "came"),
    [
        (SENDING, Delivery("queue-1", 2)),
        (replace(SENDING, lease_until=NOW), Delivery("queue-2", 1)),
        (replace(SENDING, claimed_by=FROM_LINE, updated_at=EARLIER), Delivery("line", 1, holder="b")),
    ],
)
def test_what_a_dead_instance_may_have_sent_is_in_doubt_where_the_message_asks_for_that(
    known: Entry, came: Delivery
) -> None:
    known = replace(known, attempts=1, body=BODY)
    decision = claim(known, delivery=came, content_hash="hash", now=NOW, hold_on_doubt=True)
    assert decision == Doubt(
        replace(
            known,
            state=State.IN_DOUBT,
            updated_at=NOW,
            changes=2,
            attempts=2,
            reason=f"{TAKEN_OVER}; it may have been accepted",
            lease_until=None,
            claimed_by=None,
            body=b"",
        )
    )


def test_there_is_no_doubt_about_what_another_is_sending_or_nobody_has_begun() -> None:
    doubtful = claim(
        SENDING, delivery=Delivery("queue-2", 1), content_hash="hash", now=NOW, hold_on_doubt=True
    )
    assert isinstance(doubtful, Ignore)
    for state in WAITING:
        begun = claim(entry(state), delivery=FIRST, content_hash="hash", now=NOW, hold_on_doubt=True)
        assert isinstance(begun, Take)


# In line.


@pytest.mark.parametrize(("held", "state"), [(True, State.HELD), (False, State.DEFERRED)])
def test_the_first_that_is_seen_of_a_message_may_be_that_it_waits(*, held: bool, state: State) -> None:
    assert first_in_line(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        mail_id="<m@contoso.com>",
        metadata={"order": "4711"},
        now=NOW,
        body=BODY,
        reason="the minute is full",
        held=held,
    ) == Entry(
        "order-1",
        state,
        "hash",
        NOW,
        NOW,
        sender="noreply",
        message_id="<m@contoso.com>",
        metadata={"order": "4711"},
        body=BODY,
        reason="the minute is full",
    )


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("of", [*[state for state in State if not state.is_settled]])
def test_what_is_not_settled_may_stand_in_line(of: State, *, held: bool) -> None:
    known = entry(of, attempts=3, waits=2, due_at=LATER, lease_until=LATER, claimed_by=FIRST)
    assert in_line(known, now=NOW, body=BODY, reason="why", held=held) == replace(
        known,
        state=State.HELD if held else State.DEFERRED,
        updated_at=NOW,
        changes=2,
        due_at=None,
        lease_until=None,
        claimed_by=None,
        body=BODY,
        reason="why",
    )


@pytest.mark.parametrize(("state", "held"), [(State.HELD, True), (State.DEFERRED, False)])
def test_what_stands_in_line_stays_the_very_same(state: State, *, held: bool) -> None:
    known = entry(state, attempts=3, reason="before", body=BODY)
    assert in_line(known, now=NOW, body=BODY, reason="why", held=held) is known
    assert in_line(known, now=NOW, body=BODY, reason="why", held=held, attempts=3) is known
    assert in_line(known, now=NOW, body=BODY, reason="why", held=not held) is not known
    counted = in_line(known, now=NOW, body=BODY, reason="why", held=held, attempts=4)
    assert (counted.attempts, counted.changes) == (4, 2)


def test_what_stood_in_line_and_waits_for_a_time_no_longer_stands_there() -> None:
    known = entry(State.DEFERRED, due_at=LATER)
    assert in_line(known, now=NOW, body=BODY, reason="why", held=False).due_at is None


@pytest.mark.parametrize("state", [state for state in State if state.is_settled])
def test_what_is_settled_joins_no_line(state: State) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        in_line(entry(state), now=NOW, body=BODY, reason="why", held=False)


def test_a_take_over_keeps_message_id_and_date() -> None:
    taken = claimed(SENDING, Delivery("queue-1", 2))
    assert isinstance(taken, Take)
    assert (taken.entry.message_id, taken.entry.date) == (SENDING.message_id, SENDING.date)


def test_a_claim_outlasts_the_longest_attempt() -> None:
    # Token, a place in the pool, connect to AUTH, then envelope, body and final reply.
    assert timedelta(seconds=30 + 60 + 60) + timedelta(minutes=7) < CLAIM_LEASE


# How long until the next time.


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 15), (2, 60), (3, 240), (4, 960), (5, 3840), (6, 7200), (7, 7200), (8, 7200), (12, 7200)],
)
def test_the_back_off_grows_fourfold_up_to_two_hours(attempts: int, seconds: int) -> None:
    assert back_off(attempts, jitter=0.5) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("waits", "seconds"),
    [(0, 5), (1, 10), (2, 20), (3, 40), (4, 80), (7, 640), (8, 900), (100, 900), (10_000, 900)],
)
def test_a_wait_doubles_up_to_a_quarter_of_an_hour(waits: int, seconds: int) -> None:
    assert wait(waits, jitter=0.5) == timedelta(seconds=seconds)


@given(attempts=st.integers(1, 12), jitter=st.floats(0, 1))
def test_jitter_spreads_what_failed_together_by_a_fifth_each_way(attempts: int, jitter: float) -> None:
    assert JITTER == 0.2
    for spread, middle in (
        (back_off(attempts, jitter=jitter), back_off(attempts, jitter=0.5)),
        (wait(attempts, jitter=jitter), wait(attempts, jitter=0.5)),
    ):
        assert middle * 0.8 <= spread <= middle * 1.2


def test_all_attempts_together_take_the_better_part_of_a_day() -> None:
    longest = sum((back_off(number, jitter=1) for number in range(1, MOST_ATTEMPTS)), timedelta())
    assert timedelta(hours=5) < longest < timedelta(hours=8)


# After an attempt.


def ended(
    verdict: Verdict,
    of: Entry = SENDING,
    jitter: float = 0.5,
    *,
    doubt: bool = False,
    hold_on_doubt: bool = False,
) -> Entry:
    return after(
        of,
        Judgement(verdict, "a rule", "a remedy", Scope.MESSAGE, doubt),
        hold_on_doubt=hold_on_doubt,
        reply="the reply",
        reason="the reason",
        now=NOW,
        jitter=jitter,
        body=BODY,
    )


@pytest.mark.parametrize(
    ("verdict", "state"), [(Verdict.ACCEPTED, State.ACCEPTED), (Verdict.REJECT, State.REJECTED)]
)
def test_what_is_decided_is_settled_and_its_body_dropped(verdict: Verdict, state: State) -> None:
    known = replace(SENDING, attempts=2, waits=3, body=BODY)
    assert ended(verdict, known) == replace(
        known,
        state=state,
        updated_at=NOW,
        changes=2,
        attempts=3,
        reply="the reply",
        reason="the reason",
        lease_until=None,
        claimed_by=None,
        body=b"",
    )


@pytest.mark.parametrize("attempts", range(MOST_ATTEMPTS - 1))
def test_a_deferred_message_goes_again_after_the_back_off(attempts: int) -> None:
    known = replace(SENDING, attempts=attempts, waits=7)
    assert ended(Verdict.DEFER, known) == replace(
        known,
        state=State.DEFERRED,
        updated_at=NOW,
        changes=2,
        attempts=attempts + 1,
        waits=0,
        reply="the reply",
        reason="the reason",
        due_at=NOW + back_off(attempts + 1, jitter=0.5),
        lease_until=None,
        claimed_by=None,
        body=BODY,
    )


@pytest.mark.parametrize("attempts", [MOST_ATTEMPTS - 1, MOST_ATTEMPTS, 20])
def test_the_eighth_attempt_that_fails_is_the_last(attempts: int) -> None:
    given_up = ended(Verdict.DEFER, replace(SENDING, attempts=attempts, body=BODY))
    assert (given_up.state, given_up.attempts, given_up.due_at, given_up.body) == (
        State.REJECTED,
        attempts + 1,
        None,
        b"",
    )
    assert given_up.reply == "the reply"
    assert given_up.reason == f"the reason; given up after {attempts + 1} attempts"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.THROTTLE, State.DEFERRED),
        (Verdict.HOLD, State.HELD),
        (Verdict.REAUTHENTICATE, State.HELD),
    ],
)
def test_where_nothing_is_wrong_with_the_message_it_stands_in_line_and_no_attempt_is_counted(
    verdict: Verdict, state: State
) -> None:
    known = replace(SENDING, attempts=MOST_ATTEMPTS - 1, waits=3)
    assert ended(verdict, known) == replace(
        known,
        state=state,
        updated_at=NOW,
        changes=2,
        reply="the reply",
        reason="the reason",
        due_at=None,  # its sender's line knows when it goes
        lease_until=None,
        claimed_by=None,
        body=BODY,
    )


@pytest.mark.parametrize("attempts", [0, MOST_ATTEMPTS - 1])
def test_a_doubt_is_held_for_a_person_where_the_message_asks_for_that(attempts: int) -> None:
    known = replace(SENDING, attempts=attempts, waits=3, body=BODY)
    assert ended(Verdict.DEFER, known, doubt=True, hold_on_doubt=True) == replace(
        known,
        state=State.IN_DOUBT,
        updated_at=NOW,
        changes=2,
        attempts=attempts + 1,
        reply="the reply",
        reason="the reason",
        lease_until=None,
        claimed_by=None,
        body=b"",
    )


@pytest.mark.parametrize(("doubt", "hold_on_doubt"), [(True, False), (False, True), (False, False)])
def test_without_a_doubt_or_without_that_wish_it_goes_again(*, doubt: bool, hold_on_doubt: bool) -> None:
    assert ended(Verdict.DEFER, doubt=doubt, hold_on_doubt=hold_on_doubt) == ended(Verdict.DEFER)
    for verdict in set(Verdict) - {Verdict.DEFER}:
        assert ended(verdict, doubt=doubt, hold_on_doubt=hold_on_doubt) == ended(verdict)


def test_a_doubt_does_not_hold_what_has_another_end() -> None:
    for verdict in set(Verdict) - {Verdict.DEFER}:
        assert ended(verdict, doubt=True, hold_on_doubt=True) == ended(verdict)


def test_what_cannot_be_sent_as_asked_is_settled_after_its_claim() -> None:
    known = replace(SENDING, attempts=1, reply="an old reply", body=BODY)
    assert refuse(known, reason="html: it is too long", now=NOW) == replace(
        known,
        state=State.REJECTED,
        updated_at=NOW,
        changes=2,
        reply="",
        reason="html: it is too long",
        lease_until=None,
        claimed_by=None,
        body=b"",
    )


@pytest.mark.parametrize("hold_on_doubt", [False, True])
@pytest.mark.parametrize("doubt", [False, True])
def test_every_verdict_has_an_end(*, doubt: bool, hold_on_doubt: bool) -> None:
    for verdict in Verdict:
        left = ended(verdict, doubt=doubt, hold_on_doubt=hold_on_doubt)
        assert left.state is not State.SENDING
        assert (left.due_at is not None) == (verdict is Verdict.DEFER and not left.state.is_settled)
        assert (left.body == b"") == left.state.is_settled
        assert (left.lease_until, left.claimed_by) == (None, None)


@pytest.mark.parametrize(("waits", "seconds"), [(0, 5), (1, 10), (4, 80)])
def test_a_wait_for_a_token_counts_no_attempt_and_keeps_the_body(waits: int, seconds: int) -> None:
    known = replace(SENDING, attempts=1, waits=waits, reply="an old reply")
    assert waiting(known, reason="no consent", now=NOW, jitter=0.5, body=BODY) == replace(
        known,
        state=State.DEFERRED,
        updated_at=NOW,
        changes=2,
        waits=waits + 1,
        reply="",
        reason="no consent",
        due_at=NOW + timedelta(seconds=seconds),
        lease_until=None,
        claimed_by=None,
        body=BODY,
    )


def test_a_message_can_wait_for_weeks_and_still_be_sent() -> None:
    known = SENDING
    due = []
    for _ in range(1000):
        left = waiting(known, reason="no consent", now=NOW, jitter=0.5, body=BODY)
        assert left.due_at is not None
        due.append(left.due_at)
        taken = claim(left, delivery=FIRST, content_hash="hash", now=left.due_at)
        assert isinstance(taken, Take)
        known = taken.entry
    assert all(earlier <= later for earlier, later in pairwise(due))
    assert (known.attempts, known.waits, known.body) == (0, 1000, BODY)
    assert ended(Verdict.ACCEPTED, known).attempts == 1


def test_the_attempt_under_way_is_one_more_than_those_that_ended() -> None:
    assert [replace(SENDING, attempts=attempts).attempt for attempts in (0, 7)] == [1, 8]


def test_a_message_that_waits_does_not_print_its_body() -> None:
    assert "contoso.com" not in repr(entry(body=BODY))


# Why an attempt ended as it did.

UNKNOWN = Reply(550, ("5.1.10 unknown",))


@pytest.mark.parametrize(
    ("submission", "said"),
    [
        (Submission(Phase.DONE, Reply(250, ("2.0.0 OK",))), ""),
        (
            Submission(Phase.DONE, Reply(250, ("2.0.0 OK",)), refused={"a@b.c": UNKNOWN, "d@e.f": UNKNOWN}),
            "a@b.c was refused: 550 5.1.10 unknown; d@e.f was refused: 550 5.1.10 unknown",
        ),
        (Submission(Phase.RCPT, UNKNOWN, refused={"a@b.c": UNKNOWN}), "what it means"),
        (Submission(Phase.CONNECT, problem="timed out"), "timed out; what it means"),
        (
            Submission(Phase.AUTH, Reply(535, ("5.7.3 no",)), challenge='{"status":"400"}'),
            'what it means; the server adds {"status":"400"}',
        ),
    ],
)
def test_the_reason_says_what_happened_what_it_means_and_what_the_server_added(
    submission: Submission, said: str
) -> None:
    assert reason(submission, "what it means") == said
