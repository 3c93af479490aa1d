"""`/admin`: run a function now, and the state of the host."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Iterable

from aiohttp import web

from local.host.app_index import HttpTrigger, IndexedFunction, QueueTrigger
from local.host.bindings import Incoming
from local.host.bindings.queue_trigger import incoming_by_hand
from local.host.bindings.timer_trigger import incoming_timer
from local.host.invocation import Worker

_log = logging.getLogger("local.host.admin")


class AdminEndpoints:
    """The part of the real host's `/admin` that this host has."""

    def __init__(self, functions: Iterable[IndexedFunction], *, host_id: str, worker: Worker) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._host_id = host_id
        self._worker = worker
        self._began = time.monotonic()
        self._runs: set[asyncio.Task[object]] = set()

    async def handle(self, request: web.Request, path: str) -> web.Response:
        """Answer a request under `/admin`."""
        match request.method, path.strip("/").split("/"):
            case "GET", ["admin", "host", "status"]:
                return self._status()
            case "POST", ["admin", "functions", name]:
                return await self._run(name, request)
            case _:
                return web.Response(status=404)

    async def finished(self) -> None:
        """Wait for the runs begun here."""
        await asyncio.gather(*self._runs, return_exceptions=True)

    def _status(self) -> web.Response:
        return web.json_response(
            {
                "id": self._host_id,
                "state": "Running",
                "version": "local",
                "processUptime": round((time.monotonic() - self._began) * 1000),
            }
        )

    async def _run(self, name: str, request: web.Request) -> web.Response:
        function = self._functions.get(name.lower())
        if function is None:
            return web.Response(status=404)
        if isinstance(function.trigger, HttpTrigger):
            return web.json_response(
                {"error": "an HTTP function is run by a request to its route"}, status=400
            )
        try:
            text = _given_input((await request.read()).decode())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        run = asyncio.create_task(self._worker.run(function, _incoming(function, text)))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return web.Response(status=202)


def _given_input(body: str) -> str:
    """Return `input` of the request's JSON, as text."""
    if not body.strip():
        return ""
    try:
        document = json.loads(body)
    except ValueError:
        raise ValueError('the body must be JSON such as {"input": "…"}') from None
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 (a client's mistake)
    given = document.get("input", "")
    return given if isinstance(given, str) else json.dumps(given)


def _incoming(function: IndexedFunction, text: str) -> Incoming:
    if isinstance(function.trigger, QueueTrigger):
        return incoming_by_hand(text, str(uuid.uuid4()))
    return incoming_timer(None, past_due=False)
