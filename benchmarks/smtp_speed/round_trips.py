"""
How many round trips a message costs on a warm connection, counted twice from outside.

In front of the server stands a relay (``relay``). It counts turns: how often the client spoke after the
server had. And it makes the way longer: what a message then takes more, divided by the length of the way, is
the number of times that the client waited for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.smtp_speed.race import OURS, contestant, send

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.smtp_speed.child import Child

_WAY_MS = 40.0  # long against what a message takes by itself, and against the timers' millisecond
_MESSAGES = 20
_WARM_MESSAGES = 3


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Of one contestant, for one number of recipients. ``waited`` is by the clock, None where not asked."""

    turns: float
    waited: float | None


def count(server: Child, facts: Mapping[str, Any], name: str, message: Path, recipients: int) -> RoundTrips:
    """Count them; by the clock for ours alone, since others may take seconds for each message."""
    through_relay = {**facts, "port": facts["relay_port"]}
    server.ask(round_trip_ms=0, relay_ms=0)
    with contestant(name, through_relay, connections=1) as child:
        send(child, message, _WARM_MESSAGES, recipients)
        before = server.ask()["turns"]
        near = send(child, message, _MESSAGES, recipients)["seconds"]
        turns = (server.ask()["turns"] - before) / _MESSAGES
        if name != OURS:
            return RoundTrips(turns, None)
        server.ask(relay_ms=_WAY_MS)
        far = send(child, message, _MESSAGES, recipients)["seconds"]
        server.ask(relay_ms=0)
        return RoundTrips(turns, (far - near) / _MESSAGES / _WAY_MS * 1000)
