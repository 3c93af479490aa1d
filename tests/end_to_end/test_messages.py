"""What an app puts on the queue, with whatever client it has, and what comes of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from azure.storage.queue import TextBase64EncodePolicy

from tests.end_to_end.desk import Desk, new_id
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_a_message_from_the_plain_storage_client_is_sent(desk: Desk, encoded: bool) -> None:  # noqa: FBT001 - a table
    options: dict[str, Any] = {"message_encode_policy": TextBase64EncodePolicy()} if encoded else {}
    message_id = new_id("plain")
    subject = f"Grüße aus Köln 🎉 {message_id}"
    desk.put(
        {
            "id": message_id,
            "to": ["Zoë Example <zoe@example.net>", "ada@example.net"],
            "cc": "bob@example.net",
            "bcc": "hidden@example.net",
            "subject": subject,
            "text": "Grüße! 🎉\n.\nEnde",
            "html": "<p>Grüße! 🎉</p>",
            "attachments": [
                {
                    "filename": "Übersicht.pdf",
                    "content_type": "application/pdf",
                    "content": base64.b64encode(bytes(range(256)) * 20).decode(),
                }
            ],
        },
        **options,
    )
    entry = desk.until(message_id, "accepted")
    assert (entry["attempts"], entry["sender"]) == (1, "noreply")
    assert entry["reply"].startswith("250 2.0.0 OK")
    (mail,) = desk.mails(subject)
    assert (mail.mail_from, mail.auth_user) == ("noreply@contoso.com", "noreply@contoso.com")
    assert mail.rcpt_to == ["zoe@example.net", "ada@example.net", "bob@example.net", "hidden@example.net"]
    content = mail.content
    assert content["From"] == "Contoso <noreply@contoso.com>"
    assert content["To"] == "Zoë Example <zoe@example.net>, ada@example.net"
    assert content["Message-ID"] == entry["message_id"]
    assert b"hidden@example.net" not in mail.raw
    text, html = content.get_body(("plain",)), content.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Grüße! 🎉", ".", "Ende"]
    assert html.get_content().strip() == "<p>Grüße! 🎉</p>"
    (attachment,) = content.iter_attachments()
    assert attachment.get_filename() == "Übersicht.pdf"
    assert attachment.get_content() == bytes(range(256)) * 20


def test_a_message_without_an_id_is_sent_once(desk: Desk) -> None:
    subject = new_id("without-id")
    desk.put({"to": "ada@example.net", "subject": subject, "text": "x"})
    desk.put({"id": f"after-{subject}", "to": "ada@example.net", "subject": f"after {subject}", "text": "x"})
    desk.until(f"after-{subject}", "accepted")
    # The host sends both at once, so the second may be through first.
    eventually(lambda: desk.mails(subject))
    (mail,) = desk.mails(subject)
    assert mail.rcpt_to == ["ada@example.net"]


def test_the_same_message_twice_is_sent_once(desk: Desk) -> None:
    message_id = new_id("twice")
    message = {"id": message_id, "to": "ada@example.net", "subject": message_id, "text": "x"}
    for _ in range(5):
        desk.put(message)
    marker = new_id("marker")
    desk.until(message_id, "accepted")
    desk.put({"id": marker, "to": "ada@example.net", "subject": marker, "text": "x"})
    desk.until(marker, "accepted")
    assert len(desk.mails(message_id)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Hello, Ada!", "message: it is not valid JSON: "),
        ("", "message: it is empty; put a JSON object on the queue"),
        ("[]", "message: it is not a JSON object; put one message in each queue message"),
        (base64.b64encode(b"\x00\xff").decode(), "message: it is not UTF-8 text"),
        (base64.b64encode(b'{"to": \x01}').decode(), "message: it is not valid JSON"),
    ],
    ids=["no json", "empty", "a list", "no text", "control characters"],
)
def test_what_cannot_be_read_ends_as_a_recorded_refusal(desk: Desk, text: str, problem: str) -> None:
    queue_id = desk.put(text)
    entry = desk.until(queue_id, "rejected")
    assert entry["reason"].startswith(problem)
    assert desk.line(f"message {queue_id} ").endswith("[mail-rejected]")
    assert desk.waiting("outbox-poison") == 0


def test_an_invalid_message_ends_with_every_problem_and_one_line(desk: Desk) -> None:
    message_id = new_id("invalid")
    desk.put({"id": message_id, "to": "nobody", "colour": "red", "text": 7, "sender": "noreply"})
    entry = desk.until(message_id, "rejected")
    problems = entry["reason"].splitlines()
    assert sorted(problem.partition(":")[0] for problem in problems) == ["colour", "text", "to[0]"]
    assert entry["attempts"] == 0
    line = desk.line(f"message {message_id} ")
    assert all(problem in line for problem in problems)
    assert line.endswith("[mail-rejected]")
    assert desk.waiting("outbox-poison") == 0


def test_an_unknown_sender_ends_as_a_recorded_refusal(desk: Desk) -> None:
    message_id = new_id("unknown-sender")
    desk.put({"id": message_id, "sender": "nobody", "to": "ada@example.net", "text": "x"})
    entry = desk.until(message_id, "rejected")
    assert entry["reason"] == "sender: there is none called nobody; mail.toml has billing, noreply, reports"
    assert desk.waiting("outbox-poison") == 0


def test_a_recipient_that_the_server_does_not_know_is_refused_with_its_words(desk: Desk) -> None:
    message_id = new_id("refused")
    reply = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
    desk.control.mail({"next": [{"at": "after_dot", "do": "reply", "reply": reply}]})
    desk.put({"id": message_id, "to": "ada@example.net", "subject": message_id, "text": "x"})
    assert desk.until(message_id, "rejected")["reply"].startswith(reply)


def test_535_once_is_not_noticed(desk: Desk) -> None:
    message_id = new_id("535")
    desk.control.mail(
        {"next": [{"at": "mail", "do": "reply", "reply": "535 5.7.3 Authentication unsuccessful"}]}
    )
    desk.put({"id": message_id, "to": "ada@example.net", "subject": message_id, "text": "x"})
    entry = desk.until(message_id, "accepted")
    assert (entry["attempts"], entry["waits"]) == (1, 0)


def test_mail_of_a_shared_mailbox_goes_by_the_account_that_may_send_as_it(
    desk: Desk, connected: Callable[[str], None]
) -> None:
    connected("reports")
    message_id = new_id("reports")
    desk.put(
        {"id": message_id, "sender": "reports", "to": "a@example.net", "subject": message_id, "text": "x"}
    )
    desk.until(message_id, "accepted")
    (mail,) = desk.mails(message_id)
    assert (mail.mail_from, mail.auth_user) == ("reports@contoso.com", "svc-mail@contoso.com")
