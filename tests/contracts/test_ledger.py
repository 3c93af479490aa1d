from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.table_ledger import Change, TableLedger
from shared.core.claims import first_claim
from shared.core.delivery import ANNOUNCED, Delivery, Entry, State
from shared.core.outcomes import adopted, announced, refusal, waiting
from tests.twins import NOON, MemoryLedger

Ledger = MemoryLedger | TableLedger

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
UNUSUAL_IDS = ["a:b@c.d_-", "x" * 256, "0", "..", "-", "A.B", "noreply@contoso.com:2026-11-24"]


def claimed(message_id: str = "order-17", *, by: str = "queue-id-1") -> Entry:
    return first_claim(
        message_id=message_id,
        content_hash="0" * 64,
        sender="noreply",
        delivery=Delivery(by, 1),
        mail_id="<1@contoso.com>",
        metadata={"tenant": "contoso", "Größe": "zwölf"},
        now=NOON.replace(microsecond=123_456),
    )


def test_what_was_added_is_found_as_it_was(ledger: Ledger) -> None:
    added = ledger.add(claimed())
    assert added is not None
    assert ledger.find("order-17") == added
    assert replace(added, version="") == claimed()


def test_what_was_never_added_is_not_found(ledger: Ledger) -> None:
    assert ledger.find("order-17") is None
    assert ledger.history("order-17") == []


@pytest.mark.parametrize("message_id", UNUSUAL_IDS)
def test_every_id_that_an_app_may_give_can_be_kept(ledger: Ledger, message_id: str) -> None:
    added = ledger.add(claimed(message_id))
    assert ledger.find(message_id) == added
    assert [change.number for change in ledger.history(message_id)] == [1]


def test_ids_that_differ_in_case_are_two_messages(ledger: Ledger) -> None:
    assert ledger.add(claimed("a"))
    assert ledger.find("A") is None
    assert ledger.add(claimed("A", by="queue-id-2"))


def test_an_id_is_taken_once(ledger: Ledger) -> None:
    first = ledger.add(claimed(by="queue-id-1"))
    assert ledger.add(claimed(by="queue-id-2")) is None
    assert ledger.find("order-17") == first


def test_an_update_changes_the_entry_and_its_version(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None
    updated = ledger.update(first.evolve(State.ACCEPTED, now=NOON, reply="250 2.0.0 OK", claimed_by=None))
    assert updated is not None
    assert updated.version != first.version
    assert ledger.find("order-17") == updated


def test_what_an_update_leaves_out_is_gone(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None
    ledger.update(first.evolve(State.ACCEPTED, now=NOON, claimed_by=None, lease_until=None))
    found = ledger.find("order-17")
    assert found is not None
    assert (found.claimed_by, found.lease_until, found.due_at) == (None, None, None)


def test_an_update_of_an_old_version_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None
    winner = ledger.update(first.evolve(State.ACCEPTED, now=NOON, reply="250 2.0.0 OK"))
    assert ledger.update(first.evolve(State.REJECTED, now=NOON, reply="550 5.1.1 no")) is None
    assert ledger.find("order-17") == winner
    assert [change.state for change in ledger.history("order-17")] == [State.SENDING, State.ACCEPTED]


def test_an_update_of_what_is_not_there_is_refused(ledger: Ledger) -> None:
    other = ledger.add(claimed("another"))
    assert other is not None
    moved = replace(other, id="order-17")
    assert ledger.update(moved.evolve(State.ACCEPTED, now=NOON)) is None
    assert ledger.find("order-17") is None


def test_an_add_that_is_repeated_because_its_answer_was_lost_counts_as_ours(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None
    assert ledger.add(claimed()) == first
    assert len(ledger.history("order-17")) == 1


def test_an_update_that_is_repeated_because_its_answer_was_lost_counts_as_ours(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None
    settled = first.evolve(State.ACCEPTED, now=NOON, reply="250 2.0.0 OK")
    written = ledger.update(settled)
    assert written is not None
    assert ledger.update(settled) == written
    assert len(ledger.history("order-17")) == 2


def test_of_many_that_add_one_id_at_once_one_wins(ledger: Ledger) -> None:
    ledger.add(claimed("makes-the-table"))
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: ledger.add(claimed(by=f"queue-id-{n}")), range(8)))
    (winner,) = [entry for entry in added if entry]
    assert ledger.find("order-17") == winner


def test_of_many_that_update_one_version_at_once_one_wins(ledger: Ledger) -> None:
    first = ledger.add(claimed())
    assert first is not None

    def take(number: int) -> Entry | None:
        return ledger.update(
            first.evolve(State.SENDING, now=NOON, claimed_by=Delivery(f"queue-id-{number}", 2))
        )

    with ThreadPoolExecutor(8) as threads:
        updated = list(threads.map(take, range(8)))
    (winner,) = [entry for entry in updated if entry]
    assert ledger.find("order-17") == winner
    assert len(ledger.history("order-17")) == 2


def test_many_threads_may_make_the_ledger_at_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: ledger.add(claimed(f"order-{n}")), range(8)))
    assert all(added)


