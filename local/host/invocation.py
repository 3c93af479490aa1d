"""
Running functions: synchronous ones in a thread pool, asynchronous ones on an event loop of their own.

The real host and its language worker are two processes, so a function that blocks never holds up the host.
Here they are two loops in one process: functions run on the worker's loop or threads, listeners on the host's
loop.
"""

import asyncio
import concurrent.futures
import dataclasses
import enum
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from local.host.app_index import IndexedFunction, Output
from local.host.bindings import Incoming, decode, encode
from local.host.bindings.outputs import InvocationContext, OutParameter, queue_bodies
from local.host.bindings.queue_trigger import encode_body
from local.host.host_json import MessageEncoding
from local.host.storage import StorageAccounts, put

_log = logging.getLogger("local.host")


class Ending(enum.Enum):
    """How a run ended."""

    #: The function returned, and its outputs are written.
    SUCCEEDED = "succeeded"
    #: It raised, or its input or output did not fit its bindings.
    FAILED = "failed"
    #: It was taken back before a thread began it; it has had no effect.
    WITHDRAWN = "withdrawn"


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; `returned` is the datum of its return value where the function has one."""

    ending: Ending
    returned: Datum | None = None


def thread_count(settings: Mapping[str, str]) -> int | None:
    """Return `PYTHON_THREADPOOL_THREAD_COUNT`, or None for Python's choice, as the real worker does."""
    try:
        count = int(settings.get("PYTHON_THREADPOOL_THREAD_COUNT", ""))
    except ValueError:
        return None
    return count if count > 0 else None


class Worker:
    """Runs functions and knows which are running."""

    def __init__(
        self,
        *,
        folder: Path,
        threads: int | None,
        function_timeout: timedelta | None,
        storage: StorageAccounts,
        encoding: MessageEncoding,
    ) -> None:
        self._folder = folder
        self._timeout = function_timeout
        self._storage = storage
        self._encoding = encoding
        self._threads = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="functions", daemon=True)
        self._loop_thread.start()
        self._running: set[Invocation] = set()

    def begin(self, function: IndexedFunction, incoming: Incoming) -> "Invocation":
        """Hand a function to its thread or loop and return the run."""
        invocation = Invocation(function, incoming, str(self._folder))
        if function.is_async:
            invocation.future = asyncio.run_coroutine_threadsafe(invocation.call_async(), self._loop)
        else:
            invocation.future = self._threads.submit(invocation.call)
        self._running.add(invocation)
        return invocation

    async def finish(self, invocation: "Invocation") -> Outcome:
        """Wait for a run's end, write its outputs, and log it."""
        watch = asyncio.create_task(self._warn_when_late(invocation))
        try:
            returned = await self._settle(invocation)
        except asyncio.CancelledError:
            if invocation.is_withdrawn:
                return Outcome(Ending.WITHDRAWN)
            raise
        except Exception:  # noqa: BLE001 (whatever a function raises is a failed run)
            _log.exception(
                "Executed '%s' (Failed, Id=%s, Duration=%dms)",
                invocation.function.name,
                invocation.id,
                invocation.milliseconds(),
            )
            return Outcome(Ending.FAILED)
        finally:
            watch.cancel()
            self._running.discard(invocation)
        _log.debug(
            "Executed '%s' (Succeeded, Id=%s, Duration=%dms)",
            invocation.function.name,
            invocation.id,
            invocation.milliseconds(),
        )
        return Outcome(Ending.SUCCEEDED, returned)

    async def run(self, function: IndexedFunction, incoming: Incoming) -> Outcome:
        """Run a function from beginning to end."""
        return await self.finish(self.begin(function, incoming))

    def running(self) -> list[str]:
        """Return the names of the functions that have not ended."""
        return sorted(invocation.function.name for invocation in self._running)

    def close(self) -> None:
        """Give the threads and the loop back; nothing may be running."""
        self._threads.shutdown(wait=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()

    async def _settle(self, invocation: "Invocation") -> Datum | None:
        value = await asyncio.wrap_future(invocation.future)
        function = invocation.function
        if value is not None and function.returns is None:
            raise RuntimeError("the function returned a value but has no $return binding")
        written = [(function.outputs[name], box.get()) for name, box in invocation.boxes.items()]
        if function.returns is not None:
            written.append((function.returns, value))
        response = None
        for output, content in written:
            if output.binding == "http":
                response = encode("http", content)
            elif content is not None:
                await self._send(output, encode("queue", content))
        return response

    async def _send(self, output: Output, datum: Datum) -> None:
        client = self._storage.queue(output.connection, output.queue)
        for body in queue_bodies(datum):
            await put(client, encode_body(body, self._encoding))

    async def _warn_when_late(self, invocation: "Invocation") -> None:
        """Say when a function outlives functionTimeout: Azure would end it, but a thread cannot be ended."""
        if self._timeout is None:
            return
        left = self._timeout.total_seconds()
        while left > 0:  # again when the function began late, for want of a thread
            await asyncio.sleep(left)
            left = self._timeout.total_seconds() - invocation.seconds()
        _log.error(
            "'%s' (Id=%s) runs longer than functionTimeout (%s); Azure would have ended the process by now",
            invocation.function.name,
            invocation.id,
            self._timeout,
        )


class Invocation:
    """One run of a function."""

    def __init__(self, function: IndexedFunction, incoming: Incoming, folder: str) -> None:
        self.function = function
        self.id = str(uuid.uuid4())
        self.boxes = {name: OutParameter() for name in function.outputs}
        self.future: concurrent.futures.Future[Any]
        self._incoming = incoming
        self._context = InvocationContext(
            invocation_id=self.id, function_name=function.name, function_directory=folder
        )
        self._began: float | None = None
        self.is_withdrawn = False

    def withdraw(self) -> bool:
        """Take the run back if no thread has begun it; its outcome is then `WITHDRAWN`."""
        if not self.function.is_async and self.future.cancel():
            self.is_withdrawn = True
        return self.is_withdrawn

    def seconds(self) -> float:
        """Return how long the function has been running, 0 before it began."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    def milliseconds(self) -> int:
        """Return `seconds` in the unit of the log line."""
        return round(self.seconds() * 1000)

    def call(self) -> Any:
        """Run a synchronous function, in a thread of the pool."""
        try:
            return self.function.call(**self._arguments())
        except SystemExit as error:
            raise RuntimeError("the function called sys.exit, which must not end the host") from error
        finally:
            self._context.thread_local_storage.invocation_id = None

    async def call_async(self) -> Any:
        """Run an asynchronous function, on the worker's loop."""
        try:
            return await self.function.call(**self._arguments())
        except (SystemExit, asyncio.CancelledError) as error:
            raise RuntimeError(f"the function ended with {type(error).__name__}") from error

    def _arguments(self) -> dict[str, Any]:
        self._began = time.monotonic()
        self._context.thread_local_storage.invocation_id = self.id
        arguments: dict[str, Any] = dict(self.boxes)
        arguments[self.function.argument] = decode(self._incoming, self.function.argument_type)
        if self.function.wants_context:
            arguments["context"] = self._context
        return arguments
