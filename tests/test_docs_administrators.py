"""What administrators read is what the code does: clouds, services, permissions, names, pages of consent."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import pytest

from shared import mail_config
from shared.config_tables import TableReader
from shared.core.consent import PENDING_FOR, Ended, Outcome
from shared.core.grant import Account
from shared.core.remedies import CATALOGUE, of_code
from shared.core.service import (
    CLOUDS,
    EXCHANGE_APP_ID,
    Cloud,
    CredentialKind,
    Custom,
    GrantKind,
    Microsoft,
    Service,
)
from shared.core.token_claims import SMTP_PERMISSION
from shared.service_config import read_service
from shared.web import consent_pages
from tests.pages import ADMINISTRATORS, blocks, chapter, functions, section

# A table of mail.toml that stands beside the whole one: its fence says so, for it is not a file by itself.
PARTS = blocks(ADMINISTRATORS, "toml service")
(WHOLE,) = blocks(ADMINISTRATORS, "toml")
MICROSOFT = Service(
    "microsoft", "1", Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com")
)


def read(part: str) -> mail_config.MailConfig:
    whole, problems = tomllib.loads(WHOLE), list[str]()
    given = tomllib.loads(part)
    if given["services"].keys() & whole["services"].keys():  # it stands in the place of the service there
        del whole["senders"]["reports"]
    merged = {
        "services": {**whole["services"], **given["services"]},
        "senders": {**whole["senders"], **given.get("senders", {})},
    }
    mail = mail_config.read(merged, "mail.toml", problems)
    assert problems == []
    return mail


def row(told: str, name: str) -> list[str]:
    """Return the cells of a table's row after its first, without backquotes."""
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.+) \|$", told, re.MULTILINE)
    return [cell.strip("`") for cell in found.split(" | ")]


CLOUD_ROWS = [
    ("sign-in", lambda cloud: cloud.login_host),
    ("mail server, port 587", lambda cloud: cloud.smtp_host),
    ("scope, delegated", lambda cloud: cloud.smtp_scope),
    ("scope, app", lambda cloud: cloud.app_scope),
    ("scope of the picture", lambda cloud: cloud.profile_scope),
    ("audience of the federated credential", lambda cloud: cloud.assertion_audience),
]


@pytest.mark.parametrize(("name", "of"), CLOUD_ROWS, ids=[name for name, _ in CLOUD_ROWS])
def test_the_clouds_in_the_docs_are_those_of_the_code(name: str, of: Any) -> None:
    told = section(ADMINISTRATORS, "National clouds")
    (heading,) = re.findall(r"^\| \| (.+) \|$", told, re.MULTILINE)
    clouds: list[Cloud] = [CLOUDS[cloud] for cloud in re.findall(r"`(\w+)`", heading)]
    assert [cloud.name for cloud in clouds] == list(CLOUDS)
    assert row(told, name) == [of(cloud) for cloud in clouds]


def test_the_answers_to_both_questions_are_those_that_mail_toml_takes() -> None:
    told = section(ADMINISTRATORS, "Which way")
    values = re.findall(r'^\| `"(\w+)"` \|', told, re.MULTILINE)
    assert values == [each.value for each in (*GrantKind, *CredentialKind)]


def test_every_part_of_a_mail_toml_in_the_docs_can_be_read() -> None:
    other, google = PARTS
    app = read(other).services["microsoft"]
    assert (app.grant, app.credential) == (GrantKind.APP, CredentialKind.MANAGED_IDENTITY)
    mail = read(google)
    service = mail.services["google"]
    assert isinstance(service.provider, Custom)
    assert service.mail_scopes == ("https://mail.google.com/",)
    assert service.client_secret_name in section(ADMINISTRATORS, "Other providers")
    assert mail.senders["shop"].smtp.host == "smtp.gmail.com"


