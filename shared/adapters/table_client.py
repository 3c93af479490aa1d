"""
One Azure table, made when it is first missed.

The three adapters that keep state in tables share what is here: how to connect, and what each of the
service's refusals means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from azure.core.credentials import TokenCredential

Entity = dict[str, Any]

# Storage answers in milliseconds; a function must not hang on one that does not. The SDK tries three times.
_CONNECT_SECONDS = 5
_READ_SECONDS = 15


class Table:
    """A table by name, in the account of a connection string or, with an identity, at an address."""

    def __init__(
        self,
        name: str,
        *,
        connection_string: str = "",
        url: str = "",
        credential: Callable[[], TokenCredential] | None = None,
    ) -> None:
        timeouts: Any = {"connection_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
        if connection_string:
            self._client = TableClient.from_connection_string(connection_string, name, **timeouts)
        else:
            identity = credential() if credential else None
            self._client = TableClient(url, name, credential=identity, **timeouts)

    def get(self, partition: str, row: str) -> Entity | None:
        """Return an entity with its ETag under ``etag``, or None."""
        try:
            found = self._client.get_entity(partition, row)
        except ResourceNotFoundError:
            return None
        return {**found, "etag": found.metadata["etag"]}

    def write(
        self, operations: Sequence[tuple[str, Entity] | tuple[str, Entity, Mapping[str, Any]]]
    ) -> str | None:
        """
        Carry out all of ``operations`` on one partition or none of them; one transaction on the bill.

        Returns the ETag of the first, or None when a condition did not hold: it exists already, or somebody
        changed it.
        """
        try:
            results = self._client.submit_transaction(operations)
        except TableTransactionError as error:
            if error.status_code == 404 and _table_is_missing(error):  # noqa: PLR2004 - HTTP
                self.create()
                return self.write(operations)
            if error.status_code in (404, 409, 412):
                return None
            raise
        except ResourceNotFoundError:
            self.create()
            return self.write(operations)
        return str(results[0]["etag"])

    def insert(self, entity: Entity) -> str | None:
        """Insert an entity; returns its ETag, or None when it exists already."""
        try:
            return str(self._client.create_entity(entity)["etag"])
        except ResourceExistsError:
            return None
        except ResourceNotFoundError:
            self.create()
            return self.insert(entity)

    def replace(self, entity: Entity, *, etag: str) -> str | None:
        """
        Replace an entity that still has ``etag``.

        Returns the new ETag, or None when somebody changed or removed the entity.
        """
        try:
            done = self._client.update_entity(
                entity, UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return None
        return str(done["etag"])

    def delete(self, partition: str, row: str, *, etag: str) -> bool:
        """Remove an entity that still has ``etag``; False when somebody changed it. What is gone is gone."""
        entity = {"PartitionKey": partition, "RowKey": row}
        try:
            self._client.delete_entity(entity, etag=etag, match_condition=MatchConditions.IfNotModified)
        except ResourceModifiedError:
            return False
        return True

    def query(self, filter_: str, parameters: Mapping[str, Any]) -> list[Entity]:
        """
        Return the entities that match an OData filter, each with its ETag under ``etag``.

        Every page is fetched; an absent table has none.
        """
        try:
            found = self._client.query_entities(filter_, parameters=dict(parameters))
            return [{**entity, "etag": entity.metadata["etag"]} for entity in found]
        except ResourceNotFoundError:
            return []

    def create(self) -> None:
        """Make the table; harmless when it is there."""
        try:
            self._client.create_table()
        except ResourceExistsError:
            return


def replace_if(entity: Entity, etag: str) -> tuple[str, Entity, Mapping[str, Any]]:
    """Return the operation that replaces ``entity`` when it still has ``etag``."""
    return (
        "update",
        entity,
        {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified},
    )


def _table_is_missing(error: HttpResponseError) -> bool:
    return "TableNotFound" in f"{getattr(error, 'error_code', '')} {error.message}"
