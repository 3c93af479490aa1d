"""SIGKILL for one instance of the host: no last words, nothing given back."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from local.stack import Stack


def instances(stack: Stack) -> list[int]:
    """Return the processes of a host that has several instances, oldest first."""
    if stack.host is None:
        return []
    # The stack holds a leash, the leash a supervisor, and that one the instances.
    return [instance for supervisor in _children(stack.host.pid) for instance in _children(supervisor)]


def kill_one(stack: Stack, chance: random.Random) -> int:
    """Kill an instance that chance picks and return which; 0 where none lives just now."""
    living = instances(stack)
    if not living:
        return 0
    victim = chance.choice(living)
    os.kill(victim, signal.SIGKILL)
    return victim


def _children(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listed.splitlines()]
    # A dead child is listed until its parent has taken note: Z, a zombie.
    return [int(pid) for pid, ppid, status, *_ in rows if int(ppid) == parent and status[0] != "Z"]
