"""
Azure Storage blobs: reading and writing in one container, made when it is first missed.

A path is the app's own word, so it is checked before it is used (``core.message``), and it can only ever name
a blob of this container in this account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ResourceNotModifiedError,
)
from azure.storage.blob import ContainerClient

from shared.adapters.storage_account import PATIENCE
from shared.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.adapters.storage_account import Account

_CHUNK_BYTES = 4 * 1024 * 1024  # what is in memory of a blob at a time, and comes with one request


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as it stood when it was looked up: its size in octets, and its content in pieces."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Text:
    """A small blob's text and its ETag."""

    text: str
    etag: str


class BlobContainer:
    """A container by name."""

    def __init__(self, name: str, account: Account) -> None:
        self._client = account.client(
            ContainerClient,
            name,
            max_chunk_get_size=_CHUNK_BYTES,
            max_single_get_size=_CHUNK_BYTES,
            **PATIENCE,
        )

    def find(self, path: str) -> Blob | None:
        """
        Return a blob, or None.

        Looking it up brings its first 4 MiB along, so most cost one request in all. Its pieces are those of
        the version found; where that is gone, reading on raises ``PayloadError``.
        """
        client = self._client.get_blob_client(path)
        try:
            found = client.download_blob()
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if error.status_code == 400:  # noqa: PLR2004 - HTTP: a path that no blob can have
                return None
            raise
        etag, unchanged = str(found.properties.etag), MatchConditions.IfNotModified
        at_hand = [found]

        def chunks() -> Iterator[bytes]:
            try:
                # Read a second time, where an attempt goes over a new connection, it is fetched again.
                begun = (
                    at_hand.pop() if at_hand else client.download_blob(etag=etag, match_condition=unchanged)
                )
                yield from begun.chunks()
            except (ResourceModifiedError, ResourceNotFoundError) as error:
                raise PayloadError("a blob changed while it was being read; it is read again") from error

        return Blob(int(found.size), chunks)

    def read(self, path: str, *, limit: int) -> bytes | None:
        """Return a blob of at most ``limit`` octets, or None; raises ``ValueError`` for a larger one."""
        found = self.find(path)
        if found is None:
            return None
        if found.size > limit:
            raise ValueError(f"{path} has {found.size} octets and {limit} can be read")
        return b"".join(found.chunks())

    def text_if_changed(self, path: str, etag: str) -> Text | None:
        """
        Return a small blob's text, or None where it still has ``etag``.

        Raises ``LookupError`` where there is no such blob.
        """
        condition: Any = {"etag": etag, "match_condition": MatchConditions.IfModified} if etag else {}
        try:
            found = self._client.get_blob_client(path).download_blob(**condition)
        except ResourceNotFoundError:
            raise LookupError(path) from None
        except (ResourceModifiedError, ResourceNotModifiedError):
            return None
        return Text(found.readall().decode("utf-8-sig"), str(found.properties.etag))

    def put(self, path: str, content: bytes) -> None:
        """Write a blob; one of that name keeps what it has."""
        try:
            self._put(path, content)
        except ResourceNotFoundError:
            self._create()
            self._put(path, content)

    def _put(self, path: str, content: bytes) -> None:
        try:
            self._client.upload_blob(path, content, overwrite=False)
        except ResourceExistsError:
            return

    def _create(self) -> None:
        try:
            self._client.create_container()
        except ResourceExistsError:
            return
