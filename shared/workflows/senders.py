"""
``senders``: how each sender stands, for those who ask, and a person's word that holds one or lets it go on.
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

    from shared.core.sender import Sender
    from shared.core.waiting import InLine
    from shared.ports import Holds

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
    senders: Mapping[str, Sender]
    clock: Callable[[], datetime]


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


def _view(tools: SendersTools, sender: Sender, state: SenderState) -> dict[str, Any]:
    now = tools.clock()
    pause = state.paused(now)
    standing = "held" if state.hold else "paused" if pause else "sending"
    lines = [line_of(sender.name)] if state.line or state.hold else []
    lines += [line_of(sender.name, address) for address in state.address_holds]
    return {
        "name": sender.name,
        "mailbox": sender.mailbox,
        "from": [sender.from_address.addr_spec, *(address.addr_spec for address in sender.also_from)],
        "state": standing,
        "hold": _hold(state.hold) if state.hold else None,
        "held_addresses": {address: _hold(each) for address, each in state.address_holds.items()},
        "paused": {"until": _said(pause.until), "reason": pause.reason} if pause else None,
        "mail_is_waiting": any(tools.room.head(line, most=1) for line in lines),
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


def _hold(hold: Hold) -> dict[str, Any]:
    remedy = CATALOGUE.get(hold.remedy)
    return {
        "remedy": hold.remedy,
        "reason": hold.reason,
        "who": remedy.who.value if remedy else None,
        "since": _said(hold.since),
        "probes": hold.probes,
        "next_probe_at": _said(hold.probe_at),
    }


def _said(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
