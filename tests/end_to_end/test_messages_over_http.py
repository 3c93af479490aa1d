"""Mail over HTTP on the whole stack: dropped, looked up, moved, taken back; and the API's description."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis.core.result import Ok

_SECONDS = 30
_EXAMPLES = 8  # of each operation; the whole takes half a minute at most
# What else an answer may be: the host itself turns away what is no request to a function.
_FINE = {200, 201, 202, 204, 400, 401, 404, 405, 409, 415}


class Api:
    """The routes below /api, with the key."""

    def __init__(self, desk: Desk) -> None:
        self._base = f"{desk.facts['functions']}/api"
        self._headers = {"x-functions-key": desk.facts["key"]}

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        return requests.request(method, f"{self._base}{path}", headers=headers, timeout=_SECONDS, **options)


@pytest.fixture
def api(desk: Desk, connected: Callable[[str], None]) -> Api:
    connected("noreply")
    return Api(desk)


def small(**more: Any) -> dict[str, Any]:
    return {"to": "ada@example.net", "subject": "over HTTP", "text": "hello", **more}


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_message_is_taken_in_once_and_sent_once(api: Api, desk: Desk) -> None:
    message_id = new_id("http")
    key = {"Idempotency-Key": message_id}
    asked = small(subject=message_id)
    first = api.ask("POST", "/messages", json=asked, headers=key)
    again = api.ask("POST", "/messages", json=asked, headers=key)
    other = api.ask("POST", "/messages", json=small(subject="another"), headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 409)
    assert first.headers["Location"].endswith(f"/api/messages/{message_id}")
    assert desk.until(message_id, "accepted")["attempts"] == 1
    shown = api.ask("GET", f"/messages/{message_id}").json()
    assert [change["state"] for change in shown["history"]] == ["queued", "sending", "accepted"]
    assert shown["reply"].startswith("250 2.0.0 OK")
    assert len(desk.mails(message_id)) == 1


def test_a_large_message_comes_over_http_too(api: Api, desk: Desk) -> None:
    message_id = new_id("http-large")
    answer = api.ask(
        "POST", "/messages", json=small(id=message_id, subject=message_id, text="word " * 40_000)
    )
    assert answer.status_code == 202
    desk.until(message_id, "accepted")
    assert len(desk.mails(message_id)[0].raw) > 200_000


def test_what_is_wrong_is_listed_whole(api: Api) -> None:
    answer = api.ask(
        "POST", "/messages", json={"to": "nobody", "send_at": "2026-12-24T09:00:00", "colour": 1}
    )
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert [line.partition(":")[0] for line in problem["problems"]] == ["to[0]", "send_at", "colour"]


def test_a_message_is_moved_and_taken_back_until_it_is_sent(api: Api, desk: Desk) -> None:
    moved, cancelled = new_id("moved"), new_id("cancelled")
    for message_id in (moved, cancelled):
        asked = small(id=message_id, subject=message_id, send_at=in_seconds(3600))
        assert api.ask("POST", "/messages", json=asked).status_code == 202
        desk.until(message_id, "scheduled")
    assert api.ask("DELETE", f"/messages/{cancelled}").json()["state"] == "cancelled"
    assert api.ask("PATCH", f"/messages/{moved}", json={"send_at": in_seconds(2)}).status_code == 200
    assert desk.until(moved, "accepted")["attempts"] == 1
    late = api.ask("DELETE", f"/messages/{moved}")
    assert (late.status_code, late.json()["state"]) == (409, "accepted")
    assert api.ask("PATCH", f"/messages/{cancelled}", json={"send_at": in_seconds(2)}).status_code == 409
    assert api.ask("GET", "/messages/there.is.none").status_code == 404
    assert desk.mails(cancelled) == []


def test_messages_are_found_by_state_and_time_page_by_page(api: Api, desk: Desk) -> None:
    began = in_seconds(0)
    ids = {new_id("paged") for _ in range(5)}
    for message_id in ids:
        api.ask("POST", "/messages", json=small(id=message_id, send_at=in_seconds(7200)))
        desk.until(message_id, "scheduled")
    found: set[str] = set()
    asked = {"state": "scheduled", "sender": "noreply", "since": began, "limit": "2"}
    while True:
        page = api.ask("GET", "/messages", params=asked).json()
        assert len(page["messages"]) <= 2
        found |= {message["id"] for message in page["messages"]}
        if page["continuation"] is None:
            break
        asked["continuation"] = page["continuation"]
    assert ids <= found
    for message_id in ids:
        api.ask("DELETE", f"/messages/{message_id}")


def test_a_schedule_sends_each_occurrence_once(api: Api, desk: Desk) -> None:
    name = new_id("schedule")
    subject = new_id("occurs")
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
    asked = {"every": "PT1M", "start": start.isoformat(), "count": 1, "message": small(subject=subject)}
    put = api.ask("PUT", f"/schedules/{name}", json=asked)
    assert (put.status_code, put.json()["next"][0]) == (201, start.isoformat().replace("+00:00", "Z"))
    url = f"{desk.facts['functions']}/admin/functions/release"
    for _ in range(2):
        requests.post(url, json={}, timeout=_SECONDS)
    occurrence = f"{name}@{start:%Y-%m-%dT%H:%M:%SZ}"
    assert desk.until(occurrence, "accepted")["attempts"] == 1
    assert len(desk.mails(subject)) == 1
    shown = api.ask("GET", f"/schedules/{name}").json()
    assert (shown["state"], shown["occurred"], shown["next"]) == ("ended", 1, [])
    assert api.ask("DELETE", f"/schedules/{name}").status_code == 204
    assert api.ask("GET", f"/schedules/{name}").status_code == 404


def test_the_api_is_as_it_describes_itself(api: Api, desk: Desk) -> None:
    described = api.ask("GET", "/openapi.json").json()
    # Nothing that is made up here is to be sent, nor may it stop those who send.
    described["paths"] = {
        path: operations
        for path, operations in described["paths"].items()
        if not path.endswith(("hold", "resume"))
    }
    schema = schemathesis.openapi.from_dict(described)
    schema.config.base_url = f"{desk.facts['functions']}/api"
    for result in schema.get_all_operations():
        operation = cast("Ok[Any]", result).ok()

        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            if isinstance(case.body, dict):  # far off, so that nothing made up here is sent
                case.body |= {"send_at": "2999-01-01T00:00:00Z"} if "text" in case.body else {}
            answer = case.call(headers={"x-functions-key": desk.facts["key"]})
            assert answer.status_code in _FINE, (
                case.method,
                case.path,
                answer.status_code,
                answer.text[:300],
            )

        holds()
