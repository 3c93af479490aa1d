"""
The composition root: what each workflow needs, put together from what this process is built of.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, TypeVar

from shared.wiring import Wiring, mail_id, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.workflows.connected import ConnectedTools
    from shared.workflows.consent import ConsentTools
    from shared.workflows.dead_letter import DeadLetterTools
    from shared.workflows.health import Health
    from shared.workflows.messages import MessagesTools
    from shared.workflows.release import ReleaseTools
    from shared.workflows.schedules import SchedulesTools
    from shared.workflows.send import SendTools
    from shared.workflows.senders import SendersTools
    from shared.workflows.serve_line import ServeTools
    from shared.workflows.sweep import SweepTools
    from shared.workflows.upkeep import UpkeepTools

T = TypeVar("T")
E = TypeVar("E")
# A provider that does not answer takes half a minute for each sender; two hundred of them must be through
# before the next upkeep.
_AT_A_TIME = 8


class Services(Wiring):
    """The tools of every workflow; imports stand inside the methods, as in ``wiring``."""

    def send_tools(self) -> SendTools:
        """Return what ``send`` needs."""
        from shared.workflows.send import SendTools  # noqa: PLC0415 - as above

        return self._once(
            "send_tools",
            lambda: SendTools(
                ledger=self.ledger(),
                scribe=self._scribe_tools(),
                payloads=self._container("mail-payloads"),
                amender=self._amender(),
                pacer=self._pacer(),
                holds=self.holds(),
                courier=self._courier(),
                senders=self.settings.senders,
                clock=now,
                jitter=random.random,
                mail_id=mail_id,
            ),
        )

    def serve_tools(self) -> ServeTools:
        """Return what ``serve_line`` needs."""
        from shared.line import Lines  # noqa: PLC0415 - as above
        from shared.workflows.serve_line import ServeTools  # noqa: PLC0415 - as above

        return self._once(
            "serve_tools",
            lambda: ServeTools(
                scribe=self._scribe_tools(),
                payloads=self._container("mail-payloads"),
                pacer=self._pacer(),
                lines=Lines(self._waiting_room(), clock=now),
                holds=self.holds(),
                courier=self._courier(),
                senders=self.settings.senders,
                clock=now,
                jitter=random.random,
                pause=time.sleep,
            ),
        )

    def release_tools(self) -> ReleaseTools:
        """Return what ``release`` needs."""
        from shared.workflows.release import ReleaseTools  # noqa: PLC0415 - as above

        return ReleaseTools(
            room=self._waiting_room(),
            outbox=self.outbox(),
            register=self._register(),
            holds=self.holds(),
            prober=self._courier(),
            places=self._pacer(),
            telemetry=self.telemetry(),
            senders=self.settings.senders,
            clock=now,
        )

    def messages_tools(self) -> MessagesTools:
        """Return what the routes of ``/messages`` need."""
        from shared.workflows.messages import MessagesTools  # noqa: PLC0415 - as above

        return MessagesTools(
            ledger=self.ledger(),
            outbox=self.outbox(),
            payloads=self._container("mail-payloads"),
            amender=self._amender(),
            senders=self.settings.senders,
            clock=now,
            new_id=lambda: str(uuid.uuid4()),
            mail_id=mail_id,
        )

    def schedules_tools(self) -> SchedulesTools:
        """Return what recurring mail needs."""
        from shared.adapters.table_schedules import TABLE, TableSchedules  # noqa: PLC0415 - as above
        from shared.workflows.schedules import SchedulesTools  # noqa: PLC0415 - as above

        return SchedulesTools(
            store=TableSchedules(self._table(TABLE)),
            outbox=self.outbox(),
            senders=self.settings.senders,
            clock=now,
        )

    def senders_tools(self) -> SendersTools:
        """Return what the routes of ``/senders`` need."""
        from shared.workflows.senders import SendersTools  # noqa: PLC0415 - as above

        return SendersTools(
            register=self._register(),
            room=self._waiting_room(),
            holds=self.holds(),
            connections=self._connections(),
            trial=self._trial_mail(),
            senders=self.settings.senders,
            services=self.settings.services,
            clock=now,
            new_id=lambda: str(uuid.uuid4()),
        )

    def upkeep_tools(self) -> UpkeepTools:
        """Return what ``upkeep`` needs."""
        from shared.workflows.upkeep import UpkeepTools  # noqa: PLC0415 - as above

        settings = self.settings
        return UpkeepTools(
            keeper=self.keeper(),
            register=self._register(),
            holds=self.holds(),
            connections=self._connections(),
            credentials=self._vault(),
            senders=settings.senders,
            services=settings.services,
            explain=self._explain,
            telemetry=self.telemetry(),
            side_by_side=_side_by_side,
            clock=now,
        )

    def sweep_tools(self) -> SweepTools:
        """Return what ``sweep`` needs."""
        from shared.workflows.sweep import SweepTools  # noqa: PLC0415 - as above

        return SweepTools(
            pending=self._consents(),
            ledger=self.ledger(),
            retention=self.settings.ledger_retention,
            clock=now,
        )

    def consent_tools(self) -> ConsentTools:
        """Return what consent needs."""
        from shared.workflows.consent import ConsentTools  # noqa: PLC0415 - as above

        settings = self.settings
        return ConsentTools(
            provider=self._provider,
            pending=self._consents(),
            grants=self._vault(),
            connections=self._connections(),
            senders=settings.senders,
            services=settings.services,
            explain=self._explain,
            redirect_uri=settings.redirect_uri,
            clock=now,
        )

    def connected_tools(self) -> ConnectedTools:
        """Return what the buttons of the page *Connected* need."""
        from shared.workflows.connected import ConnectedTools  # noqa: PLC0415 - as above

        return ConnectedTools(
            pending=self._consents(),
            register=self._register(),
            connections=self._connections(),
            trial=self._trial_mail(),
            senders=self.settings.senders,
            clock=now,
        )

    def dead_letter_tools(self) -> DeadLetterTools:
        """Return what ``dead_letter`` needs."""
        from shared.workflows.dead_letter import DeadLetterTools  # noqa: PLC0415 - as above

        return DeadLetterTools(
            ledger=self.ledger(),
            letters=self._container("mail-dead-letters"),
            events=self._herald(),
            clock=now,
        )

    def health(self) -> Health:
        """Return what ``health`` asks."""
        from shared.workflows.health import Health  # noqa: PLC0415 - as above

        return self._once("health", lambda: Health(self.ledger(), now))


def _side_by_side(do: Callable[[E], T], each: Iterable[E]) -> list[T]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

    with ThreadPoolExecutor(_AT_A_TIME) as at_a_time:
        return list(at_a_time.map(do, each))
