"""
A backlog and its neighbours: ``python3 -m local bench fairness [--messages N] [--samples N] [--seed N]``.

Thousands of messages are queued at one sender, far more than its limit lets go. From enqueue to accepted is
measured for messages of another sender, and for ``high`` ones of the same sender: right behind the backlog in
the queue, and at random moments while the backlog waits. Beside them: the same with no backlog at all.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.rig import ledger, mails, outbox
from benchmarks.rig.stage import EXCHANGE, Limits, plain, stage
from benchmarks.rig.table import Row, show

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from benchmarks.rig.stage import Stage

# The host looks at an idle queue every 2 s (host.json); the rest is a message's own way.
_MOST_OTHER_SECONDS = 5.0
# "Within seconds": it may have to wait until its mailbox may send again.
_MOST_HIGH_SECONDS = 10.0
_PATIENCE_SECONDS = 120.0  # for one message
_NEWEST = 200  # messages that the inbox is asked for: the few that are looked for are among them
_LOOK_SECONDS = 0.25
_BETWEEN_ALONE_SECONDS = 3.0


@dataclass(slots=True)
class _Samples:
    """Messages on their way and how long those took that have come."""

    stage: Stage
    sent: dict[str, datetime] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    def send(self, name: str, sender: str, **fields: Any) -> None:
        self.sent[name] = outbox.drop_one(self.stage.facts, plain(name, sender, **fields))

    def look(self) -> None:
        """Note those that have come. A queue's answer can be slower than the mail: never less than 0."""
        for copy in mails.received(self.stage.facts, newest=_NEWEST):
            if copy.subject in self.sent and copy.subject not in self.took:
                seconds = (copy.received_at - self.sent[copy.subject]).total_seconds()
                self.took[copy.subject] = max(0.0, seconds)

    def look_for(self, seconds: float) -> None:
        """Look for so long; what comes and what goes in the inbox meanwhile is not missed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(_LOOK_SECONDS)

    def wait(self) -> None:
        """Wait for all of them, so long as patience goes."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while len(self.took) < len(self.sent) and time.monotonic() < until:
            self.look_for(_LOOK_SECONDS)

    def named(self, prefix: str) -> list[float]:
        """Return the seconds of each; what never came took for ever."""
        return [self.took.get(name, math.inf) for name in self.sent if name.startswith(prefix)]


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what was measured; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench fairness", description=__doc__)
    parser.add_argument("--messages", type=int, default=2000, help="queued at the busy sender")
    parser.add_argument("--samples", type=int, default=8, help="of each kind")
    parser.add_argument("--every", type=float, default=15, help="seconds between samples, on average")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--per-minute", type=int, default=EXCHANGE.messages_per_minute, help="on both sides")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    limits = Limits(options.per_minute, EXCHANGE.connections)
    with stage(instances=options.instances, senders=2, limits=limits, keep=options.keep) as made:
        return 0 if _run(made, options, random.Random(options.seed)) else 1


def _run(made: Stage, options: argparse.Namespace, chance: random.Random) -> bool:
    busy, other = made.senders
    samples = _Samples(made)
    for number in range(options.samples):
        samples.send(f"alone-{number}", other)
        samples.look_for(_BETWEEN_ALONE_SECONDS)
    samples.wait()
    samples.look_for(max(0.0, 60.0 - options.samples * _BETWEEN_ALONE_SECONDS))  # its minute is its own again

    backlog = [f"backlog-{number:05}" for number in range(options.messages)]
    outbox.drop(made.facts, [plain(each, busy) for each in backlog])
    queued = time.monotonic()
    samples.send("early-other", other)
    samples.send("early-high", busy, priority="high")
    while (
        not ledger.states(made.facts).keys() >= set(backlog) and time.monotonic() - queued < _PATIENCE_SECONDS
    ):
        samples.look_for(1.0)
    taken_in = time.monotonic() - queued
    for number in range(options.samples):
        samples.look_for(chance.uniform(0, options.every))
        samples.send(f"other-{number}", other)
        samples.look_for(chance.uniform(0, options.every))
        samples.send(f"high-{number}", busy, priority="high")
    samples.wait()

    gone = len([copy for copy in mails.received(made.facts) if copy.subject.startswith("backlog-")])
    title = (
        f"{options.messages} queued at one sender, {options.per_minute} a minute, {made.instances} instances"
    )
    alone = samples.named("alone-")
    rows = [
        Row("backlog taken off the queue after", f"{taken_in:.0f} s"),
        Row("of it accepted at the end", f"{gone}", f"< {options.messages}", holds=gone < options.messages),
        *_told("no backlog", alone, alone),
        *_told("another sender, behind the backlog in the queue", samples.named("early-other"), alone),
        *_told("high, behind the backlog in the queue", samples.named("early-high"), alone),
        *_told("another sender", samples.named("other-"), alone, most=_MOST_OTHER_SECONDS),
        *_told("high, same sender", samples.named("high-"), alone, most=_MOST_HIGH_SECONDS),
    ]
    return show(title, rows)


def _told(name: str, seconds: Sequence[float], alone: Sequence[float], most: float = math.inf) -> list[Row]:
    worst, median = max(seconds), statistics.median(seconds)
    ratio = "" if seconds is alone else f" ({median / statistics.median(alone):.1f}×)"
    if len(seconds) == 1:
        return [Row(name, f"{worst:.2f} s{ratio}")]
    demanded = f"<= {most:g} s" if math.isfinite(most) else ""
    return [
        Row(f"{name}: median of {len(seconds)}", f"{median:.2f} s{ratio}"),
        Row(f"{name}: worst", f"{worst:.2f} s", demanded, holds=worst <= most or not demanded),
    ]
