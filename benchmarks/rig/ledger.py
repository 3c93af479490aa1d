"""
The ledger of a whole run, read in a request for every thousand rows, and only when there is reason to.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableClient

from shared.adapters.table_ledger import TABLE
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from benchmarks.rig.stage import Stage

_LOOK_SECONDS = 0.5  # at the mail server's counters, which cost nothing
_READ_SECONDS = 2.0  # between two readings of the ledger: it is the storage that the app works on


def states(facts: Mapping[str, Any]) -> dict[str, State]:
    """Return the state of every message that the ledger knows."""
    with TableClient.from_connection_string(facts["storage"], TABLE) as table:
        try:
            rows = table.query_entities("RowKey eq 'message'", select=["PartitionKey", "state"])
            return {row["PartitionKey"]: State(row["state"]) for row in rows}
        except ResourceNotFoundError:
            return {}


def until_settled(stage: Stage, ids: Collection[str], *, seconds: float) -> dict[str, State]:
    """
    Wait until all of ``ids`` are settled, for ``seconds`` at most, and return where each of them stands.

    While the mail server goes on taking messages nobody need ask the ledger.
    """
    deadline = time.monotonic() + seconds
    taken, read_at = -1, 0.0
    while True:
        before, taken = taken, stage.accepted()
        now = time.monotonic()
        stands_still = taken == before or now > deadline
        if stands_still and now - read_at >= _READ_SECONDS:
            read_at = now
            found = _states_of(stage.facts, ids)
            if now > deadline or (
                len(found) == len(ids) and all(state.is_settled for state in found.values())
            ):
                return found
        time.sleep(_LOOK_SECONDS)


def _states_of(facts: Mapping[str, Any], ids: Collection[str]) -> dict[str, State]:
    try:
        known = states(facts)
    except AzureError:  # storage may be what is being tried
        return {}
    return {message_id: known[message_id] for message_id in ids if message_id in known}
