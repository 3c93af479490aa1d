"""
The composition root: what each workflow needs.

Each adapter is built once in a process, on first use. Imports stand inside the methods: indexing the
functions must not cost what only some of them use, and on Azure every function has instances of its own.
Time, chance and ids come into the workflows from here.
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
    from shared.adapters.entra import Entra
    from shared.adapters.key_vault import KeyVault
    from shared.adapters.smtp_pool import Route, SmtpPool
    from shared.adapters.storage_account import Account
    from shared.adapters.storage_queue import StorageQueue
    from shared.adapters.table_client import Table
    from shared.adapters.table_consents import TableConsents
    from shared.adapters.table_ledger import TableLedger
    from shared.adapters.table_waiting import TableWaiting
    from shared.amender import Amender
    from shared.composer import Composer
    from shared.core.oauth import AccessToken
    from shared.core.sender import Sender
    from shared.core.smtp import Envelope, Octets, Submission
    from shared.courier import Courier
    from shared.grants import GrantKeeper
    from shared.herald import Herald
    from shared.holds import Holds
    from shared.pacer import Pacer
    from shared.register import Register
    from shared.scribe import ScribeTools
    from shared.settings import Settings
    from shared.workflows.consent import ConsentTools
    from shared.workflows.dead_letter import DeadLetterTools
    from shared.workflows.health import Health
    from shared.workflows.messages import MessagesTools
    from shared.workflows.release import ReleaseTools
    from shared.workflows.schedules import SchedulesTools
    from shared.workflows.send import SendTools
    from shared.workflows.senders import SendersTools
    from shared.workflows.serve_line import ServeTools
    from shared.workflows.sweep import SweepTools
    from shared.workflows.upkeep import UpkeepTools

log = logging.getLogger(__name__)
T = TypeVar("T")


class Services:
    """Everything in this process that is made once. Safe to use from many threads."""

    def __init__(self) -> None:
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

    # What the workflows need.

    def send_tools(self) -> SendTools:
        """Return what ``send`` needs."""
        from shared.workflows.send import SendTools  # noqa: PLC0415 - as above

        return self._once(
            "send_tools",
            lambda: SendTools(
                ledger=self.ledger(),
                scribe=self._scribe_tools(),
                payloads=self._container("mail-payloads"),
                amender=self._amender(),
                pacer=self._pacer(),
                holds=self.holds(),
                courier=self._courier(),
                senders=self.settings.senders,
                clock=_now,
                jitter=random.random,
                mail_id=_mail_id,
            ),
        )

    def serve_tools(self) -> ServeTools:
        """Return what ``serve_line`` needs."""
        from shared.line import Lines  # noqa: PLC0415 - as above
        from shared.workflows.serve_line import ServeTools  # noqa: PLC0415 - as above

        return self._once(
            "serve_tools",
            lambda: ServeTools(
                scribe=self._scribe_tools(),
                payloads=self._container("mail-payloads"),
                pacer=self._pacer(),
                lines=Lines(self._waiting_room(), clock=_now),
                holds=self.holds(),
                courier=self._courier(),
                senders=self.settings.senders,
                clock=_now,
                jitter=random.random,
                pause=time.sleep,
            ),
        )

    def release_tools(self) -> ReleaseTools:
        """Return what ``release`` needs."""
        from shared.workflows.release import ReleaseTools  # noqa: PLC0415 - as above

        return ReleaseTools(
            room=self._waiting_room(),
            outbox=self.outbox(),
            register=self._register(),
            holds=self.holds(),
            prober=self._courier(),
            places=self._pacer(),
            senders=self.settings.senders,
            clock=_now,
        )

    def messages_tools(self) -> MessagesTools:
        """Return what the routes of ``/messages`` need."""
        from shared.workflows.messages import MessagesTools  # noqa: PLC0415 - as above

        return MessagesTools(
            ledger=self.ledger(),
            outbox=self.outbox(),
            payloads=self._container("mail-payloads"),
            amender=self._amender(),
            senders=self.settings.senders,
            clock=_now,
            new_id=lambda: str(uuid.uuid4()),
            mail_id=_mail_id,
        )

    def schedules_tools(self) -> SchedulesTools:
        """Return what recurring mail needs."""
        from shared.adapters.table_schedules import TABLE, TableSchedules  # noqa: PLC0415 - as above
        from shared.workflows.schedules import SchedulesTools  # noqa: PLC0415 - as above

        return SchedulesTools(
            store=TableSchedules(self._table(TABLE)),
            outbox=self.outbox(),
            senders=self.settings.senders,
            clock=_now,
        )

    def senders_tools(self) -> SendersTools:
        """Return what the routes of ``/senders`` need."""
        from shared.workflows.senders import SendersTools  # noqa: PLC0415 - as above

        return SendersTools(
            register=self._register(),
            room=self._waiting_room(),
            holds=self.holds(),
            senders=self.settings.senders,
            clock=_now,
        )

    def upkeep_tools(self) -> UpkeepTools:
        """Return what ``upkeep`` needs."""
        from shared.workflows.upkeep import UpkeepTools  # noqa: PLC0415 - as above

        settings = self.settings
        return UpkeepTools(
            keeper=self.keeper(),
            senders=settings.senders,
            services=settings.services,
            consent_url=settings.consent_url,
            clock=_now,
        )

    def sweep_tools(self) -> SweepTools:
        """Return what ``sweep`` needs."""
        from shared.workflows.sweep import SweepTools  # noqa: PLC0415 - as above

        return SweepTools(
            pending=self._consents(),
            ledger=self.ledger(),
            retention=self.settings.ledger_retention,
            clock=_now,
        )

    def consent_tools(self) -> ConsentTools:
        """Return what consent needs."""
        from shared.workflows.consent import ConsentTools  # noqa: PLC0415 - as above

        settings = self.settings
        return ConsentTools(
            provider=self._provider,
            pending=self._consents(),
            grants=self._vault(),
            holds=self.holds(),
            senders=settings.senders,
            redirect_uri=settings.redirect_uri,
            clock=_now,
        )

    def dead_letter_tools(self) -> DeadLetterTools:
        """Return what ``dead_letter`` needs."""
        from shared.workflows.dead_letter import DeadLetterTools  # noqa: PLC0415 - as above

        return DeadLetterTools(
            ledger=self.ledger(),
            letters=self._container("mail-dead-letters"),
            events=self._herald(),
            clock=_now,
        )

    def health(self) -> Health:
        """Return what ``health`` asks."""
        from shared.workflows.health import Health  # noqa: PLC0415 - as above

        return self._once("health", lambda: Health(self.ledger(), _now))

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
        from shared.adapters.table_leases import TABLE, TableLeases  # noqa: PLC0415 - as above
        from shared.grants import GrantKeeper  # noqa: PLC0415 - as above

        return self._once(
            "keeper",
            lambda: GrantKeeper(
                store=self._vault(),
                refresher=self._provider,
                leases=TableLeases(self._table(TABLE), clock=_now),
                clock=_now,
                pause=time.sleep,
            ),
        )

    def holds(self) -> Holds:
        """Return what holds senders and lets them go on."""
        from shared.holds import Holds  # noqa: PLC0415 - as above

        return self._once(
            "holds",
            lambda: Holds(
                self._register(),
                room=self._waiting_room(),
                outbox=self.outbox(),
                events=self._herald(),
                forget=self._pacer().forget,
                clock=_now,
            ),
        )

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
                clock=_now,
                pause=time.sleep,
            ),
        )

    def _courier(self) -> Courier:
        from shared.courier import Courier  # noqa: PLC0415 - as above

        settings = self.settings
        return self._once(
            "courier",
            lambda: Courier(
                composer=self._composer(),
                tokens=self.keeper(),
                mailer=PooledMailer(self._pool()),
                holds=self.holds(),
                services=settings.services,
                consent_url=settings.consent_url,
                clock=_now,
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
                clock=_now,
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
                clock=_now,
            ),
        )

    def _provider(self, sender: Sender) -> Entra:
        from shared.adapters import graph  # noqa: PLC0415 - as above
        from shared.adapters.entra import Entra  # noqa: PLC0415 - as above

        service = self.settings.services[sender.service]
        vault = self._vault()
        return self._once(
            f"provider-{service.name}",
            lambda: Entra(
                service,
                lambda: vault.client_secret(service),
                fetch_picture=graph.picture,
                secret_refused=lambda: vault.forget_client_secret(service),
            ),
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
                templates=BlobTemplates(self._container(CONTAINER), clock=_now),
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


def _now() -> datetime:
    return datetime.now(UTC)


def _mail_id(domain: str) -> str:
    return f"<{uuid.uuid4().hex}@{domain}>"
