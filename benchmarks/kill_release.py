"""
``release`` killed: ``python3 -m local bench kill_release [--messages N] [--kills N] [--seed N]``.

A thousand messages wait that are due soon. ``release`` is started, and at a random point of its run every
instance of the host gets SIGKILL, the one that runs it with the others; again and again, until the room is
empty and the next thousand come. Their time comes after the last kill, so whatever is sent twice or never is
the doing of ``release`` alone. Each must be sent once.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.rig import killing, ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from benchmarks.scheduling import planting
from shared.core.delivery import State
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_LOCK_SECONDS = 5  # the real host's are 600
# `release` lets go what is due in the next 75 s (`scribe.SOON`); the outbox hides all of it until then.
_AHEAD_SECONDS = 70.0
_LAST_KILL_SECONDS = 10.0  # before the first is due: instances are back by then, and nothing is being sent
_SPREAD_SECONDS = 3.0
_BACK_SECONDS = 30  # a new instance takes about three
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 180  # past the last time


@dataclass(slots=True)
class _Seen:
    """What was seen over all rounds."""

    ids: list[str] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    rounds: int = 0
    cut_off: int = 0
    killed: int = 0
    put: int = 0


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what came of it; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench kill_release", description=__doc__)
    parser.add_argument("--messages", type=int, default=1000, help="due in each round")
    parser.add_argument("--instances", type=int, default=2, help="two at least")
    parser.add_argument("--kills", type=int, default=50, help="of a run that had not ended")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds from its start to the kill")
    parser.add_argument("--ahead", type=float, default=_AHEAD_SECONDS, help="seconds until they are due")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    if options.instances < 2:  # noqa: PLR2004 - a host of one instance has nobody to start it again
        parser.error("--instances: two at least")
    print(f"seed {options.seed}", flush=True)
    with stage(
        instances=options.instances, limits=RAISED, lock_seconds=_LOCK_SECONDS, keep=options.keep
    ) as made:
        return 0 if _run(made, options, random.Random(options.seed)) else 1


def _run(made: Stage, options: argparse.Namespace, chance: random.Random) -> bool:
    seen, began = _Seen(), time.monotonic()
    # A round without one kill: the room was empty before chance came to it.
    while seen.cut_off < options.kills and seen.rounds < options.kills:
        _round(made, options, seen, chance)
    copies = mails.by_subject(mails.received(made.facts))
    accepted = sum(state is State.ACCEPTED for state in seen.states.values())
    lost = [each for each in seen.ids if each not in copies]
    twice = [each for each in seen.ids if len(copies.get(each, ())) > 1]
    count = len(seen.ids)
    return show(
        f"{seen.rounds} rounds of {options.messages} due, {made.instances} instances, "
        f"{time.monotonic() - began:.0f} s",
        [
            Row(
                "runs of release cut off",
                f"{seen.cut_off}",
                f"{options.kills}",
                holds=seen.cut_off >= options.kills,
            ),
            Row("instances killed", f"{seen.killed}"),
            Row("put on the outbox once more than needed", f"{seen.put - count}"),
            Row("accepted", f"{accepted}", f"{count}", holds=accepted == count),
            Row("lost", f"{len(lost)}", "0", holds=not lost),
            Row("seen twice", f"{len(twice)}", "0", holds=not twice),
        ],
    )


def _round(made: Stage, options: argparse.Namespace, seen: _Seen, chance: random.Random) -> None:
    """Let a number of messages wait, kill while they are released, and wait until all are settled."""
    first = datetime.now(UTC) + timedelta(seconds=options.ahead)
    due = {
        f"kill-{seen.rounds:03}-{number:04}": first + timedelta(seconds=chance.uniform(0, _SPREAD_SECONDS))
        for number in range(options.messages)
    }
    planting.plant(
        made.facts, [plain(each, made.senders[0], send_at=at.isoformat()) for each, at in due.items()]
    )
    last_kill = first - timedelta(seconds=min(_LAST_KILL_SECONDS, options.ahead / 3))
    while seen.cut_off < options.kills and planting.waiting(made.facts) and datetime.now(UTC) < last_kill:
        _kill_a_run(made, seen, chance.uniform(0, options.longest))
    while planting.waiting(made.facts) and datetime.now(UTC) < first:
        _start_release(made)
        time.sleep(options.longest)
    seen.put += outbox.length(made.facts)
    patience = (first - datetime.now(UTC)).total_seconds() + _SPREAD_SECONDS + _PATIENCE_SECONDS
    seen.states |= ledger.until_settled(made, due, seconds=patience)
    seen.ids += due
    seen.rounds += 1
    print(f"round {seen.rounds}: {seen.cut_off} of {options.kills} runs cut off so far", flush=True)


def _kill_a_run(made: Stage, seen: _Seen, seconds: float) -> None:
    """Start a run and kill whoever is at it ``seconds`` later; all are killed, so it is among them."""
    ended_before = _ended(made)
    _start_release(made)
    time.sleep(seconds)
    for instance in killing.instances(made.stack):
        os.kill(instance, signal.SIGKILL)
        seen.killed += 1
    seen.cut_off += _ended(made) == ended_before
    deadline = time.monotonic() + _BACK_SECONDS
    while len(killing.instances(made.stack)) < made.instances and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _ended(made: Stage) -> int:
    """How many runs came to their end: each that had something to do says so."""
    return made.host_log().count(f"[{Word.RELEASED}]")


def _start_release(made: Stage) -> None:
    """Have an instance run the timer's function now; waits until one is there to take the request."""
    deadline = time.monotonic() + _BACK_SECONDS
    while True:
        try:
            started = requests.post(
                f"{made.facts['functions']}/admin/functions/release", json={}, timeout=_BACK_SECONDS
            )
            started.raise_for_status()
        except requests.ConnectionError:  # it went to one that was killed
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return
