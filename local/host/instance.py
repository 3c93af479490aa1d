"""
One instance: a process that imports the app, listens to its triggers, and stops without losing anything.

Run as `python -m local.host.instance OPTIONS SOCKET LIFELINE` by `supervisor`; called directly when there is
one instance only.
"""

import asyncio
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Protocol

from local.host.admin import AdminEndpoints
from local.host.app_index import AppIndex, IndexedFunction, QueueTrigger, TimerTrigger, index_app
from local.host.host_json import HostSettings, read_host_json
from local.host.http_listener import HttpListener
from local.host.invocation import Worker, thread_count
from local.host.lifeline import end_with_pipe
from local.host.log_lines import configure_logging
from local.host.options import InstanceOptions, StartError
from local.host.queue_listener import POISON_SUFFIX, QueueListener
from local.host.start_page import describe
from local.host.stopping import give_up, stop_early_on_sigterm, stop_on_signals
from local.host.storage import StorageAccounts, host_id
from local.host.timer_listener import TimerListener

_log = logging.getLogger("local.host")

#: What `run_instance` returns, and a process exits with, when the app cannot be started.
CANNOT_START = 1

KEY_SETTING = "LOCAL_FUNCTION_KEY"


class _Listener(Protocol):
    async def start(self) -> None: ...

    def stop(self) -> None: ...

    async def finished(self) -> None: ...


def run_instance(options: InstanceOptions, listening: socket.socket, on_ready: Callable[[], None]) -> int:
    """
    Serve until a signal says stop, and return the exit code.

    `on_ready` is called once every listener runs.
    """
    stop_early_on_sigterm()
    try:
        host_settings = read_host_json(options.folder)
        configure_logging(
            level=host_settings.log_level,
            verbose=options.verbose,
            instance=options.number if options.one_of_many else None,
        )
        index = index_app(options.folder, os.environ)
        if options.announces:
            prefix = host_settings.route_prefix
            print(describe(index, base_url=options.base_url, route_prefix=prefix), flush=True)
        instance = _Instance(options, host_settings, index, os.environ)
        return asyncio.run(instance.serve(listening, on_ready))
    except KeyboardInterrupt:  # stopped before it took the signals over: nothing has begun
        return 0
    except StartError as error:
        print(f"The host cannot start: {error}", flush=True)
        return CANNOT_START
    except Exception:  # noqa: BLE001 (whatever the app's own import raises)
        print(f"The host cannot start:\n{traceback.format_exc()}", flush=True)
        return CANNOT_START


class _Instance:
    """The listeners of one process and the worker that they share."""

    def __init__(
        self,
        options: InstanceOptions,
        host_settings: HostSettings,
        index: AppIndex,
        settings: Mapping[str, str],
    ) -> None:
        self._options = options
        self._host_settings = host_settings
        self._index = index
        self._settings = settings
        self._host_id = host_id(options.folder, settings)

    async def serve(self, listening: socket.socket, on_ready: Callable[[], None]) -> int:
        stop = stop_on_signals(self._options.grace_seconds)
        storage = StorageAccounts(self._settings)
        worker = Worker(
            folder=self._options.folder,
            threads=thread_count(self._settings),
            function_timeout=self._host_settings.function_timeout,
            storage=storage,
            encoding=self._host_settings.queues.message_encoding,
        )
        admin = AdminEndpoints(self._index.functions, host_id=self._host_id, worker=worker)
        http = HttpListener(
            self._index.functions,
            route_prefix=self._host_settings.route_prefix,
            key=self._settings[KEY_SETTING],
            worker=worker,
            admin=admin,
            grace_seconds=self._options.grace_seconds,
        )
        made = [self._listener(function, storage, worker) for function in self._index.functions]
        listeners = [listener for listener in made if listener is not None]
        await asyncio.gather(*(listener.start() for listener in listeners))
        await http.start(listening)
        on_ready()
        await stop.wait()
        await self._finish(listeners, http, admin, worker)
        await storage.close()
        worker.close()
        return 0

    async def _finish(
        self, listeners: list[_Listener], http: HttpListener, admin: AdminEndpoints, worker: Worker
    ) -> None:
        _log.info("stopping: waiting for %s", ", ".join(worker.running()) or "nothing")
        for listener in listeners:
            listener.stop()
        ended = [listener.finished() for listener in listeners]
        try:
            async with asyncio.timeout(self._options.grace_seconds):
                await asyncio.gather(http.stop(), admin.finished(), *ended)
        except TimeoutError:
            give_up(worker.running())

    def _listener(
        self, function: IndexedFunction, storage: StorageAccounts, worker: Worker
    ) -> _Listener | None:
        match function.trigger:
            case QueueTrigger(queue=queue, connection=connection):
                poison = None
                if not queue.endswith(POISON_SUFFIX):
                    poison = storage.queue(connection, queue + POISON_SUFFIX)
                return QueueListener(
                    function,
                    queue=storage.queue(connection, queue),
                    poison=poison,
                    settings=self._host_settings.queues,
                    lock_seconds=self._options.lock_seconds,
                    worker=worker,
                )
            case TimerTrigger() as trigger:
                return TimerListener(
                    function,
                    trigger,
                    container=storage.hosts_container(),
                    host_id=self._host_id,
                    worker=worker,
                )
            case _:  # HTTP functions share one listener
                return None


def main() -> int:
    """Run as a child of `supervisor`."""
    options = InstanceOptions.from_json(sys.argv[1])
    listening = socket.socket(fileno=int(sys.argv[2]))
    lifeline = int(sys.argv[3])
    end_with_pipe(lifeline)
    with listening:
        return run_instance(options, listening, lambda: _say_ready(lifeline))


def _say_ready(lifeline: int) -> None:
    os.write(lifeline, b"+")


if __name__ == "__main__":
    sys.exit(main())
