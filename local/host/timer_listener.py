"""
The timer trigger: one instance keeps the schedule, and catches up on an occurrence missed while no host ran.

After TimerListener and ScheduleMonitor of Microsoft.Azure.WebJobs.Extensions.Timers, with the same blob
names: `locks/<host>/<function>.Listener` for the lease, `timers/<host>/<function>/status` for the record.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, ResourceNotFoundError

from local.host.app_index import IndexedFunction, TimerTrigger
from local.host.bindings.timer_trigger import TimerStatus, incoming_timer
from local.host.invocation import Ending, Worker
from local.host.schedules import is_monitored
from local.host.singleton import RENEWAL_SECONDS, Singleton

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

_log = logging.getLogger("local.host.timers")

#: Long waits are cut up, so that a clock set forward or a machine woken from sleep is noticed.
_LONGEST_WAIT = timedelta(seconds=30)


class TimerListener:
    """Serves one function from its schedule."""

    def __init__(
        self,
        function: IndexedFunction,
        trigger: TimerTrigger,
        *,
        container: "ContainerClient",
        host_id: str,
        worker: Worker,
    ) -> None:
        self._function = function
        self._trigger = trigger
        self._worker = worker
        self._lease = Singleton(container, f"locks/{host_id}/{function.name}.Listener")
        self._status_blob = container.get_blob_client(f"timers/{host_id}/{function.name}/status")
        self._is_monitored = trigger.use_monitor and is_monitored(trigger.schedule, datetime.now(UTC))
        self._status: TimerStatus | None = None
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to try for the lease."""
        self._serving = asyncio.create_task(self._serve(), name=f"timer {self._function.name}")

    def stop(self) -> None:
        """Begin no more runs."""
        self._stopping.set()

    async def finished(self) -> None:
        """Wait, after `stop`, until a run under way has ended and the lease is given back."""
        if self._serving is not None:
            await self._serving

    async def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                if await self._lease.acquire():
                    await self._serve_alone()
                else:
                    _log.debug("another instance keeps the timer %s", self._function.name)
            except Exception as error:  # noqa: BLE001 (whatever happens, the schedule must go on being kept)
                _log.error("the timer %s cannot go on: %s; trying again", self._function.name, error)
            await self._pause(timedelta(seconds=RENEWAL_SECONDS))

    async def _serve_alone(self) -> None:
        async with self._lease:
            renewal = asyncio.create_task(self._keep_lease())
            try:
                await self._catch_up()
                await self._keep_schedule()
            finally:
                renewal.cancel()

    async def _catch_up(self) -> None:
        """Run at once for an occurrence that was missed, or because the trigger asks for a run at start."""
        past_due = await self._is_past_due() if self._is_monitored else False
        if past_due:
            _log.info("the timer %s is past due and runs now", self._function.name)
        if past_due or self._trigger.run_on_startup:
            await self._fire(datetime.now(UTC), past_due=past_due)

    async def _is_past_due(self) -> bool:
        now = datetime.now(UTC)
        self._status = await self._read_status()
        if self._status is None:
            await self._write_status(TimerStatus(last=None, next=self._next_after(now), last_updated=now))
            return False
        # Worked out anew from the last run, in case the schedule has changed since it was written down.
        expected = self._next_after(self._status.last or self._status.last_updated)
        return now > expected

    async def _keep_schedule(self) -> None:
        due = self._next_after(datetime.now(UTC))
        _log.debug("the timer %s is next due at %s", self._function.name, due.isoformat())
        while await self._reached(due):
            await self._fire(due, past_due=False)
            due = self._next_after(max(due, datetime.now(UTC)))

    async def _reached(self, due: datetime) -> bool:
        """Wait for a moment and return whether it came while this instance was the one to act."""
        while (left := due - datetime.now(UTC)) > timedelta(0):
            await self._pause(min(left, _LONGEST_WAIT))
            if self._stopping.is_set() or not self._lease.is_held:
                return False
        return not self._stopping.is_set() and self._lease.is_held

    async def _fire(self, due: datetime, *, past_due: bool) -> None:
        outcome = await self._worker.run(self._function, incoming_timer(self._status, past_due=past_due))
        if self._is_monitored and outcome.ending is not Ending.WITHDRAWN:
            now = datetime.now(UTC)
            await self._write_status(
                TimerStatus(last=due, next=self._next_after(max(due, now)), last_updated=now)
            )

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            await self._lease.renew()

    def _next_after(self, moment: datetime) -> datetime:
        return self._trigger.schedule.next_after(moment)

    async def _read_status(self) -> TimerStatus | None:
        try:
            download = await self._status_blob.download_blob()
        except ResourceNotFoundError:
            return None
        return TimerStatus.from_json((await download.readall()).decode("utf-8", "replace"))

    async def _write_status(self, status: TimerStatus) -> None:
        self._status = status
        try:
            await self._status_blob.upload_blob(status.to_json(), overwrite=True)
        except AzureError as error:
            _log.warning("the record of the timer %s was not written: %s", self._function.name, error.message)

    async def _pause(self, length: timedelta) -> None:
        try:
            async with asyncio.timeout(length.total_seconds()):
                await self._stopping.wait()
        except TimeoutError:
            return
