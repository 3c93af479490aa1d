"""
The HTTP trigger: routes, keys, and functions' responses.

Order of the checks, as in the real host: the route (404), the key (401), the function. A method that a route
does not take is a route that does not exist.
"""

import hmac
import ipaddress
import logging
import socket
from collections.abc import Iterable

from aiohttp import web

from local.host.admin import AdminEndpoints
from local.host.app_index import AuthLevel, HttpTrigger, IndexedFunction
from local.host.bindings import Incoming
from local.host.bindings.http_trigger import incoming_request, outgoing_response
from local.host.invocation import Ending, Worker
from local.host.routes import RouteTemplate, parse_template

_log = logging.getLogger("local.host.http")

#: FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: 100 MiB.
_MAX_BODY_BYTES = 104_857_600


class HttpListener:
    """Serves every HTTP function, and the admin endpoints."""

    def __init__(
        self,
        functions: Iterable[IndexedFunction],
        *,
        route_prefix: str,
        key: str,
        worker: Worker,
        admin: AdminEndpoints,
        grace_seconds: float,
    ) -> None:
        self._routes = _routes(functions, route_prefix)
        self._key = key
        self._worker = worker
        self._admin = admin
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds)

    async def start(self, listening: socket.socket) -> None:
        """Accept requests from a socket that is already bound and may be shared with other instances."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Accept no more, and wait for the requests under way."""
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        if path == "/admin" or path.startswith("/admin/"):
            if not _is_local(request) and not self._has_key(request):
                return web.Response(status=401)
            return await self._admin.handle(request, path)
        found = self._find(request.method, path)
        if found is None:
            return web.Response(status=404)
        function, trigger, values = found
        if trigger.auth is not AuthLevel.ANONYMOUS and not self._has_key(request):
            return web.Response(status=401)
        if (request.content_length or 0) > _MAX_BODY_BYTES:
            return web.Response(status=413)
        return await self._run(function, await incoming_request(request, values))

    async def _run(self, function: IndexedFunction, incoming: Incoming) -> web.Response:
        outcome = await self._worker.run(function, incoming)
        if outcome.ending is not Ending.SUCCEEDED:
            return web.Response(status=500)
        if outcome.returned is None:
            return web.Response(status=204)
        try:
            return outgoing_response(outcome.returned)
        except (ValueError, TypeError):
            _log.exception("what the function %s returned is not an HTTP response", function.name)
            return web.Response(status=500)

    def _find(self, method: str, path: str) -> tuple[IndexedFunction, HttpTrigger, dict[str, str]] | None:
        for template, trigger, function in self._routes:
            if trigger.methods is not None and method not in trigger.methods:
                continue
            values = template.match(path)
            if values is not None:
                return function, trigger, values
        return None

    def _has_key(self, request: web.Request) -> bool:
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        # Bytes that are no UTF-8 arrive as surrogates; they make a wrong key like any other.
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self._key.encode())


def _routes(
    functions: Iterable[IndexedFunction], prefix: str
) -> list[tuple[RouteTemplate, HttpTrigger, IndexedFunction]]:
    routes = [
        (parse_template(f"{prefix}/{function.trigger.template.text.strip('/')}"), function.trigger, function)
        for function in functions
        if isinstance(function.trigger, HttpTrigger)
    ]
    return sorted(routes, key=lambda route: route[0].precedence)


def _is_local(request: web.Request) -> bool:
    """
    Return whether a request comes from this machine and from no web page.

    A page of another site, or of a name that was pointed at 127.0.0.1, must not run functions through a
    browser.
    """
    try:
        comes_from_here = ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        comes_from_here = False
    name = request.url.host or ""
    names_here = name == "localhost" or name.startswith("127.") or name == "::1"
    origin = request.headers.get("Origin")
    return comes_from_here and names_here and (origin is None or origin == str(request.url.origin()))
