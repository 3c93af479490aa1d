"""
One instance of the app, put together as ``shared/wiring.py`` does it, with a cell's own parts around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmarks.fault_matrix.parts import NoPayloads
from shared.alarms import Alarms
from shared.amender import Amender
from shared.core import events, remedies
from shared.core.service import Microsoft, Service
from shared.courier import Courier
from shared.herald import Herald
from shared.holds import Holds
from shared.line import Lines
from shared.operators import Operators
from shared.pacer import Pacer
from shared.register import Register
from shared.scribe import ScribeTools
from shared.telemetry import Silence
from shared.wiring import PooledMailer
from shared.workflows.release import ReleaseTools
from shared.workflows.send import SendTools
from shared.workflows.serve_line import ServeTools

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.fault_matrix.parts import Clock, Queue, SignedTokens
    from shared.adapters.smtp_pool import SmtpPool
    from shared.adapters.table_ledger import Change
    from shared.composer import Composer
    from shared.core.sender import Sender
    from shared.ports import Ledger, WaitingRoom
    from shared.register import SenderStore

_SERVICES = {
    "microsoft": Service(
        "microsoft",
        "client-id",
        Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com"),
    )
}
_MOST_SERVED = 4  # lines at a time; a cell has one
_JITTER = 0.5  # in the middle: a back-off is as long as it is named


def _consent_url(name: str) -> str:
    return f"https://mail.contoso.com/api/oauth/start/{name}"


def _explain(key: str, sender: Sender) -> str:
    service = _SERVICES[sender.service]
    return remedies.explain(key, remedies.Names(sender, service, _consent_url(sender.name)))


class History(Protocol):
    """Who can tell what a message went through: the ledger."""

    def history(self, message_id: str) -> list[Change]:
        """Return every change of a message, the first one first."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """
    Where the cells keep what outlives an instance; ``history`` is the ledger again.

    ``new_room`` makes a waiting room for one cell: what is due is let go for all senders together, and each
    cell has a time of its own.
    """

    ledger: Ledger
    history: History
    senders: SenderStore
    new_room: Callable[[], WaitingRoom]


class Instance:
    """What its functions need: ``send_tools``, ``serve_tools`` and ``release_tools``."""

    def __init__(
        self,
        sender: Sender,
        stores: Stores,
        *,
        clock: Clock,
        outbox: Queue,
        told: Queue,
        pool: SmtpPool,
        composer: Composer,
        tokens: SignedTokens,
    ) -> None:
        self.room = stores.new_room()
        self.register = Register(stores.senders, pause=clock.pause, jitter=_jitter)
        pacer = Pacer(
            self.register,
            holder=f"instance-of-{sender.name}",
            trim=pool.trim,
            clock=clock,
            most_served=_MOST_SERVED,
            tend=False,
        )
        herald = Herald(told, source="https://mail.contoso.com", opted_in=events.OPT_IN)
        senders, payloads = {sender.name: sender}, NoPayloads()
        self.holds = Holds(
            self.register,
            room=self.room,
            outbox=outbox,
            alarms=Alarms(
                herald,
                Operators((), outbox=outbox, register=self.register, senders=senders),
                services=_SERVICES,
                consent_url=_consent_url,
                clock=clock,
            ),
            forget=pacer.forget,
            clock=clock,
        )
        scribe = ScribeTools(
            telemetry=Silence(),
            ledger=stores.ledger,
            room=self.room,
            outbox=outbox,
            events=herald,
            clock=clock,
            pause=clock.pause,
        )
        courier = Courier(
            telemetry=Silence(),
            composer=composer,
            tokens=tokens,
            mailer=PooledMailer(pool),
            holds=self.holds,
            explain=_explain,
            clock=clock,
            jitter=_jitter,
        )
        self._mail_ids, self._sender = 0, sender
        self.send_tools = SendTools(
            ledger=stores.ledger,
            scribe=scribe,
            payloads=payloads,
            amender=Amender(scribe),
            pacer=pacer,
            holds=self.holds,
            courier=courier,
            senders=senders,
            clock=clock,
            jitter=_jitter,
            mail_id=self._mail_id,
        )
        self.serve_tools = ServeTools(
            scribe=scribe,
            payloads=payloads,
            pacer=pacer,
            lines=Lines(self.room, clock=clock),
            jitter=lambda: 0.5,
            holds=self.holds,
            courier=courier,
            senders=senders,
            clock=clock,
            pause=clock.pause,
        )
        self.release_tools = ReleaseTools(
            telemetry=Silence(),
            room=self.room,
            outbox=outbox,
            register=self.register,
            holds=self.holds,
            prober=courier,
            places=pacer,
            senders=senders,
            clock=clock,
        )

    def _mail_id(self, domain: str) -> str:
        self._mail_ids += 1
        return f"<{self._mail_ids}.{self._sender.name}@{domain}>"


def _jitter() -> float:
    return _JITTER
