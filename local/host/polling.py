"""How long to wait before looking at an empty queue again."""

import random
from datetime import timedelta

#: QueuePollingIntervals.Minimum; also the unit that doubles.
_SHORTEST = timedelta(milliseconds=100)


class PollingBackOff:
    """Random exponential back-off from 100 ms up to the longest interval; back to 100 ms after a message."""

    def __init__(self, longest: timedelta, chance: random.Random) -> None:
        self._longest = longest
        self._chance = chance
        self._doublings = 0

    def found(self) -> None:
        """Start again from the shortest wait, since the queue had messages."""
        self._doublings = 0

    def next_wait(self) -> timedelta:
        """Return how long to wait now that the queue was empty."""
        # Plus or minus a fifth, so that instances do not march in step.
        step: timedelta = _SHORTEST * (2**self._doublings - 1) * self._chance.uniform(0.8, 1.2)
        wait = min(_SHORTEST + step, self._longest)
        if wait < self._longest:
            self._doublings += 1
        return wait
