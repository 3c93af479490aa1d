import base64
import json
import time
from typing import Any

import pytest

from tests.local.exchange.running import APPLICATION, NOREPLY, SHARED, SVC, RunningExchange, sasl, token

SUCCESS = "235 2.7.0 Authentication successful"
REFUSED = "535 5.7.3 Authentication unsuccessful"


def auth(server: RunningExchange, user: str, access_token: str) -> str:
    return server.client().greet().ask("AUTH XOAUTH2 " + sasl(user, access_token))


def reason(server: RunningExchange) -> str:
    return str(server.counters()["refused_authentications"][-1]["reason"])


@pytest.mark.parametrize("audience", ["https://outlook.office.com", "https://outlook.office365.com"])
def test_a_users_own_token_is_accepted(server: RunningExchange, audience: str) -> None:
    assert auth(server, NOREPLY, token(aud=audience)) == SUCCESS


def test_the_users_name_is_compared_without_case(server: RunningExchange) -> None:
    assert auth(server, "NoReply@Contoso.com", token(upn="NOREPLY@contoso.com")) == SUCCESS


def test_the_initial_response_may_come_after_an_empty_challenge(server: RunningExchange) -> None:
    client = server.client().greet()
    assert client.ask("AUTH XOAUTH2") == "334 "
    assert client.ask(sasl(NOREPLY, token())) == SUCCESS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://graph.microsoft.com"}, "the token is for https://graph.microsoft.com, not for"),
        ({"aud": None}, "the token is for nobody"),
        ({"scp": "IMAP.AccessAsUser.All SMTP.Sendmail"}, "the token's scopes lack SMTP.Send"),
        ({"upn": SVC}, "the token belongs to svc-mail@contoso.com, but the client says user=noreply"),
        ({"upn": None}, "the token belongs to nobody"),
        ({"exp": time.time() - 60}, "Signature has expired"),
        ({"scp": None, "upn": None, "appid": "another"}, "the token gives no permission on the mailbox"),
        ({"scp": None, "appid": APPLICATION, "roles": ["Mail.Send"]}, "the application's roles lack"),
    ],
)
def test_a_token_that_is_not_good_is_refused_without_a_reason(
    server: RunningExchange, changes: dict[str, Any], why: str
) -> None:
    assert auth(server, NOREPLY, token(**changes)) == REFUSED
    assert reason(server).startswith(why)


def test_a_signature_that_does_not_fit_is_refused(server: RunningExchange) -> None:
    head, claims, _ = token().split(".")
    assert auth(server, NOREPLY, f"{head}.{claims}.c2lnbmF0dXJl") == REFUSED
    assert reason(server) == "Signature verification failed"


def test_a_shared_mailbox_cannot_authenticate_with_its_delegates_token(server: RunningExchange) -> None:
    assert auth(server, SHARED, token(SVC)) == REFUSED


def test_a_user_without_a_mailbox_is_refused(server: RunningExchange) -> None:
    assert auth(server, "gone@contoso.com", token("gone@contoso.com")) == REFUSED
    assert reason(server) == "there is no mailbox gone@contoso.com"


@pytest.mark.parametrize("roles", [["SMTP.SendAsApp"], None])
def test_an_application_works_for_a_mailbox_that_it_has_permission_on(
    server: RunningExchange, roles: list[str] | None
) -> None:
    assert auth(server, NOREPLY, token(scp=None, upn=None, appid=APPLICATION, roles=roles)) == SUCCESS
    assert auth(server, SVC, token(scp=None, upn=None, appid=APPLICATION, roles=roles)) == REFUSED


def test_the_refusal_ends_with_host_time_and_session(server: RunningExchange) -> None:
    client = server.client().greet()
    client.send("AUTH XOAUTH2 " + sasl(NOREPLY, "x"))
    line = client.reader.readline().decode()
    assert line.startswith("535 5.7.3 Authentication unsuccessful [LO2P265CA0071.GBRP265.PROD.OUTLOOK.COM 20")
    assert line.endswith("]\r\n")


