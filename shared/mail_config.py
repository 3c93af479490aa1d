"""
mail.toml: the services and senders of a deployment, read from their tables with every problem noted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from shared.core.address import Address, parse_address
from shared.core.oauth import Service
from shared.core.sender import DEFAULT_SMTP_PORT, Limits, Sender, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")  # it names a secret in the vault: grant-<sender>
_TENANT = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_ENTRA = "https://login.microsoftonline.com"
_SMTP_HOST = "smtp.office365.com"
# What ``core.events`` tells only where it is asked for; written here so that indexing the functions does not
# load it.
OPT_IN = frozenset({"mail.accepted", "mail.deferred"})
_LIMITS = (
    "messages_per_minute",
    "connections",
    "recipients_per_message",
    "recipients_per_day",
    "max_message_bytes",
)
_URL = re.compile(r"[\x21-\x7e]+")


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL that names a host, or None: it is no such URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts if parts.hostname and not parts.username and _URL.fullmatch(url) else None


def is_https(url: str) -> bool:
    """Whether ``url`` is an https:// address."""
    parts = split_url(url)
    return parts is not None and parts.scheme == "https"


def single_sender(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the mail.toml that OAUTH_TENANT_ID, OAUTH_CLIENT_ID and MAILBOX stand for."""
    service = {
        "type": "microsoft",
        "tenant": environ.get("OAUTH_TENANT_ID", ""),
        "client_id": environ.get("OAUTH_CLIENT_ID", ""),
    }
    sender = {"service": "microsoft", "mailbox": environ["MAILBOX"], "default": True}
    return {"services": {"microsoft": service}, "senders": {"default": sender}}


@dataclass(frozen=True, slots=True)
class MailConfig:
    """
    What mail.toml says: services and senders by their names, and the events that are told beyond the usual.
    """

    services: Mapping[str, Service]
    senders: Mapping[str, Sender]
    opted_in: frozenset[str]


def read(config: Mapping[str, Any], where: str, problems: list[str]) -> MailConfig:
    """Return what ``config`` says; what is wrong with it is added to ``problems``."""
    reader = _Reader(where, problems)
    reader.only(config, "", ("services", "senders", "events"))
    service_tables = reader.tables(config, "services")
    services = {
        name: service for name, table in service_tables.items() if (service := reader.service(name, table))
    }
    senders = {
        name: sender
        for name, table in reader.tables(config, "senders").items()
        if (sender := reader.sender(name, table, service_tables))
    }
    reader.one_default(senders)
    return MailConfig(services, senders, reader.events(config.get("events", {})))


class _Reader:
    """Reads tables and notes each problem as ``file: table.key: what is wrong``."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems

    def _wrong(self, path: str, said: str) -> None:
        self._problems.append(f"{self._where}: {path}: {said}")

    def only(self, table: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
        """Note keys that mean nothing here: a typing mistake must not be taken for a setting."""
        for key in table:
            if key not in known:
                self._wrong(
                    f"{path}.{key}".lstrip("."), f"it is not known here; known are {', '.join(known)}"
                )

    def tables(self, config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a table of tables, which must hold at least one."""
        value = config.get(key)
        if isinstance(value, dict) and value:
            return value
        self._problems.append(f"{self._where}: [{key}.<name>] is missing")
        return {}

    def _text(self, table: Mapping[str, Any], path: str, key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if value is None or value == "":
            if default is None or (default and key in table):
                self._wrong(f"{path}.{key}", "it is missing")
            return ""
        if not isinstance(value, str):
            self._wrong(f"{path}.{key}", "it is not a string")
            return ""
        return value

    def service(self, name: str, table: Any) -> Service | None:
        """Read ``[services.<name>]``."""
        path = f"services.{name}"
        if not isinstance(table, dict) or not _NAME.fullmatch(name):
            self._wrong(path, "it is not a table whose name has letters, digits and - only")
            return None
        before = len(self._problems)
        self.only(table, path, ("type", "tenant", "client_id", "grant", "credential", "cloud", "authority"))
        for key, built in (
            ("type", "microsoft"),
            ("grant", "delegated"),
            ("credential", "secret"),
            ("cloud", "public"),
        ):
            value = self._text(table, path, key, built if key != "type" else None)
            if value and value != built:
                self._wrong(f"{path}.{key}", f'"{value}" is not supported by this version; write "{built}"')
        tenant = self._text(table, path, "tenant")
        if tenant and not _TENANT.fullmatch(tenant):
            self._wrong(f"{path}.tenant", "it is neither a tenant id nor a domain")
        client_id = self._text(table, path, "client_id")
        authority = self._text(table, path, "authority", f"{_ENTRA}/{tenant}").rstrip("/")
        if authority and "authority" in table and not is_https(authority):
            self._wrong(f"{path}.authority", "it is not an https:// address")
        if len(self._problems) > before:
            return None
        return Service(name, tenant, client_id, authority, authority_is_known="authority" not in table)

    def sender(self, name: str, table: Any, services: Mapping[str, Any]) -> Sender | None:
        """Read ``[senders.<name>]``."""
        path = f"senders.{name}"
        if not isinstance(table, dict) or not _NAME.fullmatch(name):
            self._wrong(path, "it is not a table whose name has letters, digits and - only")
            return None
        before = len(self._problems)
        known = ("service", "mailbox", "sign_in_as", "from", "also_from", "default", "smtp", "limits")
        self.only(table, path, known)
        service = self._text(table, path, "service")
        if service and service not in services:
            self._wrong(f"{path}.service", f"there is no [services.{service}]")
        mailbox = self._text(table, path, "mailbox")
        self._account(path, "mailbox", mailbox)
        sign_in_as = self._text(table, path, "sign_in_as", "")
        self._account(path, "sign_in_as", sign_in_as)
        from_address = self._address(path, "from", self._text(table, path, "from", mailbox))
        also_from = table.get("also_from", [])
        if not isinstance(also_from, list) or not all(isinstance(item, str) for item in also_from):
            self._wrong(f"{path}.also_from", "it is not a list of addresses")
            also_from = []
        others = [self._address(path, f"also_from[{number}]", text) for number, text in enumerate(also_from)]
        if not isinstance(table.get("default", False), bool):
            self._wrong(f"{path}.default", "it is neither true nor false")
        smtp = self._smtp(path, table.get("smtp", {}))
        limits = self._limits(path, table.get("limits", {}))
        if len(self._problems) > before or from_address is None:
            return None
        return Sender(
            name=name,
            service=service,
            mailbox=mailbox,
            from_address=from_address,
            smtp=smtp,
            sign_in_as=sign_in_as,
            also_from=tuple(other for other in others if other),
            limits=limits,
            default=table.get("default", False),
        )

    def _address(self, path: str, key: str, text: str) -> Address | None:
        if not text:
            return None
        try:
            return parse_address(text)
        except ValueError as error:
            self._wrong(f"{path}.{key}", f'"{text}" {error}')
            return None

    def _account(self, path: str, key: str, text: str) -> None:
        """Note what is no bare address: it is compared with the name of an account, letter for letter."""
        address = self._address(path, key, text)
        if address and (address.display_name or "<" in text or text != text.strip()):
            self._wrong(f"{path}.{key}", f'"{text}" is more than an address; write {address.addr_spec}')

    def _smtp(self, path: str, table: Any) -> SmtpServer:
        if not isinstance(table, dict):
            self._wrong(f"{path}.smtp", "it is not a table")
            return SmtpServer(_SMTP_HOST)
        self.only(table, f"{path}.smtp", ("host", "port"))
        host = self._text(table, f"{path}.smtp", "host", _SMTP_HOST)
        port = table.get("port", DEFAULT_SMTP_PORT)
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:  # noqa: PLR2004 - TCP's own range
            self._wrong(f"{path}.smtp.port", "it is not a port number")
            port = DEFAULT_SMTP_PORT
        return SmtpServer(host, port)

    def _limits(self, path: str, table: Any) -> Limits:
        if not isinstance(table, dict):
            self._wrong(f"{path}.limits", "it is not a table")
            return Limits()
        self.only(table, f"{path}.limits", _LIMITS)
        numbers = {}
        for key in _LIMITS:
            value = table.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self._wrong(f"{path}.limits.{key}", "it is not a whole number above 0")
            else:
                numbers[key] = value
        return Limits(**numbers)

    def events(self, table: Any) -> frozenset[str]:
        """Read ``[events]``: which of those that are not told by default are wanted."""
        known = {kind.removeprefix("mail."): kind for kind in sorted(OPT_IN)}
        if not isinstance(table, dict):
            self._wrong("events", "it is not a table")
            return frozenset()
        self.only(table, "events", tuple(known))
        for key, value in table.items():
            if not isinstance(value, bool):
                self._wrong(f"events.{key}", "it is neither true nor false")
        return frozenset(kind for key, kind in known.items() if table.get(key) is True)

    def one_default(self, senders: Mapping[str, Sender]) -> None:
        """Note two senders that both want to be the default."""
        named = [name for name, sender in senders.items() if sender.default]
        if len(named) > 1:
            self._wrong("senders", f"{' and '.join(named)} are both the default; keep one")
