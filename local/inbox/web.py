"""
The inbox's routes.

    GET    /                           the newest messages; ?before=ID for older ones
    GET    /messages/{id}              one message
    GET    /messages/{id}/html         its HTML body, for the frame
    GET    /messages/{id}/parts/{n}    one part: an image of the body, or (?download=1) an attachment
    GET    /messages/{id}/raw          its source; ?download=1 as an .eml file
    GET    /messages.json              all that is kept, newest first; ?limit=N
    DELETE /messages                   empties the inbox (POST /messages/delete from the page)
    GET, POST, DELETE /_control        the mail server's settings and counters, see
    local.microsoft.exchange.control
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from local.inbox import html_part
from local.inbox.programs import Programs
from local.inbox.reading import Reading, Summary, read, readable_size

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp.typedefs import Handler

    from local.microsoft.exchange import Exchange, ReceivedMessage

_PAGES = Path(__file__).with_name("pages")
_PER_PAGE = 50
_REFRESH_SECONDS = 5
_READINGS_KEPT = 4  # a reading holds all of a message's parts; its page asks for them one by one
_SUMMARIES_KEPT = 2_000

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PART_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_SHOWN_AS_IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml", "image/avif"}
)


def inbox_app(exchange: Exchange) -> web.Application:
    """Return the inbox of a mail server, to be served over plain HTTP in the server's own event loop."""
    pages = _Pages(exchange)
    programs = Programs(exchange)
    app = web.Application(middlewares=[_keep_other_sites_out])
    app.on_response_prepare.append(_protect)
    app.router.add_get("/", pages.newest)
    app.router.add_get("/style.css", pages.style)
    app.router.add_get("/icon.svg", pages.icon)
    app.router.add_get("/messages.json", programs.messages)
    app.router.add_delete("/messages", programs.empty)
    app.router.add_post("/messages/delete", pages.empty)
    app.router.add_get("/messages/{id}", pages.message)
    app.router.add_get("/messages/{id}/html", pages.html)
    app.router.add_get("/messages/{id}/raw", pages.raw)
    app.router.add_get(r"/messages/{id}/parts/{number:\d+}", pages.part)
    app.router.add_get("/_control", programs.describe)
    app.router.add_post("/_control", programs.control)
    app.router.add_delete("/_control", programs.restore)
    return app


@web.middleware
async def _keep_other_sites_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a change that a page of another site asks this browser for."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method not in ("GET", "HEAD") and site not in ("none", "same-origin"):
        raise web.HTTPForbidden(text="not from another site")
    return await handler(request)


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on an answer that every answer carries."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"


class _Pages:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._readings: OrderedDict[str, Reading] = OrderedDict()
        self._summaries: OrderedDict[str, Summary] = OrderedDict()
        self._templates = Environment(
            loader=FileSystemLoader(_PAGES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"clock": _clock, "moment": _moment, "size": readable_size}

    async def newest(self, request: web.Request) -> web.Response:
        messages = self._exchange.store.messages()
        before = request.query.get("before", "")
        if before.isascii() and before.isdigit():
            messages = [message for message in messages if int(message.id) < int(before)]
        shown = messages[:_PER_PAGE]
        summaries = await asyncio.to_thread(self._summarize, shown)
        return self._page(
            "list.html",
            rows=list(zip(shown, summaries, strict=True)),
            older=shown[-1].id if len(messages) > _PER_PAGE else None,
            newest=not before,
            refresh=_REFRESH_SECONDS,
            kept=len(self._exchange.store),
            forgotten=self._exchange.store.forgotten,
        )

    async def message(self, request: web.Request) -> web.Response:
        message = self._exchange.store.get(request.match_info["id"])
        if message is None:
            return self._page("gone.html", status=404)
        return self._page(
            "message.html",
            message=message,
            reading=await self._reading(message),
            sandbox=html_part.SANDBOX,
        )

    async def html(self, request: web.Request) -> web.Response:
        message = self._message(request)
        reading = await self._reading(message)
        if reading.html is None:
            raise web.HTTPNotFound(text="this message has no HTML")
        here = f"/messages/{message.id}/parts"
        images = {name: f"{here}/{part.number}" for name, part in reading.inline.items()}
        body = await asyncio.to_thread(html_part.for_frame, reading.html, images)
        return web.Response(
            body=body.encode("utf-8", "replace"),
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": html_part.HTML_POLICY},
        )

    async def part(self, request: web.Request) -> web.Response:
        reading = await self._reading(self._message(request))
        number = int(request.match_info["number"])
        if number >= len(reading.parts):
            raise web.HTTPNotFound(text="this message has no such part")
        part = reading.parts[number]
        headers = {"Content-Security-Policy": _PART_POLICY}
        shown = part.content_type in _SHOWN_AS_IMAGES and "download" not in request.query
        if not shown:
            name = part.filename or f"part-{number}"
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return web.Response(
            body=part.content,
            content_type=part.content_type if shown else "application/octet-stream",
            headers=headers,
        )

    async def raw(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if "download" in request.query:
            return web.Response(
                body=message.raw,
                content_type="message/rfc822",
                headers={"Content-Disposition": f'attachment; filename="message-{message.id}.eml"'},
            )
        return web.Response(body=message.raw, content_type="text/plain", charset="utf-8")

    async def style(self, _request: web.Request) -> web.Response:
        return web.Response(text=(_PAGES / "style.css").read_text("utf-8"), content_type="text/css")

    async def icon(self, _request: web.Request) -> web.Response:
        return web.Response(text=(_PAGES / "icon.svg").read_text("utf-8"), content_type="image/svg+xml")

    async def empty(self, _request: web.Request) -> web.Response:
        self._exchange.store.clear()
        self._readings.clear()
        self._summaries.clear()
        raise web.HTTPSeeOther("/")

    # Behind the routes.

    def _page(self, template: str, *, status: int = 200, **values: object) -> web.Response:
        body = self._templates.get_template(template).render(values).encode("utf-8", "replace")
        return web.Response(body=body, status=status, content_type="text/html", charset="utf-8")

    def _message(self, request: web.Request) -> ReceivedMessage:
        message = self._exchange.store.get(request.match_info["id"])
        if message is None:
            raise web.HTTPNotFound(text="no such message: it was deleted, or there were too many after it")
        return message

    async def _reading(self, message: ReceivedMessage) -> Reading:
        reading = self._readings.get(message.id)
        if reading is None:
            # In a thread: a large message must not hold up the mail server.
            reading = await asyncio.to_thread(read, message.raw)
            self._readings[message.id] = reading
            while len(self._readings) > _READINGS_KEPT:
                self._readings.popitem(last=False)
        return reading

    def _summarize(self, messages: list[ReceivedMessage]) -> list[Summary]:
        summaries = [self._summaries.get(message.id) or read(message.raw).summary() for message in messages]
        self._summaries.update(zip((message.id for message in messages), summaries, strict=True))
        while len(self._summaries) > _SUMMARIES_KEPT:
            self._summaries.popitem(last=False)
        return summaries


def _clock(moment: datetime) -> str:
    """Return the time of day where the stack runs."""
    return moment.astimezone().strftime("%H:%M:%S")


def _moment(moment: datetime) -> str:
    """Return day and time where the stack runs: `Tue 3 Nov 2026, 14:03:22 CET`."""
    local = moment.astimezone()
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S %Z}"
