from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.twins import NOON, grant

if TYPE_CHECKING:
    from shared.workflows.consent import Grants


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
