"""How a refusal of Entra's looks: as JSON at the token endpoint, as a redirect, as a page."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.microsoft.aadsts import Aadsts
from local.microsoft.clock import machine_time


@dataclass(eq=False)  # an exception is told from another by identity
class EntraError(Exception):
    """A refusal on its way to the client. `status` overrides the kind's HTTP status."""

    kind: Aadsts
    details: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    trace_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    timestamp: str = field(default_factory=lambda: moment(machine_time()))

    def __str__(self) -> str:
        return self.sentence

    @property
    def error(self) -> str:
        """The OAuth 2 error code."""
        return self.kind.value.error

    @property
    def sentence(self) -> str:
        """The AADSTS code and what it says, without the identifiers of this one request."""
        return f"AADSTS{self.kind.value.code}: {self.kind.value.template.format_map(self.details)}"

    @property
    def description(self) -> str:
        """The whole `error_description`."""
        return (
            f"{self.sentence} Trace ID: {self.trace_id} Correlation ID: {self.correlation_id}"
            f" Timestamp: {self.timestamp}"
        )

    @property
    def http_status(self) -> int:
        """The HTTP status at the token endpoint."""
        return self.status or self.kind.value.status

    def document(self) -> dict[str, Any]:
        """Return the JSON body of the token endpoint."""
        kind = self.kind.value
        document: dict[str, Any] = {
            "error": kind.error,
            "error_description": self.description,
            "error_codes": [kind.code],
            "timestamp": self.timestamp,
            "trace_id": self.trace_id,
            "correlation_id": self.correlation_id,
        }
        if kind.suberror:
            document["suberror"] = kind.suberror
        return document


def moment(when: datetime) -> str:
    """Return a time the way Entra writes it in its errors."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
