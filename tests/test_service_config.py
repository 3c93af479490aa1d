from __future__ import annotations

import tomllib

import pytest

from shared.config_tables import TableReader
from shared.core.service import CLOUDS, PUBLIC, CredentialKind, Custom, GrantKind, Microsoft, Service
from shared.service_config import read_service

MICROSOFT = """
type = "microsoft"
tenant = "contoso.com"
client_id = "client-id"
"""
CUSTOM = """
type = "custom"
client_id = "client-id"
authorization_endpoint = "https://a.example/authorize"
token_endpoint = "https://a.example/token"
offline_scopes = "mail.send offline_access"
"""


def read_both(text: str, name: str = "main") -> tuple[Service | None, list[str]]:
    problems: list[str] = []
    found = read_service(TableReader("mail.toml", problems), name, tomllib.loads(text))
    return found, problems


def read(text: str) -> Service:
    found, problems = read_both(text)
    assert problems == []
    assert found is not None
    return found


def problems(text: str) -> list[str]:
    """Return what is said, without the place that is the same in all of it."""
    found, said = read_both(text)
    assert found is None
    assert said
    assert all(problem.startswith("mail.toml: services.main.") for problem in said)
    return [problem.removeprefix("mail.toml: services.main.") for problem in said]


# Microsoft.


def test_the_least_that_can_be_written_of_microsoft() -> None:
    assert read(MICROSOFT) == Service(
        "main",
        "client-id",
        Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com", PUBLIC),
        GrantKind.DELEGATED,
        CredentialKind.SECRET,
    )


@pytest.mark.parametrize("grant", GrantKind)
@pytest.mark.parametrize("credential", CredentialKind)
@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_every_grant_goes_with_every_credential_in_every_cloud(
    grant: GrantKind, credential: CredentialKind, cloud: object
) -> None:
    name = next(key for key, value in CLOUDS.items() if value is cloud)
    written = f'{MICROSOFT}grant = "{grant.value}"\ncredential = "{credential.value}"\ncloud = "{name}"\n'
    authority = f"https://{CLOUDS[name].login_host}/contoso.com"
    assert read(written) == Service(
        "main", "client-id", Microsoft("contoso.com", authority, CLOUDS[name]), grant, credential
    )


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_authority_that_is_written_wins_and_is_not_microsofts_to_know(cloud: str) -> None:
    written = f'{MICROSOFT}cloud = "{cloud}"\nauthority = "https://localhost:7072/contoso.com/"\n'
    assert read(written).provider == Microsoft(
        "contoso.com", "https://localhost:7072/contoso.com", CLOUDS[cloud], authority_is_known=False
    )


@pytest.mark.parametrize("tenant", ["organizations", "common", "consumers", "Organizations"])
def test_an_application_that_sends_by_itself_is_of_one_tenant(tenant: str) -> None:
    written = MICROSOFT.replace("contoso.com", tenant)
    assert read(written).tenant == tenant
    assert problems(f'{written}grant = "app"\n') == [
        'tenant: with grant = "app" it must be one tenant, by its id or a domain of it'
    ]


