"""
Every phase × every fault: ``python3 -m local bench faults [--only TEXT] [--at-once N]``.

Each cell has a mail server of its own that misbehaves at one point, and sends one message to three recipients
with the parts of the app: how it must end stands in ``fault_matrix/expected.py``, how it ended beside it. The
message is then delivered once more without a fault. Exits 0 only where every cell ends as it must.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fault_matrix.expected import FAULTS, matrix
from benchmarks.fault_matrix.listening import listening
from benchmarks.fault_matrix.mail_servers import mail_servers
from benchmarks.fault_matrix.single import single_cells
from benchmarks.fault_matrix.trial import Outcome, Trials
from benchmarks.fault_matrix.world import Stores
from local.azurite import Azurite
from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_ledger import TABLE, TableLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.fault_matrix.expected import Cell

_AT_ONCE = 8  # most of a cell is waiting, for a silent server or for storage
_FIRST, _WIDTH = 24, 13  # characters of the table's columns


def main(arguments: Sequence[str]) -> int:
    """Try all cells and print the matrix; fails where one ends otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench faults", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name contains this, such as 'RCPT'")
    parser.add_argument(
        "--at-once", type=int, default=_AT_ONCE, help="cells at a time (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    cells = [cell for cell in (*matrix(), *single_cells()) if options.only in cell.name]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Azurite.start() as azurite,
        mail_servers(Path(folder)) as servers,
        listening() as listener,
        ThreadPoolExecutor(options.at_once) as threads,
    ):
        ledger = TableLedger(Table(TABLE, Account(azurite.connection_string)))
        trials = Trials(servers, Stores(ledger, ledger), listener, run=f"faults-{secrets.token_hex(4)}")
        outcomes = list(threads.map(trials.try_out, cells, range(len(cells))))
    _print(outcomes)
    wrong = [outcome for outcome in outcomes if not outcome.agrees]
    print(f"\n{len(outcomes)} cells in {time.monotonic() - began:.0f} s, {len(wrong)} not as they must be")
    for outcome in wrong:
        print(f"\n! {outcome.cell.name}")
        for said in outcome.wrong:
            print(f"    {said}")
        print(f"    the ledger says: {outcome.reason or 'nothing'}")
    return 1 if wrong else 0


def _print(outcomes: Sequence[Outcome]) -> None:
    print("Each cell: the state, and how many complete copies the mail server has. ! where they differ.\n")
    print(" " * (_FIRST + _FIRST // 2) + "".join(fault.ljust(_WIDTH) for fault in FAULTS))
    in_matrix = [outcome for outcome in outcomes if outcome.cell.fault in FAULTS]
    for row in dict.fromkeys(outcome.cell.row for outcome in in_matrix):
        by_fault = {outcome.cell.fault: outcome for outcome in in_matrix if outcome.cell.row == row}
        must = [_must(by_fault[fault].cell) if fault in by_fault else "" for fault in FAULTS]
        ended = [_ended(by_fault[fault]) if fault in by_fault else "" for fault in FAULTS]
        _print_row(row, "must end", must)
        _print_row("", "ended", ended)
    print("\nFaults of one phase alone\n")
    for outcome in outcomes:
        if outcome.cell.fault not in FAULTS:
            said = (outcome.cell.row, outcome.cell.fault, f"must end {_must(outcome.cell)}")
            print("".join(text.ljust(_FIRST + 2) for text in said) + f"ended {_ended(outcome)}")


def _print_row(row: str, kind: str, states: Sequence[str]) -> None:
    columns = "".join(state.ljust(_WIDTH) for state in states)
    print(f"{row.ljust(_FIRST)}{kind.ljust(_FIRST // 2)}{columns}".rstrip())


def _must(cell: Cell) -> str:
    return f"{cell.expected.state.value} {cell.expected.copies}"


def _ended(outcome: Outcome) -> str:
    return f"{outcome.state} {outcome.copies}{'' if outcome.agrees else ' !'}"
