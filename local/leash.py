"""
Child processes that cannot outlive us, however we end.

A child runs under a small parent of its own, this file, which waits at the end of a pipe that we hold. When
we end, by Ctrl-C or by SIGKILL, the kernel closes the pipe, and the leash ends the child with everything it
started. Standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# A child that is told to stop finishes what it is doing; the Functions host takes up to 25 s for its
# functions.
GRACE_SECONDS = 35


def start(
    command: Sequence[str],
    *,
    stdout: int | IO[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """Start ``command`` on a leash; standard error goes where ``stdout`` goes."""
    return subprocess.Popen(
        [sys.executable, "-I", __file__, *command],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.STDOUT if stdout is not None else None,
        text=True,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        start_new_session=True,  # Ctrl-C reaches us alone; we decide who ends when
    )


def stop(process: subprocess.Popen[str]) -> int:
    """
    Let go of a child: it is told to end, and waited for. Harmless when it has ended; returns its exit code.
    """
    if process.stdin and not process.stdin.closed:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    code = process.wait()
    if process.stdout:
        process.stdout.close()
    return code


def _main(command: Sequence[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    ending = threading.Event()

    def end(*_: object) -> None:
        ending.set()

    def wait_for_the_pipe() -> None:
        while os.read(0, 4096):
            pass
        ending.set()

    def wait_for_the_child() -> None:
        child.wait()
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    for task in (wait_for_the_pipe, wait_for_the_child):
        threading.Thread(target=task, daemon=True).start()
    ending.wait()
    _signal_group(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE_SECONDS)
    _signal_group(child, signal.SIGKILL)  # what it left behind, if anything
    return child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
