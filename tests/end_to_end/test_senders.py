"""What operators do with senders: see how each stands, hold one, let it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests


@pytest.fixture
def reports(desk: Desk, connected: Callable[[str], None]) -> Iterator[str]:
    """A sender that no other test minds the holds of."""
    connected("reports")
    yield "reports"
    desk.sender("reports", "resume")


def put(desk: Desk, sender: str, **more: str) -> str:
    message_id = new_id("sender")
    desk.put(
        {
            "id": message_id,
            "sender": sender,
            "to": "a@example.net",
            "subject": message_id,
            "text": "x",
            **more,
        }
    )
    return message_id


def test_a_person_holds_a_sender_and_its_mail_waits_until_it_is_resumed(desk: Desk, reports: str) -> None:
    held = desk.sender(reports, "hold", reason="we move house")
    assert (held["state"], held["hold"]["reason"], held["hold"]["next_probe_at"]) == (
        "held",
        "we move house",
        None,
    )
    first, second = put(desk, reports), put(desk, reports, priority="high")
    for message_id in (first, second):
        entry = desk.until(message_id, "held")
        assert (entry["reason"], entry["attempts"]) == ("we move house", 0)
    other = put(desk, "noreply")
    desk.until(other, "accepted")
    assert desk.sender(reports)["mail_is_waiting"] is True
    assert desk.sender(reports, "resume")["state"] == "sending"
    for message_id in (first, second):
        assert desk.until(message_id, "accepted", seconds=15)["attempts"] == 1
        assert len(desk.mails(message_id)) == 1
    assert desk.sender(reports)["last_mail_at"]


def test_what_the_server_says_holds_the_sender_with_cause_and_remedy(desk: Desk, reports: str) -> None:
    reply = "550 5.1.8 Access denied, bad outbound sender AS(42003)"
    desk.control.mail({"next": [{"at": "after_dot", "do": "reply", "reply": reply}]})
    message_id = put(desk, reports)
    entry = desk.until(message_id, "held")
    assert (entry["reply"], entry["attempts"]) == (reply, 0)
    hold = desk.sender(reports)["hold"]
    assert (hold["remedy"], hold["who"]) == ("sender-blocked", "an administrator")
    assert "https://security.microsoft.com/restrictedentities" in hold["reason"]
    told = [event.get_data() for event in desk.events_of(reports, "sender.held")]
    assert "sender-blocked" in [data["remedy"] for data in told if isinstance(data, dict)]
    desk.sender(reports, "resume")
    assert desk.until(message_id, "accepted", seconds=15)["attempts"] == 1
    assert len(desk.mails(message_id)) == 1


def test_the_routes_need_the_key_and_say_what_is_wrong(desk: Desk) -> None:
    key = {"x-functions-key": desk.facts["key"]}
    for path in ("/api/senders", "/api/senders/noreply"):
        assert desk.get(path).status_code == 401
    unknown = desk.get("/api/senders/nobody", headers=key)
    assert (unknown.status_code, unknown.headers["Content-Type"]) == (404, "application/problem+json")
    assert unknown.json()["detail"].startswith("mail.toml has no sender 'nobody'; it has ")
    with desk.session() as operator:
        url = f"{desk.facts['functions']}/api/senders/noreply/hold"
        wrong = operator.post(url, json={"colour": "red", "reason": 7}, headers=key, timeout=30)
        assert operator.post(url, json={}, timeout=30).status_code == 401
    assert wrong.status_code == 400
    assert wrong.json()["problems"] == ["colour: is not a field here", "reason: is not a string"]
    assert desk.sender("noreply")["state"] == "sending"
    names = [each["name"] for each in desk.get("/api/senders", headers=key).json()["senders"]]
    assert sorted(names) == ["billing", "noreply", "reports"]


# A test mail, and the end of a grant.


def ask(desk: Desk, method: str, path: str, *, key: bool = True, **options: Any) -> requests.Response:
    with desk.session() as operator:
        headers = {"x-functions-key": desk.facts["key"]} if key else {}
        url = f"{desk.facts['functions']}/api/senders/{path}"
        return operator.request(method, url, headers=headers, timeout=30, **options)


def test_a_test_mail_is_found_at_once_where_the_answer_says_and_arrives(desk: Desk) -> None:
    to = f"{new_id('trial')}@example.net"
    answer = ask(desk, "POST", "noreply/test", json={"to": to})
    assert answer.status_code == 202
    found = desk.get(answer.headers["Location"], headers={"x-functions-key": desk.facts["key"]})
    assert (found.status_code, found.json()["id"]) == (200, answer.json()["id"])
    (mail,) = desk.until_mailed("Test mail of the sender noreply", to)
    assert (mail.mail_from, mail.content["Auto-Submitted"]) == ("noreply@contoso.com", "auto-generated")
    assert desk.until(answer.json()["id"], "accepted")["attempts"] == 1


def test_through_a_held_sender_a_test_mail_waits_and_the_answer_says_why(desk: Desk, reports: str) -> None:
    desk.sender(reports, "hold", reason="we move house")
    answer = ask(desk, "POST", f"{reports}/test")
    assert (answer.status_code, answer.json()["hold"]["reason"]) == (202, "we move house")
    assert answer.json()["to"] == "reports@contoso.com"
    desk.until(answer.json()["id"], "held")
    desk.sender(reports, "resume")
    desk.until(answer.json()["id"], "accepted")


def test_a_grant_is_removed_mail_waits_and_flows_when_somebody_signs_in_again(
    desk: Desk, reports: str, connected: Callable[[str], None]
) -> None:
    account = desk.sender(reports)["account"]
    assert account["name"] == "svc-mail@contoso.com"
    gone = ask(desk, "DELETE", f"{reports}/grant")
    assert gone.status_code == 200
    assert (gone.json()["account"], gone.json()["hold"]["remedy"]) == (None, "consent-missing")
    assert f"grant-{reports}" not in desk.secrets()
    again = ask(desk, "DELETE", f"{reports}/grant")
    assert (again.status_code, again.headers["Content-Type"]) == (409, "application/problem+json")
    message_id = put(desk, reports)
    assert desk.until(message_id, "held")["attempts"] == 0
    connected(reports)
    desk.until(message_id, "accepted")
    assert desk.sender(reports)["account"]["connected_at"] >= account["connected_at"]


@pytest.mark.parametrize(
    ("method", "word"),
    [("GET", ""), ("POST", "hold"), ("POST", "resume"), ("POST", "test"), ("DELETE", "grant")],
)
def test_every_route_wants_the_key_and_a_sender_that_there_is(desk: Desk, method: str, word: str) -> None:
    before = desk.standing()
    assert ask(desk, method, f"noreply/{word}".rstrip("/"), key=False).status_code == 401
    unknown = ask(desk, method, f"nobody/{word}".rstrip("/"))
    assert (unknown.status_code, unknown.json()["title"]) == (404, "no such sender")
    assert desk.standing() == before


@pytest.mark.parametrize("body", [b"[]", b"x", b'{"colour": 1}', b'{"to": "nobody"}', b'{"reason": 7}'])
@pytest.mark.parametrize("word", ["hold", "resume", "test"])
def test_a_body_that_makes_no_sense_is_refused(desk: Desk, word: str, body: bytes) -> None:
    before = desk.standing()
    answer = ask(desk, "POST", f"noreply/{word}", data=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert desk.standing() == before
