"""
What reaches Application Insights: the official worker, Azure Monitor's exporter, and one who listens.

The worker is told of it by the settings that the deployment sets, and hands our functions the host's trace.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from local.environment import ROOT
from tests.end_to_end.desk import new_id

if TYPE_CHECKING:
    from local.azurite import Azurite
    from local.microsoft.cloud import Cloud

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CANARIES = ("canary-to", "canary-subject", "canary-text", "canary-file")


class Ingestion:
    """Application Insights' endpoint: takes everything, and keeps it."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    @property
    def connection_string(self) -> str:
        """What the setting is."""
        url = f"http://127.0.0.1:{self.server.server_port}/"
        key = "12345678-1234-4234-8234-123456789012"
        return f"InstrumentationKey={key};IngestionEndpoint={url};LiveEndpoint={url}"

    def close(self) -> None:
        """Listen no longer."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        items = self.items

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = {}
                if self.path.endswith("/track"):
                    found = json.loads(body)
                    items.extend(found)
                    answer = {"itemsReceived": len(found), "itemsAccepted": len(found), "errors": []}
                octets = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.send_header("x-ms-qps-subscribed", "false")
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Say nothing."""

        return Handler


@dataclass
class Told:
    """What the worker said of itself, and what came to the endpoint."""

    worker: dict[str, Any]
    message_id: str
    items: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the items of a kind, each with its operation."""
        return [
            {**each["data"]["baseData"], "tags": each["tags"]}
            for each in self.items
            if each["data"]["baseType"] == kind
        ]

    def spans(self) -> dict[str, dict[str, Any]]:
        """Return our own spans by their names."""
        ours = ("attempt", "compose", "token", "smtp")
        return {each["name"]: each for each in self.of("RemoteDependencyData") if each["name"] in ours}


@pytest.fixture(scope="module")
def told(azurite: Azurite, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("told")
    (folder / "mail.toml").write_text(f"""
        [services.microsoft]
        type = "microsoft"
        grant = "app"
        tenant = "{cloud.tenant.id}"
        client_id = "{cloud.app.client_id}"
        authority = "{cloud.authority}"
        [senders.telling]
        service = "microsoft"
        mailbox = "noreply@contoso.com"
        smtp = {{ host = "localhost", port = {cloud.smtp_port} }}
    """)
    message_id = new_id("told")
    message = {
        "id": message_id,
        "to": "canary-to@example.net",
        "subject": "canary-subject",
        "text": "canary-text",
        "attachments": [{"filename": "canary-file.txt", "content": "Y2FuYXJ5LWZpbGU="}],
    }
    ingestion = Ingestion()
    environ = {
        **os.environ,
        "AzureWebJobsStorage": azurite.connection_string,
        "PUBLIC_URL": "http://localhost:7071",
        "MAIL_CONFIG": str(folder / "mail.toml"),
        "OUTBOX_QUEUE": new_id("told"),
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true",
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "azure_sdk,requests,urllib,urllib3",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string,
        # What the exporter tells Microsoft of itself and asks there would leave this machine.
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "TMPDIR": str(folder),
    }
    module = ("-m", "tests.end_to_end.telemetry_worker")
    try:
        done = subprocess.run(
            [sys.executable, *module, f"00-{TRACE}-{PARENT}-01", json.dumps(message)],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,  # what it tells must not make it tell more, for good
        )
    finally:
        ingestion.close()
    assert done.returncode == 0, done.stderr
    return Told(json.loads(done.stdout.splitlines()[-1]), message_id, ingestion.items)


def test_the_worker_says_that_it_tells(told: Told) -> None:
    assert told.worker["failed"] == ["", ""]
    assert told.worker["capabilities"]["WorkerOpenTelemetryEnabled"] == "true"


def test_our_spans_are_in_the_trace_of_the_hosts_invocation(told: Told) -> None:
    spans = told.spans()
    assert spans.keys() == {"attempt", "compose", "token", "smtp"}
    assert {each["tags"]["ai.operation.id"] for each in spans.values()} == {TRACE}
    assert spans["attempt"]["tags"]["ai.operation.parentId"] == PARENT
    for name in ("compose", "token", "smtp"):
        assert spans[name]["tags"]["ai.operation.parentId"] == spans["attempt"]["id"]


def test_a_message_is_found_by_its_id_and_the_servers_answer_with_it(told: Told) -> None:
    spans = told.spans()
    assert spans["attempt"]["properties"] == {
        "sendoff.message_id": told.message_id,
        "sendoff.sender": "telling",
        "sendoff.attempt": "1",
        "sendoff.state": "accepted",
    }
    assert spans["smtp"]["properties"]["sendoff.verdict"] == "accepted"
    assert spans["smtp"]["properties"]["sendoff.reply_code"] == "250"


def test_the_logs_words_arrive_where_the_alerts_look_for_them(told: Told) -> None:
    said = [each for each in told.of("MessageData") if each["properties"].get("event") == "mail-accepted"]
    assert [(each["properties"]["message_id"], each["tags"]["ai.operation.id"]) for each in said] == [
        (told.message_id, TRACE)
    ]


def test_numbers_arrive_by_their_names_split_by_sender(told: Told) -> None:
    numbers = {each["metrics"][0]["name"]: each for each in told.of("MetricData")}
    ours = {name: each for name, each in numbers.items() if name.startswith("sendoff.")}
    assert ours.keys() == {"sendoff.accepted", "sendoff.token_seconds_left", "sendoff.refreshes"}
    assert ours["sendoff.accepted"]["metrics"][0]["value"] == 1
    assert {name: each["properties"].get("sendoff.sender") for name, each in ours.items()} == dict.fromkeys(
        ours, "telling"
    )


def test_what_comes_without_a_trace_is_in_none_of_another(told: Told) -> None:
    said = [each for each in told.of("MessageData") if each["properties"].get("event") == "upkeep-done"]
    assert [each["tags"].get("ai.operation.id") == TRACE for each in said] == [False]


def test_nothing_that_reaches_application_insights_tells_of_the_mail_or_how_it_was_proved(
    told: Told, cloud: Cloud
) -> None:
    whole = json.dumps(told.items)
    assert told.message_id in whole
    assert [canary for canary in CANARIES if canary in whole] == []
    assert cloud.client_secret not in whole
    assert Counter(part in whole for part in ("Bearer ", "auth=Bearer", "eyJ")) == {False: 3}
