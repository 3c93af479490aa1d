"""
Consent that is taken back: ``python3 -m local bench revoked [--messages N] [--over SECONDS] …``.

While mail comes in, the person's consent is revoked, and the token that is at hand runs out: from then on all
mail waits, and none of it may have cost an attempt. Then somebody consents again, by the pages, and all of it
goes, within the limits as the mail server sees them. They are Exchange's three connections and a raised
number of messages a minute, on both sides.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from azure.data.tables import TableClient

from benchmarks.consent import tokens
from benchmarks.rig import ledger, mails, outbox
from benchmarks.rig.stage import EXCHANGE, Limits, address, plain, stage
from benchmarks.rig.table import Row, show
from shared.adapters.table_ledger import TABLE
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_USABLE_SECONDS = 600  # with less than that left no session is begun
_LOOK_SECONDS = 1.0
_STANDS_SECONDS = 120  # until everything that came is accepted or waits
_THROTTLES = ("432 4.3.2", "421 4.4.2", "554 5.2.0")  # too many at once, too fast, the day's quota
_SPARE_SECONDS = 120
_AT_A_TIME = 10


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what was seen; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench revoked", description=__doc__)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--over", type=float, default=30, help="seconds in which they come")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--per-minute", type=int, default=300, help="on both sides (Exchange: 30)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    limits = Limits(options.per_minute, EXCHANGE.connections)
    with stage(instances=options.instances, limits=limits, keep=options.keep) as made:
        return 0 if _run(made, options.messages, options.over, limits) else 1


def _run(made: Stage, count: int, over: float, limits: Limits) -> bool:
    (name,) = made.senders
    ids = [f"revoked-{number:04}" for number in range(count)]
    # The token at hand still serves for a third of the time, and the consent goes after a sixth.
    tokens.consent(made, name, lifetime_seconds=_USABLE_SECONDS + round(over / 3))
    coming = threading.Thread(target=_come, args=(made, ids, over))
    coming.start()
    time.sleep(over / 6)
    made.controls.identity({"revoke": address(name)})
    coming.join()
    rows = _until_all_stand(made, ids)
    states = Counter(state for state, _ in rows.values())
    waiting = [attempts for state, attempts in rows.values() if not state.is_settled]
    before = made.accepted()
    began = time.monotonic()
    tokens.consent(made, name)
    seconds = count * 60 / limits.messages_per_minute + _SPARE_SECONDS
    ended = Counter(ledger.until_settled(made, ids, seconds=seconds).values())
    took = time.monotonic() - began
    copies = mails.by_subject(mails.received(made.facts))
    once = sum(len(copies.get(each, ())) == 1 for each in ids)
    return show(
        f"consent revoked while {count} messages come in {over:g} s, {made.instances} instances,"
        f" {limits.messages_per_minute} a minute, {limits.connections} connections",
        [
            Row("accepted before the token ran out", f"{states[State.ACCEPTED]}"),
            Row("held", f"{states[State.HELD]}", "> 0", holds=states[State.HELD] > 0),
            *_ends("while held", states),
            Row("attempts counted at what waits", f"{sum(waiting)}", "0", holds=not sum(waiting)),
            Row("accepted while held", *_none(_beyond(before, states))),
            Row(
                "after the new consent: accepted",
                f"{ended[State.ACCEPTED]}",
                f"{count}",
                ended[State.ACCEPTED] == count,
            ),
            Row("seen once by the mail server", f"{once}", f"{count}", holds=once == count),
            *_ends("after it", ended),
            *_limits_kept(made, name, limits),
            Row("from the new consent to the last acceptance", f"{took:.0f} s"),
        ],
    )


def _beyond(before: int, states: Counter[State]) -> int:
    """Return how many the mail server took beyond those that the ledger has as accepted."""
    return before - states[State.ACCEPTED]


def _none(count: int) -> tuple[str, str, bool]:
    return f"{count}", "0", not count


def _ends(when: str, states: Counter[State]) -> list[Row]:
    bad = {
        state: times for state, times in states.items() if state.is_settled and state is not State.ACCEPTED
    }
    dead = bad.pop(State.DEAD_LETTERED, 0)
    return [
        Row(f"{when}: rejected, expired or the like", *_none(sum(bad.values()))),
        Row(f"{when}: dead-lettered", *_none(dead)),
    ]


def _limits_kept(made: Stage, name: str, limits: Limits) -> list[Row]:
    counters = made.counters()
    mailbox = counters["mailboxes"][address(name)]
    connections, minute = mailbox["most_connections_at_once"], mailbox["most_messages_in_a_minute"]
    return [
        Row(
            "most connections at once",
            f"{connections}",
            f"<= {limits.connections}",
            holds=connections <= limits.connections,
        ),
        Row(
            "most messages in 60 s",
            f"{minute}",
            f"<= {limits.messages_per_minute}",
            holds=minute <= limits.messages_per_minute,
        ),
        Row("throttle replies", *_none(sum(counters["replies"].get(reply, 0) for reply in _THROTTLES))),
    ]


def _come(made: Stage, ids: Sequence[str], over: float) -> None:
    """Let the messages come, a few at a time."""
    began = time.monotonic()
    for start in range(0, len(ids), _AT_A_TIME):
        due = began + over * start / len(ids)
        time.sleep(max(0.0, due - time.monotonic()))
        some = ids[start : start + _AT_A_TIME]
        outbox.drop(made.facts, [plain(each, made.senders[0]) for each in some])


def _until_all_stand(made: Stage, ids: Sequence[str]) -> dict[str, tuple[State, int]]:
    """Wait until every message is settled or held; return the state and the counted attempts of each."""
    deadline = time.monotonic() + _STANDS_SECONDS
    with TableClient.from_connection_string(made.facts["storage"], TABLE) as table:
        while True:
            rows = table.query_entities("RowKey eq 'message'", select=["PartitionKey", "state", "attempts"])
            found = {row["PartitionKey"]: (State(row["state"]), int(row["attempts"])) for row in rows}
            stands = all(state.is_settled or state is State.HELD for state, _ in found.values())
            if (stands and len(found) == len(ids)) or time.monotonic() > deadline:
                return found
            time.sleep(_LOOK_SECONDS)
