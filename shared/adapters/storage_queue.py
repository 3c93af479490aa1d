"""
Azure Storage queues: putting a message on one, to be seen after a delay.

The output binding of Azure Functions cannot delay a message, so this speaks to the queue itself.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from shared.adapters.storage_account import PATIENCE, or_away

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.adapters.storage_account import Account

_NEVER = -1  # the service's word for a message that does not expire; its default is 7 days
_LONGEST_DELAY = timedelta(days=7)  # the service's limit for an invisible message
_AT_A_TIME = 10  # requests: as many connections as the SDK keeps open


class StorageQueue:
    """
    A queue by name, made when it is first missed.

    Text goes as it is: the host is told ``messageEncoding: none``.
    """

    def __init__(self, name: str, account: Account) -> None:
        self._client = account.client(QueueClient, name, **PATIENCE)

    @or_away
    def put(self, text: str, *, delay: timedelta = timedelta()) -> None:
        """
        Put ``text`` on the queue, visible after ``delay`` (7 days at most; a longer one is cut to that).
        """
        # Rounded up: what comes a moment too early would have to be put back.
        seconds = max(0, math.ceil(min(delay, _LONGEST_DELAY - timedelta(seconds=1)).total_seconds()))
        try:
            self._client.send_message(text, visibility_timeout=seconds, time_to_live=_NEVER)
        except ResourceNotFoundError:
            self.create()
            self._client.send_message(text, visibility_timeout=seconds, time_to_live=_NEVER)

    def put_all(self, texts: Iterable[tuple[str, timedelta]]) -> None:
        """Put each text on the queue, visible after its delay; several at a time, for each is a request."""
        with ThreadPoolExecutor(_AT_A_TIME) as at_a_time:
            for done in [at_a_time.submit(self.put, text, delay=delay) for text, delay in texts]:
                done.result()

    def create(self) -> None:
        """Make the queue; harmless when it is there."""
        try:
            self._client.create_queue()
        except ResourceExistsError:
            return
