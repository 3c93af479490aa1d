"""
What a mailbox takes, checked before any byte goes to the server.

Each refusal states the limit, the actual figure, and which setting holds the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.message import Message
    from shared.core.mime import Mime
    from shared.core.sender import Sender

# Exchange Online limits (Microsoft's page "Exchange Online limits", message limits); no mailbox can raise
# them.
MOST_ATTACHMENTS = 250
LARGEST_HEADER_BYTES = 262_144


def too_many_files(message: Message) -> Iterator[str]:
    """Give the limit that a message goes over by its number of files, as ``field: what is wrong``."""
    files = len(message.fields.attachments)
    if files > MOST_ATTACHMENTS:
        yield f"attachments: {files} of them, and Exchange Online takes {MOST_ATTACHMENTS}; no setting helps"


def too_large(sender: Sender, octets: int, *, said: str) -> str:
    """Return what is wrong with so many octets; "" where they are within the limit."""
    most = sender.limits.max_message_bytes
    if octets <= most:
        return ""
    where = f"the limit is senders.{sender.name}.limits.max_message_bytes in mail.toml"
    return f"{said}, and {sender.name} takes {most}; {where}, and MaxSendSize of the mailbox"


def too_much(sender: Sender, recipients: int, mime: Mime) -> Iterator[str]:
    """Give every limit that a finished message goes over, as ``field: what is wrong``."""
    limits = sender.limits
    where = f"the limit is senders.{sender.name}.limits"
    if recipients > limits.recipients_per_message:
        yield (
            f"to: {recipients} recipients, and {sender.name} takes {limits.recipients_per_message}; "
            f"{where}.recipients_per_message in mail.toml, and RecipientLimits of the mailbox"
        )
    if problem := too_large(sender, mime.size, said=f"message: {mime.size} octets of mail"):
        yield problem
    if mime.header_size > LARGEST_HEADER_BYTES:
        yield (
            f"headers: {mime.header_size} octets, and Exchange Online takes {LARGEST_HEADER_BYTES}; "
            "no setting helps"
        )
