from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from shared import mail_config
from shared.config_tables import is_https
from shared.core.address import Address
from shared.core.events import OPT_IN
from shared.core.sender import Limits, Sender, SmtpServer
from shared.core.service import CLOUDS, CredentialKind, Microsoft, Service

if TYPE_CHECKING:
    from shared.mail_config import MailConfig

SERVICE = """
[services.microsoft]
type = "microsoft"
tenant = "contoso.onmicrosoft.com"
client_id = "client-id"
"""
SENDER = """
[senders.noreply]
service = "microsoft"
mailbox = "noreply@contoso.com"
"""
GOOD = SERVICE + SENDER
MICROSOFT = Service(
    "microsoft",
    "client-id",
    Microsoft("contoso.onmicrosoft.com", "https://login.microsoftonline.com/contoso.onmicrosoft.com"),
)
NOREPLY = Sender(
    name="noreply",
    service="microsoft",
    mailbox="noreply@contoso.com",
    from_address=Address("noreply", "contoso.com"),
    smtp=SmtpServer("smtp.office365.com"),
)


def read(text: str) -> MailConfig:
    problems: list[str] = []
    found = mail_config.read(tomllib.loads(text), "mail.toml", problems)
    assert problems == []
    return found


def problems(text: str) -> list[str]:
    found: list[str] = []
    mail_config.read(tomllib.loads(text), "mail.toml", found)
    assert all(problem.startswith("mail.toml: ") for problem in found)
    return [problem.removeprefix("mail.toml: ") for problem in found]


def test_the_least_that_can_be_written_takes_exchange_onlines_defaults() -> None:
    assert read(GOOD) == mail_config.MailConfig({"microsoft": MICROSOFT}, {"noreply": NOREPLY}, frozenset())


def test_everything_that_can_be_written_is_read() -> None:
    found = read(
        """
        operators = ["ops@contoso.com", "Ada <ada@fabrikam.example>"]

        [services.emulator]
        type = "microsoft"
        tenant = "11111111-2222-4333-8444-555555555555"
        client_id = "client-id"
        grant = "delegated"
        credential = "secret"
        cloud = "public"
        authority = "https://localhost:7072/11111111-2222-4333-8444-555555555555/"

        [senders.reports]
        service = "emulator"
        mailbox = "reports@contoso.com"
        sign_in_as = "svc-mail@contoso.com"
        from = "Größe <reports@contoso.com>"
        also_from = ["billing@contoso.com", "Orders <orders@bücher.example>"]
        default = true

        [senders.reports.smtp]
        host = "localhost"
        port = 2525

        [senders.reports.limits]
        messages_per_minute = 1
        connections = 2
        recipients_per_message = 3
        recipients_per_day = 4
        max_message_bytes = 5

        [events]
        accepted = true
        deferred = true
        """
    )
    assert found.opted_in == {"mail.accepted", "mail.deferred"}
    assert found.operators == (Address("ops", "contoso.com"), Address("ada", "fabrikam.example", "Ada"))
    assert found.services == {
        "emulator": Service(
            "emulator",
            "client-id",
            Microsoft(
                "11111111-2222-4333-8444-555555555555",
                "https://localhost:7072/11111111-2222-4333-8444-555555555555",
                authority_is_known=False,
            ),
        )
    }
    assert found.senders == {
        "reports": Sender(
            name="reports",
            service="emulator",
            mailbox="reports@contoso.com",
            from_address=Address("reports", "contoso.com", "Größe"),
            smtp=SmtpServer("localhost", 2525),
            sign_in_as="svc-mail@contoso.com",
            also_from=(
                Address("billing", "contoso.com"),
                Address("orders", "xn--bcher-kva.example", "Orders"),
            ),
            limits=Limits(1, 2, 3, 4, 5),
            default=True,
        )
    }


@pytest.mark.parametrize(
    "tenant", ["common", "organizations", "contoso.com", "11111111-2222-4333-8444-555555555555"]
)
def test_a_tenant_is_an_id_a_domain_or_a_word_of_entras(tenant: str) -> None:
    services = read(GOOD.replace("contoso.onmicrosoft.com", tenant)).services
    assert services["microsoft"].provider == Microsoft(tenant, f"https://login.microsoftonline.com/{tenant}")


def test_several_senders_keep_their_order() -> None:
    text = f"{GOOD}{SENDER.replace('noreply', 'billing')}{SENDER.replace('noreply', 'alerts')}"
    assert list(read(text).senders) == ["noreply", "billing", "alerts"]


# What a sender's service decides.

