"""
The judgement after the dot: everything that needs the mailbox, or the whole message.

Until here the front end has only checked syntax; now the mailbox's own back end looks, and its refusal is the
reply to the message as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import getaddresses
from typing import TYPE_CHECKING
from uuid import uuid4

from local.microsoft.exchange import replies

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.microsoft.exchange.organization import Mailbox, Organization

_HEADER = re.compile(rb"^(From|Message-ID)[ \t]*:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Submission:
    """
    One message on its way in.

    `raw` is None when it was larger than the server takes at all. `binary` (BDAT) allows line feeds without a
    carriage return. `connection` stands for the session among those that submit at once.
    """

    mail_from: str
    rcpt_to: tuple[str, ...]
    raw: bytes | None = field(repr=False)
    binary: bool
    connection: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Headers:
    size: int
    from_fields: tuple[str, ...]
    message_id: str


@dataclass(frozen=True, slots=True)
class _Case:
    """All that a check can look at."""

    submission: Submission
    raw: bytes
    headers: _Headers
    mailbox: Mailbox
    organization: Organization
    now: float

    def limit(self, name: str) -> int:
        return self.organization.limit(self.mailbox, name)

    @property
    def from_addresses(self) -> list[str]:
        return [address for _, address in getaddresses(list(self.headers.from_fields))]


def submit(submission: Submission, mailbox: Mailbox, organization: Organization) -> str:
    """Keep the message, or refuse it; return the reply."""
    raw = submission.raw
    if raw is None:
        return replies.MESSAGE_TOO_LARGE
    headers = _read_headers(raw)
    now = organization.clock()
    case = _Case(submission, raw, headers, mailbox, organization, now)
    for check in _CHECKS:
        refusal = check(case)
        if refusal is not None:
            return refusal
    usage = organization.usage(mailbox)
    usage.messages += 1
    usage.minute.add(now)
    usage.recipients.add(now, len(submission.rcpt_to))
    organization.store.add(
        mail_from=submission.mail_from,
        rcpt_to=submission.rcpt_to,
        auth_user=mailbox.address,
        raw=raw,
        now=now,
    )
    return replies.accepted(headers.message_id or f"<{uuid4()}@{replies.BACK_END}>")


def _read_headers(raw: bytes) -> _Headers:
    # An empty line ends the headers; a message may also begin with it, or never come to it.
    end = 0 if raw.startswith(b"\r\n") else raw.find(b"\r\n\r\n")
    section = raw if end < 0 else raw[:end]
    from_fields: list[str] = []
    message_id = ""
    for name, value in _HEADER.findall(section):
        text = value.decode("utf-8", "replace").replace("\r", "").replace("\n", "").strip()
        if name[:1] in b"Ff":
            from_fields.append(text)
        elif not message_id:
            message_id = text
    return _Headers(len(section), tuple(from_fields), message_id)


def _line_feeds(case: _Case) -> str | None:
    alone = case.raw.count(b"\n") != case.raw.count(b"\r\n")
    return replies.BARE_LINEFEEDS if alone and not case.submission.binary else None


def _header_size(case: _Case) -> str | None:
    too_large = case.headers.size > case.organization.limits.max_header_bytes
    return replies.HEADER_TOO_LARGE if too_large else None


def _message_size(case: _Case) -> str | None:
    return replies.MESSAGE_TOO_LARGE if len(case.raw) > case.limit("max_message_bytes") else None


def _from_header(case: _Case) -> str | None:
    addresses = case.from_addresses
    if len(case.headers.from_fields) > 1 or len(addresses) > 1:
        return replies.MULTIPLE_FROM
    if not addresses or "@" not in addresses[0]:
        return replies.NO_FROM
    return None


def _blocked(case: _Case) -> str | None:
    return replies.BLOCKED if case.mailbox.blocked else None


def _connections(case: _Case) -> str | None:
    usage = case.organization.usage(case.mailbox)
    has_place = usage.take_place(case.submission.connection, case.limit("connections"))
    return None if has_place else replies.connections_exceeded()


def _rate(case: _Case) -> str | None:
    lately = case.organization.usage(case.mailbox).minute.count(case.now)
    return replies.RATE_EXCEEDED if lately >= case.limit("messages_per_minute") else None


def _send_as(case: _Case) -> str | None:
    for address in (case.submission.mail_from, *case.from_addresses):
        if address and not case.mailbox.may_send_as(address):
            return replies.send_as_denied(case.mailbox.address, address)
    return None


def _full(case: _Case) -> str | None:
    return replies.mailbox_full() if case.mailbox.full else None


def _daily_quota(case: _Case) -> str | None:
    used = case.organization.usage(case.mailbox).recipients.sum(case.now)
    exceeded = used + len(case.submission.rcpt_to) > case.limit("recipients_per_day")
    return replies.daily_quota_exceeded() if exceeded else None


_CHECKS: tuple[Callable[[_Case], str | None], ...] = (
    _line_feeds,
    _header_size,
    _message_size,
    _from_header,
    _blocked,
    _connections,
    _rate,
    _send_as,
    _full,
    _daily_quota,
)
