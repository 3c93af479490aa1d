from __future__ import annotations

import re
from dataclasses import replace

import pytest

from shared.core.service import (
    CLOUDS,
    EXCHANGE_APP_ID,
    PUBLIC,
    CredentialKind,
    Custom,
    GrantKind,
    Microsoft,
    Service,
)

CUSTOM = Custom(
    "https://a.example/authorize",
    "https://a.example/token",
    login_scopes=("openid", "email"),
    offline_scopes=("mail.send", "offline_access", "openid"),
)


def microsoft(cloud: str = "public", grant: GrantKind = GrantKind.DELEGATED) -> Service:
    return Service("main", "client-id", Microsoft("contoso.com", "https://a.example", CLOUDS[cloud]), grant)


@pytest.mark.parametrize(
    ("cloud", "hosts", "scopes", "audience"),
    [
        (
            "public",
            ("login.microsoftonline.com", "smtp.office365.com"),
            (
                "https://outlook.office.com/SMTP.Send",
                "https://outlook.office365.com/.default",
                "https://graph.microsoft.com/User.Read",
            ),
            "api://AzureADTokenExchange",
        ),
        (
            "usgov",
            ("login.microsoftonline.us", "smtp.office365.us"),
            (
                "https://outlook.office365.us/SMTP.Send",
                "https://outlook.office365.us/.default",
                "https://graph.microsoft.us/User.Read",
            ),
            "api://AzureADTokenExchangeUSGov",
        ),
        (
            "dod",
            ("login.microsoftonline.us", "outlook-dod.office365.us"),
            (
                "https://outlook-dod.office365.us/SMTP.Send",
                "https://outlook-dod.office365.us/.default",
                "https://dod-graph.microsoft.us/User.Read",
            ),
            "api://AzureADTokenExchangeUSGov",
        ),
        (
            "china",
            ("login.partner.microsoftonline.cn", "smtp.partner.outlook.cn"),
            (
                "https://partner.outlook.cn/SMTP.Send",
                "https://partner.outlook.cn/.default",
                "https://microsoftgraph.chinacloudapi.cn/User.Read",
            ),
            "api://AzureADTokenExchangeChina",
        ),
    ],
)
def test_hosts_and_scopes_follow_the_cloud(
    cloud: str, hosts: tuple[str, ...], scopes: tuple[str, ...], audience: str
) -> None:
    found = CLOUDS[cloud]
    assert found.name == cloud
    assert (found.login_host, found.smtp_host) == hosts
    assert (found.smtp_scope, found.app_scope, found.profile_scope) == scopes
    assert found.assertion_audience == audience


def test_there_are_four_clouds_and_each_takes_its_own_tokens_alone() -> None:
    assert list(CLOUDS) == ["public", "usgov", "dod", "china"]
    for name, cloud in CLOUDS.items():
        assert {cloud.outlook, cloud.outlook_of_apps, EXCHANGE_APP_ID} == cloud.audiences
        assert cloud.graph not in cloud.audiences
        others = frozenset().union(*(other.audiences for other in CLOUDS.values() if other.name != name))
        assert cloud.audiences & others == {EXCHANGE_APP_ID}
        # They are compared in lower case and without a slash at their end.
        assert all(audience == audience.casefold().rstrip("/") for audience in cloud.audiences)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_person_must_grant_sending_and_an_application_asks_for_what_it_has(cloud: str) -> None:
    assert microsoft(cloud).mail_scopes == (CLOUDS[cloud].smtp_scope,)
    assert microsoft(cloud, GrantKind.APP).mail_scopes == ()


def test_of_another_providers_scopes_those_of_a_resource_must_be_granted() -> None:
    assert Service("other", "client-id", CUSTOM).mail_scopes == ("mail.send",)


@pytest.mark.parametrize(
    ("credential", "name"),
    [
        (CredentialKind.SECRET, "oauth-main-client-secret"),
        (CredentialKind.CERTIFICATE, "oauth-main-certificate"),
        (CredentialKind.MANAGED_IDENTITY, ""),
    ],
)
def test_the_vaults_secret_is_named_after_its_service(credential: CredentialKind, name: str) -> None:
    assert replace(microsoft(), credential=credential).credential_name == name


@pytest.mark.parametrize(
    ("method", "credential", "name"),
    [
        ("client_secret_basic", CredentialKind.SECRET, "oauth-other-client-secret"),
        ("client_secret_post", CredentialKind.SECRET, "oauth-other-client-secret"),
        ("none", CredentialKind.SECRET, ""),
        ("client_secret_basic", CredentialKind.CERTIFICATE, "oauth-other-certificate"),
        ("none", CredentialKind.CERTIFICATE, "oauth-other-certificate"),
    ],
)
def test_a_public_client_of_another_provider_needs_no_secret(
    method: str, credential: CredentialKind, name: str
) -> None:
    provider = replace(CUSTOM, client_authentication=method)
    assert Service("other", "client-id", provider, credential=credential).credential_name == name


def test_every_name_of_a_secret_is_one_that_a_vault_takes() -> None:
    longest = Service("x" * 80, "client-id", Microsoft("t", "https://a.example"))
    for name in (longest.client_secret_name, longest.certificate_name):
        assert re.fullmatch(r"[0-9a-zA-Z-]{1,127}", name)


def test_a_service_says_its_tenant_and_whose_permission_it_has() -> None:
    assert microsoft().tenant == "contoso.com"
    assert Service("other", "client-id", CUSTOM).tenant == ""
    assert not microsoft().is_app_only
    assert microsoft(grant=GrantKind.APP).is_app_only
    assert Microsoft("t", "https://a.example").cloud is PUBLIC
