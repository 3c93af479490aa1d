"""Sign-ins that end well at the provider and must not connect, or services that fail: the old grant stays."""

from __future__ import annotations

import html
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.test_consent import begin, come_back, headline
from tests.end_to_end.test_consent_abuse import calm
from tests.local.microsoft.walker import landed, press, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.desk import Desk

SERVICE_ACCOUNT = "svc-mail@contoso.com"


@contextmanager
def misbehaving(desk: Desk, part: str, wishes: dict[str, Any]) -> Iterator[None]:
    """Let the provider or the vault misbehave for a while."""
    tell = getattr(desk.control, part)
    tell(wishes)
    try:
        yield
    finally:
        tell({"reset": True})


def fails(**fault: Any) -> dict[str, Any]:
    return {"fail_next": {"token": {"status": 200, "times": 4, **fault}}}


PROVIDER = [
    (fails(status=500), 503, "Not just now"),
    (fails(status=503), 503, "Not just now"),
    (fails(status=429, retry_after=1), 503, "Not just now"),
    (fails(status=408), 503, "Not just now"),
    (fails(status=0), 503, "Not just now"),
    (fails(html=True), 503, "Not just now"),
    (fails(status=502, html=True), 503, "Not just now"),
    (fails(garbage="[]"), 503, "Not just now"),
    (fails(garbage='{"access_token": "canary'), 503, "Not just now"),
    (fails(garbage="{}"), 503, "Not just now"),
    (fails(status=400, code="70008"), 502, "Not connected"),
    ({"omit_refresh_token": 1}, 502, "Not connected"),
    ({"grant_less": 1}, 403, "A permission is missing"),
    ({"wrong_audience": 1}, 403, "The token is of no use for mail"),
    ({"wrong_tenant": 1}, 403, "The token is of no use for mail"),
]


@pytest.mark.parametrize(
    ("wishes", "status", "title"), PROVIDER, ids=[str(each[0])[:60] for each in PROVIDER]
)
def test_a_provider_that_fails_leaves_the_old_grant(
    desk: Desk, wishes: dict[str, Any], status: int, title: str
) -> None:
    before = desk.standing()
    with desk.session() as browser:
        answer = walk(browser, begin(desk, browser).headers["Location"])
        with misbehaving(desk, "identity", wishes):
            page = come_back(desk, browser, answer)
        calm(page, status, title)
        calm(come_back(desk, browser, answer), 409, "This sign-in was used before")
    assert desk.standing() == before
    assert answer["code"] not in page.text


@pytest.mark.parametrize("operation", ["get", "set"])
@pytest.mark.parametrize("status", [403, 429, 0])
def test_a_vault_that_fails_leaves_the_old_grant(desk: Desk, operation: str, status: int) -> None:
    before = desk.standing()
    with desk.session() as browser:
        answer = walk(browser, begin(desk, browser).headers["Location"])
        fault = {"status": status, "times": 20} | ({"retry_after": 0} if status == 429 else {})
        with misbehaving(desk, "vault", {"fail_next": {operation: fault}}):
            calm(come_back(desk, browser, answer), 503, "Not just now")
        calm(come_back(desk, browser, answer), 409, "This sign-in was used before")
    assert desk.standing() == before


def test_another_account_of_that_name_is_let_in_once_the_grant_is_removed(
    desk: Desk, connected: Callable[[str], None]
) -> None:
    connected("reports")
    desk.control.identity({"rehire": SERVICE_ACCOUNT})
    before = desk.standing()
    with desk.session() as browser:

        def sign_in() -> Any:
            location = begin(desk, browser, "reports").headers["Location"]
            return come_back(desk, browser, walk(browser, location, SERVICE_ACCOUNT))

        calm(sign_in(), 409, "That is another account of that name")
        assert desk.standing() == before
        url = f"{desk.facts['functions']}/api/senders/reports/grant"
        gone = browser.delete(url, headers={"x-functions-key": desk.facts["key"]}, timeout=30)
        assert gone.status_code == 200
        assert headline(sign_in()) == "Connected"
    assert desk.sender("reports")["state"] == "sending"


def test_where_only_an_administrator_may_agree_the_page_has_the_link_and_they_come_back_to_a_calm_one(
    desk: Desk, connected: Callable[[str], None]
) -> None:
    desk.control.identity({"require_admin_consent": True, "withdraw_consent": SERVICE_ACCOUNT})
    before = desk.standing()
    try:
        with desk.session() as person, desk.session() as administrator:
            location = begin(desk, person, "reports").headers["Location"]
            page = come_back(desk, person, walk(person, location, SERVICE_ACCOUNT))
            calm(page, 403, "An administrator must agree first")
            found = re.search(r"https://[^\s<\"]+/adminconsent\?[^\s<\"]+", page.text)
            assert found
            asked = administrator.get(html.unescape(found[0]), allow_redirects=False, timeout=30)
            chosen = press(administrator, asked, account="admin@contoso.com")
            answer = landed(press(administrator, chosen, decision="accept"))
            assert answer["admin_consent"] == "True"
            calm(come_back(desk, administrator, answer), 200, "Thank you")
            assert desk.standing() == before
            location = begin(desk, person, "reports").headers["Location"]
            page = come_back(desk, person, walk(person, location, SERVICE_ACCOUNT))
            assert headline(page) == "Connected"
    finally:
        desk.control.identity({"reset": True, "withdraw_consent": True})
        connected("noreply")
        connected("reports")
