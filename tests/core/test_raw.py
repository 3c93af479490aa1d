from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import formataddr, getaddresses
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.mailboxes import mailboxes
from shared.core.raw import Raw, take_apart
from shared.core.smtp import has_bare_line_end

if TYPE_CHECKING:
    from shared.core.address import Address

MAIL_ID = "<given@contoso.com>"
DATE = datetime(2026, 11, 24, 6, 55, tzinfo=UTC)
LEAST = b"From: noreply@contoso.com\r\nTo: ada@contoso.com\r\n\r\nhello\r\n"
WHOLE = (
    b"Received: from a by b;\r\n\tTue, 24 Nov 2026 06:00:00 +0000\r\n"
    b"From: Contoso <noreply@contoso.com>\r\n"
    b"TO: Ada <ada@contoso.com>,\r\n Bob <bob@contoso.com>\r\n"
    b"cc: ADA@contoso.com, carol@contoso.com\r\n"
    b"Subject:  two  spaces \r\n"
    b"Date: Mon, 23 Nov 2026 00:00:00 +0100\r\n"
    b"Message-ID: <own@contoso.com>\r\n"
    b"X-Odd :value\r\n"
    b"\r\n"
    b"Bcc: not a header\r\n\r\n.dot\r\n trailing \t\r\n"
)


def octets(taken: Raw) -> bytes:
    mime = taken.mime(mail_id=MAIL_ID, date=DATE)
    written = mime.to_bytes()
    assert mime.size == len(written)
    assert mime.header_size == written.index(b"\r\n\r\n") + 2
    return written


def problem(raw: bytes) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        take_apart(raw)
    return str(refused.value)


def specs(addresses: tuple[Address, ...]) -> list[str]:
    return [address.addr_spec for address in addresses]


def test_a_whole_message_is_sent_byte_for_byte() -> None:
    taken = take_apart(WHOLE)
    assert octets(taken) == WHOLE
    assert taken.mail_id == "<own@contoso.com>"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_ends_in_crlf_whatever_it_ended_in(end: bytes) -> None:
    assert octets(take_apart(WHOLE.replace(b"\r\n", end))) == WHOLE


def test_mixed_line_ends_stay_as_many_lines() -> None:
    written = octets(take_apart(b"From: a@b.c\nTo: d@e.f\r\n\r\nx\n\r\ny\r\rz"))
    assert written.endswith(b"\r\n\r\nx\r\n\r\ny\r\n\r\nz\r\n")
    assert not has_bare_line_end(written)


DATE_LINE = b"Date: Tue, 24 Nov 2026 06:55:00 +0000\r\n"
ID_LINE = b"Message-ID: <given@contoso.com>\r\n"


@pytest.mark.parametrize(
    ("own", "added"),
    [
        (b"", DATE_LINE + ID_LINE),
        (b"date: Mon, 23 Nov 2026 00:00:00 +0100\r\n", ID_LINE),
        (b"MESSAGE-id: <own@contoso.com>\r\n", DATE_LINE),
        (b"Message-ID:\r\n <own@contoso.com>\r\nDate: x\r\n", b""),
        (b"X-Date: x\r\nResent-Message-ID: <x@y.z>\r\n", DATE_LINE + ID_LINE),
    ],
)
def test_date_and_message_id_are_added_only_where_they_are_missing(own: bytes, added: bytes) -> None:
    assert octets(take_apart(own + LEAST)) == added + own + LEAST


@pytest.mark.parametrize(
    ("field", "mail_id"),
    [
        (b"Message-ID: <own@contoso.com>\r\n", "<own@contoso.com>"),
        (b"message-id:<own@contoso.com> \r\n", "<own@contoso.com>"),
        (b"Message-ID:\r\n\t<own@contoso.com>\r\n", "<own@contoso.com>"),
        (b"Message-ID: <own@contoso.com>\r\n (a\r\n comment)\r\n", "<own@contoso.com> (a comment)"),
        (b"Message-ID: \xff\r\n", "\ufffd"),
        (b"", ""),
    ],
)
def test_its_own_message_id_is_known_on_one_line(field: bytes, mail_id: str) -> None:
    assert take_apart(field + LEAST).mail_id == mail_id


