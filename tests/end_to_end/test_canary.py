"""
No secret reaches a log, a table, an event or a page: looked for after everything else has happened.

The secrets are collected where they are made: from the vault, the identity provider's redirects and the
sealed flow that a browser's cookie opens.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_consents import TABLE, TableConsents
from tests.end_to_end.desk import Desk, new_id
from tests.end_to_end.test_consent import begin, come_back, headline
from tests.end_to_end.test_consent_abuse import press
from tests.local.microsoft.walker import walk
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is shorter could stand in a log by chance.
SHORTEST = 12


# What a secret looks like that nobody here has in hand: a JWT (an assertion is one), a key, a header, a form.
LOOKS_SECRET = re.compile(
    r"eyJ[\w-]{10,}\.|-----BEGIN|Bearer \S|client_assertion=|client_secret=|code_verifier=|refresh_token=\S"
)


@pytest.fixture(scope="module")
def pages() -> list[str]:
    """Every page that was shown, with its headers."""
    return []


@pytest.fixture(scope="module")
def secrets(desk: Desk, pages: list[str]) -> dict[str, str]:
    """Sign in once more, step by step, let tokens be refused and renewed, and return every secret by name."""
    found = _sign_in(desk, pages)
    _refresh_and_fail(desk)
    found |= dict(in_the_vault(desk))
    found["function key"] = desk.facts["key"]
    found["identity header"] = desk.facts["settings"]["IDENTITY_HEADER"]
    assert all(len(secret) >= SHORTEST for secret in found.values())
    return found


def _sign_in(desk: Desk, pages: list[str]) -> dict[str, str]:
    with desk.session() as browser:
        begun = begin(desk, browser)
        ((_, cookie),) = browser.cookies.get_dict().items()
        (state,) = parse_qs(urlsplit(begun.headers["Location"]).query)["state"]
        consents = TableConsents(Table(TABLE, Account(desk.facts["storage"])))
        pending = consents.find(state=state, key=cookie)
        assert pending is not None
        flow = json.loads(pending.flow)
        answer = walk(browser, begun.headers["Location"])
        # A sign-in that fails says more than one that works: the code is tried in vain first.
        desk.control.identity({"fail_next": {"token": {"status": 400, "code": "70008"}}})
        failed = come_back(desk, browser, answer)
        assert headline(failed) == "Not connected"
        second = begin(desk, browser)
        again = walk(browser, second.headers["Location"])
        connected = come_back(desk, browser, again)
        assert headline(connected) == "Connected"
        reloaded = come_back(desk, browser, again)
        (kept,) = parse_qs(urlsplit(second.headers["Location"]).query)["state"]
        sent = press(desk, browser, {"state": kept, "do": "test", "to": "canary@example.net"})
        # The form of the page has the state of a sign-in that is over; it opens nothing without the cookie.
        shown = (failed, connected, reloaded, sent)
        pages += [f"{page.text.replace(kept, '')}{page.headers}" for page in shown]
    return {
        "cookie": cookie,
        "state": state,
        "code": answer["code"],
        "second code": again["code"],
        "code verifier": flow["code_verifier"],
        "nonce": flow["nonce"],
    }


def _refresh_and_fail(desk: Desk) -> None:
    """Let sending meet refused tokens, and a provider that answers with a page."""
    refused = {"at": "mail", "do": "reply", "reply": "535 5.7.3 Authentication unsuccessful"}
    # The first takes the token of the sign-in; of the others, one fails to get a new token and one gets it.
    for pages in (0, 1, 0):
        desk.control.mail({"next": [refused]})
        desk.control.identity({"html_instead_of_json": pages})
        message_id = new_id("canary")
        desk.put({"id": message_id, "to": "a@example.net", "subject": message_id, "text": "canary-text"})
        desk.until(message_id, "accepted", seconds=90)


def in_the_vault(desk: Desk) -> Iterator[tuple[str, str]]:
    """Give every secret of the vault by name, each version of it; of grants the tokens."""
    facts = desk.facts
    with desk.session() as admin:
        token = _managed_identity_token(facts)
        admin.headers["Authorization"] = f"Bearer {token}"
        yield "vault token", token

        def get(url: str) -> Any:
            answer = admin.get(url, params={"api-version": "7.4"}, timeout=30)
            answer.raise_for_status()
            return answer.json()

        for name in desk.secrets():
            for number, version in enumerate(get(f"{facts['vault']}/secrets/{name}/versions")["value"]):
                value = get(version["id"])["value"]
                if not name.startswith("grant-"):
                    yield f"{name} {number}", value
                    continue
                grant = json.loads(value)
                if grant["refresh_token"]:  # an application's own has none
                    yield f"{name} {number} refresh token", grant["refresh_token"]
                yield f"{name} {number} access token", grant["access_token"]


def _managed_identity_token(facts: dict[str, Any]) -> str:
    with requests.Session() as app:
        app.trust_env = False
        answer = app.get(
            facts["managed_identity"],
            params={"resource": "https://vault.azure.net", "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": facts["settings"]["IDENTITY_HEADER"]},
            timeout=30,
        )
    return str(answer.json()["access_token"])


def test_enough_secrets_were_found_to_look_for(secrets: dict[str, str]) -> None:
    assert {"cookie", "code", "code verifier", "oauth-microsoft-client-secret 0"} <= set(secrets)
    assert "grant-noreply 0 refresh token" in secrets
    assert LOOKS_SECRET.search(secrets["grant-noreply 0 access token"])


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets that stand in a text, and whatever else looks like one."""
    return [name for name, secret in secrets.items() if secret in text] + LOOKS_SECRET.findall(text)


