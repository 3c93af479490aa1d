"""
A process that sends mail with OpenTelemetry's own SDK set up, and prints what was told.

Providers can be set once in a process, so this one is none of pytest's: ``python -m tests.adapters.telling``.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.adapters.open_telemetry import OpenTelemetry
from shared.core.metrics import Metric
from shared.core.smtp import Phase, Reply, Submission
from shared.errors import ConsentRequiredError
from tests.workflows.conftest import Bench, message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
#: What the host hands to the worker with each invocation (W3C Trace Context).
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
REFUSED = Submission(Phase.AUTH, Reply(535, ("5.7.3 Authentication unsuccessful canary-reply",)))
#: Nothing of these may be told; the last is how the tokens of the twins begin.
CANARIES = (
    "canary-to",
    "canary-subject",
    "canary-text",
    "canary-file",
    "canary-reply",
    "canary-error",
    "canary-",
)


class Told:
    """What the SDK was told since it was last asked."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(MeterProvider([self._reader]))

    def spans(self) -> dict[str, Any]:
        """Return the spans in the order in which they ended, and all that an exporter could see of them."""
        ended = self._spans.get_finished_spans()
        self._spans.clear()
        return {"spans": [_plain(each) for each in ended], "whole": "\n".join(map(_whole, ended))}

    def numbers(self) -> dict[str, Any]:
        """Return each number by its name, and by its attributes."""
        found: dict[str, Any] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = [
                        {"attributes": dict(each.attributes or {}), "value": getattr(each, "value", None)}
                        for each in metric.data.data_points
                    ]
                    kind = type(metric.data).__name__
                    assert metric.name not in found, f"{metric.name} was made twice"
                    found[metric.name] = {"kind": kind, "unit": metric.unit, "points": points}
        return found


def _plain(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    return {
        "name": span.name,
        "trace": f"{span.context.trace_id:032x}",
        "id": f"{span.context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "events": len(span.events),
    }


def _whole(span: ReadableSpan) -> str:
    return str(span.to_json())


@contextmanager
def invoked() -> Iterator[None]:
    """Do what is inside as the worker does it: in the trace of the host."""
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": TRACEPARENT}))
    try:
        yield
    finally:
        context.detach(token)


def bench(telemetry: OpenTelemetry) -> Bench:
    """Return an instance that tells the SDK."""
    made = Bench()
    made.telemetry = telemetry  # type: ignore[assignment]  # the real one in the place of its twin
    return made


def mail() -> bytes:
    """Return a message whose every part would be known again."""
    files = [{"filename": "canary-file.txt", "content": "Y2FuYXJ5LWZpbGU="}]
    return message(
        to="canary-to@example.net", subject="canary-subject", text="canary-text", attachments=files
    )


def main() -> None:
    """Let it happen, and print it."""
    told, telemetry = Told(), OpenTelemetry()
    answer: dict[str, Any] = {}

    one = bench(telemetry)
    with invoked():
        one.send(mail())
    answer["accepted"] = told.spans()

    two = bench(telemetry)
    two.mailer.script = [REFUSED]
    with invoked():
        two.send(mail())
    answer["a new token"] = told.spans()

    three = bench(telemetry)
    three.mailer.script = [RuntimeError("canary-error for canary-to@example.net")]
    with invoked(), suppress(RuntimeError):
        three.send(mail())
    answer["a bug"] = told.spans()

    four = bench(telemetry)
    four.tokens.script = [ConsentRequiredError("canary-error: invalid_grant", code="AADSTS50173")]
    with invoked():
        four.send(mail())
    answer["no token"] = told.spans()

    five = bench(telemetry)
    with invoked():
        five.send(message(**{"from": "canary-to@example.net"}))
    answer["refused before the server"] = told.spans()

    answer["numbers of these"] = told.numbers()

    with ThreadPoolExecutor(8) as threads:
        for number in range(400):
            threads.submit(telemetry.count, Metric.REFRESHES, sender="noreply", outcome=f"{number % 2}")
    for seconds in (7.5, 3.25):
        telemetry.gauge(Metric.OLDEST_WAITING, seconds, sender="noreply")
    telemetry.gauge(Metric.OLDEST_WAITING, 60, sender="reports")
    telemetry.gauge(Metric.TOKEN_LEFT, -5, sender="noreply")
    answer["numbers"] = told.numbers()
    answer["numbers a minute later"] = told.numbers()
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
