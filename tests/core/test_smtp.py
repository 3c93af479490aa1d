from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import smtp
from shared.core.smtp import (
    BODY_CHUNK_BYTES,
    GATHER_BYTES,
    MAX_REPLY_BYTES,
    MAX_REPLY_LINE_BYTES,
    Phase,
    ProtocolError,
    Reply,
    ReplyParser,
    Submission,
    Whole,
    dot_stuff,
    ehlo_command,
    extensions,
    mail_command,
    printable,
    rcpt_command,
)
from shared.errors import SendoffError

if TYPE_CHECKING:
    from collections.abc import Iterator

EHLO = (
    b"250-AM0PR02CA0099.outlook.office365.com Hello [127.0.0.1]\r\n250-SIZE 157286400\r\n250-pipelining\r\n"
    b"250-AUTH LOGIN XOAUTH2\r\n250 SMTPUTF8\r\n"
)
SUFFIX = " [AM0PR02CA0099.eurprd02.prod.outlook.com 2026-11-24T06:55:00.000Z 08DE2AF1C3B5D7E9]"


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


replies = st.builds(
    Reply,
    st.integers(200, 599),
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40), min_size=1, max_size=5
    ).map(tuple),
)


def on_the_wire(reply: Reply) -> bytes:
    *first, last = reply.lines
    return "".join([*(f"{reply.code}-{line}\r\n" for line in first), f"{reply.code} {last}\r\n"]).encode()


@given(st.lists(replies, max_size=4), st.lists(st.integers(0, 10_000), max_size=20))
def test_replies_come_out_the_same_however_the_bytes_are_cut(sent: list[Reply], cuts: list[int]) -> None:
    parser = ReplyParser()
    pieces = in_pieces(b"".join(map(on_the_wire, sent)), cuts)
    assert [reply for piece in pieces for reply in parser.feed(piece)] == sent
    assert not parser.pending


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_any_bytes_end_as_replies_or_as_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    def fed(pieces: list[bytes]) -> tuple[list[Reply], bool]:
        parser, found = ReplyParser(), []
        try:
            for piece in [*pieces, b""]:
                found += parser.feed(piece)
        except ProtocolError:
            return found, True
        return found, False

    assert fed([data]) == fed(in_pieces(data, cuts))


@pytest.mark.parametrize(
    "line",
    [b"hello\r\n", b"\r\n", b"25 OK\r\n", b"250OK\r\n", b"150 no\r\n", b"650 no\r\n", b"250-a\r\n251 b\r\n"],
)
def test_a_malformed_line_breaks_the_parser_for_good(line: bytes) -> None:
    parser = ReplyParser()
    with pytest.raises(ProtocolError):
        parser.feed(line)
    with pytest.raises(ProtocolError):
        parser.feed(b"250 OK\r\n")
    assert issubclass(ProtocolError, SendoffError)


def test_a_reply_before_garbage_still_counts() -> None:
    parser = ReplyParser()
    assert [reply.code for reply in parser.feed(b"250 OK\r\ngarbage\r\n")] == [250]
    with pytest.raises(ProtocolError, match="not an SMTP reply: garbage"):
        parser.feed(b"")


def test_a_line_without_end_and_a_reply_without_end_are_cut_off() -> None:
    with pytest.raises(ProtocolError, match=f"more than {MAX_REPLY_LINE_BYTES} bytes"):
        ReplyParser().feed(b"250 " + b"x" * MAX_REPLY_LINE_BYTES)
    with pytest.raises(ProtocolError, match=f"more than {MAX_REPLY_BYTES} bytes"):
        ReplyParser().feed(b"250-x\r\n" * MAX_REPLY_BYTES)


def test_bytes_that_are_no_text_and_controls_are_spelled_out() -> None:
    (reply,) = ReplyParser().feed(b"550 5.1.1 \xff caf\xc3\xa9 \x1b[2J\x00\ttab\r\n")
    assert reply.text == "550 5.1.1 \\xff café \\x1b[2J\\x00\ttab"
    assert printable(b"\xc2\x85") == "\\x85"


def test_a_reply_keeps_its_words_and_groups_without_host_time_and_id() -> None:
    (reply,) = ReplyParser().feed(f"535 5.7.3 Authentication unsuccessful{SUFFIX}\r\n".encode())
    assert reply.text == f"535 5.7.3 Authentication unsuccessful{SUFFIX}"
    assert reply.group_text == "535 5.7.3 Authentication unsuccessful"
    assert reply.enhanced == "5.7.3"
    assert Reply(250, ("2.0.0 OK [Hostname=X.PROD.OUTLOOK.COM]",)).group_text == "250 2.0.0 OK"
    assert Reply(554, ("message [BeginDiagnosticData]x[EndDiagnosticData]",)).group_text.endswith("Data]")
    assert Reply(535, ("5.7.8 no", "5.7.8 why")).text == "535-5.7.8 no\n535 5.7.8 why"
    assert Reply(535, ("5.7.8 no", "5.7.8 why")).group_text == "535 5.7.8 no 5.7.8 why"