def test_a_client_may_try_again_with_another_token(server: RunningExchange) -> None:
    client = server.client().greet()
    assert client.ask("AUTH XOAUTH2 " + sasl(NOREPLY, "x")) == REFUSED
    assert client.ask("AUTH XOAUTH2 " + sasl(NOREPLY, token())) == SUCCESS


def test_the_other_failure_form_gives_json_first(server: RunningExchange) -> None:
    server.control(auth_failure_form="challenge")
    client = server.client().greet()
    challenge = client.ask("AUTH XOAUTH2 " + sasl(NOREPLY, "x"))
    code, _, text = challenge.partition(" ")
    assert code == "334"
    assert json.loads(base64.b64decode(text)) == {
        "status": "401",
        "schemes": "bearer",
        "scope": "https://outlook.office.com/",
    }
    assert client.ask("") == REFUSED
    assert client.ask("NOOP") == "250 2.0.0 OK"


@pytest.mark.parametrize(
    "message",
    [
        "!",
        base64.b64encode(b"user=\x01auth=Bearer t\x01\x01").decode(),
        base64.b64encode(b"user=a\x01auth=Basic t\x01\x01").decode(),
        base64.b64encode(b"user=a\x01auth=Bearer t\x01").decode(),
        base64.b64encode(b"name=a\x01auth=Bearer t\x01\x01").decode(),
        base64.b64encode(b"user=\xff\x01auth=Bearer t\x01\x01").decode(),
        "*",
    ],
)
def test_malformed_sasl_is_told_so(server: RunningExchange, message: str) -> None:
    reply = server.client().greet().ask("AUTH XOAUTH2 " + message)
    assert reply == "501 5.5.124 Invalid XOAUTH2 authentication data"


def test_auth_before_tls_is_an_unrecognized_type(server: RunningExchange) -> None:
    client = server.client()
    client.reply()
    client.ask("EHLO client.example")
    assert client.ask("AUTH XOAUTH2 eA==") == "504 5.7.4 Unrecognized authentication type"


def test_another_mechanism_is_an_unrecognized_type(server: RunningExchange) -> None:
    assert server.client().greet().ask("AUTH PLAIN eA==") == "504 5.7.4 Unrecognized authentication type"


@pytest.mark.parametrize("initial", ["", " dXNlcg=="])
def test_a_password_is_refused(server: RunningExchange, initial: str) -> None:
    client = server.client().greet()
    challenge = client.ask("AUTH LOGIN" + initial)
    if not initial:
        assert challenge == "334 VXNlcm5hbWU6"
        challenge = client.ask("dXNlcg==")
    assert challenge == "334 UGFzc3dvcmQ6"
    expected = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."
    assert client.ask("cGFzc3dvcmQ=") == expected


DISABLED = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the {}. "
    "Visit https://aka.ms/smtp_auth_disabled for more information."
)


def test_smtp_auth_can_be_switched_off_for_a_mailbox(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"smtp_auth_enabled": False}})
    assert auth(server, NOREPLY, token()) == DISABLED.format("Mailbox")


def test_smtp_auth_can_be_switched_off_for_the_tenant(server: RunningExchange) -> None:
    server.control(smtp_auth_enabled=False)
    assert auth(server, NOREPLY, token()) == DISABLED.format("Tenant")


def test_the_mailboxs_own_switch_wins(server: RunningExchange) -> None:
    server.control(smtp_auth_enabled=False, mailboxes={NOREPLY: {"smtp_auth_enabled": True}})
    assert auth(server, NOREPLY, token()) == SUCCESS


def test_a_second_auth_is_out_of_place(server: RunningExchange) -> None:
    assert server.client().enter().ask("AUTH XOAUTH2 eA==") == "503 5.5.1 Bad sequence of commands"


def test_mail_before_auth_is_refused(server: RunningExchange) -> None:
    client = server.client().greet()
    assert client.ask("MAIL FROM:<a@b.example>") == "530 5.7.57 Client not authenticated to send mail."


def test_no_token_is_in_what_the_server_tells(server: RunningExchange) -> None:
    secret = token(aud="https://graph.microsoft.com")
    auth(server, NOREPLY, secret)
    assert secret not in json.dumps(server.call(server.exchange.describe))
