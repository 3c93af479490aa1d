"""
Every phase × every fault: ``python3 -m local bench faults [--only TEXT] [--at-once N]``.

Each cell has a mail server of its own that misbehaves at one point, and sends one message to three recipients
with the parts of the app: how it must end stands in ``fault_matrix/expected.py``, how it ended beside it. The
message is then delivered once more without a fault. Stories of several messages follow: what a fault means
for the sender's other mail. Exits 0 only where everything is as it must be.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fault_matrix.expected import FAULTS, matrix
from benchmarks.fault_matrix.instance import Stores
from benchmarks.fault_matrix.listening import listening
from benchmarks.fault_matrix.mail_servers import mail_servers
from benchmarks.fault_matrix.single import single_cells
from benchmarks.fault_matrix.stories import STORIES
from benchmarks.fault_matrix.trial import Outcome, Trials
from local.azurite import Azurite
from shared.adapters import table_ledger, table_senders, table_waiting
from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_ledger import TableLedger
from shared.adapters.table_senders import TableSenders
from shared.adapters.table_waiting import TableWaiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.fault_matrix.expected import Cell
    from benchmarks.fault_matrix.teller import Said

_AT_ONCE = 8  # most of a cell is waiting, for a silent server or for storage
_FIRST, _WIDTH = 24, 13  # characters of the table's columns


def main(arguments: Sequence[str]) -> int:
    """Try all cells and print the matrix; fails where one ends otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench faults", description=__doc__)
    parser.add_argument("--only", default="", help="what has this in its name, such as 'RCPT'")
    parser.add_argument(
        "--at-once", type=int, default=_AT_ONCE, help="cells at a time (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    cells = [cell for cell in (*matrix(), *single_cells()) if options.only in cell.name]
    stories = [story for story in STORIES if options.only in story]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Azurite.start() as azurite,
        mail_servers(Path(folder)) as servers,
        listening() as listener,
        ThreadPoolExecutor(options.at_once) as threads,
    ):
        stores = _stores(Account(azurite.connection_string))
        trials = Trials(servers, stores, listener, run=f"faults-{secrets.token_hex(4)}")
        outcomes = list(threads.map(trials.try_out, cells, range(len(cells))))
        told = dict(zip(stories, threads.map(trials.tell, stories), strict=True))
    _print(outcomes)
    _print_stories(told)
    wrong = [outcome for outcome in outcomes if not outcome.agrees]
    wrong_stories = [story for story, said in told.items() if not all(each.agrees for each in said)]
    print(f"\n{len(outcomes)} cells, {len(wrong)} not as they must be")
    print(f"{len(told)} stories, {len(wrong_stories)} not as they must be")
    print(f"{time.monotonic() - began:.0f} s")
    for outcome in wrong:
        print(f"\n! {outcome.cell.name}")
        for said in outcome.wrong:
            print(f"    {said}")
        print(f"    the ledger says: {outcome.reason or 'nothing'}")
    return 1 if wrong or wrong_stories else 0


def _stores(account: Account) -> Stores:
    ledger = TableLedger(Table(table_ledger.TABLE, account))
    rooms = itertools.count()
    return Stores(
        ledger,
        ledger,
        TableSenders(Table(table_senders.TABLE, account)),
        lambda: TableWaiting(Table(f"{table_waiting.TABLE}{next(rooms)}", account)),
    )


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


def _print_stories(told: Mapping[str, Sequence[Said]]) -> None:
    for story, all_said in told.items():
        print(f"\n{story}")
        for said in all_said:
            must_be = f"must be {said.must_be}".ljust(2 * _FIRST)
            wrong = "" if said.agrees else " !"
            print(f"    {said.what.ljust(_FIRST + _FIRST // 2)}{must_be}is {said.found}{wrong}")


def _print_row(row: str, kind: str, states: Sequence[str]) -> None:
    columns = "".join(state.ljust(_WIDTH) for state in states)
    print(f"{row.ljust(_FIRST)}{kind.ljust(_FIRST // 2)}{columns}".rstrip())


def _must(cell: Cell) -> str:
    return f"{cell.expected.state.value} {cell.expected.copies}"


def _ended(outcome: Outcome) -> str:
    return f"{outcome.state} {outcome.copies}{'' if outcome.agrees else ' !'}"
