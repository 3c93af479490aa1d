from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared import settings
from shared.core.address import Address
from shared.core.sender import Sender, SmtpServer
from shared.core.service import Microsoft, Service
from shared.errors import SettingsError
from shared.settings import STORAGE, Bindings, Settings, Storage, Vault, bindings, load, load_storage

CANARY = "c4n4ry"
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={CANARY};"
GOOD = {
    STORAGE: CONNECTION,
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "PUBLIC_URL": "https://mail.contoso.com",
    "OAUTH_TENANT_ID": "contoso.com",
    "OAUTH_CLIENT_ID": "client-id",
    "MAILBOX": "noreply@contoso.com",
}
NOWHERE = Path("no-such-folder")
NO_MAIL_TOML = (
    f"MAIL_CONFIG: there is no file {NOWHERE / 'mail.toml'}; write one, "
    "or set OAUTH_TENANT_ID, OAUTH_CLIENT_ID and MAILBOX"
)
NO_STORAGE = (
    f"{STORAGE}: set it to a connection string, or set {STORAGE}__accountName or {STORAGE}__queueServiceUri",
    f"{STORAGE}: set it to a connection string, or set {STORAGE}__accountName or {STORAGE}__tableServiceUri",
    f"{STORAGE}: set it to a connection string, or set {STORAGE}__accountName or {STORAGE}__blobServiceUri",
)


def loaded(**changes: str) -> Settings:
    return load({**GOOD, **changes}, root=NOWHERE)


def without(*names: str, **changes: str) -> dict[str, str]:
    return {name: value for name, value in {**GOOD, **changes}.items() if name not in names}


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        load(environ, root=NOWHERE)
    return refused.value.problems


def test_six_settings_are_enough_for_one_sender() -> None:
    assert loaded() == Settings(
        Storage(connection_string=CONNECTION),
        Vault("https://contoso.vault.azure.net"),
        "https://mail.contoso.com",
        {
            "microsoft": Service(
                "microsoft",
                "client-id",
                Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com"),
            )
        },
        {
            "default": Sender(
                name="default",
                service="microsoft",
                mailbox="noreply@contoso.com",
                from_address=Address("noreply", "contoso.com"),
                smtp=SmtpServer("smtp.office365.com", 587),
                default=True,
            )
        },
        frozenset(),
        (),
        timedelta(days=30),
        Bindings("outbox", "mail-events", "0 */15 * * * *", "0 * * * * *"),
    )


def test_every_problem_is_named_at_once() -> None:
    wrong = {
        "KEY_VAULT_VERIFY_CHALLENGE": "maybe",
        "OUTBOX_QUEUE": "Out Box",
        "LEDGER_RETENTION_DAYS": "a month",
    }
    assert problems(wrong) == (
        *NO_STORAGE,
        "KEY_VAULT_URL: it is missing; write the vault's address, https://<name>.vault.azure.net",
        "KEY_VAULT_VERIFY_CHALLENGE: write true, or false for an emulator",
        "PUBLIC_URL: it is missing; write the address at which people reach this app",
        "OUTBOX_QUEUE: a queue's name has 3 to 56 lower-case letters, digits and single hyphens",
        NO_MAIL_TOML,
        "LEDGER_RETENTION_DAYS: write a number of days from 1 to 3650",
    )


def test_one_message_says_all_of_it() -> None:
    with pytest.raises(SettingsError) as refused:
        load(without("KEY_VAULT_URL", "PUBLIC_URL"), root=NOWHERE)
    assert "KEY_VAULT_URL: it is missing" in str(refused.value)
    assert "PUBLIC_URL: it is missing" in str(refused.value)


def test_the_three_settings_of_one_sender_are_named_where_one_is_missing() -> None:
    three = "OAUTH_TENANT_ID, OAUTH_CLIENT_ID, MAILBOX"
    assert problems(without("OAUTH_TENANT_ID", "OAUTH_CLIENT_ID")) == (
        f"{three}: services.microsoft.client_id: it is missing",
        f"{three}: services.microsoft.tenant: it is missing",
    )
    assert problems(without(MAILBOX="noreply")) == (
        f'{three}: senders.default.mailbox: "noreply" is not an address: there is no @ in it',
        f'{three}: senders.default.from: "noreply" is not an address: there is no @ in it',
    )


