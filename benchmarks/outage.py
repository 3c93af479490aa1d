"""
Storage that goes away: ``python3 -m local bench outage [--seconds N] [--messages N] [--instances N]``.

Azurite is stopped in the middle of a run and started again on the same data and ports. The host must survive
it, every message must be accepted, and none may be seen twice.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import killing, ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

# The real host hides a message for 600 s and renews that at half of it, so an outage of 30 s never costs a
# lock. In that proportion, but soon enough to be waited for:
_LOCK_PER_OUTAGE = 3
_SHORTEST_LOCK_SECONDS = 20
_ROUND_TRIP_MS = 100  # so that much is under way when storage goes
_LOOK_SECONDS = 0.05
_SECONDS = 300  # past the outage; what a lock still hides comes back well before


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what came of it; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench outage", description=__doc__)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--instances", type=int, default=2, help="two at least")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    lock_seconds = max(_SHORTEST_LOCK_SECONDS, int(options.seconds * _LOCK_PER_OUTAGE))
    with stage(
        instances=options.instances,
        limits=RAISED,
        lock_seconds=lock_seconds,
        keep_storage=True,
        keep=options.keep,
    ) as made:
        made.controls.mail({"round_trip_ms": _ROUND_TRIP_MS})
        return 0 if _run(made, options.messages, options.seconds) else 1


def _run(made: Stage, count: int, outage_seconds: float) -> bool:
    ids = [f"outage-{number:05}" for number in range(count)]
    with made.without_host():
        outbox.drop(made.facts, [plain(each, made.senders[0]) for each in ids])
    instances = killing.instances(made.stack)
    began = time.monotonic()
    while (before := made.accepted()) < count // 3 and time.monotonic() < began + _SECONDS:
        time.sleep(_LOOK_SECONDS)
    made.stack.azurite.stop()
    time.sleep(outage_seconds)
    meanwhile = made.accepted() - before
    made.stack.start_storage_again()
    back = time.monotonic()
    states = ledger.until_settled(made, ids, seconds=_SECONDS)
    seconds = time.monotonic() - back
    copies = mails.by_subject(mails.received(made.facts))
    counted = Counter(states.values())
    lost = [each for each in ids if states.get(each) is not State.ACCEPTED or each not in copies]
    twice = [each for each in ids if len(copies.get(each, ())) > 1]
    survived = killing.instances(made.stack) == instances
    others = ", ".join(
        f"{state.value} {times}" for state, times in counted.items() if state is not State.ACCEPTED
    )
    return show(
        f"storage away for {outage_seconds:g} s, {before} of {count} messages in, {made.instances} instances",
        [
            Row("instances that lived on", "all" if survived else "not all", "all", holds=survived),
            Row("taken by the mail server meanwhile", f"{meanwhile}"),
            Row("accepted", f"{counted[State.ACCEPTED]}", f"{count}", holds=counted[State.ACCEPTED] == count),
            Row("in another state", others or "0"),
            Row("lost", f"{len(lost)}", "0", holds=not lost),
            Row("seen twice", f"{len(twice)}", "0", holds=not twice),
            Row("settled after storage was back", f"{seconds:.0f} s"),
        ],
    )
