"""
What is logged, told apart by the thread that logs: each cell is one thread's work.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listener(logging.Handler):
    """Keeps every line, with its traceback and its extras, under its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: defaultdict[int, list[str]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines[threading.get_ident()].append(f"{self.format(record)} {vars(record)}")

    def take(self) -> str:
        """Return what this thread has logged since it was last asked."""
        return "\n".join(self._lines.pop(threading.get_ident(), []))


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Hear all that Sendoff logs at any level, and the libraries as an instance has them: from INFO up."""
    listener = Listener()
    root, ours = logging.getLogger(), logging.getLogger("shared")
    levels = root.level, ours.level
    root.addHandler(listener)
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        root.removeHandler(listener)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
