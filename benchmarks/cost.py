"""
Storage transactions per message, from Azurite's own log: ``python3 -m local bench cost [--messages N]``.

Each line of that log is one request, and one request is one transaction on Azure's bill. Ours are held
against the limit of 5 for a message that is sent at once. The host's own (it polls the queue, takes a
message, removes it) are counted beside them: they are the same for whatever function a queue triggers. A
message with a time may cost 8; of these ten times as many are sent, for what `release` asks in the meantime
(whether anything is due) is counted with them.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from benchmarks.storage.whose_requests import APP_TTL_SECONDS, OURS, counted
from local.consent_walk import walk
from local.ports import Ports
from local.stack import Stack

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

_LIMIT = 5  # of ours, for a message sent at once
_LIMIT_SCHEDULED = 8  # of ours, for one with a time
# Past what is put on the outbox at once, so that it waits in the waiting room and `release` lets it go.
_AHEAD_SECONDS = 150
_MANY = 10  # times as many
_SECONDS = 90  # a deferred message waits about 15
_LOOK_EVERY_SECONDS = 0.1
_LAST_LINE_SECONDS = 0.5  # what is still under way when the last message was removed from the queue
_MEGABYTE = 1_000_000
_A_LOT = 1_000_000


@dataclass(frozen=True, slots=True)
class _Case:
    """One kind of message. ``attempts`` is how often each is taken from the queue."""

    name: str
    message: Callable[[str], dict[str, Any]]
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    attempts: int = 1
    told: bool = False
    limit: int | None = _LIMIT
    ahead_seconds: int = 0


def main(arguments: Sequence[str]) -> int:
    """Run it once and print the table; fails where a message that is sent at once costs more than 5."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench cost", description=__doc__)
    parser.add_argument("--messages", type=int, default=10, help="of each kind")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        # Raised on both sides: what a message costs that has to wait is the subject of `bench limits`.
        raised = f"\n[senders.noreply.limits]\nmessages_per_minute = {_A_LOT}\nconnections = 100\n"
        stack = Stack.start(
            Ports.free(), Path(folder), keep_storage=False, access_log=log, more_mail_toml=raised
        )
        try:
            return _run(stack, log, options.messages)
        finally:
            stack.stop()


def _run(stack: Stack, log: Path, count: int) -> int:
    facts = stack.facts
    walk(f"{facts['functions']}/api/oauth/start/noreply", key=facts["key"], ca_file=facts["ca_file"])
    _control(facts, {"limits": {"messages_per_minute": _A_LOT, "connections": 100}})
    _upload(facts, "mail-templates", {"hello/default/body.txt": b"Hello {{ name }}\n"})
    heading = "".join(f"{name:>8}" for name in OURS)
    print(f"{'per message':<36}{heading}{'ours':>8}{'limit':>8}{'host':>8}")
    failed = False
    told = False
    for case in _cases():
        if case.told and not told:
            _tell_everything(stack)
            told = True
        _upload(facts, "mail-payloads", case.blobs)
        each = count * _MANY if case.ahead_seconds else count
        if not case.ahead_seconds:  # whose kind is warm already
            _send(facts, log, case, "warm", 1)
        counts = _send(facts, log, case, "counted", each)
        ours = sum(counts[name] for name in OURS) / each
        columns = "".join(f"{counts[name] / each:>8.1f}" for name in OURS)
        limit = "-" if case.limit is None else str(case.limit)
        print(f"{case.name:<36}{columns}{ours:>8.1f}{limit:>8}{counts['host'] / each:>8.1f}", flush=True)
        failed |= case.limit is not None and ours > case.limit
    return 1 if failed else 0


def _cases() -> list[_Case]:
    check = json.dumps({"to": "ada@example.com", "subject": "large", "text": "word " * 20_000}).encode()
    small = {"small.bin": b"x" * 100_000}
    attached = {"to": "ada@example.com", "attachments": [{"filename": "a.bin", "blob": "small.bin"}]}
    both = {"check.json": json.dumps({**attached, "text": "word " * 20_000}).encode()}
    inline = [{"filename": "a.bin", "content": base64.b64encode(b"x" * 9000).decode()}]
    large = {"large.bin": b"x" * 5 * _MEGABYTE}

    def plain(message_id: str) -> dict[str, Any]:
        return {"id": message_id, "to": "ada@example.com", "subject": "plain", "text": "hello"}

    return [
        _Case("plain", plain),
        _Case("with a file in the message", lambda name: {**plain(name), "attachments": inline}),
        _Case("claim check", lambda _: {"blob": "claim.json"}, {"claim.json": check}),
        _Case("a file by blob, 100 KB", lambda name: {"id": name, **attached}, small),
        _Case(
            "a file by blob, 5 MB",
            lambda name: {**plain(name), "attachments": [{"filename": "a.bin", "blob": "large.bin"}]},
            large,
        ),
        _Case("claim check and a file by blob", lambda _: {"blob": "check.json"}, both | small),
        _Case(
            "template, warm",
            lambda name: {"id": name, "to": "ada@example.com", "template": "hello", "data": {"name": "Ada"}},
        ),
        _Case(
            f"with a time, {_AHEAD_SECONDS} s ahead",
            lambda name: {**plain(name), "send_at": _ahead()},
            attempts=2,
            limit=_LIMIT_SCHEDULED,
            ahead_seconds=_AHEAD_SECONDS,
        ),
        _Case("deferred once", plain, attempts=2, limit=None),
        _Case("plain, every event told", plain, told=True),
        _Case("deferred once, every event told", plain, attempts=2, told=True, limit=None),
    ]


def _send(facts: Mapping[str, Any], log: Path, case: _Case, run: str, count: int) -> Counter[str]:
    """Send some of a kind and count what it cost, from the first request to the removal of the last."""
    if case.attempts > 1 and not case.ahead_seconds:
        busy = {"at": "after_dot", "do": "reply", "reply": "451 4.7.0 Temporary server error", "times": count}
        _control(facts, {"next": [busy]})
    before = log.stat().st_size
    with QueueClient.from_connection_string(facts["storage"], "outbox") as queue:
        for number in range(count):
            name = re.sub(r"\W+", "-", f"{case.name} {run} {number}")
            queue.send_message(json.dumps(case.message(name)), time_to_live=APP_TTL_SECONDS)
    deadline = time.monotonic() + _SECONDS + case.ahead_seconds
    while (counts := counted(log, before))["removed"] < count * case.attempts:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{case.name}: {counts['removed']} of {count * case.attempts} were done")
        time.sleep(_LOOK_EVERY_SECONDS)
    time.sleep(_LAST_LINE_SECONDS)
    return counted(log, before)


def _ahead() -> str:
    return (datetime.now(UTC) + timedelta(seconds=_AHEAD_SECONDS)).isoformat()


def _tell_everything(stack: Stack) -> None:
    """Start the host again on a mail.toml that wants every event."""
    stack.stop_host()
    with (stack.folder / "mail.toml").open("a") as written:
        written.write("\n[events]\naccepted = true\ndeferred = true\n")
    stack.start_host()


def _control(facts: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    requests.post(f"{facts['inbox']}/_control", json=changes, timeout=10).raise_for_status()


def _upload(facts: Mapping[str, Any], container: str, blobs: Mapping[str, bytes]) -> None:
    with ContainerClient.from_connection_string(facts["storage"], container) as client:
        with contextlib.suppress(ResourceExistsError):
            client.create_container()
        for path, content in blobs.items():
            client.upload_blob(path, content, overwrite=True)
