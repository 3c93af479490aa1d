import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.host.host_json import (
    HostSettings,
    MessageEncoding,
    QueueSettings,
    parse_host_settings,
    parse_time_span,
    read_host_json,
)
from local.host.options import StartError


def parse(**extensions: Any) -> HostSettings:
    return parse_host_settings({"version": "2.0", "extensions": extensions}, cores=4)


def test_the_defaults_are_the_real_hosts() -> None:
    assert parse() == HostSettings(
        queues=QueueSettings(
            max_polling_interval=timedelta(minutes=1),
            visibility_timeout=timedelta(0),
            batch_size=16,
            max_dequeue_count=5,
            new_batch_threshold=32,  # half a batch for each core
            message_encoding=MessageEncoding.BASE64,
        ),
        route_prefix="api",
        function_timeout=timedelta(minutes=30),
        log_level=logging.INFO,
    )


def test_what_it_says_is_taken() -> None:
    settings = parse_host_settings(
        {
            "version": "2.0",
            "functionTimeout": "-1",
            "logging": {"logLevel": {"default": "Warning"}},
            "extensions": {
                "http": {"routePrefix": ""},
                "queues": {
                    "maxPollingInterval": "00:00:02",
                    "visibilityTimeout": "00:00:30",
                    "batchSize": 8,
                    "newBatchThreshold": 4,
                    "maxDequeueCount": 10,
                    "messageEncoding": "none",
                },
            },
        },
        cores=4,
    )
    assert settings == HostSettings(
        queues=QueueSettings(
            max_polling_interval=timedelta(seconds=2),
            visibility_timeout=timedelta(seconds=30),
            batch_size=8,
            max_dequeue_count=10,
            new_batch_threshold=4,
            message_encoding=MessageEncoding.NONE,
        ),
        route_prefix="",
        function_timeout=None,
        log_level=logging.WARNING,
    )


def test_the_threshold_follows_the_batch_size() -> None:
    assert parse(queues={"batchSize": 4}).queues.new_batch_threshold == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batchSize", 0),
        ("batchSize", 33),
        ("batchSize", True),
        ("batchSize", "16"),
        ("maxDequeueCount", 0),
        ("newBatchThreshold", -1),
        ("maxPollingInterval", "00:00:00.099"),
        ("visibilityTimeout", "soon"),
        ("visibilityTimeout", []),
        ("messageEncoding", "base32"),
    ],
)
def test_what_the_real_host_refuses_is_refused(name: str, value: object) -> None:
    with pytest.raises(StartError, match=f"extensions.queues.{name} must be"):
        parse(queues={name: value})


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(StartError) as raised:
        parse_host_settings(
            {"extensions": {"queues": {"batchSize": 99}, "http": {"routePrefix": 1}}}, cores=1
        )
    assert str(raised.value) == (
        'host.json: version must be "2.0"; '
        "extensions.queues.batchSize must be a whole number, 1 to 32, not 99; "
        "extensions.http.routePrefix must be a string, not 1"
    )


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_missing_or_unreadable_file_is_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "host.json").write_text(text)
    with pytest.raises(StartError, match=r"host\.json"):
        read_host_json(tmp_path)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0"}))
    assert read_host_json(tmp_path, cores=2).queues.new_batch_threshold == 16


def test_what_is_the_real_hosts_alone_is_no_complaint_and_changes_nothing() -> None:
    assert parse_host_settings({"version": "2.0", "telemetryMode": "OpenTelemetry"}, cores=4) == parse()


def test_the_repositorys_own_is_read() -> None:
    root = Path(__file__).resolve().parents[3]
    assert json.loads((root / "host.json").read_text("utf-8"))["telemetryMode"] == "OpenTelemetry"
    assert read_host_json(root).queues.message_encoding is MessageEncoding.NONE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:30", 30), ("01:30", 5400), ("1.00:00:00", 86400), ("00:00:00.5", 0.5), ("23:59:59", 86399)],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert parse_time_span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "30", "24:00:00", "00:60:00", "00:00:60", "-00:00:01", "a:b:c"])
def test_what_is_no_time_span(text: str) -> None:
    with pytest.raises(ValueError, match="not a time span"):
        parse_time_span(text)