CUSTOM = """
[services.other]
type = "custom"
client_id = "client-id"
authorization_endpoint = "https://a.example/authorize"
token_endpoint = "https://a.example/token"
offline_scopes = "mail.send offline_access"
"""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_mail_is_handed_over_where_the_cloud_has_it(cloud: str) -> None:
    written = f'{SERVICE}cloud = "{cloud}"\n{SENDER}'
    assert read(written).senders["noreply"].smtp == SmtpServer(CLOUDS[cloud].smtp_host)
    elsewhere = f'{written}smtp.host = "localhost"\n'
    assert read(elsewhere).senders["noreply"].smtp == SmtpServer("localhost")


def test_where_another_providers_mail_is_handed_over_must_be_written() -> None:
    sender = SENDER.replace('"microsoft"', '"other"')
    assert problems(CUSTOM + sender) == ["senders.noreply.smtp.host: it is missing"]
    assert problems(f"{CUSTOM}{sender}smtp.port = 2525") == ["senders.noreply.smtp.host: it is missing"]
    found = read(f'{CUSTOM}{sender}smtp.host = "smtp.a.example"\n')
    assert found.senders["noreply"].smtp == SmtpServer("smtp.a.example", 587)


def test_nobody_signs_in_where_the_application_sends_by_itself() -> None:
    written = f'{SERVICE}grant = "app"\n{SENDER}'
    assert read(written).senders["noreply"].consenting_account == "noreply@contoso.com"
    assert problems(f"{written}sign_in_as = 'svc-mail@contoso.com'") == [
        'senders.noreply.sign_in_as: nobody signs in: microsoft has grant = "app"; leave it out'
    ]


def test_a_sender_of_a_service_that_is_wrong_is_read_all_the_same() -> None:
    assert problems(f"{SERVICE}cloud = 'moon'\n{SENDER}color = 1") == [
        'services.microsoft.cloud: "moon" is not known here; write one of "public", "usgov", "dod", "china"',
        f"senders.noreply.color: it is not known here; known are {SENDER_KEYS}",
    ]


def test_names_that_differ_in_case_alone_are_refused() -> None:
    senders = SENDER + SENDER.replace("noreply]", "NoReply]")
    apart = "differ in case alone, which Key Vault does not tell apart"
    assert problems(SERVICE + senders) == [f"senders: noreply and NoReply {apart}"]
    services = SERVICE + SERVICE.replace(".microsoft]", ".Microsoft]")
    assert problems(services + SENDER) == [f"services: microsoft and Microsoft {apart}"]


# Who operates the deployment.


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("'ops@contoso.com'", "operators: it is not a list of addresses"),
        ("[1]", "operators: it is not a list of addresses"),
        ("{}", "operators: it is not a list of addresses"),
        ("['a@contoso.com', 'x']", 'operators[1]: "x" is not an address: there is no @ in it'),
    ],
)
def test_operators_are_a_list_of_addresses(written: str, said: str) -> None:
    assert problems(f"operators = {written}\n{GOOD}") == [said]


def test_operators_may_be_nobody() -> None:
    assert read(f"operators = []\n{GOOD}").operators == ()


