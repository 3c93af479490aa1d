from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.core.address import Address
from shared.core.intake import read
from shared.core.limits import LARGEST_HEADER_BYTES, MOST_ATTACHMENTS, too_many_files, too_much
from shared.core.message import Message
from shared.core.mime import Mime
from shared.core.sender import Limits, Sender, SmtpServer

SENDER = Sender(
    "noreply",
    "microsoft",
    "noreply@contoso.com",
    Address("noreply", "contoso.com"),
    SmtpServer("smtp.office365.com"),
    limits=Limits(recipients_per_message=3, max_message_bytes=1000),
)


def mime(size: int = 100, header_size: int = 50) -> Mime:
    return Mime(size, header_size, lambda: iter(()))


def with_files(count: int) -> Message:
    file = {"filename": "a", "content": ""}
    found = read(json.dumps({"to": "a@b.c", "attachments": [file] * count}).encode(), fallback_id="q")
    assert isinstance(found, Message)
    return found


def test_what_a_mailbox_takes_to_the_last_octet_is_no_problem() -> None:
    assert list(too_much(SENDER, 3, mime(1000, LARGEST_HEADER_BYTES))) == []
    assert list(too_many_files(with_files(MOST_ATTACHMENTS))) == []


def test_each_limit_says_its_figure_the_actual_one_and_the_setting() -> None:
    where = "the limit is senders.noreply.limits"
    recipients = f"to: 4 recipients, and noreply takes 3; {where}.recipients_per_message in mail.toml"
    assert list(too_much(SENDER, 4, mime())) == [f"{recipients}, and RecipientLimits of the mailbox"]
    size = f"message: 1001 octets of mail, and noreply takes 1000; {where}.max_message_bytes in mail.toml"
    assert list(too_much(SENDER, 1, mime(1001))) == [f"{size}, and MaxSendSize of the mailbox"]
    assert list(too_much(SENDER, 1, mime(header_size=262_145))) == [
        "headers: 262145 octets, and Exchange Online takes 262144; no setting helps"
    ]
    assert list(too_many_files(with_files(251))) == [
        "attachments: 251 of them, and Exchange Online takes 250; no setting helps"
    ]


def test_every_limit_that_is_broken_is_named() -> None:
    said = list(too_much(SENDER, 4, mime(2000, 300_000)))
    assert [problem.partition(":")[0] for problem in said] == ["to", "message", "headers"]


@pytest.mark.parametrize("name", ["recipients_per_message", "max_message_bytes"])
def test_the_limits_are_the_senders_own(name: str) -> None:
    generous = replace(SENDER, name="bulk", limits=replace(SENDER.limits, **{name: 5000}))
    assert not any(name in problem for problem in too_much(generous, 4, mime(2000)))
