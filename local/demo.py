"""
The demo: the main job, start to finish, with nobody at the keyboard.

It starts the whole stack, signs in through the real consent flow, puts a message on the queue as an app
would, and another that is to go a few seconds later; it shows each as the mail server received it.
"""

from __future__ import annotations

import base64
import email
import email.policy
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests

from local import outbox
from local.consent_walk import ConsentFailedError, walk
from local.microsoft import avatar
from local.ports import Ports
from local.stack import FOLDER, Stack, StackError
from shared.core.delivery import State

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from local.terminal import Terminal
    from shared.adapters.table_ledger import Change

_SENDER = "noreply"
_SECONDS = 60  # until a message has settled; it takes about one from when it may go
# How much later the second message goes, at least. An empty queue is looked at every two seconds, and what is
# due within five then waits where it is taken, without ever being `scheduled`.
_LATER = timedelta(seconds=7.5)
_STANDS = {State.SCHEDULED: "the message is scheduled: it waits for its time in the ledger"}


def run(
    terminal: Terminal, *, port_base: int | None, keep: Path | None, folder: Path = FOLDER / "demo"
) -> int:
    """
    Run the demo, whose stack has its files in ``folder``; returns the exit code.

    ``keep`` is a folder to which the received mail is written.
    """
    terminal.title("Sendoff: from a queue to a mailbox, on this machine")
    ports = Ports.from_base(port_base) if port_base else Ports.free()
    try:
        stack = Stack.start(
            ports, folder, keep_storage=False, said=lambda part: terminal.step(f"starting {part}")
        )
    except StackError as error:
        terminal.bad(str(error))
        return 1
    try:
        _show(terminal, stack, keep)
    except (ConsentFailedError, TimeoutError, RuntimeError, requests.RequestException) as error:
        terminal.bad(f"{error}\n  the host's log: {stack.folder / 'host.log'}")
        return 1
    finally:
        stack.stop()
    terminal.good("That was all of it. Keep it running and look around: python3 -m local up")
    return 0


def message() -> dict[str, Any]:
    """The message that the demo sends: text, HTML, a picture inside it, and a file."""
    return {
        "id": f"demo-{uuid.uuid4().hex[:8]}",
        "sender": _SENDER,
        "to": ["Ada Lovelace <ada@example.com>", "Jörg Müller <joerg@bücher.example>"],
        "subject": "Grüße vom Sendoff-Demo 🎉",
        "text": "Dear Ada, dear Jörg,\n\nthis came from a queue.\n\nYours\nSendoff\n",
        "html": (
            "<p>Dear Ada, dear Jörg,</p><p>this came from a <b>queue</b>.</p>"
            '<p>Yours<br>Sendoff <img src="cid:face" alt="" width="48"></p>'
        ),
        "attachments": [
            {
                "filename": "face.png",
                "content_type": "image/png",
                "content": base64.b64encode(avatar.disc(31, 122, 77)).decode(),
                "content_id": "face",
            },
            {
                "filename": "Übersicht.csv",
                "content_type": "text/csv",
                "content": base64.b64encode("Monat;Betrag\nJänner;12,50 €\n".encode()).decode(),
            },
        ],
    }


def later_message(send_at: datetime) -> dict[str, Any]:
    """The message that the demo sends at a later time."""
    return {
        "id": f"demo-later-{uuid.uuid4().hex[:8]}",
        "sender": _SENDER,
        "to": "Ada Lovelace <ada@example.com>",
        "subject": "This one had a time of its own ⏰",
        "text": "Dear Ada,\n\nthis waited in the ledger until its time came.\n\nYours\nSendoff\n",
        "send_at": send_at.isoformat(),
    }


def _show(terminal: Terminal, stack: Stack, keep: Path | None) -> None:
    facts = stack.facts
    url = f"{facts['functions']}/api/oauth/start/{_SENDER}"
    terminal.step(f"an administrator opens the consent URL  {url}")
    connected = walk(url, key=facts["key"], ca_file=facts["ca_file"], said=terminal.detail)
    terminal.step(
        f"{connected.headline.lower()} as {connected.account}; the grant is in the vault as grant-{_SENDER}"
    )

    asked = message()
    terminal.step(f"an app puts the message {asked['id']} on the queue outbox")
    outbox.drop(facts["storage"], asked)
    _follow(terminal, facts, asked)
    _show_received(terminal, facts, asked, keep)

    send_at = _in_a_moment(datetime.now(UTC))
    asked = later_message(send_at)
    terminal.step(f"an app puts the message {asked['id']} on the queue, to go at {send_at:%H:%M:%S} UTC")
    outbox.drop(facts["storage"], asked)
    accepted = _follow(terminal, facts, asked)
    terminal.step(f"that was {_how_late(accepted.at - send_at)}")
    _show_received(terminal, facts, asked, keep)


def _in_a_moment(now: datetime) -> datetime:
    """Return the next full second that is late enough."""
    return (now + _LATER + timedelta(seconds=1)).replace(microsecond=0)


def _how_late(late: timedelta) -> str:
    """Return how long after its time a message was accepted, as a person says it."""
    seconds = late.total_seconds()
    return f"{seconds:.2f} s after its time" if seconds >= 0 else f"{-seconds:.2f} s too early"


def _follow(terminal: Terminal, facts: dict[str, Any], asked: dict[str, Any]) -> Change:
    """Show what becomes of a message until it is accepted; returns that change."""
    for change in outbox.follow(facts["storage"], asked["id"], seconds=_SECONDS):
        terminal.step(_STANDS.get(change.state, f"the message is {change.state.value}"))
        if change.reply:
            terminal.detail(change.reply)
        if change.state is State.ACCEPTED:
            return change
        if change.state.is_settled:
            raise RuntimeError(f"the message was not sent: {change.reason}")
    raise RuntimeError("the message was not sent")


def _show_received(
    terminal: Terminal, facts: dict[str, Any], asked: dict[str, Any], keep: Path | None
) -> None:
    received = _received(facts)
    mail = email.message_from_bytes(received, policy=email.policy.default)
    terminal.step("the mail server received:")
    terminal.detail(_outline(mail))
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{asked['id']}.eml").write_bytes(received)
        terminal.step(f"kept as {keep / asked['id']}.eml")


def _received(facts: dict[str, Any]) -> bytes:
    """Return the newest mail of the mail server's inbox."""
    newest = requests.get(f"{facts['inbox']}/messages.json", timeout=10).json()[0]
    return base64.b64decode(newest["raw"])


def _outline(mail: EmailMessage) -> str:
    """Return the headers a person reads, and the tree of parts."""
    lines = [f"{name}: {mail[name]}" for name in ("From", "To", "Subject", "Date", "Message-ID")]
    lines.append("")
    _add_parts(mail, 0, lines)
    text = mail.get_body(("plain",))
    if text:
        lines += ["", *text.get_content().splitlines()]
    return "\n".join(lines)


def _add_parts(part: Any, depth: int, lines: list[str]) -> None:
    name = part.get_filename()
    content = part.get_payload(decode=True)
    size = f", {len(content)} bytes" if content is not None else ""
    lines.append("  " * depth + part.get_content_type() + (f"  {name}" if name else "") + size)
    for child in part.iter_parts() if part.is_multipart() else ():
        _add_parts(child, depth + 1, lines)
