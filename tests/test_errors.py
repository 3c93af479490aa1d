from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from shared import errors
from shared.core.smtp import ProtocolError
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    GrantError,
    MessageError,
    PayloadError,
    SendoffError,
    SettingsError,
    StorageError,
    TokenUnavailableError,
    UnsuitableTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def below(kind: type[SendoffError], depth: int = 0) -> Iterator[tuple[str, int]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("shared."):
            yield child.__name__, depth
            yield from below(child, depth + 1)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    margin = min(len(stem) for stem, _ in drawn)
    assert sorted((name, (len(stem) - margin) // 4) for stem, name in drawn) == sorted(below(SendoffError))


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (SettingsError, False),
        (MessageError, False),
        (ProtocolError, False),
        (StorageError, True),
        (PayloadError, True),
        (GrantError, False),
        (ConsentRequiredError, False),
        (CredentialError, False),
        (UnsuitableTokenError, False),
        (TokenUnavailableError, True),
    ],
)
def test_only_what_time_mends_is_retryable(kind: type[SendoffError], *, retryable: bool) -> None:
    assert kind.retryable is retryable


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConsentRequiredError("no grant", code="invalid_grant"), "no grant"),
        (CredentialError(""), "the provider refuses the application's own credential"),
        (
            UnsuitableTokenError(""),
            "the provider's token is of no use for sending",
        ),
        (StorageError(), "the storage account does not answer"),
        (TokenUnavailableError(""), "a token could not be fetched just now"),
    ],
)
def test_an_error_without_a_message_says_what_its_class_says(error: SendoffError, said: str) -> None:
    assert str(error).partition(":")[0] == said


def test_every_problem_of_a_message_is_kept_and_said() -> None:
    error = MessageError(("to: is empty", "text: is not a string"), message_id="order-1")
    assert error.problems == ("to: is empty", "text: is not a string")
    assert error.message_id == "order-1"
    assert str(error) == "to: is empty; text: is not a string"
    assert MessageError(("x",)).message_id == ""


def test_every_problem_of_the_settings_is_kept_and_said_at_once() -> None:
    error = SettingsError(("A: it is missing", "B: it is wrong"))
    assert error.problems == ("A: it is missing", "B: it is wrong")
    assert str(error) == (
        "settings are missing or wrong; nothing is sent until they are mended: "
        "A: it is missing; B: it is wrong"
    )


def test_a_grant_error_keeps_the_providers_code() -> None:
    assert ConsentRequiredError("no", code="AADSTS700082").code == "AADSTS700082"
    assert UnsuitableTokenError("no", code="token-audience").code == "token-audience"
    assert GrantError("no").code == ""
