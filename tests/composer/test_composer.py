from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from shared.composer import Composed, Composer
from shared.core.address import Address
from shared.core.intake import read
from shared.core.message import Message
from shared.core.rendering import Template
from shared.core.sender import Limits, Sender, SmtpServer
from shared.core.smtp import Envelope
from shared.errors import MessageError, PayloadError
from tests.twins import MemoryPayloads, MemoryTemplates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

MAIL_ID = "<m@contoso.com>"
DATE = datetime(2026, 11, 24, 6, 55, tzinfo=UTC)
SENDER = Sender(
    "noreply",
    "microsoft",
    "noreply@contoso.com",
    Address("noreply", "contoso.com", "Contoso"),
    SmtpServer("smtp.office365.com"),
    also_from=(Address("billing", "contoso.com"),),
)
RAW = b"From: billing@contoso.com\nTo: ada@contoso.com\nCc: bob@contoso.com\nBcc: eve@contoso.com\n\nhello\n"


@dataclass
class World:
    """What a composer fetches from."""

    payloads: MemoryPayloads = field(default_factory=MemoryPayloads)
    templates: list[Template] = field(default_factory=list)

    def compose(self, sender: Sender = SENDER, /, **fields: Any) -> Composed:
        composer = Composer(payloads=self.payloads, templates=MemoryTemplates(*self.templates))
        return composer.compose(asked(**fields), sender, mail_id=MAIL_ID, date=DATE)

    def problems(self, sender: Sender = SENDER, /, **fields: Any) -> tuple[str, ...]:
        with pytest.raises(MessageError) as refused:
            self.compose(sender, **fields)
        assert refused.value.message_id == "order-1"
        return refused.value.problems


@pytest.fixture
def world() -> World:
    return World()


def asked(**fields: Any) -> Message:
    value = {"id": "order-1", "to": "ada@contoso.com", **fields}
    found = read(json.dumps(value).encode(), fallback_id="queue-id")
    assert isinstance(found, Message)
    return found


def parse(composed: Composed) -> EmailMessage:
    octets = composed.mime.to_bytes()
    assert composed.mime.size == len(octets)
    return message_from_bytes(octets, policy=policy.default)


def body(composed: Composed, kind: str) -> str:
    part = parse(composed).get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


# Parts.


def test_a_message_of_parts_is_made_ready(world: World) -> None:
    composed = world.compose(
        to=["Ada <ada@contoso.com>", "jürgen@contoso.com"],
        cc="ADA@contoso.com",
        bcc="eve@contoso.com",
        text="hi",
    )
    assert composed.envelope == Envelope(
        "noreply@contoso.com", ("ada@contoso.com", "jürgen@contoso.com", "eve@contoso.com")
    )
    assert composed.mail_id == MAIL_ID
    assert composed.mime.smtputf8
    assert b"eve" not in composed.mime.to_bytes()


def test_the_same_message_is_the_same_at_every_attempt(world: World) -> None:
    world.payloads.put("a.bin", b"x" * 1000)
    fields: dict[str, Any] = {"html": "<p>ü", "attachments": [{"filename": "a", "blob": "a.bin"}]}
    assert world.compose(**fields).mime.to_bytes() == world.compose(**fields).mime.to_bytes()


def test_the_from_is_the_one_that_was_asked_for(world: World) -> None:
    composed = world.compose(SENDER, **{"from": "Billing <billing@contoso.com>"})
    assert composed.envelope.mail_from == "billing@contoso.com"
    assert parse(composed)["From"] == "Billing <billing@contoso.com>"
    assert world.problems(SENDER, **{"from": "eve@contoso.com"}) == (NOT_ALLOWED,)


def test_a_text_part_is_made_from_the_html_only_where_it_is_missing(world: World) -> None:
    html = "<h1>Hi</h1><ul><li>eins<li>zwei</ul>"
    assert body(world.compose(html=html), "plain") == "Hi\n\n  * eins\n  * zwei\n"
    assert body(world.compose(html=html), "html") == html
    assert body(world.compose(html=html, text="own"), "plain") == "own"
    assert body(world.compose(html=html, text=""), "plain") == ""


# Files.


def test_a_file_comes_from_its_blob_and_is_looked_for_once(world: World) -> None:
    world.payloads.put("2026/a.pdf", b"%PDF-")
    files = [{"filename": "a.pdf", "blob": "2026/a.pdf"}, {"filename": "copy.pdf", "blob": "2026/a.pdf"}]
    composed = world.compose(text="x", attachments=[*files, {"filename": "b", "content": "YQ=="}])
    assert world.payloads.asked == ["2026/a.pdf"]
    assert [(part.get_filename(), part.get_content()) for part in parse(composed).iter_attachments()] == [
        ("a.pdf", b"%PDF-"),
        ("copy.pdf", b"%PDF-"),
        ("b", b"a"),
    ]


def test_every_file_that_is_not_there_is_named(world: World) -> None:
    world.payloads.put("b", b"x")
    files = [{"filename": name, "blob": name} for name in ("a", "b", "c/d")]
    assert world.problems(attachments=files) == (
        "attachments[0].blob: there is no a in the container mail-payloads",
        "attachments[2].blob: there is no c/d in the container mail-payloads",
    )


