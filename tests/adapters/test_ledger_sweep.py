"""The sweep over more rows than the service gives at a time; what it removes is told by the contracts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.data.tables import TableClient

from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_ledger import TableLedger
from shared.core.delivery import Entry, State

if TYPE_CHECKING:
    from local.azurite import Azurite

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=31)
ROWS = 1_001  # two pages: the service gives 1,000 entities at most


def test_each_run_goes_on_by_the_services_own_token_where_the_one_before_ended(
    azurite: Azurite, table: Table, unique_name: str
) -> None:
    TableLedger(table).add(Entry("x", State.ACCEPTED, "hash", OLD, OLD))
    with TableClient.from_connection_string(azurite.connection_string, unique_name) as client:
        row = dict(client.get_entity("x", "message"))
        with ThreadPoolExecutor(8) as threads:
            list(
                threads.map(
                    lambda number: client.create_entity({**row, "PartitionKey": f"order-{number:05}"}),
                    range(ROWS),
                )
            )
    swept = []
    for _ in range(3):
        # Another instance each time: how far it came stands in the table.
        another = TableLedger(Table(unique_name, Account(azurite.connection_string)))
        swept.append(another.sweep(before=NOW - timedelta(days=30), now=NOW, pages=1))
    assert swept == [1000, 2, 0]
    left = TableLedger(table)
    assert [left.find(name) for name in ("x", "order-00000", f"order-{ROWS - 1:05}")] == [None] * 3
