"""A container as sending and dead letters need it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from shared.errors import PayloadError

if TYPE_CHECKING:
    from tests.contracts.conftest import Blobs

PATH = "2026/11/24/order-17.json"
PIECE = 4 * 1024 * 1024  # octets that are in memory of a blob at a time
LARGE = bytes(range(256)) * (PIECE // 256 * 2 + 1)


def test_what_was_put_is_read_as_it_was(blobs: Blobs) -> None:
    blobs.container.put(PATH, b"\0\xff\r\n")
    assert blobs.container.read(PATH, limit=4) == b"\0\xff\r\n"


def test_what_was_never_put_is_absent(blobs: Blobs) -> None:
    assert blobs.container.find(PATH) is None
    assert blobs.container.read(PATH, limit=4) is None
    blobs.container.put("2026/11/24/another", b"x")
    assert blobs.container.find(PATH) is None


def test_a_blob_of_that_name_keeps_what_it_has(blobs: Blobs) -> None:
    blobs.container.put(PATH, b"first")
    blobs.container.put(PATH, b"second")
    assert blobs.container.read(PATH, limit=10) == b"first"


def test_a_blob_that_is_too_large_is_not_read(blobs: Blobs) -> None:
    blobs.container.put(PATH, b"12345")
    with pytest.raises(ValueError, match=f"^{PATH} has 5 octets and 4 can be read$"):
        blobs.container.read(PATH, limit=4)


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_a_blob_is_found_with_its_size_and_read_in_pieces_as_often_as_one_likes(
    blobs: Blobs, content: bytes
) -> None:
    blobs.container.put(PATH, content)
    found = blobs.container.find(PATH)
    assert found is not None
    assert found.size == len(content)
    for _ in range(2):
        pieces = list(found.chunks())
        assert b"".join(pieces) == content
        assert all(len(piece) <= PIECE for piece in pieces)


@pytest.mark.parametrize("content", [b"first", LARGE], ids=["small", "large"])
def test_a_blob_that_was_changed_since_it_was_found_is_never_read_as_another(
    blobs: Blobs, content: bytes
) -> None:
    blobs.container.put(PATH, content)
    found = blobs.container.find(PATH)
    assert found is not None
    changed = content[::-1]
    blobs.overwrite(PATH, changed)
    try:
        read = b"".join(found.chunks())
    except PayloadError:
        read = content
    else:
        assert len(content) < PIECE  # what was brought along when it was looked up
    assert read == content
    with pytest.raises(PayloadError):
        list(found.chunks())
    assert blobs.container.read(PATH, limit=len(changed)) == changed


def test_many_may_make_the_container_at_once(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: blobs.container.put(f"{number}", b"x"), range(8)))
    assert [blobs.container.read(f"{number}", limit=1) for number in range(8)] == [b"x"] * 8
