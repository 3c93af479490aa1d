"""
Telemetry: what spans and metrics are called, and the silence where nobody listens.

One trace goes from the queue message to the reply of the mail server; on it are ids, states and verdicts, never
an address, a subject or a token. The numbers here are the ones that the workbook and the alerts of ``infra/``
ask for.
"""

from __future__ import annotations

import enum
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Span


class Metric(enum.StrEnum):
    """Every number that is told, by the name that infrastructure knows it by."""

    #: Messages that the mail server took, by ``sender``.
    ACCEPTED = "sendoff.accepted"
    #: Attempts after which a message goes again later, by ``sender``.
    DEFERRED = "sendoff.deferred"
    #: Messages that were refused for good, by ``sender``.
    REJECTED = "sendoff.rejected"
    #: Messages that wait for a person, by ``sender``.
    HELD = "sendoff.held"
    #: Seconds that the oldest message of a line has waited since it could have gone, by ``sender``.
    OLDEST_WAITING = "sendoff.oldest_waiting_seconds"
    #: Seconds that the token in the vault has left, by ``sender``.
    TOKEN_LEFT = "sendoff.token_seconds_left"  # noqa: S105 - a name, no secret
    #: What came of asking for new tokens, by ``sender`` and ``outcome``.
    REFRESHES = "sendoff.refreshes"


class Silence:
    """Telemetry where no exporter is set up: nothing is loaded and nothing is kept."""

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
