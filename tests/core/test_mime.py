from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import Address
from shared.core.intake import read
from shared.core.message import Message
from shared.core.mime import Body, InMemory, Mime, Source, build, needs_smtputf8
from shared.core.smtp import has_bare_line_end
from shared.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.headerregistry import AddressHeader
    from email.message import EmailMessage

NOREPLY = Address("noreply", "contoso.com", "Contoso")
MAIL_ID = "<0123456789abcdef0123456789abcdef@contoso.com>"
DATE = datetime(2026, 11, 24, 6, 55, tzinfo=UTC)
LONGEST_LINE = 998

PDF = {"filename": "invoice.pdf", "content_type": "application/pdf", "content": "JVBERi0="}
CSV = {"filename": "Größe.csv", "content_type": "text/csv", "content": "YTtiCg=="}
GIF = {"filename": "dot.gif", "content_type": "image/gif", "content": "R0lG", "content_id": "dot"}
LOGO = {"filename": "logo.png", "content_type": "image/png", "content": "iVBORw==", "content_id": "logo"}


def message(**fields: Any) -> Message:
    found = read(json.dumps({"to": "ada@contoso.com", **fields}).encode(), fallback_id="queue-id")
    assert isinstance(found, Message)
    return found


def composed(
    asked: Message,
    *,
    from_address: Address = NOREPLY,
    mail_id: str = MAIL_ID,
    files: Mapping[str, Source] | None = None,
) -> Mime:
    """The message as it stands: no template, and no text part made from the HTML."""
    fields = asked.fields
    body = Body(fields.subject or "", fields.text, fields.html)
    return build(asked, body, from_address=from_address, mail_id=mail_id, date=DATE, files=files or {})


def built(**fields: Any) -> bytes:
    mime = composed(message(**fields))
    octets = mime.to_bytes()
    assert mime.size == len(octets)
    assert mime.header_size == octets.index(b"\r\n\r\n") + 2
    return octets


def parse(octets: bytes) -> EmailMessage:
    return message_from_bytes(octets, policy=policy.default)


def shape(part: EmailMessage) -> object:
    """The tree of content types: a name, or a name with what it holds."""
    if part.is_multipart():
        return part.get_content_subtype(), [shape(cast("EmailMessage", inner)) for inner in part.iter_parts()]
    return part.get_content_type()


def leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    for inner in part.walk():
        if not inner.is_multipart():
            yield inner


def content(part: EmailMessage) -> bytes:
    return cast("bytes", part.get_payload(decode=True))


def text_of(part: EmailMessage) -> str:
    return content(part).decode(part.get_content_charset("")).replace("\r\n", "\n")


def normal(text: str) -> str:
    return re.sub(r"\r\n|\r", "\n", text)


def test_a_plain_message_is_written_like_this() -> None:
    assert built(subject="Hello", text="Hi Ada,\n\nbye") == (
        b"From: Contoso <noreply@contoso.com>\r\n"
        b"To: ada@contoso.com\r\n"
        b"Subject: Hello\r\n"
        b"Date: Tue, 24 Nov 2026 06:55:00 +0000\r\n"
        b"Message-ID: <0123456789abcdef0123456789abcdef@contoso.com>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hi Ada,\r\n"
        b"\r\n"
        b"bye\r\n"
    )


TEXTS = ("alternative", ["text/plain", "text/html"])
SHAPES = [
    ({}, "text/plain"),
    ({"text": "a"}, "text/plain"),
    ({"html": "a"}, "text/html"),
    ({"text": "a", "html": "b"}, TEXTS),
    ({"text": "", "html": ""}, TEXTS),
    ({"attachments": [PDF]}, ("mixed", ["text/plain", "application/pdf"])),
    ({"text": "a", "attachments": [PDF, CSV]}, ("mixed", ["text/plain", "application/pdf", "text/csv"])),
    ({"html": "a", "attachments": [LOGO]}, ("related", ["text/html", "image/png"])),
    ({"text": "a", "html": "b", "attachments": [LOGO]}, ("related", [TEXTS, "image/png"])),
    ({"text": "a", "html": "b", "attachments": [PDF]}, ("mixed", [TEXTS, "application/pdf"])),
    (
        {"html": "b", "attachments": [PDF, LOGO]},
        ("mixed", [("related", ["text/html", "image/png"]), "application/pdf"]),
    ),
    (
        {"text": "a", "html": "b", "attachments": [LOGO, PDF, GIF, CSV]},
        ("mixed", [("related", [TEXTS, "image/png", "image/gif"]), "application/pdf", "text/csv"]),
    ),
]


