"""What operators read of alerts and telemetry is what infra/ makes and the code tells."""

from __future__ import annotations

import ast
import re
import subprocess
from typing import Any

import pytest

from shared.core.metrics import Metric
from shared.core.oauth import RefreshOutcome
from tests.infra.deployment import deploy
from tests.pages import ADMINISTRATORS, OPERATIONS, ROOT, blocks, chapter, functions, listed, section

ALERTS = chapter(OPERATIONS, "Alerts")
RULES = {
    each.name: each.body["properties"] for each in deploy().of_type("Microsoft.Insights/scheduledQueryRules")
}
TRACE = section(OPERATIONS, "One trace for each attempt")
METRICS = section(OPERATIONS, "Metrics")
#: Under which our own attributes stand, the adapter's word.
PREFIX = re.findall(
    r'^_NAME = "(\w+)"$',
    (ROOT / "shared" / "adapters" / "open_telemetry.py").read_text("utf-8"),
    re.MULTILINE,
)[0]


def told() -> list[tuple[str, ast.Call]]:
    """Return each call by which the code tells a span, what is on it, or a number."""
    found = []
    for path in sorted(ROOT.glob("shared/**/*.py")):
        if path.name in ("telemetry.py", "open_telemetry.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                whose = ast.unparse(node.func.value).rpartition(".")[2].lstrip("_")
                if whose in ("telemetry", "span"):
                    found.append((node.func.attr, node))
    return found


def attributes(call: ast.Call) -> set[str]:
    return {f"{PREFIX}.{each.arg}" for each in call.keywords}


def test_every_alert_has_an_entry() -> None:
    assert re.findall(r"^### `(\S+)`$", ALERTS, re.MULTILINE) == list(RULES)


@pytest.mark.parametrize("name", RULES)
def test_an_entry_says_what_it_means_what_to_do_what_to_type_and_how_it_is_found(name: str) -> None:
    rule, entry = RULES[name], section(OPERATIONS, f"`{name}`")
    assert f"**Severity {rule['severity']}. Means**: " in entry
    assert "\n**Do**: " in entry
    (script,), (query,) = blocks(entry, "sh"), blocks(entry, "kusto")
    checked = subprocess.run(
        ["bash", "-n", "-c", re.sub(r"<[^<>\n]+>", "something", script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    (criterion,) = rule["criteria"]["allOf"]
    asked = re.match(r"(\w+ \| where [^|]+?) \|", criterion["query"])
    assert asked
    assert query.startswith(asked[1])


def test_how_long_mail_waits_before_an_alert_is_said() -> None:
    (criterion,) = RULES["sendoff-oldest-waiting"]["criteria"]["allOf"]
    assert criterion["threshold"] == 3600
    assert "for more than an hour" in section(OPERATIONS, "`sendoff-oldest-waiting`").replace("\n", " ")


def test_how_long_no_token_could_be_had_is_said() -> None:
    rule = RULES["sendoff-token-unavailable"]
    (criterion,) = rule["criteria"]["allOf"]
    minutes = int(rule["windowSize"][2:-1]) * criterion["failingPeriods"]["numberOfEvaluationPeriods"]
    assert minutes == 60
    assert "for an hour" in section(OPERATIONS, "`sendoff-token-unavailable`")


def test_what_is_asked_of_the_app_by_curl_is_a_route_with_that_method() -> None:
    known = {re.sub(r"{\w+}", "noreply", route) for _, _, route in functions() if route}
    asked = re.findall(r"curl (?:-X (\w+) )?-H \S+ [^>]*>\" https://mail\.contoso\.com(\S+)", ALERTS)
    assert asked
    assert {f"{method or 'GET'} {path}" for method, path in asked} <= known


def test_every_span_is_in_the_docs_with_all_that_is_on_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ?([^|]*) ?\|$", TRACE, re.MULTILINE)
    on_spans = {name: set(re.findall(r"`([\w.]+)`", said)) for name, said in rows}
    spans = [call for kind, call in told() if kind == "span"]
    assert set(on_spans) == {ast.literal_eval(call.args[0]) for call in spans}
    notes = [call for kind, call in told() if kind == "note"]
    assert set().union(*on_spans.values()) == set().union(*map(attributes, [*spans, *notes]))
    for call in spans:
        assert attributes(call) <= on_spans[ast.literal_eval(call.args[0])]
    assert f"`{PREFIX}.error`" in TRACE


def test_every_metric_is_in_the_docs_with_all_that_it_is_split_by() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\w+) \| (.+?) \|", METRICS, re.MULTILINE)
    assert [name for name, _, _ in rows] == [metric.value for metric in Metric]
    calls = {"counter": "count", "gauge": "gauge"}
    split: dict[str, set[str]] = {}
    for kind, call in told():
        if kind in calls.values():
            metric = ast.unparse(call.args[0]).rpartition(".")[2]
            name = Metric[metric].value if metric in Metric.__members__ else "by state"
            split[f"{kind} {name}"] = attributes(call)
    for name, kind, said in rows:
        where = f"{calls[kind]} {name}"
        assert set(re.findall(r"`([\w.]+)`", said)) == split.get(
            where, split[f"{calls[kind]} by state"] if kind == "counter" else set()
        ), name


def test_every_outcome_of_a_renewal_is_in_the_docs() -> None:
    (row,) = re.findall(rf"^\| `{Metric.REFRESHES.value}` \|.*\| (.+) \|$", METRICS, re.MULTILINE)
    assert re.findall(r"`([\w ]+)`", row) == [outcome.value for outcome in RefreshOutcome]


def queries() -> list[str]:
    return blocks(chapter(OPERATIONS, "Alerts") + chapter(OPERATIONS, "Telemetry"), "kusto")


def test_queries_ask_for_attributes_that_are_told() -> None:
    known: set[str] = set().union(*(attributes(call) for _, call in told()))
    asked = set(re.findall(r'customDimensions\["(.+?)"\]', "".join(queries())))
    assert asked
    assert asked <= known
    # What a line of the log has beside its sentence stands there under its own name.
    assert set(re.findall(r"customDimensions\.(\w+)", "".join(queries()))) == {
        "event",
        "sender",
        "message_id",
    }


def test_queries_ask_for_metrics_that_are_told() -> None:
    asked = re.findall(r'name == "(.+?)"', "".join(queries()))
    assert asked
    assert set(asked) <= {metric.value for metric in Metric}


def test_the_settings_that_switch_it_on_are_those_that_azure_is_given() -> None:
    given: dict[str, Any] = deploy().one("Microsoft.Web/sites/config").body["properties"]
    said = re.findall(r"`([A-Z_]{20,})`", chapter(OPERATIONS, "Telemetry").partition("###")[0])
    assert said
    assert set(said) <= given.keys()


def test_words_that_have_an_alert_are_in_the_table_of_all_words() -> None:
    words = listed(section(OPERATIONS, "When an alert says"))
    assert {name.removeprefix("sendoff-") for name in RULES} - {"oldest-waiting"} <= set(words)
    assert "operations.md#alerts" in ADMINISTRATORS
