"""A timer's run, as the timer trigger hands it to the worker."""

import dataclasses
import json
from datetime import UTC, datetime

from azure.functions.meta import Datum

from local.host.bindings import Incoming

#: .NET's default(DateTime), which stands for "never".
_NEVER = "0001-01-01T00:00:00+00:00"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimerStatus:
    """What is remembered of a timer: the occurrence it last ran for, the next, and when that was written."""

    last: datetime | None
    next: datetime
    last_updated: datetime

    def to_json(self) -> str:
        """Return the status blob's text, with the real host's names."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, str]:
        """Return the fields under the real host's names."""
        return {
            "Last": self.last.isoformat() if self.last else _NEVER,
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_json(cls, text: str) -> "TimerStatus | None":
        """Return the status in a blob, or None when it cannot be read (it is then written anew)."""
        try:
            fields = json.loads(text)
            last = None if fields["Last"].startswith("0001-") else _read_moment(fields["Last"])
            return cls(
                last=last, next=_read_moment(fields["Next"]), last_updated=_read_moment(fields["LastUpdated"])
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def incoming_timer(status: TimerStatus | None, *, past_due: bool) -> Incoming:
    """Return what the function is given."""
    document = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": status.as_dict() if status else None,
        "IsPastDue": past_due,
    }
    return Incoming(binding="timerTrigger", datum=Datum(json.dumps(document), "json"))


def _read_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
