"""
What arrives is what was asked: ``python3 -m local bench round_trip [--messages N] [--seed N]``.

Messages of every kind are sent through the whole stack. What the mail server received is taken apart by three
parsers that are not ours, and compared with what the app asked: addresses, names, subject, text, HTML, files
with their bytes, content ids, references and further headers.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from benchmarks.mail import scripts
from benchmarks.mail.asks import TEMPLATE, Ask, asks
from benchmarks.mail.parsers import MailParser, NodeMailparser, Parser, StandardLibrary
from benchmarks.mail.reading import differences
from local import outbox
from local.consent_walk import walk
from local.ports import Ports
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_LARGE = 2  # messages of 20 MB
_TOGETHER = 20  # messages on their way at a time; bounds what the mail server and this process hold
_SECONDS = 120  # for as many to arrive
_LOOK_EVERY_SECONDS = 0.05
_SHOWN = 10  # differences a parser
# The mail server's limits are not what is looked at here.
_LIMITS = {"messages_per_minute": 1_000_000, "connections": 100, "recipients_per_day": 10_000_000}


@dataclass(slots=True)
class _Tally:
    """What one parser made of all of them."""

    parser: Parser
    equal: int = 0
    differing: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, ask: Ask, raw: bytes) -> None:
        got = self.parser.comparable(self.parser.read(raw))
        found = list(differences(self.parser.comparable(ask.wanted), got))
        self.equal += not found
        self.differing += bool(found)
        self.shown += [f"{ask.kind}: {said}" for said in found[: _SHOWN - len(self.shown)]]


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what each parser found; fails where anything differs or is missing."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench round_trip", description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261124)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, NodeMailparser.start() as node:
        stack = Stack.start(Ports.free(), Path(folder), keep_storage=False)
        try:
            return _run(stack.facts, options.seed, options.messages, (StandardLibrary(), MailParser(), node))
        finally:
            stack.stop()


def _run(facts: Mapping[str, Any], seed: int, count: int, parsers: Iterable[Parser]) -> int:
    walk(f"{facts['functions']}/api/oauth/start/noreply", key=facts["key"], ca_file=facts["ca_file"])
    requests.post(f"{facts['inbox']}/_control", json={"limits": _LIMITS}, timeout=10).raise_for_status()
    _upload(facts["storage"], "mail-templates", {path: text.encode() for path, text in TEMPLATE.items()})
    tallies = [_Tally(parser) for parser in parsers]
    kinds: Counter[str] = Counter()
    seen: set[str] = set()
    problems: list[str] = []
    began, octets = time.monotonic(), 0
    for batch in _batches(asks(seed, count, large=_LARGE)):
        for ask, mail in _sent(facts, batch):
            if mail is None:
                problems.append(f"{ask.kind}: {_last_change(facts, ask)}")
                continue
            raw = base64.b64decode(mail["raw"])
            octets += len(raw)
            kinds[ask.kind] += 1
            seen |= scripts.scripts_in(repr(ask.wanted))
            problems += [f"{ask.kind}: {said}" for said in _wrong_on_the_way(ask, mail, raw)]
            for tally in tallies:
                tally.add(ask, raw)
    seconds = time.monotonic() - began
    print(
        f"{kinds.total()} of {count} messages arrived, {octets / 1e6:.0f} MB, {seconds:.0f} s; seed {seed}; "
        f"letters of {len(seen)} scripts, of the {len(scripts.letters())} that Unicode has"
    )
    print("kinds: " + ", ".join(f"{kind} {number}" for kind, number in kinds.items()))
    print(f"{'parser':<20}{'equal':>8}{'differing':>12}")
    for tally in tallies:
        print(f"{tally.parser.name:<20}{tally.equal:>8}{tally.differing:>12}")
    for name, said in [("on the way", problems), *((tally.parser.name, tally.shown) for tally in tallies)]:
        for line in said[:_SHOWN]:
            print(f"{name}: {line}")
    return 0 if kinds.total() == count and not problems and not any(t.differing for t in tallies) else 1


def _batches(several: Iterator[Ask]) -> Iterator[list[Ask]]:
    """Give them in batches, each large one alone."""
    for large, group in itertools.groupby(several, key=lambda ask: ask.kind == "large"):
        while batch := list(itertools.islice(group, 1 if large else _TOGETHER)):
            yield batch


def _sent(facts: Mapping[str, Any], batch: list[Ask]) -> Iterator[tuple[Ask, dict[str, Any] | None]]:
    """Send a batch and give each with what the mail server has of it."""
    requests.delete(f"{facts['inbox']}/messages", timeout=10).raise_for_status()
    before = _accepted(facts)
    with QueueClient.from_connection_string(facts["storage"], "outbox") as queue:
        for ask in batch:
            _upload(facts["storage"], "mail-payloads", ask.uploads)
            queue.send_message(ask.queue_body.decode())
    deadline = time.monotonic() + _SECONDS
    while _accepted(facts) < before + len(batch) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_SECONDS)
    mails = requests.get(f"{facts['inbox']}/messages.json", timeout=60).json()
    by_first = {address: mail for mail in mails for address in mail["rcpt_to"]}
    for ask in batch:
        yield ask, by_first.get(ask.first)


def _wrong_on_the_way(ask: Ask, mail: Mapping[str, Any], raw: bytes) -> Iterator[str]:
    """What no parser sees: the envelope, the line ends, the lengths of lines."""
    if set(mail["rcpt_to"]) != ask.recipients:
        yield f"envelope: {sorted(set(mail['rcpt_to']) ^ ask.recipients)} is in one of the two alone"
    lines = raw.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line for line in lines):
        yield "a line end that is not CRLF"
    if (longest := max(map(len, lines))) > 998:  # noqa: PLR2004 - RFC 5322 §2.1.1
        yield f"a line of {longest} octets"


def _last_change(facts: Mapping[str, Any], ask: Ask) -> str:
    changes = outbox.history(facts["storage"], ask.id)
    return f"{changes[-1].state.value}: {changes[-1].reason or changes[-1].reply}" if changes else "not seen"


def _accepted(facts: Mapping[str, Any]) -> int:
    counters = requests.get(f"{facts['inbox']}/_control", timeout=10).json()["counters"]
    return int(counters["accepted"])


def _upload(connection_string: str, container: str, blobs: Mapping[str, bytes]) -> None:
    if not blobs:
        return
    with ContainerClient.from_connection_string(connection_string, container) as client:
        with contextlib.suppress(ResourceExistsError):
            client.create_container()
        for path, content in blobs.items():
            client.upload_blob(path, content, overwrite=True)
