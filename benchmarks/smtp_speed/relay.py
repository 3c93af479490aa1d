"""
A way of a known length to the mail server.

What goes in at one end comes out at the other half a round trip later, in both directions. It sees TCP
alone, so it is the same for every client. And it counts turns: how often a client spoke after the server had.
Each turn of a message is a round trip that the client waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_BYTES = 256 * 1024


class Relay:
    """Listens at ``port`` and passes everything on to ``target``."""

    def __init__(self, target: int) -> None:
        self.turns = 0
        self.round_trip_seconds = 0.0
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Listen no more."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, away = await asyncio.open_connection("127.0.0.1", self._target)
        server_spoke = False

        def client_said() -> None:
            nonlocal server_spoke
            self.turns += server_spoke
            server_spoke = False

        def server_said() -> None:
            nonlocal server_spoke
            server_spoke = True

        await asyncio.gather(self._carry(reader, away, client_said), self._carry(onward, writer, server_said))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        # A queue of our own: equal times have no order in the loop's.
        under_way: deque[bytes] = deque()

        def arrive() -> None:
            octets = under_way.popleft()
            if octets:
                writer.write(octets)
            else:
                writer.close()

        octets = b"-"
        while octets:
            try:
                octets = await reader.read(_READ_BYTES)
            except ConnectionError:
                octets = b""
            if octets:
                said()
            under_way.append(octets)
            loop.call_later(self.round_trip_seconds / 2, arrive)
