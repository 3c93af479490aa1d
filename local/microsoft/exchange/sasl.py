"""The AUTH command: its mechanisms, its challenges and its failures."""

import base64
import json
from collections.abc import Callable
from typing import Protocol

from local.microsoft.exchange import replies
from local.microsoft.exchange.authentication import (
    Credentials,
    MalformedSasl,
    Refusal,
    authenticate,
    read_xoauth2,
)
from local.microsoft.exchange.organization import AuthFailureForm, Mailbox, Organization

CHALLENGE = "334 " + base64.b64encode(
    json.dumps({"status": "401", "schemes": "bearer", "scope": "https://outlook.office.com/"}).encode()
).decode("ascii")
"""Gmail's way to refuse a token: the reason as JSON, before the reply code."""


class Client(Protocol):
    """The session, as far as AUTH needs it."""

    id: str
    organization: Organization
    over_tls: bool

    def reply(self, reply: str) -> None:
        """Say something."""

    def protocol_error(self, reply: str) -> None:
        """Say something that counts against the client."""

    def authenticating(self, mailbox: str, properly: Callable[[], None]) -> None:
        """Do what is proper once the client has shown its token, unless a script says otherwise."""

    def enter(self, mailbox: Mailbox) -> None:
        """Work for this mailbox from now on."""


class Sasl:
    """One session's attempts to authenticate."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._take: Callable[[str], None] | None = None

    @property
    def waits_for_a_line(self) -> bool:
        """Whether the next line belongs to the exchange, and is no command."""
        return self._take is not None

    def line(self, text: str) -> None:
        """Take the client's answer to a challenge."""
        take, self._take = self._take, None
        if take is not None:
            take(text)

    def begin(self, argument: str) -> None:
        """Take `MECHANISM [initial-response]`."""
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if not self._client.over_tls or mechanism not in ("XOAUTH2", "LOGIN"):
            self._client.protocol_error(replies.unrecognized_mechanism(self._client.id))
        elif mechanism == "XOAUTH2" and initial:
            self._xoauth2(initial)
        elif mechanism == "XOAUTH2":
            self._ask(replies.EMPTY_CHALLENGE, self._xoauth2)
        elif initial:  # LOGIN's initial response is the user's name
            self._login_name(initial)
        else:
            self._ask(replies.LOGIN_USERNAME, self._login_name)

    def _ask(self, challenge: str, take: Callable[[str], None]) -> None:
        self._client.reply(challenge)
        self._take = take

    def _login_name(self, _name: str) -> None:
        self._ask(replies.LOGIN_PASSWORD, self._login_password)

    def _login_password(self, _password: str) -> None:
        self._note_refusal("", "AUTH LOGIN: basic authentication is disabled")
        self._client.protocol_error(replies.basic_authentication_disabled(self._client.id))

    def _xoauth2(self, message: str) -> None:
        try:
            credentials = read_xoauth2(message)
        except MalformedSasl as malformed:
            self._note_refusal("", f"malformed XOAUTH2: {malformed}")
            self._client.protocol_error(replies.BAD_SASL)
            return
        mailbox = self._client.organization.mailbox(credentials.user)
        self._client.authenticating(
            credentials.user if mailbox is None else mailbox.address, lambda: self._judge(credentials)
        )

    def _judge(self, credentials: Credentials) -> None:
        client = self._client
        outcome = authenticate(credentials, client.organization, client.id)
        if isinstance(outcome, Mailbox):
            client.enter(outcome)
            client.reply(replies.AUTHENTICATED)
        else:
            self._refuse(credentials.user, outcome)

    def _refuse(self, user: str, refusal: Refusal) -> None:
        self._note_refusal(user, refusal.reason)
        client = self._client
        reply = refusal.reply or replies.unsuccessful(client.id)
        if refusal.reply is None and client.organization.auth_failure_form is AuthFailureForm.CHALLENGE:
            self._ask(CHALLENGE, lambda _: client.protocol_error(reply))
        else:
            client.protocol_error(reply)

    def _note_refusal(self, user: str, reason: str) -> None:
        self._client.organization.store.counters.authentication_refused(user, reason)
