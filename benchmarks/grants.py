"""
Every way to get tokens: ``python3 -m local bench grants [--only TEXT] [--by-hand]``.

Service type x grant x credential, all on one real stack against the local provider: consent, the first mail,
a refresh by upkeep, a token that runs out between two upkeeps, a new credential without a restart, one that
ends, a permission that is taken away, and how each comes back. A cell says what was found, and ! where that
is not what must be.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient

from benchmarks.consent import tokens
from benchmarks.consent.matrix import CASES, Registrations
from benchmarks.rig import outbox
from benchmarks.rig.stage import Stage, plain
from local.microsoft.managed_identity import USER_ASSIGNED
from local.ports import Ports
from local.stack import Stack
from shared.adapters.table_ledger import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.consent.matrix import Case

_SECONDS = 60  # for anything that needs nobody's timer
_PROBE_SECONDS = 200  # a hold's first probe comes a minute after it, with the next run of release
_LOOK_SECONDS = 0.3
_WIDTH = 28
# Fresh enough to send with and too short for upkeep to leave alone; and too short to send with.
_SOON_SECONDS, _OVER_SECONDS = 1200, tokens.ALMOST_OVER_SECONDS


def main(arguments: Sequence[str]) -> int:
    """Go through all steps and print the table; 0 when every cell is as it must be."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench grants", description=__doc__)
    parser.add_argument("--only", default="", help="what has this in its name, such as 'app'")
    parser.add_argument("--by-hand", action="store_true", help="resume by hand, not by the minute's probe")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if options.only in case.name]
    began = time.monotonic()
    with _stage(cases) as made:
        steps = _Matrix(made, cases, by_hand=options.by_hand).run()
    wrong = _print(cases, steps)
    print(f"\n{len(cases)} rows, {wrong} cells not as they must be, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


@contextlib.contextmanager
def _stage(cases: Sequence[Case]) -> Iterator[Stage]:
    ports = Ports.free()
    with tempfile.TemporaryDirectory(prefix="sendoff-") as folder:
        written = "".join(case.mail_toml(ports) for case in cases)
        stack = Stack.start(
            ports,
            Path(folder),
            keep_storage=False,
            more_mail_toml=written,
            # Upkeep runs where it is told to here, and not at a quarter of an hour that comes by.
            more_settings={"UPKEEP_SCHEDULE": "0 0 0 1 1 *"},
        )
        try:
            made = Stage(stack, tuple(case.name for case in cases), 1, None)
            with made.without_host():
                # As App Service has it where a user-assigned identity is the app's own.
                stack.facts["settings"]["AZURE_CLIENT_ID"] = USER_ASSIGNED[0]
            yield made
        finally:
            stack.stop()


class _Matrix:
    """The steps; each returns what was found in each row, ! in front where it must not be."""

    def __init__(self, made: Stage, cases: Sequence[Case], *, by_hand: bool) -> None:
        self._made, self._cases, self._by_hand = made, cases, by_hand
        self._registrations = Registrations(made.controls, cases)
        self._sent = 0

    def run(self) -> dict[str, list[str]]:
        """Go through them in order."""
        self._registrations.open_mailboxes()
        self._registrations.new_credentials()
        restarts = len(self._made.host_log().split("Host is ready"))
        steps: dict[str, Callable[[], list[str]]] = {
            "consent": self._consent,
            "first mail": lambda: self._mail(1, _SOON_SECONDS),
            "refresh by upkeep": self._upkeep,
            "token ran out": lambda: self._mail(1, _OVER_SECONDS),
            "new credential": self._new_credential,
            "credential ended": self._credential_ends,
            "recovered": self._credential_is_back,
            "permission gone": self._revoke,
            "recovered again": self._give_back,
        }
        found = {name: step() for name, step in steps.items()}
        if len(self._made.host_log().split("Host is ready")) != restarts:
            raise RuntimeError("the host was started again, and nothing here may need that")
        return found

    def _consent(self) -> list[str]:
        found = []
        for case in self._cases:
            if case.is_delegated:
                tokens.consent(self._made, case.name, lifetime_seconds=_SOON_SECONDS)
            kept = tokens.versions(self._made, case.name)
            right = (kept > 0) is case.is_delegated
            found.append(_cell("by the pages" if case.is_delegated else "none needed", right))
        return found

    def _mail(self, at_most: int, lifetime_seconds: int) -> list[str]:
        """Send one mail each; a token that is fetched for it lasts so long. Accepted is what it must be."""
        before = self._versions()
        self._lives(lifetime_seconds)
        states = self._settle(self._drop(), "accepted")
        return [
            _cell(
                f"{state}{f', {new} fetched' if new else ''}",
                state == "accepted" and new <= at_most and (new > 0 or lifetime_seconds != _OVER_SECONDS),
            )
            for state, new in zip(states, self._new_since(before), strict=True)
        ]

    def _upkeep(self) -> list[str]:
        before = self._versions()
        self._lives(_OVER_SECONDS)
        self._run("upkeep")
        self._wait(lambda: all(self._new_since(before)))
        return [_cell(f"{new} fetched", new == 1) for new in self._new_since(before)]

    def _new_credential(self) -> list[str]:
        self._registrations.new_credentials()
        return self._mail(1, _OVER_SECONDS)

    def _credential_ends(self) -> list[str]:
        self._registrations.end_credentials()
        return self._held([(case.remedy_of_credential,) for case in self._cases])

    def _credential_is_back(self) -> list[str]:
        self._registrations.new_credentials()
        self._run("upkeep")
        return self._flows(_SECONDS)

    def _revoke(self) -> list[str]:
        self._registrations.revoke()
        return self._held([case.remedies_of_revocation for case in self._cases])

    def _give_back(self) -> list[str]:
        self._registrations.give_role_back()
        for case in self._cases:
            if case.is_delegated:
                tokens.consent(self._made, case.name)
            elif self._by_hand:
                self._ask("POST", f"senders/{case.name}/resume")
        return self._flows(_PROBE_SECONDS)

    # What there is to do and to see.

    def _held(self, remedies: Sequence[Sequence[str]]) -> list[str]:
        """Send one mail each; the senders must be held, for one of these remedies each, and the mail wait."""
        self._last = self._drop()
        states = self._settle(self._last, "held")
        found = []
        for case, state, expected in zip(self._cases, states, remedies, strict=True):
            hold = self._ask("GET", f"senders/{case.name}")["hold"] or {}
            remedy = str(hold.get("remedy", "not held"))
            found.append(_cell(remedy, state == "held" and remedy in expected))
        return found

    def _flows(self, seconds: float) -> list[str]:
        """Wait for the mail that was held, and send one more each."""
        waited = self._settle(self._last, "accepted", seconds=seconds)
        after = self._settle(self._drop(), "accepted")
        return [
            _cell(state if state == late else f"{state}, then {late}", {state, late} == {"accepted"})
            for state, late in zip(waited, after, strict=True)
        ]

    def _drop(self) -> list[str]:
        self._sent += 1
        ids = [f"{case.name}-{self._sent}" for case in self._cases]
        outbox.drop(
            self._made.facts, [plain(each, case.name) for each, case in zip(ids, self._cases, strict=True)]
        )
        return ids

    def _settle(self, ids: Sequence[str], wanted: str, *, seconds: float = _SECONDS) -> list[str]:
        """Wait until all are in one state; return the one that each is in."""
        self._wait(lambda: {self._state(each) for each in ids} == {wanted}, seconds)
        return [self._state(each) for each in ids]

    def _state(self, message_id: str) -> str:
        with TableClient.from_connection_string(self._made.facts["storage"], TABLE) as table:
            try:
                return str(table.get_entity(message_id, "message")["state"])
            except ResourceNotFoundError:
                return "nowhere"

    def _versions(self) -> list[int]:
        return [tokens.versions(self._made, case.name) for case in self._cases]

    def _new_since(self, before: Sequence[int]) -> list[int]:
        return [now - then for now, then in zip(self._versions(), before, strict=True)]

    def _lives(self, seconds: int) -> None:
        self._made.controls.identity({"token_lifetime_seconds": seconds})

    def _run(self, function: str) -> None:
        """Run a timer's function now, as its hour would."""
        url = f"{self._made.facts['functions']}/admin/functions/{function}"
        requests.post(url, json={}, timeout=_SECONDS).raise_for_status()

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        url, key = f"{self._made.facts['functions']}/api/{path}", self._made.facts["key"]
        answer = requests.request(method, url, headers={"x-functions-key": key}, json={}, timeout=_SECONDS)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    @staticmethod
    def _wait(until: Callable[[], bool], seconds: float = _SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)


def _cell(found: str, right: bool) -> str:  # noqa: FBT001 - reads as "this, and whether it is right"
    return found if right else f"! {found}"


def _print(cases: Sequence[Case], steps: dict[str, list[str]]) -> int:
    """Print a block for each few steps; return how many cells are wrong."""
    names = list(steps)
    for some in (names[:5], names[5:]):
        heading = " " * len(cases[0].title)
        print(("\n" + heading + "".join(f"{name:<{_WIDTH}}" for name in some)).rstrip())
        for row, case in enumerate(cases):
            print((case.title + "".join(f"{steps[name][row]:<{_WIDTH}}" for name in some)).rstrip())
    return sum(cell.startswith("!") for column in steps.values() for cell in column)
