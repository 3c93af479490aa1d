from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from shared.core.delivery import Delivery, State
from shared.workflows.postpone import POSTPONED_FOR, postpone
from tests.twins import MemoryOutbox
from tests.workflows.conftest import Bench, message


def put_back(body: bytes) -> str:
    outbox = MemoryOutbox()
    postpone(outbox, body, Delivery("queue-id-1", 1))
    (put,) = outbox.puts
    assert put.delay == POSTPONED_FOR
    return put.text


def test_it_comes_back_soon_after_somebody_mended_the_settings() -> None:
    assert timedelta(seconds=5) <= POSTPONED_FOR <= timedelta(minutes=1)


def test_a_message_keeps_its_id() -> None:
    assert json.loads(put_back(message())) == json.loads(message())


def test_a_message_without_an_id_stays_one_message() -> None:
    once = put_back(message(id=None))
    assert json.loads(once)["id"] == "queue-id-1"
    outbox = MemoryOutbox()
    postpone(outbox, once.encode(), Delivery("queue-id-2", 1))
    assert outbox.puts[0].text == once


def test_base64_is_put_back_so_that_it_can_be_read(bench: Bench) -> None:
    text = put_back(base64.b64encode(message(id=None)))
    assert bench.send(text.encode()) is State.ACCEPTED
    assert bench.ledger.ids() == {"queue-id-1"}


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_a_message_with_no_room_for_an_id_goes_back_as_it_came(encoded: bool) -> None:  # noqa: FBT001 - a table
    room = 65_536 * 3 // 4 if encoded else 65_536
    body = message(id=None, text="")
    body = message(id=None, text="x" * (room - len(body)))
    body = base64.b64encode(body) if encoded else body
    assert len(body) == 65_536
    text = put_back(body)
    assert len(text) <= 65_536
    assert encoded or text == body.decode()


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b"\xff\xfe", b'{"a":', message(text=7)])
def test_what_is_wrong_with_a_message_is_still_wrong_afterwards(bench: Bench, body: bytes) -> None:
    assert bench.send(put_back(body).encode()) is State.REJECTED
