from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.connection import WARN_BEFORE, Connection, Warned
from shared.core.holds import Hold, Pause, Proof, SenderState, Trouble
from shared.core.pacing import Pace, Place, Sent
from tests.twins import NOON

if TYPE_CHECKING:
    from shared.register import SenderStore

MOMENTS = st.datetimes(
    NOON.replace(tzinfo=None), NOON.replace(tzinfo=None) + timedelta(days=36_500), timezones=st.just(UTC)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
COUNTS = st.integers(0, 2**31)
HOLDS = st.builds(
    Hold,
    TEXT,
    TEXT,
    since=MOMENTS,
    proof=st.sampled_from(Proof),
    probe_at=st.none() | MOMENTS,
    probes=COUNTS,
    trying=st.booleans(),
    told_at=st.none() | MOMENTS,
)
SENT = st.lists(st.builds(Sent, MOMENTS, COUNTS), max_size=4).map(tuple)
STATES = st.builds(
    SenderState,
    st.just("noreply"),
    pace=st.builds(
        Pace,
        sends=SENT,
        last_slot=st.none() | MOMENTS,
        recipients=SENT,
        places=st.lists(st.builds(Place, TEXT, COUNTS, MOMENTS), max_size=3).map(tuple),
    ),
    line=st.booleans(),
    serving=st.dictionaries(TEXT, MOMENTS, max_size=3),
    pause=st.none() | st.builds(Pause, MOMENTS, TEXT),
    hold=st.none() | HOLDS,
    address_holds=st.dictionaries(TEXT, HOLDS, max_size=3),
    returning=st.frozensets(TEXT, max_size=3),
    trouble=st.none() | st.builds(Trouble, TEXT, MOMENTS, COUNTS),
    last_mail_at=st.none() | MOMENTS,
    connection=st.none()
    | st.builds(
        Connection,
        TEXT,
        TEXT,
        connected_at=MOMENTS,
        refreshed_at=MOMENTS,
        token_expires_at=MOMENTS,
        dies_at=st.none() | MOMENTS,
    ),
    granted_at=st.none() | MOMENTS,
    credential_expires_at=st.none() | MOMENTS,
    warned=st.none() | st.builds(Warned, MOMENTS, st.sampled_from(WARN_BEFORE), MOMENTS),
)


def saved(senders: SenderStore, state: SenderState) -> SenderState:
    written = senders.save(state)
    assert written is not None
    return written


def test_a_sender_that_nothing_is_known_of_has_the_empty_state(senders: SenderStore) -> None:
    assert senders.load("noreply") == SenderState("noreply")
    assert senders.all() == []


def test_what_was_saved_is_loaded(senders: SenderStore) -> None:
    written = saved(senders, replace(senders.load("noreply"), line=True))
    assert written.version
    assert senders.load("noreply") == written
    assert senders.all() == [written]


def test_each_write_has_a_version_of_its_own(senders: SenderStore) -> None:
    first = saved(senders, SenderState("noreply"))
    second = saved(senders, replace(first, line=True))
    assert first.version != second.version
    assert senders.load("noreply") == second


def test_who_read_before_somebody_wrote_writes_nothing(senders: SenderStore) -> None:
    first = saved(senders, SenderState("noreply"))
    second = saved(senders, replace(first, line=True))
    assert senders.save(replace(first, last_mail_at=NOON)) is None
    assert senders.load("noreply") == second


def test_who_read_nothing_writes_nothing_over_what_is_there(senders: SenderStore) -> None:
    first = saved(senders, SenderState("noreply", line=True))
    assert senders.save(SenderState("noreply")) is None
    assert senders.load("noreply") == first


def test_what_a_write_leaves_out_is_gone(senders: SenderStore) -> None:
    hold = Hold("mailbox-full", "it is full", NOON, Proof.MESSAGE, NOON)
    first = saved(senders, SenderState("noreply", hold=hold, line=True, last_mail_at=NOON))
    saved(senders, SenderState("noreply", version=first.version))
    assert replace(senders.load("noreply"), version="") == SenderState("noreply")


def test_senders_have_nothing_to_do_with_each_other(senders: SenderStore) -> None:
    first = saved(senders, SenderState("noreply", line=True))
    second = saved(senders, SenderState("billing"))
    assert senders.load("noreply") == first
    assert sorted(senders.all(), key=lambda state: state.sender) == [second, first]


def test_of_many_that_write_at_once_one_does(senders: SenderStore) -> None:
    first = saved(senders, SenderState("noreply"))

    def write(number: int) -> SenderState | None:
        return senders.save(replace(first, serving={f"instance-{number}": NOON}))

    with ThreadPoolExecutor(8) as threads:
        written = [state for state in threads.map(write, range(8)) if state]
    assert len(written) == 1
    assert senders.load("noreply") == written[0]


def test_of_many_that_are_first_at_once_one_is(senders: SenderStore) -> None:
    def write(number: int) -> SenderState | None:
        return senders.save(SenderState("noreply", serving={f"instance-{number}": NOON}))

    with ThreadPoolExecutor(8) as threads:
        written = [state for state in threads.map(write, range(8)) if state]
    assert len(written) == 1


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(STATES)
def test_any_state_comes_back_as_it_was(senders: SenderStore, state: SenderState) -> None:
    before = senders.load("noreply")
    written = saved(senders, replace(state, version=before.version))
    found = senders.load("noreply")
    assert found == written
    assert replace(found, version="") == state


def test_the_largest_state_that_a_sender_may_have_can_be_kept(senders: SenderStore) -> None:
    hold = Hold("send-as-denied", "x" * 400, NOON, Proof.MESSAGE, NOON)
    state = SenderState(
        "noreply",
        pace=Pace(
            sends=tuple(Sent(NOON + timedelta(microseconds=250_001 * n), 1_000_000) for n in range(300)),
            recipients=tuple(Sent(NOON + timedelta(minutes=15 * n), 10_000) for n in range(97)),
            places=tuple(Place(f"{n:032x}", 1, NOON) for n in range(20)),
            last_slot=NOON,
        ),
        serving={f"{n:032x}": NOON for n in range(20)},
        hold=hold,
        address_holds={f"address-{n}@contoso.com": hold for n in range(20)},
    )
    written = saved(senders, state)
    assert senders.load("noreply") == written