@pytest.mark.parametrize(("fields", "expected"), SHAPES)
def test_parts_are_nested_only_where_that_is_needed(fields: dict[str, Any], expected: object) -> None:
    assert shape(parse(built(**fields))) == expected


def test_an_attachment_has_its_name_type_and_content() -> None:
    _, pdf, csv = leaves(parse(built(text="a", attachments=[PDF, CSV])))
    assert (pdf.get_content_type(), pdf.get_filename(), content(pdf)) == (
        "application/pdf",
        "invoice.pdf",
        b"%PDF-",
    )
    assert (csv.get_filename(), csv.get_param("name"), content(csv)) == (
        "Größe.csv",
        "Größe.csv",
        b"a;b\n",
    )
    assert [part.get_content_disposition() for part in (pdf, csv)] == ["attachment", "attachment"]
    assert pdf["Content-ID"] is None


def test_an_inline_image_has_its_content_id() -> None:
    html, logo = leaves(parse(built(html='<img src="cid:logo">', attachments=[LOGO])))
    assert html.get_content_disposition() is None
    assert (logo.get_content_disposition(), logo["Content-ID"]) == ("inline", "<logo>")


def test_the_address_fields_are_written_and_bcc_never_is() -> None:
    octets = built(
        to=["Ada <ada@contoso.com>", "Größe <bob@bücher.example>"],
        cc="cc@contoso.com",
        bcc=["Eve <eve@example.com>"],
        reply_to="help@contoso.com",
    )
    parsed = parse(octets)
    assert [parsed[name] for name in ("From", "To", "Cc", "Reply-To")] == [
        "Contoso <noreply@contoso.com>",
        "Ada <ada@contoso.com>, Größe <bob@xn--bcher-kva.example>",
        "cc@contoso.com",
        "help@contoso.com",
    ]
    assert b"bcc" not in octets.lower()
    assert b"eve" not in octets.lower()


def test_a_message_to_hidden_recipients_says_so() -> None:
    octets = built(to=[], bcc="eve@example.com")
    assert b"To: undisclosed-recipients:;\r\n" in octets
    assert b"eve" not in octets
    assert "To" not in parse(built(to=[], cc="cc@contoso.com"))


def test_the_same_message_gives_the_same_bytes_and_another_id_other_boundaries() -> None:
    fields: dict[str, Any] = {"text": "ä", "html": "ü", "attachments": [LOGO, PDF]}
    assert built(**fields) == built(**fields)
    other = composed(message(**fields), mail_id="<other@contoso.com>").to_bytes()
    boundaries = [re.findall(rb'boundary="([^"]+)"', octets) for octets in (built(**fields), other)]
    assert len(set(boundaries[0] + boundaries[1])) == 6


LONG = "x" * (LONGEST_LINE + 1)
ENCODINGS = [
    ("", "7bit", "us-ascii"),
    ("plain", "7bit", "us-ascii"),
    ("x" * LONGEST_LINE, "7bit", "us-ascii"),
    (f"short\n{'x' * LONGEST_LINE}\nshort", "7bit", "us-ascii"),
    ("trailing space \nand tab\t", "7bit", "us-ascii"),
    (".\n..\n.leading", "7bit", "us-ascii"),
    ("From here\n>From there", "7bit", "us-ascii"),
    (LONG, "quoted-printable", "us-ascii"),
    (f"{LONG} \n.\n", "quoted-printable", "us-ascii"),
    (f"{LONG}\n--=_x", "quoted-printable", "us-ascii"),
    ("Viele Grüße aus der schönen Stadt am Rhein", "quoted-printable", "utf-8"),
    ("Mit vielen Grüßen \n trailing\t\n.\n..and dots \r\n", "quoted-printable", "utf-8"),
    (f"ü{LONG}", "quoted-printable", "utf-8"),
    ("日本語のテキスト\n二行目", "base64", "utf-8"),
    ("🦆" * 1000, "base64", "utf-8"),
    ("a\rb\nc\r\nd\n\re", "7bit", "us-ascii"),
    ("ä\x0b\x0c\x1c\x85\u2028", "base64", "utf-8"),
]


