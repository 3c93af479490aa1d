from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trustme

from shared.adapters.smtp_session import SmtpSession, Timeouts, tls_context
from shared.core.xoauth2 import Credentials
from tests.adapters.smtp.scripted_server import Peer, ScriptedServer

if TYPE_CHECKING:
    import ssl

    from shared.core.smtp import Submission

TOKEN = "eyJ0eXAiOiJKV1QifQ.canary-access-token.c2lnbmF0dXJl"
CREDENTIALS = Credentials("noreply@contoso.com", TOKEN)
PATIENT = Timeouts(*[10.0] * 10)
HASTY = replace(PATIENT, **dict.fromkeys(("greeting", "command", "tls", "auth", "envelope", "body"), 0.15))
HASTY = replace(HASTY, end_of_data=0.15, check=0.15, quit=0.15)

Serve = Callable[..., ScriptedServer]
Open = Callable[..., "SmtpSession | Submission"]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    with authority.cert_pem.tempfile(str(tmp_path)) as ca_file:
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        return tls_context()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Serve]:
    servers: list[ScriptedServer] = []

    def start(*scripts: Callable[[Peer], None], name: str = "localhost") -> ScriptedServer:
        servers.append(ScriptedServer(authority, *scripts, name=name))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def open_session(context: ssl.SSLContext) -> Iterator[Open]:
    opened: list[SmtpSession] = []

    def start(
        server: ScriptedServer, *, credentials: Credentials = CREDENTIALS, timeouts: Timeouts = PATIENT
    ) -> SmtpSession | Submission:
        session = SmtpSession.open(
            "localhost",
            server.port,
            credentials,
            context=context,
            ehlo_name="sender.contoso.com",
            timeouts=timeouts,
        )
        if isinstance(session, SmtpSession):
            opened.append(session)
        return session

    yield start
    for session in opened:
        session.discard()
