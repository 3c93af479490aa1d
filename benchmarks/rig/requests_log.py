"""Requests to storage by queue, table or container, from Azurite's access log: a line is a request."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_REQUEST = re.compile(r'"(?P<method>[A-Z]+) /devstoreaccount1/(?P<place>[$\w-]*)')
#: A transaction on one partition of a table; the line does not say which table.
BATCH = "$batch"


def asked(log: Path, start: int = 0) -> Counter[str]:
    """Return how many requests each place got since octet ``start`` of the log."""
    with log.open("rb") as written:
        written.seek(start)
        return Counter(
            request["place"]
            for line in written
            if (request := _REQUEST.search(line.decode("utf-8", "replace")))
        )
