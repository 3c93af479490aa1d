from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.claims import (
    CLAIM_LEASE,
    LATE,
    LOST_AFTER,
    Adopt,
    Doubt,
    Expire,
    Ignore,
    LookAgain,
    OtherContent,
    Take,
    claim,
    expired,
    first_claim,
    is_expired,
)
from shared.core.delivery import ANNOUNCED, Delivery, Entry, State
from shared.core.outcomes import adopted, announced, cancel, first_waiting, reschedule

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


def test_a_take_over_keeps_message_id_and_date() -> None:
    taken = claimed(SENDING, Delivery("queue-1", 2))
    assert isinstance(taken, Take)
    assert (taken.entry.message_id, taken.entry.date) == (SENDING.message_id, SENDING.date)


def test_a_claim_outlasts_the_longest_attempt() -> None:
    # Token, a place in the pool, connect to AUTH, then envelope, body and final reply.
    assert timedelta(seconds=30 + 60 + 60) + timedelta(minutes=7) < CLAIM_LEASE


# Lateness.


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (timedelta(), ""),
        (LATE - timedelta(milliseconds=1), ""),
        (LATE, "0:01:00 late: it was due at {due}"),
        (timedelta(hours=7, seconds=4, milliseconds=600), "7:00:05 late: it was due at {due}"),
        (timedelta(days=3, minutes=2), "3 days, 0:02:00 late: it was due at {due}"),
    ],
)
def test_the_history_says_how_late_a_scheduled_message_goes(late: timedelta, said: str) -> None:
    planned_at = NOW - late
    said = said.format(due=planned_at.isoformat(timespec="seconds"))
    for state in WAITING:  # whatever it waited for after its time had come
        taken = claimed(entry(state, planned_at=planned_at, reason="it was given another time"))
        assert isinstance(taken, Take)
        assert (taken.entry.reason, taken.entry.planned_at) == (said, planned_at)
    first = first_claim(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        delivery=FIRST,
        mail_id="<m@contoso.com>",
        metadata={},
        now=NOW,
        planned_at=planned_at,
    )
    assert first.reason == said


@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize(
    "fields",
    [
        {"due_at": EARLIER},  # it was to go at once
        {"due_at": EARLIER, "planned_at": EARLIER, "attempts": 1},  # it was not late when it went first
    ],
)
def test_only_what_was_planned_and_has_not_been_tried_is_late(
    state: State, fields: dict[str, object]
) -> None:
    taken = claimed(entry(state, **fields))
    assert isinstance(taken, Take)
    assert taken.entry.reason == ""


# Expiry.


@pytest.mark.parametrize(
    ("expires_at", "gone"),
    [(None, False), (NOW + timedelta(microseconds=1), False), (NOW, True), (EARLIER, True)],
)
def test_a_message_is_of_no_more_use_from_its_expiry_on(expires_at: datetime | None, *, gone: bool) -> None:
    for state in WAITING:
        known = entry(state, expires_at=expires_at)
        assert is_expired(known, NOW) is gone
        assert isinstance(claimed(known), Expire if gone else Take)


@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize("due_at", [None, EARLIER, LATER])
def test_what_expired_is_settled_and_says_what_it_waited_for(state: State, due_at: datetime | None) -> None:
    known = entry(
        state,
        due_at=due_at,
        expires_at=EARLIER,
        reply="452 4.5.3 later",
        reason="the line is full",
        body=BODY,
    )
    decision = claimed(known)
    assert decision == Expire(
        replace(
            known,
            state=State.EXPIRED,
            updated_at=NOW,
            changes=2,
            due_at=None,
            body=b"",
            reply="",
            reason=(
                "its expires_at 2026-11-24T11:00:00+00:00 passed before it could be sent; "
                "it waited because the line is full"
            ),
        )
    )


def test_what_expired_without_having_waited_says_no_more_than_that() -> None:
    gone = expired(entry(State.SENDING, expires_at=NOW), now=NOW)
    assert (gone.state, gone.reason) == (
        State.EXPIRED,
        "its expires_at 2026-11-24T12:00:00+00:00 passed before it could be sent",
    )


def test_what_is_being_sent_does_not_expire_under_the_hands_of_who_sends_it() -> None:
    known = replace(SENDING, expires_at=EARLIER)
    assert isinstance(claimed(known, Delivery("queue-2", 1)), Ignore)


@pytest.mark.parametrize("state", [state for state in State if state.is_settled])
def test_what_is_settled_expires_no_more(state: State) -> None:
    assert claimed(entry(state, expires_at=EARLIER)) == Ignore(f"it is {state.value} already")


def test_other_content_does_not_learn_that_the_first_expired() -> None:
    assert isinstance(claimed(entry(expires_at=EARLIER), content_hash="other"), OtherContent)


def test_a_claim_keeps_the_expiry_and_a_first_claim_has_it() -> None:
    taken = claimed(entry(expires_at=LATER))
    assert isinstance(taken, Take)
    assert taken.entry.expires_at == LATER
    first = first_claim(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        delivery=FIRST,
        mail_id="<m@contoso.com>",
        metadata={},
        now=NOW,
        expires_at=LATER,
    )
    assert first.expires_at == LATER


# What was asked about a message before it came.


def test_what_was_taken_back_before_it_came_is_not_sent() -> None:
    known = announced("order-1", now=EARLIER, send_at=None)
    assert claimed(known) == Ignore("it was cancelled before it came")


@pytest.mark.parametrize("send_at", [EARLIER, NOW, LATER])
def test_what_was_given_a_time_before_it_came_is_adopted_and_not_sent_yet(send_at: datetime) -> None:
    assert claimed(announced("order-1", now=EARLIER, send_at=send_at)) == Adopt()


def test_what_was_given_a_time_and_then_taken_back_before_it_came_is_not_sent() -> None:
    gone = cancel(announced("order-1", now=EARLIER, send_at=LATER), now=NOW)
    assert isinstance(gone, Entry)
    assert claimed(gone) == Ignore("it was cancelled before it came")


def test_what_was_adopted_waits_for_the_time_that_it_was_given_and_belongs_to_its_content() -> None:
    came = first_waiting(
        message_id="order-1",
        content_hash="hash",
        sender="noreply",
        mail_id="<m@contoso.com>",
        metadata={},
        now=NOW,
        body=BODY,
        reason="",
        state=State.SCHEDULED,
    )
    known = adopted(announced("order-1", now=EARLIER, send_at=LATER), came, now=NOW)
    assert known.content_hash != ANNOUNCED
    assert claimed(known) == LookAgain(LATER - NOW, "it is scheduled and not due yet")
    assert isinstance(claimed(known, content_hash="other"), OtherContent)


def test_what_was_moved_is_claimed_at_its_new_time_and_not_at_the_old_one() -> None:
    moved = reschedule(entry(State.SCHEDULED, due_at=EARLIER), send_at=LATER, now=EARLIER)
    assert isinstance(moved, Entry)
    assert claimed(moved) == LookAgain(LATER - NOW, "it is scheduled and not due yet")
    at_last = claim(moved, delivery=FIRST, content_hash="hash", now=LATER)
    assert isinstance(at_last, Take)
    assert (at_last.entry.due_at, at_last.entry.reason) == (None, "")
