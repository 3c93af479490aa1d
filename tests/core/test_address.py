from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.address import (
    LONGEST_ADDRESS,
    LONGEST_DISPLAY_NAME,
    LONGEST_LOCAL_PART,
    Address,
    parse_address,
    without_addresses,
)
from shared.core.smtp import mail_command, rcpt_command

READ = [
    ("ada@contoso.com", Address("ada", "contoso.com")),
    ("  ada@contoso.com  ", Address("ada", "contoso.com")),
    ("<ada@contoso.com>", Address("ada", "contoso.com")),
    ("Ada.Lovelace@Contoso.COM", Address("Ada.Lovelace", "contoso.com")),
    ("ada+news/2026=x@contoso.com", Address("ada+news/2026=x", "contoso.com")),
    ("ada@mail", Address("ada", "mail")),
    ("ada@1.2.example", Address("ada", "1.2.example")),
    ("ada@xn--bcher-kva.example", Address("ada", "xn--bcher-kva.example")),
    # Names.
    ("Ada <ada@contoso.com>", Address("ada", "contoso.com", "Ada")),
    ("Ada<ada@contoso.com>", Address("ada", "contoso.com", "Ada")),
    ('"Lovelace, Ada" <ada@contoso.com>', Address("ada", "contoso.com", "Lovelace, Ada")),
    ('"Ada \\"The\\\\\\" L." <ada@contoso.com>', Address("ada", "contoso.com", 'Ada "The\\" L.')),
    ("Lovelace, Ada <ada@contoso.com>", Address("ada", "contoso.com", "Lovelace, Ada")),
    ("ada@contoso.com <ada@contoso.com>", Address("ada", "contoso.com", "ada@contoso.com")),
    ('"a@b, <c>" <ada@contoso.com>', Address("ada", "contoso.com", "a@b, <c>")),
    ("Größe <ada@contoso.com>", Address("ada", "contoso.com", "Größe")),
    ("Ада Лавлейс <ada@contoso.com>", Address("ada", "contoso.com", "Ада Лавлейс")),
    ("阿达·洛芙莱斯 <ada@contoso.com>", Address("ada", "contoso.com", "阿达·洛芙莱斯")),
    ("آدا لوفليس <ada@contoso.com>", Address("ada", "contoso.com", "آدا لوفليس")),
    ("🦆 Ada 👩‍💻 <ada@contoso.com>", Address("ada", "contoso.com", "🦆 Ada 👩‍💻")),
    # International domains (RFC 5891, UTS 46) and names (RFC 6531).
    ("ada@bücher.example", Address("ada", "xn--bcher-kva.example")),
    ("ada@BÜCHER.Example", Address("ada", "xn--bcher-kva.example")),
    ("ada@straße.example", Address("ada", "xn--strae-oqa.example")),
    ("ada@例え.テスト", Address("ada", "xn--r8jz45g.xn--zckzah")),
    ("ada@例え。テスト", Address("ada", "xn--r8jz45g.xn--zckzah")),
    ("jürgen@contoso.com", Address("jürgen", "contoso.com")),
    ("用户@例え.テスト", Address("用户", "xn--r8jz45g.xn--zckzah")),
    # Quoted local parts.
    ('"ada lovelace"@contoso.com', Address('"ada lovelace"', "contoso.com")),
    ('"a,b;c@d"@contoso.com', Address('"a,b;c@d"', "contoso.com")),
    ('"a\\"b\\\\"@contoso.com', Address('"a\\"b\\\\"', "contoso.com")),
    ('Ada <"ada lovelace"@contoso.com>', Address('"ada lovelace"', "contoso.com", "Ada")),
]

