import ssl

import pytest

from tests.local.exchange.running import Client, RunningExchange


def read_on(client: Client) -> None:
    while True:
        client.reply()


def test_stopping_cuts_the_sessions_that_are_open(server: RunningExchange) -> None:
    clients = [server.client(), server.client().enter()]
    server.run(server.exchange.stop())
    for client in clients:
        with pytest.raises((EOFError, ConnectionResetError, ssl.SSLError)):
            read_on(client)
    with pytest.raises(ConnectionRefusedError):
        server.client()


def test_stopping_leaves_no_socket_open(server: RunningExchange) -> None:
    shaking_hands = server.client()
    shaking_hands.reply()
    shaking_hands.ask("EHLO client.example")
    shaking_hands.ask("STARTTLS")
    lingering = server.client().enter()
    lingering.ask("QUIT")  # the server now waits for this client's close_notify
    server.run(server.exchange.stop())
    for client in (shaking_hands, lingering):
        while client.read_below_tls():
            pass


def test_a_stopped_server_can_start_again_on_its_port(server: RunningExchange) -> None:
    port = server.exchange.port
    server.run(server.exchange.stop())
    server.run(server.exchange.start())
    assert server.exchange.port == port
    assert server.client().enter().submit().startswith("250 ")
