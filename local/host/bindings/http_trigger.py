"""An HTTP request as the worker gets it, and the response in what a function returns."""

from collections.abc import Iterable, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from local.host.bindings import Incoming

if TYPE_CHECKING:
    from http.cookies import Morsel

#: The server works these out itself.
_HOP_HEADERS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})


async def incoming_request(request: web.Request, route_values: Mapping[str, str]) -> Incoming:
    """Return what the function is given: lower-case header names, repeated values joined, a raw body."""
    return Incoming(
        binding="httpTrigger",
        datum=Datum(
            {
                "method": Datum(request.method, "string"),
                "url": Datum(f"{request.scheme}://{request.host}{request.raw_path}", "string"),
                "headers": _joined((name.lower(), value) for name, value in request.headers.items()),
                "query": _joined(request.query.items()),
                "params": {name: Datum(value, "string") for name, value in route_values.items()},
                "body": Datum(await request.read(), "bytes"),
            },
            "http",
        ),
    )


def outgoing_response(datum: Datum) -> web.Response:
    """Return the response in what the SDK made of a function's return value."""
    if datum.type != "http":
        return web.Response(text=datum.value)
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in datum.value["headers"].items():
        if name.lower() not in _HOP_HEADERS:
            headers.add(name, value.value)
    for cookie in datum.value["cookies"] or ():
        for morsel in cookie.values():
            headers.add("Set-Cookie", _set_cookie(morsel))
    return web.Response(
        status=int(datum.value["status_code"].value), headers=headers, body=datum.value["body"].value
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, Datum]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: Datum(_readable(",".join(several)), "string") for name, several in values.items()}


def _readable(text: str) -> str:
    """Return the text, read as Latin-1 where its bytes were no UTF-8 and became surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape").decode("latin-1")
    return text


def _set_cookie(morsel: "Morsel[str]") -> str:
    """Return the header that ASP.NET Core writes: the value percent-encoded, known attributes only."""
    parts = [f"{quote(morsel.key, safe='')}={quote(morsel.value, safe='')}"]
    if morsel["expires"]:
        moment = parsedate_to_datetime(morsel["expires"])
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    parts += [f"{name}={morsel[name]}" for name in ("max-age", "domain", "path") if morsel[name]]
    if morsel["secure"]:
        parts.append("secure")
    if morsel["samesite"].lower() in {"lax", "strict", "none"}:
        parts.append(f"samesite={morsel['samesite'].lower()}")
    if morsel["httponly"]:
        parts.append("httponly")
    return "; ".join(parts)
