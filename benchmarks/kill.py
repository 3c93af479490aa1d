"""
What a SIGKILL of the host costs: ``python3 -m local bench kill [--messages N]``.

The host is killed while it sends and started again. Each message must end accepted; how many the mail server
saw twice is counted beside it: those are the ones that died between the server's 250 and our record of it.
"""

from __future__ import annotations

import argparse
import base64
import email
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from local import outbox
from local.consent_walk import walk
from local.ports import Ports
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCK_SECONDS = 5  # the real host's are 600; what a killed host had in hand comes back after this
_SECONDS = 120


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what came of it; fails when a message is missing."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench kill", description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Ports.free(), Path(folder), keep_storage=False, lock_seconds=_LOCK_SECONDS)
        try:
            return _run(stack, options.messages)
        finally:
            stack.stop()


def _run(stack: Stack, count: int) -> int:
    facts = stack.facts
    walk(f"{facts['functions']}/api/oauth/start/noreply", key=facts["key"], ca_file=facts["ca_file"])
    # The limits are not what is looked at here: raised, so that they do not make the run long.
    limits = {"limits": {"messages_per_minute": 1_000_000, "connections": 100}}
    requests.post(f"{facts['inbox']}/_control", json=limits, timeout=10).raise_for_status()
    stack.stop_host()
    for number in range(count):
        outbox.drop(
            facts["storage"], {"id": f"kill-{number}", "to": "ada@example.com", "text": f"{number}\n" * 200}
        )
    stack.start_host(lock_seconds=_LOCK_SECONDS)
    while _accepted_by_server(facts) < count // 3:
        pass
    _kill(stack)
    seen = _accepted_by_server(facts)
    killed_at = time.monotonic()
    stack.stop_host()
    stack.start_host(lock_seconds=_LOCK_SECONDS)
    states = _states(facts, count)
    while states["accepted"] < count and time.monotonic() - killed_at < _SECONDS:
        time.sleep(0.5)
        states = _states(facts, count)
    twice = _twice(facts)
    print(f"messages {count}, SIGKILL after {seen} were taken by the mail server")
    print(
        f"{time.monotonic() - killed_at:.1f} s later: {dict(states)}; seen twice by the mail server: {twice}"
    )
    return 0 if states["accepted"] == count else 1


def _kill(stack: Stack) -> None:
    """Kill the host itself, not the leash that would end it in good order."""
    if stack.host is None:
        return
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(stack.host.pid)], capture_output=True, text=True, check=True
    )
    for pid in listed.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


def _accepted_by_server(facts: dict[str, Any]) -> int:
    counters = requests.get(f"{facts['inbox']}/_control", timeout=10).json()["counters"]
    return int(counters["accepted"])


def _states(facts: dict[str, Any], count: int) -> Counter[str]:
    states: Counter[str] = Counter()
    for number in range(count):
        changes = outbox.history(facts["storage"], f"kill-{number}")
        states[changes[-1].state.value if changes else "not seen"] += 1
    return states


def _twice(facts: dict[str, Any]) -> int:
    mails = requests.get(f"{facts['inbox']}/messages.json", timeout=60).json()
    ids = Counter(email.message_from_bytes(base64.b64decode(mail["raw"]))["Message-ID"] for mail in mails)
    return sum(1 for times in ids.values() if times > 1)
