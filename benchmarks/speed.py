"""
How fast SMTP alone is: ``python3 -m local bench speed [--rounds N]``.

First the round trips that a message costs on a warm connection. Then messages a second over three
connections, beside Nodemailer's pool and the standard library's smtplib with a connection for each of three
threads: same server, same messages, same run. Bare sockets stand beside them to show what the server can
take. At 25 ms that is the stack's own; at 0 ms its judging would limit them all, so it is one that judges
nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.smtp_speed.child import Child
from benchmarks.smtp_speed.race import BARE, NODEMAILER, OURS, SMTPLIB, Case, contestant, median, race, ratios
from benchmarks.smtp_speed.round_trips import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.smtp_speed.race import Results

_CONNECTIONS = 3  # what Exchange allows a mailbox
_MOST_ROUND_TRIPS = 2
_FAR_MS = 25
_LEAST = {NODEMAILER: 1.0, SMTPLIB: 1.9}  # at 25 ms
# Where both wait for the same two round trips they come out equal but for this much of noise.
_TIE = 0.02
_RECIPIENTS = (1, 10, 100)
_SIZES = {"1 KB": 1_000, "100 KB": 100_000}
_LINE = b"x" * 74 + b"\r\n"
_HEAD = b"From: <noreply@contoso.com>\r\nTo: <ada@example.com>\r\nMessage-ID: <1@contoso.com>\r\n\r\n"


def main(arguments: Sequence[str]) -> int:
    """Run both and print them; fails where a message costs more round trips or ours is slower than it may."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        messages = {size: Path(folder) / f"{octets}.eml" for size, octets in _SIZES.items()}
        for size, path in messages.items():
            path.write_bytes(_HEAD + _LINE * ((_SIZES[size] - len(_HEAD)) // len(_LINE)))
        with Child.python("benchmarks.smtp_speed.server", folder) as server:
            few_enough = _round_trips(server, server.facts, messages)
            fast_enough = _race(server, messages, options.rounds)
    return 0 if few_enough and fast_enough else 1


def _round_trips(server: Child, facts: Mapping[str, Any], messages: Mapping[str, Path]) -> bool:
    print("round trips a message on a warm connection: turns on the wire (and by the clock)")
    print(f"{'':<24}{OURS:>16}{NODEMAILER:>14}{SMTPLIB:>14}")
    most = 0.0
    cases = [("1 KB", number) for number in _RECIPIENTS] + [("100 KB", 1)]
    for size, recipients in cases:
        counted = {
            name: count(server, facts, name, messages[size], recipients)
            for name in (OURS, NODEMAILER, SMTPLIB)
        }
        ours = counted[OURS]
        most = max(most, ours.turns)
        print(
            f"{f'{size}, recipients: {recipients}':<24}{f'{ours.turns:.1f} ({ours.waited:.2f})':>16}"
            f"{counted[NODEMAILER].turns:>14.1f}{counted[SMTPLIB].turns:>14.1f}",
            flush=True,
        )
    print(f"ours at most {most:.1f}; allowed are {_MOST_ROUND_TRIPS}\n")
    return most <= _MOST_ROUND_TRIPS


def _race(server: Child, messages: Mapping[str, Path], rounds: int) -> bool:
    fast_enough = True
    facts = server.facts
    for port, cases in (
        (facts["lean_port"], ((0, "1 KB", 3000), (0, "100 KB", 300))),
        (facts["port"], ((_FAR_MS, "1 KB", 60), (_FAR_MS, "100 KB", 60))),
    ):
        with contextlib.ExitStack() as running:
            racing = {
                name: running.enter_context(
                    contestant(name, {**facts, "port": port}, connections=_CONNECTIONS)
                )
                for name in (OURS, NODEMAILER, SMTPLIB, BARE)
            }
            for round_trip_ms, size, number in cases:
                case = Case(round_trip_ms, messages[size], size, number)
                fast_enough &= _shown(case, race(server, case, racing, rounds))
    return fast_enough


def _shown(case: Case, results: Mapping[str, Results]) -> bool:
    """Print a case; returns whether ours is as fast as it must be."""
    far = case.round_trip_ms == _FAR_MS
    rounds = len(results[OURS].per_second)
    print(
        f"{case.size} at {case.round_trip_ms} ms: {case.messages} messages, {_CONNECTIONS} connections, "
        f"median of {rounds} rounds"
    )
    print(f"{'':<16}{'messages/s':>12}{'from':>8}{'to':>8}{'client ms':>12}{'server busy':>13}")
    for name, found in results.items():
        print(
            f"{name:<16}{median(found.per_second):>12.1f}{min(found.per_second):>8.0f}"
            f"{max(found.per_second):>8.0f}{median(found.processor_ms):>12.2f}"
            f"{median(found.server_share):>13.0%}"
        )
    enough = True
    for name, least in _LEAST.items():
        by_round = ratios(results[OURS], results[name])
        wanted = f", at least {least} wanted" if far else ""
        print(f"ours / {name}: {median(by_round):.2f} ({min(by_round):.2f} to {max(by_round):.2f}){wanted}")
        enough &= not far or median(by_round) >= least * (1 - _TIE)
    print(flush=True)
    return enough
