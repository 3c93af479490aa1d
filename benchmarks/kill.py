"""
What SIGKILL costs: ``python3 -m local bench kill [--messages N] [--instances N] [--kills N] [--on-doubt …]``.

While messages are sent, instances of the host are killed at random moments and started again. With
``on_doubt = "resend"`` all must be accepted; how many the mail server saw twice is counted beside it, and the
copies must be alike. With ``"hold"`` none may be seen twice; what nobody can know about ends ``in_doubt``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import killing, ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rig.mails import Copy
    from benchmarks.rig.stage import Stage

_LOCK_SECONDS = 5  # the real host's are 600; what a killed instance had in hand comes back after this
_ROUND_TRIP_MS = 200  # as from another continent: an instance has much in hand whenever it dies
_LAST_KILL = 0.9  # of the messages: after that too little is under way
_SOON_SECONDS = 0.5  # between the count that a kill waits for and the kill, at random
_LOOK_SECONDS = 0.1
_SECONDS = 300  # for the kills, and again for what is left: locks and shares of the dead run out well before
_BACK_SECONDS = 30  # a new instance takes about three


def main(arguments: Sequence[str]) -> int:
    """Run each mode once and print what came of it; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench kill", description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=4, help="two at least")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--on-doubt", choices=("resend", "hold"), help="one mode alone; default: both")
    parser.add_argument(
        "--connections", type=int, default=RAISED.connections, help="few of them make messages stand in line"
    )
    parser.add_argument("--round-trip-ms", type=float, default=_ROUND_TRIP_MS, help="of the mail server")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    if options.instances < 2:  # noqa: PLR2004 - a host of one instance has nobody to start it again
        parser.error("--instances: two at least")
    print(f"seed {options.seed}", flush=True)
    modes = (options.on_doubt,) if options.on_doubt else ("resend", "hold")
    limits = replace(RAISED, connections=options.connections)
    with stage(
        instances=options.instances, limits=limits, lock_seconds=_LOCK_SECONDS, keep=options.keep
    ) as made:
        made.controls.mail({"round_trip_ms": options.round_trip_ms})
        chance = random.Random(options.seed)
        held = [_run(made, mode, options.messages, options.kills, chance) for mode in modes]
        return 0 if all(held) else 1


def _run(made: Stage, mode: str, count: int, kills: int, chance: random.Random) -> bool:
    ids = [f"{mode}-{number:05}" for number in range(count)]
    with made.without_host():
        outbox.drop(made.facts, [plain(each, made.senders[0], on_doubt=mode) for each in ids])
        deaths_before = _deaths(made)
        before = made.accepted()
    began = time.monotonic()
    _kill(made, before, sorted(chance.randrange(int(count * _LAST_KILL)) for _ in range(kills)), chance)
    states = ledger.until_settled(made, ids, seconds=_SECONDS)
    seconds = time.monotonic() - began
    copies = {
        subject: found
        for subject, found in mails.by_subject(mails.received(made.facts)).items()
        if subject in set(ids)
    }
    title = f"on_doubt = {mode}: {count} messages, {made.instances} instances, {seconds:.0f} s"
    killed = _deaths(made) - deaths_before
    rows = [Row("instances killed", f"{killed}", f"{kills}", holds=killed == kills), _everyone_is_back(made)]
    return show(title, rows + _rows(mode, ids, states, copies))


def _kill(made: Stage, before: int, moments: list[int], chance: random.Random) -> None:
    """Kill an instance each time that the mail server has taken so many messages, a random while later."""
    deadline = time.monotonic() + _SECONDS
    for moment in moments:
        while made.accepted() - before < moment and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        time.sleep(chance.uniform(0, _SOON_SECONDS))
        while time.monotonic() < deadline and not killing.kill_one(made.stack, chance):
            time.sleep(_LOOK_SECONDS)


def _deaths(made: Stage) -> int:
    """How many instances the host has replaced because a SIGKILL ended them."""
    return made.host_log().count("ended (signal 9); another is started")


def _everyone_is_back(made: Stage) -> Row:
    deadline = time.monotonic() + _BACK_SECONDS
    while (living := len(killing.instances(made.stack))) < made.instances and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return Row("instances at the end", f"{living}", f"{made.instances}", holds=living == made.instances)


def _rows(
    mode: str, ids: Sequence[str], states: Mapping[str, State], copies: Mapping[str, Sequence[Copy]]
) -> list[Row]:
    counted = Counter(states.values())
    accepted, in_doubt = counted[State.ACCEPTED], counted[State.IN_DOUBT]
    seen = {each: copies.get(each, ()) for each in ids}
    known = {State.ACCEPTED, State.IN_DOUBT}
    # Neither with the mail server, nor with a person who is told that nobody knows.
    lost = [
        each
        for each in ids
        if states.get(each) not in known or (states[each] is State.ACCEPTED and not seen[each])
    ]
    twice = [each for each in ids if len(seen[each]) > 1]
    unlike = [each for each in twice if not mails.are_alike(seen[each])]
    holds = mode == "hold"
    others = ", ".join(f"{state.value} {times}" for state, times in counted.items() if state not in known)
    return [
        Row("accepted", f"{accepted}", "" if holds else f"{len(ids)}", holds=holds or accepted == len(ids)),
        Row("in_doubt", f"{in_doubt}", "the rest" if holds else "0", holds=accepted + in_doubt == len(ids)),
        Row("in another state", others or "0"),
        Row("lost", f"{len(lost)}", "0", holds=not lost),
        Row("seen twice", f"{len(twice)}", "0" if holds else "", holds=not (holds and twice)),
        Row("copies with another Message-ID or Date", f"{len(unlike)}", "0", holds=not unlike),
        Row(
            "in_doubt, and the server had it",
            f"{sum(bool(seen[each]) for each, state in states.items() if state is State.IN_DOUBT)}",
        ),
    ]
