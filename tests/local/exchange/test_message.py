import pytest

from tests.local.exchange.running import NOREPLY, SHARED, SVC, RunningExchange

HEADER = f"From: <{NOREPLY}>\r\nMessage-ID: <1@client.example>\r\n\r\n"
HOSTNAME = "[Hostname=LO4P265MB0042.GBRP265.PROD.OUTLOOK.COM]"
NO_FROM = "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant"
MULTIPLE_FROM = "550 5.1.20 Multiple From addresses are not allowed in From header"
TOO_LARGE = "552 5.3.4 Message size exceeds fixed maximum message size"


def test_the_last_reply_gives_the_message_id_back(server: RunningExchange) -> None:
    assert server.client().enter().submit() == f"250 2.0.0 OK <1@client.example> {HOSTNAME}"


def test_a_message_without_an_id_is_given_one(server: RunningExchange) -> None:
    reply = server.client().enter().submit(f"From: <{NOREPLY}>\r\n\r\nHello")
    assert reply.startswith("250 2.0.0 OK <")
    assert reply.endswith(f"@LO4P265MB0042.GBRP265.PROD.OUTLOOK.COM> {HOSTNAME}")


def test_what_is_accepted_is_in_the_store(server: RunningExchange) -> None:
    server.client().enter(SVC).submit(HEADER.replace(NOREPLY, SHARED), mail_from=SHARED, to=("a@b", "c@d"))
    (message,) = server.exchange.store.messages()
    assert (message.mail_from, message.rcpt_to, message.auth_user) == (SHARED, ("a@b", "c@d"), SVC)
    assert message.received_at.utcoffset() is not None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (HEADER + "Hello", HEADER + "Hello\r\n"),
        (HEADER + "..", HEADER + ".\r\n"),
        (HEADER + "..a\r\n...b\r\n c.", HEADER + ".a\r\n..b\r\n c.\r\n"),
        (HEADER + "\r\n\r\n", HEADER + "\r\n\r\n\r\n"),
        (HEADER + "Grüße \N{WAVING HAND SIGN}", HEADER + "Grüße \N{WAVING HAND SIGN}\r\n"),
    ],
    ids=["no dot", "a dot alone", "dots before text", "empty lines", "not ASCII"],
)
def test_the_dots_of_transport_are_taken_out(server: RunningExchange, sent: str, kept: str) -> None:
    assert server.client().enter().submit(sent).startswith("250 ")
    assert server.raw() == [kept.encode()]


@pytest.mark.parametrize("octets_at_once", [1, 3, 7])
def test_a_message_in_small_pieces_is_the_same_message(server: RunningExchange, octets_at_once: int) -> None:
    client = server.client().enter()
    whole = (
        f"MAIL FROM:<{NOREPLY}>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n{HEADER}..Hello\r\n.\r\nQUIT\r\n"
    ).encode()
    for at in range(0, len(whole), octets_at_once):
        client.socket.sendall(whole[at : at + octets_at_once])
    assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "354", "250", "221"]
    assert server.raw() == [f"{HEADER}.Hello\r\n".encode()]


def test_an_empty_message_has_no_from(server: RunningExchange) -> None:
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<a@b.example>", "DATA", ".")
    assert [client.reply() for _ in range(4)][-1] == NO_FROM


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        ("Subject: none", NO_FROM),
        ("From: nobody in particular", NO_FROM),
        ("From:", NO_FROM),
        (f"From: <{NOREPLY}>\r\nfrom: <{NOREPLY}>", MULTIPLE_FROM),
        (f"From: {NOREPLY}, other@contoso.com", MULTIPLE_FROM),
    ],
)
def test_a_message_has_exactly_one_from(server: RunningExchange, header: str, reply: str) -> None:
    assert server.client().enter().submit(f"{header}\r\n\r\nFrom: in the body\r\n") == reply


@pytest.mark.parametrize(
    "value",
    [
        f'"Contoso, Inc." <{NOREPLY}>',
        f"=?utf-8?q?Conto=C3=9Fo?=\r\n <{NOREPLY}>",
        NOREPLY.upper(),
        f"Größe <{NOREPLY}>",
    ],
)
def test_every_way_to_write_the_own_address_is_good(server: RunningExchange, value: str) -> None:
    assert server.client().enter().submit(f"FROM : {value}\r\n\r\nHello").startswith("250 2.0.0 OK")


