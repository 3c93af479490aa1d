"""Mail waits for consent and then flows by itself; whoever comes without having begun changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from local.consent_walk import ConsentFailedError, walk
from tests.end_to_end.desk import Desk, new_id
from tests.local.microsoft.walker import walk as walk_the_provider
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

REDIRECT = "/api/oauth/redirect"


def test_mail_waits_for_consent_and_is_sent_once_it_is_there(
    desk: Desk, connected: Callable[[str], None]
) -> None:
    message_id = new_id("billing")
    desk.put(
        {"id": message_id, "sender": "billing", "to": "a@example.net", "subject": message_id, "text": "x"}
    )
    entry = desk.until(message_id, "held")
    assert entry["attempts"] == 0
    start = f"{desk.facts['functions']}/api/oauth/start/billing"
    expected = f"nobody has consented for billing@contoso.com yet; sign in as billing@contoso.com at {start}"
    assert entry["reason"] == expected
    assert expected in desk.log()
    assert "[consent-required]" in desk.log()
    assert desk.waiting("outbox-poison") == 0
    standing = desk.sender("billing")
    assert (standing["state"], standing["mail_is_waiting"]) == ("held", True)
    assert (standing["hold"]["remedy"], standing["hold"]["reason"]) == ("consent-missing", expected)
    (event,) = desk.events_of("billing", "sender.consent_required")
    data = event.get_data()
    assert isinstance(data, dict)
    assert (data["reason"], data["who"]) == (expected, "the sending account")

    connected("billing")

    entry = desk.until(message_id, "accepted", seconds=15)
    assert desk.events_of("billing", "sender.resumed")
    assert desk.sender("billing")["state"] == "sending"
    assert entry["attempts"] == 1
    (mail,) = desk.mails(message_id)
    assert (mail.mail_from, mail.auth_user) == ("billing@contoso.com", "billing@contoso.com")


def test_the_wrong_account_is_turned_away(desk: Desk) -> None:
    before = desk.secrets()
    with pytest.raises(ConsentFailedError, match="That was another account") as raised:
        walk(
            f"{desk.facts['functions']}/api/oauth/start/noreply",
            key=desk.facts["key"],
            ca_file=desk.facts["ca_file"],
            account="admin@contoso.com",
        )
    assert "choose noreply@contoso.com" in str(raised.value)
    assert desk.secrets() == before


def test_the_start_needs_the_key(desk: Desk) -> None:
    for options in ({}, {"headers": {"x-functions-key": "wrong"}}):
        assert desk.get("/api/oauth/start/noreply", **options).status_code == 401
    answer = desk.get(f"/api/oauth/start/noreply?{urlencode({'code': desk.facts['key']})}")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(desk.facts["identity"])


def test_an_unknown_sender_is_said(desk: Desk) -> None:
    answer = begin(desk, desk.session(), "nobody")
    assert answer.status_code == 404
    assert "There is no such sender" in answer.text


# Browsers.


def begin(desk: Desk, browser: requests.Session, sender: str = "noreply") -> requests.Response:
    """Open the consent link as far as the provider's door."""
    return browser.get(
        f"{desk.facts['functions']}/api/oauth/start/{sender}",
        headers={"x-functions-key": desk.facts["key"]},
        allow_redirects=False,
        timeout=30,
    )


def come_back(desk: Desk, browser: requests.Session, answer: dict[str, str]) -> requests.Response:
    return browser.get(f"{desk.facts['functions']}{REDIRECT}?{urlencode(answer)}", timeout=30)


def headline(answer: requests.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text)
    assert found, answer.text
    return found[1]


def test_a_sign_in_works_in_its_own_browser_alone_and_once(desk: Desk) -> None:
    with desk.session() as victim, desk.session() as thief:
        location = begin(desk, victim).headers["Location"]
        begin(desk, thief)
        answer = walk_the_provider(victim, location)
        before = desk.secrets()
        assert headline(come_back(desk, thief, answer)) == "No sign-in is under way here"
        assert desk.secrets() == before
        assert headline(come_back(desk, victim, answer)) == "Connected"
        after = desk.secrets()
        assert after["grant-noreply"]["versions"] == before["grant-noreply"]["versions"] + 1
        assert headline(come_back(desk, victim, answer)) == "Already connected"
        assert headline(come_back(desk, thief, answer)) == "No sign-in is under way here"
        assert desk.secrets() == after


def test_a_code_of_somebody_elses_sign_in_cannot_be_slipped_in(desk: Desk) -> None:
    with desk.session() as attacker, desk.session() as victim:
        planted = walk_the_provider(attacker, begin(desk, attacker).headers["Location"])
        (state,) = parse_qs(urlsplit(begin(desk, victim).headers["Location"]).query)["state"]
        before = desk.secrets()
        assert headline(come_back(desk, victim, planted)) == "No sign-in is under way here"
        assert headline(come_back(desk, victim, planted | {"state": state})) == "Not connected"
        assert desk.secrets() == before


def test_a_no_is_taken_for_a_no(desk: Desk) -> None:
    desk.control.identity({"withdraw_consent": "admin@contoso.com"})
    with desk.session() as browser:
        location = begin(desk, browser).headers["Location"]
        answer = walk_the_provider(browser, location, "admin@contoso.com", "cancel")
        before = desk.secrets()
        page = come_back(desk, browser, answer)
        assert (page.status_code, headline(page)) == (403, "Not connected")
        assert "declined (AADSTS65004)" in page.text
        assert headline(come_back(desk, browser, answer)) == "This sign-in was used before"
        assert desk.secrets() == before


def test_a_provider_that_is_down_while_somebody_signs_in_is_a_page_too(desk: Desk) -> None:
    with desk.session() as browser:
        answer = walk_the_provider(browser, begin(desk, browser).headers["Location"])
        before = desk.secrets()
        desk.control.identity({"fail_next": {"token": {"status": 503, "times": 2}}})
        page = come_back(desk, browser, answer)
        desk.control.identity({"fail_next": {"token": {"status": 503, "times": 0}}})
        assert (page.status_code, headline(page)) == (503, "Not just now")
        assert desk.secrets() == before


# Health and upkeep.


def test_health_is_good_and_says_nothing_more(desk: Desk) -> None:
    answer = desk.get("/api/health")
    assert (answer.status_code, answer.text) == (200, "ok")


def test_upkeep_says_what_it_did_for_every_sender(desk: Desk) -> None:
    with desk.session() as operator:
        done = operator.post(f"{desk.facts['functions']}/admin/functions/upkeep", json={}, timeout=30)
    assert done.status_code == 202
    found = eventually(
        lambda: re.findall(r"upkeep looked at 3 senders: (.*) \[upkeep-done\]", desk.log()), said=desk.log
    )
    assert "noreply still fresh" in found[-1]
