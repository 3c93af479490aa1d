"""
The numbers that Sendoff tells, by the names that the workbook and the alerts of ``infra/`` ask for.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Metric(enum.StrEnum):
    """Every number that is told, by the name that infrastructure knows it by."""

    #: Messages that the mail server took, by ``sender``.
    ACCEPTED = "sendoff.accepted"
    #: Times that a message was put off, after an attempt or because others are before it, by ``sender``.
    DEFERRED = "sendoff.deferred"
    #: Messages that were refused for good, by ``sender``.
    REJECTED = "sendoff.rejected"
    #: Messages that wait for a person, by ``sender``.
    HELD = "sendoff.held"
    #: Seconds that the oldest message of a line has waited, by ``sender``; a hold that is over counts.
    OLDEST_WAITING = "sendoff.oldest_waiting_seconds"
    #: Seconds that the token in the vault has left, by ``sender``.
    TOKEN_LEFT = "sendoff.token_seconds_left"  # noqa: S105 - a name, no secret
    #: What came of asking for new tokens, by ``sender`` and ``outcome``.
    REFRESHES = "sendoff.refreshes"


#: What is counted where a message comes to a state.
OF_STATE: Mapping[State, Metric] = {
    State.ACCEPTED: Metric.ACCEPTED,
    State.DEFERRED: Metric.DEFERRED,
    State.REJECTED: Metric.REJECTED,
    State.HELD: Metric.HELD,
}
