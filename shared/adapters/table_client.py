"""
One Azure table, made when it is first missed.

The three adapters that keep state in tables share what is here: how to connect, and what each of the
service's refusals means.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

from shared.adapters.storage_account import or_away

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.adapters.storage_account import Account

Entity = dict[str, Any]


class Table:
    """A table by name, in the account of a connection string or, with an identity, at an address."""

    def __init__(self, name: str, account: Account) -> None:
        self._client = account.client(TableClient, name)

    @or_away
    def get(self, partition: str, row: str) -> Entity | None:
        """Return an entity with its ETag under ``etag``, or None."""
        try:
            found = self._client.get_entity(partition, row)
        except ResourceNotFoundError:
            return None
        return {**found, "etag": found.metadata["etag"]}

    @or_away
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
        return str(results[0].get("etag", ""))  # a delete has none

    @or_away
    def insert(self, entity: Entity) -> str | None:
        """Insert an entity; returns its ETag, or None when it exists already."""
        try:
            return str(self._client.create_entity(entity)["etag"])
        except ResourceExistsError:
            return None
        except ResourceNotFoundError:
            self.create()
            return self.insert(entity)

    @or_away
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

    @or_away
    def upsert(self, entity: Entity) -> None:
        """Write an entity whatever stood there."""
        try:
            self._client.upsert_entity(entity, UpdateMode.REPLACE)
        except ResourceNotFoundError:
            self.create()
            self._client.upsert_entity(entity, UpdateMode.REPLACE)

    @or_away
    def delete(self, partition: str, row: str, *, etag: str) -> bool:
        """Remove an entity that still has ``etag``; False when somebody changed it. What is gone is gone."""
        entity = {"PartitionKey": partition, "RowKey": row}
        try:
            self._client.delete_entity(entity, etag=etag, match_condition=MatchConditions.IfNotModified)
        except ResourceModifiedError:
            return False
        return True

    @or_away
    def remove(self, partition: str, row: str) -> None:
        """Remove an entity whatever its version; harmless when it is gone."""
        self._client.delete_entity(partition, row)

    @or_away
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

    @or_away
    def page(
        self,
        filter_: str,
        parameters: Mapping[str, Any],
        *,
        token: str,
        select: Sequence[str] = (),
        limit: int | None = None,
        with_etag: bool = False,
    ) -> tuple[list[Entity], str]:
        """
        Return one page of what matches, and the token of the next; "" at the end.

        A page is what the service looked through in one request (``limit`` or 1,000 entities at most), so it
        may be empty.
        """
        found = self._client.query_entities(
            filter_, parameters=dict(parameters), select=list(select) or None, results_per_page=limit
        )
        pages: Any = found.by_page(continuation_token=json.loads(token) if token else None)
        try:
            found_now = list(next(pages))
        except (ResourceNotFoundError, StopIteration):
            return [], ""
        entities = [
            {**entity, "etag": entity.metadata["etag"]} if with_etag else dict(entity) for entity in found_now
        ]
        following = pages.continuation_token
        return entities, json.dumps(following) if following else ""

    @or_away
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


def plain_moment(value: Any) -> datetime:
    """Return the SDK's own kind of datetime as the plain, aware one, exact to the microsecond."""
    return datetime.combine(value.date(), value.timetz()).astimezone(UTC)


def _table_is_missing(error: HttpResponseError) -> bool:
    return "TableNotFound" in f"{getattr(error, 'error_code', '')} {error.message}"
