"""What the contract suites cannot say: how it stands in Azure's storage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from azure.data.tables import TableClient
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.storage_account import Account
from shared.adapters.storage_queue import StorageQueue
from shared.adapters.table_client import Table, replace_if
from shared.adapters.table_consents import TableConsents
from shared.adapters.table_leases import TableLeases
from shared.adapters.table_ledger import TableLedger
from shared.core.claims import first_claim
from shared.core.delivery import Delivery, State
from shared.core.intake import waiting_body
from shared.core.outcomes import refusal
from shared.errors import StorageError
from tests.twins import NOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.azurite import Azurite


@pytest.fixture
def rows(azurite: Azurite, unique_name: str) -> Iterator[TableClient]:
    """Look at the test's table without our adapters."""
    with TableClient.from_connection_string(azurite.connection_string, unique_name) as client:
        yield client


@pytest.fixture
def reader(azurite: Azurite, unique_name: str) -> Iterator[QueueClient]:
    with QueueClient.from_connection_string(azurite.connection_string, unique_name) as client:
        yield client


# Tables.


def test_what_is_read_before_anything_was_written_is_absent(table: Table) -> None:
    assert table.get("a", "b") is None
    assert table.query("PartitionKey eq @id", {"id": "a"}) == []
    assert table.delete("a", "b", etag='W/"x"')
    assert table.replace({"PartitionKey": "a", "RowKey": "b"}, etag='W/"x"') is None


def test_the_table_is_made_when_it_is_first_missed_however_it_is_missed(
    azurite: Azurite, unique_name: str
) -> None:
    row = {"PartitionKey": "a", "RowKey": "b"}
    made = [Table(f"{unique_name}{number}", Account(azurite.connection_string)) for number in range(2)]
    assert made[0].insert(row)
    assert made[1].write([("create", row)])
    made[0].create()


def test_a_transaction_is_done_whole_or_not_at_all(table: Table) -> None:
    table.insert({"PartitionKey": "a", "RowKey": "2"})
    done = table.write(
        [
            ("create", {"PartitionKey": "a", "RowKey": "1"}),
            ("create", {"PartitionKey": "a", "RowKey": "2"}),
        ]
    )
    assert done is None
    assert table.get("a", "1") is None


def test_a_replacement_in_a_transaction_wants_the_version_that_was_read(table: Table) -> None:
    etag = table.insert({"PartitionKey": "a", "RowKey": "1", "x": 1})
    assert etag
    table.replace({"PartitionKey": "a", "RowKey": "1", "x": 2}, etag=etag)
    assert table.write([replace_if({"PartitionKey": "a", "RowKey": "1", "x": 3}, etag)]) is None
    found = table.get("a", "1")
    assert found is not None
    assert found["x"] == 2


def test_what_somebody_changed_is_not_removed(table: Table) -> None:
    row = {"PartitionKey": "a", "RowKey": "1"}
    before = table.insert(row)
    assert before
    after = table.replace(row, etag=before)
    assert after
    assert not table.delete("a", "1", etag=before)
    assert table.delete("a", "1", etag=after)
    assert table.get("a", "1") is None


def test_every_page_of_a_query_is_fetched(table: Table) -> None:
    for start in range(0, 1_100, 100):
        rows = [{"PartitionKey": "a", "RowKey": f"{number:04d}"} for number in range(start, start + 100)]
        table.write([("create", row) for row in rows])
    found = table.query("PartitionKey eq @id", {"id": "a"})
    assert [row["RowKey"] for row in found] == [f"{number:04d}" for number in range(1_100)]
    assert all(row["etag"] for row in found)


def test_a_filter_takes_its_values_as_they_are(table: Table) -> None:
    table.insert({"PartitionKey": "it's' or 1 eq 1 or 'a", "RowKey": "1"})
    table.insert({"PartitionKey": "other", "RowKey": "1"})
    found = table.query("PartitionKey eq @id", {"id": "it's' or 1 eq 1 or 'a"})
    assert len(found) == 1


# The ledger.


def test_a_message_is_a_partition_with_its_entry_and_its_changes(table: Table, rows: TableClient) -> None:
    ledger = TableLedger(table)
    entry = ledger.add(
        first_claim(
            message_id="order-17",
            content_hash="0" * 64,
            sender="noreply",
            delivery=Delivery("queue-id-1", 1),
            mail_id="<1@contoso.com>",
            metadata={"tenant": "contoso"},
            now=NOON,
        )
    )
    assert entry is not None
    ledger.update(entry.evolve(State.ACCEPTED, now=NOON, attempts=1, reply="250 2.0.0 OK"))
    found = {row["RowKey"]: row for row in rows.list_entities()}
    assert sorted(found) == ["change-000001", "change-000002", "message"]
    assert {row["PartitionKey"] for row in found.values()} == {"order-17"}
    assert (found["message"]["state"], found["message"]["reply"]) == ("accepted", "250 2.0.0 OK")
    assert (found["change-000002"]["state"], found["change-000002"]["attempt"]) == ("accepted", 1)


