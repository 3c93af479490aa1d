"""
What more than one workflow needs of the world. What only one needs stands at the top of its own file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from typing import Any

    from shared.core.delivery import Entry
    from shared.core.grant import AccessToken, Grant, Picture
    from shared.core.holds import Hold, SenderState
    from shared.core.message import Message
    from shared.core.metrics import Metric
    from shared.core.outcomes import TooLate
    from shared.core.sender import Sender
    from shared.core.waiting import Due, InLine
    from shared.courier import Carried
    from shared.desk import NotNow, Seat


class Ledger(Protocol):
    """The record of every message; a write succeeds only on the version that was read."""

    def find(self, message_id: str) -> Entry | None:
        """Return the entry of a message, or None."""
        ...

    def add(self, entry: Entry) -> Entry | None:
        """Write a new entry; None when the id is taken."""
        ...

    def update(self, entry: Entry) -> Entry | None:
        """Write the next state of an entry; None when somebody else changed it first."""
        ...


class Outbox(Protocol):
    """The queue that messages come from and wait on."""

    def put(self, text: str, *, delay: timedelta) -> None:
        """Put ``text`` on the queue, to be seen after ``delay``."""
        ...


class Events(Protocol):
    """Those who want to know what happens to messages."""

    def tell(self, entry: Entry) -> None:
        """Tell the present state of a message, where it is one that is told."""
        ...

    def tell_of_sender(self, kind: str, sender: str, data: Mapping[str, Any], *, at: datetime) -> None:
        """Tell what happened to a sender."""
        ...


class WaitingRoom(Protocol):
    """Where mail waits: in the line of its sender, or for a time."""

    def join(self, place: InLine) -> None:
        """Put a message in a line; harmless when it stands there."""
        ...

    def head(self, line: str, *, most: int) -> list[InLine]:
        """Return the first of a line, in the order in which they go."""
        ...

    def oldest(self, line: str) -> datetime | None:
        """Return since when the one waits that waits longest, None where none does."""
        ...

    def leave(self, places: Sequence[InLine]) -> None:
        """Take messages out of one line."""
        ...

    def move(self, line: str, into: str, *, most: int | None = None) -> int:
        """Move the messages of one line, or the first ``most``, into another; returns how many."""
        ...

    def wait(self, due: Due) -> None:
        """Note that a message waits for a time; harmless when it does already."""
        ...

    def due(self, until: datetime) -> Iterator[list[Due]]:
        """Give what is due by ``until``, in pages that are removed before the next is asked for."""
        ...

    def forget(self, dues: Sequence[Due]) -> None:
        """Remove what waits no longer."""
        ...


class Pacer(Protocol):
    """Who in this process may hand a message over now."""

    def admit(
        self, sender: Sender, *, recipients: int, address: str, urgent: bool = False, from_line: bool = False
    ) -> Seat | NotNow:
        """Return a seat for one message, or why there is none just now."""
        ...

    def leave(self, seat: Seat, *, used: bool, recipients: int | None = None) -> None:
        """Give the seat up."""
        ...

    def known(self, sender: Sender) -> SenderState | None:
        """Return what was last read of a sender."""
        ...


class Holds(Protocol):
    """What holds senders, and what lets them go on."""

    def state(self, sender: str) -> SenderState:
        """Return what stands in the register."""
        ...

    def hold(self, sender: Sender, hold: Hold, *, address: str = "") -> None:
        """Hold a sender, or one From address of it, and say so."""
        ...

    def stands_aside(self, sender: Sender, address: str) -> bool:
        """Whether held mail of a From address lets the others of its sender pass."""
        ...

    def look_back(self, sender: Sender, address: str) -> None:
        """Bring mail back that has just stepped aside, where its address was resumed meanwhile."""
        ...

    def resume(
        self, sender: Sender, *, address: str = "", why: str, only: frozenset[str] = frozenset()
    ) -> bool:
        """End a hold, of these remedies where some are named; False where nothing was held."""
        ...

    def succeeded(self, sender: Sender, address: str) -> None:
        """Take in that a message was accepted."""
        ...


class Tokens(Protocol):
    """Access tokens; all raise ``GrantError`` where there is none to be had."""

    def token(self, sender: Sender) -> AccessToken:
        """Return a usable one."""
        ...

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        """Return another than the one the server has just refused."""
        ...

    def new_token(self, sender: Sender) -> AccessToken:
        """Return one that the provider gives now."""
        ...


class Provider(Protocol):
    """
    An OAuth 2 service of whatever kind; nobody but ``services`` knows which. What fails is a ``GrantError``.
    """

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        """
        Begin the authorization code flow for ``account``, with PKCE, state and nonce.

        Returns a JSON object: ``auth_uri`` to send the browser to, ``state``, and what must stay secret until
        the browser comes back.
        """
        ...

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        """Exchange the code that came back; state and nonce are those of ``flow``, or it is refused."""
        ...

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        """Return the grant with a new access token, and the new refresh token where one came."""
        ...

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        """Return the application's own permission to send from ``mailbox`` (client credentials)."""
        ...

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:
        """
        Return the account's picture, and the grant as it is after asking for it; never raises ``GrantError``.
        """
        ...

    def admin_consent_url(self, *, redirect_uri: str) -> str:
        """Return where an administrator consents for everybody, "" where the provider knows no such thing."""
        ...


class Connections(Protocol):
    """What connects senders."""

    def disconnect(self, sender: Sender, *, why: str) -> bool:
        """Take a sender's grant away; False where there was none."""
        ...


class TrialMail(Protocol):
    """Test mails."""

    def send(self, sender: Sender, to: str, *, message_id: str) -> Entry:
        """Send one; raises ``MessageError`` for an address that is none."""
        ...


class Span(Protocol):
    """Something that is going on, as telemetry sees it."""

    def note(self, **attributes: str | int) -> None:
        """Take something down on it: ids, states and verdicts, never an address, a subject or a token."""
        ...


class Telemetry(Protocol):
    """Spans and numbers, for whoever watches this deployment."""

    def continued(self, traceparent: str, tracestate: str) -> AbstractContextManager[None]:
        """Do what is inside as part of a trace that another has begun (W3C Trace Context)."""
        ...

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[Span]:
        """Do what is inside as one span."""
        ...

    def count(self, metric: Metric, **attributes: str) -> None:
        """Count one."""
        ...

    def gauge(self, metric: Metric, value: float, **attributes: str) -> None:
        """Say how much it is now."""
        ...


class Amender(Protocol):
    """Takes messages back and gives them another time."""

    def amend(
        self, message_id: str, *, send_at: datetime | None, announce: bool = False
    ) -> Entry | TooLate | None:
        """Take a message back, or give it another time; returns its entry then, or why it is too late."""
        ...


class Courier(Protocol):
    """Carries a claimed message to the server."""

    def carry(self, message: Message, sender: Sender, entry: Entry, body: bytes) -> Carried:
        """Return what came of it."""
        ...


class Payloads(Protocol):
    """The container that apps put large messages in."""

    def read(self, path: str, *, limit: int) -> bytes | None:
        """Return a blob of at most ``limit`` octets, or None; a larger one is a ``ValueError``."""
        ...
