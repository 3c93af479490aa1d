"""The listening socket, and the one object that the rest of the stack holds."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING

from local.microsoft.exchange import control
from local.microsoft.exchange.organization import Mailbox, Organization
from local.microsoft.exchange.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local.microsoft.exchange.limits import Limits
    from local.microsoft.exchange.mail_store import MailStore

_BACKLOG = 512  # clients that connect in the same moment
_STOP_SECONDS = 5.0  # a socket is closed at once; this only keeps a fault from holding up the stack


class Exchange:
    """
    The mail server.

    `verify` takes an access token and gives its claims once its signature and its time are good; what it
    raises is the reason why they are not. Everything else about the token is judged here. `context` holds the
    server's certificate; older TLS than 1.2 is refused whatever it allows. `clock` counts seconds for the
    sliding windows.
    """

    def __init__(
        self,
        *,
        mailboxes: Sequence[Mailbox],
        verify: Callable[[str], Mapping[str, object]],
        context: ssl.SSLContext,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        self.host = host
        self.port = port
        self._context = context
        self._organization = Organization(mailboxes=mailboxes, verify=verify, clock=clock)
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None

    @property
    def store(self) -> MailStore:
        """What was accepted, and the counters."""
        return self._organization.store

    @property
    def limits(self) -> Limits:
        """The limits in force; assign to its fields to change them."""
        return self._organization.limits

    async def start(self) -> None:
        """Listen; `port` is the real one from here on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_session, self.host, self.port, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and cut the sessions that are open."""
        if self._server is not None:
            self._server.close()
            sessions = list(self._sessions)
            for session in sessions:
                session.abort()
            if sessions:
                await asyncio.wait([session.gone for session in sessions], timeout=_STOP_SECONDS)
            await self._server.wait_closed()
            self._server = None

    def control(self, changes: Mapping[str, object]) -> None:
        """
        Change what a control request names (see `control`); call it in the server's own thread.

        Raises ControlRefused, and then nothing has changed.
        """
        control.change(self._organization, changes)
        self._watch_anew()

    def restore(self) -> None:
        """Put all settings and counters back as they were at the start."""
        self._organization.restore()
        self._watch_anew()

    def describe(self) -> dict[str, object]:
        """Return all settings and counters, as JSON knows them."""
        return control.describe(self._organization)

    def _watch_anew(self) -> None:
        for session in list(self._sessions):
            session.watch_anew()

    def _new_session(self) -> Session:
        session = Session(self._organization, self._context)
        self._sessions.add(session)
        session.gone.add_done_callback(lambda _: self._sessions.discard(session))
        return session
