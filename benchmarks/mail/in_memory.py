"""
Containers in memory, for composing a message without a storage account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.composer import Composed, Composer
from shared.core.address import parse_address
from shared.core.mime import InMemory
from shared.core.rendering import Template
from shared.core.sender import Sender, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.message import Message

_DATE = datetime(2026, 11, 24, 8, tzinfo=UTC)
_SENDER = Sender(
    name="noreply",
    service="microsoft",
    mailbox="noreply@contoso.com",
    from_address=parse_address("Contoso <noreply@contoso.com>"),
    smtp=SmtpServer("localhost"),
    default=True,
)


@dataclass(frozen=True, slots=True)
class Blobs:
    """``mail-payloads``, as paths and what lies there."""

    content: Mapping[str, bytes]

    def find(self, path: str) -> InMemory | None:
        """Return a blob, or None."""
        content = self.content.get(path)
        return None if content is None else InMemory(content)


@dataclass(frozen=True, slots=True)
class Templates:
    """``mail-templates``, as paths and what lies there; in the default language alone."""

    content: Mapping[str, str]

    def find(self, name: str, language: str | None) -> Template | None:
        """Return a template, or None."""
        del language
        subject, html, text = (
            self.content.get(f"{name}/default/{file}") for file in ("subject.txt", "body.html", "body.txt")
        )
        return Template(name, "default", subject, html, text) if html or text else None


def compose(message: Message, blobs: Mapping[str, bytes], templates: Mapping[str, str]) -> Composed:
    """Return a message as it would go to the server; raises ``MessageError`` where it may not."""
    composer = Composer(payloads=Blobs(blobs), templates=Templates(templates))
    return composer.compose(message, _SENDER, mail_id=f"<{message.id}@contoso.com>", date=_DATE)