def test_too_many_files_are_not_even_looked_for(world: World) -> None:
    files = [{"filename": "a", "blob": f"{number}"} for number in range(251)]
    assert world.problems(attachments=files) == (
        "attachments: 251 of them, and Exchange Online takes 250; no setting helps",
    )
    assert world.payloads.asked == []


def test_a_file_that_is_not_as_it_was_ends_the_message_and_not_the_app(world: World) -> None:
    @dataclass
    class Liar:
        size: int = 10

        def chunks(self) -> Iterator[bytes]:
            yield b"x"

    class Liars(MemoryPayloads):
        def find(self, path: str) -> Any:
            del path
            return Liar()

    world.payloads = Liars()
    composed = world.compose(attachments=[{"filename": "a", "blob": "a"}])
    with pytest.raises(PayloadError):
        composed.mime.to_bytes()


# Templates.

ORDER = Template("order", "default", "Order {{ id }}", "<p>Hi {{ name }}</p>", "Hi {{ name }}")
DATA = {"name": "Ada <b>", "id": 4711}


def test_a_template_is_filled_and_its_html_escaped(world: World) -> None:
    world.templates = [ORDER, replace(ORDER, language="de", subject="Bestellung {{ id }}")]
    composed = world.compose(template="order", data=DATA)
    assert parse(composed)["Subject"] == "Order 4711"
    assert (body(composed, "plain"), body(composed, "html")) == ("Hi Ada <b>", "<p>Hi Ada &lt;b&gt;</p>")
    assert parse(world.compose(template="order", data=DATA, language="de"))["Subject"] == "Bestellung 4711"


def test_a_subject_that_the_message_brings_stands_before_the_templates(world: World) -> None:
    world.templates = [ORDER]
    assert parse(world.compose(template="order", data=DATA, subject="own"))["Subject"] == "own"
    assert parse(world.compose(template="order", data=DATA, subject=""))["Subject"] == ""


def test_a_template_of_html_alone_gets_a_text_part(world: World) -> None:
    world.templates = [replace(ORDER, text=None, subject=None)]
    composed = world.compose(template="order", data=DATA)
    assert body(composed, "plain") == "Hi Ada <b>\n"
    assert parse(composed)["Subject"] == ""


@pytest.mark.parametrize(
    ("language", "folders"), [({}, "default"), ({"language": "de-AT"}, "de-AT or default")]
)
def test_a_template_that_is_not_there_is_named_with_where_it_was_looked_for(
    world: World, language: dict[str, str], folders: str
) -> None:
    (said,) = world.problems(SENDER, template="order", **language)
    there = "upload order/default/body.html or body.txt"
    assert said == f"template: the container mail-templates has no order in {folders}; {there}"


def test_a_value_that_is_missing_is_named(world: World) -> None:
    world.templates = [ORDER]
    assert world.problems(template="order", data={"id": 1}) == (
        "template: order/default/body.html: 'name' is undefined; add it to data",
        "template: order/default/body.txt: 'name' is undefined; add it to data",
    )


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: eve@example.com", "a\nBcc: eve@example.com\n\nbody", "\r\n\r\n"]
)
def test_a_value_of_a_template_cannot_begin_a_header(world: World, value: str) -> None:
    world.templates = [Template("order", "default", "{{ name }}", None, "x")]
    composed = world.compose(template="order", data={"name": value})
    parsed = parse(composed)
    assert parsed["Bcc"] is None
    assert str(parsed["Subject"]) == " ".join(value.split())
    assert body(composed, "plain") == "x\n"


# Raw.

NOT_ALLOWED = (
    "from: eve@contoso.com is not an address of the sender noreply; allow it in also_from in mail.toml"
)


def raw(octets: bytes = RAW, **fields: Any) -> dict[str, Any]:
    return {"raw": base64.b64encode(octets).decode(), **fields}


def test_a_raw_message_goes_to_whom_its_header_names(world: World) -> None:
    composed = world.compose(**raw(to=None))
    assert composed.envelope == Envelope(
        "billing@contoso.com", ("ada@contoso.com", "bob@contoso.com", "eve@contoso.com")
    )
    assert composed.mime.to_bytes() == (
        b"Date: Tue, 24 Nov 2026 06:55:00 +0000\r\nMessage-ID: <m@contoso.com>\r\n"
        b"From: billing@contoso.com\r\nTo: ada@contoso.com\r\nCc: bob@contoso.com\r\n\r\nhello\r\n"
    )
    assert composed.mail_id == MAIL_ID


def test_the_envelope_that_is_given_stands_before_the_header(world: World) -> None:
    composed = world.compose(**raw(to="x@example.com", bcc="y@example.com"))
    assert composed.envelope.rcpt_to == ("x@example.com", "y@example.com")


def test_its_own_message_id_is_the_one_that_is_recorded(world: World) -> None:
    assert world.compose(**raw(b"Message-ID: <own@contoso.com>\n" + RAW)).mail_id == "<own@contoso.com>"


