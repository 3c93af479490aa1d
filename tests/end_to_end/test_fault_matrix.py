"""Every phase × every fault, with the app's own parts: the matrix of ``bench faults``, a test each cell."""

from __future__ import annotations

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from benchmarks.fault_matrix.expected import FAULTS, Cell, matrix
from benchmarks.fault_matrix.instance import Stores
from benchmarks.fault_matrix.listening import listening
from benchmarks.fault_matrix.mail_servers import mail_servers
from benchmarks.fault_matrix.single import single_cells
from benchmarks.fault_matrix.stories import STORIES
from benchmarks.fault_matrix.trial import Outcome, Trials
from shared.core.delivery import State
from tests.twins import MemoryLedger, MemorySenders, MemoryWaiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.fault_matrix.teller import Said

CELLS = [*matrix(), *single_cells()]
BEFORE_MAIL = ("connect", "EHLO", "TLS", "EHLO after TLS", "AUTH")
PHASES = (
    *BEFORE_MAIL,
    *("MAIL", "RCPT, first", "RCPT, middle", "RCPT, last", "DATA", "body", "after the dot", "QUIT"),
)
AT_ONCE = 8


@dataclass(frozen=True)
class Tried:
    """What is to be tested, several under way at a time: most of each is waiting."""

    outcomes: dict[str, Future[Outcome]]
    stories: dict[str, Future[list[Said]]]


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    # Where only some are asked for, the others are not tried.
    wanted = {item.name for item in request.session.items if item.path == request.path}
    ledger = MemoryLedger()
    with (
        mail_servers(tmp_path_factory.mktemp("mail-servers")) as servers,
        listening() as listener,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        trials = Trials(
            servers,
            Stores(ledger, ledger, MemorySenders(), MemoryWaiting),
            listener,
            run=f"faults-{uuid.uuid4().hex}",
        )
        yield Tried(
            {
                cell.name: threads.submit(trials.try_out, cell, number)
                for number, cell in enumerate(CELLS)
                if f"{test_a_fault_ends_as_it_must.__name__}[{cell.name}]" in wanted
            },
            {
                story: threads.submit(trials.tell, story)
                for story in STORIES
                if f"{test_a_fault_does_to_other_mail_what_it_must.__name__}[{story}]" in wanted
            },
        )


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_fault_ends_as_it_must(cell: Cell, tried: Tried) -> None:
    assert tried.outcomes[cell.name].result().wrong == []


@pytest.mark.parametrize("story", STORIES)
def test_a_fault_does_to_other_mail_what_it_must(story: str, tried: Tried) -> None:
    assert [said for said in tried.stories[story].result() if not said.agrees] == []


def test_every_phase_meets_every_fault() -> None:
    met = {(cell.row, cell.fault) for cell in matrix()}
    everywhere = [fault for fault in FAULTS if fault != "TLS alert"]
    assert {(phase, fault) for phase in PHASES for fault in everywhere} | {("TLS", "TLS alert")} <= met


def test_nothing_before_mail_may_reject_a_message() -> None:
    ends = {cell.expected.state for cell in CELLS if cell.row in BEFORE_MAIL}
    assert ends == {State.DEFERRED, State.HELD, State.ACCEPTED}


def test_no_attempt_may_leave_more_than_one_copy() -> None:
    assert max(cell.expected.copies for cell in CELLS) == 1


def test_no_two_cells_have_one_name() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS)
