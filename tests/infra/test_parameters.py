"""A wrong parameter is refused before anything is made, with a sentence that says what to write."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.infra.bicep import MAIN, Declaration, parts, plain, read, text_of
from tests.infra.bicep_values import FailedError
from tests.infra.deployment import GOVERNMENT, PUBLIC, TENANT, deploy, parameters_file

PARAMETERS = read(MAIN).of_kind("param")
OTHER_TENANT = "22222222-3333-4444-8555-666666666666"


def refusal(**parameters: Any) -> str:
    with pytest.raises(FailedError) as refused:
        deploy(**parameters)
    return str(refused.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("mailbox", "noreply"),
        ("mailbox", "noreply@"),
        ("mailbox", "@contoso.com"),
        ("mailbox", "noreply@contoso"),
        ("mailbox", "a@b@contoso.com"),
        ("mailbox", "Contoso <noreply@contoso.com>"),
        ("mailbox", "noreply@contoso.com, billing@contoso.com"),
        ("mailbox", "noreply@contoso..com"),
        ("mailbox", "noreply@con_toso.com"),
        ("signInAs", "svc mail@contoso.com"),
        ("tenantId", "contoso"),
        ("tenantId", "https://contoso.com"),
        ("tenantId", "1111111-2222-4333-8444-555555555555"),
        ("tenantId", "11111111-2222-433-38444-555555555555"),
        ("tenantId", "gggggggg-2222-4333-8444-555555555555"),
        ("tenantId", "11111111222243338444555555555555----"),
        ("senders", ""),
        ("senders", "no reply"),
        ("senders", "noreply,,billing"),
        ("senders", "nor/eply"),
        ("senders", "x" * 81),
        ("existingClientId", "sendoff"),
        ("publicUrl", "http://mail.contoso.com"),
        ("publicUrl", "https://mail.contoso.com/"),
        ("publicUrl", "mail.contoso.com"),
        ("publicUrl", "https://mail.contoso.com?x=1"),
        ("alertEmails", "ops"),
        ("alertEmails", "ops@contoso.com,"),
        ("mailAppPrincipalIds", "my-app"),
    ],
)
def test_a_wrong_value_is_named_with_its_parameter(parameter: str, value: str) -> None:
    said = refusal(**{parameter: value})
    assert said.startswith(f"{parameter}: ")
    assert said.endswith(".")
    # One problem, one sentence for it.
    assert len(re.findall(rf"\b(?:{'|'.join(PARAMETERS)}): ", said)) == 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("mailbox", "NoReply+orders@mail.Contoso.co.uk"),
        ("mailbox", "o'hara@contoso.com"),
        ("mailbox", "mail.toml"),
        ("signInAs", "svc-mail@contoso.com"),
        ("tenantId", TENANT),
        ("tenantId", TENANT.upper()),
        ("tenantId", "contoso.onmicrosoft.com"),
        ("senders", "noreply, billing,Reports-2"),
        ("existingClientId", OTHER_TENANT.upper()),
        ("publicUrl", "https://mail.contoso.com"),
        ("alertEmails", "ops@contoso.com, on-call@contoso.com"),
        ("mailAppPrincipalIds", f"{TENANT}, {OTHER_TENANT}"),
    ],
)
def test_a_right_value_is_taken(parameter: str, value: str) -> None:
    parameters: dict[str, Any] = {parameter: value}
    assert deploy(**parameters).resources


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = refusal(mailbox="noreply", tenantId="contoso", alertEmails="ops", publicUrl="http://x")
    for parameter in ("mailbox", "tenantId", "alertEmails", "publicUrl"):
        assert f"{parameter}: " in said


def test_what_the_sentence_says_comes_from_the_group_that_all_else_is_in() -> None:
    group = read(MAIN).declarations["group"]
    assert group.value is not None
    location = next(part for part in parts(group.value) if text_of(parts(part)[0]) == "location")
    assert text_of(parts(location)[1]) == "checkedLocation"


def test_a_mailbox_of_another_tenant_needs_a_registration_there_and_a_credential_of_its_own() -> None:
    assert "the subscription is in the tenant" in refusal(tenantId=OTHER_TENANT)
    assert "existingClientId" in refusal(tenantId=OTHER_TENANT, existingClientId=OTHER_TENANT)
    assert deploy(tenantId=OTHER_TENANT, existingClientId=OTHER_TENANT, credential="secret").resources


def test_a_national_cloud_needs_a_registration_made_without_the_extension() -> None:
    assert "public cloud only" in refusal(cloud=GOVERNMENT)
    made = deploy(cloud=GOVERNMENT, existingClientId=OTHER_TENANT)
    assert [each for each in made.resources if each.type.startswith("Microsoft.Graph/")] == []
    assert made.outputs["OAUTH_CLIENT_ID"] == OTHER_TENANT


def test_app_only_cannot_be_given_to_a_registration_that_is_not_made_here() -> None:
    assert refusal(appOnly=True, existingClientId=OTHER_TENANT).startswith("appOnly: ")


def test_signing_in_as_another_account_is_written_in_mail_toml_where_that_names_the_senders() -> None:
    assert "sign_in_as" in refusal(mailbox="mail.toml", signInAs="svc-mail@contoso.com")


def allowed(each: Declaration) -> list[str]:
    (values,) = each.decorators["allowed"]
    return [plain(value) if value.type == "string" else text_of(value) for value in parts(values)]


def test_the_region_is_one_of_a_list() -> None:
    regions = allowed(PARAMETERS["location"])
    assert regions == sorted(regions)
    assert len(regions) == len(set(regions)) > 20
    assert all(re.fullmatch(r"[a-z]+\d?", region) for region in regions)


def test_each_parameter_that_is_not_free_says_so_itself() -> None:
    assert allowed(PARAMETERS["credential"]) == ["managed_identity", "secret", "certificate"]
    assert allowed(PARAMETERS["instanceMemoryMB"]) == ["512", "2048", "4096"]
    for name, each in PARAMETERS.items():
        if each.type == "int" and "allowed" not in each.decorators:
            assert {"minValue", "maxValue"} <= each.decorators.keys(), name
        if name in ("environmentName", "mailbox", "tenantId", "senders"):
            assert "minLength" in each.decorators, name


def test_day_one_asks_for_three_things() -> None:
    assert [name for name, each in PARAMETERS.items() if each.value is None] == [
        "environmentName",
        "location",
        "mailbox",
    ]


def test_azd_fills_in_every_parameter_and_no_other() -> None:
    assert list(parameters_file()) == list(PARAMETERS)


def test_what_comes_out_of_one_deployment_is_no_parameter_of_the_next() -> None:
    variables = parameters_file().values()
    assert len(set(variables)) == len(PARAMETERS)
    assert set(variables) & read(MAIN).outputs.keys() == set()


def test_no_parameter_is_a_list_for_azd_keeps_only_text() -> None:
    assert {each.type for each in PARAMETERS.values()} == {"string", "int", "bool"}


def test_the_clouds_differ_where_azure_says_they_do() -> None:
    assert PUBLIC.keys() == GOVERNMENT.keys()
    made = deploy(cloud=GOVERNMENT, existingClientId=OTHER_TENANT, vnetEnabled=True)
    assert {each.name for each in made.of_type("Microsoft.Network/privateDnsZones")} == {
        "privatelink.blob.core.usgovcloudapi.net",
        "privatelink.queue.core.usgovcloudapi.net",
        "privatelink.table.core.usgovcloudapi.net",
        "privatelink.vaultcore.usgovcloudapi.net",
    }
