"""
Ending with the process that started this one.

A parent that is killed cannot say goodbye. What it held open closes, though, and its children get another
parent: either is seen here, and the process ends at once. Its messages' locks run out; nothing is lost.
"""

import os
import threading

#: How soon a vanished parent is noticed.
_LOOK_SECONDS = 0.25


def end_with_pipe(descriptor: int) -> None:
    """End this process when the other end of a pipe or socket closes."""

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def end_with_parent() -> None:
    """End this process when its present parent is gone."""
    parent = os.getppid()

    def watch() -> None:
        never = threading.Event()
        while os.getppid() == parent:
            never.wait(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
