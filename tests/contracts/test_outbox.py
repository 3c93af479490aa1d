from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.core.intake import waiting_body, with_id
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.contracts.conftest import Queue

ANY_QUEUE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def test_what_was_put_can_be_read_at_once(outbox: Queue) -> None:
    outbox.put(waiting_body("order-17"))
    assert outbox.visible() == ['{"action": "send", "id": "order-17"}']


def test_what_was_put_with_a_delay_cannot_be_read_yet(outbox: Queue) -> None:
    outbox.put("later", delay=timedelta(hours=1))
    outbox.put("now", delay=timedelta())
    assert outbox.visible() == ["now"]
    assert outbox.hidden() == 1


def test_a_delay_that_is_past_is_none(outbox: Queue) -> None:
    outbox.put("now", delay=timedelta(seconds=-5))
    assert outbox.visible() == ["now"]


def test_a_delay_beyond_the_services_limit_is_cut(outbox: Queue) -> None:
    outbox.put("in a year", delay=timedelta(days=365))
    assert outbox.visible() == []
    assert outbox.hidden() == 1


@ANY_QUEUE
@given(text=st.text(max_size=200), escaped=st.booleans())
@example(text="\ufffe\uffff\x7f\x85\u2028", escaped=False)
@example(text="\ud83d", escaped=True)
def test_any_text_of_a_message_comes_back_as_it_was(outbox: Queue, text: str, *, escaped: bool) -> None:
    body = json.dumps({"text": text}, ensure_ascii=escaped).encode(errors="replace")
    outbox.put(with_id(body, "order-17"))
    (found,) = eventually(outbox.visible)
    assert json.loads(_plain(found)) == {"id": "order-17", **json.loads(body)}


def _plain(text: str) -> str:
    return text if text.startswith("{") else base64.b64decode(text).decode()


@ANY_QUEUE
@given(body=st.binary(max_size=200))
def test_whatever_a_queue_held_can_be_put_back(outbox: Queue, body: bytes) -> None:
    outbox.put(with_id(body, "order-17"))
    assert len(eventually(outbox.visible)) == 1


def test_the_largest_message_can_be_put_back(outbox: Queue) -> None:
    text = json.dumps({"id": "order-17", "text": "ü" * 30_000}, ensure_ascii=False)
    outbox.put(with_id(text.encode(), "order-17"))
    assert outbox.visible() == [text]