@pytest.mark.parametrize(
    ("line", "enhanced"),
    [
        ("4.3.111 MRH1", "4.3.111"),
        ("5.7.139", "5.7.139"),
        ("3.1.1 x", ""),
        ("5.7.3x", ""),
        ("hello", ""),
        ("", ""),
    ],
)
def test_the_enhanced_code_is_what_begins_the_text(line: str, enhanced: str) -> None:
    assert Reply(550, (line,)).enhanced == enhanced


def test_the_first_digit_classifies() -> None:
    flags = [
        (reply.positive, reply.intermediate, reply.negative, reply.transient, reply.closing)
        for reply in (Reply(code, ("",)) for code in (250, 354, 421, 451, 550))
    ]
    assert flags == [
        (True, False, False, False, False),
        (False, True, False, False, False),
        (False, False, True, True, True),
        (False, False, True, True, False),
        (False, False, True, False, False),
    ]


def test_extensions_are_keywords_in_capitals_with_their_parameters() -> None:
    (ehlo,) = ReplyParser().feed(EHLO)
    assert dict(extensions(ehlo)) == {
        "SIZE": "157286400",
        "PIPELINING": "",
        "AUTH": "LOGIN XOAUTH2",
        "SMTPUTF8": "",
    }


@pytest.mark.parametrize(
    "name", ["sender.contoso.com", "localhost", "xn--bcher-kva.example", "[10.0.0.4]", "[IPv6:::1]"]
)
def test_a_name_that_ehlo_may_carry(name: str) -> None:
    assert ehlo_command(name) == f"EHLO {name}\r\n".encode()


@pytest.mark.parametrize(
    "name", ["", "MacBook..", "a b", "-a.example", "a.example\r\nQUIT", "bücher.example", "[::1]", "a_b"]
)
def test_a_name_that_ehlo_may_not_carry(name: str) -> None:
    with pytest.raises(ValueError, match="EHLO"):
        ehlo_command(name)


def test_mail_has_the_parameters_that_the_message_needs() -> None:
    assert mail_command("a@example.com") == b"MAIL FROM:<a@example.com>\r\n"
    assert mail_command("") == b"MAIL FROM:<>\r\n"
    assert mail_command("ü@example.com", size=5, smtputf8=True, eight_bit=True) == (
        "MAIL FROM:<ü@example.com> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n".encode()
    )


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example",
        '"a b"@c.example',
        '"a\\"b>"@c.example',
        "a+b=c@d.example",
        "a@[192.0.2.1]",
        "o'x@y.example",
    ],
)
def test_an_address_that_rcpt_may_carry(address: str) -> None:
    assert rcpt_command(address) == f"RCPT TO:<{address}>\r\n".encode()