@pytest.mark.parametrize("letter", ["x", "ü", "漢", "😀"])
def test_a_text_that_no_property_can_hold_is_cut_between_letters(table: Table, letter: str) -> None:
    ledger = TableLedger(table)
    made = refusal(
        message_id="order-17", content_hash="", sender="", reason=letter * 40_000, metadata={}, now=NOON
    )
    made = replace(made, reply=letter * 40_000, body=b"x" * 65_536)
    added = ledger.add(made)
    found = ledger.find("order-17")
    assert added == found
    assert found is not None
    assert len(found.reason.encode("utf-16-le")) == 60_000
    assert set(found.reason) == set(found.reply) == {letter}
    assert ledger.add(made) == found


# Storage that does not answer.


def account_at(port: int, name: str = "devstoreaccount1") -> Account:
    return Account(
        f"DefaultEndpointsProtocol=http;AccountName={name};AccountKey=a2V5;"
        f"TableEndpoint=http://127.0.0.1:{port}/{name};QueueEndpoint=http://127.0.0.1:{port}/{name};"
    )


class Unwilling(BaseHTTPRequestHandler):
    """Refuses everything: the account ``busy`` for now, any other for good."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        body = b'{"odata.error": {"code": "No", "message": {"lang": "en-US", "value": "no\\nand no"}}}'
        self.send_response(503 if self.path.startswith("/busy/") else 400)
        self.send_header("Content-Type", "application/json;odata=minimalmetadata")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_MERGE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def unwilling() -> Iterator[int]:
    """Give the port of a storage service that refuses everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Unwilling) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


