"""Alerts and the workbook: they ask for words that the log has, and for metrics by their names."""

from __future__ import annotations

import json
import re

from shared.core.metrics import Metric
from shared.log_words import Word
from tests.infra.bicep import INFRA
from tests.infra.deployment import alert_words, deploy

RULE = "Microsoft.Insights/scheduledQueryRules"
WORKBOOK = json.loads((INFRA / "workbook.json").read_text("utf-8"))


def queries_of_the_workbook() -> list[str]:
    return [item["content"]["query"] for item in WORKBOOK["items"] if "query" in item["content"]]


def test_alerts_wait_for_what_needs_a_person() -> None:
    assert alert_words() == {
        Word.CONSENT_REQUIRED,
        Word.SENDER_HELD,
        Word.CREDENTIAL_BROKEN,
        Word.CREDENTIAL_EXPIRING,
        Word.DEAD_LETTER,
        Word.SETTINGS_WRONG,
        Word.TOKEN_UNAVAILABLE,
    }
    assert alert_words() < {word.value for word in Word}


def test_the_oldest_waiting_mail_alerts_by_its_age() -> None:
    rule = next(each for each in deploy(oldestWaitingSeconds=900).of_type(RULE) if "oldest" in each.name)
    (criterion,) = rule.body["properties"]["criteria"]["allOf"]
    assert criterion["threshold"] == 900
    assert set(re.findall(r'name == "(.+?)"', criterion["query"])) <= {metric.value for metric in Metric}
    assert f"{criterion['metricMeasureColumn']} = valueMax" in criterion["query"]


def test_a_rule_sees_each_line_at_least_twice_and_ends_by_itself() -> None:
    for each in deploy().of_type(RULE):
        asked = each.body["properties"]
        (criterion,) = asked["criteria"]["allOf"]
        periods = criterion["failingPeriods"]
        every, window = (int(asked[name][2:-1]) for name in ("evaluationFrequency", "windowSize"))
        # A line may come some minutes late; where four windows in a row must have one they need not overlap.
        assert window > every or periods["minFailingPeriodsToAlert"] > 1, each.name
        assert asked["autoMitigate"] is True
        assert periods["minFailingPeriodsToAlert"] == periods["numberOfEvaluationPeriods"]


def test_what_a_rule_is_split_by_is_a_column_of_its_query() -> None:
    for each in deploy().of_type(RULE):
        (criterion,) = each.body["properties"]["criteria"]["allOf"]
        for dimension in criterion["dimensions"]:
            assert f"extend {dimension['name']} =" in criterion["query"], each.name


def test_alerts_go_to_the_addresses_and_stand_in_the_portal_without_any() -> None:
    group = "Microsoft.Insights/actionGroups"
    assert deploy().of_type(group) == []
    made = deploy(alertEmails="ops@contoso.com, on-call@contoso.com")
    receivers = made.one(group).body["properties"]["emailReceivers"]
    assert [each["emailAddress"] for each in receivers] == ["ops@contoso.com", "on-call@contoso.com"]
    for each in made.of_type(RULE):
        assert len(each.body["properties"]["actions"]["actionGroups"]) == 1
    assert {str(each.body["properties"]["actions"]["actionGroups"]) for each in deploy().of_type(RULE)} == {
        "[]"
    }


def test_the_workbook_shows_every_metric() -> None:
    # What is in brackets are the attributes that they are told apart by.
    named = {
        name for query in queries_of_the_workbook() for name in re.findall(r'(?<!\[")sendoff\.\w+', query)
    }
    assert named == {metric.value for metric in Metric}


def test_the_workbook_asks_for_words_that_the_log_has() -> None:
    lists = [
        re.findall(r'"([\w-]+)"', found)
        for query in queries_of_the_workbook()
        for found in re.findall(r"event in \((.+?)\)", query)
    ]
    words = {word for each in lists for word in each}
    assert words
    assert words <= {word.value for word in Word}


def test_every_part_of_the_workbook_has_a_name_of_its_own_and_follows_its_time() -> None:
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))
    for item in WORKBOOK["items"]:
        if "query" in item["content"]:
            assert item["content"]["timeContextFromParameter"] == "range", item["name"]
    assert deploy().one("Microsoft.Insights/workbooks").body["properties"]["serializedData"] == (
        INFRA / "workbook.json"
    ).read_text("utf-8")


def test_queries_on_metrics_read_the_attributes_that_the_adapter_writes() -> None:
    """``open_telemetry`` writes every attribute under its own prefix."""
    queries = queries_of_the_workbook() + [
        rule.body["properties"]["criteria"]["allOf"][0]["query"] for rule in deploy().of_type(RULE)
    ]
    of_metrics = [query for query in queries if query.startswith("customMetrics")]
    assert len(of_metrics) > 1
    assert [query for query in of_metrics if re.search(r"customDimensions\.(sender|outcome)", query)] == []
