"""
What it takes to build a message of 25 MB and write it out: ``python3 -m local bench build [--megabytes N]``.

Side by side with the standard library's ``EmailMessage.as_bytes``, each run in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEGABYTE = 1_000_000
_OF_A_LINE = 57 / 78  # octets of a file in each octet of base64 with its line ends
_RUN_SECONDS = 120
_WAYS = {
    "sendoff": "Sendoff, file by blob",
    "sendoff-in-memory": "Sendoff, file in memory",
    "standard-library": "standard library",
}


def main(arguments: Sequence[str]) -> int:
    """Run it and print both, and the ratio; fails where Sendoff takes more time or more memory."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench build", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=25, help="of the finished message")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.pdf"
        path.write_bytes(random.Random(1).randbytes(int(options.megabytes * _MEGABYTE * _OF_A_LINE)))
        times: dict[str, list[float]] = {way: [] for way in _WAYS}
        residents: dict[str, list[float]] = {way: [] for way in _WAYS}
        for _ in range(options.runs):
            for way in _WAYS:  # in turn, so that a busy moment of the machine hits all of them
                run = _run(way, path, "time")
                times[way].append(run["milliseconds"])
                residents[way].append(run["resident"])
        runs = {way: _run(way, path, "memory") for way in _WAYS}
    print(
        f"a message of {runs['sendoff']['octets'] / _MEGABYTE:.1f} MB with one file, written out; "
        f"the median of {options.runs} runs"
    )
    print(f"{'':<26}{'ms':>8}{'tracemalloc MB':>17}{'RSS MB':>9}")
    figures = {}
    for way, said in _WAYS.items():
        figures[way] = (
            statistics.median(times[way]),
            runs[way]["traced"] / _MEGABYTE,
            statistics.median(residents[way]) / _MEGABYTE,
        )
        milliseconds, traced, resident = figures[way]
        print(f"{said:<26}{milliseconds:>8.0f}{traced:>17.1f}{resident:>9.1f}")
    theirs = figures["standard-library"]
    ratios = [mine / other for mine, other in zip(figures["sendoff"], theirs, strict=True)]
    print(f"{'Sendoff by blob / stdlib':<26}{ratios[0]:>8.2f}{ratios[1]:>17.2f}{ratios[2]:>9.2f}")
    return 0 if max(ratios) <= 1 else 1


def _run(way: str, path: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.mail.building", way, str(path), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=_RUN_SECONDS)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