NOT_ALLOWED_THERE = "is not an address: what stands before the @ is not allowed there"
NO_DOMAIN_NAME = "is not an address: no domain name follows the @"
SEVERAL = "holds more than one address; write several as a list"
CONTROL = "contains a line break or another control character"
REFUSED = [
    ("", "is empty; write an address such as ada@contoso.com"),
    (" \u3000 ", "is empty; write an address such as ada@contoso.com"),
    ("ada", "is not an address: there is no @ in it"),
    ("Ada <>", "is not an address: there is no @ in it"),
    ("Ada <ada>", "is not an address: there is no @ in it"),
    ("ada@contoso.com>", "ends with > but has no <; write Name <ada@contoso.com>"),
    ("@contoso.com", NOT_ALLOWED_THERE),
    ("ada lovelace@contoso.com", NOT_ALLOWED_THERE),
    ("ada..lovelace@contoso.com", NOT_ALLOWED_THERE),
    (".ada@contoso.com", NOT_ALLOWED_THERE),
    ("ada.@contoso.com", NOT_ALLOWED_THERE),
    ("ada@home@contoso.com", NOT_ALLOWED_THERE),
    ("ada(comment)@contoso.com", NOT_ALLOWED_THERE),
    ('"ada@contoso.com', NOT_ALLOWED_THERE),
    ('ad"a"@contoso.com', NOT_ALLOWED_THERE),
    ("Ada <ada@contoso.com> Lovelace@contoso.com", NOT_ALLOWED_THERE),
    ("a\u00a0b@contoso.com", NOT_ALLOWED_THERE),
    ("a\u3000b@contoso.com", NOT_ALLOWED_THERE),
    ("ada@", "is not an address: nothing follows the @"),
    ("ada@.", NO_DOMAIN_NAME),
    ("ada@contoso..com", NO_DOMAIN_NAME),
    ("ada@contoso.com.", NO_DOMAIN_NAME),
    ("ada@-contoso.com", NO_DOMAIN_NAME),
    ("ada@contoso-.com", NO_DOMAIN_NAME),
    ("ada@con toso.com", NO_DOMAIN_NAME),
    ("ada@con_toso.com", NO_DOMAIN_NAME),
    ("ada@contoso.com:25", NO_DOMAIN_NAME),
    (f"ada@{'a' * 64}.com", NO_DOMAIN_NAME),
    (f"ada@{'ü' * 256}", NO_DOMAIN_NAME),
    ("ada@[192.0.2.1]", "has an IP address for a domain; write a domain name"),
    ("ada@xn--bücher.example", "is not an address: its domain is no valid international domain name"),
    ("ada@\u200b", "is not an address: its domain is no valid international domain name"),
    ("ada@bü cher.example", "is not an address: its domain is no valid international domain name"),
    ("ada@contoso.com, bob@contoso.com", SEVERAL),
    ("ada@contoso.com; bob@contoso.com", SEVERAL),
    ("ada@contoso.com,", SEVERAL),
    ('"ada"@contoso.com, "bob"@contoso.com', SEVERAL),
    ('"ada"@contoso.com,', SEVERAL),
    ("Ada <ada@contoso.com>, Bob <bob@contoso.com>", SEVERAL),
    ("ada@contoso.com, Bob <bob@contoso.com>", SEVERAL),
    ("ada@contoso.com; Bob <bob@contoso.com>", SEVERAL),
    # What could begin another header, another command, or hide something.
    ("ada@contoso.com\r\nBcc: eve@example.com", CONTROL),
    ("ada@contoso.com\n", CONTROL),
    ("Ada\rBcc: eve@example.com <ada@contoso.com>", CONTROL),
    ('"Ada\nLovelace" <ada@contoso.com>', CONTROL),
    ("ada\0@contoso.com", CONTROL),
    ("ada\t@contoso.com", CONTROL),
    ("ada@contoso.com\x7f", CONTROL),
    ("ada@contoso.com\x85", CONTROL),
    ("Ada\u2028Bcc <ada@contoso.com>", CONTROL),
    ("Ada\u2029Bcc <ada@contoso.com>", CONTROL),
    ("Ada \ud83d <ada@contoso.com>", CONTROL),
    ("ada@contoso.com> SIZE=1 <bob@contoso.com>", SEVERAL),
]


@pytest.mark.parametrize(("text", "address"), READ)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_no_address_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_address(text)


OCTETS = f"has more than {LONGEST_LOCAL_PART} octets before the @"


@pytest.mark.parametrize(
    ("fits", "too_long", "said"),
    [
        (f"{'a' * 64}@contoso.com", f"{'a' * 65}@contoso.com", OCTETS),
        (f"{'ü' * 32}@contoso.com", f"a{'ü' * 32}@contoso.com", OCTETS),
        (
            f"{'N' * 320} <ada@contoso.com>",
            f"{'N' * 321} <ada@contoso.com>",
            f"has a display name of more than {LONGEST_DISPLAY_NAME} characters",
        ),
        (
            f"aa@{'a.' * 125}a",
            f"aaa@{'a.' * 125}aa",
            f"is too long: an address has at most {LONGEST_ADDRESS} octets",
        ),
        (f"a@{'a.' * 125}aa", f"a@{'a.' * 127}aa", NO_DOMAIN_NAME),
    ],
)
def test_what_is_too_long_is_refused(fits: str, too_long: str, said: str) -> None:
    assert len(parse_address(fits).addr_spec.encode()) <= LONGEST_ADDRESS
    with pytest.raises(ValueError, match=f"^{said}$"):
        parse_address(too_long)


def test_only_a_local_part_outside_ascii_needs_smtputf8() -> None:
    assert not parse_address("Ада <ada@bücher.example>").needs_smtputf8
    assert parse_address("jürgen@contoso.com").needs_smtputf8


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada@contoso.com", "Someone <ada@CONTOSO.com>", True),
        ("JÜRGEN@contoso.com", "jürgen@contoso.com", True),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", True),
        ("ada@contoso.com", "ada@fabrikam.com", False),
        ("straße@contoso.com", "strasse@contoso.com", False),
    ],
)
def test_two_spellings_of_one_mailbox_have_one_key(one: str, other: str, *, same: bool) -> None:
    assert (parse_address(one).key == parse_address(other).key) is same


def test_an_address_is_written_with_its_name_quoted() -> None:
    assert str(Address("ada", "contoso.com")) == "ada@contoso.com"
    assert str(Address("ada", "contoso.com", 'A "b" \\')) == '"A \\"b\\" \\\\" <ada@contoso.com>'


NAME = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40)
LOCAL_PART = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~äßжあ-]{1,20}(\.[a-zé]{1,9})?", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?){1,3}", fullmatch=True)


@given(LOCAL_PART, DOMAIN, NAME)
def test_what_is_written_is_read_back(local_part: str, domain: str, name: str) -> None:
    address = Address(local_part, domain, name)
    assert parse_address(str(address)) == address


@given(st.one_of(st.text(max_size=60), st.text('ab@.<>",;\\ \r\nü\u3000[]()', max_size=60)))
def test_any_text_is_an_address_that_smtp_can_carry_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
        return
    assert address.domain.isascii()
    for command in (mail_command, rcpt_command):
        written = command(address.addr_spec, smtputf8=address.needs_smtputf8)
        assert written.count(b"\r\n") == 1
    assert parse_address(str(address)).addr_spec == address.addr_spec


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("550 5.1.10 <ada@example.com> not found", "550 5.1.10 <…@example.com> not found"),
        ("a@b.c,d@e.f not allowed", "…@b.c,…@e.f not allowed"),
        ("no address here", "no address here"),
    ],
)
def test_what_a_server_quotes_is_told_without_names(said: str, told: str) -> None:
    assert told == without_addresses(said)