def test_line_feeds_alone_are_refused(server: RunningExchange) -> None:
    reply = server.client().enter().submit(HEADER + "one\ntwo")
    expected = "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare linefeeds, "
    assert reply == expected + "which cannot be sent via DATA"


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r"])
def test_only_the_proper_end_ends_a_message(server: RunningExchange, end: str) -> None:
    client = server.client().enter()
    client.submit(HEADER + f"one{end}MAIL FROM:<smuggled@contoso.com>\r\ntwo")
    assert client.ask("NOOP") == "250 2.0.0 OK"
    assert len(server.raw()) == (1 if "\n" not in end else 0)


def test_a_message_larger_than_the_mailbox_may_send_is_refused_after_the_dot(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"limits": {"max_message_bytes": 1000}}})
    client = server.client().enter()
    assert client.submit(HEADER + "x" * 1000) == TOO_LARGE
    assert client.submit().startswith("250 ")


def test_a_message_of_35_mib_is_the_largest(server: RunningExchange) -> None:
    client = server.client().enter()
    filling = 36_700_160 - len(HEADER) - 2
    assert client.submit(HEADER + "x" * filling).startswith("250 ")
    assert client.submit(HEADER + "x" * (filling + 1)) == TOO_LARGE


def test_headers_have_a_limit_of_their_own(server: RunningExchange) -> None:
    server.control(limits={"max_header_bytes": 200})
    reply = server.client().enter().submit(f"X-Long: {'x' * 200}\r\n{HEADER}")
    assert reply == "552 5.3.4 Header size exceeds fixed maximum size"


def send_as_denied(user: str, address: str) -> str:
    return (
        f"554 5.2.252 SendAsDenied; {user} not allowed to send as {address}; "
        "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; "
        "Failed to process message due to a permanent exception with message Cannot submit message. "
        f"{HOSTNAME}"
    )


def test_another_address_in_from_is_send_as_denied(server: RunningExchange) -> None:
    reply = server.client().enter().submit(f"From: <{SHARED}>\r\n\r\nHello")
    assert reply == send_as_denied(NOREPLY, SHARED)


def test_another_address_in_mail_from_is_send_as_denied_after_the_dot(server: RunningExchange) -> None:
    reply = server.client().enter().submit(HEADER, mail_from=SHARED)
    assert reply == send_as_denied(NOREPLY, SHARED)


def test_send_as_can_be_granted_while_the_server_runs(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"send_as": [SHARED]}})
    assert server.client().enter().submit(f"From: <{SHARED}>\r\n\r\nHello").startswith("250 ")


def test_a_full_mailbox_cannot_send(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"full": True}})
    reply = server.client().enter().submit()
    assert reply.startswith("554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException")


def test_a_blocked_mailbox_cannot_send(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"blocked": True}})
    assert server.client().enter().submit() == "550 5.1.8 Access denied, bad outbound sender AS(42004)"


def test_the_session_goes_on_after_a_refusal(server: RunningExchange) -> None:
    client = server.client().enter()
    client.submit(f"From: <{SHARED}>\r\n\r\nHello")
    assert client.submit().startswith("250 ")


def test_chunks_make_a_message(server: RunningExchange) -> None:
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}> BODY=BINARYMIME", "RCPT TO:<a@b.example>")
    one, two = f"From: <{NOREPLY}>\r\n\r\nbare\n".encode(), b".\r\n"
    client.socket.sendall(b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(one), one, len(two), two))
    answers = [client.reply() for _ in range(4)]
    assert answers[2] == f"250 2.6.0 Message received, {len(one)} octets"
    assert answers[3].startswith("250 2.0.0 OK ")
    assert server.raw() == [one + two]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("BDAT x", "501 5.5.4 Invalid arguments"),
        ("BDAT 1 FIRST", "501 5.5.4 Invalid arguments"),
        ("BDAT 0 LAST", "503 5.5.1 Bad sequence of commands"),
        ("BDAT 157286401", TOO_LARGE),
        ("DATA now", "501 5.5.4 Invalid arguments"),
    ],
)
def test_a_message_out_of_place_is_refused(server: RunningExchange, command: str, reply: str) -> None:
    assert server.client().enter().ask(command) == reply