def test_the_history_tells_every_change_in_order(ledger: Ledger) -> None:
    entry = ledger.add(claimed())
    for number in range(1, 13):
        assert entry is not None
        now = NOON + timedelta(minutes=number)
        entry = ledger.update(waiting(entry, reason=f"wait {number}", now=now, jitter=0.5, body=b"{}"))
        assert entry is not None
        entry = ledger.update(entry.evolve(State.SENDING, now=now, attempts=number))
    history = ledger.history("order-17")
    assert [change.number for change in history] == list(range(1, 26))
    assert history[1] == Change(2, NOON + timedelta(minutes=1), State.DEFERRED, 0, "", "wait 1")
    assert history[2] == Change(3, NOON + timedelta(minutes=1), State.SENDING, 2, "", "wait 1")
    assert history[-1].attempt == 13


def test_the_history_of_one_message_holds_nothing_of_another(ledger: Ledger) -> None:
    ledger.add(claimed("order-1"))
    ledger.add(claimed("order-11"))
    assert len(ledger.history("order-1")) == 1


def test_the_largest_body_that_a_queue_carries_can_be_kept(ledger: Ledger) -> None:
    body = bytes(range(256)) * 256
    entry = ledger.add(replace(claimed(), body=body, reason="ü" * 1_000))
    assert entry is not None
    found = ledger.find("order-17")
    assert found is not None
    assert found.body == body


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
def test_every_state_can_be_kept(ledger: Ledger, state: State) -> None:
    ledger.add(replace(claimed(), state=state))
    found = ledger.find("order-17")
    assert found is not None
    assert found.state is state


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    texts=st.tuples(TEXT, TEXT),
    body=st.binary(max_size=300),
    moment=st.datetimes(min_value=NOON.replace(tzinfo=None), timezones=st.just(UTC)),
    metadata=st.dictionaries(TEXT, TEXT, max_size=5),
)
def test_any_text_octets_and_time_come_back_as_they_were(
    ledger: Ledger, texts: tuple[str, str], body: bytes, moment: datetime, metadata: dict[str, str]
) -> None:
    message_id, (reason, reply) = str(uuid.uuid4()), texts
    made = refusal(
        message_id=message_id, content_hash="", sender="noreply", reason=reason, metadata=metadata, now=NOON
    )
    entry = replace(made, reply=reply, body=body, due_at=moment)
    added = ledger.add(entry)
    found = ledger.find(message_id)
    assert added == found
    assert found is not None
    assert replace(found, version="") == entry


# Metadata.


