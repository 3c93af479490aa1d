"""One listener among several instances: whoever holds the lease of its blob."""

import contextlib
import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

_log = logging.getLogger("local.host.timers")

#: Blob service: the shortest lease. Azure's host takes 60 s; a host killed here is replaced sooner.
LEASE_SECONDS = 15

#: Often enough that two renewals may fail before the lease is lost.
RENEWAL_SECONDS = LEASE_SECONDS / 3


class Singleton:
    """A lease on one blob of the hosts' container."""

    def __init__(self, container: "ContainerClient", name: str) -> None:
        self._container = container
        self._blob = container.get_blob_client(name)
        self._lease: BlobLeaseClient | None = None
        self._held_until = 0.0

    @property
    def is_held(self) -> bool:
        """Return whether the lease is ours and has not run out, by this machine's clock."""
        return self._lease is not None and time.monotonic() < self._held_until

    async def acquire(self) -> bool:
        """Try to take the lease and return whether it is ours; AzureError if storage cannot say."""
        asked = time.monotonic()
        await self._make_blob()
        try:
            self._lease = await self._blob.acquire_lease(lease_duration=LEASE_SECONDS)
        except HttpResponseError as error:
            if _is_taken(error):
                return False
            raise
        self._held_until = asked + LEASE_SECONDS
        return True

    async def renew(self) -> None:
        """Hold the lease for another while; `is_held` turns false once it is lost or has run out."""
        if self._lease is None:
            return
        asked = time.monotonic()
        try:
            await self._lease.renew()
        except HttpResponseError as error:
            if _is_taken(error):
                self._lease = None
            _log.warning("a timer's lease could not be renewed: %s", error.message)
        except AzureError as error:
            _log.warning("a timer's lease could not be renewed: %s", error.message)
        else:
            self._held_until = asked + LEASE_SECONDS

    async def release(self) -> None:
        """Let another instance take over."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            await lease.release()
        except AzureError as error:
            _log.debug("a timer's lease was not released: %s; it runs out", error.message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.release()

    async def _make_blob(self) -> None:
        if await self._blob.exists():
            return
        with contextlib.suppress(ResourceExistsError):
            await self._container.create_container()
        try:
            await self._blob.upload_blob(b"", overwrite=False)
        except HttpResponseError as error:  # another instance was faster, and may hold it already
            if not isinstance(error, ResourceExistsError) and not _is_taken(error):
                raise


def _is_taken(error: HttpResponseError) -> bool:
    return error.status_code in {409, 412}
