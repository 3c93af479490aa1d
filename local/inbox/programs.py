"""What the inbox tells programs: the accepted messages as JSON, and the mail server's control."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from aiohttp import web

from local.microsoft.exchange import ControlRefused

if TYPE_CHECKING:
    from local.microsoft.exchange import Exchange, ReceivedMessage


class Programs:
    """The routes that are not for people."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """Tell all messages, one at a time: together they can be larger than memory should hold twice."""
        messages = self._exchange.store.messages()
        limit = request.query.get("limit", "")
        if limit:
            if not (limit.isascii() and limit.isdigit()):
                raise web.HTTPBadRequest(text="limit: a whole number is needed")
            messages = messages[: int(limit)]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        separator = "["
        for message in messages:
            await response.write((separator + _as_json(message)).encode())
            separator = ",\n"
        await response.write(b"[]" if separator == "[" else b"]\n")
        await response.write_eof()
        return response

    async def empty(self, _request: web.Request) -> web.Response:
        """Delete all messages."""
        self._exchange.store.clear()
        return web.Response(status=204)

    async def describe(self, _request: web.Request) -> web.Response:
        """Tell all settings and counters."""
        return web.json_response(self._exchange.describe())

    async def control(self, request: web.Request) -> web.Response:
        """Make the changes that the JSON object names, or none of them and say why."""
        try:
            changes = json.loads(await request.read())
        except ValueError:
            return web.json_response({"error": "the body is not JSON"}, status=400)
        if not isinstance(changes, dict):
            return web.json_response({"error": "the body is not a JSON object"}, status=400)
        try:
            self._exchange.control(changes)
        except ControlRefused as refused:
            return web.json_response({"error": str(refused)}, status=400)
        return web.json_response(self._exchange.describe())

    async def restore(self, _request: web.Request) -> web.Response:
        """Put all settings and counters back as they were at the start."""
        self._exchange.restore()
        return web.json_response(self._exchange.describe())


def _as_json(message: ReceivedMessage) -> str:
    return json.dumps(
        {
            "mail_from": message.mail_from,
            "rcpt_to": list(message.rcpt_to),
            "auth_user": message.auth_user,
            "received_at": message.received_at.isoformat().replace("+00:00", "Z"),
            "raw": base64.b64encode(message.raw).decode("ascii"),
        }
    )