MICROSOFT_KEYS = "type, client_id, grant, tenant, credential, cloud, authority"
CUSTOM_KEYS = (
    "type, client_id, grant, credential, authorization_endpoint, token_endpoint, userinfo_endpoint, "
    "userpicture_endpoint, login_scopes, offline_scopes, authorize_params, user_fields, "
    "client_authentication"
)
ONE_OF = {
    "grant": '"delegated", "app"',
    "credential": '"secret", "certificate", "managed_identity"',
    "cloud": '"public", "usgov", "dod", "china"',
}
METHODS = '"client_secret_basic", "client_secret_post", "none"'
WRONG_MICROSOFT = [
    ('type = "Microsoft"', 'type: "Microsoft" is not known here; write "microsoft" or "custom"'),
    ("type = 1", "type: it is not a string"),
    ('type = ""', "type: it is missing"),
    ('client_id = ""', "client_id: it is missing"),
    ("client_id = 5", "client_id: it is not a string"),
    ('tenant = ""', "tenant: it is missing"),
    ("tenant = ['x']", "tenant: it is not a string"),
    *[
        (f"tenant = '{tenant}'", "tenant: it is neither a tenant id nor a domain")
        for tenant in ("contoso com", "../common", "contoso.com/", "https://contoso.com", ".com", "ä.example")
    ],
    *[
        (f"{key} = 'other'", f'{key}: "other" is not known here; write one of {ONE_OF[key]}')
        for key in ("grant", "credential", "cloud")
    ],
    *[(f"{key} = ''", f"{key}: it is missing") for key in ("grant", "credential", "cloud", "authority")],
    *[
        (f"{key} = true", f"{key}: it is not a string")
        for key in ("grant", "credential", "cloud", "authority")
    ],
    ("grant = 'Delegated'", f'grant: "Delegated" is not known here; write one of {ONE_OF["grant"]}'),
    *[
        (f"authority = '{url}'", "authority: it is not an https:// address")
        for url in ("http://a.example", "a.example", "https://", "https://u:p@a.example", "https://a b")
    ],
    *[
        (f"{key} = 'x'", f"{key}: it is not known here; known are {MICROSOFT_KEYS}")
        for key in ("client_secret", "Tenant", "token_endpoint", "offline_scopes", "authorize_params")
    ],
]


def changed(text: str, line: str) -> str:
    """Return the table with one line of it in the place of the one that has this key, or added."""
    key = line.partition(" =")[0]
    lines = [each for each in text.splitlines() if each.partition(" =")[0] != key]
    return "\n".join([*lines, line])


@pytest.mark.parametrize(("line", "said"), WRONG_MICROSOFT, ids=[line for line, _ in WRONG_MICROSOFT])
def test_what_is_wrong_with_a_service_of_microsofts_is_named(line: str, said: str) -> None:
    assert problems(changed(MICROSOFT, line)) == [said]


# Others.


def test_the_least_that_can_be_written_of_another_provider() -> None:
    assert read(CUSTOM) == Service(
        "main",
        "client-id",
        Custom(
            authorization_endpoint="https://a.example/authorize",
            token_endpoint="https://a.example/token",
            offline_scopes=("mail.send", "offline_access"),
        ),
    )


def test_all_that_can_be_written_of_another_provider() -> None:
    written = f"""
        {CUSTOM}
        grant = "delegated"
        credential = "certificate"
        userinfo_endpoint = "https://a.example/userinfo"
        userpicture_endpoint = "https://a.example/picture"
        login_scopes = " openid  email "
        authorize_params = {{ access_type = "offline", prompt = "consent" }}
        user_fields = {{ id = "Id", email = "EmailAddress", display_name = "DisplayName" }}
        client_authentication = "client_secret_post"
    """
    assert read(written) == Service(
        "main",
        "client-id",
        Custom(
            authorization_endpoint="https://a.example/authorize",
            token_endpoint="https://a.example/token",
            login_scopes=("openid", "email"),
            offline_scopes=("mail.send", "offline_access"),
            userinfo_endpoint="https://a.example/userinfo",
            userpicture_endpoint="https://a.example/picture",
            authorize_params={"access_type": "offline", "prompt": "consent"},
            user_fields={"id": "Id", "email": "EmailAddress", "display_name": "DisplayName"},
            client_authentication="client_secret_post",
        ),
        credential=CredentialKind.CERTIFICATE,
    )


def test_an_application_that_sends_by_itself_needs_a_token_endpoint_alone() -> None:
    written = 'type = "custom"\ngrant = "app"\nclient_id = "id"\ntoken_endpoint = "https://a.example/token"\n'
    assert read(written) == Service(
        "main", "id", Custom("", "https://a.example/token"), GrantKind.APP, CredentialKind.SECRET
    )


@pytest.mark.parametrize("key", ["authorization_endpoint", "token_endpoint", "offline_scopes", "client_id"])
def test_what_another_provider_cannot_do_without_is_named(key: str) -> None:
    lines = [line for line in CUSTOM.splitlines() if not line.startswith(key)]
    assert problems("\n".join(lines)) == [f"{key}: it is missing"]
    assert problems(changed(CUSTOM, f'{key} = ""')) == [f"{key}: it is missing"]


