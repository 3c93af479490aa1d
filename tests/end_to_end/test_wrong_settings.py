"""With wrong settings the host starts, says all of what is wrong, is not healthy, and loses no message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.local.host.host_process import ROOT, HostProcess, running_host
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.desk import Desk

WRONG = {"KEY_VAULT_URL": "", "PUBLIC_URL": "http://mail.contoso.com", "MAIL_CONFIG": "/nowhere/mail.toml"}


@pytest.fixture(scope="module")
def host(desk: Desk, postponed: tuple[str, str]) -> Iterator[HostProcess]:
    """A second host, with a queue of its own, on which a message came."""
    queue, message_id = postponed
    settings = desk.facts["settings"] | WRONG | {"OUTBOX_QUEUE": queue}
    with running_host(ROOT, "--verbose", settings=settings) as running:
        # It has no id of its own: it must stay one message all the same.
        desk.put({"to": "ada@example.net", "subject": message_id, "text": "x"}, queue=queue)
        running.wait_for(r"Executed 'send' \(Succeeded")
        yield running
        assert running.stop() == 0


def test_all_that_is_wrong_is_said_in_one_line(host: HostProcess) -> None:
    (line,) = [line for line in host.output.splitlines() if "settings are missing or wrong" in line]
    assert "CRITICAL" in line
    assert "KEY_VAULT_URL: it is missing; write the vault's address" in line
    assert "PUBLIC_URL: it must begin with https://" in line
    assert "MAIL_CONFIG: there is no file /nowhere/mail.toml" in line
    assert line.endswith("[settings-wrong]")


def test_it_is_not_healthy_and_gives_no_details(host: HostProcess) -> None:
    answer = host.request("/api/health")
    assert (answer.status, answer.body) == (503, b"unavailable")


def test_nobody_can_sign_in(host: HostProcess, desk: Desk) -> None:
    start = host.request("/api/oauth/start/noreply", headers={"x-functions-key": desk.facts["key"]})
    back = host.request("/api/oauth/redirect?state=x&code=y")
    assert (start.status, back.status) == (503, 503)


def test_nobody_is_told_how_senders_stand(host: HostProcess, desk: Desk) -> None:
    key = {"x-functions-key": desk.facts["key"]}
    for path in ("/api/senders", "/api/senders/noreply"):
        assert host.request(path, headers=key).status == 503
    for path in ("/api/senders/noreply/hold", "/api/senders/noreply/resume"):
        assert host.request(path, method="POST", body=b"{}", headers=key).status == 503


@pytest.mark.parametrize("timer", ["upkeep", "release"])
def test_the_timers_wait_too(host: HostProcess, timer: str) -> None:
    assert host.request(f"/admin/functions/{timer}", method="POST", body=b"{}").status == 202
    host.wait_for(rf"Executed '{timer}' \(Succeeded")


def test_a_message_that_came_is_kept_and_put_back(
    host: HostProcess, desk: Desk, postponed: tuple[str, str]
) -> None:
    queue, subject = postponed
    assert host.process.poll() is None
    eventually(lambda: desk.waiting(queue) == 1)  # the one that was put back, when the other is deleted
    assert desk.waiting(f"{queue}-poison") == 0
    assert desk.mails(subject) == []
