import smtplib
from email.message import EmailMessage

from tests.local.exchange.running import NOREPLY, RunningExchange, client_context, sasl, token

MESSAGE = f"From: <{NOREPLY}>\r\nMessage-ID: <{{}}@client.example>\r\n\r\nHello"


def test_a_batch_of_commands_is_answered_in_order_and_in_one_write(server: RunningExchange) -> None:
    client = server.client().enter()
    client.send(
        f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<a@b.example>", "RCPT TO:<bad>", "RCPT TO:<c@d.example>", "DATA"
    )
    expected = (
        b"250 2.1.0 Sender OK\r\n"
        b"250 2.1.5 Recipient OK\r\n"
        b"501 5.1.3 Invalid address\r\n"
        b"250 2.1.5 Recipient OK\r\n"
        b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"
    )
    assert client.socket.recv(4096) == expected  # one TLS record is one write


def test_a_whole_session_of_messages_fits_in_one_segment(server: RunningExchange) -> None:
    client = server.client().enter()
    one = [f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<a@b.example>", "DATA"]
    client.send(*one, MESSAGE.format(1), ".", *one, MESSAGE.format(2), ".", "NOOP", "QUIT")
    codes = [client.reply()[:3] for _ in range(10)]
    assert codes == ["250", "250", "354", "250"] * 2 + ["250", "221"]
    assert [raw.count(b"<1@") for raw in server.raw()] == [0, 1]


def test_replies_keep_their_order_through_a_round_trip(server: RunningExchange) -> None:
    server.control(round_trip_ms=3)
    client = server.client().enter()
    for _ in range(5):
        client.send("NOOP")
        client.send("VRFY x")
    assert [client.reply()[:3] for _ in range(10)] == ["250", "252"] * 5
    assert client.submit().startswith("250 ")
    assert client.ask("QUIT").startswith("221 ")
    assert client.is_closed()


def test_the_standard_librarys_client_gets_a_message_through(server: RunningExchange) -> None:
    message = EmailMessage()
    message["From"] = NOREPLY
    message["To"] = "Jürgen <a@b.example>"
    message["Subject"] = "Grüße"
    message.set_content("Ein Gruß\n.\n..\n")
    with smtplib.SMTP("localhost", server.exchange.port, local_hostname="client.example") as client:
        client.starttls(context=client_context())
        client.ehlo()
        assert client.docmd("AUTH", "XOAUTH2 " + sasl(NOREPLY, token()))[0] == 235
        assert client.send_message(message) == {}
    (raw,) = server.raw()
    assert b"Subject: =?utf-8?" in raw