@pytest.mark.parametrize("name", ["text", "html"])
@pytest.mark.parametrize(("text", "encoding", "charset"), ENCODINGS)
def test_text_is_encoded_in_the_shortest_safe_way(name: str, text: str, encoding: str, charset: str) -> None:
    # Beside a file, so that nothing is added at its end.
    octets = built(**{name: text}, attachments=[PDF])
    part = next(leaves(parse(octets)))
    assert part["Content-Transfer-Encoding"] == encoding
    assert part.get_content_charset() == charset
    assert text_of(part) == normal(text)
    check_lines(octets)


def check_lines(octets: bytes) -> None:
    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert not has_bare_line_end(octets)
    assert max(map(len, octets.split(b"\r\n"))) <= LONGEST_LINE


def test_encoded_lines_keep_to_76_octets_and_no_space_ends_one() -> None:
    for text in ("ü word " * 200, "日本語" * 200, f"{LONG} \n\t\n" * 3):
        body = built(text=text).partition(b"\r\n\r\n")[2]
        assert all(len(line) <= 76 and line == line.rstrip() for line in body.split(b"\r\n"))


def test_a_single_part_ends_with_a_line_end_and_gains_no_second_one() -> None:
    assert built(text="a").endswith(b"\r\n\r\na\r\n")
    assert built(text="a\n").endswith(b"\r\n\r\na\r\n")
    assert built(text="a\n\n").endswith(b"\r\n\r\na\r\n\r\n")


def test_no_content_can_end_its_part_whoever_knows_the_message_id() -> None:
    boundaries = re.findall(
        r'boundary="([^"]+)"', built(text="a", html="b", attachments=[LOGO, PDF]).decode()
    )
    assert len(boundaries) == 3
    attack = "\n".join(f"--{boundary}\n\nforged\n--{boundary}--" for boundary in boundaries)
    octets = built(
        subject="a",
        text=attack,
        html=attack,
        attachments=[
            LOGO,
            {**PDF, "content": base64.b64encode(attack.encode()).decode(), "filename": f"--{boundaries[0]}"},
        ],
    )
    parsed = parse(octets)
    assert shape(parsed) == ("mixed", [("related", [TEXTS, "image/png"]), "application/pdf"])
    text, html, _, pdf = leaves(parsed)
    assert [text_of(text), text_of(html), content(pdf).decode()] == [attack] * 3
    for boundary in boundaries:
        opening = [line for line in octets.split(b"\r\n") if line == f"--{boundary}".encode()]
        assert len(opening) == 2  # each of these three has two parts


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, False),
        ({"subject": "Grüße", "to": "Größe <ada@bücher.example>"}, False),
        ({"to": "jürgen@contoso.com"}, True),
        ({"cc": "jürgen@contoso.com"}, True),
        ({"bcc": "jürgen@contoso.com"}, True),
        ({"reply_to": "jürgen@contoso.com"}, True),
    ],
)
def test_smtputf8_is_needed_only_for_an_address_outside_ascii(
    fields: dict[str, Any], *, needed: bool
) -> None:
    assert needs_smtputf8(message(**fields), NOREPLY) is needed
    assert built(**fields).isascii() is (not needed or "bcc" in fields)
    mime = composed(message(**fields))
    assert (mime.smtputf8, mime.eight_bit) == (needed, needed)


def test_smtputf8_is_needed_for_a_sender_outside_ascii() -> None:
    sender = Address("büro", "contoso.com", "Büro")
    assert needs_smtputf8(message(), sender)
    mime = composed(message(subject="Grüße", text="a"), from_address=sender)
    assert (mime.smtputf8, mime.eight_bit) == (True, True)
    octets = mime.to_bytes()
    assert octets.startswith('From: "Büro" <büro@contoso.com>\r\n'.encode())
    assert b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n" in octets


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)
MAILBOX = st.sampled_from(
    [
        "ada@contoso.com",
        "Größe <bob@bücher.example>",
        '"L, \\"A\\"" <c@d.e>',
        "日本 <x@xn--r8jz45g.xn--zckzah>",
    ]
)
FILES = st.lists(
    st.builds(
        lambda name, octets, content_id: {
            "filename": f"f{name}",
            "content": base64.b64encode(octets).decode(),
            "content_id": content_id,
        },
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), max_size=60),
        st.binary(max_size=200),
        st.none() | st.sampled_from(["cid@contoso.com", "logo", "1"]),
    ),
    max_size=3,
    unique_by=lambda file: file["content_id"] or object(),
)


