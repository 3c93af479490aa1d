"""Every function, loaded and run by the package that runs it in Azure, azure-functions-runtime."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import azure_functions_runtime
import pytest
import requests
from azure.data.tables import TableClient
from azure.functions.meta import Datum
from azure.storage.blob import BlobClient
from azure.storage.queue import QueueMessage

from local.environment import ROOT
from local.host.bindings.queue_trigger import incoming_message
from local.host.bindings.timer_trigger import incoming_timer
from shared.core.message import json_schema
from tests.end_to_end.desk import new_id
from tests.end_to_end.worker_messages import PROTOS, RpcHttpCookie, invocation, request
from tests.local.microsoft.walker import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.azurite import Azurite
    from local.microsoft.cloud import Cloud

# Pytest puts its own filters in the place of those that a module sets for good.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode='form_post':UserWarning")

# The one redirect URI that the stand-in's app registration has from the start.
PUBLIC_URL = "http://localhost:7071"
FUNCTIONS = {
    *("send", "dead_letter", "upkeep", "release", "oauth_start", "oauth_redirect", "message_schema"),
    *("senders", "sender", "sender_hold", "sender_resume", "sender_test", "sender_grant", "health"),
    "oauth_connected",
    *("message_post", "messages", "message", "schedules", "schedule", "openapi"),
}


@dataclass
class OfficialWorker:
    """The runtime, initialised on our function_app.py."""

    azurite: Azurite
    cloud: Cloud
    queue: str
    functions: dict[str, Any]

    def run(self, name: str, datum: Datum, metadata: Mapping[str, Datum] | None = None) -> Any:
        """Run a function and return the host's answer; fails when the function did."""
        function = self.functions[name]
        (argument,) = (each for each in function.bindings if each != "$return")
        message = invocation(
            function.function_id, argument, datum, metadata or {}, invocation_id=str(uuid.uuid4())
        )
        answer = asyncio.run(azure_functions_runtime.invocation_request(message))
        assert answer.result.status == PROTOS.StatusResult.Success, vars(answer.result)
        return answer

    def deliver(self, name: str, body: str) -> str:
        """Run a queue function as the host does for a message of the queue; returns its id."""
        now = datetime.now(UTC)
        message = QueueMessage(
            id=str(uuid.uuid4()),
            content=body,
            dequeue_count=1,
            inserted_on=now,
            expires_on=now + timedelta(days=7),
            next_visible_on=now + timedelta(minutes=10),
            pop_receipt="AgAAAAMAAAAAAAAA",
        )
        came = incoming_message(message, body)
        self.run(name, came.datum, came.metadata)
        assert message.id
        return message.id

    def get(
        self,
        name: str,
        *,
        params: Mapping[str, str] | None = None,
        url: str = "",
        cookie: str = "",
        method: str = "GET",
        body: bytes = b"",
    ) -> Any:
        """Run an HTTP function and return the response as the host gets it."""
        headers = {"host": "localhost:7071"} | ({"cookie": cookie} if cookie else {})
        query = dict(parse_qsl(urlsplit(url).query))
        value = {
            "method": Datum(method, "string"),
            "url": Datum(url or PUBLIC_URL, "string"),
            "headers": _data(headers),
            "query": _data(query),
            "params": _data(params or {}),
            "body": Datum(body, "bytes"),
        }
        return self.run(name, Datum(value, "http")).return_value.http

    def entry(self, message_id: str) -> dict[str, Any]:
        with TableClient.from_connection_string(self.azurite.connection_string, "ledger") as table:
            return dict(table.get_entity(message_id, "message"))


