from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.requests import consent_cookie, cookies, form


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        ("  a=1  ;  b=2  ", {"a": "1", "b": "2"}),
        ("a=", {"a": ""}),
        ("a=x=y", {"a": "x=y"}),
        ("a=1; a=2", {"a": "2"}),
        ('a="1"', {"a": "1"}),
    ],
)
def test_cookies_are_read(header: str, expected: dict[str, str]) -> None:
    assert cookies(header) == expected


@pytest.mark.parametrize(
    "junk",
    [
        "=",
        ";;;",
        "=x",
        "no-value",
        "bad name=1",
        "bad\x00=1",
        "ü=1",
        "a,b=1",
        "(x)=1",
        '{"json": "cookie"}',
        'q="unclosed',
        "[foo]=bar",
        "$Version=1",
        "path=/",
        "expires=never",
        "\r\nSet-Cookie: x=1",
        "😀=😀",
        "%zz=%zz",
    ],
)
def test_an_odd_cookie_hides_no_other(junk: str) -> None:
    for header in (f"{junk}; sendoff-consent-1=key", f"sendoff-consent-1=key; {junk}"):
        assert cookies(header)["sendoff-consent-1"] == "key"


@given(st.text(max_size=300))
def test_no_header_is_too_odd_to_be_read(header: str) -> None:
    assert isinstance(cookies(header), dict)


def test_a_header_that_no_browser_sends_has_no_cookies() -> None:
    assert cookies("a=1; " * 4_000) == {}


@pytest.mark.parametrize("secure", [True, False])
def test_what_is_set_comes_back(secure: bool) -> None:  # noqa: FBT001 - a table of one column
    made = consent_cookie("sendoff-consent-1", "AbC_-09", seconds=900, secure=secure)
    assert cookies(made.partition(";")[0]) == {"sendoff-consent-1": "AbC_-09"}


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_does_not_outlive_the_sign_in() -> None:
    jar = SimpleCookie(consent_cookie("sendoff-consent-1", "key", seconds=900, secure=True))
    morsel = jar["sendoff-consent-1"]
    assert (morsel["httponly"], morsel["secure"]) == (True, True)
    assert (morsel["samesite"], morsel["path"], morsel["max-age"]) == ("Lax", "/", "900")
    assert morsel["domain"] == ""


def test_only_a_site_on_tls_insists_on_it() -> None:
    assert "Secure" not in consent_cookie("sendoff-consent-1", "key", seconds=900, secure=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"to=ada%40example.net&x=a+b", {"to": "ada@example.net", "x": "a b"}),
        (b"to=%0d%0a", {"to": "\r\n"}),
        (b"a=%ff%ed%a0%80", {"a": "\ufffd" * 4}),
        ("a=ü".encode(), {}),
        (b"a=1&" * 17, {}),
        (b"a=" + b"x" * 16_384, {}),
    ],
)
def test_forms_are_read(body: bytes, expected: dict[str, str]) -> None:
    assert form(body) == expected


@given(st.binary(max_size=300))
def test_no_body_is_too_odd_to_be_read(body: bytes) -> None:
    assert all(value.encode() or True for pair in form(body).items() for value in pair)
