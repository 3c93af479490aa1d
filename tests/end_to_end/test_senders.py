"""What operators do with senders: see how each stands, hold one, let it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
