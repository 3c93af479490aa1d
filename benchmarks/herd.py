"""
One token for many: ``python3 -m local bench herd [--instances N] [--messages N]``.

The token of a sender has run out while nothing was sent; then many messages come at once to instances that
are processes of their own and have nothing in memory. One of them may ask the provider, and the others must
wait for what it gets: the provider ends the whole consent where a refresh token is used twice.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.consent import tokens
from benchmarks.rig import killing, ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.stage import Stage

_ANSWER_MS = 1000  # of the provider, so that all the others come while one asks
_SECONDS = 180


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what was seen; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench herd", description=__doc__)
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    with stage(instances=options.instances, limits=RAISED, keep=options.keep) as made:
        return 0 if _run(made, options.messages) else 1


def _run(made: Stage, count: int) -> bool:
    (name,) = made.senders
    ids = [f"herd-{number:04}" for number in range(count)]
    tokens.consent(made, name, lifetime_seconds=tokens.ALMOST_OVER_SECONDS)
    with made.without_host():
        outbox.drop(made.facts, [plain(each, name) for each in ids])
        asked, refused, kept = tokens.refreshes(made), tokens.refusals(made), tokens.versions(made, name)
        made.controls.identity({"revoke_family_on_reuse": True, "latency_ms": _ANSWER_MS})
    processes = len(killing.instances(made.stack))
    states = ledger.until_settled(made, ids, seconds=_SECONDS)
    asked, refused = tokens.refreshes(made) - asked, tokens.refusals(made) - refused
    kept = tokens.versions(made, name) - kept
    accepted = Counter(states.values())[State.ACCEPTED]
    copies = mails.by_subject(mails.received(made.facts))
    once = sum(len(copies.get(each, ())) == 1 for each in ids)
    return show(
        f"{count} messages, {processes} instances (processes), the token has run out",
        [
            Row("requests with a refresh token that the provider saw", f"{asked}", "1", holds=asked == 1),
            Row("token requests that it refused", f"{refused}", "0", holds=not refused),
            Row("new versions in the vault", f"{kept}", "1", holds=kept == 1),
            Row("accepted", f"{accepted}", f"{count}", holds=accepted == count),
            Row("seen once by the mail server", f"{once}", f"{count}", holds=once == count),
        ],
    )