# Storage.


def test_a_connection_string_stands_for_every_service() -> None:
    assert load_storage({STORAGE: CONNECTION, "AZURE_CLIENT_ID": "id"}) == Storage(CONNECTION)


@pytest.mark.parametrize(
    "text",
    [
        "QueueEndpoint=https://q.example;TableEndpoint=https://t.example;SharedAccessSignature=sv=x&sig=y",
        "AccountName=contoso;SharedAccessSignature=sv=x",
        "accountname=contoso; accountkey=x==;EndpointSuffix=core.chinacloudapi.cn",
    ],
)
def test_a_connection_string_may_be_written_in_other_ways(text: str) -> None:
    assert load_storage({STORAGE: text}).connection_string == text


@pytest.mark.parametrize("text", ["UseDevelopmentStorage=true", " usedevelopmentstorage=TRUE; "])
def test_the_short_form_for_the_emulator_is_spelled_out(text: str) -> None:
    found = load_storage({STORAGE: text}).connection_string
    assert found.startswith(
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02x"
    )
    for port, kind in ((10000, "Blob"), (10001, "Queue"), (10002, "Table")):
        assert f";{kind}Endpoint=http://127.0.0.1:{port}/devstoreaccount1;" in found


@pytest.mark.parametrize(
    "text", [CANARY, f"key={CANARY}", f"AccountKey={CANARY}", f"AccountName={CANARY}", f";;{CANARY}="]
)
def test_what_is_no_connection_string_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_storage({STORAGE: text})
    assert refused.value.problems == (
        f"{STORAGE}: it is not a connection string with an account and its key",
    )
    assert CANARY not in f"{refused.value!r} {refused.value}"


QUEUE, TABLE, BLOB = (f"https://contoso.{kind}.core.windows.net" for kind in ("queue", "table", "blob"))


@pytest.mark.parametrize(
    ("environ", "storage"),
    [
        ({"__accountName": "contoso"}, Storage("", QUEUE, TABLE, BLOB)),
        (
            {
                "__queueServiceUri": "https://q.example",
                "__tableServiceUri": "https://t.example",
                "__blobServiceUri": "https://b.example",
            },
            Storage("", "https://q.example", "https://t.example", "https://b.example"),
        ),
        (
            {"__accountName": "contoso", "__tableServiceUri": "https://t.example"},
            Storage("", QUEUE, "https://t.example", BLOB),
        ),
        (
            {"__accountName": "contoso", "__blobServiceUri": "https://b.example"},
            Storage("", QUEUE, TABLE, "https://b.example"),
        ),
        ({"__accountName": "contoso", "__clientId": "own"}, Storage("", QUEUE, TABLE, BLOB, "own")),
    ],
)
def test_storage_may_be_named_for_an_identity(environ: dict[str, str], storage: Storage) -> None:
    assert load_storage({f"{STORAGE}{name}": value for name, value in environ.items()}) == storage


