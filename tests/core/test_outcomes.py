from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.claims import Expire, Take, claim
from shared.core.delivery import ANNOUNCED, Delivery, Entry, State
from shared.core.outcomes import (
    JITTER,
    MOST_ATTEMPTS,
    TooLate,
    adopted,
    after,
    announced,
    back_off,
    cancel,
    first_waiting,
    in_line,
    reason,
    refusal,
    refuse,
    reschedule,
    scheduled,
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


# In line.


@pytest.mark.parametrize(
    ("state", "due_at"), [(State.HELD, None), (State.DEFERRED, None), (State.SCHEDULED, LATER)]
)
def test_the_first_that_is_seen_of_a_message_may_be_that_it_waits(
    state: State, due_at: datetime | None
) -> None:
    assert first_waiting(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        mail_id="<m@contoso.com>",
        metadata={"order": "4711"},
        now=NOW,
        body=BODY,
        reason="the minute is full",
        state=state,
        due_at=due_at,
        expires_at=LATER + SECOND,
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
        due_at=due_at,
        planned_at=due_at,
        expires_at=LATER + SECOND,
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


# Taken back, or moved.

OPEN = [State.SCHEDULED, State.QUEUED, State.DEFERRED, State.HELD]
# From each state: what comes of taking a message back or moving it, or why that comes too late.
TOO_LATE = {
    State.SENDING: "it is being sent just now",
    State.ACCEPTED: "it is accepted already",
    State.REJECTED: "it is rejected already",
    State.EXPIRED: "it is expired already",
    State.CANCELLED: "it is cancelled already",
    State.IN_DOUBT: "it is in_doubt already",
    State.DEAD_LETTERED: "it is dead_lettered already",
}


def test_every_state_is_one_in_which_a_message_can_be_changed_or_one_in_which_it_cannot() -> None:
    assert {*OPEN, *TOO_LATE} == set(State)


@pytest.mark.parametrize("state", OPEN)
def test_what_nobody_has_claimed_can_be_taken_back(state: State) -> None:
    known = entry(
        state, attempts=2, due_at=LATER, expires_at=LATER, reply="452 later", reason="why", body=BODY
    )
    assert cancel(known, now=NOW) == replace(
        known,
        state=State.CANCELLED,
        updated_at=NOW,
        changes=2,
        due_at=None,
        reply="",
        reason="it was taken back",
        body=b"",
    )


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("send_at", [EARLIER, NOW, LATER])
def test_what_nobody_has_claimed_can_be_given_another_time(state: State, send_at: datetime) -> None:
    known = entry(state, attempts=2, due_at=NOW, expires_at=LATER, reply="452 later", reason="why", body=BODY)
    assert reschedule(known, send_at=send_at, now=NOW) == replace(
        known,
        state=State.SCHEDULED,
        updated_at=NOW,
        changes=2,
        due_at=send_at,
        planned_at=send_at,
        reply="",
        reason=f"it was given another time, {send_at.isoformat(timespec='seconds')}",
    )


@pytest.mark.parametrize(("state", "said"), TOO_LATE.items())
def test_what_is_claimed_or_settled_can_be_neither_taken_back_nor_moved(state: State, said: str) -> None:
    known = entry(state, due_at=LATER)
    for refused in (cancel(known, now=NOW), reschedule(known, send_at=LATER, now=NOW)):
        assert refused == TooLate(state)
        assert isinstance(refused, TooLate)
        assert refused.reason == said


def test_what_was_moved_can_be_moved_again_and_taken_back() -> None:
    known: Entry | TooLate = entry(State.SCHEDULED, due_at=NOW)
    for number in range(1, 4):
        assert isinstance(known, Entry)
        known = reschedule(known, send_at=LATER + number * SECOND, now=NOW)
    assert isinstance(known, Entry)
    assert (known.due_at, known.changes) == (LATER + 3 * SECOND, 4)
    assert isinstance(cancel(known, now=NOW), Entry)


# Asked before the message came.


@pytest.mark.parametrize(
    ("send_at", "state", "said"),
    [
        (None, State.CANCELLED, "it was taken back before it came"),
        (LATER, State.SCHEDULED, "it was given a time before it came"),
    ],
)
def test_what_is_asked_of_a_message_that_has_not_come_is_written_down_under_its_id(
    send_at: datetime | None, state: State, said: str
) -> None:
    assert announced("order-1", now=NOW, send_at=send_at) == Entry(
        "order-1", state, ANNOUNCED, NOW, NOW, due_at=send_at, planned_at=send_at, reason=said
    )


def test_a_message_that_comes_is_adopted_with_the_time_that_it_was_given() -> None:
    known = replace(announced("order-1", now=EARLIER, send_at=LATER), version="version-7", changes=3)
    came = first_waiting(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        mail_id="<m@contoso.com>",
        metadata={"order": "4711"},
        now=NOW,
        body=BODY,
        reason="its own time",
        state=State.SCHEDULED,
        due_at=NOW + 90 * SECOND,
        expires_at=LATER + SECOND,
    )
    assert adopted(known, came, now=NOW) == Entry(
        "order-1",
        State.SCHEDULED,
        "hash",
        EARLIER,
        NOW,
        sender="noreply",
        message_id="<m@contoso.com>",
        metadata={"order": "4711"},
        due_at=LATER,
        planned_at=LATER,
        expires_at=LATER + SECOND,
        reason="it was given a time before it came",
        body=BODY,
        changes=4,
        version="version-7",
    )


# Waiting for a time.


@pytest.mark.parametrize(
    ("of", "state"),
    [
        (State.SCHEDULED, State.SCHEDULED),
        (State.QUEUED, State.SCHEDULED),
        # It has been tried, or its sender was held: its own time is behind it.
        (State.DEFERRED, State.DEFERRED),
        (State.HELD, State.DEFERRED),
        (State.SENDING, State.DEFERRED),
    ],
)
def test_what_has_to_wait_for_a_time_waits_with_its_body(of: State, state: State) -> None:
    known = entry(of, attempts=3, due_at=NOW, planned_at=EARLIER, lease_until=LATER, claimed_by=FIRST)
    assert scheduled(known, due_at=LATER, now=NOW, body=BODY, reason="its window opens then") == replace(
        known,
        state=state,
        updated_at=NOW,
        changes=2,
        due_at=LATER,
        planned_at=LATER if state is State.SCHEDULED else EARLIER,
        lease_until=None,
        claimed_by=None,
        body=BODY,
        reason="its window opens then",
    )


def test_what_waits_for_that_very_time_already_stays_the_very_same() -> None:
    known = entry(State.SCHEDULED, due_at=LATER, reason="before", body=BODY)
    assert scheduled(known, due_at=LATER, now=NOW, body=BODY, reason="after") is known
    assert scheduled(known, due_at=LATER + SECOND, now=NOW, body=BODY) is not known


@pytest.mark.parametrize("state", [state for state in State if state.is_settled])
def test_what_is_settled_waits_for_no_time(state: State) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        scheduled(entry(state), due_at=LATER, now=NOW, body=BODY)


# A message that expires.


@given(
    attempts=st.integers(0, MOST_ATTEMPTS - 2),
    waits=st.integers(0, 30),
    jitter=st.floats(0, 1),
    left=st.timedeltas(timedelta(0), timedelta(hours=3)),
)
def test_no_back_off_and_no_wait_goes_past_the_expiry(
    attempts: int, waits: int, jitter: float, left: timedelta
) -> None:
    expires_at = NOW + left
    known = replace(SENDING, attempts=attempts, waits=waits, expires_at=expires_at)
    failed = ended(Verdict.DEFER, known, jitter)
    assert failed.due_at == min(NOW + back_off(attempts + 1, jitter=jitter), expires_at)
    waits_on = waiting(known, reason="no consent", now=NOW, jitter=jitter, body=BODY)
    assert waits_on.due_at == min(NOW + wait(waits, jitter=jitter), expires_at)
    for left_behind in (failed, waits_on):
        assert left_behind.expires_at == expires_at
        assert left_behind.due_at is not None
        # It is looked at when it expires, and is not sent then.
        looked_at = claim(left_behind, delivery=FIRST, content_hash="hash", now=left_behind.due_at)
        assert isinstance(looked_at, Expire if left_behind.due_at == expires_at else Take)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_expiry_stays_with_a_message_whatever_becomes_of_it(verdict: Verdict) -> None:
    assert ended(verdict, replace(SENDING, expires_at=LATER)).expires_at == LATER