@pytest.mark.parametrize("grant", GrantKind)
@pytest.mark.parametrize("credential", CredentialKind)
def test_any_answer_to_the_one_question_goes_with_any_to_the_other(
    grant: GrantKind, credential: CredentialKind
) -> None:
    part = PARTS[0].replace('"app"', f'"{grant.value}"')
    part = part.replace('"managed_identity"', f'"{credential.value}"')
    service = read(part).services["microsoft"]
    assert (service.grant, service.credential) == (grant, credential)


def test_every_key_of_a_custom_service_is_explained() -> None:
    problems: list[str] = []
    read_service(TableReader("mail.toml", problems), "s", {"type": "custom", "?": 1})
    (known,) = (said.partition("known are ")[2] for said in problems if "?: it is not known" in said)
    told = section(ADMINISTRATORS, "Other providers")
    assert [key for key in known.split(", ") if not re.search(rf"\b{key}\b", told)] == []


def test_the_names_in_the_vault_are_those_of_the_code() -> None:
    told = chapter(ADMINISTRATORS, "3. What the app proves itself with")
    assert f"--name {MICROSOFT.client_secret_name} " in told
    assert f"--name {MICROSOFT.certificate_name} " in told
    assert "`grant-noreply`" in ADMINISTRATORS


def test_the_permissions_are_those_that_are_asked_for() -> None:
    told = section(ADMINISTRATORS, "2. Permissions")
    listed = re.findall(r"`([\w.]+)`", "".join(re.findall(r"^\| (`.+?) \|", told, re.MULTILINE)))
    public = CLOUDS["public"]
    delegated = {scope.rpartition("/")[2] for scope in (public.smtp_scope, public.profile_scope)}
    assert SMTP_PERMISSION in delegated
    assert set(listed) == delegated | {"offline_access", "openid", "profile", "SMTP.SendAsApp"}
    assert f"EXCHANGE={EXCHANGE_APP_ID}" in section(ADMINISTRATORS, "2.2. App, the classic way")


# What a page says where the docs have it in words of their own, or apart from another one.
HEADLINES = {Outcome.DECLINED: "Not connected … was declined", Outcome.REFUSED: "Not connected … was refused"}


def test_every_page_of_the_consent_is_in_the_docs() -> None:
    told = section(ADMINISTRATORS, "7. Consent, once for each sender")
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \|$", told, re.MULTILINE)
    said = []
    for outcome in Outcome:
        ended = Ended(outcome, "noreply", "noreply@contoso.com", Account("ada@contoso.com"))
        page = consent_pages.ended(ended, consent_url=lambda name: name, connected_url="/").body.decode()
        (headline,) = re.findall(r"<h1>(.+)</h1>", page)
        said.append(HEADLINES.get(outcome, headline))
    assert sorted(rows[1:]) == sorted(said)
    minutes = int(PENDING_FOR.total_seconds()) // 60
    assert f"must come back within {minutes} minutes" in told


def test_what_is_asked_of_the_app_by_curl_is_a_route_with_that_method() -> None:
    known = {re.sub(r"{\w+}", "noreply", route) for _, _, route in functions() if route}
    asked = re.findall(
        r"curl (?:-X (\w+) )?-H \S+ <?[^>]*>?\" https://mail\.contoso\.com(\S+)", ADMINISTRATORS
    )
    assert asked
    assert {f"{method or 'GET'} {path}" for method, path in asked} <= known


def test_the_remedy_that_is_named_as_an_example_is_in_the_catalogue() -> None:
    told = chapter(ADMINISTRATORS, "When a sender is held")
    (example,) = re.findall(r"such as `([\w-]+)`", told)
    assert example in CATALOGUE


def test_the_codes_in_the_docs_have_a_remedy() -> None:
    assert [code for code in re.findall(r"AADSTS\d+", ADMINISTRATORS) if not of_code(code)] == []


def test_every_script_is_one_that_a_shell_can_read() -> None:
    for block in blocks(ADMINISTRATORS, "sh"):
        script = re.sub(r"<[^<>\n]+>", "something", block)
        read = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, ""), block
