"""
No secret of an application that sends by itself reaches a log, a table, an event or an answer.

Client secret, certificate and managed identity each have a sender; their credentials work first and are
refused then, for what fails says more than what works.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local.microsoft.directory import CLIENT_ID, TENANT_ID
from local.ports import Ports
from local.stack import Stack
from tests.end_to_end.desk import Desk, new_id
from tests.end_to_end.test_canary import SHORTEST, found_in, in_the_vault, queued_in, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# PEM breaks its lines at 64 characters; what is shorter is no whole line.
LINE_OF_A_KEY = 64
CREDENTIALS = ("secret", "certificate", "managed_identity")
MAILBOXES = dict(zip(CREDENTIALS, ("noreply", "billing", "reports"), strict=True))


def _mail_toml(ports: Ports) -> str:
    return "".join(
        f"""
[services.by-{credential.replace("_", "-")}]
type = "microsoft"
grant = "app"
credential = "{credential}"
tenant = "{TENANT_ID}"
client_id = "{CLIENT_ID}"
authority = "https://localhost:{ports.identity}/{TENANT_ID}"
[senders.by-{credential.replace("_", "-")}]
service = "by-{credential.replace("_", "-")}"
mailbox = "{MAILBOXES[credential]}@contoso.com"
smtp = {{ host = "localhost", port = {ports.smtp} }}
"""
        for credential in CREDENTIALS
    )


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A stack of its own, in which three applications have sent, and been refused."""
    ports = Ports.free()
    folder: Path = tmp_path_factory.mktemp("apps")
    running = Stack.start(ports, folder, keep_storage=False, more_mail_toml=_mail_toml(ports))
    try:
        desk = Desk(running.facts)
        desk.control.identity({"register_certificate": {"service": "by-certificate"}})
        secret = desk.control.identity({"rotate_client_secret": True})["client_secret"]
        desk.control.vault({"set": {"oauth-by-secret-client-secret": secret}})
        for credential in CREDENTIALS:
            desk.until(_put(desk, credential), "accepted")
        desk.control.identity({"retire_certificates": True, "expire_client_secret": True})
        desk.control.identity({"federated_credential": {"subject": "another"}})
        refused = {"at": "mail", "do": "reply", "reply": "535 5.7.3 Authentication unsuccessful"}
        for credential in CREDENTIALS:
            desk.control.mail({"next": [refused]})
            desk.until(_put(desk, credential), "held", "accepted", "deferred")
        yield desk
    finally:
        running.stop()


def _put(desk: Desk, credential: str) -> str:
    message_id = new_id("app")
    message = {"id": message_id, "sender": f"by-{credential.replace('_', '-')}", "to": "a@example.net"}
    desk.put(message | {"subject": "x", "text": "canary-text"})
    return message_id


@pytest.fixture(scope="module")
def secrets(apps: Desk) -> dict[str, str]:
    found = dict(in_the_vault(apps))
    for name, value in list(found.items()):
        if "certificate" in name and "token" not in name:
            # A line of the key is as bad as the whole.
            lines = [line for line in value.split() if len(line) >= LINE_OF_A_KEY]
            found |= {f"{name}, line {number}": line for number, line in enumerate(lines)}
    assert all(len(secret) >= SHORTEST for secret in found.values())
    return found


def test_enough_secrets_were_found_to_look_for(secrets: dict[str, str]) -> None:
    wanted = {"oauth-by-secret-client-secret 0", "oauth-by-certificate-certificate 0"}
    assert wanted <= set(secrets)
    for credential in CREDENTIALS:
        assert f"grant-by-{credential.replace('_', '-')} 0 access token" in secrets


def test_each_was_refused_and_it_is_said(apps: Desk) -> None:
    for credential in CREDENTIALS:
        hold: dict[str, Any] | None = apps.sender(f"by-{credential.replace('_', '-')}")["hold"]
        assert hold is not None
        assert hold["who"] == "an administrator"


def test_no_secret_stands_in_the_log(apps: Desk, secrets: dict[str, str]) -> None:
    log = apps.log()
    assert "[mail-accepted]" in log
    assert "canary-text" not in log
    assert found_in(log, secrets) == []


def test_no_secret_stands_in_storage(apps: Desk, secrets: dict[str, str]) -> None:
    kept = dict(rows_of(apps.facts["storage"])) | dict(queued_in(apps.facts["storage"]))
    assert "sender.held" in kept["mail-events"]
    assert {name: found for name, text in kept.items() if (found := found_in(text, secrets))} == {}


def test_no_secret_is_told_to_an_operator(apps: Desk, secrets: dict[str, str]) -> None:
    key = {"x-functions-key": apps.facts["key"]}
    for path in ("senders", *(f"oauth/start/by-{each.replace('_', '-')}" for each in CREDENTIALS)):
        answer = apps.get(f"/api/{path}", headers=key)
        assert answer.status_code == 200
        assert found_in(f"{answer.text}{answer.headers}", secrets) == []


def test_a_person_who_opens_the_link_is_told_that_nobody_signs_in(apps: Desk) -> None:
    answer = apps.get("/api/oauth/start/by-secret", headers={"x-functions-key": apps.facts["key"]})
    assert (answer.status_code, "Location" in answer.headers) == (200, False)
    assert "Nobody needs to sign in" in answer.text
    assert "adminconsent" in answer.text
    assert json.dumps(apps.control.vault()["versions"]).count("by-secret") == 2
