"""
host.json: the numbers it may set, with the real host's defaults and bounds.

Sources: Microsoft.Azure.WebJobs.Extensions.Storage (QueuesOptions), the Functions host (ScriptJobHostOptions)
and their reference page, "host.json reference for Azure Functions 2.x and later".
"""

import dataclasses
import enum
import json
import logging
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.host.options import StartError


class MessageEncoding(enum.Enum):
    """How the text of a queue message becomes what a function sees."""

    #: The text is Base64 of the body; the default, and what older storage clients write.
    BASE64 = "base64"
    #: The text is the body.
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """`extensions.queues`."""

    max_polling_interval: timedelta = timedelta(minutes=1)
    #: How long a message stays hidden after its function failed.
    visibility_timeout: timedelta = timedelta(0)
    batch_size: int = 16
    max_dequeue_count: int = 5
    new_batch_threshold: int = 8
    message_encoding: MessageEncoding = MessageEncoding.BASE64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What this host honours of host.json."""

    queues: QueueSettings = dataclasses.field(default_factory=QueueSettings)
    route_prefix: str = "api"
    #: None when unlimited.
    function_timeout: timedelta | None = timedelta(minutes=30)
    log_level: int = logging.INFO


#: Queue service: at most 32 messages in one Get Messages call.
_MAX_BATCH_SIZE = 32
#: QueuePollingIntervals.Minimum.
_MIN_POLLING_INTERVAL = timedelta(milliseconds=100)

_TIME_SPAN = re.compile(r"(?:(?P<d>\d+)\.)?(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{1,2}(?:\.\d{1,7})?))?")

_LOG_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


def parse_time_span(text: str) -> timedelta:
    """Return the length of a TimeSpan such as `00:00:30` or `1.00:00:00`; ValueError for anything else."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a time span (hh:mm:ss): {text!r}")
    days, hours, minutes, seconds = match.group("d", "h", "m", "s")
    if int(hours) > 23 or int(minutes) > 59 or float(seconds or 0) >= 60:  # noqa: PLR2004 (a clock's)
        raise ValueError(f"not a time span (hh:mm:ss): {text!r}")
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds or 0))


def read_host_json(folder: Path, *, cores: int | None = None) -> HostSettings:
    """Return the settings of `folder`'s host.json; StartError names every bad one."""
    path = folder / "host.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StartError(f"{path} is missing: a Functions project needs one") from None
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}") from None
    return parse_host_settings(document, cores=cores or os.cpu_count() or 1, source=str(path))


def parse_host_settings(document: object, *, cores: int, source: str = "host.json") -> HostSettings:
    """Return what a parsed host.json says; StartError names every bad setting at once."""
    reader = _Reader(document)
    if reader.value("version") != "2.0":
        reader.problems.append('version must be "2.0"')
    batch_size = reader.number("extensions.queues.batchSize", 16, least=1, most=_MAX_BATCH_SIZE)
    settings = HostSettings(
        queues=QueueSettings(
            max_polling_interval=reader.span(
                "extensions.queues.maxPollingInterval", timedelta(minutes=1), least=_MIN_POLLING_INTERVAL
            ),
            visibility_timeout=reader.span("extensions.queues.visibilityTimeout", timedelta(0)),
            batch_size=batch_size,
            max_dequeue_count=reader.number("extensions.queues.maxDequeueCount", 5, least=1),
            new_batch_threshold=reader.number(
                "extensions.queues.newBatchThreshold", batch_size // 2 * cores, least=0
            ),
            message_encoding=reader.encoding("extensions.queues.messageEncoding"),
        ),
        route_prefix=reader.text("extensions.http.routePrefix", "api").strip("/"),
        function_timeout=reader.timeout("functionTimeout"),
        log_level=reader.level("logging.logLevel.default"),
    )
    if reader.problems:
        raise StartError(f"{source}: " + "; ".join(reader.problems))
    return settings


class _Reader:
    """Reads one setting at a time by its dotted path and collects what is wrong."""

    def __init__(self, document: object) -> None:
        self._document = document
        self.problems: list[str] = []

    def value(self, path: str) -> Any:
        found: Any = self._document
        for name in path.split("."):
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return found

    def number(self, path: str, default: int, *, least: int, most: int | None = None) -> int:
        value = self.value(path)
        if value is None:
            return default
        if type(value) is not int or value < least or (most is not None and value > most):
            bounds = f"{least} to {most}" if most is not None else f"{least} or more"
            self.problems.append(f"{path} must be a whole number, {bounds}, not {value!r}")
            return default
        return value

    def span(self, path: str, default: timedelta, *, least: timedelta = timedelta(0)) -> timedelta:
        value = self.value(path)
        if value is None:
            return default
        try:
            span = parse_time_span(value) if isinstance(value, str) else timedelta(milliseconds=value)
        except (TypeError, ValueError):
            self.problems.append(f"{path} must be a time span (hh:mm:ss), not {value!r}")
            return default
        if span < least:
            self.problems.append(f"{path} must be at least {least}, not {value!r}")
            return default
        return span

    def text(self, path: str, default: str) -> str:
        value = self.value(path)
        if value is None:
            return default
        if not isinstance(value, str):
            self.problems.append(f"{path} must be a string, not {value!r}")
            return default
        return value

    def timeout(self, path: str) -> timedelta | None:
        if self.value(path) == "-1":
            return None
        return self.span(path, timedelta(minutes=30), least=timedelta(seconds=1))

    def encoding(self, path: str) -> MessageEncoding:
        value = self.text(path, "base64")
        try:
            return MessageEncoding(value.lower())
        except ValueError:
            self.problems.append(f'{path} must be "base64" or "none", not {value!r}')
            return MessageEncoding.BASE64

    def level(self, path: str) -> int:
        value = self.text(path, "Information")
        if value.lower() not in _LOG_LEVELS:
            self.problems.append(f"{path} must be one of {', '.join(_LOG_LEVELS)}, not {value!r}")
        return _LOG_LEVELS.get(value.lower(), logging.INFO)
