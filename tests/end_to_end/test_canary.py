"""
No secret reaches a log or a table: looked for after everything else has happened.

The secrets are collected where they are made: from the vault, the identity provider's redirects and the
sealed flow that a browser's cookie opens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from azure.data.tables import TableServiceClient

from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_consents import TABLE, TableConsents
from tests.end_to_end.desk import Desk, new_id
from tests.end_to_end.test_consent import begin, come_back, headline
from tests.local.microsoft.walker import walk
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is shorter could stand in a log by chance.
SHORTEST = 12


@pytest.fixture(scope="module")
def secrets(desk: Desk) -> dict[str, str]:
    """Sign in once more, step by step, let tokens be refused and renewed, and return every secret by name."""
    found = _sign_in(desk)
    _refresh_and_fail(desk)
    found |= dict(_in_the_vault(desk))
    found["function key"] = desk.facts["key"]
    found["identity header"] = desk.facts["settings"]["IDENTITY_HEADER"]
    assert all(len(secret) >= SHORTEST for secret in found.values())
    return found


def _sign_in(desk: Desk) -> dict[str, str]:
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
        assert headline(come_back(desk, browser, answer)) == "Not connected"
        again = walk(browser, begin(desk, browser).headers["Location"])
        assert headline(come_back(desk, browser, again)) == "Connected"
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


def _in_the_vault(desk: Desk) -> Iterator[tuple[str, str]]:
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


def test_no_secret_stands_in_the_log(desk: Desk, secrets: dict[str, str]) -> None:
    log = eventually(desk.log)
    assert "[mail-accepted]" in log
    assert [name for name, secret in secrets.items() if secret in log] == []
    for part in ("canary-text", "Bearer ", "zoe@example.net"):
        assert part not in log


def test_no_secret_stands_in_a_table(desk: Desk, secrets: dict[str, str]) -> None:
    with TableServiceClient.from_connection_string(desk.facts["storage"]) as storage:
        names = [table.name for table in storage.list_tables()]
        assert {"ledger", "leases", "consents", "senders", "waiting"} <= set(names)
        for name in names:
            with storage.get_table_client(name) as table:
                rows = " ".join(str(dict(row)) for row in table.list_entities())
            assert [secret for secret, value in secrets.items() if value in rows] == []
