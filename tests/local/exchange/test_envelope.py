import pytest

from tests.local.exchange.running import NOREPLY, RunningExchange

SENDER_OK = "250 2.1.0 Sender OK"
RECIPIENT_OK = "250 2.1.5 Recipient OK"


@pytest.mark.parametrize(
    "argument",
    [
        "<noreply@contoso.com>",
        "<>",
        " <noreply@contoso.com>",
        "<noreply@contoso.com> SIZE=157286400 BODY=8BITMIME SMTPUTF8",
        "<noreply@contoso.com> body=7bit RET=HDRS ENVID=abc AUTH=<>",
        "<noreply@contoso.com> BODY=BINARYMIME",
        '<"quoted > local"@contoso.com>',
        "<müller@bücher.example> SMTPUTF8",
    ],
)
def test_a_good_sender_is_ok(server: RunningExchange, argument: str) -> None:
    assert server.client().enter().ask(f"MAIL FROM:{argument}") == SENDER_OK


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM:noreply@contoso.com", "501 5.1.7 Invalid address"),
        ("MAIL FROM:<noreply@@contoso.com>", "501 5.1.7 Invalid address"),
        ("MAIL FROM:<noreply>", "501 5.1.7 Invalid address"),
        (f"MAIL FROM:<{'a' * 65}@contoso.com>", "501 5.1.7 Invalid address"),
        ("MAIL FROM:<müller@contoso.com>", "501 5.1.6 SMTPUTF8 argument required"),
        ("MAIL <noreply@contoso.com>", "501 5.5.4 Invalid arguments"),
        ("MAIL FROM:<noreply@contoso.com> SIZE=ten", "501 5.5.4 Invalid arguments"),
        ("MAIL FROM:<noreply@contoso.com> BODY=9BIT", "501 5.5.4 Unsupported BODY type"),
        ("MAIL FROM:<noreply@contoso.com> COLOUR=RED", "501 5.5.4 Unrecognized parameter"),
        (
            "MAIL FROM:<noreply@contoso.com> SIZE=157286401",
            "552 5.3.4 Message size exceeds fixed maximum message size",
        ),
    ],
)
def test_a_bad_sender_is_refused(server: RunningExchange, command: str, reply: str) -> None:
    assert server.client().enter().ask(command) == reply


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("TO:<a@b.example> NOTIFY=NEVER ORCPT=rfc822;a@b.example", RECIPIENT_OK),
        ("TO:<a@[127.0.0.1]>", RECIPIENT_OK),
        ("TO:<>", "501 5.1.3 Invalid address"),
        ("TO:<a b@c.example>", "501 5.1.3 Invalid address"),
        ("TO:<a@-b.example>", "501 5.1.3 Invalid address"),
        ("TO:<jürgen@b.example>", "501 5.1.6 SMTPUTF8 argument required"),
        ("TO:<a@b.example> SIZE=1", "501 5.5.4 Unrecognized parameter"),
        ("<a@b.example>", "501 5.5.4 Invalid arguments"),
    ],
)
def test_each_recipient_has_its_answer(server: RunningExchange, argument: str, reply: str) -> None:
    client = server.client().enter()
    client.ask(f"MAIL FROM:<{NOREPLY}>")
    assert client.ask(f"RCPT {argument}") == reply


def test_smtputf8_on_mail_allows_international_recipients(server: RunningExchange) -> None:
    client = server.client().enter()
    client.ask(f"MAIL FROM:<{NOREPLY}> SMTPUTF8")
    assert client.ask("RCPT TO:<jürgen@bücher.example>") == RECIPIENT_OK


def test_recipients_past_the_limit_are_too_many(server: RunningExchange) -> None:
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", *(f"RCPT TO:<a{n}@b.example>" for n in range(501)))
    answers = [client.reply() for _ in range(502)]
    assert answers == [SENDER_OK] + [RECIPIENT_OK] * 500 + ["452 4.5.3 Too many recipients"]


def test_a_mailbox_can_have_a_recipient_limit_of_its_own(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"limits": {"recipients_per_message": 1}}})
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<a@b.example>", "RCPT TO:<c@b.example>")
    assert [client.reply() for _ in range(3)][2] == "452 4.5.3 Too many recipients"


def test_a_second_mail_is_out_of_place_until_rset(server: RunningExchange) -> None:
    client = server.client().enter()
    client.ask(f"MAIL FROM:<{NOREPLY}>")
    assert client.ask(f"MAIL FROM:<{NOREPLY}>") == "503 5.5.1 Bad sequence of commands"
    assert client.ask("RSET") == "250 2.0.0 Resetting"
    assert client.ask(f"MAIL FROM:<{NOREPLY}>") == SENDER_OK


def test_data_without_a_recipient_is_out_of_place(server: RunningExchange) -> None:
    client = server.client().enter()
    client.send(f"MAIL FROM:<{NOREPLY}>", "RCPT TO:<nobody>", "DATA")
    answers = [client.reply() for _ in range(3)]
    assert answers == [SENDER_OK, "501 5.1.3 Invalid address", "503 5.5.1 Bad sequence of commands"]
