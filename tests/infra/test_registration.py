"""The app registration: what the code asks Entra ID for is what it may have."""

from __future__ import annotations

from shared.core.service import CLOUDS, EXCHANGE_APP_ID
from tests.infra.bicep import INFRA, plain, properties, read
from tests.infra.deployment import TENANT, deploy

FILE = read(INFRA / "app" / "registration.bicep")
APPLICATION = "Microsoft.Graph/applications"
TRUST = "Microsoft.Graph/applications/federatedIdentityCredentials"


def test_it_is_of_one_tenant_and_gives_out_no_token_by_the_browser() -> None:
    asked = deploy(publicUrl="https://mail.contoso.com").one(APPLICATION).body
    assert asked["signInAudience"] == "AzureADMyOrg"
    assert asked["web"] == {
        "redirectUris": ["https://mail.contoso.com/api/oauth/redirect"],
        "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
    }


def test_it_asks_for_sending_and_for_who_it_is_and_nothing_else() -> None:
    (access,) = deploy().one(APPLICATION).body["requiredResourceAccess"]
    assert access["resourceAppId"] == "00000003-0000-0000-c000-000000000000"
    # Microsoft Graph permissions reference: SMTP.Send and User.Read, delegated.
    assert access["resourceAccess"] == [
        {"id": "258f6531-6087-4cc4-bb90-092c5fb3ed3f", "type": "Scope"},
        {"id": "e1fe6dd8-ba31-4d61-89e7-88639da4683d", "type": "Scope"},
    ]


def test_the_identity_is_trusted_where_it_stands_in_for_a_secret() -> None:
    trust = deploy().one(TRUST).body
    assert trust["issuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert trust["audiences"] == [CLOUDS["public"].assertion_audience]
    assert trust["subject"] == "<identity.properties>.principalId"
    assert deploy(credential="secret").of_type(TRUST) == []


def test_the_audiences_are_those_that_the_code_asks_for() -> None:
    audiences = FILE.declarations["audiences"].value
    assert audiences is not None
    written = {name: plain(value) for name, value in properties(audiences).items()}
    names = {"AzureCloud": "public", "AzureUSGovernment": "usgov", "AzureChinaCloud": "china"}
    assert written == {name: CLOUDS[cloud].assertion_audience for name, cloud in names.items()}


def test_sending_by_itself_is_a_permission_that_is_asked_for() -> None:
    role = "Microsoft.Graph/appRoleAssignedTo"
    assert deploy().of_type(role) == []
    assert len(deploy(appOnly=True).of_type(role)) == 1
    exchange = FILE.declarations["exchangeAppId"].value
    assert exchange is not None
    assert plain(exchange) == EXCHANGE_APP_ID


def test_none_is_made_where_one_exists() -> None:
    made = deploy(existingClientId=TENANT)
    assert [each for each in made.resources if each.type.startswith("Microsoft.Graph/")] == []
    assert made.one("Microsoft.Web/sites/config").body["properties"]["OAUTH_CLIENT_ID"] == TENANT
