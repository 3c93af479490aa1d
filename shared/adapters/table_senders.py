"""
What all instances must agree on about each sender, in the table ``senders``: one row a sender.

A write succeeds only on the version that was read. One partition for each, so no sender waits for another.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.connection import Connection, Warned
from shared.core.holds import Hold, Pause, Proof, SenderState, Trouble
from shared.core.pacing import Pace, Place, Sent

if TYPE_CHECKING:
    from shared.adapters.table_client import Entity, Table

TABLE = "senders"
_ROW = "state"


class TableSenders:
    """The state of each sender."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self, sender: str) -> SenderState:
        """Return a sender's state; one that nothing is known of has the empty one."""
        found = self._table.get(sender, _ROW)
        return _state(found) if found else SenderState(sender)

    def all(self) -> list[SenderState]:
        """Return every state that there is, of senders that mail.toml no longer has too."""
        return [_state(found) for found in self._table.query("RowKey eq @row", {"row": _ROW})]

    def save(self, state: SenderState) -> SenderState | None:
        """Write a state; None when somebody else changed it since it was read."""
        entity: Entity = {"PartitionKey": state.sender, "RowKey": _ROW, "state": _text(state)}
        if state.version:
            version = self._table.replace(entity, etag=state.version)
        else:
            version = self._table.insert(entity)
        return replace(state, version=version) if version else None


def _text(state: SenderState) -> str:
    return json.dumps(_values(state), ensure_ascii=False, separators=(",", ":"))


def _values(state: SenderState) -> dict[str, Any]:
    """Return what is written: lists instead of names where there are many, times in seconds since 1970."""
    pace = state.pace
    values: dict[str, Any] = {
        "sends": [[_number(sent.at), sent.count] for sent in pace.sends],
        "last_slot": _number(pace.last_slot),
        "recipients": [[_number(sent.at), sent.count] for sent in pace.recipients],
        "places": [[place.holder, place.count, _number(place.until)] for place in pace.places],
        "line": state.line,
        "serving": {holder: _number(until) for holder, until in state.serving.items()},
        "last_mail_at": _number(state.last_mail_at),
        "granted_at": _number(state.granted_at),
        "credential_expires_at": _number(state.credential_expires_at),
        "returning": sorted(state.returning),
        "address_holds": {address: _hold_values(hold) for address, hold in state.address_holds.items()},
    }
    if state.pause:
        values["pause"] = [_number(state.pause.until), state.pause.reason]
    if state.trouble:
        values["trouble"] = [state.trouble.rule, _number(state.trouble.since), state.trouble.count]
    if state.hold:
        values["hold"] = _hold_values(state.hold)
    if state.warned:
        warned = state.warned
        values["warned"] = [_number(warned.expires_at), warned.before.total_seconds(), _number(warned.at)]
    if state.connection:
        values["connection"] = _connection_values(state.connection)
    return {name: value for name, value in values.items() if value}


def _hold_values(hold: Hold) -> dict[str, Any]:
    return {
        "remedy": hold.remedy,
        "reason": hold.reason,
        "since": _number(hold.since),
        "proof": hold.proof.value,
        "probe_at": _number(hold.probe_at),
        "probes": hold.probes,
        "trying": hold.trying,
        "told_at": _number(hold.told_at),
    }


def _connection_values(connection: Connection) -> dict[str, Any]:
    return {
        "account": connection.account,
        "display_name": connection.display_name,
        "connected_at": _number(connection.connected_at),
        "refreshed_at": _number(connection.refreshed_at),
        "token_expires_at": _number(connection.token_expires_at),
        "dies_at": _number(connection.dies_at),
    }


def _state(entity: Entity) -> SenderState:
    values: dict[str, Any] = json.loads(entity["state"])
    pause, trouble, hold = values.get("pause"), values.get("trouble"), values.get("hold")
    warned, connection = values.get("warned"), values.get("connection")
    return SenderState(
        entity["PartitionKey"],
        pace=Pace(
            sends=_sent(values.get("sends", ())),
            last_slot=_optional(values.get("last_slot")),
            recipients=_sent(values.get("recipients", ())),
            places=tuple(Place(who, count, _moment(until)) for who, count, until in values.get("places", ())),
        ),
        line=values.get("line", False),
        serving={holder: _moment(until) for holder, until in values.get("serving", {}).items()},
        pause=Pause(_moment(pause[0]), pause[1]) if pause else None,
        trouble=Trouble(trouble[0], _moment(trouble[1]), trouble[2]) if trouble else None,
        hold=_hold(hold) if hold else None,
        address_holds={address: _hold(one) for address, one in values.get("address_holds", {}).items()},
        last_mail_at=_optional(values.get("last_mail_at")),
        connection=_connection(connection) if connection else None,
        granted_at=_optional(values.get("granted_at")),
        credential_expires_at=_optional(values.get("credential_expires_at")),
        warned=Warned(_moment(warned[0]), timedelta(seconds=warned[1]), _moment(warned[2]))
        if warned
        else None,
        returning=frozenset(values.get("returning", ())),
        version=entity["etag"],
    )


def _connection(values: dict[str, Any]) -> Connection:
    return Connection(
        values["account"],
        values["display_name"],
        connected_at=_moment(values["connected_at"]),
        refreshed_at=_moment(values["refreshed_at"]),
        token_expires_at=_moment(values["token_expires_at"]),
        dies_at=_optional(values["dies_at"]),
    )


def _hold(values: dict[str, Any]) -> Hold:
    return Hold(
        values["remedy"],
        values["reason"],
        since=_moment(values["since"]),
        proof=Proof(values["proof"]),
        probe_at=_optional(values["probe_at"]),
        probes=values["probes"],
        trying=values["trying"],
        told_at=_optional(values.get("told_at"))
        or (_moment(values["since"]) if values.get("told") else None),
    )


def _sent(values: Any) -> tuple[Sent, ...]:
    return tuple(Sent(_moment(at), count) for at, count in values)


def _number(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
