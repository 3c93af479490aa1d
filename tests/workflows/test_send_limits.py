"""The limits of a mailbox are checked before any byte goes to the server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core.delivery import State
from shared.core.sender import Limits
from tests.twins import MemoryPayloads, ScriptedTokens
from tests.workflows.conftest import SENDERS, Bench, message, refused
from tests.workflows.test_send_content import PDF, attached
from tests.workflows.test_send_without_token import NOBODY_CONSENTED

if TYPE_CHECKING:
    from collections.abc import Iterator


def limited(bench: Bench, **limits: int) -> None:
    bench.senders = {"noreply": replace(SENDERS["noreply"], limits=Limits(**limits))}


def test_too_many_recipients_are_refused_with_limit_figure_and_setting(bench: Bench) -> None:
    limited(bench, recipients_per_message=2)
    assert refused(bench, message(to=["a@example.net", "b@example.net"], bcc="c@example.net")) == (
        "to: 3 recipients, and noreply takes 2; the limit is "
        "senders.noreply.limits.recipients_per_message in mail.toml, and RecipientLimits of the mailbox"
    )


def test_as_many_recipients_as_the_limit_are_sent(bench: Bench) -> None:
    limited(bench, recipients_per_message=2)
    twice = message(to=["a@example.net", "b@example.net"], cc="A@EXAMPLE.net", bcc="a@example.net")
    assert bench.send(twice) is State.ACCEPTED


def test_a_mail_that_is_too_large_is_refused_before_any_of_it_is_read(bench: Bench) -> None:
    bench.send(attached(), queue_id="queue-id-0")
    bench.events.told.clear()
    read: list[str] = []

    class Watched(MemoryPayloads):
        def find(self, path: str) -> Any:
            content = self.blobs[path]

            class Blob:
                size = len(content)

                def chunks(self) -> Iterator[bytes]:
                    read.append(path)
                    yield content

            return Blob()

    bench.payloads = Watched()
    bench.payloads.blobs["invoices/17.pdf"] = PDF
    limited(bench, max_message_bytes=7_000)
    reason = refused(bench, attached(id="order-18"))
    figure = int(reason.split()[1])
    assert reason == (
        f"message: {figure} octets of mail, and noreply takes 7000; the limit is "
        "senders.noreply.limits.max_message_bytes in mail.toml, and MaxSendSize of the mailbox"
    )
    assert read == []
    limited(bench, max_message_bytes=figure)
    assert bench.send(attached(id="order-19"), queue_id="queue-id-3") is State.ACCEPTED
    assert len(bench.mailer.submitted[-1].mime) == figure


def test_too_many_files_are_refused_before_any_is_looked_for(bench: Bench) -> None:
    files = [{"filename": "a.pdf", "blob": f"{number}.pdf"} for number in range(251)]
    assert refused(bench, message(attachments=files)) == (
        "attachments: 251 of them, and Exchange Online takes 250; no setting helps"
    )
    assert bench.payloads.asked == []


def test_a_header_that_is_too_large_is_refused(bench: Bench) -> None:
    reason = refused(bench, message(headers={"X-Long": ["x" * 900] * 300}))
    assert reason.startswith("headers: ")
    assert "Exchange Online takes 262144" in reason


def test_every_limit_that_is_broken_is_named_at_once(bench: Bench) -> None:
    limited(bench, recipients_per_message=1, max_message_bytes=100)
    problems = refused(bench, message(to=["a@example.net", "b@example.net"])).splitlines()
    assert [problem.partition(":")[0] for problem in problems] == ["to", "message"]


def test_a_message_that_is_refused_asks_for_no_token(bench: Bench) -> None:
    limited(bench, recipients_per_message=1)
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    refused(bench, message(to=["a@example.net", "b@example.net"]))
    assert bench.tokens.asked == 0
