"""
mail.toml: the services and senders of a deployment, read from their tables with every problem noted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.config_tables import TableReader
from shared.core.address import Address, parse_address
from shared.core.sender import DEFAULT_SMTP_PORT, Limits, Sender, SmtpServer
from shared.core.service import PUBLIC, Microsoft
from shared.service_config import NAME, read_service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.core.service import Service

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


def single_sender(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the mail.toml that OAUTH_TENANT_ID, OAUTH_CLIENT_ID, MAILBOX and those beside them stand for."""
    service = {
        "type": "microsoft",
        "tenant": environ.get("OAUTH_TENANT_ID", ""),
        "client_id": environ.get("OAUTH_CLIENT_ID", ""),
        "credential": environ.get("OAUTH_CREDENTIAL") or "secret",
    }
    sender = {"service": "microsoft", "mailbox": environ["MAILBOX"], "default": True}
    if environ.get("SIGN_IN_AS"):
        sender["sign_in_as"] = environ["SIGN_IN_AS"]
    return {"services": {"microsoft": service}, "senders": {"default": sender}}


@dataclass(frozen=True, slots=True)
class MailConfig:
    """
    What mail.toml says: services and senders by their names, and who operates them.

    ``opted_in`` are the events that are told beyond the usual.
    """

    services: Mapping[str, Service]
    senders: Mapping[str, Sender]
    opted_in: frozenset[str]
    operators: tuple[Address, ...] = ()


def read(config: Mapping[str, Any], where: str, problems: list[str]) -> MailConfig:
    """Return what ``config`` says; what is wrong with it is added to ``problems``."""
    reader = _Reader(where, problems)
    reader.only(config, "", ("services", "senders", "events", "operators"))
    service_tables = reader.tables(config, "services")
    reader.distinct("services", service_tables)
    services = {
        name: service
        for name, table in service_tables.items()
        if (service := read_service(reader, name, table))
    }
    sender_tables = reader.tables(config, "senders")
    reader.distinct("senders", sender_tables)
    senders = {
        name: sender
        for name, table in sender_tables.items()
        if (sender := reader.sender(name, table, service_tables, services))
    }
    reader.one_default(senders)
    return MailConfig(
        services, senders, reader.events(config.get("events", {})), reader.addresses(config, "", "operators")
    )


class _Reader(TableReader):
    """Reads what is mail.toml's own."""

    def distinct(self, key: str, names: Iterable[str]) -> None:
        """Note two names that differ in case alone: the vault would keep one secret for both."""
        seen: dict[str, str] = {}
        for name in names:
            if (other := seen.setdefault(name.casefold(), name)) != name:
                self.wrong(
                    key, f"{other} and {name} differ in case alone, which Key Vault does not tell apart"
                )

    def sender(
        self, name: str, table: Any, service_tables: Mapping[str, Any], services: Mapping[str, Service]
    ) -> Sender | None:
        """Read ``[senders.<name>]``."""
        path = f"senders.{name}"
        if not isinstance(table, dict) or not NAME.fullmatch(name):
            self.wrong(path, "it is not a table whose name has letters, digits and - only")
            return None
        before = self.count
        known = ("service", "mailbox", "sign_in_as", "from", "also_from", "default", "smtp", "limits")
        self.only(table, path, known)
        service_name = self.text(table, path, "service")
        if service_name and service_name not in service_tables:
            self.wrong(f"{path}.service", f"there is no [services.{service_name}]")
        service = services.get(service_name)
        mailbox = self.text(table, path, "mailbox")
        self._account(path, "mailbox", mailbox)
        sign_in_as = self.text(table, path, "sign_in_as", "")
        self._account(path, "sign_in_as", sign_in_as)
        if sign_in_as and service and service.is_app_only:
            self.wrong(
                f"{path}.sign_in_as", f'nobody signs in: {service_name} has grant = "app"; leave it out'
            )
        from_address = self._address(path, "from", self.text(table, path, "from", mailbox))
        also_from = self.addresses(table, path, "also_from")
        if not isinstance(table.get("default", False), bool):
            self.wrong(f"{path}.default", "it is neither true nor false")
        smtp = self._smtp(path, table.get("smtp", {}), service)
        limits = self._limits(path, table.get("limits", {}))
        if self.count > before or from_address is None:
            return None
        return Sender(
            name=name,
            service=service_name,
            mailbox=mailbox,
            from_address=from_address,
            smtp=smtp,
            sign_in_as=sign_in_as,
            also_from=also_from,
            limits=limits,
            default=table.get("default", False),
        )

    def addresses(self, table: Mapping[str, Any], path: str, key: str) -> tuple[Address, ...]:
        """Read a list of addresses."""
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(f"{path}.{key}".lstrip("."), "it is not a list of addresses")
            return ()
        found = [self._address(path, f"{key}[{number}]", text) for number, text in enumerate(value)]
        return tuple(address for address in found if address)

    def _address(self, path: str, key: str, text: str) -> Address | None:
        if not text:
            return None
        try:
            return parse_address(text)
        except ValueError as error:
            self.wrong(f"{path}.{key}".lstrip("."), f'"{text}" {error}')
            return None

    def _account(self, path: str, key: str, text: str) -> None:
        """Note what is no bare address: it is compared with the name of an account, letter for letter."""
        address = self._address(path, key, text)
        if address and (address.display_name or "<" in text or text != text.strip()):
            self.wrong(f"{path}.{key}", f'"{text}" is more than an address; write {address.addr_spec}')

    def _smtp(self, path: str, table: Any, service: Service | None) -> SmtpServer:
        """Read where mail is handed over: Microsoft's follows the cloud, others' must be written."""
        default: str | None = PUBLIC.smtp_host
        if service:
            provider = service.provider
            default = provider.cloud.smtp_host if isinstance(provider, Microsoft) else None
        if not isinstance(table, dict):
            self.wrong(f"{path}.smtp", "it is not a table")
            return SmtpServer(PUBLIC.smtp_host)
        self.only(table, f"{path}.smtp", ("host", "port"))
        host = self.text(table, f"{path}.smtp", "host", default)
        port = table.get("port", DEFAULT_SMTP_PORT)
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:  # noqa: PLR2004 - TCP's own range
            self.wrong(f"{path}.smtp.port", "it is not a port number")
            port = DEFAULT_SMTP_PORT
        return SmtpServer(host, port)

    def _limits(self, path: str, table: Any) -> Limits:
        if not isinstance(table, dict):
            self.wrong(f"{path}.limits", "it is not a table")
            return Limits()
        self.only(table, f"{path}.limits", _LIMITS)
        numbers = {}
        for key in _LIMITS:
            value = table.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self.wrong(f"{path}.limits.{key}", "it is not a whole number above 0")
            else:
                numbers[key] = value
        return Limits(**numbers)

    def events(self, table: Any) -> frozenset[str]:
        """Read ``[events]``: which of those that are not told by default are wanted."""
        known = {kind.removeprefix("mail."): kind for kind in sorted(OPT_IN)}
        if not isinstance(table, dict):
            self.wrong("events", "it is not a table")
            return frozenset()
        self.only(table, "events", tuple(known))
        for key, value in table.items():
            if not isinstance(value, bool):
                self.wrong(f"events.{key}", "it is neither true nor false")
        return frozenset(kind for key, kind in known.items() if table.get(key) is True)

    def one_default(self, senders: Mapping[str, Sender]) -> None:
        """Note two senders that both want to be the default."""
        named = [name for name, sender in senders.items() if sender.default]
        if len(named) > 1:
            self.wrong("senders", f"{' and '.join(named)} are both the default; keep one")
