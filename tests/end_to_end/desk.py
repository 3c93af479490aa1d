"""The stack from where its users stand: a storage client, a browser, the inbox, the log."""

from __future__ import annotations

import base64
import json
import ssl
import uuid
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient
from cloudevents.core.formats.json import JSONFormat

from local.microsoft.controls import Controls
from tests.waiting import eventually

if TYPE_CHECKING:
    from email.message import EmailMessage

    from cloudevents.core.base import BaseCloudEvent

_TIMEOUT_SECONDS = 30
_ABOUT_SENDERS = (
    "sender-connected",
    "sender-disconnected",
    "sender-held",
    "sender-resumed",
    "consent-required",
)


def new_id(what: str) -> str:
    """Return an id that no other test uses."""
    return f"{what}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Mail:
    """One message as the mail server accepted it."""

    mail_from: str
    rcpt_to: list[str]
    auth_user: str
    raw: bytes

    @property
    def content(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)


@dataclass(frozen=True)
class Desk:
    """Everything that a test does with the stack."""

    facts: dict[str, Any]

    # Apps.

    def put(self, message: dict[str, Any] | str, *, queue: str = "outbox", **options: Any) -> str:
        """
        Put a message on a queue as an app does, and return the queue message's id.

        ``options`` are the queue client's own.
        """
        text = message if isinstance(message, str) else json.dumps(message)
        with QueueClient.from_connection_string(self.facts["storage"], queue, **options) as client:
            return str(client.send_message(text).id)

    def make_queue(self, queue: str) -> None:
        """Make a queue, before there is a host that does so."""
        with QueueClient.from_connection_string(self.facts["storage"], queue) as client:
            client.create_queue()

    def upload(self, container: str, path: str, content: bytes | str) -> None:
        """Upload a blob as an app, or whoever writes the templates, does."""
        with ContainerClient.from_connection_string(self.facts["storage"], container) as client:
            if not client.exists():
                client.create_container()
            client.upload_blob(path, content)

    def event(self, message_id: str) -> BaseCloudEvent:
        """
        Wait for the one event of a message and return it, read by the official SDK.

        The events stay on the queue, for the other tests.
        """
        (event,) = eventually(lambda: self._events(message_id), said=self.log)
        return event

    def events_of(self, sender: str, kind: str) -> list[BaseCloudEvent]:
        """Wait for events of one kind about a sender and return those there are, as above."""

        def found() -> list[BaseCloudEvent]:
            return [event for event in self._events(sender) if event.get_type() == kind]

        return eventually(found, said=self.log)

    def _events(self, subject: str) -> list[BaseCloudEvent]:
        with QueueClient.from_connection_string(self.facts["storage"], "mail-events") as client:
            received = client.receive_messages(visibility_timeout=1)
            events = [JSONFormat().read(None, each.content) for each in received]
        return [event for event in events if event.get_subject() == subject]

    def waiting(self, queue: str) -> int:
        """Return how many messages are on a queue, hidden ones too."""
        with QueueClient.from_connection_string(self.facts["storage"], queue) as client:
            try:
                return client.get_queue_properties().approximate_message_count or 0
            except ResourceNotFoundError:
                return 0

    # Operators.

    def sender(self, name: str, word: str = "", **said: str) -> dict[str, Any]:
        """Return how a sender stands, after ``hold`` or ``resume`` where that is the word."""
        url = f"{self.facts['functions']}/api/senders/{name}"
        with self.session() as operator:
            operator.headers["x-functions-key"] = self.facts["key"]
            answer = (
                operator.post(f"{url}/{word}", json=said, timeout=_TIMEOUT_SECONDS)
                if word
                else operator.get(url, timeout=_TIMEOUT_SECONDS)
            )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def download(self, container: str, path: str) -> bytes:
        """Return a blob's content."""
        with ContainerClient.from_connection_string(self.facts["storage"], container) as client:
            return client.download_blob(path).readall()

    def entry(self, message_id: str) -> dict[str, Any]:
        """Return a message's row of the ledger, empty where there is none."""
        with TableClient.from_connection_string(self.facts["storage"], "ledger") as table:
            try:
                return dict(table.get_entity(message_id, "message"))
            except ResourceNotFoundError:
                return {}

    def until(self, message_id: str, *states: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a message is in one of these states and return its row."""

        def found() -> dict[str, Any]:
            entry = self.entry(message_id)
            return entry if entry.get("state") in states else {}

        return eventually(
            found, seconds=seconds, said=lambda: f"{self.entry(message_id)}\n{self.log()[-4000:]}"
        )

    def log(self) -> str:
        """Return what the Functions host has said."""
        return Path(self.facts["folder"], "host.log").read_text(encoding="utf-8")

    def line(self, words: str) -> str:
        """Wait for the one line of the log that holds these words."""

        def found() -> list[str]:
            return [line for line in self.log().splitlines() if words in line]

        lines = eventually(found, said=lambda: f"{words}\n{self.log()[-4000:]}")
        assert len(lines) == 1
        return lines[0]

    # The mail server.

    def mails(self, subject: str) -> list[Mail]:
        """Return the accepted messages with this subject."""
        found = self.get(f"{self.facts['inbox']}/messages.json").json()
        mails = [
            Mail(each["mail_from"], each["rcpt_to"], each["auth_user"], base64.b64decode(each["raw"]))
            for each in found
        ]
        return [mail for mail in mails if mail.content["Subject"] == subject]

    def until_mailed(self, subject: str, to: str) -> list[Mail]:
        """Wait until a message with this subject was accepted for an address, and return all such."""
        return eventually(
            lambda: [mail for mail in self.mails(subject) if to in mail.rcpt_to],
            said=lambda: self.log()[-4000:],
        )

    # People with a browser, and strangers.

    def session(self) -> requests.Session:
        """Return a browser without a screen: cookies, and trust in the stack's CA."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.facts["ca_file"]
        return session

    def get(self, url: str, **options: Any) -> requests.Response:
        """Visit an address, or a path of the app, and follow no redirect."""
        whole = url if "://" in url else f"{self.facts['functions']}{url}"
        with self.session() as session:
            return session.get(whole, timeout=_TIMEOUT_SECONDS, allow_redirects=False, **options)

    # Administrators of the stand-ins.

    @property
    def control(self) -> Controls:
        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        return Controls(self.facts["identity"], self.facts["vault"], self.facts["inbox"], context)

    def standing(self) -> dict[str, Any]:
        """
        Return what nothing that a stranger does may change: versions in the vault, whose grants senders have,
        what holds them, and how often that was said.
        """
        key = {"x-functions-key": self.facts["key"]}
        senders = self.get("/api/senders", headers=key).json()["senders"]
        log = self.log()
        return {
            "versions": self.control.vault()["versions"],
            "senders": {each["name"]: (each["account"], each["hold"]) for each in senders},
            "said": {word: log.count(f"[{word}]") for word in _ABOUT_SENDERS},
        }

    def secrets(self) -> dict[str, Any]:
        """Return what the vault tells of its secrets without telling them."""
        found: dict[str, Any] = self.control.vault()["secrets"]
        return found
