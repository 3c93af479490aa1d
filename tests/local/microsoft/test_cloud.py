"""All services in one process, and that process."""

import base64
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from local.microsoft.cloud import Cloud, Ports, cloud_in_thread
from local.microsoft.directory import TENANT_ID, default_tenant

REPOSITORY = Path(__file__).parents[3]


def test_ports_follow_the_functions_host() -> None:
    assert Ports.from_base(7071) == Ports(7072, 7073, 7074, 7075, 7076)
    assert Ports.from_base(0) == Ports(0, 0, 0, 0, 0)


def test_every_service_answers_and_none_does_afterwards(tmp_path: Path) -> None:
    with cloud_in_thread(tmp_path, functions_url="http://localhost:9") as cloud:
        assert cloud.authority == f"{cloud.identity_url}/{TENANT_ID}"
        assert cloud.app.redirect_uris == ["http://localhost:9/api/oauth/redirect"]
        assert "calls" in cloud.control.identity()
        _, seeded = cloud.vault.secrets.get("oauth-microsoft-client-secret")
        assert seeded.value == cloud.client_secret
        with socket.create_connection((cloud.smtp_host, cloud.smtp_port)) as connection:
            assert connection.recv(4) == b"220 "
        ports = [int(url.rsplit(":", 1)[1]) for url in (cloud.identity_url, cloud.vault_url, cloud.inbox_url)]
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def authenticate(cloud: Cloud, user: str, token: str) -> int:
    """The reply code to AUTH XOAUTH2 on the mail server."""
    response = base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
    with smtplib.SMTP(cloud.smtp_host, cloud.smtp_port) as session:
        session.starttls(context=cloud.trust.client_context)
        session.ehlo()
        return session.docmd("AUTH", f"XOAUTH2 {response}")[0]


def test_the_mail_server_takes_the_tokens_that_the_identity_provider_makes_for_it(tmp_path: Path) -> None:
    with cloud_in_thread(tmp_path) as cloud:
        user, app = cloud.tenant.users[0], cloud.app
        outlook, older = "https://outlook.office.com", "https://outlook.office365.com"
        person, _ = cloud.tokens.delegated(user, app, audience=outlook, scopes=("SMTP.Send",))
        graph, _ = cloud.tokens.delegated(
            user, app, audience="https://graph.microsoft.com", scopes=("SMTP.Send",)
        )
        alone, _ = cloud.tokens.app_only(app, audience=older, roles=("SMTP.SendAsApp",))
        assert authenticate(cloud, user.upn, person) == 235
        assert authenticate(cloud, user.upn, alone) == 235
        assert authenticate(cloud, user.upn, graph) == 535
        assert authenticate(cloud, "billing@contoso.com", person) == 535
        assert authenticate(cloud, "admin@contoso.com", alone) == 535


def test_two_clouds_live_side_by_side_and_share_nothing(tmp_path: Path) -> None:
    with cloud_in_thread(tmp_path / "a") as one, cloud_in_thread(tmp_path / "b") as other:
        assert one.client_secret != other.client_secret
        assert one.identity_url != other.identity_url
        with requests.Session() as http:
            http.trust_env = False
            http.verify = str(one.ca_file)
            with pytest.raises(requests.exceptions.SSLError):
                http.get(f"{other.identity_url}/_control")


@pytest.mark.parametrize("service", ["identity", "vault", "smtp", "inbox", "managed_identity"])
def test_a_port_that_is_taken_leaves_nothing_running(tmp_path: Path, service: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = Ports(**{service: taken.getsockname()[1]})
        with pytest.raises(OSError, match="in use"), cloud_in_thread(tmp_path, ports=ports):
            pass


def test_a_tenant_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    tenant = default_tenant(client_secret="given", redirect_uris=("https://app.example/back",))
    cloud = Cloud(Ports(), tmp_path, tenant)
    assert cloud.client_secret == "given"
    assert cloud.app.redirect_uris == ["https://app.example/back"]


def test_secrets_do_not_show(tmp_path: Path) -> None:
    tenant = default_tenant(client_secret="canary-77ab")
    assert "canary-77ab" not in repr(tenant)
    assert "canary-77ab" not in repr(Cloud(Ports(), tmp_path, tenant))


@contextmanager
def process(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "local.microsoft", "--port-base", "0", "--folder", str(folder)]
    with subprocess.Popen(
        [*command, *options],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_the_process_says_when_it_is_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    with process(tmp_path) as running:
        assert running.stdout is not None
        urls = json.loads(running.stdout.readline())
        assert urls["identity"].startswith("https://localhost:")
        assert Path(urls["ca_file"]) == tmp_path / "ca.pem"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 0


def test_the_process_ends_with_whoever_started_it(tmp_path: Path) -> None:
    with process(tmp_path, "--follow-stdin") as running:
        assert running.stdout is not None
        assert running.stdin is not None
        json.loads(running.stdout.readline())
        running.stdin.close()
        assert running.wait(timeout=20) == 0
