"""A host that is killed while it sends loses nothing, and costs a few duplicates that can be told as such."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

from tests.end_to_end.desk import new_id
from tests.local.host.host_process import ROOT, running_host
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.end_to_end.desk import Desk

MESSAGES = 60
# host.json lets one instance hold so many messages at once: those that a killed one may have been sending.
AT_ONCE = 16 + 8


def test_a_host_that_is_killed_while_it_sends_loses_nothing(desk: Desk) -> None:
    queue, subject = new_id("queue"), new_id("kill")
    ids = [f"{subject}-{number}" for number in range(MESSAGES)]
    settings = desk.facts["settings"] | {"OUTBOX_QUEUE": queue}
    desk.make_queue(queue)
    for message_id in ids:
        desk.put(
            {"id": message_id, "to": "a@example.net", "subject": subject, "text": message_id}, queue=queue
        )
    desk.control.mail({"round_trip_ms": 100})
    try:
        with running_host(ROOT, "--lock-seconds", "5", settings=settings) as host:
            eventually(lambda: len(desk.mails(subject)) >= 5, said=lambda: host.output)
            host.send_signal(signal.SIGKILL)
            assert host.exit_code() == -signal.SIGKILL
        assert len(desk.mails(subject)) < MESSAGES
    finally:
        desk.control.mail({"round_trip_ms": 0})
    with running_host(ROOT, "--lock-seconds", "5", settings=settings) as host:
        for message_id in ids:
            desk.until(message_id, "accepted", seconds=30)
        eventually(lambda: desk.waiting(queue) == 0)
        assert host.stop() == 0
    mails = desk.mails(subject)
    seen = Counter(mail.content["Message-ID"] for mail in mails)
    assert set(seen) == {desk.entry(message_id)["message_id"] for message_id in ids}
    assert len({mail.raw for mail in mails}) == MESSAGES  # what was sent twice is the same, octet by octet
    assert len(mails) - MESSAGES <= AT_ONCE
    assert desk.waiting(f"{queue}-poison") == 0
