from __future__ import annotations

import binascii
import quopri
import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import Address, parse_address
from shared.core.headers import LINE, addresses, encoded_words, structured, unstructured

if TYPE_CHECKING:
    from email.headerregistry import AddressHeader, ContentDispositionHeader

LONGEST_LINE = 998
LONGEST_ENCODED_WORD = 75
ENCODED_WORD = re.compile(r"=\?utf-8\?([bq])\?([^? ]*)\?=")

SUBJECTS = [
    ("", b"Subject: \r\n"),
    ("Hello", b"Subject: Hello\r\n"),
    ("Two  spaces", b"Subject: Two  spaces\r\n"),
    ("Trailing ", b"Subject: =?utf-8?q?Trailing_?=\r\n"),
    (" Leading", b"Subject: =?utf-8?q?_Leading?=\r\n"),
    ("=?utf-8?q?fake?=", b"Subject: =?utf-8?b?PT91dGYtOD9xP2Zha2U/PQ==?=\r\n"),
    ("Grüße", b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"),
    ("Müller", b"Subject: =?utf-8?q?M=C3=BCller?=\r\n"),
    ("日本語", b"Subject: =?utf-8?b?5pel5pys6Kqe?=\r\n"),
    ("a_b?c ü", b"Subject: =?utf-8?b?YV9iP2Mgw7w=?=\r\n"),
    ("Prof. Müller", b"Subject: =?utf-8?q?Prof=2E_M=C3=BCller?=\r\n"),
    (
        "Your invoice of November 2026 for the quarterly maintenance is here, and thanks",
        b"Subject: Your invoice of November 2026 for the quarterly maintenance is\r\n here, and thanks\r\n",
    ),
]


def lines(field: bytes) -> list[bytes]:
    assert field.endswith(b"\r\n")
    assert field.count(b"\r") == field.count(b"\n") == field.count(b"\r\n")
    return field[:-2].split(b"\r\n")


def decode(word: str) -> str:
    """One encoded word, decoded alone (RFC 2047 §5 (3)) and without the standard library's header parser."""
    found = ENCODED_WORD.fullmatch(word)
    assert found, word
    if found[1] == "b":
        return binascii.a2b_base64(found[2], strict_mode=True).decode()
    return quopri.decodestring(found[2].encode(), header=True).decode()


def parse(field: bytes) -> str:
    name = field.partition(b":")[0].decode()
    return str(message_from_bytes(field + b"\r\n", policy=policy.default)[name])


@pytest.mark.parametrize(("subject", "field"), SUBJECTS)
def test_free_text_is_ascii_and_folded(subject: str, field: bytes) -> None:
    assert unstructured("Subject", subject) == field


def test_a_word_that_no_line_can_hold_is_encoded() -> None:
    field = unstructured("Subject", "x" * 998)
    assert all(len(line) <= LINE for line in lines(field))
    assert parse(field) == "x" * 998


@pytest.mark.parametrize("character", ["x", "ü", "あ", "🦆"])
@pytest.mark.parametrize("length", [1, 2, 3, 40, 44, 45, 46, 47, 48, 60, 63, 64, 70, 100, 300])
def test_encoded_words_are_short_and_whole(character: str, length: int) -> None:
    words = encoded_words(f"ä{character * length}")
    assert max(map(len, words)) <= LONGEST_ENCODED_WORD
    assert "".join(map(decode, words)) == f"ä{character * length}"


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)
WORDS = st.lists(st.sampled_from(["", "a", "b_c", "=?", "ü", "x" * 80, "日本", "?="]), max_size=30).map(
    " ".join
)


@given(st.one_of(TEXT, WORDS))
def test_free_text_is_read_back_as_it_was(subject: str) -> None:
    field = unstructured("Subject", subject)
    assert field.isascii()
    assert parse(field) == subject
    for line in lines(field):
        assert len(line) <= LONGEST_LINE
        if b"=?utf-8?" in line:
            assert len(line) <= LINE  # RFC 2047 §2: 76 where an encoded word stands
    words = ENCODED_WORD.finditer(field.decode())
    assert all(len(word[0]) <= LONGEST_ENCODED_WORD and decode(word[0]) for word in words)


def test_nothing_is_one_empty_word() -> None:
    assert encoded_words("") == ["=?utf-8?b??="]


@given(TEXT)
def test_every_encoded_word_can_be_decoded_alone(text: str) -> None:
    words = encoded_words(text)
    assert "".join(map(decode, words)) == text
    assert all(word.isascii() and len(word) <= LONGEST_ENCODED_WORD for word in words)


MAILBOXES = [
    (Address("ada", "contoso.com"), b"To: ada@contoso.com\r\n"),
    (Address("ada", "contoso.com", "Ada"), b"To: Ada <ada@contoso.com>\r\n"),
    (Address("ada", "contoso.com", "Ada Lovelace"), b"To: Ada Lovelace <ada@contoso.com>\r\n"),
    (Address("ada", "contoso.com", "Ada  L"), b'To: "Ada  L" <ada@contoso.com>\r\n'),
    (Address("ada", "contoso.com", "Ada L."), b'To: "Ada L." <ada@contoso.com>\r\n'),
    (Address("ada", "contoso.com", 'L, "A" \\'), b'To: "L, \\"A\\" \\\\" <ada@contoso.com>\r\n'),
    (Address("ada", "contoso.com", "=?x?="), b"To: =?utf-8?b?PT94Pz0=?= <ada@contoso.com>\r\n"),
    (Address("ada", "contoso.com", "Müller"), b"To: =?utf-8?q?M=C3=BCller?= <ada@contoso.com>\r\n"),
    (Address("ada", "contoso.com", "日本"), b"To: =?utf-8?b?5pel5pys?= <ada@contoso.com>\r\n"),
    (Address('"a b"', "contoso.com", "A"), b'To: A <"a b"@contoso.com>\r\n'),
]


