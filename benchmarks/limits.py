"""
Exchange's limits, kept by many instances: ``python3 -m local bench limits [--mailboxes N …] [--messages N]``.

Several instances send the mail of one mailbox, then of forty at once. Looked at is what the mail server saw
of each mailbox: most connections at once, most messages in any sliding minute, how much of the allowed rate
was used while there was a backlog, how often it had to say "too fast". Beside it: what storage was asked for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import ledger, mails, outbox, rates, requests_log
from benchmarks.rig.stage import EXCHANGE, Limits, address, plain, stage
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_LEAST_SHARE = 0.95
_THROTTLES = ("432 4.3.2", "421 4.4.2", "554 5.2.0")  # too many at once, too fast, the day's quota
_PACING = "senders"  # the table in which instances agree on a sender's limits
_MOST_PACING = 1.0  # transactions a message
_SPARE_SECONDS = 180  # past what the limit itself needs
_SETTLE_SECONDS = 60
_LOOK_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    """Run once for each number of mailboxes and print what was seen; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench limits", description=__doc__)
    parser.add_argument("--mailboxes", type=int, nargs="+", default=[1, 40], help="one run for each number")
    parser.add_argument("--messages", type=int, default=200, help="to each mailbox")
    parser.add_argument("--instances", type=int, default=6)
    parser.add_argument("--per-minute", type=int, default=EXCHANGE.messages_per_minute, help="on both sides")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    limits = Limits(options.per_minute, EXCHANGE.connections)
    held = [
        _run(mailboxes, options.messages, options.instances, limits, options.keep)
        for mailboxes in options.mailboxes
    ]
    return 0 if all(held) else 1


def _run(mailboxes: int, messages: int, instances: int, limits: Limits, keep: Path | None) -> bool:
    folder = keep / f"{mailboxes}-mailboxes" if keep else None
    with stage(
        instances=instances,
        senders=mailboxes,
        limits=limits,
        # In memory, Azurite stands still for many seconds a minute while it forgets thousands of messages.
        keep_storage=True,
        access_log=True,
        keep=folder,
    ) as made:
        ids = {f"{name}-{number:05}": name for number in range(messages) for name in made.senders}
        with made.without_host():  # so that there is a backlog from the first message on
            outbox.drop(made.facts, [plain(each, name) for each, name in ids.items()])
            queued = made.access_log.stat().st_size
        began = time.monotonic()
        deadline = began + messages * rates.MINUTE_SECONDS / limits.messages_per_minute + _SPARE_SECONDS
        while made.accepted() < len(ids) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
        asked = requests_log.asked(made.access_log, queued)
        states = ledger.until_settled(made, ids, seconds=_SETTLE_SECONDS)
        counted = Counter(states.values())
        accepted = counted.pop(State.ACCEPTED, 0)
        others = ", ".join(f"{state.value} {times}" for state, times in counted.items())
        title = f"{mailboxes} mailboxes, {messages} messages each, {instances} instances, {seconds:.0f} s"
        rows = [
            Row("accepted", f"{accepted}", f"{len(ids)}", holds=accepted == len(ids)),
            Row("in another state", others or "0"),
        ]
        return show(title, rows + _limits_kept(made, limits) + _storage(asked, len(ids)))


def _limits_kept(made: Stage, limits: Limits) -> list[Row]:
    """Look at each mailbox and tell of the worst."""
    counters = made.counters()
    of_each = [counters["mailboxes"][address(name)] for name in made.senders]
    connections = max(each["most_connections_at_once"] for each in of_each)
    times = defaultdict(list)
    for copy in mails.received(made.facts):
        times[copy.mailbox].append(copy.received_at.timestamp())
    # By the server's own clock. It lets no more pass, so this tells only beside the throttle replies.
    minute = max(each["most_messages_in_a_minute"] for each in of_each)
    throttled = sum(counters["replies"].get(reply, 0) for reply in _THROTTLES)
    return [
        Row(
            "most connections of a mailbox at once",
            f"{connections}",
            f"<= {limits.connections}",
            holds=connections <= limits.connections,
        ),
        Row(
            "most messages of a mailbox in 60 s",
            f"{minute}",
            f"<= {limits.messages_per_minute}",
            holds=minute <= limits.messages_per_minute,
        ),
        *_shares([times[address(name)] for name in made.senders], limits.messages_per_minute),
        Row("throttle replies", f"{throttled}", "0", holds=not throttled),
    ]


def _shares(times: Sequence[Sequence[float]], per_minute: int) -> list[Row]:
    name = "share of the allowed rate used, the least"
    shares = [share for each in times if (share := rates.share_used(each, per_minute)) is not None]
    if len(shares) < len(times):
        return [Row(name, "too short")]  # no whole minute after the first one: nothing can be said
    least = min(shares)
    return [
        Row(name, f"{least:.1%}", f">= {_LEAST_SHARE:.0%}", holds=least >= _LEAST_SHARE),
        Row("share of the allowed rate used, the median", f"{statistics.median(shares):.1%}"),
    ]


def _storage(asked: Counter[str], count: int) -> list[Row]:
    """Tell what a message cost, the host's own polling and locks among it (outbox, azure-webjobs-hosts)."""
    rows = []
    for place, times in sorted(asked.items()):
        cost = times / count
        demanded = f"< {_MOST_PACING:g}" if place == _PACING else ""
        rows.append(
            Row(
                f"requests a message: {place or 'the account'}",
                f"{cost:.2f}",
                demanded,
                holds=not demanded or cost < _MOST_PACING,
            )
        )
    return rows
