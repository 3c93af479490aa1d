"""
Who asked storage for what, from Azurite's access log: a line is a request, and a request a transaction.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What is on our side of the bill, in parts.
OURS = ("ledger", "pacing", "waiting", "blobs", "outbox", "events", "other")
#: Tells the app's own messages on the outbox from ours: no other writer names this time to live.
APP_TTL_SECONDS = 86_400

#: A batch is one transaction, and of a message that does not wait the ledger alone writes in batches.
_PLACES = {
    "$batch": "ledger",
    "ledger": "ledger",
    "senders": "pacing",
    "waiting": "waiting",
    "mail-payloads": "blobs",
    "mail-templates": "blobs",
}
_REQUEST = re.compile(r'"(?P<method>[A-Z]+) /devstoreaccount1/(?P<path>[^ ?]*)\??(?P<query>\S*) HTTP/')


def counted(log: Path, start: int) -> Counter[str]:
    """
    Count requests since octet ``start`` of the log: by who made them, and under "removed" the messages done.
    """
    counts: Counter[str] = Counter()
    with log.open("rb") as written:
        written.seek(start)
        for line in written.read().decode().splitlines():
            if request := _REQUEST.search(line):
                whose = _whose(request["method"], request["path"], request["query"])
                counts[whose] += 1
                counts["removed"] += whose == "host" and request["method"] == "DELETE"
    return counts


def _whose(method: str, path: str, query: str) -> str:
    """Return who made a request; what is not known to be somebody else's is ours."""
    place = path.partition("/")[0]
    if place.startswith("azure-webjobs-"):
        return "host"
    if place in ("outbox", "outbox-poison"):
        if method == "POST":
            return "app" if f"messagettl={APP_TTL_SECONDS}" in query else "outbox"
        return "host"
    if place == "mail-events":
        return "events"
    return _PLACES.get(place.partition("(")[0], "other")
