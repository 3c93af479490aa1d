from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.xoauth2 import (
    MAX_CHALLENGE_CHARACTERS,
    Credentials,
    decode_challenge,
    initial_response,
    respond_to_challenge,
    without_secret,
)

TOKEN = "eyJ0eXAiOiJKV1QifQ.canary-access-token.c2lnbmF0dXJl"


def test_the_initial_response_is_what_microsoft_documents() -> None:
    # The example of Microsoft's page on OAuth for IMAP, POP and SMTP.
    expected = (
        "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0"
        "NjbFJDM0VvQUEBAQ=="
    )
    assert (
        initial_response("test@contoso.onmicrosoft.com", "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA")
        == expected
    )


@given(st.text(min_size=1), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_the_fields_are_read_back_as_they_were_or_refused(user: str, token: str) -> None:
    try:
        encoded = initial_response(user, token)
    except ValueError:
        return
    assert base64.b64decode(encoded).decode().split("\x01") == [
        f"user={user}",
        f"auth=Bearer {token}",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("user", "token"),
    [
        ("", TOKEN),
        ("a@b\x01auth=Bearer x", TOKEN),
        ("a@b\r\n", TOKEN),
        ("a@b", ""),
        ("a@b", "x\x01y"),
        ("a@b", "x\r\ny"),
        ("a@b", "x y"),
        ("a@b", "ü"),
    ],
)
def test_what_could_forge_a_field_is_refused_without_being_shown(user: str, token: str) -> None:
    with pytest.raises(ValueError, match=r"XOAUTH2 user|access token") as refusal:
        initial_response(user, token)
    assert "Bearer" not in str(refusal.value)
    assert TOKEN not in str(refusal.value)


def test_a_challenge_is_answered_with_the_empty_line() -> None:
    assert respond_to_challenge("eyJzdGF0dXMiOiI0MDAifQ==") == ""


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=", '{"status":"400","schemes":"Bearer"}'),
        (" eyJzdGF0dXMiOiI0MDAifQ== ", '{"status":"400"}'),
        ("", ""),
        ("not base64!", ""),
        ("abc", ""),
        ("ümlaut", ""),
        ("/w==", "\\xff"),
        ("G1sySg==", "\\x1b[2J"),
    ],
)
def test_a_challenge_is_decoded_safely(text: str, decoded: str) -> None:
    assert decode_challenge(text) == decoded


def test_a_challenge_without_end_is_cut() -> None:
    assert decode_challenge(base64.b64encode(b"x" * 9999).decode()) == "x" * MAX_CHALLENGE_CHARACTERS


def test_credentials_print_no_token() -> None:
    credentials = Credentials("noreply@contoso.com", TOKEN)
    assert repr(credentials) == "Credentials(user='noreply@contoso.com')"
    assert TOKEN not in f"{credentials!s} {credentials!r}"


@given(st.integers(0, 60), st.integers(16, 200))
def test_every_long_piece_of_the_token_is_taken_out_of_a_text(start: int, length: int) -> None:
    credentials = Credentials("noreply@contoso.com", TOKEN)
    sent = initial_response(credentials.user, TOKEN)
    for secret in (TOKEN, sent):
        piece = secret[start : start + length]
        cleaned = without_secret(f"501 5.5.4 AUTH '{piece}...' not understood", credentials)
        assert piece not in cleaned or len(piece) < 16
    assert (
        without_secret("535 5.7.3 Authentication unsuccessful", credentials)
        == "535 5.7.3 Authentication unsuccessful"
    )