def test_a_message_id_without_end_does_not_fill_a_table() -> None:
    field = b"Message-ID: " + b"".join(b"x" * 900 + b"\r\n " for _ in range(200)) + b"x\r\n"
    assert len(take_apart(field + LEAST).mail_id) <= 998


HIDDEN = [
    b"Bcc: eve@example.com\r\n",
    b"bcc: eve@example.com\r\n",
    b"BCC:eve@example.com\r\n",
    b"Bcc : eve@example.com\r\n",
    b"Bcc:\r\n eve@example.com,\r\n\t mallory@example.com\r\n",
    b"Resent-Bcc: eve@example.com\r\n",
    b"RESENT-BCC:\r\n eve@example.com\r\n",
    b"Bcc: eve@example.com\r\nX: y\r\nbcc: mallory@example.com\r\n",
]


@pytest.mark.parametrize("field", HIDDEN)
@pytest.mark.parametrize("first", [True, False])
def test_bcc_is_removed_however_it_is_written(field: bytes, *, first: bool) -> None:
    raw = field + LEAST if first else LEAST.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n", 1)
    written = octets(take_apart(raw))
    assert b"eve" not in written
    assert b"mallory" not in written
    assert b"bcc" not in written.lower()
    assert written.count(b"X: y\r\n") == field.count(b"X: y\r\n")


def test_a_field_that_only_begins_like_bcc_stays() -> None:
    assert b"Bcc-Policy: x\r\n" in octets(take_apart(b"Bcc-Policy: x\r\n" + LEAST))


def test_the_envelope_is_what_the_header_says_each_mailbox_once() -> None:
    taken = take_apart(WHOLE.replace(b"\r\n\r\n", b"\r\nBcc: dave@contoso.com\r\n\r\n", 1))
    assert specs(taken.from_addresses) == ["noreply@contoso.com"]
    assert specs(taken.recipients) == [
        "ada@contoso.com",
        "bob@contoso.com",
        "carol@contoso.com",
        "dave@contoso.com",
    ]


def test_a_header_may_name_nobody() -> None:
    taken = take_apart(b"From: a@b.c\r\nTo: undisclosed-recipients:;\r\nCc:\r\n\r\nx")
    assert taken.recipients == ()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "does not begin with header fields, each a name, a colon and a value"),
        (b"hello", "does not begin with header fields, each a name, a colon and a value"),
        (b"\r\n\r\nbody", "does not begin with header fields, each a name, a colon and a value"),
        (b"hello\r\n\r\nbody", "does not begin with header fields, each a name, a colon and a value"),
        (
            b"From a@b.c Mon Nov 23\r\n" + LEAST,
            "does not begin with header fields, each a name, a colon and a value",
        ),
        (b" " + LEAST, "does not begin with header fields, each a name, a colon and a value"),
        (b"From: a@b.c\r\nx\r\n\r\n", "does not begin with header fields, each a name, a colon and a value"),
        (b"{}", "does not begin with header fields, each a name, a colon and a value"),
        (b"Subject: x\r\n\r\nx", "has 0 From addresses; it must have one"),
        (b"From:\r\n\r\nx", "has 0 From addresses; it must have one"),
        (b"From: a@b.c\r\nFrom: a@b.c\r\n\r\nx", "has 2 From addresses; it must have one"),
        (b"From: a@b.c, d@e.f\r\n\r\nx", "has 2 From addresses; it must have one"),
        (b"From: a\r\n\r\nx", "has an address in its header that is not an address: there is no @ in it"),
        (b"From: a@b.c\r\nTo: <a\r\n\r\n", "has an address in its header that is not an address"),
        (
            b"From: a@b.c\r\nTo: \xff@b.c\r\n\r\n",
            "has an address in its header that contains a line break or another control character",
        ),
        (LEAST + b"\0", "contains a NUL character, which no mail server takes"),
        (LEAST.replace(b"To", b"T\0o"), "contains a NUL character, which no mail server takes"),
        (LEAST + b"x" * 999, "has a line of 999 octets; RFC 5322 allows 998"),
        (b"X: " + b"y" * 996 + b"\r\n" + LEAST, "has a line of 999 octets; RFC 5322 allows 998"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(raw: bytes, said: str) -> None:
    assert problem(raw) == said


def test_a_line_may_have_998_octets() -> None:
    raw = b"X: " + b"y" * 995 + b"\r\n" + LEAST + b"x" * 998 + b"\r\n"
    assert octets(take_apart(raw)).endswith(raw)


def test_a_header_alone_is_a_message() -> None:
    assert octets(take_apart(b"From: a@b.c\r\nTo: d@e.f")).endswith(b"From: a@b.c\r\nTo: d@e.f\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "smtputf8", "eight_bit"),
    [
        (LEAST, False, False),
        (LEAST + "Grüße\r\n".encode(), False, True),
        ("Subject: Grüße\r\n".encode() + LEAST, True, True),
        ("From: jürgen@contoso.com\r\nTo: a@b.c\r\n\r\nx".encode(), True, True),
    ],
)
def test_what_it_asks_of_a_server_is_seen_in_its_octets(
    raw: bytes, *, smtputf8: bool, eight_bit: bool
) -> None:
    mime = take_apart(raw).mime(mail_id=MAIL_ID, date=DATE)
    assert (mime.smtputf8, mime.eight_bit) == (smtputf8, eight_bit)


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda end: LEAST + end))
def test_any_bytes_are_a_message_or_a_sentence(raw: bytes) -> None:
    try:
        taken = take_apart(raw)
    except ValueError:
        return
    written = octets(taken)
    assert not has_bare_line_end(written)
    assert max(map(len, written.split(b"\r\n"))) <= 998
    assert message_from_bytes(written)["Bcc"] is None


