"""What the mail server took: each copy of each message, told apart by what is written in it."""

from __future__ import annotations

import base64
import email
import json
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Copy:
    """One acceptance by the mail server. ``subject`` is the id that the app gave the message."""

    subject: str
    message_id: str
    date: str
    mailbox: str
    received_at: datetime


def received(facts: Mapping[str, Any], *, newest: int | None = None) -> list[Copy]:
    """Return what was taken, in the order in which it was; ``newest`` asks for so many of the last alone."""
    url = f"{facts['inbox']}/messages.json" + (f"?limit={newest}" if newest else "")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_SECONDS) as reply:
        return [_copy(mail) for mail in reversed(json.load(reply))]


def _copy(mail: Mapping[str, Any]) -> Copy:
    content = email.message_from_bytes(base64.b64decode(mail["raw"]))
    return Copy(
        subject=content["Subject"],
        message_id=content["Message-ID"],
        date=content["Date"],
        mailbox=mail["auth_user"],
        received_at=datetime.fromisoformat(mail["received_at"]),
    )


def by_subject(copies: Iterable[Copy]) -> dict[str, list[Copy]]:
    """Return the copies of each message."""
    found: defaultdict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        found[copy.subject].append(copy)
    return dict(found)


def are_alike(copies: Iterable[Copy]) -> bool:
    """Whether a recipient's server can tell that they are one message: the same Message-ID and Date."""
    return len({(copy.message_id, copy.date) for copy in copies}) == 1
