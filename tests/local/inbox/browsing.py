"""An inbox with mail in it, and someone who opens its pages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from local.inbox import inbox_app
from local.microsoft.exchange import Exchange
from tests.local.exchange.running import Clock, mailboxes, server_context, verify

T = TypeVar("T")


class Browser:
    def __init__(self, exchange: Exchange, client: TestClient[web.Request, web.Application]) -> None:
        self.exchange = exchange
        self.client = client

    def receive(self, raw: bytes, **envelope: object) -> str:
        """Put a message in the inbox, and give its id."""
        message = self.exchange.store.add(
            mail_from=str(envelope.get("mail_from", "noreply@contoso.com")),
            rcpt_to=("a@b.example",),
            auth_user="noreply@contoso.com",
            raw=raw,
            now=0.0,
        )
        return message.id

    async def get(self, path: str) -> ClientResponse:
        return await self.client.get(path)

    async def text(self, path: str) -> str:
        """The page at the path, which must be there."""
        answer = await self.client.get(path)
        assert answer.status == 200
        return await answer.text()


def browse(visit: Callable[[Browser], Awaitable[T]]) -> T:
    """Run a visit to an inbox of its own."""

    async def run() -> T:
        exchange = Exchange(mailboxes=mailboxes(), verify=verify, context=server_context(), clock=Clock())
        async with TestClient(TestServer(inbox_app(exchange))) as client:
            return await visit(Browser(exchange, client))

    return asyncio.run(run())
