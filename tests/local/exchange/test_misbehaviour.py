import ssl

import pytest

from tests.local.exchange.running import NOREPLY, SVC, Client, RunningExchange, sasl, token

TEMPORARY = "451 4.7.0 Temporary server error. Please try again later. PRX2"


def drive_to(client: Client, at: str) -> None:
    """Come as far as the point, without reading the answer that will not come."""
    if at == "connect":
        return
    if at in ("ehlo", "starttls"):
        client.reply()
        client.send("EHLO client.example")
        if at == "starttls":
            client.reply()
            client.send("STARTTLS")
        return
    client.greet()
    client.send("AUTH XOAUTH2 " + sasl(NOREPLY, token()))
    if at == "auth":
        return
    client.reply()
    steps = {
        "mail": [f"MAIL FROM:<{NOREPLY}>"],
        "rcpt": ["RCPT TO:<a@b.example>"],
        "data": ["DATA"],
        "body": [f"From: <{NOREPLY}>\r\nMessage-ID: <1@client.example>\r\n"],
        "after_dot": ["Hello\r\n."],
    }
    if at == "quit":
        client.send("QUIT")
        return
    for point, lines in steps.items():
        client.send(*lines)
        if point == at:
            return
        if point != "body":
            client.reply()


def reach(server: RunningExchange, at: str) -> Client:
    client = server.client()
    drive_to(client, at)
    return client


POINTS = ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "after_dot", "quit"]


@pytest.mark.parametrize("at", POINTS)
def test_a_reply_can_be_put_in_place_of_any_other(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="reply", reply=TEMPORARY)
    client = server.client()
    drive_to(client, at)
    assert client.reply() == TEMPORARY


@pytest.mark.parametrize("at", POINTS)
def test_a_connection_can_be_dropped_anywhere(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="drop")
    client = server.client()
    drive_to(client, at)
    assert client.is_closed()


@pytest.mark.parametrize("at", ["connect", "ehlo", "mail", "after_dot"])
def test_a_connection_can_be_reset(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="reset")
    with pytest.raises(ConnectionResetError):
        reach(server, at).read_below_tls()


@pytest.mark.parametrize("at", ["connect", "ehlo", "auth", "rcpt", "after_dot"])
def test_the_server_can_say_nothing(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="silence")
    client = server.client()
    drive_to(client, at)
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)


@pytest.mark.parametrize(("at", "code"), [("connect", "220"), ("mail", "250"), ("after_dot", "250")])
def test_the_server_can_be_slow(server: RunningExchange, at: str, code: str) -> None:
    server.script(at=at, do="silence", seconds=0.02)
    client = server.client()
    drive_to(client, at)
    assert client.reply()[:3] == code


def test_pipelined_commands_wait_behind_a_slow_answer(server: RunningExchange) -> None:
    server.script(at="mail", do="silence", seconds=0.02)
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<a@b.example>", "DATA")
    assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]


@pytest.mark.parametrize("at", ["connect", "mail"])
def test_the_server_can_talk_garbage(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="garbage")
    client = server.client()
    drive_to(client, at)
    assert client.reader.readline().startswith(b"\x00\x81\xfe\xff")


def test_the_server_can_stop_in_the_middle_of_a_reply(server: RunningExchange) -> None:
    server.script(at="after_dot", do="half_reply")
    client = server.client()
    drive_to(client, "after_dot")
    said = client.reader.read()
    assert said.startswith(b"250 2.0.0 OK <1@")
    assert not said.endswith(b"\r\n")


def test_the_server_can_say_too_much_in_one_line(server: RunningExchange) -> None:
    server.script(at="mail", do="long_line")
    client = server.client()
    drive_to(client, "mail")
    assert len(client.reader.readline()) == 100_000


def test_the_handshake_can_be_refused_with_an_alert(server: RunningExchange) -> None:
    server.script(at="starttls", do="tls_alert")
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        client.starttls()


def test_a_reply_that_begins_with_421_ends_the_session(server: RunningExchange) -> None:
    server.script(at="mail", do="reply", reply="421 4.3.2 Service not available")
    client = server.client()
    drive_to(client, "mail")
    client.reply()
    assert client.is_closed()


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ({"do": "drop"}, 1),
        ({"do": "drop", "stored": False}, 0),
        ({"do": "reply", "reply": TEMPORARY}, 0),
        ({"do": "reply", "reply": TEMPORARY, "stored": True}, 1),
        ({"do": "reply", "reply": "250 2.0.0 OK"}, 1),
        ({"do": "silence"}, 1),
    ],
)
def test_after_the_dot_a_message_may_be_kept_and_its_reply_lost(
    server: RunningExchange, step: dict[str, object], kept: int
) -> None:
    server.script(at="after_dot", **step)
    client = server.client()
    drive_to(client, "after_dot")
    if step["do"] != "silence":
        client.reader.readline()
    else:
        server.exchange.store.wait_for_blocking()
    assert len(server.raw()) == kept


def test_a_message_that_would_be_refused_is_not_kept_when_its_reply_is_lost(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"full": True}})
    server.script(at="after_dot", do="drop")
    client = server.client()
    drive_to(client, "after_dot")
    assert client.is_closed()
    assert server.raw() == []


def test_a_step_happens_as_often_as_it_says_and_after_what_it_skips(server: RunningExchange) -> None:
    server.script(
        at="rcpt", do="reply", reply="550 5.4.1 Recipient address rejected: Access denied", skip=1, times=2
    )
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", *["RCPT TO:<a@b.example>"] * 4)
    assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "550", "550", "250"]


@pytest.mark.parametrize("at", ["auth", "mail"])
def test_a_step_can_wait_for_one_mailbox(server: RunningExchange, at: str) -> None:
    server.script(at=at, do="reply", reply=TEMPORARY, mailbox=SVC.upper())
    client = server.client().enter()
    assert client.ask(f"MAIL FROM:<{NOREPLY}>").startswith("250 ")
    other = server.client().greet()
    reply = other.ask("AUTH XOAUTH2 " + sasl(SVC, token(SVC)))
    assert (reply if at == "auth" else other.ask(f"MAIL FROM:<{SVC}>")) == TEMPORARY


def test_steps_happen_in_the_order_in_which_they_were_asked_for(server: RunningExchange) -> None:
    server.control(next=[{"at": "mail", "do": "reply", "reply": f"45{n} 4.0.0 no"} for n in range(3)])
    client = server.client().enter()
    assert [client.ask(f"MAIL FROM:<{NOREPLY}>")[:3] for _ in range(4)] == ["450", "451", "452", "250"]
