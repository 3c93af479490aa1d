"""What OpenTelemetry's own SDK is told of mail; and that nothing of it is loaded without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.metrics import Metric
from tests.adapters.telling import CANARIES, PARENT, TRACE
from tests.infra.bicep import INFRA
from tests.infra.deployment import deploy

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = INFRA.parent
#: Everything that a span may say, by its name.
MAY_SAY = {
    "attempt": {"message_id", "sender", "attempt", "state", "error"},
    "compose": {"error"},
    "token": {"error"},
    "smtp": {"verdict", "phase", "reply_code", "enhanced_code", "error"},
}


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(run("-m", "tests.adapters.telling"))
    return found


def attributes(told: Mapping[str, Any], story: str, name: str) -> list[dict[str, Any]]:
    """Return what the spans of a name say, without our prefix."""
    return [
        {key.removeprefix("sendoff."): value for key, value in span["attributes"].items()}
        for span in told[story]["spans"]
        if span["name"] == name
    ]


STORIES = ("accepted", "a new token", "a bug", "no token")


@pytest.mark.parametrize("story", STORIES)
def test_one_trace_goes_from_the_hosts_invocation_to_the_server(told: Mapping[str, Any], story: str) -> None:
    spans = told[story]["spans"]
    assert {span["trace"] for span in spans} == {TRACE}
    (attempt,) = (span for span in spans if span["name"] == "attempt")
    assert attempt["parent"] == PARENT
    assert {span["parent"] for span in spans if span is not attempt} == {attempt["id"]}


def test_an_attempt_says_which_message_of_whom_and_how_it_ended(told: Mapping[str, Any]) -> None:
    assert attributes(told, "accepted", "attempt") == [
        {"message_id": "order-17", "sender": "noreply", "attempt": 1, "state": "accepted"}
    ]
    assert [span["name"] for span in told["accepted"]["spans"]] == ["compose", "token", "smtp", "attempt"]
    assert {span["status"] for span in told["accepted"]["spans"]} == {"UNSET"}


def test_the_server_is_heard_by_verdict_and_codes(told: Mapping[str, Any]) -> None:
    assert attributes(told, "accepted", "smtp") == [
        {"verdict": "accepted", "phase": "done", "reply_code": 250, "enhanced_code": "2.0.0"}
    ]


def test_a_refused_token_and_its_successor_are_two_hand_overs_of_one_attempt(told: Mapping[str, Any]) -> None:
    heard = attributes(told, "a new token", "smtp")
    assert [(each["verdict"], each["phase"], each["reply_code"]) for each in heard] == [
        ("reauthenticate", "auth", 535),
        ("accepted", "done", 250),
    ]
    names = [span["name"] for span in told["a new token"]["spans"]]
    assert names == ["compose", "token", "smtp", "token", "smtp", "attempt"]


def test_an_exception_marks_what_it_left_with_its_type_alone(told: Mapping[str, Any]) -> None:
    marked = {span["name"]: span["status"] for span in told["a bug"]["spans"]}
    assert marked == {"compose": "UNSET", "token": "UNSET", "smtp": "ERROR", "attempt": "ERROR"}
    for name in ("smtp", "attempt"):
        (said,) = attributes(told, "a bug", name)
        assert said["error"] == "RuntimeError"
    assert {span["events"] for span in told["a bug"]["spans"]} == {0}


def test_an_attempt_without_a_token_fails_where_the_token_is_asked_for(told: Mapping[str, Any]) -> None:
    assert attributes(told, "no token", "token") == [{"error": "ConsentRequiredError"}]
    (attempt,) = attributes(told, "no token", "attempt")
    assert attempt["state"] == "held"
    assert attributes(told, "no token", "smtp") == []


def test_what_never_came_to_an_attempt_has_no_span(told: Mapping[str, Any]) -> None:
    assert told["refused before the server"]["spans"] == []


@pytest.mark.parametrize("story", STORIES)
def test_no_address_subject_body_token_or_words_of_an_error_are_on_a_span(
    told: Mapping[str, Any], story: str
) -> None:
    whole = told[story]["whole"]
    assert "order-17" in whole
    assert [canary for canary in CANARIES if canary in whole] == []
    assert "@" not in whole


@pytest.mark.parametrize("story", STORIES)
def test_a_span_says_what_is_on_the_list_and_no_more(told: Mapping[str, Any], story: str) -> None:
    for name, may_say in MAY_SAY.items():
        for said in attributes(told, story, name):
            assert said.keys() <= may_say, name
    assert {span["name"] for span in told[story]["spans"]} <= MAY_SAY.keys()
    assert all(key.startswith("sendoff.") for span in told[story]["spans"] for key in span["attributes"])


# Numbers.


def points(told: Mapping[str, Any], when: str, metric: Metric) -> dict[str, float]:
    """Return the values of a metric, by what it is split by."""
    found = told[when].get(metric.value, {"points": []})["points"]
    return {" ".join(map(str, point["attributes"].values())): point["value"] for point in found}


def test_a_state_is_counted_by_its_sender(told: Mapping[str, Any]) -> None:
    when = "numbers of these"
    assert {name: each["kind"] for name, each in told[when].items()} == {
        Metric.ACCEPTED: "Sum",
        Metric.HELD: "Sum",
        Metric.REJECTED: "Sum",
    }
    assert points(told, when, Metric.ACCEPTED) == {"noreply": 2}
    assert points(told, when, Metric.HELD) == {"noreply": 1}
    assert sum(points(told, when, Metric.REJECTED).values()) == 1


def test_many_threads_count_on_one_counter(told: Mapping[str, Any]) -> None:
    assert points(told, "numbers", Metric.REFRESHES) == {"noreply 0": 200, "noreply 1": 200}


def test_a_gauge_has_its_last_value_for_each_sender_in_seconds(told: Mapping[str, Any]) -> None:
    gauges = {
        name: (each["kind"], each["unit"]) for name, each in told["numbers"].items() if each["kind"] != "Sum"
    }
    assert gauges == {Metric.OLDEST_WAITING: ("Gauge", "s"), Metric.TOKEN_LEFT: ("Gauge", "s")}
    assert points(told, "numbers", Metric.OLDEST_WAITING) == {"noreply": 3.25, "reports": 60}
    assert points(told, "numbers", Metric.TOKEN_LEFT) == {"noreply": -5}


def test_what_is_not_measured_again_is_not_told_again(told: Mapping[str, Any]) -> None:
    # Else a line that is empty by now would alert for good.
    assert points(told, "numbers a minute later", Metric.OLDEST_WAITING) == {}
    assert points(told, "numbers a minute later", Metric.TOKEN_LEFT) == {}


def queries_of_metrics() -> list[str]:
    rules = deploy().of_type("Microsoft.Insights/scheduledQueryRules")
    asked = [each.body["properties"]["criteria"]["allOf"][0]["query"] for each in rules]
    workbook = json.loads((INFRA / "workbook.json").read_text("utf-8"))
    asked += [item["content"]["query"] for item in workbook["items"] if "query" in item["content"]]
    return [query for query in asked if query.startswith("customMetrics")]


def test_numbers_are_split_by_what_the_alerts_and_the_workbook_ask_for(told: Mapping[str, Any]) -> None:
    # Application Insights has each attribute in customDimensions, under the name that it was told by.
    told_of = {
        name: {key for point in each["points"] for key in point["attributes"]}
        for name, each in told["numbers"].items()
    }
    queries = queries_of_metrics()
    assert len(queries) >= 5
    wrong = [
        (name, asked, sorted(told_of[name]))
        for query in queries
        for name in re.findall(r'"(sendoff\.\w+)"', query)
        for asked in re.findall(r'customDimensions(?:\.|\[")([\w.]+)', query)
        if name in told_of and asked not in told_of[name]
    ]
    assert wrong == []


# Where nobody listens.

LOADED = """
import sys
{}
print(sorted(name for name in sys.modules if name.partition('.')[0] == 'opentelemetry'))
"""
WIRED = "from shared.wiring import Wiring; print(type(Wiring().telemetry()).__name__)"


def test_silence_loads_nothing_of_opentelemetry() -> None:
    said = run("-c", LOADED.format("from shared.telemetry import Silence; Silence().span('attempt')"))
    assert said.splitlines() == ["[]"]


def test_a_process_without_telemetry_is_silent_and_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", raising=False)
    monkeypatch.delenv("APPLICATIONINSIGHTS_CONNECTION_STRING", raising=False)
    said = run("-c", LOADED.format(f"import shared.services, shared.courier, shared.scribe\n{WIRED}"))
    assert said.splitlines() == ["Silence", "[]"]


def test_a_process_with_telemetry_tells_opentelemetrys_api_and_loads_no_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "true")
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=0")
    told, modules = run("-c", LOADED.format(WIRED)).splitlines()
    assert told == "OpenTelemetry"
    assert "'opentelemetry.trace'" in modules
    assert "'opentelemetry.sdk" not in modules


@pytest.mark.parametrize("setting", ["true", "1", "t", "yes", "y", "True", " TRUE ", "false", "0", "no", ""])
def test_sendoff_tells_where_the_worker_listens(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", setting)
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=0")
    from azure_functions_runtime.utils.app_setting_manager import is_envvar_true  # noqa: PLC0415 - as it reads

    from shared.settings import telemetry_is_on  # noqa: PLC0415 - beside it

    assert telemetry_is_on() == is_envvar_true("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY")
