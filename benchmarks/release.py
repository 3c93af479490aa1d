"""
What one run of ``release`` costs: ``python3 -m local bench release [--waiting N …] [--due N] [--runs N]``.

The same number is due each time, and ever more wait for later. How many transactions a run makes (lines of
Azurite's access log, with the host stopped) must stay the same; how long it takes is told beside it. Azurite
keeps a table as one list in memory, so its own time for an answer grows where that of Azure does not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks.rig import outbox
from benchmarks.rig.requests_log import asked
from benchmarks.rig.stage import stage
from benchmarks.scheduling import planting
from local.environment import ROOT
from local.stack import host_environment

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_MOST_GROWTH = 1.2
_DUE_WITHIN_SECONDS = 60
_LAST_LINE_SECONDS = 0.5  # until the log has the last request
_RUN_SECONDS = 300
_FAR = timedelta(hours=2)  # the first of what is not due
_HORIZON = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of ``release`` did."""

    released: int
    seconds: float
    asked: Counter[str]

    @property
    def transactions(self) -> int:
        return sum(self.asked.values())


def main(arguments: Sequence[str]) -> int:
    """Run it once and print the table; 0 when the transactions stay the same and all that was due went."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench release", description=__doc__)
    parser.add_argument("--waiting", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--due", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3, help="of each size; the median is shown")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    with stage(instances=1, access_log=True) as made:
        made.stack.stop_host()
        _one(made)  # makes the tables that are not there yet
        found: list[list[_Run]] = []
        for waiting in sorted(options.waiting):
            _fill(made, waiting, chance)
            found.append([_due_run(made, options.due, waiting, turn, chance) for turn in range(options.runs)])
            _tell(waiting, options.due, found)
    transactions = [run.transactions for runs in found for run in runs]
    growth = max(transactions) / min(transactions)
    all_went = all(run.released == options.due for runs in found for run in runs)
    print(f"\n  most transactions by fewest: {growth:.2f}  demanded: <= {_MOST_GROWTH:g}")
    print(f"  all that was due was released: {'yes' if all_went else 'NO'}  demanded: yes", flush=True)
    return 0 if growth <= _MOST_GROWTH and all_went else 1


def _fill(made: Stage, waiting: int, chance: random.Random) -> None:
    """Let so many wait in all that are not due."""
    there = planting.waiting(made.facts)
    began = time.monotonic()
    now = datetime.now(UTC)
    at = [now + _FAR + chance.random() * _HORIZON for _ in range(waiting - there)]
    planting.plant_rows(made.facts, [f"far-{number:07}" for number in range(there, waiting)], at)
    print(f"\n{len(at)} more wait; written in {time.monotonic() - began:.0f} s", flush=True)


def _due_run(made: Stage, due: int, waiting: int, turn: int, chance: random.Random) -> _Run:
    now = datetime.now(UTC)
    at = [now + timedelta(seconds=chance.uniform(0, _DUE_WITHIN_SECONDS)) for _ in range(due)]
    planting.plant_rows(made.facts, [f"due-{waiting}-{turn}-{number:04}" for number in range(due)], at)
    queued = outbox.length(made.facts)
    run = _one(made)
    if (put := outbox.length(made.facts) - queued) != due:
        print(f"  {put} were put on the outbox, and {due} are due", flush=True)
    return run


def _one(made: Stage) -> _Run:
    start = made.access_log.stat().st_size
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scheduling.one_run"],
        cwd=ROOT,
        env=host_environment(made.facts["settings"]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_RUN_SECONDS,
    )
    time.sleep(_LAST_LINE_SECONDS)
    said = json.loads(done.stdout)
    return _Run(said["released"], said["seconds"], asked(made.access_log, start))


def _tell(waiting: int, due: int, found: Sequence[Sequence[_Run]]) -> None:
    runs = found[-1]
    counts = [run.transactions for run in runs]
    seconds = statistics.median(run.seconds for run in runs)
    places = ", ".join(f"{place} {times}" for place, times in sorted(runs[-1].asked.items()))
    print(
        f"  {waiting} wait and {due} are due: {seconds:.2f} s, {counts} transactions ({places})", flush=True
    )
