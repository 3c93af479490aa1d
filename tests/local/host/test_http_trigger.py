import json
import socket

import pytest

from tests.local.host.desk import Desk
from tests.local.host.host_process import KEY, HostProcess

APP = """
    @app.route(route="echo/{name}/{count:int?}", methods=["GET", "POST"])
    def echo(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(json.dumps({
            "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
            "header": req.headers.get("X-Thing"), "body": req.get_body().decode("latin-1"),
        }), mimetype="application/json", status_code=201)

    @app.route(route="open", auth_level=func.AuthLevel.ANONYMOUS)
    def open_to_all(req: func.HttpRequest) -> str:
        return "code is " + req.params.get("code", "absent")

    @app.route(route="master", auth_level=func.AuthLevel.ADMIN)
    def master(req: func.HttpRequest) -> str:
        return "ok"

    @app.route(auth_level=func.AuthLevel.ANONYMOUS)
    def named(req: func.HttpRequest) -> str:
        return "by its name"

    @app.route(route="cookies", auth_level=func.AuthLevel.ANONYMOUS)
    def cookies(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse(b"\\x00\\xff", mimetype="image/png")
        response.headers.add("Set-Cookie", "a=1=; Path=/api; HttpOnly; Secure; SameSite=Lax; Max-Age=600")
        response.headers.add("Set-Cookie", "b=2")
        return response

    @app.route(route="redirect", auth_level=func.AuthLevel.ANONYMOUS)
    def redirect(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(status_code=302, headers={"Location": "https://example.com/?a=b"})

    @app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
    def broken(req: func.HttpRequest) -> str:
        raise LookupError("nothing here")

    @app.route(route="silent", auth_level=func.AuthLevel.ANONYMOUS)
    def silent(req: func.HttpRequest) -> func.HttpResponse:
        return None

    @app.route(route="items/special", auth_level=func.AuthLevel.ANONYMOUS)
    def special(req: func.HttpRequest) -> str:
        return "special"

    @app.route(route="items/{id}", auth_level=func.AuthLevel.ANONYMOUS)
    async def item(req: func.HttpRequest) -> str:
        return "item " + req.route_params["id"]
"""

HEADERS = {"x-functions-key": KEY}


@pytest.fixture
def host(desk: Desk) -> HostProcess:
    desk.app(APP)
    return desk.host()


def test_the_function_sees_the_whole_request(host: HostProcess) -> None:
    answer = host.request(
        "/api/echo/J%C3%BCrgen/3?q=a&q=b%20c",
        method="POST",
        headers=HEADERS | {"x-thing": "yes"},
        body=b"\xff\x00",
    )
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {
        "method": "POST",
        "url": f"{host.base_url}/api/echo/J%C3%BCrgen/3?q=a&q=b%20c",
        "params": {"q": "a,b c"},
        "route": {"name": "Jürgen", "count": "3"},
        "header": "yes",
        "body": "\xff\x00",
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/echo/x", 201),
        ("GET", "/API/ECHO/x", 201),
        ("GET", "/api/echo/x/notanumber", 404),
        ("DELETE", "/api/echo/x", 404),
        ("GET", "/echo/x", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/named", 200),
    ],
)
def test_routes_and_methods(host: HostProcess, method: str, path: str, status: int) -> None:
    assert host.request(path, method=method, headers=HEADERS).status == status


def test_a_literal_route_goes_before_a_parameter(host: HostProcess) -> None:
    assert host.request("/api/items/special").body == b"special"
    assert host.request("/api/items/other").body == b"item other"


def test_a_key_is_asked_for_by_level(host: HostProcess) -> None:
    refused = host.request("/api/echo/x")
    assert (refused.status, refused.body) == (401, b"")
    assert host.request("/api/echo/x?code=wrong").status == 401
    assert host.request("/api/echo/x", headers={"x-functions-key": "w\u00f6rong"}).status == 401
    assert host.request(f"/api/echo/x?code={KEY}").status == 201
    assert host.request("/api/echo/x", headers=HEADERS).status == 201
    assert host.request("/api/master").status == 401
    assert host.request("/api/master", headers=HEADERS).status == 200


def test_an_anonymous_function_keeps_code_as_its_own_parameter(host: HostProcess) -> None:
    assert host.request("/api/open?code=from-the-provider").body == b"code is from-the-provider"
    assert host.request("/api/open").body == b"code is absent"


def test_cookies_and_binary_bodies_arrive_whole(host: HostProcess) -> None:
    answer = host.request("/api/cookies")
    assert answer.body == b"\x00\xff"
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers.get_all("Set-Cookie") == [
        "a=1%3D; max-age=600; path=/api; secure; samesite=lax; httponly",
        "b=2",
    ]


def test_a_redirect_is_passed_on(host: HostProcess) -> None:
    answer = host.request("/api/redirect")
    assert (answer.status, answer.headers["Location"]) == (302, "https://example.com/?a=b")


def test_head_has_headers_and_no_body(host: HostProcess) -> None:
    answer = host.request("/api/named", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "11"


def test_an_exception_is_an_empty_500_and_a_traceback_in_the_log(host: HostProcess) -> None:
    answer = host.request("/api/broken")
    assert (answer.status, answer.body) == (500, b"")
    host.wait_for("LookupError: nothing here")


def test_a_function_that_returns_nothing_is_a_500(host: HostProcess) -> None:
    assert host.request("/api/silent").status == 500


def test_a_body_over_the_limit_is_refused(host: HostProcess) -> None:
    port = int(host.base_url.rpartition(":")[2])
    head = (
        f"POST /api/echo/x HTTP/1.1\r\nHost: localhost\r\nx-functions-key: {KEY}\r\n"
        f"Content-Length: {104_857_601}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode())
        received = client.recv(4096)
        while not received.endswith(b"\r\n\r\n") or b"413" not in received:
            more = client.recv(4096)
            assert more
            received += more
    assert b"HTTP/1.1 413" in received