SERVICE_KEYS = "type, client_id, grant, tenant, credential, cloud, authority"
SENDER_KEYS = "service, mailbox, sign_in_as, from, also_from, default, smtp, limits"
LIMIT_KEYS = "messages_per_minute, connections, recipients_per_message, recipients_per_day, max_message_bytes"
NO_NAME = "it is not a table whose name has letters, digits and - only"
WRONG = [
    ("", ["[services.<name>] is missing", "[senders.<name>] is missing"]),
    ("services = 1\nsenders = []", ["[services.<name>] is missing", "[senders.<name>] is missing"]),
    ("[services]\n[senders]", ["[services.<name>] is missing", "[senders.<name>] is missing"]),
    (f"sender = 1\n{GOOD}", ["sender: it is not known here; known are services, senders, events, operators"]),
    (f'[services]\n"a b" = {{}}\n{GOOD}', [f"services.a b: {NO_NAME}"]),
    (f"[services]\nother = 1\n{GOOD}", [f"services.other: {NO_NAME}"]),
    (f"[senders]\nother = 1\n{GOOD}", [f"senders.other: {NO_NAME}"]),
    (f"[senders]\na_b = {{}}\n{GOOD}", [f"senders.a_b: {NO_NAME}"]),
    # A service.
    (
        f"{SERVICE}scope = 'x'\n{SENDER}",
        [f"services.microsoft.scope: it is not known here; known are {SERVICE_KEYS}"],
    ),
    (
        f"{SERVICE}authority = 'http://a.example'\n{SENDER}",
        ["services.microsoft.authority: it is not an https:// address"],
    ),
    (
        f"{SERVICE}authority = 'https://['\n{SENDER}",
        ["services.microsoft.authority: it is not an https:// address"],
    ),
    (
        f"{SERVICE}authority = ''\n{SENDER}",
        [
            "services.microsoft.authority: it is missing",
        ],
    ),
    (f"{SERVICE}grant = 1\n{SENDER}", ["services.microsoft.grant: it is not a string"]),
    (f"{SERVICE}cloud = ''\n{SENDER}", ["services.microsoft.cloud: it is missing"]),
    (
        GOOD.replace("contoso.onmicrosoft.com", "contoso com"),
        ["services.microsoft.tenant: it is neither a tenant id nor a domain"],
    ),
    (
        GOOD.replace("contoso.onmicrosoft.com", "../common"),
        ["services.microsoft.tenant: it is neither a tenant id nor a domain"],
    ),
    (
        f"[services.microsoft]\n{SENDER}",
        [
            "services.microsoft.type: it is missing",
            "services.microsoft.client_id: it is missing",
            "services.microsoft.tenant: it is missing",
        ],
    ),
    # A sender.
    (
        f"{SERVICE}[senders.noreply]",
        ["senders.noreply.service: it is missing", "senders.noreply.mailbox: it is missing"],
    ),
    (f"{GOOD}color = 1", [f"senders.noreply.color: it is not known here; known are {SENDER_KEYS}"]),
    (
        GOOD.replace('service = "microsoft"', 'service = "other"'),
        ["senders.noreply.service: there is no [services.other]"],
    ),
    (
        GOOD.replace("noreply@contoso.com", "noreply"),
        [
            'senders.noreply.mailbox: "noreply" is not an address: there is no @ in it',
            'senders.noreply.from: "noreply" is not an address: there is no @ in it',
        ],
    ),
    (
        f"{GOOD}sign_in_as = 'ada'",
        ['senders.noreply.sign_in_as: "ada" is not an address: there is no @ in it'],
    ),
    (f"{GOOD}sign_in_as = 1", ["senders.noreply.sign_in_as: it is not a string"]),
    (f"{GOOD}from = ''", ["senders.noreply.from: it is missing"]),
    (f"{GOOD}from = ['a@contoso.com']", ["senders.noreply.from: it is not a string"]),
    (f"{GOOD}from = 'a, b'", ['senders.noreply.from: "a, b" is not an address: there is no @ in it']),
    (f"{GOOD}also_from = 'a@contoso.com'", ["senders.noreply.also_from: it is not a list of addresses"]),
    (f"{GOOD}also_from = [1]", ["senders.noreply.also_from: it is not a list of addresses"]),
    (
        f"{GOOD}also_from = ['a@contoso.com', 'b']",
        ['senders.noreply.also_from[1]: "b" is not an address: there is no @ in it'],
    ),
    (f"{GOOD}default = 'yes'", ["senders.noreply.default: it is neither true nor false"]),
    (f"{GOOD}default = 1", ["senders.noreply.default: it is neither true nor false"]),
    # Its server and limits.
    (f"{GOOD}smtp = 'localhost'", ["senders.noreply.smtp: it is not a table"]),
    (f"{GOOD}smtp.tls = false", ["senders.noreply.smtp.tls: it is not known here; known are host, port"]),
    (f"{GOOD}smtp.host = ''", ["senders.noreply.smtp.host: it is missing"]),
    (f"{GOOD}smtp.host = 1", ["senders.noreply.smtp.host: it is not a string"]),
    *[
        (f"{GOOD}smtp.port = {port}", ["senders.noreply.smtp.port: it is not a port number"])
        for port in ("0", "65536", "-1", "'587'", "true", "587.0")
    ],
    (f"{GOOD}limits = 3", ["senders.noreply.limits: it is not a table"]),
    (
        f"{GOOD}limits.per_hour = 3",
        [f"senders.noreply.limits.per_hour: it is not known here; known are {LIMIT_KEYS}"],
    ),
    *[
        (
            f"{GOOD}limits.connections = {number}",
            ["senders.noreply.limits.connections: it is not a whole number above 0"],
        )
        for number in ("0", "-1", "'3'", "true", "1.5")
    ],
    # Events.
    (
        f"{GOOD}\n[events]\nrejected = true",
        ["events.rejected: it is not known here; known are accepted, deferred"],
    ),
    (f"{GOOD}\n[events]\naccepted = 1", ["events.accepted: it is neither true nor false"]),
    (f"{GOOD}\n[events]\ndeferred = 'yes'", ["events.deferred: it is neither true nor false"]),
    (f"events = true\n{GOOD}", ["events: it is not a table"]),
    # All of them.
    (
        f"{GOOD}default = true\n{SENDER.replace('noreply', 'billing')}default = true",
        ["senders: noreply and billing are both the default; keep one"],
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[0] for _, said in WRONG])
def test_what_is_wrong_is_named_with_its_place(text: str, said: list[str]) -> None:
    assert problems(text) == said