def _data(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


@pytest.fixture(scope="module")
def worker(
    azurite: Azurite, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OfficialWorker]:
    mail_config = tmp_path_factory.mktemp("app") / "mail.toml"
    mail_config.write_text(f"""
        [services.microsoft]
        type = "microsoft"
        tenant = "{cloud.tenant.id}"
        client_id = "{cloud.app.client_id}"
        authority = "{cloud.authority}"
        [senders.runtime]
        service = "microsoft"
        mailbox = "noreply@contoso.com"
        smtp = {{ host = "localhost", port = {cloud.smtp_port} }}
    """)
    queue = new_id("runtime")
    with pytest.MonkeyPatch.context() as azure:
        azure.setenv("AzureWebJobsStorage", azurite.connection_string)
        azure.setenv("PUBLIC_URL", PUBLIC_URL)
        azure.setenv("MAIL_CONFIG", str(mail_config))
        azure.setenv("OUTBOX_QUEUE", queue)
        azure.delitem(sys.modules, "function_app", raising=False)  # a worker imports it in a new process
        azure_functions_runtime.start_threadpool_executor()
        try:
            yield OfficialWorker(azurite, cloud, queue, _start())
        finally:
            azure_functions_runtime.stop_threadpool_executor()


def _start() -> dict[str, Any]:
    """Do what the host does first, and return the functions that were found."""

    async def begin() -> dict[str, Any]:
        started = await azure_functions_runtime.worker_init_request(
            request(worker_init_request=_Fields(capabilities={}, function_app_directory=str(ROOT)))
        )
        assert started.result.status == PROTOS.StatusResult.Success, vars(started.result)
        indexed = await azure_functions_runtime.functions_metadata_request(request())
        assert not indexed.use_default_metadata_indexing
        functions = {each.name: each for each in indexed.function_metadata_results}
        for each in functions.values():
            loaded = await azure_functions_runtime.function_load_request(
                request(function_load_request=_Fields(function_id=each.function_id))
            )
            assert (loaded.function_id, loaded.result.status) == (
                each.function_id,
                PROTOS.StatusResult.Success,
            )
        return functions

    return asyncio.run(begin())


class _Fields:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.fixture(scope="module")
def connected(worker: OfficialWorker) -> OfficialWorker:
    """The same, after somebody has signed in through the two HTTP functions."""
    begun = worker.get("oauth_start", params={"sender": "runtime"})
    assert begun.status_code == "302"
    (cookie,) = begun.cookies
    with requests.Session() as browser:
        browser.trust_env = False
        browser.verify = str(worker.cloud.ca_file)
        answer = walk(browser, begun.headers["Location"])
    url = requests.Request("GET", f"{PUBLIC_URL}/api/oauth/redirect", params=answer).prepare().url
    assert url
    page = worker.get("oauth_redirect", url=url, cookie=f"{cookie.name}={cookie.value}")
    assert page.status_code == "200"
    assert b"<h1>Connected</h1>" in page.body.bytes
    return worker


def test_every_function_is_found_with_its_trigger(worker: OfficialWorker) -> None:
    assert set(worker.functions) == FUNCTIONS
    found: dict[str, Any] = {}
    for name, function in worker.functions.items():
        for raw in function.raw_bindings:
            binding = json.loads(raw)
            if binding["type"].endswith("Trigger"):
                found[name] = {key: binding.get(key) for key in ("type", "queueName", "route", "schedule")}
                found[name]["auth"] = binding.get("authLevel")
    assert found == {
        "send": _trigger("queueTrigger", queueName=worker.queue),
        "dead_letter": _trigger("queueTrigger", queueName=f"{worker.queue}-poison"),
        "upkeep": _trigger("timerTrigger", schedule="0 */15 * * * *"),
        "release": _trigger("timerTrigger", schedule="0 * * * * *"),
        "oauth_start": _trigger("httpTrigger", route="oauth/start/{sender}", auth="FUNCTION"),
        "oauth_redirect": _trigger("httpTrigger", route="oauth/redirect", auth="ANONYMOUS"),
        "oauth_connected": _trigger("httpTrigger", route="oauth/connected", auth="ANONYMOUS"),
        "message_schema": _trigger("httpTrigger", route="schemas/message.json", auth="ANONYMOUS"),
        "message_post": _trigger("httpTrigger", route="messages", auth="FUNCTION"),
        "messages": _trigger("httpTrigger", route="messages", auth="FUNCTION"),
        "message": _trigger("httpTrigger", route="messages/{id}", auth="FUNCTION"),
        "schedules": _trigger("httpTrigger", route="schedules", auth="FUNCTION"),
        "schedule": _trigger("httpTrigger", route="schedules/{name}", auth="FUNCTION"),
        "openapi": _trigger("httpTrigger", route="openapi.json", auth="ANONYMOUS"),
        "senders": _trigger("httpTrigger", route="senders", auth="FUNCTION"),
        "sender": _trigger("httpTrigger", route="senders/{sender}", auth="FUNCTION"),
        "sender_hold": _trigger("httpTrigger", route="senders/{sender}/hold", auth="FUNCTION"),
        "sender_resume": _trigger("httpTrigger", route="senders/{sender}/resume", auth="FUNCTION"),
        "sender_test": _trigger("httpTrigger", route="senders/{sender}/test", auth="FUNCTION"),
        "sender_grant": _trigger("httpTrigger", route="senders/{sender}/grant", auth="FUNCTION"),
        "health": _trigger("httpTrigger", route="health", auth="ANONYMOUS"),
    }


def _trigger(kind: str, **more: str) -> dict[str, str | None]:
    return {"type": kind, "queueName": None, "route": None, "schedule": None, "auth": None} | more


def test_the_cookie_leaves_as_it_was_meant(worker: OfficialWorker) -> None:
    begun = worker.get("oauth_start", params={"sender": "runtime"})
    (cookie,) = begun.cookies
    assert cookie.name.startswith("sendoff-consent-")
    assert cookie.http_only.value is True
    assert cookie.secure.value is False  # PUBLIC_URL is plain http here
    assert cookie.same_site == RpcHttpCookie.SameSite.Lax
    assert (cookie.max_age.value, cookie.path.value) == (900.0, "/")
    assert begun.headers["Cache-Control"] == "no-store"


def test_a_message_is_sent(connected: OfficialWorker) -> None:
    message_id = new_id("runtime")
    connected.deliver(
        "send",
        json.dumps(
            {"id": message_id, "to": "ada@example.net", "subject": f"Grüße {message_id}", "text": "x"}
        ),
    )
    entry = connected.entry(message_id)
    assert (entry["state"], entry["attempts"]) == ("accepted", 1)
    (mail,) = (mail for mail in connected.cloud.store.messages() if message_id.encode() in mail.raw)
    assert (mail.auth_user, mail.rcpt_to) == ("noreply@contoso.com", ("ada@example.net",))


def test_a_message_without_an_id_gets_its_queue_messages(connected: OfficialWorker) -> None:
    queue_id = connected.deliver("send", json.dumps({"to": "ada@example.net", "text": "x"}))
    assert connected.entry(queue_id)["state"] == "accepted"


def test_an_invalid_message_succeeds_as_a_run_and_is_recorded(worker: OfficialWorker) -> None:
    queue_id = worker.deliver("send", "Hello, Ada!")
    assert worker.entry(queue_id)["state"] == "rejected"


def test_a_dead_letter_is_recorded(worker: OfficialWorker) -> None:
    message_id = new_id("dead")
    body = json.dumps({"id": message_id, "to": "ada@example.net", "text": "x"})
    worker.deliver("dead_letter", body)
    entry = worker.entry(message_id)
    assert entry["state"] == "dead_lettered"
    container, _, path = entry["reason"].rpartition(" ")[2].partition("/")
    with BlobClient.from_connection_string(worker.azurite.connection_string, container, path) as blob:
        assert blob.download_blob().readall() == body.encode()


def test_release_runs(connected: OfficialWorker) -> None:
    connected.run("release", incoming_timer(None, past_due=False).datum)


def test_a_sender_is_held_shown_and_resumed(connected: OfficialWorker) -> None:
    params = {"sender": "runtime"}
    held = connected.get("sender_hold", params=params, method="POST", body=b'{"reason": "we move house"}')
    assert held.status_code == "200"
    message_id = new_id("runtime-held")
    connected.deliver("send", json.dumps({"id": message_id, "to": "ada@example.net", "text": "x"}))
    assert connected.entry(message_id)["state"] == "held"
    (found,) = json.loads(connected.get("senders").body.bytes)["senders"]
    assert found == json.loads(connected.get("sender", params=params).body.bytes)
    assert (found["state"], found["hold"]["reason"]) == ("held", "we move house")
    resumed = connected.get("sender_resume", params=params, method="POST")
    assert json.loads(resumed.body.bytes)["state"] == "sending"
    connected.deliver("send", json.dumps({"action": "serve", "sender": "runtime"}))
    assert connected.entry(message_id)["state"] == "accepted"


def test_an_unknown_sender_gets_problem_details(worker: OfficialWorker) -> None:
    answer = worker.get("sender", params={"sender": "nobody"})
    assert (answer.status_code, answer.headers["content-type"]) == ("404", "application/problem+json")


def test_a_test_mail_is_sent(connected: OfficialWorker) -> None:
    to = f"{new_id('trial')}@example.net"
    params, body = {"sender": "runtime"}, json.dumps({"to": to}).encode()
    answer = connected.get("sender_test", params=params, method="POST", body=body)
    found = json.loads(answer.body.bytes)
    assert (answer.status_code, answer.headers["Location"]) == (
        "202",
        f"{PUBLIC_URL}/api/messages/{found['id']}",
    )
    assert connected.entry(found["id"])["state"] == "queued"


def test_a_strangers_press_gets_a_page(worker: OfficialWorker) -> None:
    answer = worker.get("oauth_connected", method="POST", body=b"state=x&do=disconnect", cookie="x=y")
    assert answer.status_code == "400"
    assert b"No sign-in is under way here" in answer.body.bytes


def test_upkeep_runs(connected: OfficialWorker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="shared")
    connected.run("upkeep", incoming_timer(None, past_due=False).datum)
    assert "upkeep looked at 1 senders: runtime" in caplog.text


def test_the_schema_is_given_to_everybody(worker: OfficialWorker) -> None:
    answer = worker.get("message_schema")
    assert answer.status_code == "200"
    assert json.loads(answer.body.bytes) == json_schema()
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"


def test_health_is_good(worker: OfficialWorker) -> None:
    answer = worker.get("health")
    assert (answer.status_code, answer.body.bytes) == ("200", b"ok")


def test_a_strangers_visit_gets_a_page(worker: OfficialWorker) -> None:
    answer = worker.get("oauth_redirect", url=f"{PUBLIC_URL}/api/oauth/redirect?state=x&code=y", cookie="x=y")
    assert answer.status_code == "400"
    assert b"No sign-in is under way here" in answer.body.bytes
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