def test_the_identity_is_the_apps_own_unless_storage_has_another() -> None:
    account = {f"{STORAGE}__accountName": "contoso", "AZURE_CLIENT_ID": "the-app"}
    assert load_storage(account).identity_client_id == "the-app"
    assert load_storage({**account, f"{STORAGE}__clientId": "own"}).identity_client_id == "own"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, NO_STORAGE),
        ({STORAGE: ""}, NO_STORAGE),
        ({f"{STORAGE}__queueServiceUri": "https://q.example"}, NO_STORAGE[1:]),
        (
            {f"{STORAGE}__accountName": "a b"},
            tuple(
                f"{STORAGE}: the address of its {kind} is not an https:// one"
                for kind in ("queues", "tables", "blobs")
            ),
        ),
        (
            {f"{STORAGE}__accountName": "contoso", f"{STORAGE}__tableServiceUri": "http://t.example"},
            (f"{STORAGE}: the address of its tables is not an https:// one",),
        ),
    ],
)
def test_storage_that_cannot_be_found_is_refused(environ: dict[str, str], said: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_storage(environ)
    assert refused.value.problems == said


# The vault.


@pytest.mark.parametrize(
    ("changes", "vault"),
    [
        ({"KEY_VAULT_URL": "https://contoso.vault.azure.net/"}, Vault("https://contoso.vault.azure.net")),
        ({"KEY_VAULT_URL": "https://localhost:7073"}, Vault("https://localhost:7073")),
        ({"KEY_VAULT_VERIFY_CHALLENGE": "False"}, Vault(GOOD["KEY_VAULT_URL"], verify_challenge=False)),
        ({"KEY_VAULT_VERIFY_CHALLENGE": ""}, Vault(GOOD["KEY_VAULT_URL"], verify_challenge=True)),
        ({"AZURE_CLIENT_ID": "id"}, Vault(GOOD["KEY_VAULT_URL"], identity_client_id="id")),
    ],
)
def test_the_vault_is_found(changes: dict[str, str], vault: Vault) -> None:
    assert loaded(**changes).vault == vault


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://contoso.vault.azure.net/", "contoso"),
        ("https://Contoso-2.vault.azure.cn", "contoso-2"),
        ("https://localhost:7073", "localhost"),
    ],
)
def test_the_vaults_name_is_what_the_azure_cli_takes(url: str, name: str) -> None:
    assert loaded(KEY_VAULT_URL=url).vault_name == name


NO_ADDRESSES = [
    "contoso",
    "contoso.vault.azure.net",
    "https://",
    "https://[",
    "https://a:b",
    "https://a b.example",
    "https://user:pass@a.example",
]


@pytest.mark.parametrize("url", ["http://contoso.vault.azure.net", *NO_ADDRESSES])
def test_a_vault_without_an_https_address_is_refused(url: str) -> None:
    assert problems(without(KEY_VAULT_URL=url)) == ("KEY_VAULT_URL: it is not an https:// address",)


@pytest.mark.parametrize("value", ["0", "no", "yes"])
def test_the_challenge_is_verified_or_not_and_nothing_between(value: str) -> None:
    assert problems(without(KEY_VAULT_VERIFY_CHALLENGE=value)) == (
        "KEY_VAULT_VERIFY_CHALLENGE: write true, or false for an emulator",
    )


# The app's own address.


@pytest.mark.parametrize(
    ("changes", "url", "https"),
    [
        ({"PUBLIC_URL": "https://mail.contoso.com/"}, "https://mail.contoso.com", True),
        ({"PUBLIC_URL": "https://contoso.com/mail/"}, "https://contoso.com/mail", True),
        ({"PUBLIC_URL": "http://localhost:7071"}, "http://localhost:7071", False),
        ({"PUBLIC_URL": "http://127.0.0.1:7071"}, "http://127.0.0.1:7071", False),
        ({"PUBLIC_URL": "http://[::1]:7071"}, "http://[::1]:7071", False),
        (
            {"PUBLIC_URL": "", "WEBSITE_HOSTNAME": "app.azurewebsites.net"},
            "https://app.azurewebsites.net",
            True,
        ),
        ({"PUBLIC_URL": "", "WEBSITE_HOSTNAME": "localhost:7071"}, "http://localhost:7071", False),
        ({"WEBSITE_HOSTNAME": "app.azurewebsites.net"}, "https://mail.contoso.com", True),
    ],
)
def test_the_public_url_is_written_or_azures_own(changes: dict[str, str], url: str, *, https: bool) -> None:
    found = loaded(**changes)
    assert found.public_url == url
    assert found.redirect_uri == f"{url}/api/oauth/redirect"
    assert found.consent_url("noreply") == f"{url}/api/oauth/start/noreply"
    assert found.connected_url == f"{url}/api/oauth/connected"
    assert found.uses_https is https


@pytest.mark.parametrize(
    "url",
    [*NO_ADDRESSES, "ftp://a.example", "https://a.example?x=1", "https://a.example#x", "https://a.example\n"],
)
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    assert problems(without(PUBLIC_URL=url)) == (
        "PUBLIC_URL: it is not an address such as https://mail.contoso.com",
    )


