"""What the times of accepted messages say about a limit of so many in any sixty seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE_SECONDS = 60.0


def share_used(times: Sequence[float], per_minute: int) -> float | None:
    """
    Return which share of the allowed rate was used while there was more to send, at most 1.

    Counted are the whole minutes, from the first message on, that ended before the last one: in all of them
    something waited. The first of them is left out, so that a burst at the opening flatters nobody. None when
    that leaves no minute.
    """
    ordered = sorted(times)
    whole = int((ordered[-1] - ordered[0]) // MINUTE_SECONDS) if ordered else 0
    if whole < 2:  # noqa: PLR2004 - the opening minute, and one to look at
        return None
    begin, end = ordered[0] + MINUTE_SECONDS, ordered[0] + MINUTE_SECONDS * whole
    return sum(begin <= moment < end for moment in ordered) / (per_minute * (whole - 1))
