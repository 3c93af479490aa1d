"""
How a process ends: asked by a signal, in good order within the grace period, or at once.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

_log = logging.getLogger("local.host")

#: Past the grace period, to give back locks and leases and to close connections.
_TIDY_SECONDS = 5.0


def stop_early_on_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt, as SIGINT does, until `stop_on_signals` takes both over."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def stop_on_signals(grace_seconds: float) -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            give_up(["whatever had not ended by a second signal"])
        stop.set()
        # A last resort, for a stop that hangs where no timeout looks: in a thread of the app's own, say.
        last_resort = threading.Timer(grace_seconds + _TIDY_SECONDS, os._exit, [1])
        last_resort.daemon = True
        last_resort.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def give_up(left: Sequence[str]) -> NoReturn:
    """End the process with functions still running: their threads cannot be ended any other way."""
    _log.error(
        "stopped while running: %s; the messages come back when their locks run out",
        ", ".join(left) or "a call to storage",
    )
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1)
