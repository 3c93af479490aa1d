"""
The queue trigger: takes messages, runs the function, deletes, gives back or puts aside.

After QueueListener and QueueProcessor of Microsoft.Azure.WebJobs.Extensions.Storage: a message is locked for
ten minutes, the lock renewed at its half-life; failures count by the queue's own dequeue count.
"""

import asyncio
import logging
import random

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.host.app_index import IndexedFunction
from local.host.bindings.queue_trigger import UndecodableMessageError, decode_text, incoming_message
from local.host.host_json import QueueSettings
from local.host.invocation import Ending, Invocation, Worker
from local.host.message_lock import MessageLock
from local.host.polling import PollingBackOff
from local.host.storage import create_queue, put

_log = logging.getLogger("local.host.queues")

POISON_SUFFIX = "-poison"


class QueueListener:
    """Serves one function from one queue."""

    def __init__(
        self,
        function: IndexedFunction,
        *,
        queue: QueueClient,
        poison: QueueClient | None,
        settings: QueueSettings,
        lock_seconds: int,
        worker: Worker,
    ) -> None:
        """Serve `queue`; `poison` is None for a poison queue itself: its messages have nowhere to go."""
        self._function = function
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._lock_seconds = lock_seconds
        self._worker = worker
        # Spreads instances over time; nothing here is secret.
        self._back_off = PollingBackOff(settings.max_polling_interval, random.Random())  # noqa: S311
        self._stopping = asyncio.Event()
        self._something_ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._invocations: set[Invocation] = set()
        self._polling: asyncio.Task[None] | None = None
        self._reachable = True

    async def start(self) -> None:
        """Create the queue if it is missing, and begin to poll."""
        try:
            await create_queue(self._queue)
        except AzureError as error:
            self._unreachable(error)
        self._polling = asyncio.create_task(self._poll(), name=f"poll {self._queue.queue_name}")

    def stop(self) -> None:
        """Take no more messages, and take back those that no thread has begun."""
        self._stopping.set()
        for invocation in self._invocations:
            invocation.withdraw()

    async def finished(self) -> None:
        """Wait, after `stop`, until every message taken is settled."""
        if self._polling is not None:
            await self._polling
        await asyncio.gather(*self._tasks)

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            if len(self._tasks) > self._settings.new_batch_threshold:
                await self._until_something_ends()
                continue
            try:
                messages = await self._receive()
            except Exception as error:  # noqa: BLE001 (whatever happens, the queue must go on being served)
                self._unreachable(error)
                messages = []
            for message in messages:
                self._take(message)
            if messages:
                self._back_off.found()
            else:
                await self._pause(self._back_off.next_wait().total_seconds())

    async def _receive(self) -> list[QueueMessage]:
        """Take a batch. Never cancelled: an answer under way would leave its messages locked for nobody."""
        pages = self._queue.receive_messages(
            messages_per_page=self._settings.batch_size,
            max_messages=self._settings.batch_size,
            visibility_timeout=self._lock_seconds,
        )
        messages: list[QueueMessage] = []
        async for page in pages.by_page():
            messages = [message async for message in page]
            break  # one page is one call; the next would ask again before this batch begins
        if not self._reachable:
            self._reachable = True
            _log.warning("the queue %s answers again", self._queue.queue_name)
        return messages

    def _take(self, message: QueueMessage) -> None:
        task = asyncio.create_task(self._process(message))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._something_ended.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "a message of %s was not settled; its lock runs out", self._queue.queue_name, exc_info=error
            )

    async def _process(self, message: QueueMessage) -> None:
        lock = MessageLock(self._queue, message, self._lock_seconds)
        if self._stopping.is_set():
            await lock.release(0)
            return
        if self._poison is not None and self._times_taken(message) > self._settings.max_dequeue_count:
            await self._put_aside(lock, message, self._poison)
            return
        try:
            body = decode_text(message.content or "", self._settings.message_encoding)
        except UndecodableMessageError:
            await self._undecodable(lock, message)
            return
        invocation = self._worker.begin(self._function, incoming_message(message, body))
        self._invocations.add(invocation)
        try:
            async with lock:
                outcome = await self._worker.finish(invocation)
        finally:
            self._invocations.discard(invocation)
        await self._settle(lock, message, outcome.ending)

    async def _settle(self, lock: MessageLock, message: QueueMessage, ending: Ending) -> None:
        if ending is Ending.WITHDRAWN:
            await lock.release(0)
        elif ending is Ending.SUCCEEDED:
            await lock.delete()
        elif self._poison is None:
            # Nowhere to put it aside: left locked, as the real host does, so that it cannot fail in a loop.
            return
        elif self._times_taken(message) >= self._settings.max_dequeue_count:
            await self._put_aside(lock, message, self._poison)
        else:
            await lock.release(round(self._settings.visibility_timeout.total_seconds()))

    async def _undecodable(self, lock: MessageLock, message: QueueMessage) -> None:
        _log.error(
            "message %s of %s is not Base64, which host.json asks for", message.id, self._queue.queue_name
        )
        if self._poison is not None:
            await self._put_aside(lock, message, self._poison)

    async def _put_aside(self, lock: MessageLock, message: QueueMessage, poison: QueueClient) -> None:
        _log.warning(
            "message %s of %s was taken %d times; it moves to %s",
            message.id,
            self._queue.queue_name,
            self._times_taken(message),
            poison.queue_name,
        )
        await put(poison, message.content or "")
        await lock.delete()

    def _times_taken(self, message: QueueMessage) -> int:
        return message.dequeue_count or 0

    def _unreachable(self, error: Exception) -> None:
        if self._reachable:
            self._reachable = False
            _log.error("cannot read the queue %s: %s; trying on", self._queue.queue_name, error)

    async def _until_something_ends(self) -> None:
        self._something_ended.clear()
        await self._first_of(self._something_ended, self._stopping)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    @staticmethod
    async def _first_of(*events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
