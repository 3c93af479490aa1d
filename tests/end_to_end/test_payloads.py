"""What lies in blobs beside the queue: messages, files, templates, whole mails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from typing import Any

PDF = bytes(range(256)) * 4 * 1024  # 1 MiB


def test_a_message_with_a_file_and_a_template_comes_out_of_three_containers(desk: Desk) -> None:
    message_id, template = new_id("claim-check"), new_id("invoice")
    folder = f"{template}/de"
    desk.upload("mail-templates", f"{folder}/subject.txt", "Rechnung {{ number }} – " + message_id)
    desk.upload("mail-templates", f"{folder}/body.html", "<p>Grüße an <b>{{ name }}</b></p>\n")
    desk.upload("mail-templates", f"{folder}/body.txt", "Grüße an {{ name }}\n")
    desk.upload("mail-payloads", f"{message_id}/invoice.pdf", PDF)
    message: dict[str, Any] = {
        "id": message_id,
        "to": ["Zoë Example <zoe@example.net>"],
        "bcc": "hidden@example.net",
        "template": template,
        "language": "de-AT",
        "data": {"number": 17, "name": "<Ada & Söhne>", "more": "x" * 100_000},
        "attachments": [
            {
                "filename": "Rechnung 17 – März.pdf",
                "content_type": "application/pdf",
                "blob": f"{message_id}/invoice.pdf",
            }
        ],
    }
    desk.upload("mail-payloads", f"{message_id}/message.json", json.dumps(message))
    desk.put({"blob": f"{message_id}/message.json"})
    entry = desk.until(message_id, "accepted")
    (mail,) = desk.mails(f"Rechnung 17 – {message_id}")
    assert mail.rcpt_to == ["zoe@example.net", "hidden@example.net"]
    assert mail.content["Message-ID"] == entry["message_id"]
    assert mail.content["To"] == "Zoë Example <zoe@example.net>"
    text, html = mail.content.get_body(("plain",)), mail.content.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Grüße an <Ada & Söhne>"
    assert html.get_content().strip() == "<p>Grüße an <b>&lt;Ada &amp; Söhne&gt;</b></p>"
    (file,) = mail.content.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("Rechnung 17 – März.pdf", "application/pdf")
    assert file.get_content() == PDF


def test_a_whole_mail_out_of_a_blob_arrives_octet_for_octet(desk: Desk) -> None:
    message_id = new_id("raw")
    raw = (
        f"Date: Mon, 23 Nov 2026 08:00:00 +0100\r\nFrom:  <noreply@contoso.com>\r\nTo: ada@example.net\r\n"
        f"Message-ID: <{message_id}@shop.contoso.com>\r\nSubject: {message_id}\r\n\r\n.\r\n\tHello  \r\n"
    ).encode()
    desk.upload("mail-payloads", f"{message_id}.eml", raw)
    desk.put({"id": message_id, "to": "eve@example.net", "raw_blob": f"{message_id}.eml"})
    assert desk.until(message_id, "accepted")["message_id"] == f"<{message_id}@shop.contoso.com>"
    (mail,) = desk.mails(message_id)
    assert mail.raw.endswith(raw)  # a server puts its own Received before it
    assert mail.rcpt_to == ["eve@example.net"]


def test_a_file_that_is_not_there_ends_as_a_recorded_refusal(desk: Desk) -> None:
    message_id = new_id("no-file")
    desk.put(
        {
            "id": message_id,
            "to": "ada@example.net",
            "text": "x",
            "attachments": [{"filename": "a.pdf", "blob": f"{message_id}/a.pdf"}],
        }
    )
    assert desk.until(message_id, "rejected")["reason"] == (
        f"attachments[0].blob: there is no {message_id}/a.pdf in the container mail-payloads"
    )
    assert desk.waiting("outbox-poison") == 0
