"""
From the queue to accepted, one instance: ``python3 -m local bench throughput [--messages N] [--rounds N]``.

A backlog lies on the outbox when the host starts, and no limit of a mailbox is in the way. Beside it runs a
bare loop on the same storage: as many threads, the same SDK, the storage operations of a message, and nothing
else. They take turns at being first, since storage grows slower as it fills. The first fifth of each is left
out: there the host imports, signs in and connects.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.data.tables import TableClient

from benchmarks.rig import ledger, mails, outbox
from benchmarks.rig.stage import Limits, plain, stage
from benchmarks.storage.bare_loop import BareLoop
from benchmarks.storage.whose_requests import OURS, counted
from local.environment import ROOT
from shared.adapters.table_ledger import TABLE

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from benchmarks.rig.stage import Stage

_THREADS = min(32, (os.cpu_count() or 1) + 4)  # of the worker, where its setting names no other number
_WARM_SHARE = 0.2
_SAMPLE = "sample"
_SECONDS = 300
_LOOK_SECONDS = 0.25  # at the mail server's counters, which cost storage nothing
_LAST_LINE_SECONDS = 1  # until the access log has the last request
_LIMITS = Limits(messages_per_minute=1_000_000, connections=_THREADS)


@dataclass(frozen=True, slots=True)
class _Round:
    """One run of one of the two."""

    per_second: float
    requests: Counter[str]


def main(arguments: Sequence[str]) -> int:
    """Run both and print them; fails where a message is missing."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench throughput", description=__doc__)
    parser.add_argument("--messages", type=int, default=500, help="of each, in each round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args(arguments)
    ours: list[_Round] = []
    bare: list[_Round] = []
    with stage(instances=1, limits=_LIMITS, access_log=True) as made:
        rows = _sample(made)
        made.stack.stop_host()
        for number in range(options.rounds):
            if number % 2:
                bare.append(_bare(made, rows, options.messages))
                ours.append(_through_the_app(made, f"round-{number}", options.messages))
            else:
                ours.append(_through_the_app(made, f"round-{number}", options.messages))
                bare.append(_bare(made, rows, options.messages))
    _show(ours, bare, options.messages)
    return 0


def _show(ours: Sequence[_Round], bare: Sequence[_Round], count: int) -> None:
    print(f"{len(ours)} rounds of {count} messages, one instance, {_THREADS} threads; medians")
    print(f"{'':<28}{'messages/s':>12}{'from':>8}{'to':>8}{'transactions a message':>26}")
    for name, rounds in (("queue to accepted", ours), ("bare loop, storage alone", bare)):
        rates = [each.per_second for each in rounds]
        spent = sum(each.requests.total() - each.requests["removed"] for each in rounds)
        print(
            f"{name:<28}{statistics.median(rates):>12.1f}{min(rates):>8.1f}{max(rates):>8.1f}"
            f"{spent / count / len(rounds):>26.2f}"
        )
    ratios = [mine.per_second / theirs.per_second for mine, theirs in zip(ours, bare, strict=True)]
    print(f"ours / bare: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    places = {name: sum(each.requests[name] for each in ours) / count / len(ours) for name in (*OURS, "host")}
    print("queue to accepted by place: " + ", ".join(f"{name} {spent:.2f}" for name, spent in places.items()))


def _sample(made: Stage) -> list[dict[str, Any]]:
    """Let one message through and return what the ledger holds of it, its changes in order."""
    (sender,) = made.senders
    outbox.drop_one(made.facts, plain(_SAMPLE, sender))
    ledger.until_settled(made, [_SAMPLE], seconds=_SECONDS)
    with TableClient.from_connection_string(made.facts["storage"], TABLE) as table:
        rows = table.query_entities("PartitionKey eq @id", parameters={"id": _SAMPLE})
        return sorted((dict(row) for row in rows), key=lambda row: str(row["RowKey"]))


def _through_the_app(made: Stage, prefix: str, count: int) -> _Round:
    """Measure from the host's start, on a backlog, to the last message that was accepted."""
    (sender,) = made.senders
    outbox.drop(made.facts, [plain(f"{prefix}-{number}", sender) for number in range(count)])
    start, wanted = made.access_log.stat().st_size, made.accepted() + count
    made.stack.start_host()
    deadline = time.monotonic() + _SECONDS
    while made.accepted() < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{wanted - made.accepted()} of {count} messages were not accepted")
        time.sleep(_LOOK_SECONDS)
    # Ends when everything that was begun is recorded.
    made.stack.stop_host()
    copies = [copy for copy in mails.received(made.facts) if copy.subject.startswith(prefix)]
    times = sorted(copy.received_at.timestamp() for copy in copies)
    return _Round(_rate(times), counted(made.access_log, start))


def _bare(made: Stage, rows: Sequence[Mapping[str, Any]], count: int) -> _Round:
    """Measure the bare loop."""
    (sender,) = made.senders
    host: Mapping[str, Any] = json.loads((ROOT / "host.json").read_text("utf-8"))
    loop = BareLoop(made.facts["storage"], json.dumps(plain(_SAMPLE, sender)), rows)
    try:
        loop.fill(count, _THREADS)
        start = made.access_log.stat().st_size
        times = loop.run(_THREADS, int(host["extensions"]["queues"]["batchSize"]))
    finally:
        loop.close()
    time.sleep(_LAST_LINE_SECONDS)
    return _Round(_rate(times), counted(made.access_log, start))


def _rate(times: Sequence[float]) -> float:
    """Return how many there were a second, without the first fifth."""
    first = int(len(times) * _WARM_SHARE)
    return (len(times) - 1 - first) / (times[-1] - times[first])
