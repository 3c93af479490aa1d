"""The container of large things, against Azurite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

from shared.adapters.blob_container import Blob, BlobContainer, Text
from shared.adapters.storage_account import Account
from shared.errors import PayloadError

if TYPE_CHECKING:
    from local.azurite import Azurite


@pytest.fixture
def client(azurite: Azurite, unique_name: str) -> ContainerClient:
    """An app's own way to the container, not made yet."""
    return ContainerClient.from_connection_string(azurite.connection_string, unique_name)


@pytest.fixture
def container(azurite: Azurite, unique_name: str) -> BlobContainer:
    return BlobContainer(unique_name, Account(azurite.connection_string))


def found(container: BlobContainer, path: str) -> Blob:
    blob = container.find(path)
    assert blob is not None
    return blob


def test_in_a_container_that_is_not_there_nothing_is_found(container: BlobContainer) -> None:
    assert container.find("a") is None
    assert container.read("a", limit=10) is None
    with pytest.raises(LookupError):
        container.text_if_changed("a", "")


@pytest.mark.parametrize(
    "path", ["a", "2026/11/order 4711.json", "Größe/日本 🥨.pdf", "a%2e%2e/b", "a?b#c&d+e=f"]
)
def test_what_an_app_has_put_there_is_found_by_its_path(
    client: ContainerClient, container: BlobContainer, path: str
) -> None:
    client.create_container()
    client.upload_blob(path, b"content")
    client.upload_blob("other", b"other")
    blob = found(container, path)
    assert (blob.size, b"".join(blob.chunks())) == (7, b"content")
    assert container.read(path, limit=7) == b"content"
    assert container.find(f"{path}x") is None


def test_an_empty_blob_has_no_pieces(client: ContainerClient, container: BlobContainer) -> None:
    client.create_container()
    client.upload_blob("empty", b"")
    blob = found(container, "empty")
    assert (blob.size, b"".join(blob.chunks())) == (0, b"")
    assert container.read("empty", limit=0) == b""


def test_a_large_blob_comes_in_pieces_as_often_as_it_is_asked_for(
    client: ContainerClient, container: BlobContainer
) -> None:
    content = os.urandom(9 * 1024 * 1024 + 17)
    client.create_container()
    client.upload_blob("large", content)
    blob = found(container, "large")
    assert blob.size == len(content)
    for _ in range(2):
        pieces = list(blob.chunks())
        assert b"".join(pieces) == content
        assert max(map(len, pieces)) <= 4 * 1024 * 1024


def test_a_blob_over_the_limit_is_not_read(client: ContainerClient, container: BlobContainer) -> None:
    client.create_container()
    client.upload_blob("large", b"x" * 11)
    with pytest.raises(ValueError, match=r"^large has 11 octets and 10 can be read$"):
        container.read("large", limit=10)


def test_a_blob_that_changed_since_it_was_found_is_not_mixed_with_its_successor(
    client: ContainerClient, container: BlobContainer
) -> None:
    client.create_container()
    client.upload_blob("large", b"1" * 9_000_000)
    blob = found(container, "large")
    pieces = blob.chunks()
    assert set(next(pieces)) == {ord("1")}
    client.upload_blob("large", b"2" * 9_000_000, overwrite=True)
    with pytest.raises(PayloadError):
        list(pieces)
    with pytest.raises(PayloadError):
        list(blob.chunks())


def test_a_blob_that_is_gone_since_it_was_found_is_a_failure_that_passes(
    client: ContainerClient, container: BlobContainer
) -> None:
    client.create_container()
    client.upload_blob("a", b"1" * 9_000_000)
    blob = found(container, "a")
    client.delete_blob("a")
    with pytest.raises(PayloadError) as failed:
        list(blob.chunks())
    assert failed.value.retryable
    assert container.find("a") is None


@pytest.mark.parametrize("path", ["a/" * 300 + "b", "x" * 1024, "ü" * 1024, "🦆" * 1024])
def test_a_path_that_no_blob_has_finds_none(
    client: ContainerClient, container: BlobContainer, path: str
) -> None:
    client.create_container()
    assert container.find(path) is None


def test_what_is_put_makes_its_container_and_keeps_what_was_there(container: BlobContainer) -> None:
    container.put("2026/a", b"first")
    container.put("2026/a", b"second")
    container.put("2026/b", b"other")
    assert container.read("2026/a", limit=100) == b"first"
    assert container.read("2026/b", limit=100) == b"other"


def test_a_text_is_fetched_again_only_where_it_changed(
    client: ContainerClient, container: BlobContainer
) -> None:
    client.create_container()
    client.upload_blob("a.txt", b"\xef\xbb\xbf" + "Grüße\n".encode())
    first = container.text_if_changed("a.txt", "")
    assert isinstance(first, Text)
    assert first.text == "Grüße\n"
    assert container.text_if_changed("a.txt", first.etag) is None
    client.upload_blob("a.txt", b"new", overwrite=True)
    second = container.text_if_changed("a.txt", first.etag)
    assert isinstance(second, Text)
    assert (second.text, second.etag == first.etag) == ("new", False)
    client.delete_blob("a.txt")
    with pytest.raises(LookupError):
        container.text_if_changed("a.txt", second.etag)
