"""
A mail server for each cell, all of them on one event loop in a thread, so that no cell can see another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from local.microsoft import scopes
from local.microsoft.directory import Tenant, User, default_tenant
from local.microsoft.exchange import Exchange, Limits, Mailbox
from local.microsoft.tokens import Tokens
from local.microsoft.trust import Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from local.microsoft.exchange.mail_store import ReceivedMessage

T = TypeVar("T")

#: The mailbox that every cell sends from.
MAILBOX = "noreply@contoso.com"
#: An address that the mailbox may send as.
BILLING = "billing@contoso.com"

_AT_ONCE = 0.001  # seconds of silence after which a session has idled too long
_CUT_SECONDS = 5.0  # far more than that takes


class MailServer:
    """One cell's server. It keeps its port when it is closed and opened again."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._exchange.port

    def open(self) -> None:
        """Listen."""
        self._wait(self._exchange.start())

    def close(self) -> None:
        """Listen no more, and cut what is open; harmless when it is closed."""
        self._wait(self._exchange.stop())

    def tell(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Have the server do these instead of what it should, one after the other."""
        self._call(lambda: self._exchange.control({"next": list(steps)}))

    def cut_idle(self) -> None:
        """End every session that is open, with the words for one that has idled."""
        self._wait(self._cut_idle())

    async def _cut_idle(self) -> None:
        self._exchange.control({"limits": {"inactivity_seconds": _AT_ONCE}})
        async with asyncio.timeout(_CUT_SECONDS):
            while self._exchange.store.counters.sessions_now:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_AT_ONCE)
        self._exchange.control({"limits": {"inactivity_seconds": Limits().inactivity_seconds}})

    def unplayed(self) -> int:
        """Return how many steps have not happened."""
        return self._call(lambda: len(list(self._described("next"))))

    def sessions(self) -> int:
        """Return how many connections there were."""
        return self._call(lambda: int(self._described("counters")["sessions"]))

    def received(self) -> list[ReceivedMessage]:
        """Return every message that it took, after whatever it is at just now."""
        return self._call(self._exchange.store.messages)

    def _described(self, what: str) -> Any:
        return self._exchange.describe()[what]

    def _call(self, what: Callable[[], T]) -> T:
        async def call() -> T:
            return what()

        return self._wait(call())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@dataclass(frozen=True, slots=True)
class MailServers:
    """Makes them, and the tokens that they take."""

    tenant: Tenant
    tokens: Tokens
    trust: Trust
    #: Another authority's, that no client trusts.
    stranger: ssl.SSLContext
    loop: asyncio.AbstractEventLoop

    def make(self, *, stranger_at: int = 0) -> MailServer:
        """Return a server that is not open yet; a stranger shows a certificate that no client trusts."""
        exchange = Exchange(
            mailboxes=[Mailbox(MAILBOX, frozenset({MAILBOX}), frozenset({BILLING}))],
            verify=self._verify,
            context=self.stranger if stranger_at else self.trust.server_context,
            port=stranger_at,
        )
        return MailServer(exchange, self.loop)

    def token(self) -> str:
        """Return a new access token of the mailbox's user, as the identity provider signs it."""
        audience = scopes.EXCHANGE.uris[0]
        token, _ = self.tokens.delegated(
            self._user(), self.tenant.apps[0], audience=audience, scopes=["SMTP.Send"]
        )
        return token

    def _user(self) -> User:
        return next(user for user in self.tenant.users if user.upn == MAILBOX)

    def _verify(self, token: str) -> Mapping[str, object]:
        return self.tokens.verify_access_token(token, audience=scopes.EXCHANGE.uris)


@contextlib.contextmanager
def mail_servers(folder: Path) -> Iterator[MailServers]:
    """Run the thread that all of the servers live in; ``folder`` gets the CA files."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mail servers", daemon=True)
    thread.start()
    tenant = default_tenant()
    stranger = Trust.create(folder / "stranger").server_context
    try:
        yield MailServers(tenant, Tokens(tenant), Trust.create(folder / "trusted"), stranger, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