@pytest.mark.parametrize(("address", "field"), MAILBOXES)
def test_a_mailbox_is_written_in_ascii(address: Address, field: bytes) -> None:
    assert addresses("To", [address]) == field


def test_with_smtputf8_letters_stand_as_they_are() -> None:
    address = Address("jürgen", "contoso.com", "Jürgen Größe")
    assert addresses("To", [address], utf8=True) == 'To: "Jürgen Größe" <jürgen@contoso.com>\r\n'.encode()


def test_with_smtputf8_a_name_that_fills_a_line_is_encoded_all_the_same() -> None:
    field = addresses("To", [Address("jürgen", "contoso.com", "🦆" * 320)], utf8=True)
    assert max(map(len, lines(field))) <= LINE
    assert field.count(b"=?utf-8?b?") > 1


def test_a_long_list_is_folded_after_its_commas() -> None:
    several = [Address(f"recipient.{number}", "contoso.com", f"Nümber {number}") for number in range(500)]
    field = addresses("To", several)
    assert max(map(len, lines(field))) <= LINE
    header = cast("AddressHeader", message_from_bytes(field + b"\r\n", policy=policy.default)["To"])
    assert [(found.display_name, found.addr_spec) for found in header.addresses] == [
        (address.display_name, address.addr_spec) for address in several
    ]


LOCAL_PART = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\.[a-z]{1,9})?", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?){1,3}", fullmatch=True)
# The standard library's parser takes every kind of space between words for one plain space.
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], include_characters=" "), max_size=80).map(
    lambda name: " ".join(name.split())
)


@given(st.lists(st.builds(Address, LOCAL_PART, DOMAIN, NAME), min_size=1, max_size=8))
def test_mailboxes_are_read_back_as_they_were(several: list[Address]) -> None:
    field = addresses("Reply-To", several)
    assert field.isascii()
    found = getaddresses([field.partition(b":")[2].replace(b"\r\n", b"").decode()])
    # Not policy.default: before Python 3.13 it leaves a space between two encoded words of a name.
    assert [(str(make_header(decode_header(name))), spec) for name, spec in found] == [
        (address.display_name, address.addr_spec) for address in several
    ]
    for line in lines(field):
        assert len(line) <= (LINE if b"=?utf-8?" in line else LONGEST_LINE)
    assert [parse_address(str(address)) for address in several] == several


LONG_NAME = (
    b"X: a/b;\r\n"
    b" name*0*=utf-8''%E6%97%A5%E6%9C%AC%E8%AA%9E%E3%81%AE%E9%95%B7%E3%81%84;\r\n"
    b" name*1*=%E3%83%95%E3%82%A1%E3%82%A4%E3%83%AB%E5%90%8D.pdf\r\n"
)
PARAMETERS = [
    ("boundary", "=_0123", b'X: a/b; boundary="=_0123"\r\n'),
    ("charset", "utf-8", b"X: a/b; charset=utf-8\r\n"),
    ("name", "report.pdf", b"X: a/b; name=report.pdf\r\n"),
    ("name", "my report.pdf", b'X: a/b; name="my report.pdf"\r\n'),
    ("name", 'a"b\\c.pdf', b'X: a/b; name="a\\"b\\\\c.pdf"\r\n'),
    ("name", "100%'*.pdf", b'X: a/b; name="100%\'*.pdf"\r\n'),
    ("name", "Größe.pdf", b"X: a/b; name*=utf-8''Gr%C3%B6%C3%9Fe.pdf\r\n"),
    ("name", "", b'X: a/b; name=""\r\n'),
    ("name", "日本語の長いファイル名.pdf", LONG_NAME),
]


@pytest.mark.parametrize(("key", "text", "field"), PARAMETERS)
def test_a_parameter_is_a_token_a_string_or_extended(key: str, text: str, field: bytes) -> None:
    assert structured("X", "a/b", [(key, text)]) == field


def test_a_field_without_parameters_is_its_value() -> None:
    assert structured("Content-Transfer-Encoding", "base64") == b"Content-Transfer-Encoding: base64\r\n"


FILE_NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=255),
    st.text("ab%'*\"\\ ;=ü.", min_size=1, max_size=255),
)


@given(FILE_NAMES)
def test_a_file_name_is_read_back_as_it_was(name: str) -> None:
    field = structured("Content-Disposition", "attachment", [("filename", name)])
    assert field.isascii()
    assert max(map(len, lines(field))) <= LINE
    read = message_from_bytes(field + b"\r\n", policy=policy.default)
    header = cast("ContentDispositionHeader", read["Content-Disposition"])
    assert header.content_disposition == "attachment"
    assert header.params["filename"] == name  # get_filename() would unquote it a second time