@pytest.mark.parametrize("url", ["http://mail.contoso.com", "http://192.0.2.1", "http://localhost.example"])
def test_a_public_url_without_tls_is_for_this_machine_alone(url: str) -> None:
    assert problems(without(PUBLIC_URL=url)) == (
        "PUBLIC_URL: it must begin with https://; plain http is for this machine alone",
    )


# What the triggers are bound to.


def test_bindings_have_defaults_and_never_fail() -> None:
    assert bindings({}) == Bindings("outbox", "mail-events", "0 */15 * * * *", "0 * * * * *")
    named = {
        "OUTBOX_QUEUE": "mine",
        "EVENTS_QUEUE": "theirs",
        "UPKEEP_SCHEDULE": "0 0 * * * *",
        "RELEASE_SCHEDULE": "*/30 * * * * *",
    }
    assert bindings(named) == Bindings("mine", "theirs", "0 0 * * * *", "*/30 * * * * *")
    assert bindings(named).poison == "mine-poison"
    assert bindings({"OUTBOX_QUEUE": ""}).outbox == "outbox"


def test_settings_know_their_queues() -> None:
    assert loaded(OUTBOX_QUEUE="a" * 56).bindings.outbox == "a" * 56


@pytest.mark.parametrize("setting", ["OUTBOX_QUEUE", "EVENTS_QUEUE"])
@pytest.mark.parametrize(
    "name", ["ab", "a" * 57, "Outbox", "out_box", "-outbox", "outbox-", "out--box", "out\nbox"]
)
def test_a_name_that_no_queue_can_have_is_refused(setting: str, name: str) -> None:
    assert problems(without(**{setting: name})) == (
        f"{setting}: a queue's name has 3 to 56 lower-case letters, digits and single hyphens",
    )


@pytest.mark.parametrize("name", ["outbox", "outbox-poison"])
def test_events_do_not_go_where_messages_come_from(name: str) -> None:
    assert problems(without(EVENTS_QUEUE=name)) == (
        "EVENTS_QUEUE: it names the queue of the messages; events need one of their own",
    )


# How long the ledger keeps what is settled.


@pytest.mark.parametrize(("value", "days"), [("", 30), ("1", 1), ("90", 90), ("3650", 3650), ("007", 7)])
def test_the_ledger_keeps_settled_messages_for_as_many_days_as_are_written(value: str, days: int) -> None:
    assert loaded(LEDGER_RETENTION_DAYS=value).ledger_retention == timedelta(days=days)


@pytest.mark.parametrize("value", ["0", "-1", "3651", "1.5", "30 days", "٣", "1e1", " 5", "9" * 5000])
def test_a_number_of_days_that_is_none_is_refused(value: str) -> None:
    assert problems(without(LEDGER_RETENTION_DAYS=value)) == (
        "LEDGER_RETENTION_DAYS: write a number of days from 1 to 3650",
    )


# mail.toml.

MAIL_TOML = """
[services.microsoft]
type = "microsoft"
tenant = "contoso.com"
client_id = "client-id"

[senders.billing]
service = "microsoft"
mailbox = "billing@contoso.com"
"""
WITHOUT_MAILBOX = without("MAILBOX", "OAUTH_TENANT_ID", "OAUTH_CLIENT_ID")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_mail_toml_stands_beside_the_app(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "mail.toml").write_bytes(start + MAIL_TOML.encode())
    assert list(load(WITHOUT_MAILBOX, root=tmp_path).senders) == ["billing"]


def test_mail_toml_says_which_events_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "mail.toml").write_text(f"{MAIL_TOML}[events]\naccepted = true\n", encoding="utf-8")
    assert load(WITHOUT_MAILBOX, root=tmp_path).opted_in == {"mail.accepted"}
    assert loaded().opted_in == frozenset()


