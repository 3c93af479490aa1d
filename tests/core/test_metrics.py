"""Numbers: their names are what infrastructure asks for, and each has its state."""

from __future__ import annotations

import re

from shared.core.delivery import State
from shared.core.metrics import OF_STATE, Metric
from tests.infra.test_alerts import queries_of_the_workbook


def test_the_names_are_those_of_alerts_and_workbook() -> None:
    queries = "\n".join(query.replace('["sendoff.', '["') for query in queries_of_the_workbook())
    asked = re.findall(r"sendoff\.\w+", queries)
    assert set(asked) == {metric.value for metric in Metric}


def test_a_name_is_one_that_opentelemetry_takes() -> None:
    # OpenTelemetry specification, "Instrument name syntax".
    assert [each for each in Metric if not re.fullmatch(r"sendoff\.[a-z_]{1,50}", each)] == []


def test_each_state_that_is_counted_has_a_number_of_its_own() -> None:
    assert {state: metric.value for state, metric in OF_STATE.items()} == {
        State.ACCEPTED: "sendoff.accepted",
        State.DEFERRED: "sendoff.deferred",
        State.REJECTED: "sendoff.rejected",
        State.HELD: "sendoff.held",
    }
