"""
The environment and mail.toml, read once into ``Settings``. Nothing else reads either.

Everything that is wrong is said at once: an administrator who mends one line should not meet the next one
only then. ``bindings`` never fails, because the host must index the functions even when the settings are
wrong.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import mail_config
from shared.config_tables import is_https, split_url
from shared.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.address import Address
    from shared.core.sender import Sender
    from shared.core.service import Service

STORAGE = "AzureWebJobsStorage"
# Messages that one instance of `send` works on: host.json's batchSize and newBatchThreshold together.
_MOST_AT_ONCE = 24
_LONGEST_DAYS = 3650
# Azure allows 63 characters, and the host adds "-poison" to some.
_QUEUE = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,54}[a-z0-9]")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Bindings:
    """What the triggers are bound to: needed to index the functions, before anything is checked."""

    outbox: str
    events: str
    upkeep_schedule: str
    release_schedule: str

    @property
    def poison(self) -> str:
        """Where the host puts what it gave up on."""
        return f"{self.outbox}-poison"


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage account: a connection string, or the addresses of its services and an identity."""

    connection_string: str = field(default="", repr=False)
    queue_url: str = ""
    table_url: str = ""
    blob_url: str = ""
    identity_client_id: str = ""


@dataclass(frozen=True, slots=True)
class Vault:
    """The Key Vault that holds grants and client secrets."""

    url: str
    verify_challenge: bool = True
    identity_client_id: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything this deployment says about itself."""

    storage: Storage
    vault: Vault
    public_url: str
    services: Mapping[str, Service]
    senders: Mapping[str, Sender]
    opted_in: frozenset[str]
    operators: tuple[Address, ...]
    ledger_retention: timedelta
    bindings: Bindings

    @property
    def vault_name(self) -> str:
        """The vault's name, as the Azure CLI takes it."""
        parts = split_url(self.vault.url)
        return (parts.hostname or "").partition(".")[0] if parts else ""

    @property
    def redirect_uri(self) -> str:
        """The redirect URI as it is registered with the provider."""
        return f"{self.public_url}/api/oauth/redirect"

    def consent_url(self, sender: str) -> str:
        """Where a person signs in for ``sender``."""
        return f"{self.public_url}/api/oauth/start/{sender}"

    @property
    def connected_url(self) -> str:
        """Where the buttons of the page *Connected* lead."""
        return f"{self.public_url}/api/oauth/connected"

    @property
    def uses_https(self) -> bool:
        """Whether browsers reach this app over TLS, so that cookies may insist on it."""
        return self.public_url.startswith("https:")


def bindings(environ: Mapping[str, str] | None = None) -> Bindings:
    """Return the names that triggers need, from the environment or their defaults."""
    environ = os.environ if environ is None else environ
    return Bindings(
        outbox=environ.get("OUTBOX_QUEUE") or "outbox",
        events=environ.get("EVENTS_QUEUE") or "mail-events",
        upkeep_schedule=environ.get("UPKEEP_SCHEDULE") or "0 */15 * * * *",
        release_schedule=environ.get("RELEASE_SCHEDULE") or "0 * * * * *",
    )


def lines_at_a_time(environ: Mapping[str, str] | None = None) -> int:
    """
    Return how many senders' lines one process serves at a time: half of its threads.

    Serving a line takes a thread for minutes, and the other half must be free for what comes in. The worker
    has ``PYTHON_THREADPOOL_THREAD_COUNT`` threads (Azure Functions, "Improve throughput performance of Python
    apps"), or Python's own number.
    """
    environ = os.environ if environ is None else environ
    text = environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or ""
    threads = int(text) if text.isdecimal() else min(32, (os.cpu_count() or 1) + 4)
    return max(1, min(threads, _MOST_AT_ONCE) // 2)


# What the worker takes for yes (azure-functions-runtime, is_envvar_true).
_YES = frozenset({"true", "t", "yes", "y", "1"})


def telemetry_is_on(environ: Mapping[str, str] | None = None) -> bool:
    """
    Return whether the worker sets OpenTelemetry up ("Use OpenTelemetry with Azure Functions").

    For Application Insights it does where it is told to and where to.
    """
    environ = os.environ if environ is None else environ
    told = (environ.get("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY") or "").strip().casefold()
    return told in _YES and bool(environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING"))


def load(environ: Mapping[str, str] | None = None, *, root: Path | None = None) -> Settings:
    """
    Return the settings of ``environ`` and of mail.toml in ``root`` (the folder of function_app.py).

    Raises ``SettingsError`` with every problem.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    storage = read_storage(environ, problems)
    vault = _vault(environ, problems)
    public_url = _public_url(environ, problems)
    names = _queues(environ, problems)
    config, where = _mail_config(environ, root or Path(__file__).resolve().parent.parent, problems)
    mail = mail_config.read(config, where, problems) if config is not None else None
    retention = _days(environ, "LEDGER_RETENTION_DAYS", 30, problems)
    if problems or mail is None:
        raise SettingsError(tuple(problems))
    return Settings(
        storage=storage,
        vault=vault,
        public_url=public_url,
        services=mail.services,
        senders=mail.senders,
        opted_in=mail.opted_in,
        operators=mail.operators,
        ledger_retention=retention,
        bindings=names,
    )


def load_storage(environ: Mapping[str, str] | None = None) -> Storage:
    """Return the storage account alone; raises ``SettingsError``."""
    problems: list[str] = []
    storage = read_storage(os.environ if environ is None else environ, problems)
    if problems:
        raise SettingsError(tuple(problems))
    return storage


def read_storage(environ: Mapping[str, str], problems: list[str]) -> Storage:
    """
    Read the storage account the way the host does.

    That is a connection string, or ``__accountName`` and ``__…ServiceUri``.
    """
    identity = environ.get(f"{STORAGE}__clientId") or environ.get("AZURE_CLIENT_ID") or ""
    if connection_string := environ.get(STORAGE):
        connection_string = _development_storage(connection_string)
        if not _is_connection_string(connection_string):
            problems.append(f"{STORAGE}: it is not a connection string with an account and its key")
        return Storage(connection_string=connection_string)
    account = environ.get(f"{STORAGE}__accountName")
    urls = {
        kind: environ.get(f"{STORAGE}__{kind}ServiceUri")
        or (f"https://{account}.{kind}.core.windows.net" if account else "")
        for kind in ("queue", "table", "blob")
    }
    for kind, url in urls.items():
        if not url:
            problems.append(
                f"{STORAGE}: set it to a connection string, or set {STORAGE}__accountName "
                f"or {STORAGE}__{kind}ServiceUri"
            )
        elif not is_https(url):
            problems.append(f"{STORAGE}: the address of its {kind}s is not an https:// one")
    return Storage(
        queue_url=urls["queue"], table_url=urls["table"], blob_url=urls["blob"], identity_client_id=identity
    )


def _is_connection_string(text: str) -> bool:
    """Whether the SDKs can do something with it: where the account is, and what proves who asks."""
    keys = {part.partition("=")[0].strip().casefold() for part in text.split(";")}
    somewhere = "accountname" in keys or keys >= {"queueendpoint", "tableendpoint"}
    return somewhere and not keys.isdisjoint({"accountkey", "sharedaccesssignature"})


def _development_storage(connection_string: str) -> str:
    """Spell out the short form that Azure's tools write and its Python SDKs do not read."""
    if connection_string.strip().rstrip(";").casefold() != "usedevelopmentstorage=true":
        return connection_string
    account = "devstoreaccount1"
    # Microsoft's published key of the emulator's one account.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    endpoints = {"Blob": 10000, "Queue": 10001, "Table": 10002}
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};" + "".join(
        f"{kind}Endpoint=http://127.0.0.1:{port}/{account};" for kind, port in endpoints.items()
    )