def test_mail_toml_says_who_operates_the_deployment(tmp_path: Path) -> None:
    text = f'operators = ["Ops <ops@contoso.com>"]\n{MAIL_TOML}'
    (tmp_path / "mail.toml").write_text(text, encoding="utf-8")
    assert load(WITHOUT_MAILBOX, root=tmp_path).operators == (Address("ops", "contoso.com", "Ops"),)
    assert loaded().operators == ()


def test_problems_of_the_environment_and_of_every_table_are_one_message(tmp_path: Path) -> None:
    text = 'operators = ["x"]\n[services.a]\ntype = "custom"\n[senders.b]\nservice = "a"\n'
    (tmp_path / "mail.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load({**WITHOUT_MAILBOX, "KEY_VAULT_URL": ""}, root=tmp_path)
    places = [problem.rpartition(": ")[0] for problem in refused.value.problems]
    assert places == [
        "KEY_VAULT_URL",
        "mail.toml: services.a.client_id",
        "mail.toml: services.a.authorization_endpoint",
        "mail.toml: services.a.token_endpoint",
        "mail.toml: services.a.offline_scopes",
        "mail.toml: senders.b.mailbox",
        'mail.toml: operators[0]: "x" is not an address',
    ]
    assert all(problem in str(refused.value) for problem in refused.value.problems)


def test_mail_toml_may_stand_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(MAIL_TOML, encoding="utf-8")
    assert list(load({**WITHOUT_MAILBOX, "MAIL_CONFIG": str(path)}, root=NOWHERE).senders) == ["billing"]


def test_a_mailbox_in_the_environment_needs_no_mail_toml(tmp_path: Path) -> None:
    (tmp_path / "mail.toml").write_text(MAIL_TOML, encoding="utf-8")
    assert list(load(GOOD, root=tmp_path).senders) == ["default"]


@pytest.mark.parametrize("content", [b"[services", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_mail_toml_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mail.toml").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load(WITHOUT_MAILBOX, root=tmp_path)
    assert [problem.partition(" it cannot be read: ")[0] for problem in refused.value.problems] == [
        "mail.toml:"
    ]


def test_a_folder_is_no_mail_toml(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{tmp_path.name}: it cannot be read: "):
        load({**WITHOUT_MAILBOX, "MAIL_CONFIG": str(tmp_path)}, root=NOWHERE)


def test_the_mail_toml_of_the_repository_can_be_used_once_it_has_a_client_id() -> None:
    root = Path(settings.__file__).parents[1]
    assert list(load(WITHOUT_MAILBOX, root=root).senders) == ["noreply"]


@pytest.mark.parametrize("credential", ["password", "Secret", " secret"])
def test_a_credential_of_one_sender_that_is_none_is_refused(credential: str) -> None:
    (said,) = problems(without(OAUTH_CREDENTIAL=credential))
    assert said.startswith("OAUTH_TENANT_ID, OAUTH_CLIENT_ID, MAILBOX: services.microsoft.credential: ")


def test_who_signs_in_for_one_sender_is_an_address() -> None:
    (said,) = problems(without(SIGN_IN_AS="svc-mail"))
    assert said.startswith("OAUTH_TENANT_ID, OAUTH_CLIENT_ID, MAILBOX: senders.default.sign_in_as: ")


TOLD_WHERE = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=0"}
TOLD_TO = "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        (TOLD_WHERE, False),
        ({TOLD_TO: "true"}, False),
        ({TOLD_TO: "true", "APPLICATIONINSIGHTS_CONNECTION_STRING": ""}, False),
        ({TOLD_TO: "false", **TOLD_WHERE}, False),
        ({TOLD_TO: "", **TOLD_WHERE}, False),
        ({TOLD_TO: "true", **TOLD_WHERE}, True),
        ({TOLD_TO: " True ", **TOLD_WHERE}, True),
        ({TOLD_TO: "1", **TOLD_WHERE}, True),
    ],
)
def test_telemetry_is_on_where_the_worker_is_told_to_and_where_to(
    environ: dict[str, str], *, on: bool
) -> None:
    assert settings.telemetry_is_on(environ) is on


def test_settings_print_no_secret() -> None:
    found = loaded()
    assert CANARY in found.storage.connection_string
    assert CANARY not in f"{found!r} {found} {found.storage!r}"
