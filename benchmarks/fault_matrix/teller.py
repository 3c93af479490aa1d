"""
Tells a story of several messages of one sender, and keeps what was looked at beside what it must be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from benchmarks.fault_matrix.mail_servers import BILLING, MAILBOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.fault_matrix.world import World
    from shared.core.delivery import State

# By then a hold has been probed three times, and what is paused for less than an hour has gone on.
_SOON: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was looked at."""

    what: str
    must_be: str
    found: str

    @property
    def agrees(self) -> bool:
        """Whether it is as it must be."""
        return self.must_be == self.found


@dataclass(slots=True)
class Teller:
    """Tells one story: sends messages by short names, and looks at what comes of them."""

    world: World
    told: list[Said] = field(default_factory=list)

    def fault(self, at: str, do: str = "reply", **more: object) -> None:
        """Have the server do this next."""
        self.world.server.tell([{"at": at, "do": do, **more}])

    def send(self, name: str, state: State, *, from_: str = MAILBOX) -> None:
        """Send a message, and look at the state that it is left in."""
        message_id = self._id(name)
        body = self.world.message(message_id, from_=from_)
        self.world.deliver(body, queue_id=f"queue-{message_id}")
        self.look(f"{name} message", state.value, self._state(name).value)

    def time_passes(self, *names: str, at_most: timedelta = _SOON) -> None:
        """Let time pass until these messages are settled."""
        self.world.let_time_pass(
            until=lambda: all(self._state(name).is_settled for name in names), at_most=at_most
        )

    def accepted(self, **attempts: int) -> None:
        """Look whether these messages are accepted, in this order, each once and by so many attempts."""
        for name, number in attempts.items():
            entry = self.world.find(self._id(name))
            found = f"{entry.state.value}, attempt {entry.attempts}"
            self.look(f"{name} message in the end", f"accepted, attempt {number}", found)
        order = [name for raw in self._received() for name in attempts if self._mail_id(name) in raw]
        self.look("order at the server", ", ".join(attempts), ", ".join(order))
        self.look("left in the line", "nobody", ", ".join(self.world.waiting()) or "nobody")
        self.look("left aside", "nobody", ", ".join(self.world.waiting(BILLING)) or "nobody")

    def held(self, *whom: str) -> None:
        """Look at who is held: "the sender", or From addresses."""
        state = self.world.state()
        found = (["the sender"] if state.hold else []) + sorted(state.address_holds)
        self.look("held", ", ".join(whom) or "nobody", ", ".join(found) or "nobody")

    def paused(self, *, paused: bool) -> None:
        """Look whether the sender waits for time alone."""
        found = self.world.state().paused(self.world.clock()) is not None
        self.look("the sender is paused", str(paused), str(found))

    def events(self, *kinds: str) -> None:
        """Look at every event of the sender's own that was told."""
        told = [json.loads(put.text)["type"] for put in self.world.told.puts]
        found = [kind for kind in told if kind.startswith("sender.")]
        self.look("events of the sender", ", ".join(kinds) or "none", ", ".join(found) or "none")

    def connections(self, count: int) -> None:
        """Look at how many connections the server has seen so far."""
        self.look("connections so far", str(count), str(self.world.server.sessions()))

    def at_the_server(self, count: int) -> None:
        """Look at how many messages the server has taken so far."""
        self.look("messages at the server so far", str(count), str(len(self._received())))

    def look(self, what: str, must_be: str, found: str) -> None:
        """Look at anything."""
        self.told.append(Said(what, must_be, found))

    def _id(self, name: str) -> str:
        return f"{self.world.sender.name}-{name}"

    def _state(self, name: str) -> State:
        return self.world.find(self._id(name)).state

    def _mail_id(self, name: str) -> bytes:
        return self.world.find(self._id(name)).message_id.encode()

    def _received(self) -> list[bytes]:
        received = sorted(self.world.server.received(), key=lambda message: int(message.id))
        return [message.raw for message in received]


def tell(story: Callable[[Teller], None], world: World) -> list[Said]:
    """Tell a story; what a part of it raises is told too."""
    teller = Teller(world)
    try:
        story(teller)
        teller.look("steps that did not happen", "0", str(world.server.unplayed()))
    except Exception as error:  # noqa: BLE001 - whatever it is, the story ended wrongly by it
        teller.look("raised", "nothing", f"{type(error).__name__}: {error}")
    finally:
        world.close()
    return teller.told