def test_metadata_stays_with_a_message_through_its_changes(ledger: Ledger) -> None:
    entry = ledger.add(claimed())
    assert entry is not None
    entry = ledger.update(waiting(entry, reason="busy", now=NOON, jitter=0.5, body=b"{}"))
    assert entry is not None
    ledger.update(entry.evolve(State.CANCELLED, now=NOON))
    found = ledger.find("order-17")
    assert found is not None
    assert found.metadata == {"tenant": "contoso", "Größe": "zwölf"}


def test_the_largest_metadata_that_a_message_may_have_can_be_kept(ledger: Ledger) -> None:
    metadata = {f"{number:02d}": "ü" * 500 for number in range(16)}
    ledger.add(replace(claimed(), metadata=metadata, body=b"x" * 65_536, reason="x" * 30_000))
    found = ledger.find("order-17")
    assert found is not None
    assert found.metadata == metadata


# Expiry.


@pytest.mark.parametrize("expires_at", [None, NOON, NOON + timedelta(days=30_000, microseconds=1)])
def test_an_expiry_stays_with_a_message_through_its_changes(
    ledger: Ledger, expires_at: datetime | None
) -> None:
    entry = ledger.add(replace(claimed(), expires_at=expires_at, planned_at=expires_at))
    assert entry is not None
    assert ledger.find("order-17") == entry
    ledger.update(waiting(entry, reason="busy", now=NOON, jitter=0.5, body=b"{}"))
    found = ledger.find("order-17")
    assert found is not None
    assert (found.expires_at, found.planned_at) == (expires_at, expires_at)


def test_what_was_announced_is_kept_without_content_and_then_with_what_came(ledger: Ledger) -> None:
    early = ledger.add(announced("order-17", now=NOON, send_at=NOON + timedelta(days=1)))
    assert early is not None
    assert ledger.find("order-17") == early
    assert early.content_hash == ANNOUNCED
    came = ledger.update(adopted(early, claimed(), now=NOON))
    assert came is not None
    assert ledger.find("order-17") == came
    assert (came.content_hash, came.due_at) == ("0" * 64, NOON + timedelta(days=1))
    assert [change.state for change in ledger.history("order-17")] == [State.SCHEDULED, State.SCHEDULED]


# Pages.


def every_page(ledger: Ledger, limit: int, **wanted: Any) -> list[list[Entry]]:
    """Return what comes page by page, as one who asks for the next until there is none sees it."""
    pages, token = [], ""
    while True:
        page, token = ledger.page(token=token, limit=limit, **wanted)
        pages.append(page)
        if not token:
            return pages


def found_in(ledger: Ledger, limit: int = 100, **wanted: Any) -> list[str]:
    return sorted(entry.id for page in every_page(ledger, limit, **wanted) for entry in page)


def test_there_is_one_empty_page_where_there_is_nothing(ledger: Ledger) -> None:
    assert ledger.page(token="", limit=10) == ([], "")


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_each_message_is_on_one_page_with_all_that_is_known_of_it(ledger: Ledger, limit: int) -> None:
    added = [ledger.add(claimed(f"order-{number}")) for number in range(7)]
    pages = every_page(ledger, limit)
    assert all(len(page) <= limit for page in pages)
    together = sorted((entry for page in pages for entry in page), key=lambda entry: entry.id)
    assert together == added


def test_a_page_has_messages_as_they_stand_and_not_their_changes(ledger: Ledger) -> None:
    entry = ledger.add(claimed())
    assert entry is not None
    settled_ = ledger.update(entry.evolve(State.ACCEPTED, now=NOON))
    ledger.sweep(before=NOON, now=NOON, pages=1)  # how far that came stands in the ledger too
    assert [found for page in every_page(ledger, 10) for found in page] == [settled_]
    assert settled_ is not None
    assert settled_.version


