"""
What this process is built of: each adapter once, on first use, and the rooms that stand on them.

Imports stand inside the methods: indexing the functions must not cost what only some of them use, and on
Azure every function has instances of its own. Time, chance and ids come from here.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from shared import settings as app_settings
from shared.errors import SettingsError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.adapters.blob_container import BlobContainer
    from shared.adapters.key_vault import KeyVault
    from shared.adapters.managed_identity import ManagedIdentity
    from shared.adapters.smtp_pool import Route, SmtpPool
    from shared.adapters.storage_account import Account
    from shared.adapters.storage_queue import StorageQueue
    from shared.adapters.table_client import Table
    from shared.adapters.table_consents import TableConsents
    from shared.adapters.table_leases import TableLeases
    from shared.adapters.table_ledger import TableLedger
    from shared.adapters.table_waiting import TableWaiting
    from shared.alarms import Alarms
    from shared.amender import Amender
    from shared.composer import Composer
    from shared.connections import Connections
    from shared.core.grant import AccessToken, ClientCredential
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.core.smtp import Envelope, Octets, Submission
    from shared.courier import Courier
    from shared.grants import GrantKeeper
    from shared.herald import Herald
    from shared.holds import Holds
    from shared.pacer import Pacer
    from shared.ports import Provider, Telemetry
    from shared.register import Register
    from shared.scribe import ScribeTools
    from shared.settings import Settings
    from shared.trial_mail import TrialMail

log = logging.getLogger(__name__)
T = TypeVar("T")


class Wiring:
    """Everything in this process that is made once. Safe to use from many threads."""

    def __init__(self) -> None:
        # Azure's SDKs log each request with its address. Whoever exports the log would export that of the
        # exporter's own requests too, and so on for good.
        logging.getLogger("azure").setLevel(logging.WARNING)
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._said = False

    # Settings.

    @property
    def settings(self) -> Settings:
        """The settings; raises ``SettingsError`` with everything that is wrong."""
        return self._once("settings", app_settings.load)

    def check_settings(self) -> bool:
        """Whether the settings can be used; where not, say so once, all of it in one line."""
        try:
            _ = self.settings
        except SettingsError as error:
            with self._lock:
                if not self._said:
                    log.critical("%s", error, extra={"event": Word.SETTINGS_WRONG})
                    self._said = True
            return False
        return True

    def telemetry(self) -> Telemetry:
        """Return what tells spans and numbers: the worker's OpenTelemetry, where that is set up."""

        def make() -> Telemetry:
            if not app_settings.telemetry_is_on():
                from shared.telemetry import Silence  # noqa: PLC0415 - as above

                return Silence()
            from shared.adapters.open_telemetry import OpenTelemetry  # noqa: PLC0415 - as above

            return OpenTelemetry()

        return self._once("telemetry", make)

    # Adapters.

    def outbox(self) -> StorageQueue:
        """Return the queue that messages come from; needs no other setting than the storage account."""
        return self._queue(app_settings.bindings().outbox)

    def ledger(self) -> TableLedger:
        """Return the record of every message."""
        from shared.adapters.table_ledger import TABLE, TableLedger  # noqa: PLC0415 - as above

        return self._once("ledger", lambda: TableLedger(self._table(TABLE)))

    def keeper(self) -> GrantKeeper:
        """Return the keeper of grants."""
        from shared.grants import GrantKeeper  # noqa: PLC0415 - as above

        return self._once(
            "keeper",
            lambda: GrantKeeper(
                store=self._vault(),
                refresher=self._provider,
                leases=self._leases(),
                services=self.settings.services,
                granted_at=self._granted_at,
                clock=now,
                pause=time.sleep,
            ),
        )

    def _leases(self) -> TableLeases:
        from shared.adapters.table_leases import TABLE, TableLeases  # noqa: PLC0415 - as above

        return self._once("leases", lambda: TableLeases(self._table(TABLE), clock=now))

    def holds(self) -> Holds:
        """Return what holds senders and lets them go on."""
        from shared.holds import Holds  # noqa: PLC0415 - as above

        return self._once(
            "holds",
            lambda: Holds(
                self._register(),
                room=self._waiting_room(),
                outbox=self.outbox(),
                alarms=self._alarms(),
                forget=self._forget,
                clock=now,
            ),
        )

    def _forget(self, sender: str) -> None:
        """Have the pacer read a sender's state anew, where this process has one."""
        pacer: Pacer | None = self._made.get("pacer")
        if pacer is not None:
            pacer.forget(sender)

    def _granted_at(self, sender: str) -> datetime | None:
        """Return when a person last gave or took away a grant, as far as this process knows."""
        pacer: Pacer | None = self._made.get("pacer")
        known = pacer.known(self.settings.senders[sender]) if pacer is not None else None
        return known.granted_at if known else None

    def _alarms(self) -> Alarms:
        from shared.alarms import Alarms  # noqa: PLC0415 - as above
        from shared.operators import Operators  # noqa: PLC0415 - as above

        settings = self.settings
        return self._once(
            "alarms",
            lambda: Alarms(
                self._herald(),
                Operators(
                    settings.operators,
                    outbox=self.outbox(),
                    register=self._register(),
                    senders=settings.senders,
                ),
                services=settings.services,
                consent_url=settings.consent_url,
                clock=now,
            ),
        )

    def _connections(self) -> Connections:
        from shared.connections import Connections  # noqa: PLC0415 - as above

        return self._once(
            "connections",
            lambda: Connections(
                self._register(),
                grants=self._vault(),
                holds=self.holds(),
                leases=self._leases(),
                alarms=self._alarms(),
                explain=self._explain,
                clock=now,
                pause=time.sleep,
            ),
        )

    def _explain(self, key: str, sender: Sender) -> str:
        """Return the catalogue's sentence for a remedy, with this sender's names filled in."""
        from shared.core import remedies  # noqa: PLC0415 - as above

        if not key:
            return ""  # nothing went wrong, which is what most mail comes to
        settings = self.settings
        service = settings.services[sender.service]
        names = remedies.Names(
            sender=sender,
            service=service,
            consent_url=settings.consent_url(sender.name),
            redirect_uri=settings.redirect_uri,
            vault=settings.vault_name,
            admin_consent_url=service.admin_consent_url(settings.redirect_uri),
        )
        return remedies.explain(key, names)

    def _amender(self) -> Amender:
        from shared.amender import Amender  # noqa: PLC0415 - as above

        return self._once("amender", lambda: Amender(self._scribe_tools()))

    def _scribe_tools(self) -> ScribeTools:
        from shared.scribe import ScribeTools  # noqa: PLC0415 - as above

        return self._once(
            "scribe_tools",
            lambda: ScribeTools(
                ledger=self.ledger(),
                room=self._waiting_room(),
                outbox=self.outbox(),
                events=self._herald(),
                telemetry=self.telemetry(),
                clock=now,
                pause=time.sleep,
            ),
        )

    def _courier(self) -> Courier:
        from shared.courier import Courier  # noqa: PLC0415 - as above

        return self._once(
            "courier",
            lambda: Courier(
                composer=self._composer(),
                tokens=self.keeper(),
                mailer=PooledMailer(self._pool()),
                holds=self.holds(),
                explain=self._explain,
                telemetry=self.telemetry(),
                clock=now,
                jitter=random.random,
            ),
        )

    def _register(self) -> Register:
        from shared.adapters.table_senders import TABLE, TableSenders  # noqa: PLC0415 - as above
        from shared.register import Register  # noqa: PLC0415 - as above

        return self._once(
            "register",
            lambda: Register(TableSenders(self._table(TABLE)), pause=time.sleep, jitter=random.random),
        )

    def _waiting_room(self) -> TableWaiting:
        from shared.adapters.table_waiting import TABLE, TableWaiting  # noqa: PLC0415 - as above

        return self._once("waiting", lambda: TableWaiting(self._table(TABLE)))

    def _pacer(self) -> Pacer:
        from shared.pacer import Pacer  # noqa: PLC0415 - as above

        pool = self._pool()

        def make() -> Pacer:
            pacer = Pacer(
                self._register(),
                holder=uuid.uuid4().hex[:12],
                trim=pool.trim,
                clock=now,
                most_served=app_settings.lines_at_a_time(),
            )
            # What is given back at once need not be waited for until its lease ends.
            atexit.register(pacer.close)
            return pacer

        return self._once("pacer", make)

    def _consents(self) -> TableConsents:
        from shared.adapters.table_consents import TABLE, TableConsents  # noqa: PLC0415 - as above

        return self._once("consents", lambda: TableConsents(self._table(TABLE)))

    def _vault(self) -> KeyVault:
        from shared.adapters.key_vault import KeyVault  # noqa: PLC0415 - as above

        vault = self.settings.vault
        return self._once(
            "vault",
            lambda: KeyVault(
                vault.url,
                self._credential(vault.identity_client_id),
                verify_challenge=vault.verify_challenge,
                clock=now,
            ),
        )

    def _provider(self, sender: Sender) -> Provider:
        return self._once(
            f"provider-{sender.service}", lambda: self._made_provider(self.settings.services[sender.service])
        )

    def _made_provider(self, service: Service) -> Provider:
        """Return the adapter of a service's kind; nothing else knows which that is."""
        from shared.core.service import Microsoft  # noqa: PLC0415 - as above

        def refused() -> None:
            self._vault().forget_credential(service)

        if isinstance(service.provider, Microsoft):
            from shared.adapters import graph  # noqa: PLC0415 - as above
            from shared.adapters.entra import Entra  # noqa: PLC0415 - as above

            return Entra(
                service,
                service.provider,
                self._client_credential(service),
                fetch_picture=graph.picture,
                credential_refused=refused,
            )
        from shared.adapters.custom_oauth import CustomOAuth  # noqa: PLC0415 - as above

        return CustomOAuth(
            service, service.provider, self._client_credential(service), credential_refused=refused
        )

    def _client_credential(self, service: Service) -> Callable[[], ClientCredential]:
        """Return what gives the credential that a service proves itself with."""
        from shared.core.service import Microsoft  # noqa: PLC0415 - as above

        if service.credential_name:
            return lambda: self._vault().credential(service)
        if not isinstance(service.provider, Microsoft):
            return lambda: None  # a public client: PKCE alone
        provider = service.provider
        return lambda: self._managed_identity().assertion(provider)

    def _managed_identity(self) -> ManagedIdentity:
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - as above

        from shared.adapters.managed_identity import ManagedIdentity  # noqa: PLC0415 - as above

        client_id = self.settings.vault.identity_client_id
        return self._once(
            "managed_identity",
            lambda: ManagedIdentity(
                lambda: cast("TokenCredential", ManagedIdentityCredential(client_id=client_id or None)),
                client_id=client_id,
            ),
        )

    def _trial_mail(self) -> TrialMail:
        from shared.trial_mail import TrialMail  # noqa: PLC0415 - as above

        return self._once(
            "trial_mail", lambda: TrialMail(self.outbox(), self.ledger(), clock=now, mail_id=mail_id)
        )

    def _pool(self) -> SmtpPool:
        from shared.adapters.smtp_pool import SmtpPool  # noqa: PLC0415 - as above

        def make() -> SmtpPool:
            pool = SmtpPool()
            # Exchange counts a connection until it is closed or times out, so a process says QUIT before it
            # goes.
            atexit.register(pool.close)
            return pool

        return self._once("pool", make)

    def _composer(self) -> Composer:
        from shared.adapters.blob_templates import CONTAINER, BlobTemplates  # noqa: PLC0415 - as above
        from shared.composer import Composer  # noqa: PLC0415 - as above

        return self._once(
            "composer",
            lambda: Composer(
                payloads=self._container("mail-payloads"),
                templates=BlobTemplates(self._container(CONTAINER), clock=now),
            ),
        )

    def _herald(self) -> Herald:
        from shared.herald import Herald  # noqa: PLC0415 - as above

        settings = self.settings
        queue = self._queue(settings.bindings.events)
        return self._once(
            "herald", lambda: Herald(queue, source=settings.public_url, opted_in=settings.opted_in)
        )

    def _queue(self, name: str) -> StorageQueue:
        from shared.adapters.storage_queue import StorageQueue  # noqa: PLC0415 - as above

        return self._once(
            f"queue-{name}", lambda: StorageQueue(name, self._account(self._storage().queue_url))
        )

    def _container(self, name: str) -> BlobContainer:
        from shared.adapters.blob_container import BlobContainer  # noqa: PLC0415 - as above

        return self._once(
            f"container-{name}", lambda: BlobContainer(name, self._account(self._storage().blob_url))
        )

    def _table(self, name: str) -> Table:
        from shared.adapters.table_client import Table  # noqa: PLC0415 - as above

        return Table(name, self._account(self._storage().table_url))

    def _account(self, url: str) -> Account:
        from shared.adapters.storage_account import Account  # noqa: PLC0415 - as above

        storage = self._storage()
        return Account(storage.connection_string, url, lambda: self._credential(storage.identity_client_id))

    def _storage(self) -> app_settings.Storage:
        return self._once("storage", app_settings.load_storage)

    def _credential(self, client_id: str) -> TokenCredential:
        """Return the app's identity: the managed one on Azure, a developer's own sign-in elsewhere."""
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - as above

        return self._once(
            f"credential-{client_id}",
            lambda: cast(
                "TokenCredential", DefaultAzureCredential(managed_identity_client_id=client_id or None)
            ),
        )

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return cast("T", self._made[name])


class PooledMailer:
    """The pool of sessions, as sending sees it."""

    def __init__(self, pool: SmtpPool) -> None:
        self._pool = pool

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        """Hand one message over on a session of this sender."""
        from shared.core.xoauth2 import Credentials  # noqa: PLC0415 - as above

        return self._pool.submit(
            self._route(sender), Credentials(token.user, token.value), envelope, mime, smtputf8=smtputf8
        )

    def knock(self, sender: Sender, token: AccessToken) -> Submission | None:
        """Sign in and hand nothing over; returns how that failed, None where it did not."""
        from shared.core.xoauth2 import Credentials  # noqa: PLC0415 - as above

        return self._pool.knock(self._route(sender), Credentials(token.user, token.value))

    @staticmethod
    def _route(sender: Sender) -> Route:
        from shared.adapters.smtp_pool import Route  # noqa: PLC0415 - as above

        return Route(sender.smtp.host, sender.smtp.port, sender.name, sender.limits.connections)


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def mail_id(domain: str) -> str:
    """Return a new Message-ID of ``domain``."""
    return f"<{uuid.uuid4().hex}@{domain}>"
