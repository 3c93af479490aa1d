from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.grant import Account
from tests.twins import NOON, grant

if TYPE_CHECKING:
    from tests.contracts.conftest import Grants


def test_there_is_no_grant_where_nobody_consented(vault: Grants) -> None:
    assert vault.load_grant("nobody") is None


def test_a_grant_comes_back_as_it_was_stored(vault: Grants, unique_name: str) -> None:
    stored = grant(at=NOON.replace(microsecond=123_456))
    vault.store_grant(unique_name, stored)
    assert vault.load_grant(unique_name) == stored


def test_the_grant_that_was_stored_last_is_the_one(vault: Grants, unique_name: str) -> None:
    vault.store_grant(unique_name, grant(number=1))
    vault.store_grant(unique_name, grant(number=2, at=NOON + timedelta(hours=1)))
    found = vault.load_grant(unique_name)
    assert found == grant(number=2, at=NOON + timedelta(hours=1))


def test_grants_of_two_senders_are_two(vault: Grants, unique_name: str) -> None:
    vault.store_grant(f"{unique_name}-a", grant("a@contoso.com"))
    vault.store_grant(f"{unique_name}-b", grant("b@contoso.com"))
    found = vault.load_grant(f"{unique_name}-a")
    assert found == grant("a@contoso.com")


def test_names_and_scopes_of_any_script_can_be_kept(vault: Grants, unique_name: str) -> None:
    account = replace(grant().account, display_name='Łukasz "Ł" <script>', username="łukasz@contoso.com")
    stored = replace(grant(), account=account, scopes=("a", "b c", "ü"))
    vault.store_grant(unique_name, stored)
    assert vault.load_grant(unique_name) == stored


def test_an_applications_own_grant_comes_back_as_one(vault: Grants, unique_name: str) -> None:
    stored = replace(grant(), account=Account("noreply@contoso.com"), refresh_token="")
    vault.store_grant(unique_name, stored)
    found = vault.load_grant(unique_name)
    assert found == stored
    assert found is not None
    assert (found.is_app_only, found.dies_at) == (True, None)


def test_a_grant_that_was_removed_is_gone_and_removed_once(vault: Grants, unique_name: str) -> None:
    vault.store_grant(unique_name, grant())
    assert vault.delete_grant(unique_name)
    assert vault.load_grant(unique_name) is None
    assert not vault.delete_grant(unique_name)


def test_removing_what_never_was_is_harmless(vault: Grants, unique_name: str) -> None:
    assert not vault.delete_grant(unique_name)


def test_a_removed_grant_may_be_given_again(vault: Grants, unique_name: str) -> None:
    vault.store_grant(unique_name, grant(number=1))
    vault.delete_grant(unique_name)
    vault.store_grant(unique_name, grant("svc-mail@contoso.com", number=2))
    found = vault.load_grant(unique_name)
    assert found == grant("svc-mail@contoso.com", number=2)


def test_removing_one_senders_grant_leaves_the_others(vault: Grants, unique_name: str) -> None:
    vault.store_grant(f"{unique_name}-a", grant("a@contoso.com"))
    vault.store_grant(f"{unique_name}-b", grant("b@contoso.com"))
    vault.delete_grant(f"{unique_name}-a")
    assert vault.load_grant(f"{unique_name}-b") == grant("b@contoso.com")
