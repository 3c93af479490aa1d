"""
The race: every contestant sends the same messages to the same server, round after round, in turns.
"""

from __future__ import annotations

import contextlib
import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.smtp_speed.child import Child
from local import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OURS, NODEMAILER, SMTPLIB, BARE = "ours", "Nodemailer", "smtplib", "bare sockets"

_WARM_MESSAGES = 6  # opens each connection, and lets what is compiled late be compiled
_PYTHON = {OURS: "ours", SMTPLIB: "smtplib", BARE: "bare"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, over a way of so many milliseconds there and back."""

    round_trip_ms: int
    message: Path
    size: str
    messages: int


@dataclass(slots=True)
class Results:
    """One contestant's rounds of a case."""

    per_second: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)  # of its own, a message
    server_share: list[float] = field(default_factory=list)  # of the time that the server was busy

    def add(self, case: Case, taken: Mapping[str, float], server_seconds: float) -> None:
        """Take in one round."""
        self.per_second.append(case.messages / taken["seconds"])
        self.processor_ms.append(taken["processor_seconds"] * 1000 / case.messages)
        self.server_share.append(server_seconds / taken["seconds"])


@contextlib.contextmanager
def contestant(name: str, facts: Mapping[str, Any], *, connections: int) -> Iterator[Child]:
    """Start one; it connects with its first message."""
    told = json.dumps({**facts, "connections": connections})
    if name in _PYTHON:
        start = Child.python("benchmarks.smtp_speed.contestants", _PYTHON[name], told)
    else:
        program = environment.NODEMAILER
        command = [str(environment.node()), str(program.source / "send.mjs"), told]
        start = Child.start(command, folder=program.folder)
    with start as child:
        yield child


def send(child: Child, message: Path, count: int, recipients: int = 1) -> dict[str, float]:
    """Let a contestant send; returns what it measured."""
    addresses = [f"ada-{number}@example.com" for number in range(recipients)]
    return child.ask(message=str(message), messages=count, recipients=addresses)


def race(server: Child, case: Case, racing: Mapping[str, Child], rounds: int) -> dict[str, Results]:
    """Run a case; whoever begins a round is last in the next."""
    results = {name: Results() for name in racing}
    names = list(racing)
    server.ask(round_trip_ms=case.round_trip_ms)
    for _ in range(rounds):
        for name in names:
            send(racing[name], case.message, _WARM_MESSAGES)
            before = server.ask()
            taken = send(racing[name], case.message, case.messages)
            after = server.ask()
            if after["accepted"] - before["accepted"] != case.messages:
                raise RuntimeError(f"{name}: the server has accepted another number than was sent")
            results[name].add(case, taken, after["processor_seconds"] - before["processor_seconds"])
        names.append(names.pop(0))
    return results


def ratios(ours: Results, other: Results) -> list[float]:
    """Ours over another's, round by round: a round's disturbances mostly fall on both."""
    return [mine / theirs for mine, theirs in zip(ours.per_second, other.per_second, strict=True)]


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)
