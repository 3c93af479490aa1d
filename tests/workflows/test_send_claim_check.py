"""A message that was too large for the queue: it lies in a blob, and the queue has its path."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core import intake
from shared.core.delivery import State
from shared.core.timing import BROUGHT_BACK_EARLY
from tests.twins import MemoryPayloads
from tests.workflows.conftest import Bench, mail, message, refused
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK = b'{"blob": "2026/order-17.json"}'
PATH = "2026/order-17.json"


@pytest.mark.parametrize("body", [message(), b"\xef\xbb\xbf" + message()], ids=["plain", "byte order mark"])
def test_a_message_in_a_blob_is_sent_under_its_own_id(bench: Bench, body: bytes) -> None:
    bench.payloads.blobs[PATH] = body
    assert bench.send(CHECK) is State.ACCEPTED
    assert bench.ledger.ids() == {"order-17"}
    assert mail(bench)["Subject"] == "Hello"


def test_a_message_in_a_blob_without_an_id_goes_by_its_queue_messages(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message(id=None)
    bench.mailer.script = [BUSY]
    assert bench.send(CHECK) is State.DEFERRED
    assert bench.send_what_waits() is State.ACCEPTED
    assert bench.ledger.ids() == {"queue-id-1"}


def test_a_message_in_a_blob_may_be_larger_than_a_queue_carries(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message(text="Hello, Ada\n" * 100_000)
    assert bench.send(CHECK) is State.ACCEPTED
    assert len(bench.mailer.submitted[0].mime) > 1_000_000


def test_the_same_message_by_the_queue_and_by_a_blob_is_one(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message()
    bench.send(message())
    assert bench.send(CHECK, queue_id="queue-id-2") is None
    assert len(bench.mailer.submitted) == 1


def test_a_claim_check_without_its_blob_is_refused(bench: Bench) -> None:
    assert refused(bench, CHECK) == f"blob: there is no {PATH} in the container mail-payloads"
    assert bench.ledger.ids() == {"queue-id-1"}


def test_a_blob_that_is_too_large_is_refused_before_it_is_read(bench: Bench) -> None:
    class Large(MemoryPayloads):
        def read(self, path: str, *, limit: int) -> bytes | None:
            raise ValueError(f"{path} has {limit + 1} octets and {limit} can be read")

    bench.payloads = Large()
    limit = intake.LARGEST_PAYLOAD_BYTES
    assert refused(bench, CHECK) == f"blob: {PATH} has {limit + 1} octets and {limit} can be read"


def test_the_limit_of_a_blob_is_the_readers(bench: Bench) -> None:
    limits: list[int] = []

    class Recording(MemoryPayloads):
        def read(self, path: str, *, limit: int) -> bytes | None:
            limits.append(limit)
            return super().read(path, limit=limit)

    bench.payloads = Recording()
    bench.payloads.blobs[PATH] = message()
    bench.send(CHECK)
    assert limits == [intake.LARGEST_PAYLOAD_BYTES]


def test_a_claim_check_inside_a_claim_check_is_no_message(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = b'{"blob": "2026/another.json"}'
    bench.payloads.blobs["2026/another.json"] = message()
    assert "blob: is not a field of a message" in refused(bench, CHECK)
    assert bench.payloads.asked == [PATH]


def test_an_order_of_sendoffs_own_inside_a_blob_is_no_message(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message())
    bench.payloads.blobs[PATH] = bench.outbox.puts[-1].text.encode()
    bench.outbox.puts.clear()
    assert "action: is not a field of a message" in refused(bench, CHECK, queue_id="queue-id-2")


def test_an_invalid_message_in_a_blob_is_refused_with_every_problem_under_its_own_id(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message(colour="red", text=7)
    fields = sorted(problem.partition(":")[0] for problem in refused(bench, CHECK).splitlines())
    assert fields == ["colour", "text"]
    assert bench.ledger.ids() == {"order-17"}


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff", b"[]"])
def test_what_is_no_message_in_a_blob_is_refused(bench: Bench, content: bytes) -> None:
    bench.payloads.blobs[PATH] = content
    assert refused(bench, CHECK).startswith("message: ")


@pytest.mark.parametrize("path", ["../secrets", "/etc/passwd", "a//b", "https://example.net/a", "a\\b", ""])
def test_a_path_that_leaves_the_container_is_refused_and_nothing_is_looked_for(
    bench: Bench, path: str
) -> None:
    assert refused(bench, json.dumps({"blob": path}).encode()).startswith("blob: ")
    assert bench.payloads.asked == []


def test_a_message_in_a_blob_that_waits_is_fetched_again(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message()
    bench.mailer.script = [BUSY]
    assert bench.send(CHECK) is State.DEFERRED
    assert bench.ledger.only().body == CHECK  # the table keeps the claim check, not what it stands for
    assert bench.send_what_waits() is State.ACCEPTED
    assert bench.payloads.asked == [PATH, PATH]
    first, second = (sent.mime for sent in bench.mailer.submitted)
    assert first == second


def gone(bench: Bench) -> None:
    del bench.payloads.blobs[PATH]


def other_text(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message(text="Hello, Bob")


def other_id(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message(id="order-18")


def broken(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = b"not json"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (gone, f"blob: there is no {PATH} in the container mail-payloads"),
        (other_text, f"blob: {PATH} holds another message now than the one that waits"),
        (other_id, f"blob: {PATH} holds another message now than the one that waits"),
        (broken, "message: it is not valid JSON: expecting value at line 1, column 1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_message_that_waits_ends_under_its_own_id_when_its_blob_is_not_what_it_was(
    bench: Bench, change: Callable[[Bench], None], reason: str
) -> None:
    bench.payloads.blobs[PATH] = message(metadata={"tenant": "contoso"})
    bench.mailer.script = [BUSY]
    bench.send(CHECK)
    change(bench)
    bench.events.told.clear()
    assert bench.send_what_waits() is State.REJECTED
    entry = bench.ledger.only()
    assert (entry.id, entry.state, entry.reason) == ("order-17", State.REJECTED, reason)
    assert (entry.attempts, entry.body, entry.due_at, entry.lease_until) == (1, b"", None, None)
    assert [(each.id, each.metadata) for each in bench.events.told] == [("order-17", {"tenant": "contoso"})]
    assert (len(bench.outbox.puts), len(bench.mailer.submitted)) == (1, 1)


def test_a_blob_that_is_missed_too_early_is_looked_for_when_the_message_is_due(bench: Bench) -> None:
    bench.payloads.blobs[PATH] = message()
    bench.mailer.script = [BUSY]
    bench.send(CHECK)
    blob = bench.payloads.blobs.pop(PATH)
    assert bench.send(bench.outbox.puts[-1].text.encode(), queue_id="queue-id-2") is None
    assert [put.delay + BROUGHT_BACK_EARLY for put in bench.outbox.puts] == [timedelta(seconds=15)] * 2
    bench.payloads.blobs[PATH] = blob
    assert bench.send_what_waits(queue_id="queue-id-3") is State.ACCEPTED
