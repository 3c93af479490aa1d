import ssl
import warnings

import pytest

from tests.local.exchange.running import RunningExchange, client_context


def test_what_comes_along_with_starttls_is_thrown_away(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    assert client.ask("STARTTLS", "NOOP", "RSET") == "220 2.0.0 SMTP server ready"
    client.secure()
    assert client.ask("VRFY x") == "252 2.1.5 Cannot VRFY user"


def test_what_was_said_before_tls_is_forgotten(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    client.starttls()
    assert client.ask("AUTH XOAUTH2") == "503 5.5.1 Bad sequence of commands"


def test_tls_is_begun_once(server: RunningExchange) -> None:
    assert server.client().greet().ask("STARTTLS") == "503 5.5.1 Bad sequence of commands"


def test_tls_before_1_2_is_refused(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    client.ask("STARTTLS")
    context = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the constants of old versions are deprecated
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that the client, at least, is willing
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(client.socket, server_hostname="localhost")


def test_plaintext_instead_of_a_handshake_ends_the_session(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    client.ask("STARTTLS")
    client.send("EHLO again.example")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
    assert server.counters()["sessions_now"] == 0
