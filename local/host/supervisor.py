"""
Several instances on one machine: started, watched, replaced when they die, stopped together.

The parent binds the HTTP socket once and serves nothing itself; each instance accepts from the same socket. A
pair of sockets joins the parent to each instance: the instance says over it that it is ready, and ends when
it closes.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from local.host.instance import CANNOT_START
from local.host.options import HostOptions, InstanceOptions

#: Past an instance's own last resort.
_KILL_AFTER_SECONDS = 7.0

#: Between the deaths of an instance that never gets ready.
_LONGEST_PAUSE_SECONDS = 30.0

#: The folder that `local` is imported from.
_ROOT = Path(__file__).parents[2]


class Supervisor:
    """Keeps `options.instances` instances running."""

    def __init__(
        self, options: HostOptions, listening: socket.socket, base_url: str, on_ready: Callable[[], None]
    ) -> None:
        self._options = options
        self._listening = listening
        self._base_url = base_url
        self._on_ready = on_ready
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._not_ready = set(range(1, options.instances + 1))
        self._is_ready = False
        self._stop = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Run until a signal says stop, and return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        numbers = sorted(self._not_ready)
        await asyncio.gather(*(self._keep(number) for number in numbers))
        return self._exit_code

    async def _keep(self, number: int) -> None:
        """Keep one instance running, until the host stops or turns out unable to start."""
        pause = 1.0
        is_first = True
        while not self._stop.is_set():
            became_ready, code = await self._run_once(number, announces=is_first and number == 1)
            if self._stop.is_set():
                self._exit_code = self._exit_code or (1 if code else 0)
                return
            if code == CANNOT_START and not self._is_ready:
                self._exit_code = CANNOT_START
                self._begin_stop()
                return
            pause = 1.0 if became_ready else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            print(f"Instance {number} ended ({_reason(code)}); another is started", flush=True)
            is_first = False
            if not became_ready:
                await self._pause(pause)

    async def _run_once(self, number: int, *, announces: bool) -> tuple[bool, int]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await self._spawn(number, theirs, announces=announces)
            self._processes[number] = process
            if self._stop.is_set():
                process.terminate()
            ours.setblocking(False)
            became_ready = await self._becomes_ready(ours)
            if became_ready:
                self._note_ready(number)
            code = await self._exit_code_of(process)
        del self._processes[number]
        return became_ready, code

    async def _spawn(
        self, number: int, lifeline: socket.socket, *, announces: bool
    ) -> asyncio.subprocess.Process:
        options = InstanceOptions.of(
            self._options, number=number, announces=announces, base_url=self._base_url
        )
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.host.instance",
            options.to_json(),
            str(self._listening.fileno()),
            str(lifeline.fileno()),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(self._listening.fileno(), lifeline.fileno()),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on once
        )

    async def _becomes_ready(self, lifeline: socket.socket) -> bool:
        with contextlib.suppress(ConnectionError):
            return bool(await asyncio.get_running_loop().sock_recv(lifeline, 1))
        return False

    def _note_ready(self, number: int) -> None:
        self._not_ready.discard(number)
        if not self._not_ready and not self._is_ready:
            self._is_ready = True
            self._on_ready()

    async def _exit_code_of(self, process: asyncio.subprocess.Process) -> int:
        """Wait for an instance, and once the host stops, no longer than it is granted."""
        waiting = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            async with asyncio.timeout(self._options.grace_seconds + _KILL_AFTER_SECONDS):
                return await waiting
        except TimeoutError:
            process.kill()
            return await process.wait()

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for process in self._processes.values():
                process.kill()
        else:
            self._begin_stop()

    def _begin_stop(self) -> None:
        self._stop.set()
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