@pytest.mark.parametrize(
    "address",
    ["", "a", "a@", "@b", "a b@c", "a@b c", "a@b>", "<a@b", "a@b\r\nDATA", "a@b\n", "a\x00@b", '"a\r\n"@b',
     "a@b\u2028c", "a\x85@b", "ü@b.example", "a@b@c", "a@b SIZE=1", "\ud800@b"],
)  # fmt: skip
def test_an_address_that_rcpt_may_not_carry(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        rcpt_command(address)
    if address:
        with pytest.raises(ValueError, match="address"):
            mail_command(address)


@given(st.text(max_size=30), st.text(max_size=30), st.booleans())
def test_no_address_can_end_its_command(local: str, domain: str, smtputf8: bool) -> None:  # noqa: FBT001 - drawn
    try:
        command = rcpt_command(f"{local}@{domain}", smtputf8=smtputf8)
    except ValueError:
        return
    assert command.count(b"\r") == command.count(b"\n") == 1
    assert command.endswith(b">\r\n")
    assert not any(byte < 0x20 or byte == 0x7F for byte in command[:-2])
    if b'"' not in command:
        assert command.count(b">") == 1
        assert b" " not in command[5:]


def test_auth_carries_base64_alone() -> None:
    assert smtp.auth_command("dXNlcg==") == b"AUTH XOAUTH2 dXNlcg==\r\n"
    with pytest.raises(ValueError, match="base64"):
        smtp.auth_command("dXNlcg==\r\nQUIT")


def unstuffed(wire: bytes) -> bytes:
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"\r\n".join(line.removeprefix(b".") for line in lines[:-2])


BITS = st.lists(st.sampled_from([b"", b"\r\n", b".", b"..", b"a", b"\r", b"\n", b"\r\n.", b"\r\n.\r\n"]))


@given(st.lists(st.sampled_from([b"\r\n", b".", b"..", b"a", b"\r\n.", b"\r\n.\r\n"])).map(b"".join))
def test_a_server_reads_back_what_was_stuffed(mime: bytes) -> None:
    whole = b"".join(dot_stuff([mime]))
    received = unstuffed(whole)
    assert received == mime.removesuffix(b"\r\n")


@given(BITS)
def test_pieces_are_stuffed_like_the_whole(pieces: list[bytes]) -> None:
    assert b"".join(dot_stuff(pieces)) == b"".join(dot_stuff([b"".join(pieces)]))


@given(BITS, st.integers(GATHER_BYTES - 3, GATHER_BYTES + 3))
def test_pieces_that_are_written_apart_are_stuffed_like_the_whole(pieces: list[bytes], length: int) -> None:
    # Each long piece fills what is gathered, so that a cut falls wherever the small ones end.
    several = [part for piece in pieces for part in (b"x" * length, piece)]
    assert b"".join(dot_stuff(several)) == b"".join(dot_stuff([b"".join(several)]))


@given(
    st.integers(BODY_CHUNK_BYTES - 4, BODY_CHUNK_BYTES + 4),
    st.sampled_from([b"\r\n.", b"\r\n.\r\n.\r\n", b".\r\n.", b"\n.", b"\r\n"]),
    st.booleans(),
)
def test_a_cut_between_pieces_stuffs_alike(length: int, edge: bytes, dot: bool) -> None:  # noqa: FBT001 - drawn
    mime = (b"." if dot else b"") + b"x" * length + edge + b"tail\r\n"
    expected = (b"\r\n" + mime).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    for cut in range(BODY_CHUNK_BYTES - 6, BODY_CHUNK_BYTES + 7):
        assert b"".join(dot_stuff([mime[:cut], mime[cut:]])) == expected
    assert b"".join(dot_stuff(Whole(mime).chunks())) == expected


def test_small_pieces_are_gathered_into_large_ones_and_the_dot_goes_with_the_last() -> None:
    *first, last = dot_stuff(b"x" * 999 + b"\r" for _ in range(1000))
    assert all(GATHER_BYTES <= len(piece) < GATHER_BYTES + 1000 for piece in first)
    assert last.endswith(b"x\r\r\n.\r\n")
    assert len(last) > 5


def test_no_more_is_read_ahead_than_one_gathered_piece_and_the_one_held_back() -> None:
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for _ in range(200):
            read += 10_000
            yield b"x" * 10_000

    written = 0
    for piece in dot_stuff(pieces()):
        written += len(piece)
        assert read - written <= 2 * GATHER_BYTES + 20_000
    assert written == 200 * 10_000 + len(b"\r\n.\r\n")


@pytest.mark.parametrize("body", [[], [b""], [b"", b""]])
def test_an_empty_body_is_a_lone_dot(body: list[bytes]) -> None:
    assert list(dot_stuff(body)) == [b".\r\n"]


@given(st.binary(max_size=100))
def test_a_message_in_memory_says_its_size_and_what_it_needs(content: bytes) -> None:
    whole = Whole(content)
    assert (whole.size, whole.eight_bit) == (len(content), not content.isascii())
    assert b"".join(whole.chunks()) == content
    assert "secret" not in repr(Whole(b"secret"))


@pytest.mark.parametrize(
    ("mime", "bare"),
    [
        (b"a\r\nb\r\n", False),
        (b"", False),
        (b"a\nb", True),
        (b"a\rb", True),
        (b"\n\r", True),
        (b"\r\r\n", True),
    ],
)
def test_a_line_end_that_stands_alone_is_found(mime: bytes, *, bare: bool) -> None:
    assert smtp.has_bare_line_end(mime) == bare


def test_only_a_yes_to_the_end_of_data_is_an_acceptance() -> None:
    yes = Reply(250, ("2.0.0 OK",))
    accepted = {phase for phase in Phase if Submission(phase, yes).accepted}
    assert accepted == {Phase.END_OF_DATA, Phase.DONE}
    assert not Submission(Phase.DONE).accepted
    assert not Submission(Phase.END_OF_DATA, Reply(432, ("",))).accepted
