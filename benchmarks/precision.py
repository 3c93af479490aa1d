"""
How exactly a ``send_at`` is kept: ``python3 -m local bench precision [--messages N] [--over N] [--seed N]``.

Messages whose times are spread over two minutes wait, some of them in the waiting room and some on the
outbox, and several instances send them. Measured is the moment at which the mail server took each of them
against the time that it named. None may be early.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_MOST_SECONDS = 2.0  # the contract's, for 99 in 100
_SHARE = 0.99
_SECONDS = 90  # past the last time


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what was measured; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench precision", description=__doc__)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--over", type=float, default=120, help="seconds that the times are spread over")
    parser.add_argument("--ahead", type=float, default=45, help="seconds from now to the first of them")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    with stage(instances=options.instances, limits=RAISED, keep=options.keep) as made:
        return 0 if _run(made, options, random.Random(options.seed)) else 1


def _run(made: Stage, options: argparse.Namespace, chance: random.Random) -> bool:
    first = datetime.now(UTC) + timedelta(seconds=options.ahead)
    due = {
        f"precision-{number:04}": first + timedelta(seconds=chance.uniform(0, options.over))
        for number in range(options.messages)
    }
    outbox.drop(
        made.facts, [plain(each, made.senders[0], send_at=at.isoformat()) for each, at in due.items()]
    )
    taken_in = (datetime.now(UTC) - first).total_seconds() + options.ahead
    patience = (first - datetime.now(UTC)).total_seconds() + options.over + _SECONDS
    states = ledger.until_settled(made, due, seconds=patience)
    copies = mails.by_subject(mails.received(made.facts))
    late = sorted(
        (copies[each][0].received_at - at).total_seconds() if each in copies else math.inf
        for each, at in due.items()
    )
    accepted = sum(state is State.ACCEPTED for state in states.values())
    twice = sum(len(found) > 1 for found in copies.values())
    early = sum(seconds < 0 for seconds in late)
    within = sum(seconds <= _MOST_SECONDS for seconds in late) / len(late)
    return show(
        f"{options.messages} messages due over {options.over:g} s, {made.instances} instances",
        [
            Row("dropped on the outbox in", f"{taken_in:.1f} s"),
            Row("accepted", f"{accepted}", f"{len(due)}", holds=accepted == len(due)),
            Row("seen twice", f"{twice}", "0", holds=not twice),
            Row("early", f"{early}", "0", holds=not early),
            Row("accepted after it was due: median", f"{statistics.median(late):.3f} s"),
            Row("99th percentile", f"{late[math.ceil(_SHARE * len(late)) - 1]:.3f} s"),
            Row("worst", f"{late[-1]:.3f} s"),
            Row(f"within {_MOST_SECONDS:g} s", f"{within:.1%}", f">= {_SHARE:.0%}", holds=within >= _SHARE),
        ],
    )