@given(
    subject=LINE,
    text=st.none() | TEXT,
    html=st.none() | TEXT,
    to=st.lists(MAILBOX, min_size=1, max_size=5),
    files=FILES,
)
def test_any_message_is_read_back_as_it_was(
    subject: str, text: str | None, html: str | None, to: list[str], files: list[dict[str, Any]]
) -> None:
    asked = message(subject=subject, text=text, html=html, to=to, attachments=files)
    mime = composed(asked)
    octets = mime.to_bytes()
    assert (mime.size, mime.to_bytes()) == (len(octets), octets)
    check_lines(octets)
    parsed = parse(octets)
    assert not parsed.defects
    assert parsed["Subject"] == subject
    assert [found.addr_spec for found in cast("AddressHeader", parsed["To"]).addresses] == [
        address.addr_spec for address in asked.fields.to
    ]
    assert parsed["Message-ID"] == MAIL_ID
    assert parsed["Date"].datetime == DATE
    every = list(leaves(parsed))
    texts = [normal(given) for given in (text, html) if given is not None] or [""]
    read_texts = [text_of(part) for part in every[: len(texts)]]
    if len(every) == 1:  # a message that is one part ends with a line end
        texts = [texts[0] if texts[0].endswith("\n") else f"{texts[0]}\n"]
        read_texts = [read_texts[0] if read_texts[0].endswith("\n") else f"{read_texts[0]}\n"]
    assert read_texts == texts
    inline_first = sorted(asked.fields.attachments, key=lambda file: not file.content_id)
    assert [(part.get_filename(), content(part)) for part in every[len(texts) :]] == [
        (file.filename, file.content) for file in inline_first
    ]


# Fields beyond the parts.


def test_a_thread_is_kept_by_its_message_ids() -> None:
    ids = [f"<{number}.{'x' * 40}@contoso.com>" for number in range(30)]
    octets = built(in_reply_to=ids[-1], references=ids)
    header = octets.partition(b"\r\n\r\n")[0]
    assert max(map(len, header.split(b"\r\n"))) <= 78
    parsed = parse(octets)
    assert (parsed["In-Reply-To"], str(parsed["References"]).split()) == (ids[-1], ids)
    assert "In-Reply-To" not in parse(built())
    assert "References" not in parse(built())


def test_further_headers_are_written_in_their_order_each_value_once() -> None:
    octets = built(headers={"X-Order": ["4711", "Grüße"], "Importance": "high", "X-Empty": ""})
    start = octets.index(b"X-Order")
    assert octets[start : octets.index(b"MIME-Version")] == (
        b"X-Order: 4711\r\nX-Order: =?utf-8?b?R3LDvMOfZQ==?=\r\nImportance: high\r\nX-Empty: \r\n"
    )


TWIN = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


@pytest.mark.parametrize(
    ("headers", "twin"),
    [
        ({"List-Unsubscribe": "<https://contoso.com/u?id=1>"}, True),
        ({"list-unsubscribe": "<mailto:u@contoso.com>, <https://contoso.com/u>"}, True),
        ({"LIST-UNSUBSCRIBE": ["<mailto:u@contoso.com>", "<https://contoso.com/u>"]}, True),
        ({"List-Unsubscribe": "<mailto:u@contoso.com>"}, False),
        ({"List-Unsubscribe": "<http://contoso.com/u>"}, False),
        ({"X-List-Unsubscribe": "<https://contoso.com/u>"}, False),
        ({}, False),
    ],
)
def test_list_unsubscribe_has_its_one_click_twin_where_there_is_a_link_to_click(
    headers: dict[str, Any], *, twin: bool
) -> None:
    assert built(headers=headers).count(TWIN) == twin


def test_a_twin_that_the_app_wrote_is_left_alone() -> None:
    octets = built(headers={"List-Unsubscribe": "<https://contoso.com/u>", "List-Unsubscribe-POST": "own=1"})
    assert octets.lower().count(b"list-unsubscribe-post:") == 1
    assert b"List-Unsubscribe-POST: own=1\r\n" in octets


