"""
All of Microsoft's services in one process, and the mail server's inbox.

Every listener is bound before any service is built, so that with port 0 each service knows its own URL from
the start. State lives in memory: what was consented to and stored is forgotten with the process.
"""

import asyncio
import contextlib
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.inbox.web import inbox_app
from local.microsoft import app_control, managed_identity, scopes
from local.microsoft.controls import Controls
from local.microsoft.directory import App, Tenant, default_tenant
from local.microsoft.entra import Entra
from local.microsoft.entra_control import EntraControl
from local.microsoft.exchange import Exchange, Mailbox, MailStore
from local.microsoft.graph import Graph
from local.microsoft.key_vault import KeyVault
from local.microsoft.tokens import Tokens
from local.microsoft.trust import Trust

LOOPBACK = "127.0.0.1"
#: The name in `mail.toml` of the service that the app uses.
SERVICE = app_control.SERVICE
#: Connections that are still open at the end get so long to finish.
SHUTDOWN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each service listens; 0 lets the system choose."""

    identity: int = 0
    vault: int = 0
    smtp: int = 0
    inbox: int = 0
    managed_identity: int = 0

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        """Return the ports of a stack whose Functions host listens at this one; with 0, all are free."""
        if base == 0:
            return cls()
        return cls(base + 1, base + 2, base + 3, base + 4, base + 5)


class Cloud:
    """
    The services, to be started and stopped once.

    `folder` gets the CA file. `functions_url` is where the app answers: its redirect URI is registered,
    unless a tenant of one's own is given. URLs, ports and the parts are there after `start`.
    """

    identity_url: str
    vault_url: str
    managed_identity_url: str
    inbox_url: str
    smtp_port: int
    entra: Entra
    vault: KeyVault
    exchange: Exchange

    def __init__(
        self,
        ports: Ports,
        folder: Path,
        tenant: Tenant | None = None,
        *,
        functions_url: str = "http://localhost:7071",
        client_secret: str | None = None,
    ) -> None:
        self.ports = ports
        self.tenant = tenant or default_tenant(
            client_secret=client_secret, redirect_uris=(f"{functions_url}/api/oauth/redirect",)
        )
        self.trust = Trust.create(folder)
        self.tokens = Tokens(self.tenant)
        self.identity_header = secrets.token_hex(16)
        self.smtp_host = "localhost"
        self._runners: list[web.AppRunner] = []
        self._listeners: list[socket.socket] = []

    @property
    def app(self) -> App:
        """The app registration."""
        return self.tenant.apps[0]

    @property
    def client_secret(self) -> str:
        """The app's client secret as it is now."""
        return self.app.secrets[0].value

    @property
    def authority(self) -> str:
        """What the service in `mail.toml` has as its `authority`."""
        return f"{self.identity_url}/{self.tenant.id}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the stack's CA, for `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE`."""
        return self.trust.ca_file

    @property
    def store(self) -> MailStore:
        """The mail that the mail server accepted."""
        return self.exchange.store

    @property
    def control(self) -> Controls:
        """The control endpoints, for code outside the services' own thread."""
        return Controls(self.identity_url, self.vault_url, self.inbox_url, self.trust.client_context)

    def environment(self) -> dict[str, str]:
        """Return the settings that make a process use these services, as App Service would set them."""
        return {
            "AZURE_CLIENT_ID": managed_identity.USER_ASSIGNED[0],
            "IDENTITY_ENDPOINT": self.managed_identity_url,
            "IDENTITY_HEADER": self.identity_header,
            "KEY_VAULT_URL": self.vault_url,
            "KEY_VAULT_VERIFY_CHALLENGE": "false",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "SSL_CERT_FILE": str(self.ca_file),
        }

    def urls(self) -> dict[str, str]:
        """Return what another program needs to join in."""
        return {
            "authority": self.authority,
            "ca_file": str(self.ca_file),
            "client_id": self.app.client_id,
            "identity": self.identity_url,
            "inbox": self.inbox_url,
            "managed_identity": self.managed_identity_url,
            "smtp": f"{self.smtp_host}:{self.smtp_port}",
            "vault": self.vault_url,
        }

    async def start(self) -> None:
        """Start everything; on failure nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything that was started."""
        if hasattr(self, "exchange"):
            await self.exchange.stop()
        while self._runners:
            await _clean_up(self._runners.pop())
        while self._listeners:
            self._listeners.pop().close()

    async def _start(self) -> None:
        await self._start_services()
        exchange = Exchange(
            mailboxes=self._mailboxes(),
            verify=self._verify_mail_token,
            context=self.trust.server_context,
            host=LOOPBACK,
            port=self.ports.smtp,
        )
        await exchange.start()
        self.exchange = exchange
        self.smtp_port = exchange.port
        listener = self._listen(self.ports.inbox)
        self.inbox_url = f"http://localhost:{_port(listener)}"
        await self._serve(inbox_app(exchange), listener, None)

    async def _start_services(self) -> None:
        listeners = [
            self._listen(port)
            for port in (self.ports.identity, self.ports.vault, self.ports.managed_identity)
        ]
        identity, vault, identity_endpoint = (_port(listener) for listener in listeners)
        self.identity_url = f"https://localhost:{identity}"
        self.vault_url = f"https://localhost:{vault}"
        self.managed_identity_url = f"http://localhost:{identity_endpoint}/msi/token"

        self.entra = Entra(self.tenant, self.tokens, self.identity_url)
        provider = web.Application()
        callers = (managed_identity.SYSTEM_ASSIGNED[1], managed_identity.USER_ASSIGNED[1])
        self.vault = KeyVault(self.tokens, self.vault_url, authority=self.authority, callers=callers)
        # Graph first: nothing under `/v1.0` is to be taken for a tenant's path.
        graph = Graph(self.entra)
        controls = EntraControl(self.entra, self.vault.secrets, self._rename_mailbox)
        controls.apps.set_up()
        provider.add_routes([*graph.routes(), *controls.routes(), *self.entra.routes()])

        endpoint = web.Application()
        endpoint.add_routes(managed_identity.ManagedIdentity(self.entra, self.identity_header).routes())

        await self._serve(provider, listeners[0], self.trust.server_context)
        await self._serve(self.vault.application(), listeners[1], self.trust.server_context)
        await self._serve(endpoint, listeners[2], None)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listeners.append(listener)
        # A stack that was just stopped may start again at once on the same port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        return listener

    async def _serve(
        self, app: web.Application, listener: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        await web.SockSite(runner, listener, ssl_context=context).start()

    def _verify_mail_token(self, token: str) -> Mapping[str, object]:
        return self.tokens.verify_access_token(token, audience=scopes.EXCHANGE.uris)

    def _rename_mailbox(self, old: str, new: str) -> None:
        boxes: Any = self.exchange.describe()["mailboxes"]
        if old not in boxes:
            return
        owners = [new if owner == old else owner for owner in boxes[old]["owners"]]
        settings = boxes[old] | {"owners": owners}
        # What had the old name keeps the old mail, and lets nobody in.
        self.exchange.control({"mailboxes": {new: settings, old: {"owners": []}}})

    def _mailboxes(self) -> list[Mailbox]:
        return [
            Mailbox(
                address=user.upn,
                # A person is let in by name, an app by its client id.
                owners=frozenset(
                    ([user.upn] if user.can_sign_in else [])
                    + ([self.app.client_id] if user.app_access else [])
                ),
                send_as=user.send_as,
            )
            for user in self.tenant.users
        ]


@contextlib.contextmanager
def cloud_in_thread(folder: Path, **options: Any) -> Iterator[Cloud]:
    """
    Run a cloud on an event loop of its own in another thread, for code that is not asynchronous.

    `options` are Cloud's; the ports are the system's choice unless given.
    """
    cloud = Cloud(options.pop("ports", Ports()), folder, **options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cloud", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(cloud.start(), loop).result()
        try:
            yield cloud
        finally:
            asyncio.run_coroutine_threadsafe(cloud.stop(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _clean_up(runner: web.AppRunner) -> None:
    # A TLS connection that is being closed waits for the other side's goodbye. Nobody waits for that here:
    # what is still open after the clean-up is cut, and the loop gets a turn to see it go.
    connections = [] if runner.server is None else list(runner.server.connections)
    transports = [connection.transport for connection in connections]
    await runner.cleanup()
    for transport in transports:
        if transport is not None:
            transport.abort()
    await asyncio.sleep(0)


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
