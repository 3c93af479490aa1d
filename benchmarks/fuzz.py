"""
Bad input, a hundred thousand times: ``python3 -m local bench fuzz [--inputs N] [--seed N] [--atheris]``.

Each input goes from the queue's bytes to the octets of a mail. It must end there or in a refusal: any other
exception, more than 50 ms or more than 20 MB is a finding. ``--atheris`` has the inputs made by Google's
coverage-guided fuzzer instead (``.venv/bin/pip install atheris``; it has wheels for Linux alone).
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import coverage

from local.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_SECONDS = 0.05
_MOST_BYTES = 20_000_000
_AGAIN = 3  # a busy machine makes one run slow, not four
_MEMORY_SHARE = 20  # one input of so many is looked at with tracemalloc, which slows everything down
_COVERAGE_SHARE = 10  # and one of so many with coverage
_WATCHED = ("message", "intake", "mime", "raw")
_SHOWN = 10
_ATHERIS_SECONDS = 600


def main(arguments: Sequence[str]) -> int:
    """Run it and print what was tried, what was found and what was covered; fails on any finding."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--atheris", action="store_true", help="inputs by the coverage-guided fuzzer")
    options = parser.parse_args(arguments)
    if options.atheris:
        return _atheris(options.inputs, options.seed)
    # Coverage begins before the modules are imported, or their declarations would count as never run.
    watched = [str(_source(name)) for name in _WATCHED]
    measured = coverage.Coverage(branch=True, data_file=None, config_file=False, include=watched)
    measured.start()
    from benchmarks.mail.mutation import inputs  # noqa: PLC0415 - as just said
    from benchmarks.mail.target import carry  # noqa: PLC0415 - as just said

    for body in inputs(Random(options.seed), max(1000, options.inputs // _COVERAGE_SHARE)):
        _ended(carry, body)
    measured.stop()
    findings: list[str] = []
    ends: Counter[str] = Counter()
    slowest, largest, began = 0.0, 0, time.monotonic()
    for number, body in enumerate(inputs(Random(options.seed), options.inputs)):
        started = time.perf_counter()
        ended = _ended(carry, body)
        seconds = time.perf_counter() - started
        if seconds > _MOST_SECONDS:
            seconds = min(seconds, *(_seconds(carry, body) for _ in range(_AGAIN)))
        if number % _MEMORY_SHARE == 0 or seconds > _MOST_SECONDS:
            largest = max(largest, size := _peak(carry, body))
            if size > _MOST_BYTES:
                findings.append(f"{size / 1e6:.0f} MB for {body[:200]!r}")
        slowest = max(slowest, seconds)
        if seconds > _MOST_SECONDS:
            findings.append(f"{seconds * 1000:.0f} ms for {body[:200]!r}")
        if ended.startswith("raised"):
            findings.append(f"{ended} for {body[:300]!r}")
        ends[ended.split()[0]] += 1
    print(
        f"{options.inputs} inputs in {time.monotonic() - began:.0f} s (seed {options.seed}): "
        + ", ".join(f"{count} {end}" for end, count in ends.most_common())
    )
    print(
        f"slowest {slowest * 1000:.1f} ms, largest {largest / 1e6:.1f} MB (one of {_MEMORY_SHARE} looked at)"
    )
    print(f"findings: {len(findings)}")
    for finding in findings[:_SHOWN]:
        print(f"  {finding}")
    _print_coverage(measured)
    return 1 if findings else 0


def _ended(carry: Callable[[bytes], str], body: bytes) -> str:
    try:
        return carry(body)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised {type(error).__name__}: {error} at {Path(where.filename).name}:{where.lineno}"


def _seconds(carry: Callable[[bytes], str], body: bytes) -> float:
    started = time.perf_counter()
    _ended(carry, body)
    return time.perf_counter() - started


def _peak(carry: Callable[[bytes], str], body: bytes) -> int:
    tracemalloc.start()
    _ended(carry, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _source(name: str) -> Path:
    return ROOT / "shared" / "core" / f"{name}.py"


def _print_coverage(measured: coverage.Coverage) -> None:
    print(f"{'covered, with branches':<28}{'lines':>8}{'missed':>8}{'branches':>10}{'missed':>8}{'':>8}")
    for name in _WATCHED:
        numbers = measured._analyze(str(_source(name))).numbers  # noqa: SLF001 - what its own reports read
        share = math.floor(numbers.pc_covered * 10) / 10
        print(
            f"shared/core/{name + '.py':<16}{numbers.n_statements:>8}{numbers.n_missing:>8}"
            f"{numbers.n_branches:>10}{numbers.n_missing_branches:>8}{share:>7.1f}%"
        )


def _atheris(count: int, seed: int) -> int:
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: .venv/bin/pip install atheris (it has wheels for Linux alone)")
        return 2
    command = [sys.executable, "-m", "benchmarks.mail.atheris_target", f"-runs={count}", f"-seed={seed}"]
    command += [f"-max_total_time={_ATHERIS_SECONDS}", "-max_len=65536", "-print_final_stats=1"]
    command += [f"-artifact_prefix={tempfile.gettempdir()}/sendoff-"]  # the input that ended it
    return subprocess.run(command, cwd=ROOT, check=False).returncode
