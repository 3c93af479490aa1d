"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LOOK_EVERY_SECONDS = 0.05


def eventually(condition: Callable[[], T], *, seconds: float = 20, said: Callable[[], object] = str) -> T:
    """
    Return what the condition gives once that is true.

    When it never is, fail with what ``said`` has to say.
    """
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"not true after {seconds} s {said()}"
        tick.wait(_LOOK_EVERY_SECONDS)