def rows_of(storage: str) -> Iterator[tuple[str, str]]:
    """Give each table with all that is in it."""
    with TableServiceClient.from_connection_string(storage) as tables:
        for name in [table.name for table in tables.list_tables()]:
            with tables.get_table_client(name) as table:
                yield name, " ".join(str(dict(row)) for row in table.list_entities())


def queued_in(storage: str) -> Iterator[tuple[str, str]]:
    """Give each queue with all that is on it."""
    with QueueServiceClient.from_connection_string(storage) as queues:
        for name in [queue.name for queue in queues.list_queues()]:
            with queues.get_queue_client(name) as queue:
                received = queue.receive_messages(messages_per_page=32, visibility_timeout=5)
                yield name, " ".join(str(each.content) for each in received)


def test_no_secret_stands_in_the_log(desk: Desk, secrets: dict[str, str]) -> None:
    log = eventually(desk.log)
    assert "[mail-accepted]" in log
    assert found_in(log, secrets) == []
    for part in ("canary-text", "zoe@example.net"):
        assert part not in log


def test_no_secret_stands_in_a_table(desk: Desk, secrets: dict[str, str]) -> None:
    rows = dict(rows_of(desk.facts["storage"]))
    assert {"ledger", "leases", "consents", "senders", "waiting"} <= set(rows)
    assert {name: found for name, text in rows.items() if (found := found_in(text, secrets))} == {}


def test_no_secret_stands_in_an_event_or_on_any_queue(desk: Desk, secrets: dict[str, str]) -> None:
    queued = dict(queued_in(desk.facts["storage"]))
    assert "sender.connected" in queued["mail-events"]
    assert {name: found for name, text in queued.items() if (found := found_in(text, secrets))} == {}


def test_no_secret_stands_on_a_page(secrets: dict[str, str], pages: list[str]) -> None:
    assert len(pages) == 4
    assert [found for page in pages if (found := found_in(page, secrets))] == []


def test_no_secret_is_told_to_an_operator(desk: Desk, secrets: dict[str, str]) -> None:
    key = {"x-functions-key": desk.facts["key"]}
    for path in ("senders", "senders/noreply", "messages", "schedules", "openapi.json", "senders/nobody"):
        answer = desk.get(f"/api/{path}", headers=key)
        assert found_in(f"{answer.text}{answer.headers}", secrets) == []
