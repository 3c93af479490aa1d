"""The app's managed identity as a client credential, at App Service's own endpoint as the stack plays it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jwt
import pytest
from azure.identity import ManagedIdentityCredential

from local.microsoft.managed_identity import SYSTEM_ASSIGNED, USER_ASSIGNED
from shared.adapters.managed_identity import ManagedIdentity
from shared.core.service import CLOUDS, Microsoft
from shared.errors import CredentialError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.microsoft.cloud import Cloud

PROVIDER = Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com")


@pytest.fixture
def identity(microsoft: Cloud) -> Iterator[ManagedIdentity]:
    assert microsoft.managed_identity_url
    with ManagedIdentityCredential(client_id=USER_ASSIGNED[0]) as credential:
        yield ManagedIdentity(lambda: credential, client_id=USER_ASSIGNED[0])


@pytest.mark.parametrize("name", CLOUDS)
def test_an_assertion_is_a_token_of_the_identity_for_the_cloud_it_is_shown_to(
    identity: ManagedIdentity, name: str
) -> None:
    provider = Microsoft("contoso.com", "https://a.example", CLOUDS[name])
    assertion = identity.assertion(provider)
    claims = jwt.decode(assertion.value, options={"verify_signature": False})
    assert claims["aud"] == CLOUDS[name].assertion_audience
    assert claims["sub"] == USER_ASSIGNED[1]
    assert assertion.value not in repr(assertion)


def test_a_token_that_lasts_is_not_fetched_again(identity: ManagedIdentity, microsoft: Cloud) -> None:
    first = identity.assertion(PROVIDER)
    before = microsoft.control.identity()["calls"]["managed_identity"]
    assert identity.assertion(PROVIDER) == first
    assert microsoft.control.identity()["calls"]["managed_identity"] == before


def test_the_system_assigned_identity_cannot_stand_in_for_a_secret(microsoft: Cloud) -> None:
    before = microsoft.control.identity()["calls"].get("managed_identity", 0)
    with ManagedIdentityCredential() as credential:
        nobody = ManagedIdentity(lambda: credential, client_id="")
        with pytest.raises(CredentialError, match="AZURE_CLIENT_ID names no user-assigned") as raised:
            nobody.assertion(PROVIDER)
    assert raised.value.code == "no_managed_identity"
    assert microsoft.control.identity()["calls"].get("managed_identity", 0) == before
    assert SYSTEM_ASSIGNED != USER_ASSIGNED


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400},
        {"status": 403},
        {"status": 200, "garbage": "{}"},
        {"status": 200, "garbage": "<html>"},
    ],
    ids=str,
)
def test_an_identity_that_gives_no_token_means_later(
    identity: ManagedIdentity, microsoft: Cloud, fault: dict[str, object]
) -> None:
    microsoft.control.identity({"fail_next": {"managed_identity": {**fault, "times": 20}}})
    with pytest.raises(TokenUnavailableError) as raised:
        identity.assertion(PROVIDER)
    assert raised.value.code == "managed_identity"
    assert re.fullmatch(
        r"the managed identity gave no token: (CredentialUnavailable|Decode)Error; it is tried again",
        str(raised.value),
    )
    microsoft.control.identity({"reset": True})
    assert identity.assertion(PROVIDER).value


@pytest.mark.parametrize("status", [500, 0])
def test_an_identity_that_does_not_answer_means_later(
    identity: ManagedIdentity, microsoft: Cloud, status: int
) -> None:
    microsoft.control.identity({"fail_next": {"managed_identity": {"status": status, "times": 20}}})
    with pytest.raises(TokenUnavailableError, match="it is tried again"):
        identity.assertion(PROVIDER)
