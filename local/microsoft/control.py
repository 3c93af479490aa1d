"""
Misbehaviour on request, for a service that has a control endpoint.

A service asks `Faults` before it answers: how long to wait, and whether to fail instead. What a failure looks
like on the wire is the service's own business, since each has its own error bodies.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

#: An order for this operation strikes whichever call comes next.
ANY = "any"


class BadInstruction(Exception):  # noqa: N818 - what the caller sent is bad, the program is well
    """A control endpoint was told something that it does not understand."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One failure to answer with.

    `status` 0 closes the connection without an answer. `retry_after` is in seconds. `code` is the service's
    own error code, where it has one for the caller to choose. `garbage` is the body, word for word, which
    calls itself JSON; that works with status 200 too.
    """

    status: int
    retry_after: int | None = None
    code: str | None = None
    html: bool = False
    garbage: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that go with this failure."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Faults:
    """The failures that are due, by operation, and the delay of every answer."""

    def __init__(self, operations: frozenset[str]) -> None:
        self.operations = operations | {ANY}
        self.latency_seconds = 0.0
        self.seen: Counter[str] = Counter()
        self._due: dict[str, list[Fault]] = {}

    def order(self, instructions: Mapping[str, Any]) -> None:
        """
        Take `{"token": {"status": 503, "times": 2, "retry_after": 5}}`: what the next calls shall end in.

        A new order for an operation replaces the one before; `times` 0 calls it off.
        """
        for operation, wish in instructions.items():
            if operation not in self.operations:
                raise BadInstruction(
                    f"fail_next: {operation!r} is none of {', '.join(sorted(self.operations))}"
                )
            if not isinstance(wish, dict):
                raise BadInstruction(f"fail_next.{operation}: {wish!r} is not an object")
            fields = dict(wish)
            times = int(fields.pop("times", 1))
            unknown = fields.keys() - {"status", "retry_after", "code", "html", "garbage"}
            if unknown or "status" not in fields:
                raise BadInstruction(f"fail_next.{operation}: wants status, and knows no {sorted(unknown)}")
            fault = Fault(
                status=int(fields["status"]),
                retry_after=fields.get("retry_after"),
                code=None if fields.get("code") is None else str(fields["code"]),
                html=bool(fields.get("html", False)),
                garbage=None if fields.get("garbage") is None else str(fields["garbage"]),
            )
            self._due[operation] = [fault] * times

    async def next(self, operation: str) -> Fault | None:
        """Count the call, wait as told, and return the failure that it shall end in, if any."""
        self.seen[operation] += 1
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        return self._take(operation) or self._take(ANY)

    def call_off(self) -> None:
        """Forget every failure that is due, and the delay."""
        self._due.clear()
        self.latency_seconds = 0.0

    def _take(self, operation: str) -> Fault | None:
        due = self._due.get(operation)
        return due.pop() if due else None


def drop(request: web.Request) -> web.Response:
    """Close the connection under a request; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def garble(fault: Fault) -> web.Response:
    """Answer with the body that was ordered."""
    return web.Response(
        status=fault.status, text=fault.garbage, content_type="application/json", headers=fault.headers
    )


async def read_instructions(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a control endpoint was sent. Raises BadInstruction."""
    try:
        body = await request.json()
    except ValueError as error:
        raise BadInstruction("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadInstruction("the body is not a JSON object")
    return body


def refuse(error: Exception) -> web.Response:
    """Answer 400 with what is wrong with an instruction."""
    return web.json_response({"error": str(error)}, status=400)
