"""
A provider that goes away: ``python3 -m local bench provider_outage [--minutes N] [--step N] [--lives N …]``.

Simulated time. Mail comes every minute, upkeep runs every 15. The provider is away for a quarter of an hour,
beginning at each minute of two lives of a token in turn, for tokens of 60 to 90 minutes: no message may wait
for want of a token. Then it is away for a day: nothing may be lost, and all is sent afterwards.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.consent.instance import Instance
from benchmarks.consent.parts import BEGIN, Clock
from benchmarks.consent.provider import Away, Provider
from benchmarks.consent.vault import Vault
from benchmarks.rig.table import Row, show
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

_MINUTE = timedelta(minutes=1)
_UPKEEP_MINUTES = 15
_DAY_MINUTES = 24 * 60
_AFTER_MINUTES = 45  # until upkeep has run and everybody has what was missed
_LIVES = (60, 65, 70, 75, 80, 85, 90)  # minutes; Entra's are from 60 to 90
_NAME = "noreply"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of one outage. ``delayed`` were not accepted as they came, ``open`` never."""

    sent: int
    delayed: int
    open: int
    most_attempts: int
    lost: int
    shortest: timedelta
    refused: int
    reused: int
    alarms: Counter[str]


def main(arguments: Sequence[str]) -> int:
    """Walk through all of it and print what was seen; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench provider_outage", description=__doc__)
    parser.add_argument("--minutes", type=int, default=15, help="how long the provider is away")
    parser.add_argument("--step", type=int, default=1, help="minutes from one beginning to the next")
    parser.add_argument("--lives", type=int, nargs="+", default=_LIVES, help="of tokens, in minutes")
    parser.add_argument("--day-minutes", type=int, default=_DAY_MINUTES, help="the long one")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # hundreds of outages, each with its warnings
    try:
        held = [_walk(life, options.minutes, options.step) for life in options.lives]
        return 0 if all([*held, _long(options.day_minutes)]) else 1
    finally:
        logging.disable(logging.NOTSET)


def _walk(life: int, minutes: int, step: int) -> bool:
    began = time.monotonic()
    seen = {
        begin: _outage(life, begin, minutes, mail_every=1)
        for begin in range(_UPKEEP_MINUTES, 2 * life + _UPKEEP_MINUTES, step)
    }
    worst = min(seen, key=lambda begin: seen[begin].shortest)
    every = list(seen.values())
    return show(
        f"tokens of {life} min, the provider away for {minutes} min, {len(seen)} beginnings,"
        f" {sum(each.sent for each in every)} messages, {time.monotonic() - began:.0f} s",
        [
            *_must(every),
            Row("delayed", *_none(sum(each.delayed for each in every))),
            Row(
                "least that the token in the vault had left",
                f"{seen[worst].shortest.total_seconds() / 60:.1f} min",
            ),
            Row("  with an outage from minute", f"{worst}"),
        ],
    )


def _long(minutes: int) -> bool:
    began = time.monotonic()
    seen = _outage(75, 60, minutes, mail_every=5)
    return show(
        f"the provider away for {minutes / 60:.0f} h, {seen.sent} messages, {time.monotonic() - began:.0f} s",
        [
            *_must([seen]),
            Row("delayed, and sent after", f"{seen.delayed}"),
            Row(
                "attempts counted at one message, the most",
                f"{seen.most_attempts}",
                "1",
                seen.most_attempts == 1,
            ),
        ],
    )


def _must(every: Sequence[_Seen]) -> list[Row]:
    alarms = sum((each.alarms for each in every), Counter[str]())
    return [
        Row("lost, rejected or expired", *_none(sum(each.lost for each in every))),
        Row("not accepted in the end", *_none(sum(each.open for each in every))),
        Row("tokens that the mail server refused", *_none(sum(each.refused for each in every))),
        Row("refresh tokens used twice", *_none(sum(each.reused for each in every))),
        Row("holds", *_none(alarms["sender.held"])),
    ]


def _none(count: int) -> tuple[str, str, bool]:
    return f"{count}", "0", not count


def _outage(life: int, begin: int, minutes: int, *, mail_every: int) -> _Seen:
    """Let the time pass from a consent until well after one outage."""
    clock = Clock()
    away = Away(BEGIN + begin * _MINUTE, BEGIN + (begin + minutes) * _MINUTE)
    provider = Provider(clock, lambda: life * _MINUTE, (away,))
    instance = Instance(clock, provider, Vault(lambda: clock.now), _NAME)
    instance.connect()
    ids: list[str] = []
    delayed, shortest = 0, timedelta.max
    for minute in range(1, begin + minutes + _AFTER_MINUTES):
        clock.now = max(clock.now, BEGIN + minute * _MINUTE)
        if minute % _UPKEEP_MINUTES == 0:
            instance.run_upkeep()
        instance.run_release()
        if minute % mail_every == 0 and minute < begin + minutes + mail_every:
            ids.append(f"m-{minute:05}")
            before = clock.now
            state = instance.send(ids[-1], _NAME)
            delayed += state is not State.ACCEPTED or clock.now > before
        if expires_at := instance.expires_at(_NAME):
            shortest = min(shortest, expires_at - clock.now)
    _run_dry(instance, clock)
    entries = [entry for each in ids if (entry := instance.ledger.find(each))]
    states = Counter(entry.state for entry in entries)
    ended = sum(times for state, times in states.items() if state.is_settled and state is not State.ACCEPTED)
    return _Seen(
        len(ids),
        delayed,
        len(ids) - states[State.ACCEPTED],
        max(entry.attempts for entry in entries),
        ended + len(ids) - len(entries),
        shortest,
        instance.server.refused,
        provider.reused,
        Counter(event.kind for event in instance.events.of_senders),
    )


def _run_dry(instance: Instance, clock: Clock) -> None:
    """Let the time pass until nothing waits."""
    for _ in range(_DAY_MINUTES):
        if instance.is_dry():
            return
        clock.now += _MINUTE
        instance.run_release()
