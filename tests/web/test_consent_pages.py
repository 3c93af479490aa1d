from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from shared.core.consent import Ended, Outcome
from shared.core.grant import Account, Picture
from shared.web import consent_pages

if TYPE_CHECKING:
    from shared.web.responses import Response

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "{sender} {0} {code.__class__}",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202egnp.exe",
]


CONNECTED_URL = "https://mail.contoso.com/api/oauth/connected"
# Pages of browsers that may go on from there.
WITH_BUTTONS = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.TEST_SENT, Outcome.TEST_REFUSED)
GOOD = (
    *(Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.TEST_SENT, Outcome.DISCONNECTED),
    *(Outcome.ADMIN_AGREED, Outcome.NOT_NEEDED, Outcome.TEST_WAITS),
)


class Reader(HTMLParser):
    """The elements of a page with their attributes, and the text that a person reads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] != "style":
            self.text += data


def consent_url(sender: str) -> str:
    return f"https://mail.contoso.com/api/oauth/start/{sender}"


def ended(outcome: Outcome, **changes: object) -> Ended:
    fields = {
        "sender": "noreply",
        "expected": "noreply@contoso.com",
        "account": Account("noreply@contoso.com", "tenant", "object", "Contoso Notifications"),
        "code": "AADSTS65004",
    } | changes
    return Ended(outcome, **fields)  # type: ignore[arg-type]  # what a test leaves out keeps its type


def page(end: Ended) -> tuple[Response, Reader]:
    response = consent_pages.ended(end, consent_url=consent_url, connected_url=CONNECTED_URL)
    return response, Reader(response.body.decode())


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_every_outcome_has_a_page_that_says_what_to_do(outcome: Outcome) -> None:
    response, read = page(ended(outcome))
    assert response.content_type == "text/html; charset=utf-8"
    assert re.search(r"<h1>.+</h1>", response.body.decode())
    assert response.body.decode().count("<p>") >= 1
    assert "{" not in read.text
    assert (response.status < 300) == (outcome in GOOD)
    assert not any(tag in ("script", "iframe", "form", "link", "base") for tag, _ in read.elements)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.EXPIRED,
        Outcome.USED,
        Outcome.DECLINED,
        Outcome.WRONG_ACCOUNT,
        Outcome.MISSING_SCOPE,
        Outcome.CREDENTIAL_BROKEN,
        Outcome.REFUSED,
        Outcome.UNAVAILABLE,
        Outcome.ADMIN_NEEDED,
        Outcome.OTHER_ACCOUNT,
        Outcome.UNSUITABLE,
        Outcome.DISCONNECTED,
    ],
    ids=lambda outcome: outcome.value,
)
def test_whoever_began_and_failed_is_told_the_link(outcome: Outcome) -> None:
    assert "https://mail.contoso.com/api/oauth/start/noreply" in page(ended(outcome))[1].text


@pytest.mark.parametrize("outcome", [Outcome.NOT_BEGUN, Outcome.UNKNOWN_SENDER], ids=lambda one: one.value)
def test_a_stranger_is_told_no_link(outcome: Outcome) -> None:
    response, _ = page(Ended(outcome, sender="nobody"))
    assert b"oauth/start" not in response.body


def test_the_page_shows_who_is_connected() -> None:
    response, read = page(ended(Outcome.CONNECTED, picture=Picture("image/png", b"\x89PNG")))
    assert response.status == 200
    assert "Contoso Notifications" in read.text
    assert "noreply@contoso.com" in read.text
    (image,) = (values for tag, values in read.elements if tag == "img")
    assert image["src"] == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def test_without_a_picture_there_are_initials() -> None:
    _, read = page(ended(Outcome.CONNECTED))
    assert "CN" in read.text.split()
    assert not [tag for tag, _ in read.elements if tag == "img"]


@pytest.mark.parametrize("name", ["", " ", "ada", "Ⅷ\u0301"])
def test_an_account_with_an_odd_name_is_shown_all_the_same(name: str) -> None:
    _, read = page(ended(Outcome.CONNECTED, account=Account("ada@contoso.com", "t", "o", name)))
    assert "ada@contoso.com" in read.text


def test_the_wrong_account_is_named_and_not_shown_as_connected() -> None:
    _, read = page(
        ended(Outcome.WRONG_ACCOUNT, account=Account("admin@contoso.com", "t", "o", "Adele Admin"))
    )
    assert (
        "You signed in as admin@contoso.com, but the sender noreply sends with noreply@contoso.com"
        in read.text
    )
    assert "Adele Admin" not in read.text


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_a_page_without_a_code_has_no_empty_brackets(outcome: Outcome) -> None:
    assert "()" not in page(ended(outcome, code=""))[1].text


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_nothing_from_outside_becomes_markup(outcome: Outcome, attack: str) -> None:
    harmless = page(
        ended(
            outcome,
            sender="x",
            code="x",
            expected="x",
            account=Account("x", "t", "o", "x x"),
            remedy="x",
            state="x",
            test_to="x",
            message_id="x",
            admin_url="x",
        )
    )[1]
    account = Account(attack, attack, attack, f"{attack} {attack}")
    response, read = page(
        ended(
            outcome,
            sender=attack,
            code=attack,
            expected=attack,
            account=account,
            remedy=attack,
            state=attack,
            test_to=attack,
            message_id=attack,
            admin_url=attack,
        )
    )
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in harmless.elements]
    for (_, found), (_, expected) in zip(read.elements, harmless.elements, strict=True):
        # What a field holds, and where the administrator's link leads: the one is typed, the other is ours.
        assert {**found, "value": "", "href": ""} == {**expected, "value": "", "href": ""}
    assert "49" not in read.text
    assert response.status == page(ended(outcome))[0].status


def test_a_name_without_end_is_cut() -> None:
    response, _ = page(Ended(Outcome.UNKNOWN_SENDER, sender="x" * 100_000))
    assert len(response.body) < 10_000


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
@pytest.mark.parametrize("forms", [False, True], ids=["no forms", "forms"])
def test_the_policy_allows_the_one_style_and_a_page_with_buttons_forms_to_itself(
    outcome: Outcome,
    forms: bool,  # noqa: FBT001 - a table of one column
) -> None:
    response, _ = page(ended(outcome, state="state-1" if forms else ""))
    forms_to = "'self'" if forms else "'none'"
    (style,) = re.findall(r"<style>(.*?)</style>", response.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        f"base-uri 'none'; form-action {forms_to}; frame-ancestors 'none'"
    )
    assert "style=" not in response.body.decode().replace(style, "")


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_no_page_is_stored_framed_or_names_itself_to_another_site(outcome: Outcome) -> None:
    headers = page(ended(outcome))[0].headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


# The buttons.


def named(read: Reader, tag: str) -> list[dict[str, str | None]]:
    return [values for each, values in read.elements if each == tag]


@pytest.mark.parametrize("outcome", WITH_BUTTONS, ids=lambda outcome: outcome.value)
def test_a_browser_that_may_go_on_gets_two_forms_without_a_script(outcome: Outcome) -> None:
    response, read = page(ended(outcome, state="state-1", test_to="noreply@contoso.com"))
    forms = named(read, "form")
    assert [(form["method"], form["action"]) for form in forms] == [("post", CONNECTED_URL)] * 2
    hidden = [field for field in named(read, "input") if field["type"] == "hidden"]
    assert [(field["name"], field["value"]) for field in hidden] == [("state", "state-1")] * 2
    assert [button["value"] for button in named(read, "button")] == ["test", "disconnect"]
    assert named(read, "script") == []
    assert not re.search(r"\son[a-z]+=", response.body.decode())


@pytest.mark.parametrize("outcome", WITH_BUTTONS, ids=lambda outcome: outcome.value)
def test_every_field_that_a_person_fills_in_has_a_label_and_every_button_a_word(outcome: Outcome) -> None:
    response, read = page(ended(outcome, state="state-1"))
    labels = {label["for"] for label in named(read, "label")}
    fields = [field for field in named(read, "input") if field["type"] != "hidden"]
    assert {field["id"] for field in fields} == labels
    assert len(fields) == 1
    assert all(word.strip() for word in re.findall(r"<button[^>]*>(.*?)</button>", response.body.decode()))
    ids = [values["id"] for _, values in read.elements if "id" in values]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_a_page_can_be_read_by_a_machine_that_reads_to_people(outcome: Outcome) -> None:
    response, read = page(ended(outcome, state="state-1"))
    text = response.body.decode()
    assert text.startswith('<!doctype html>\n<html lang="en">')
    (headline,) = re.findall(r"<h1>(.*?)</h1>", text)
    assert f"<title>{headline} · Sendoff</title>" in text
    assert len(named(read, "main")) == 1
    assert all("alt" in image for image in named(read, "img"))


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.value)
def test_without_a_state_there_is_no_form(outcome: Outcome) -> None:
    _, read = page(ended(outcome))
    assert (named(read, "form"), named(read, "input"), named(read, "button")) == ([], [], [])


def test_the_remedy_of_the_catalogue_stands_on_the_page() -> None:
    assert "Do this & that" in page(ended(Outcome.REFUSED, remedy="do this & that"))[1].text


@pytest.mark.parametrize("outcome", [Outcome.ADMIN_NEEDED, Outcome.NOT_NEEDED], ids=lambda one: one.value)
def test_where_an_administrator_agrees_is_on_the_page(outcome: Outcome) -> None:
    url = "https://login.microsoftonline.com/contoso/v2.0/adminconsent?client_id=a&scope=b%20c"
    read = page(ended(outcome, admin_url=url))[1]
    assert [found["href"] for tag, found in read.elements if tag == "a"] == [url]
