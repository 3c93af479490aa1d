"""
``senders``: how each sender stands, and a person's word: hold, let go on, try, take the grant away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.core.holds import Hold, Proof, SenderState, new_hold
from shared.core.pacing import MINUTE
from shared.core.remedies import CATALOGUE
from shared.core.waiting import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.connection import Connection
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.core.waiting import InLine
    from shared.ports import Connections, Holds, TrialMail

# What of a line is counted; more than that is "1000 or more" to whoever looks.
_MOST_COUNTED = 1_000
_BY_HAND = "held-by-hand"
_NO_REASON = "a person held it and gave no reason"


class Register(Protocol):
    """What every instance agrees on about each sender."""

    def read(self, sender: str) -> SenderState:
        """Return a sender's state as it stands."""
        ...

    def all(self) -> list[SenderState]:
        """Return the state of every sender that has one."""
        ...


class WaitingRoom(Protocol):
    """Where mail waits."""

    def head(self, line: str, *, most: int) -> list[InLine]:
        """Return the first of a line."""
        ...


@dataclass(frozen=True, slots=True)
class SendersTools:
    """What looking after senders needs of the world."""

    register: Register
    room: WaitingRoom
    holds: Holds
    connections: Connections
    trial: TrialMail
    senders: Mapping[str, Sender]
    services: Mapping[str, Service]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]


def show_all(tools: SendersTools) -> list[dict[str, Any]]:
    """Return how every sender of mail.toml stands, in its order."""
    states = {state.sender: state for state in tools.register.all()}
    return [
        _view(tools, sender, states.get(name, SenderState(name))) for name, sender in tools.senders.items()
    ]


def show(tools: SendersTools, name: str) -> dict[str, Any] | None:
    """Return how one sender stands, None where there is none of that name."""
    sender = tools.senders.get(name)
    return _view(tools, sender, tools.register.read(name)) if sender else None


def hold(tools: SendersTools, name: str, *, reason: str = "", address: str = "") -> dict[str, Any] | None:
    """Hold a sender, or one From address of it, until a person resumes it; returns how it stands then."""
    sender = tools.senders.get(name)
    if sender is None:
        return None
    held = new_hold(_BY_HAND, reason or _NO_REASON, proof=Proof.PERSON, now=tools.clock())
    tools.holds.hold(sender, held, address=address)
    return show(tools, name)


def resume(tools: SendersTools, name: str, *, address: str = "") -> dict[str, Any] | None:
    """Let a sender, or a From address of it, go on; harmless where it is not held."""
    sender = tools.senders.get(name)
    if sender is None:
        return None
    tools.holds.resume(sender, address=address, why="a person resumed it")
    return show(tools, name)


def send_test(tools: SendersTools, name: str, *, to: str = "") -> dict[str, Any] | None:
    """
    Send a test mail, to the sender's own mailbox unless another address is given; returns where it stands.

    It goes the way of all mail: where the sender is held it waits, and the answer says so. Raises
    ``MessageError`` for an address that is none.
    """
    sender = tools.senders.get(name)
    if sender is None:
        return None
    entry = tools.trial.send(sender, to or sender.mailbox, message_id=f"test-{tools.new_id()}")
    state, service = tools.register.read(name), tools.services[sender.service]
    return {
        "id": entry.id,
        "state": entry.state.value,
        "to": to or sender.mailbox,
        "hold": _hold(state.hold, service) if state.hold else None,
    }


class NothingToRemoveError(Exception):
    """Nobody has consented, so there is no grant; ``args[0]`` says what can be done instead."""


def disconnect(tools: SendersTools, name: str) -> dict[str, Any] | None:
    """
    Take a sender's grant away; its mail waits until somebody consents again, with whatever account.

    Raises ``NothingToRemoveError`` where no person has given it one.
    """
    sender = tools.senders.get(name)
    if sender is None:
        return None
    if tools.services[sender.service].is_app_only:
        raise NothingToRemoveError(
            f"{name} sends with the application's own permission; hold it (POST …/senders/{name}/hold), or "
            "take the permission away in Exchange and Entra"
        )
    if not tools.connections.disconnect(sender, why="a person took the grant away"):
        raise NothingToRemoveError(f"nobody has consented for {name}; its mail waits until somebody does")
    return show(tools, name)


def _view(tools: SendersTools, sender: Sender, state: SenderState) -> dict[str, Any]:
    now, service = tools.clock(), tools.services[sender.service]
    pause = state.paused(now)
    standing = "held" if state.hold else "paused" if pause else "sending"
    lines = [line_of(sender.name)] if state.line or state.hold else []
    lines += [line_of(sender.name, address) for address in state.address_holds]
    waiting = sum(len(tools.room.head(line, most=_MOST_COUNTED)) for line in lines)
    return {
        "name": sender.name,
        "mailbox": sender.mailbox,
        "from": [sender.from_address.addr_spec, *(address.addr_spec for address in sender.also_from)],
        "state": standing,
        "hold": _hold(state.hold, service) if state.hold else None,
        "held_addresses": {address: _hold(each, service) for address, each in state.address_holds.items()},
        "account": _connection(state.connection) if state.connection else None,
        "credential_expires_at": _said(state.credential_expires_at),
        "paused": {"until": _said(pause.until), "reason": pause.reason} if pause else None,
        "mail_is_waiting": waiting > 0,
        "waiting": waiting,
        "last_mail_at": _said(state.last_mail_at),
        "messages_in_the_last_minute": sum(sent.count for sent in state.pace.sends if sent.at > now - MINUTE),
        "recipients_in_the_last_day": state.pace.recipients_today(now),
        "connections": state.pace.places_of_others("", now),
        "limits": {
            "messages_per_minute": sender.limits.messages_per_minute,
            "connections": sender.limits.connections,
            "recipients_per_day": sender.limits.recipients_per_day,
        },
    }


def _connection(connection: Connection) -> dict[str, Any]:
    return {
        "name": connection.account,
        "display_name": connection.display_name,
        "connected_at": _said(connection.connected_at),
        "refreshed_at": _said(connection.refreshed_at),
        "token_expires_at": _said(connection.token_expires_at),
        "grant_expires_at": _said(connection.dies_at),
    }


def _hold(hold: Hold, service: Service) -> dict[str, Any]:
    remedy = CATALOGUE.get(hold.remedy)
    return {
        "remedy": hold.remedy,
        "reason": hold.reason,
        "who": remedy.who_for(service).value if remedy else None,
        "since": _said(hold.since),
        "probes": hold.probes,
        "next_probe_at": _said(hold.probe_at),
    }


def _said(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