def _days(environ: Mapping[str, str], name: str, default: int, problems: list[str]) -> timedelta:
    text = environ.get(name) or str(default)
    # Python refuses to read a number of thousands of digits.
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= _LONGEST_DAYS:
        problems.append(f"{name}: write a number of days from 1 to {_LONGEST_DAYS}")
        return timedelta(days=default)
    return timedelta(days=int(text))


def _queues(environ: Mapping[str, str], problems: list[str]) -> Bindings:
    found = bindings(environ)
    for setting, name in (("OUTBOX_QUEUE", found.outbox), ("EVENTS_QUEUE", found.events)):
        if not _QUEUE.fullmatch(name):
            problems.append(
                f"{setting}: a queue's name has 3 to 56 lower-case letters, digits and single hyphens"
            )
    if found.events in (found.outbox, found.poison):
        problems.append("EVENTS_QUEUE: it names the queue of the messages; events need one of their own")
    return found


def _vault(environ: Mapping[str, str], problems: list[str]) -> Vault:
    url = (environ.get("KEY_VAULT_URL") or "").rstrip("/")
    if not url:
        problems.append(
            "KEY_VAULT_URL: it is missing; write the vault's address, https://<name>.vault.azure.net"
        )
    elif not is_https(url):
        problems.append("KEY_VAULT_URL: it is not an https:// address")
    verify = (environ.get("KEY_VAULT_VERIFY_CHALLENGE") or "true").casefold()
    if verify not in ("true", "false"):
        problems.append("KEY_VAULT_VERIFY_CHALLENGE: write true, or false for an emulator")
    return Vault(
        url, verify_challenge=verify == "true", identity_client_id=environ.get("AZURE_CLIENT_ID") or ""
    )


def _public_url(environ: Mapping[str, str], problems: list[str]) -> str:
    url = (environ.get("PUBLIC_URL") or "").rstrip("/")
    if not url and (host := environ.get("WEBSITE_HOSTNAME")):
        # Azure gives its host name; Core Tools gives localhost with a port, which has no TLS.
        url = f"{'http' if host.split(':')[0] in _LOOPBACK else 'https'}://{host}"
    if not url:
        problems.append("PUBLIC_URL: it is missing; write the address at which people reach this app")
        return ""
    parts = split_url(url)
    if parts is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        problems.append("PUBLIC_URL: it is not an address such as https://mail.contoso.com")
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        problems.append("PUBLIC_URL: it must begin with https://; plain http is for this machine alone")
    return url


def _mail_config(
    environ: Mapping[str, str], root: Path, problems: list[str]
) -> tuple[dict[str, Any] | None, str]:
    """Return mail.toml, or what three settings stand for, and a name for it in what is said about it."""
    if environ.get("MAILBOX"):
        return mail_config.single_sender(environ), "OAUTH_TENANT_ID, OAUTH_CLIENT_ID, MAILBOX"
    path = Path(environ.get("MAIL_CONFIG") or root / "mail.toml")
    try:
        return tomllib.loads(path.read_text("utf-8-sig")), path.name
    except FileNotFoundError:
        problems.append(
            f"MAIL_CONFIG: there is no file {path}; write one, "
            "or set OAUTH_TENANT_ID, OAUTH_CLIENT_ID and MAILBOX"
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path.name}: it cannot be read: {error}")
    return None, path.name