# Lists of addresses.

LISTS = [
    ("", []),
    (" , ,", []),
    ("ada@contoso.com", ["ada@contoso.com"]),
    ("Ada <ada@contoso.com>, bob@contoso.com", ["ada@contoso.com", "bob@contoso.com"]),
    ('"L, Ada" <ada@contoso.com>', ["ada@contoso.com"]),
    ('"a \\" <x@y.z>, " <ada@contoso.com>', ["ada@contoso.com"]),
    ("ada@contoso.com (Ada, (the) first)", ["ada@contoso.com"]),
    ('(a ") b@c.d (\\)) ', ["b@c.d"]),
    (
        "team: ada@contoso.com, Bob <bob@contoso.com>; eve@contoso.com",
        ["ada@contoso.com", "bob@contoso.com", "eve@contoso.com"],
    ),
    ("undisclosed-recipients:;", []),
    ("=?utf-8?q?a=2C_b?= <ada@contoso.com>", ["ada@contoso.com"]),
    ('"a,b"@contoso.com', ['"a,b"@contoso.com']),
    ('<"a>b"@contoso.com>', ['"a>b"@contoso.com']),
    ("< ada@contoso.com >", ["ada@contoso.com"]),
    ("<>", [""]),
    ("Ada", ["Ada"]),
]


@pytest.mark.parametrize(("text", "found"), LISTS)
def test_the_mailboxes_of_a_list_are_found(text: str, found: list[str]) -> None:
    assert mailboxes(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "<ada@contoso.com", "ada@contoso.com>", "<<ada@contoso.com>>", "<a@b.c> <d@e.f>", "<a@b.c> x", '"a',
        "(a", "a)", "<a@b.c, d@e.f>", "<@a:b@c.d>", '"a\\"', "((a)", "<a@b.c>: d@e.f;",
    ],
)  # fmt: skip
def test_a_list_that_does_not_close_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address|has a comment without an end"):
        mailboxes(text)


NAME = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
SPEC = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,4})?@[a-z]{1,8}\.example", fullmatch=True)


@given(st.lists(st.tuples(NAME, SPEC), max_size=6))
def test_what_the_standard_library_writes_and_reads_is_read_alike(several: list[tuple[str, str]]) -> None:
    text = ", ".join(formataddr(pair) for pair in several)
    assert mailboxes(text) == [spec for _, spec in getaddresses([text]) if spec]


@pytest.mark.parametrize("piece", ['"', "\\", "(", "<", "a@b.c,", '\\"', "(\\", ":", ";", "a ", '""'])
def test_a_long_list_takes_time_as_its_length(piece: str) -> None:
    # Steps of the reader, not seconds: it looks at each character a bounded number of times.
    text = piece * (60_000 // len(piece))
    try:
        found = mailboxes(text)
    except ValueError:
        return
    assert len(found) <= len(re.findall(",", text)) + 1