ROW = {"PartitionKey": "a", "RowKey": "b"}
CALLS: dict[str, Callable[[Table], object]] = {
    "get": lambda table: table.get("a", "b"),
    "write": lambda table: table.write([("create", ROW)]),
    "insert": lambda table: table.insert(ROW),
    "replace": lambda table: table.replace(ROW, etag='W/"x"'),
    "upsert": lambda table: table.upsert(ROW),
    "delete": lambda table: table.delete("a", "b", etag='W/"x"'),
    "remove": lambda table: table.remove("a", "b"),
    "query": lambda table: table.query("PartitionKey eq @id", {"id": "a"}),
    "page": lambda table: table.page("PartitionKey eq @id", {"id": "a"}, token=""),
    "create": lambda table: table.create(),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_a_table_service_refuses_is_a_storage_error_whatever_was_asked(
    unwilling: int, call: str
) -> None:
    with pytest.raises(StorageError, match=r"^the storage account: ") as failed:
        CALLS[call](Table("ledger", account_at(unwilling)))
    assert "\n" not in str(failed.value)
    assert failed.value.retryable


def test_a_table_service_that_is_busy_is_a_storage_error(unwilling: int) -> None:
    with pytest.raises(StorageError, match=r"^the storage account: "):
        Table("ledger", account_at(unwilling, "busy")).get("a", "b")


def test_every_call_of_a_table_is_among_those() -> None:
    assert set(CALLS) == {name for name in vars(Table) if not name.startswith("_")}


def test_a_ledger_that_cannot_be_reached_fails_its_check() -> None:
    with pytest.raises(StorageError, match=r"^the storage account: "):
        TableLedger(Table("ledger", account_at(9))).check()


def test_a_row_that_no_table_can_hold_is_a_storage_error_too(table: Table) -> None:
    with pytest.raises(StorageError, match=r"^the storage account: "):
        table.insert({**ROW, "x": "x" * 40_000})


# Reading by the page, and removing.


def test_a_page_is_no_longer_than_was_asked_for(table: Table) -> None:
    table.write([("create", {"PartitionKey": "a", "RowKey": f"{number}"}) for number in range(5)])
    found, token = table.page("PartitionKey eq @id", {"id": "a"}, token="", limit=2)
    assert [row["RowKey"] for row in found] == ["0", "1"]
    rest, token = table.page("PartitionKey eq @id", {"id": "a"}, token=token, limit=2)
    assert [row["RowKey"] for row in rest] == ["2", "3"]
    rest, token = table.page("PartitionKey eq @id", {"id": "a"}, token=token, limit=2)
    assert ([row["RowKey"] for row in rest], token) == (["4"], "")


def test_a_page_of_what_was_never_written_is_empty(table: Table) -> None:
    assert table.page("PartitionKey eq @id", {"id": "a"}, token="") == ([], "")


def test_what_is_removed_is_gone_whatever_its_version(table: Table) -> None:
    table.remove("a", "b")
    table.insert(ROW)
    table.upsert({**ROW, "x": 1})
    table.remove("a", "b")
    assert table.get("a", "b") is None
    table.remove("a", "b")


# Pending consents.


def test_what_stands_in_the_table_opens_nothing(table: Table, rows: TableClient) -> None:
    flow = '{"code_verifier": "canary-code-verifier", "nonce": "canary-nonce"}'
    key = TableConsents(table).begin(state="canary-state", sender="noreply", flow=flow, expires_at=NOON)
    (row,) = rows.list_entities()
    for secret in ("canary", key):
        assert secret not in str(dict(row))
        assert secret.encode() not in bytes(row["sealed"])
    assert (row["sender"], row["outcome"]) == ("noreply", "")


def test_a_sealed_flow_is_bound_to_its_state_and_sender(table: Table, rows: TableClient) -> None:
    consents = TableConsents(table)
    key = consents.begin(state="state-1", sender="noreply", flow="{}", expires_at=NOON)
    (row,) = rows.list_entities()
    row["sender"] = "billing"  # somebody who can write the table turns it to another sender
    rows.update_entity(row)
    assert consents.find(state="state-1", key=key) is None


def test_two_of_one_state_do_not_replace_each_other(table: Table) -> None:
    consents = TableConsents(table)
    first = consents.begin(state="state-1", sender="noreply", flow="{}", expires_at=NOON)
    second = consents.begin(state="state-1", sender="noreply", flow="{}", expires_at=NOON)
    assert consents.find(state="state-1", key=first) is not None
    assert consents.find(state="state-1", key=second) is None


def test_a_key_can_stand_in_a_cookie(table: Table) -> None:
    key = TableConsents(table).begin(state="state-1", sender="noreply", flow="{}", expires_at=NOON)
    assert key.isascii()
    assert key.replace("-", "").replace("_", "").isalnum()
    assert len(key) == 43


# Leases.


def test_a_lease_is_taken_by_the_real_time_too(table: Table) -> None:
    leases = TableLeases(table)
    assert leases.acquire("grant-noreply", timedelta(minutes=1))
    assert leases.acquire("grant-noreply", timedelta(minutes=1)) == ""
    found = table.get("grant-noreply", "lease")
    assert found is not None
    assert timedelta(seconds=50) < found["until"] - datetime.now(UTC) <= timedelta(minutes=1)


# The queue.


def test_the_queue_is_made_when_it_is_first_missed(
    azurite: Azurite, unique_name: str, reader: QueueClient
) -> None:
    queue = StorageQueue(unique_name, Account(azurite.connection_string))
    queue.put(waiting_body("order-17"))
    (found,) = reader.receive_messages()
    assert found.content == '{"action": "send", "id": "order-17"}'
    queue.create()


def test_a_message_that_waits_does_not_expire(
    azurite: Azurite, unique_name: str, reader: QueueClient
) -> None:
    StorageQueue(unique_name, Account(azurite.connection_string)).put("x")
    (found,) = reader.receive_messages()
    assert found.expires_on is not None
    assert found.expires_on > datetime.now(UTC) + timedelta(days=3_650)


def test_many_may_make_the_queue_at_once(azurite: Azurite, unique_name: str, reader: QueueClient) -> None:
    queue = StorageQueue(unique_name, Account(azurite.connection_string))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: queue.put(f"{number}"), range(8)))
    assert reader.get_queue_properties().approximate_message_count == 8


def test_many_texts_are_put_each_with_its_own_delay(
    azurite: Azurite, unique_name: str, reader: QueueClient
) -> None:
    queue = StorageQueue(unique_name, Account(azurite.connection_string))
    later = [(f"later-{number}", timedelta(hours=1)) for number in range(15)]
    queue.put_all([*[(f"now-{number}", timedelta()) for number in range(15)], *later])
    found = list(reader.receive_messages(messages_per_page=32))
    assert sorted(each.content for each in found) == sorted(f"now-{number}" for number in range(15))
    assert reader.get_queue_properties().approximate_message_count == 30
    queue.put_all([])


def test_one_text_that_could_not_be_put_is_said(unwilling: int) -> None:
    queue = StorageQueue("outbox", account_at(unwilling))
    with pytest.raises(StorageError):
        queue.put_all([("a", timedelta())])


def test_base64_of_an_app_passes_through_untouched(
    azurite: Azurite, unique_name: str, reader: QueueClient
) -> None:
    StorageQueue(unique_name, Account(azurite.connection_string)).put("")
    list(reader.receive_messages())
    encoding = QueueClient.from_connection_string(
        azurite.connection_string, unique_name, message_encode_policy=TextBase64EncodePolicy()
    )
    with encoding:
        encoding.send_message("Grüße")
    (found,) = reader.receive_messages()
    assert found.content == "R3LDvMOfZQ=="
