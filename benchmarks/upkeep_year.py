"""
A year of upkeep: ``python3 -m local bench upkeep_year [--days N] [--outages N] [--seed N]``.

Simulated time. One sender has mail every day, one has none. The provider goes away at random moments for up
to a quarter of an hour. Looked at is how long the token in the vault lasted at its shortest, how long the
idle sender's refresh token lay unused, and what all that cost.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks.consent.instance import Instance
from benchmarks.consent.parts import BEGIN, Clock
from benchmarks.consent.provider import LONGEST_LIFE, SHORTEST_LIFE, Away, Provider
from benchmarks.consent.vault import Vault
from benchmarks.rig.table import Row, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.core.grant import Grant

_EVERY = timedelta(minutes=15)
_LONGEST_OUTAGE = timedelta(minutes=15)
_LEAST_LEFT = timedelta(minutes=15)  # what a warm sender's token has at any moment
# A day, the run that comes after it, one that an outage took, and half a minute of the timer's own.
_LONGEST_UNUSED = timedelta(days=1, minutes=31)
_MAIL_EVERY = timedelta(hours=8)
_LATE_SECONDS = 5.0  # a timer is not to the second
_WARM, _IDLE = "warm", "idle"


class _Watch:
    """Looks at the vault when a grant is replaced, which is when its token is oldest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.least_left = timedelta.max
        self.least_left_at = BEGIN
        self.longest_unused = timedelta()

    def look(self, name: str, grant: Grant) -> None:
        """Take in how a grant stands now."""
        now = self._clock()
        if name == _WARM and grant.expires_at - now < self.least_left:
            self.least_left, self.least_left_at = grant.expires_at - now, now
        if name == _IDLE:
            self.longest_unused = max(self.longest_unused, now - grant.refreshed_at)


def main(arguments: Sequence[str]) -> int:
    """Let the time pass once and print what was seen; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench upkeep_year", description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--outages", type=int, default=400, help="of the provider, up to 15 minutes each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options = parser.parse_args(arguments)
    print(f"--seed {options.seed}")
    # A year of one line for each sender at each run says nothing that is not counted here.
    logging.disable(logging.ERROR)
    try:
        return 0 if _run(timedelta(days=options.days), options.outages, options.seed) else 1
    finally:
        logging.disable(logging.NOTSET)


def _run(span: timedelta, outages: int, seed: int) -> bool:
    chance, began = random.Random(seed), time.monotonic()
    clock, vault = Clock(), Vault(lambda: clock.now)
    lives = (SHORTEST_LIFE.total_seconds(), LONGEST_LIFE.total_seconds())
    provider = Provider(
        clock, lambda: timedelta(seconds=chance.randint(*map(int, lives))), _outages(span, outages, chance)
    )
    watch = _Watch(clock)
    vault.replaced = watch.look
    instance = Instance(clock, provider, vault, _WARM, _IDLE)
    instance.connect()
    ticks = int(span / _EVERY)
    mail_at = BEGIN
    for tick in range(1, ticks + 1):
        clock.now = BEGIN + tick * _EVERY + timedelta(seconds=chance.uniform(0, _LATE_SECONDS))
        if clock.now >= mail_at:
            instance.has_mail(_WARM)
            mail_at = clock.now + _MAIL_EVERY
        instance.run_upkeep()
    for name in (_WARM, _IDLE):
        if grant := vault.load_grant(name):
            watch.look(name, grant)
    return show(
        f"{span.days} days, upkeep {ticks} times, {outages} outages of up to 15 minutes,"
        f" {time.monotonic() - began:.0f} s",
        [
            *_counted(vault, provider),
            Row(
                "least that the warm sender's token had left",
                _minutes(watch.least_left),
                f">= {_minutes(_LEAST_LEFT)}",
                holds=watch.least_left >= _LEAST_LEFT,
            ),
            Row("  that was", f"{watch.least_left_at:%d %b %H:%M}"),
            Row(
                "longest that the idle sender's was not refreshed",
                f"{watch.longest_unused / timedelta(hours=1):.2f} h",
                f"<= {_LONGEST_UNUSED / timedelta(hours=1):.2f} h",
                holds=watch.longest_unused <= _LONGEST_UNUSED,
            ),
            Row("events about senders", f"{len(instance.events.of_senders)}", "2", holds=_calm(instance)),
        ],
    )


def _counted(vault: Vault, provider: Provider) -> list[Row]:
    warm, idle = vault.versions(_WARM), vault.versions(_IDLE)
    given = warm + idle
    return [
        Row("refreshes of the warm sender", f"{warm - 1}"),
        Row("refreshes of the idle sender", f"{idle - 1}"),
        Row("requests that the provider did not answer", f"{provider.asked - (given - 2)}"),
        Row("writes to the vault", f"{given}", f"{provider.given}", holds=given == provider.given),
        Row("versions of the warm sender's secret", f"{warm}"),
        Row("versions of the idle sender's secret", f"{idle}"),
        Row("refresh tokens used twice", f"{provider.reused}", "0", holds=not provider.reused),
    ]


def _calm(instance: Instance) -> bool:
    """Whether nobody was alarmed: two senders were connected, and that is all."""
    return [event.kind for event in instance.events.of_senders] == ["sender.connected"] * 2


def _outages(span: timedelta, count: int, chance: random.Random) -> list[Away]:
    """Return outages in order; where two meet they are one longer than is asked for, so one of them goes."""
    begins = sorted(BEGIN + chance.random() * span for _ in range(count))
    found: list[Away] = []
    for begin in begins:
        # Between two outages upkeep runs at least once.
        if not found or begin - found[-1].end > _EVERY + timedelta(seconds=_LATE_SECONDS):
            found.append(_outage(begin, chance))
    return found


def _outage(begin: datetime, chance: random.Random) -> Away:
    return Away(begin, begin + chance.random() * _LONGEST_OUTAGE)


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.1f} min"
