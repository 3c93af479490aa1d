import asyncio
import threading

import pytest

from local.microsoft.exchange import MailStore, ReceivedMessage


def add(store: MailStore, raw: bytes = b"x") -> ReceivedMessage:
    return store.add(mail_from="a@b", rcpt_to=("c@d",), auth_user="a@b", raw=raw, now=0.0)


def test_messages_come_newest_first() -> None:
    store = MailStore()
    for raw in (b"1", b"2", b"3"):
        add(store, raw)
    assert [message.raw for message in store.messages()] == [b"3", b"2", b"1"]


def test_a_message_is_found_by_its_id() -> None:
    store = MailStore()
    message = add(store)
    assert store.get(message.id) == message
    assert store.get("no such id") is None


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    store = MailStore(keep_messages=2)
    for raw in (b"1", b"2", b"3"):
        add(store, raw)
    assert [message.raw for message in store.messages()] == [b"3", b"2"]
    assert (store.forgotten, store.counters.accepted) == (1, 3)


def test_the_oldest_are_forgotten_when_they_are_too_large() -> None:
    store = MailStore(keep_bytes=10)
    for raw in (b"1" * 6, b"2" * 6, b"3" * 4):
        add(store, raw)
    assert [message.raw[:1] for message in store.messages()] == [b"3", b"2"]
    assert store.kept_bytes == 10


def test_the_newest_is_kept_however_large() -> None:
    store = MailStore(keep_bytes=10)
    add(store)
    add(store, b"2" * 100)
    assert len(store) == 1


def test_an_emptied_store_goes_on_with_new_ids() -> None:
    store = MailStore()
    first = add(store)
    store.clear()
    assert (len(store), store.kept_bytes) == (0, 0)
    assert add(store).id != first.id


def test_the_contents_are_not_in_the_repr() -> None:
    assert "canary" not in repr(add(MailStore(), b"canary"))


def test_waiting_ends_with_the_message_that_was_missing() -> None:
    store = MailStore()
    add(store)
    other = threading.Thread(target=lambda: add(store, b"late"))

    async def wait() -> list[ReceivedMessage]:
        waiting = asyncio.create_task(store.wait_for(2))
        await asyncio.sleep(0)  # the task now waits
        other.start()
        return await waiting

    assert [message.raw for message in asyncio.run(wait())] == [b"late", b"x"]
    other.join()


def test_waiting_from_another_thread_ends_with_a_message_that_fits() -> None:
    store = MailStore()
    add(store, b"early")
    other = threading.Thread(target=lambda: [add(store, raw) for raw in (b"other", b"wanted")])
    other.start()
    found = store.wait_for_blocking(matching=lambda message: message.raw == b"wanted")
    assert [message.raw for message in found] == [b"wanted"]
    other.join()


def test_what_is_there_already_is_not_waited_for() -> None:
    store = MailStore()
    add(store)
    assert len(store.wait_for_blocking(timeout_seconds=0)) == 1
    assert len(asyncio.run(store.wait_for(timeout_seconds=0.5))) == 1


def test_waiting_in_vain_tells_how_many_came() -> None:
    store = MailStore()
    add(store)
    with pytest.raises(TimeoutError, match=r"1 of 2 messages arrived within 0.01 seconds"):
        store.wait_for_blocking(2, timeout_seconds=0.01)
    with pytest.raises(TimeoutError, match=r"1 of 3 messages arrived within 0.01 seconds"):
        asyncio.run(store.wait_for(3, timeout_seconds=0.01))
