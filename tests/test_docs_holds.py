"""What operators read of limits, doubt and holds is what the code does."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.core import (
    claims,
    delivery,
    holds,
    pacing,
)
from shared.core.claims import Doubt, Take, first_claim
from shared.core.delivery import Delivery, State
from shared.core.holds import Proof
from shared.core.remedies import CATALOGUE
from shared.core.reply import judge_reply
from shared.core.sender import Limits
from shared.core.smtp import Phase, Reply
from shared.scribe import SOON
from tests.pages import (
    OPERATIONS,
    blocks,
    chapter,
    seconds_of,
    section,
)


def test_the_limits_across_instances_in_the_docs_are_those_of_the_code() -> None:
    told = chapter(OPERATIONS, "Limits across instances")
    defaults = Limits()
    assert (
        f"any sixty seconds ({defaults.messages_per_minute}), its connections ({defaults.connections})"
        in told
    )
    assert f"any 24 hours\n({defaults.recipients_per_day:,})" in told
    assert f"a lease of {pacing.PLACE_LEASE.seconds} seconds" in told
    assert f"within {pacing.PLACE_LEASE.seconds} seconds" in told
    assert f"good for {pacing.AT_ONCE_FOR.seconds} seconds" in told
    assert f"that {claims.LOST_AFTER.seconds // 60} minutes have passed" in told
    assert f"a lease's last {seconds_of('desk.py', 'DROP_BEFORE')} seconds" in told
    assert f"one that rests for {seconds_of('tender.py', '_REST_WHEN_CROWDED')} seconds" in told
    assert f"ends within {seconds_of('pacer.py', '_LONGEST_PROMISE')} seconds" in told
    assert f"in their last {seconds_of('desk.py', 'DROP_BEFORE')} seconds" in OPERATIONS


def test_the_times_of_the_timer_and_of_an_outage_in_the_docs_are_those_of_the_code() -> None:
    assert f"the next {SOON.seconds} seconds" in section(OPERATIONS, "The timer `release`")
    probing = seconds_of("workflows/release.py", "_PROBE_FOR")
    assert f"After {probing} seconds no more are begun" in section(OPERATIONS, "The timer `release`")
    away = section(OPERATIONS, "When storage is away")
    assert f"for {seconds_of('scribe.py', '_STUBBORN_FOR')} seconds" in away
    assert f"the {claims.LOST_AFTER.seconds // 60} minutes after which" in away


def test_the_probes_in_the_docs_come_when_the_code_has_them() -> None:
    now = datetime(2026, 11, 24, 7, 42, 16, tzinfo=UTC)
    hold = holds.new_hold("mailbox-full", "", proof=Proof.MESSAGE, now=now)
    waits = []
    for _ in range(8):
        assert hold.probe_at
        waits.append((hold.probe_at - now).seconds // 60 or 60)
        now = hold.probe_at
        hold = hold.probed(now)
    first, *middle = waits[:6]
    assert waits[6:] == [60, 60]
    *begin, last = (str(wait) for wait in middle)
    told = section(OPERATIONS, "Probes")
    assert (
        f"probed {first} minute after it was held, then after another {', '.join(begin)} and {last}" in told
    )


def test_what_holds_an_address_alone_and_what_escalates_is_as_the_docs_say() -> None:
    told = section(OPERATIONS, "Holds and pauses")
    assert f"nothing else for {holds.ESCALATES_AFTER.seconds // 3600} hours" in told
    assert f"a pause of {holds.TOKEN_PAUSE.seconds} seconds, and again" in told
    assert (
        judge_reply(Phase.MAIL, Reply(430, ("4.2.0 STOREDRV; mailbox logon failure",))).rule
        in holds.ESCALATING
    )
    assert (
        judge_reply(Phase.MAIL, Reply(451, ("4.7.0 Temporary server error. PRX5",))).rule in holds.ESCALATING
    )


def claimed(at: datetime) -> delivery.Entry:
    return first_claim(
        message_id="order-4711",
        content_hash="",
        sender="noreply",
        delivery=Delivery("a", 1),
        mail_id="",
        metadata={},
        now=at,
    )


def test_the_history_of_a_doubt_in_the_docs_is_what_the_ledger_has() -> None:
    first = claimed(datetime(2026, 11, 24, 7, 41, 59, tzinfo=UTC))
    (told,) = blocks(section(OPERATIONS, "Doubt"), "text")
    begun, taken_over, _ = told.splitlines()
    assert begun == f"{first.updated_at:%Y-%m-%d %H:%M:%S} {first.state.value} {first.attempt}"
    again = Delivery("a", 2)
    now = datetime(2026, 11, 24, 7, 52, 3, tzinfo=UTC)
    decided = claims.claim(first, delivery=again, content_hash="", now=now)
    assert isinstance(decided, Take)
    entry = decided.entry
    assert taken_over == f"{now:%Y-%m-%d %H:%M:%S} {entry.state.value} {entry.attempt}  {entry.reason}"
    held = claims.claim(first, delivery=again, content_hash="", now=now, hold_on_doubt=True)
    assert isinstance(held, Doubt)
    assert held.entry.state is State.IN_DOUBT
    lost, _, _ = CATALOGUE["in-doubt"].cause.partition(";")
    assert f"*{lost}*" in section(OPERATIONS, "Doubt").replace("\n", " ")