def test_messages_are_found_by_state_sender_and_when_they_came(ledger: Ledger) -> None:
    second = timedelta(seconds=1)
    for number, (state, sender) in enumerate(
        [
            (State.SENDING, "noreply"),
            (State.SCHEDULED, "noreply"),
            (State.SCHEDULED, "billing's"),
            (State.IN_DOUBT, "billing's"),
        ]
    ):
        came_at = NOON + number * second
        ledger.add(replace(claimed(f"order-{number}"), state=state, sender=sender, created_at=came_at))
    assert found_in(ledger, state=State.SCHEDULED) == ["order-1", "order-2"]
    assert found_in(ledger, state=State.REJECTED) == []
    assert found_in(ledger, sender="billing's") == ["order-2", "order-3"]
    assert found_in(ledger, sender="billing") == []
    assert found_in(ledger, since=NOON + second) == ["order-1", "order-2", "order-3"]
    assert found_in(ledger, until=NOON + second) == ["order-0"]
    assert found_in(ledger, since=NOON + second, until=NOON + 2 * second) == ["order-1"]
    both: dict[str, Any] = {
        "state": State.SCHEDULED,
        "sender": "noreply",
        "since": NOON,
        "until": NOON + 9 * second,
    }
    assert found_in(ledger, **both) == ["order-1"]
    assert found_in(ledger, limit=1, **both) == ["order-1"]


# Sweeping.

MONTH = timedelta(days=30)


def settled(ledger: Ledger, message_id: str, *, at: datetime, state: State = State.ACCEPTED) -> None:
    entry = ledger.add(claimed(message_id))
    assert entry is not None
    assert ledger.update(entry.evolve(state, now=at))


def sweep(ledger: Ledger, now: datetime) -> int:
    return ledger.sweep(before=now - MONTH, now=now, pages=100)


def test_what_was_settled_long_ago_is_swept_with_its_history(ledger: Ledger) -> None:
    now = NOON + MONTH
    settled(ledger, "old", at=NOON - timedelta(seconds=1))
    settled(ledger, "just-kept", at=NOON)
    assert sweep(ledger, now) == 1
    assert (ledger.find("old"), ledger.history("old")) == (None, [])
    assert ledger.find("just-kept") is not None
    assert len(ledger.history("just-kept")) == 2


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
def test_only_what_is_settled_is_swept(ledger: Ledger, state: State) -> None:
    ledger.add(replace(claimed(), state=state))
    assert sweep(ledger, NOON + 10 * MONTH) == (1 if state.is_settled else 0)
    assert (ledger.find("order-17") is None) == state.is_settled


def test_an_id_that_was_swept_is_free_again(ledger: Ledger) -> None:
    settled(ledger, "order-17", at=NOON)
    sweep(ledger, NOON + 2 * MONTH)
    assert ledger.add(claimed()) is not None
    assert len(ledger.history("order-17")) == 1


def test_the_ledger_is_looked_through_once_a_day(ledger: Ledger) -> None:
    now = NOON + 2 * MONTH
    assert sweep(ledger, now) == 0
    settled(ledger, "order-17", at=NOON)
    assert sweep(ledger, now + timedelta(hours=23)) == 0
    assert ledger.find("order-17") is not None
    assert sweep(ledger, now + timedelta(hours=24)) == 1


def test_a_message_that_changed_more_often_than_a_transaction_holds_is_swept_whole(ledger: Ledger) -> None:
    entry = ledger.add(claimed())
    for number in range(60):
        assert entry is not None
        entry = ledger.update(waiting(entry, reason=f"wait {number}", now=NOON, jitter=0.5, body=b"{}"))
        assert entry is not None
        entry = ledger.update(entry.evolve(State.SENDING, now=NOON))
    assert entry is not None
    ledger.update(entry.evolve(State.ACCEPTED, now=NOON))
    assert len(ledger.history("order-17")) == 122
    assert sweep(ledger, NOON + 2 * MONTH) == 1
    assert (ledger.find("order-17"), ledger.history("order-17")) == (None, [])


def test_check_is_content_with_a_ledger_that_answers(ledger: Ledger) -> None:
    ledger.check()