def test_a_media_type_keeps_its_charset() -> None:
    file = {**CSV, "content_type": "text/csv; charset=windows-1252"}
    _, csv = leaves(parse(built(text="a", attachments=[file])))
    assert (csv.get_content_type(), csv.get_content_charset()) == ("text/csv", "windows-1252")


# Files from elsewhere, in pieces.


class Pieces:
    """A file that comes in pieces of one size, and says how large it is."""

    def __init__(self, content: bytes, piece: int, *, size: int | None = None) -> None:
        self.size = len(content) if size is None else size
        self._content = content
        self._piece = piece
        self.begun = 0

    def chunks(self) -> Iterator[bytes]:
        self.begun += 1
        for start in range(0, len(self._content), self._piece):
            yield self._content[start : start + self._piece]


BLOB = {"filename": "a.bin", "blob": "a"}
SIZES = [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 57 * 1024 - 1, 57 * 1024, 57 * 1024 + 1, 57 * 2048, 200_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1, 2, 56, 57, 58, 4096, 57 * 1024, 57 * 1024 + 1, 1_000_000])
def test_a_file_in_pieces_is_written_like_one_that_is_whole(size: int, piece: int) -> None:
    content = bytes(number * 7 % 256 for number in range(size))
    inline = {"filename": "a.bin", "content": base64.b64encode(content).decode()}
    expected = composed(message(text="a", attachments=[inline])).to_bytes()
    mime = composed(message(text="a", attachments=[BLOB]), files={"a": Pieces(content, piece)})
    assert mime.to_bytes() == expected
    assert mime.size == len(expected)
    check_lines(expected)
    *_, part = leaves(parse(expected))
    assert (part.get_filename(), part.get_content_type()) == ("a.bin", "application/octet-stream")
    assert (part.get_payload(decode=True) or b"") == content


@given(st.binary(max_size=400), st.lists(st.integers(0, 130), max_size=8))
def test_any_cut_of_a_file_gives_the_same_lines(content: bytes, cuts: list[int]) -> None:
    class Cut:
        size = len(content)

        def chunks(self) -> Iterator[bytes]:
            rest = content
            for cut in cuts:  # some of them are empty
                yield rest[:cut]
                rest = rest[cut:]
            yield rest

    whole = composed(message(attachments=[BLOB]), files={"a": InMemory(content)})
    cut = composed(message(attachments=[BLOB]), files={"a": Cut()})
    assert cut.to_bytes() == whole.to_bytes()
    assert cut.size == whole.size == len(whole.to_bytes())


def test_a_file_is_read_once_each_time_the_message_is_and_not_before() -> None:
    source = Pieces(b"x" * 1000, 100)
    mime = composed(message(attachments=[BLOB, {**BLOB, "filename": "b.bin"}]), files={"a": source})
    assert source.begun == 0
    assert mime.to_bytes() == mime.to_bytes()
    assert source.begun == 4


@pytest.mark.parametrize("said", [0, 1, 99, 101, 10_000])
def test_a_file_of_another_length_than_it_said_ends_the_message(said: int) -> None:
    mime = composed(message(text="a", attachments=[BLOB]), files={"a": Pieces(b"x" * 100, 7, size=said)})
    chunks = mime.chunks()
    with pytest.raises(PayloadError, match="changed while it was being sent"):
        list(chunks)


def test_no_more_than_a_piece_of_a_file_is_held() -> None:
    class Endless:
        """Gives a thousand pieces and counts how many wait to be used."""

        size = 1000 * 57 * 1024
        given = 0

        def chunks(self) -> Iterator[bytes]:
            for _ in range(1000):
                self.given += 1
                yield b"x" * (57 * 1024)

    source = Endless()
    mime = composed(message(text="a", attachments=[BLOB]), files={"a": source})
    written = 0
    longest = 0
    for chunk in mime.chunks():
        written += len(chunk)
        longest = max(longest, len(chunk))
        assert source.given * 57 * 1024 * 4 / 3 <= written + 200_000
    assert written == mime.size
    assert longest < 100_000


def test_a_source_says_nothing_of_its_content_when_printed() -> None:
    assert "secret" not in repr(InMemory(b"secret"))