@pytest.mark.parametrize(
    ("text", "opted_in"),
    [
        ("", set()),
        ("[events]", set()),
        ("[events]\naccepted = true", {"mail.accepted"}),
        ("[events]\naccepted = false\ndeferred = true", {"mail.deferred"}),
    ],
)
def test_events_that_are_many_are_told_only_where_they_are_asked_for(text: str, opted_in: set[str]) -> None:
    assert read(f"{GOOD}\n{text}").opted_in == opted_in


def test_what_can_be_asked_for_is_what_the_events_say_it_is() -> None:
    assert mail_config.OPT_IN == OPT_IN


@pytest.mark.parametrize("text", ["Ada <ada@contoso.com>", " ada@contoso.com", "<ada@contoso.com>"])
@pytest.mark.parametrize("key", ["mailbox", "sign_in_as"])
def test_an_account_is_a_bare_address(key: str, text: str) -> None:
    written = GOOD.replace("noreply@contoso.com", text) if key == "mailbox" else f"{GOOD}{key} = '{text}'"
    assert problems(written) == [
        f'senders.noreply.{key}: "{text}" is more than an address; write ada@contoso.com'
    ]


def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert problems(
        """
        operators = ["z"]

        [services.microsoft]
        type = "other"
        tenant = 1

        [senders.a]
        service = "other"
        mailbox = "x"
        from = "a@contoso.com"
        smtp.port = 0
        limits.connections = 0

        [senders.b]
        service = "microsoft"
        mailbox = "b@contoso.com"
        also_from = ["y"]
        """
    ) == [
        'services.microsoft.type: "other" is not known here; write "microsoft" or "custom"',
        "services.microsoft.client_id: it is missing",
        "services.microsoft.tenant: it is not a string",
        "senders.a.service: there is no [services.other]",
        'senders.a.mailbox: "x" is not an address: there is no @ in it',
        "senders.a.smtp.port: it is not a port number",
        "senders.a.limits.connections: it is not a whole number above 0",
        'senders.b.also_from[0]: "y" is not an address: there is no @ in it',
        'operators[0]: "z" is not an address: there is no @ in it',
    ]


def test_three_settings_stand_for_one_default_sender() -> None:
    environ = {"OAUTH_TENANT_ID": "contoso.com", "OAUTH_CLIENT_ID": "id", "MAILBOX": "noreply@contoso.com"}
    found: list[str] = []
    read = mail_config.read(mail_config.single_sender(environ), "the environment", found)
    assert found == []
    assert list(read.services) == ["microsoft"]
    assert [(sender.name, sender.mailbox, sender.default) for sender in read.senders.values()] == [
        ("default", "noreply@contoso.com", True)
    ]


@pytest.mark.parametrize("kind", list(CredentialKind))
def test_one_sender_may_prove_itself_and_sign_in_in_every_way(kind: CredentialKind) -> None:
    environ = {
        "OAUTH_TENANT_ID": "contoso.com",
        "OAUTH_CLIENT_ID": "id",
        "MAILBOX": "reports@contoso.com",
        "OAUTH_CREDENTIAL": kind.value,
        "SIGN_IN_AS": "svc-mail@contoso.com",
    }
    found: list[str] = []
    read = mail_config.read(mail_config.single_sender(environ), "the environment", found)
    assert found == []
    assert read.services["microsoft"].credential is kind
    sender = read.senders["default"]
    assert (sender.mailbox, sender.consenting_account) == ("reports@contoso.com", "svc-mail@contoso.com")


def test_one_sender_has_a_secret_and_signs_in_itself_where_nothing_else_is_said() -> None:
    environ = {"OAUTH_TENANT_ID": "contoso.com", "OAUTH_CLIENT_ID": "id", "MAILBOX": "noreply@contoso.com"}
    for more in ({}, {"OAUTH_CREDENTIAL": "", "SIGN_IN_AS": ""}):
        read = mail_config.read(mail_config.single_sender(environ | more), "the environment", [])
        assert read.services["microsoft"].credential is CredentialKind.SECRET
        assert read.senders["default"].consenting_account == "noreply@contoso.com"


@pytest.mark.parametrize(
    ("url", "https"),
    [
        ("https://a.example", True),
        ("https://a.example:8443/path", True),
        ("HTTPS://a.example", True),
        ("http://a.example", False),
        ("https:a.example", False),
        ("//a.example", False),
        ("https://[::1", False),
        ("https://a.example:99999", False),
        ("https://ä.example", False),
        ("", False),
    ],
)
def test_an_https_address_names_a_host(url: str, *, https: bool) -> None:
    assert is_https(url) is https