OURS = (
    "client_id",
    "redirect_uri",
    "request",
    "request_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
)


@pytest.mark.parametrize("name", OURS)
def test_what_binds_a_sign_in_to_its_browser_cannot_be_written_over(name: str) -> None:
    assert problems(f"{CUSTOM}authorize_params = {{ {name} = 'x', access_type = 'offline' }}") == [
        f"authorize_params.{name}: it is Sendoff's own to fill in; leave it out"
    ]


WRONG_CUSTOM = [
    *[
        (f"{key} = '{url}'", f"{key}: it is not an https:// address")
        for key in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "userpicture_endpoint")
        for url in ("http://a.example", "a.example/token", "https://u:p@a.example")
    ],
    *[
        (f"{key} = 1", f"{key}: it is not a string")
        for key in ("token_endpoint", "userinfo_endpoint", "login_scopes", "offline_scopes")
    ],
    ("login_scopes = ['openid']", "login_scopes: it is not a string"),
    *[
        (f"{key} = {value}", f"{key}: it is not a table of strings")
        for key in ("authorize_params", "user_fields")
        for value in ("'x'", "['x']", "{ email = 1 }", "{ email = { x = 'y' } }")
    ],
    (
        "user_fields = { name = 'x' }",
        "user_fields.name: it is not known here; known are id, email, display_name",
    ),
    (
        "client_authentication = 'private_key_jwt'",
        f'client_authentication: "private_key_jwt" is not known here; write one of {METHODS}',
    ),
    (
        "credential = 'managed_identity'",
        'credential: a managed identity proves itself to Microsoft alone; write "secret" or "certificate"',
    ),
    ("credential = 'other'", f'credential: "other" is not known here; write one of {ONE_OF["credential"]}'),
    *[
        (f"{key} = 'x'", f"{key}: it is not known here; known are {CUSTOM_KEYS}")
        for key in ("tenant", "cloud", "authority", "scope", "client_secret")
    ],
]


@pytest.mark.parametrize(("line", "said"), WRONG_CUSTOM, ids=[line for line, _ in WRONG_CUSTOM])
def test_what_is_wrong_with_another_providers_service_is_named(line: str, said: str) -> None:
    assert problems(changed(CUSTOM, line)) == [said]


# All of it.


def test_everything_that_is_wrong_with_a_service_is_said_at_once() -> None:
    assert problems(
        """
        type = "custom"
        grant = "other"
        credential = "managed_identity"
        tenant = "contoso.com"
        authorization_endpoint = "http://a.example"
        userinfo_endpoint = 1
        authorize_params = { state = "x", nonce = "y" }
        user_fields = { mail = "x" }
        client_authentication = "basic"
        """
    ) == [
        f"tenant: it is not known here; known are {CUSTOM_KEYS}",
        f'grant: "other" is not known here; write one of {ONE_OF["grant"]}',
        "client_id: it is missing",
        "authorize_params.state: it is Sendoff's own to fill in; leave it out",
        "authorize_params.nonce: it is Sendoff's own to fill in; leave it out",
        "user_fields.mail: it is not known here; known are id, email, display_name",
        "authorization_endpoint: it is not an https:// address",
        "token_endpoint: it is missing",
        "offline_scopes: it is missing",
        "userinfo_endpoint: it is not a string",
        f'client_authentication: "basic" is not known here; write one of {METHODS}',
        'credential: a managed identity proves itself to Microsoft alone; write "secret" or "certificate"',
    ]


@pytest.mark.parametrize("name", ["a b", "", "a_b", "ä", "x" * 81, "a.b", "a/b"])
def test_a_service_whose_name_cannot_be_part_of_a_secrets_is_refused(name: str) -> None:
    assert read_both(MICROSOFT, name) == (
        None,
        [f"mail.toml: services.{name}: it is not a table whose name has letters, digits and - only"],
    )


@pytest.mark.parametrize("name", ["a", "x" * 80, "Main-2"])
def test_a_service_has_the_name_of_its_table(name: str) -> None:
    found, said = read_both(MICROSOFT, name)
    assert said == []
    assert found
    assert found.name == name
