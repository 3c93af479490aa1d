"""The lock on a queue message: renewed while its function runs, and given up in one of three ways."""

import asyncio
import logging
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.host.storage import is_gone

_log = logging.getLogger("local.host.queues")


class MessageLock:
    """
    One message's lock; inside `async with` it is renewed at half-life.

    Each renewal changes the pop receipt, so the lock keeps the current one. A message that the function
    itself deleted or updated, or that another instance has taken since, is left alone.
    """

    def __init__(self, queue: QueueClient, message: QueueMessage, seconds: int) -> None:
        self._queue = queue
        self._id = message.id
        self._receipt = message.pop_receipt
        self._seconds = seconds
        self._ended = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._renewal = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._renewal is not None:
            await self._renewal  # not cancelled: a renewal under way brings the receipt that the delete needs

    async def release(self, seconds: int) -> None:
        """Make the message visible again in `seconds`."""
        await self._tolerantly("released", self._hide(seconds))

    async def delete(self) -> None:
        """Take the message off the queue."""
        await self._tolerantly("deleted", self._queue.delete_message(self._id, self._receipt))

    async def _hide(self, seconds: int) -> None:
        updated = await self._queue.update_message(self._id, self._receipt, visibility_timeout=seconds)
        self._receipt = updated.pop_receipt

    async def _renew(self) -> None:
        wait = self._seconds / 2
        while not await self._ends_within(wait):
            try:
                await self._hide(self._seconds)
                wait = self._seconds / 2
                _log.debug("renewed the lock of message %s", self._id)
            except HttpResponseError as error:
                if is_gone(error):
                    _log.debug("message %s is no longer this host's; its lock is not renewed", self._id)
                    return
                wait = self._failed(error)
            except AzureError as error:
                wait = self._failed(error)

    def _failed(self, error: AzureError) -> float:
        _log.warning("the lock of message %s could not be renewed: %s; trying again", self._id, error.message)
        return min(1.0, self._seconds / 10)

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def _tolerantly(self, done: str, operation: Awaitable[None]) -> None:
        try:
            await operation
        except HttpResponseError as error:
            if not is_gone(error):
                raise
            _log.debug("message %s was not %s: someone else has dealt with it", self._id, done)
