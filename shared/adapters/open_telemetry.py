"""
OpenTelemetry: spans and metrics through whatever the Functions worker has set up.

The worker configures the exporter (host.json ``telemetryMode``,
``PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY``), so this names the API alone. The thread that runs a function
does not get the host's trace from it (azure-functions-runtime 1.3.0), so a function continues it itself.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import Observation
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.metrics import CallbackOptions, Counter
    from opentelemetry.trace import Span as ApiSpan

    from shared.core.metrics import Metric

_NAME = "sendoff"


class OpenTelemetry:
    """Tells spans and metrics; safe to use from many threads."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer(_NAME)
        self._meter = metrics.get_meter(_NAME)
        self._counters: dict[str, Counter] = {}
        self._measured: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def continued(self, traceparent: str, tracestate: str) -> Iterator[None]:
        """Do what is inside as part of the host's trace; the thread is left as it was found."""
        parent = {"traceparent": traceparent, "tracestate": tracestate}
        token = context.attach(TraceContextTextMapPropagator().extract(parent))
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[Span]:
        """Do what is inside as one span; an exception that leaves it is noted by its type alone."""
        with self._tracer.start_as_current_span(
            name, attributes=_named(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield Span(span)
            except BaseException as error:
                # Its text may quote what has no place in telemetry.
                span.set_attribute(f"{_NAME}.error", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise

    def count(self, metric: Metric, **attributes: str) -> None:
        """Count one."""
        with self._lock:
            counter = self._counters.get(metric)
            if counter is None:
                counter = self._counters[metric] = self._meter.create_counter(metric)
        counter.add(1, _named(attributes))

    def gauge(self, metric: Metric, value: float, **attributes: str) -> None:
        """
        Say how much it is now; told at the next export, and not again unless it is measured again.

        A gauge that keeps its last value would tell for good of a line that has long been empty.
        """
        with self._lock:
            measured = self._measured.get(metric)
            if measured is None:
                measured = self._measured[metric] = {}
                self._meter.create_observable_gauge(metric, [partial(self._observe, metric)], unit="s")
            measured[tuple(sorted(attributes.items()))] = value

    def _observe(self, metric: Metric, _: CallbackOptions) -> list[Observation]:
        with self._lock:
            measured, self._measured[metric] = self._measured[metric], {}
        return [Observation(value, _named(dict(attributes))) for attributes, value in measured.items()]


class Span:
    """A span that is going on."""

    def __init__(self, span: ApiSpan) -> None:
        self._span = span

    def note(self, **attributes: str | int) -> None:
        """Take something down on it."""
        self._span.set_attributes(_named(attributes))


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    """Return attributes under our own prefix; what is empty says nothing."""
    return {f"{_NAME}.{name}": value for name, value in attributes.items() if value != ""}
