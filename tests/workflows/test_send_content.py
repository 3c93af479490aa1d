"""What a message names beside itself (files, a template), and a mail that an app brings whole."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core.delivery import State
from shared.core.rendering import Template
from tests.twins import MemoryPayloads, MemoryTemplates, ScriptedTokens
from tests.workflows.conftest import Bench, lines, mail, message, refused
from tests.workflows.test_send import BUSY

if TYPE_CHECKING:
    import pytest

PDF = bytes(range(256)) * 20


def attached(path: str = "invoices/17.pdf", **more: Any) -> bytes:
    return message(attachments=[{"filename": "invoice.pdf", "blob": path}], **more)


# Attachments by blob.


def test_an_attachment_comes_out_of_its_blob(bench: Bench) -> None:
    bench.payloads.blobs["invoices/17.pdf"] = PDF
    assert bench.send(attached()) is State.ACCEPTED
    (file,) = mail(bench).iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("invoice.pdf", PDF)


def test_an_attachment_that_is_not_there_is_refused_with_its_field(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.payloads.blobs["a.pdf"] = PDF
    files = [{"filename": f"{name}.pdf", "blob": f"{name}.pdf"} for name in ("a", "b", "c")]
    expected = [
        "attachments[1].blob: there is no b.pdf in the container mail-payloads",
        "attachments[2].blob: there is no c.pdf in the container mail-payloads",
    ]
    assert refused(bench, message(attachments=files)).splitlines() == expected
    assert bench.tokens.asked == 0
    ((level, word, said),) = lines(caplog)
    assert (level, word) == ("WARNING", "mail-rejected")
    assert all(problem in said for problem in expected)


def test_a_file_that_changes_while_it_is_sent_makes_the_message_wait_uncounted(bench: Bench) -> None:
    bench.payloads.blobs["invoices/17.pdf"] = PDF

    class Changing(ScriptedTokens):
        def _next(self) -> None:  # after the file was looked up, before it is read
            super()._next()
            bench.payloads.blobs["invoices/17.pdf"] = PDF + b"!" * self.asked

    bench.tokens = Changing()
    assert bench.send(attached()) is State.DEFERRED
    entry = bench.ledger.only()
    assert (entry.attempts, entry.waits, entry.body) == (0, 1, attached())
    assert entry.reason == "a blob changed while it was being read; it is read again"
    assert bench.mailer.submitted == []
    bench.tokens = ScriptedTokens()
    assert bench.send_what_waits() is State.ACCEPTED
    (file,) = mail(bench).iter_attachments()
    assert file.get_content() == PDF + b"!"


def test_a_raw_mail_that_changes_while_it_is_read_makes_the_message_wait_uncounted(bench: Bench) -> None:
    class Changing(MemoryPayloads):
        def find(self, path: str) -> Any:
            found = super().find(path)
            self.blobs[path] += b"x"
            return found

    bench.payloads = Changing()
    bench.payloads.blobs["17.eml"] = RAW
    body = message(subject=None, text=None, raw_blob="17.eml")
    assert bench.send(body) is State.DEFERRED
    entry = bench.ledger.only()
    assert (entry.attempts, entry.waits) == (0, 1)
    bench.payloads = MemoryPayloads()
    bench.payloads.blobs["17.eml"] = RAW
    assert bench.send_what_waits() is State.ACCEPTED


# Templates.


WELCOME = Template("welcome", "default", "Hello {{ name }}", "<p>Hello <b>{{ name }}</b></p>", None)
WILLKOMMEN = Template("welcome", "de", "Hallo {{ name }}", None, "Hallo {{ name }}")


def templated(**fields: Any) -> bytes:
    return message(**{"subject": None, "text": None, "template": "welcome", "data": {"name": "Ada"}} | fields)


def test_a_template_is_filled_when_the_message_is_sent(bench: Bench) -> None:
    bench.templates = MemoryTemplates(WELCOME, WILLKOMMEN)
    assert bench.send(templated(data={"name": "<Ada>"})) is State.ACCEPTED
    sent = mail(bench)
    assert sent["Subject"] == "Hello <Ada>"
    html, text = sent.get_body(("html",)), sent.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert html.get_content().strip() == "<p>Hello <b>&lt;Ada&gt;</b></p>"
    assert "<Ada>" in text.get_content()


def test_a_template_is_taken_in_the_language_that_was_asked_for(bench: Bench) -> None:
    bench.templates = MemoryTemplates(WELCOME, WILLKOMMEN)
    bench.send(templated(language="de"))
    assert mail(bench)["Subject"] == "Hallo Ada"


def test_a_template_that_is_not_there_is_refused_by_name(bench: Bench) -> None:
    assert refused(bench, templated()) == (
        "template: the container mail-templates has no welcome in default; "
        "upload welcome/default/body.html or body.txt"
    )


def test_a_value_that_the_data_lacks_is_refused_by_name(bench: Bench) -> None:
    bench.templates = MemoryTemplates(WELCOME)
    problems = refused(bench, templated(data={"nme": "Ada"})).splitlines()
    assert problems == [
        "template: welcome/default/subject.txt: 'name' is undefined; add it to data",
        "template: welcome/default/body.html: 'name' is undefined; add it to data",
    ]


# Message-ID, and a mail that the app brings whole.


def test_a_message_id_of_the_apps_own_is_used(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(message(message_id="<4711@shop.contoso.com>"))
    bench.send_what_waits()
    assert [mail(bench, number)["Message-ID"] for number in (0, 1)] == ["<4711@shop.contoso.com>"] * 2
    assert bench.ledger.only().message_id == "<4711@shop.contoso.com>"
    assert bench.mail_ids == 0


RAW = (
    b"Received: from shop\r\nFrom:  =?utf-8?q?Contoso?= <noreply@contoso.com>\r\nTo: ada@example.net\r\n"
    b"Subject: Raw\r\nX-Odd:\tkept   as it is\r\nDate: Mon, 23 Nov 2026 08:00:00 +0100\r\n"
    b"Message-ID: <raw-17@shop.contoso.com>\r\n\r\nHello\r\n.\r\n\tbye  \r\n"
)


def raw(octets: bytes, **fields: Any) -> bytes:
    return message(
        **{"to": None, "subject": None, "text": None, "raw": base64.b64encode(octets).decode()} | fields
    )


def test_a_raw_mail_goes_out_octet_for_octet_and_the_ledger_has_its_message_id(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.send(raw(RAW))
    assert bench.ledger.only().message_id == "<raw-17@shop.contoso.com>"
    assert bench.send_what_waits() is State.ACCEPTED
    assert [sent.mime for sent in bench.mailer.submitted] == [RAW, RAW]
    assert bench.ledger.only().message_id == "<raw-17@shop.contoso.com>"
    assert bench.mailer.submitted[0].envelope.rcpt_to == ("ada@example.net",)


def test_a_raw_mail_out_of_a_blob_goes_out_octet_for_octet_too(bench: Bench) -> None:
    bench.payloads.blobs["17.eml"] = RAW
    assert bench.send(message(to="eve@example.net", subject=None, text=None, raw_blob="17.eml")) is (
        State.ACCEPTED
    )
    (sent,) = bench.mailer.submitted
    assert (sent.mime, sent.envelope.rcpt_to) == (RAW, ("eve@example.net",))


def test_a_raw_mail_without_message_id_and_date_gets_those_of_its_first_attempt(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    octets = b"From: noreply@contoso.com\nBcc: eve@example.net\nSubject: Raw\n\nHello\n"
    bench.send(raw(octets))
    bench.send_what_waits()
    first, second = bench.mailer.submitted
    assert first == replace(second, token=first.token)
    assert first.mime == (
        b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@contoso.com>\r\n"
        b"From: noreply@contoso.com\r\nSubject: Raw\r\n\r\nHello\r\n"
    )
    assert first.envelope.rcpt_to == ("eve@example.net",)
    assert bench.ledger.only().message_id == "<1@contoso.com>"


def test_a_raw_mail_from_a_foreign_address_is_refused(bench: Bench) -> None:
    octets = RAW.replace(b"noreply@contoso.com", b"ceo@contoso.com")
    assert refused(bench, raw(octets)).startswith(
        "from: ceo@contoso.com is not an address of the sender noreply"
    )


def test_a_raw_mail_that_is_not_there_is_refused(bench: Bench) -> None:
    body = message(to=None, subject=None, text=None, raw_blob="17.eml")
    assert refused(bench, body) == "raw_blob: there is no 17.eml in the container mail-payloads"
