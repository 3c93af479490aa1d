"""
Telemetry where nobody listens: no exporter is set up, so nothing is loaded and nothing is kept.

Where one is, ``adapters.open_telemetry`` stands in this place. One trace goes from the queue message to the
reply of the mail server; on it are ids, states and verdicts, never an address, a subject or a token.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.metrics import Metric
    from shared.ports import Span


class Silence:
    """Tells nobody anything."""

    @contextmanager
    def continued(self, traceparent: str, tracestate: str) -> Iterator[None]:
        """Do what is inside."""
        del traceparent, tracestate
        yield

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[Span]:
        """Do what is inside, and tell nobody."""
        del name, attributes
        yield _SILENT

    def count(self, metric: Metric, **attributes: str) -> None:
        """Count nothing."""

    def gauge(self, metric: Metric, value: float, **attributes: str) -> None:
        """Measure nothing."""


class _SilentSpan:
    def note(self, **attributes: str | int) -> None:
        """Take nothing down."""


_SILENT = _SilentSpan()
