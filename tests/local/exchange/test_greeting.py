import re

import pytest

from tests.local.exchange.running import RunningExchange

BEFORE_TLS = [
    "SIZE 157286400",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
]


def extensions(reply: str) -> list[str]:
    return [line[4:] for line in reply.split("|")[1:]]


def test_the_banner_names_host_time_and_session(server: RunningExchange) -> None:
    line = server.client().reader.readline().decode()
    pattern = (
        r"220 \w+\.outlook\.office365\.com Microsoft ESMTP MAIL Service ready at .+ \+0000 \[08DE\w+\]\r\n"
    )
    assert re.fullmatch(pattern, line)


def test_ehlo_offers_starttls_before_tls_and_auth_after_it(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    assert extensions(client.ask("EHLO client.example")) == BEFORE_TLS
    client.starttls()
    after = [line.replace("STARTTLS", "AUTH LOGIN XOAUTH2") for line in BEFORE_TLS]
    assert extensions(client.ask("EHLO client.example")) == after


def test_helo_is_answered_without_extensions(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    assert client.ask("HELO client.example") == "250 LO2P265CA0071.outlook.office365.com Hello [127.0.0.1]"


@pytest.mark.parametrize(
    "name", ["client", "a.b-c.example", "under_score.local", "[127.0.0.1]", "[IPv6:::1]"]
)
def test_a_domain_or_literal_is_a_good_name(server: RunningExchange, name: str) -> None:
    client = server.client()
    client.reply()
    assert client.ask(f"EHLO {name}").startswith("250-")


@pytest.mark.parametrize(
    "name", ["MacBook..", "", "-a.example", "two words", "ümlaut.example", "[1.2.3]", "a" * 64]
)
def test_another_name_is_an_invalid_domain_name(server: RunningExchange, name: str) -> None:
    client = server.client()
    client.reply()
    assert client.ask(f"EHLO {name}") == "501 5.5.4 Invalid domain name"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("NOOP", "250 2.0.0 OK"),
        ("RSET", "250 2.0.0 Resetting"),
        ("VRFY someone", "252 2.1.5 Cannot VRFY user"),
        ("EXPN list", "500 5.3.3 Unrecognized command"),
        ("", "500 5.3.3 Unrecognized command"),
        ("\N{SNOWMAN}", "500 5.3.3 Unrecognized command"),
        ("STARTTLS", "503 5.5.1 Bad sequence of commands"),
        ("STARTTLS now", "501 5.5.4 Invalid arguments"),
        ("RCPT TO:<a@b.example>", "503 5.5.1 Bad sequence of commands"),
        ("DATA", "503 5.5.1 Bad sequence of commands"),
        ("MAIL FROM:<a@b.example>", "530 5.7.0 Must issue a STARTTLS command first"),
        ("quit", "221 2.0.0 Service closing transmission channel"),
    ],
)
def test_each_command_has_its_answer_before_tls(server: RunningExchange, command: str, reply: str) -> None:
    client = server.client()
    client.reply()
    assert client.ask(command) == reply


def test_help_lists_the_commands(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    assert client.ask("HELP").startswith("214-This server supports the following commands:|214 HELO EHLO")


def test_quit_ends_the_session(server: RunningExchange) -> None:
    client = server.client().enter()
    assert client.ask("QUIT") == "221 2.0.0 Service closing transmission channel"
    assert client.is_closed()


def test_too_many_errors_end_the_session(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.send("A", "B", "C", "D", "E")
    answers = [client.reply() for _ in range(6)]
    assert answers[:5] == ["500 5.3.3 Unrecognized command"] * 5
    assert answers[5] == "421 4.7.0 Too many errors on this connection, closing transmission channel"
    assert client.is_closed()


def test_a_line_without_an_end_is_refused(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.socket.sendall(b"x" * 13_000)
    assert client.reply() == "500 5.5.2 Command too long"


def test_an_idle_session_is_ended(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    server.control(limits={"inactivity_seconds": 0.01})
    assert client.reply() == "451 4.7.0 Timeout waiting for client input"
    assert client.is_closed()


def test_an_old_session_is_ended(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    server.control(limits={"session_seconds": 0.01})
    assert client.reply() == "421 4.4.1 Connection timed out. Total session duration: 00:00:00"
    assert client.is_closed()
