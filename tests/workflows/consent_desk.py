"""An app that can be signed in to, and browsers with their cookies; a provider that does as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from shared.core.consent import Begun, Ended
from shared.workflows import connected
from shared.workflows.connected import ConnectedTools
from shared.workflows.consent import ConsentTools, finish, start
from tests.workflows.conftest import SENDERS, SERVICES, Bench, explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.grant import Grant
    from shared.core.holds import SenderState
    from tests.twins import OfSender, Put

    Everything = tuple[dict[str, Grant], int, list[SenderState], list[OfSender], list[Put], set[str]]

REDIRECT_URI = "https://mail.contoso.com/api/oauth/redirect"


class Desk:
    """An app that can be signed in to."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.clock = self.bench.clock
        self.provider = self.bench.provider
        self.pending = self.bench.pending
        self.grants = self.bench.grants
        self.connections = self.bench.connections
        self.senders = dict(SENDERS)
        self.services = dict(SERVICES)

    @property
    def tools(self) -> ConsentTools:
        return ConsentTools(
            provider=lambda _: self.provider,
            pending=self.pending,
            grants=self.grants,
            connections=self.connections,
            senders=self.senders,
            services=self.services,
            explain=explain,
            redirect_uri=REDIRECT_URI,
            clock=self.clock,
        )

    @property
    def buttons(self) -> ConnectedTools:
        return ConnectedTools(
            pending=self.pending,
            register=self.bench.register,
            connections=self.connections,
            trial=self.bench.trial,
            senders=self.senders,
            clock=self.clock,
        )

    def browser(self, sender: str = "noreply") -> Browser:
        """Return a browser that has opened the consent link of a sender."""
        begun = start(self.tools, sender)
        assert isinstance(begun, Begun)
        (state,) = parse_qs(urlsplit(begun.url).query)["state"]
        return Browser(self, state, {begun.cookie_name: begun.cookie_value})

    def signed_in(self, sender: str = "noreply") -> Browser:
        """Return a browser in which a sign-in was completed."""
        browser = self.browser(sender)
        self.provider.account = self.senders[sender].consenting_account
        browser.comes_back()
        return browser

    def all_there_is(self) -> Everything:
        """Return everything that a visit could change: vault, register, events, mail."""
        bench = self.bench
        return (
            dict(self.grants.grants),
            len(self.grants.stored),
            bench.states.all(),
            list(bench.events.of_senders),
            list(bench.outbox.puts),
            bench.ledger.ids(),
        )


class Browser:
    """A browser in which a sign-in was begun."""

    def __init__(self, desk: Desk, state: str, cookies: Mapping[str, str]) -> None:
        self.desk = desk
        self.state = state
        self.cookies = dict(cookies)

    def comes_back(self, **changes: str) -> Ended:
        answer = {"state": self.state, "code": "canary-code"} | changes
        return finish(self.desk.tools, answer, self.cookies)

    def presses_send(self, to: str = "", **changes: str) -> Ended:
        form = {"state": self.state, "do": "test", "to": to} | changes
        return connected.send_test(self.desk.buttons, form, self.cookies)

    def presses_disconnect(self, **changes: str) -> Ended:
        form = {"state": self.state, "do": "disconnect"} | changes
        return connected.disconnect(self.desk.buttons, form, self.cookies)