def test_an_address_outside_ascii_in_the_envelope_alone_needs_smtputf8(world: World) -> None:
    assert not world.compose(**raw(to="ada@contoso.com")).mime.smtputf8
    assert world.compose(**raw(to="jürgen@contoso.com")).mime.smtputf8
    assert world.compose(**raw(bcc="jürgen@contoso.com")).mime.smtputf8


def test_a_raw_message_may_lie_in_a_blob(world: World) -> None:
    world.payloads.put("2026/mail.eml", RAW)
    assert world.compose(raw_blob="2026/mail.eml").mime.to_bytes() == world.compose(**raw()).mime.to_bytes()


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (RAW.replace(b"billing", b"eve"), NOT_ALLOWED),
        (b"From: billing@contoso.com\n" + RAW, "raw: it has 2 From addresses; it must have one"),
        (b"hello", "raw: it does not begin with header fields, each a name, a colon and a value"),
        (b"", "raw: it does not begin with header fields, each a name, a colon and a value"),
        (RAW + b"\0", "raw: it contains a NUL character, which no mail server takes"),
        (RAW + b"x" * 999, "raw: it has a line of 999 octets; RFC 5322 allows 998"),
        (
            b"From: billing@contoso.com\n\nx",
            "raw: its header names no recipient; give to, cc or bcc beside it",
        ),
    ],
)
def test_a_raw_message_that_cannot_be_sent_is_refused(world: World, octets: bytes, said: str) -> None:
    assert world.problems(**raw(octets, to=None)) == (said,)
    world.payloads.put("a", octets)
    assert world.problems(raw_blob="a", to=None) == (said.replace("raw:", "raw_blob:"),)


def test_a_raw_blob_that_is_not_there_or_too_large_is_refused(world: World) -> None:
    assert world.problems(raw_blob="a/b.eml") == (
        "raw_blob: there is no a/b.eml in the container mail-payloads",
    )

    @dataclass
    class Enormous:
        size: int = 160_000_001

        def chunks(self) -> Iterator[bytes]:
            raise AssertionError("it is not read")

    class Large(MemoryPayloads):
        def find(self, path: str) -> Any:
            del path
            return Enormous()

    world.payloads = Large()
    assert world.problems(raw_blob="a") == ("raw_blob: it has 160000001 octets and 160000000 can be read",)


# Limits.

SMALL = replace(SENDER, limits=Limits(recipients_per_message=2, max_message_bytes=2000))


def test_a_finished_message_is_held_against_its_mailbox(world: World) -> None:
    world.payloads.put("a", b"x" * 2000)
    size = world.compose(
        to=["a@b.c", "d@e.f", "g@h.i"], attachments=[{"filename": "a", "blob": "a"}]
    ).mime.size
    where, of = "noreply takes {}; the limit is senders.noreply.limits", " in mail.toml, and"
    end = "of the mailbox"
    assert world.problems(
        SMALL, to=["a@b.c", "d@e.f", "g@h.i"], attachments=[{"filename": "a", "blob": "a"}]
    ) == (
        f"to: 3 recipients, and {where.format(2)}.recipients_per_message{of} RecipientLimits {end}",
        f"message: {size} octets of mail, and {where.format(2000)}.max_message_bytes{of} MaxSendSize {end}",
    )


def test_a_raw_message_is_held_against_its_mailbox_too(world: World) -> None:
    said = world.problems(SMALL, **raw(RAW + b"x" * 900 + b"\n" + b"y" * 990, to=["a@b.c", "d@e.f", "g@h.i"]))
    assert [problem.partition(":")[0] for problem in said] == ["to", "message"]


def test_a_header_may_not_be_larger_than_exchange_takes(world: World) -> None:
    headers = {f"X-{number}": "y" * 800 for number in range(330)}
    (said,) = world.problems(headers=headers)
    assert said.startswith("headers: ")
    assert said.endswith(" octets, and Exchange Online takes 262144; no setting helps")


def test_a_zip_of_attachments_above_the_limit_is_refused_without_a_look_inside(world: World) -> None:
    @dataclass
    class Unread:
        size: int = 40_000_000

        def chunks(self) -> Iterator[bytes]:
            raise AssertionError("it is not read")

    class Zips(MemoryPayloads):
        def find(self, path: str) -> Any:
            del path
            return Unread()

    world.payloads = Zips()
    (said,) = world.problems(attachments=[{"filename": "a.zip", "blob": "a.zip"}])
    assert said.startswith("attachments: 40000000 octets of files, and noreply takes 36700160; the limit is ")
    assert "senders.noreply.limits.max_message_bytes in mail.toml" in said


def test_files_that_are_too_large_together_are_not_all_looked_for(world: World) -> None:
    for name in "abcd":
        world.payloads.put(name, b"x" * 800)
    files = [{"filename": name, "blob": name} for name in "abacd"]
    (said,) = world.problems(SMALL, attachments=files)
    assert said.startswith("attachments: 2400 octets of files, and noreply takes 2000; ")
    assert world.payloads.asked == ["a", "b", "c"]
