"""What administrators type on day one and later is what infra/ takes: variables, outputs, parameters."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from docs import picture
from shared import mail_config
from shared.core.service import CredentialKind
from tests.infra.bicep import INFRA, MAIN, read
from tests.infra.bicep_values import FailedError
from tests.infra.deployment import deploy, parameters_file
from tests.pages import ADMINISTRATORS, OPERATIONS, ROOT, blocks, chapter, section

DAY_ONE = chapter(ADMINISTRATORS, "Day one")
LATER = chapter(ADMINISTRATORS, "Later")
README = (ROOT / "README.md").read_text("utf-8")
PAGES = README + ADMINISTRATORS + OPERATIONS
OUTPUTS = read(MAIN).outputs.keys()
VARIABLES = set(parameters_file().values())
EXCHANGE = (INFRA / "exchange.ps1").read_text("utf-8")
REGISTRATION = INFRA / "app-registration.sh"


def test_every_variable_is_one_that_the_deployment_takes() -> None:
    assert set(re.findall(r"azd env set (\w+)", PAGES)) <= VARIABLES
    assert set(re.findall(r"\b(SENDOFF_[A-Z_]+)", PAGES)) <= VARIABLES


def test_every_value_that_is_read_comes_out_of_the_deployment() -> None:
    named = set(re.findall(r"azd env get-value (\w+)", PAGES))
    assert named
    assert named <= OUTPUTS


def test_every_output_is_explained() -> None:
    rows = re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \|", section(ADMINISTRATORS, "Make it"), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"\w+", row)) == sorted(OUTPUTS)


def test_a_mailbox_that_is_none_is_refused_with_the_sentence_in_the_docs() -> None:
    (said,) = blocks(section(ADMINISTRATORS, "Make it"), "text")
    with pytest.raises(FailedError) as refused:
        deploy(mailbox="noreply")
    assert str(refused.value) == said.strip()


def test_the_permissions_are_of_persons_alone() -> None:
    registration = deploy().one("Microsoft.Graph/applications").body
    kinds = {one["type"] for api in registration["requiredResourceAccess"] for one in api["resourceAccess"]}
    assert kinds == {"Scope"}
    assert deploy().of_type("Microsoft.Graph/appRoleAssignedTo") == []


def parameters_of_the_script() -> list[str]:
    (block,) = re.findall(r"^param\($(.*?)^\)$", EXCHANGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"^ {4}\[[\w\[\]]+\] \$(\w+)", block, re.MULTILINE)


def test_every_parameter_of_the_script_for_exchange_is_in_the_docs() -> None:
    rows = re.findall(
        r"^\| (`-\w+`(?:, `-\w+`)*) \|", section(ADMINISTRATORS, "Exchange's half"), re.MULTILINE
    )
    named = [name for row in rows for name in re.findall(r"-(\w+)", row)]
    assert sorted(named) == sorted([*parameters_of_the_script(), "WhatIf"])


def test_the_script_for_exchange_is_called_with_parameters_that_it_has() -> None:
    calls = re.findall(r"\./infra/exchange\.ps1((?: [^`\n]| `\n|[^`\n])*)", README + ADMINISTRATORS)
    assert len(calls) > 3
    given = {name for call in calls for name in re.findall(r" -([A-Z]\w+)", call)}
    assert given <= {*parameters_of_the_script(), "WhatIf"}


def test_what_the_script_for_exchange_says_is_what_it_writes() -> None:
    (said,) = blocks(section(ADMINISTRATORS, "Exchange's half"), "text")
    point = said.removeprefix("ok").strip().replace("noreply@contoso.com", "$account")
    assert f'Write-Point "{point}"' in EXCHANGE


def test_the_registration_is_made_with_options_that_the_script_has() -> None:
    usage = subprocess.run(["sh", REGISTRATION, "--help"], capture_output=True, text=True, check=True).stdout
    calls = re.findall(r"infra/app-registration\.sh ((?:[^\\`\n]|\\\n)*)", PAGES)
    assert len(calls) >= 4
    for call in calls:
        assert set(re.findall(r"--[a-z-]+", call)) <= set(re.findall(r"--[a-z-]+", usage)), call
    told = section(ADMINISTRATORS, "Without the right to make registrations")
    assert set(re.findall(r"`(--[a-z-]+)", told)) <= set(re.findall(r"--[a-z-]+", usage))
    kinds = re.findall(r"to `(\w+)` before|a certificate `(\w+)` and", told)
    assert {first or second for first, second in kinds} < {kind.value for kind in CredentialKind}


def test_the_mail_toml_of_several_senders_can_be_read_and_keeps_what_one_had() -> None:
    (table,) = blocks(LATER, "toml several")
    problems: list[str] = []
    mail = mail_config.read(tomllib.loads(table), "mail.toml", problems)
    assert problems == []
    assert (
        mail.services["microsoft"].credential.value
        == deploy().one("Microsoft.Web/sites/config").body["properties"]["OAUTH_CREDENTIAL"]
    )
    one = mail_config.single_sender({"MAILBOX": "noreply@contoso.com"})
    assert one["senders"].keys() < mail.senders.keys()
    assert one["services"].keys() == mail.services.keys()
    (names,) = re.findall(r"azd env set SENDOFF_SENDERS (\S+)", LATER)
    assert names.split(",") == list(mail.senders)
    uris = deploy(mailbox="mail.toml", senders=names).outputs["CONSENT_URLS"]
    assert [str(uri).rpartition("/")[2] for uri in uris] == list(mail.senders)


def test_with_mail_toml_who_signs_in_is_not_asked_for_a_second_time() -> None:
    with pytest.raises(FailedError):
        deploy(mailbox="mail.toml", signInAs="svc-mail@contoso.com")
    assert 'azd env set SENDOFF_SIGN_IN_AS ""' in LATER


def test_the_network_in_the_docs_is_the_one_that_is_made_by_default() -> None:
    default = read(MAIN).of_kind("param")["vnetAddressPrefix"].value
    assert default is not None
    (told,) = re.findall(r"SENDOFF_VNET_ADDRESS_PREFIX (\S+)", LATER)
    assert default.text is not None
    assert default.text.decode() == f"'{told}'"


def test_the_picture_of_the_page_is_there_and_small() -> None:
    (named,) = re.findall(r"!\[[^\]]*\]\((\S+)\)", DAY_ONE)
    assert (ROOT / "docs" / named).resolve() == picture.CONNECTED
    content = picture.CONNECTED.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert len(content) < 100_000
