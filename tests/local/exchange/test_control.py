import pytest

from local.microsoft.exchange import ControlRefused
from tests.local.exchange.running import NOREPLY, RunningExchange


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"next": [{"at": "lunch", "do": "drop"}]}, "next.0.at: Input should be 'connect', 'starttls'"),
        ({"next": [{"at": "mail", "do": "reply"}]}, "next.0: 'reply' needs the words of the reply"),
        ({"next": [{"at": "mail", "do": "reply", "reply": "no"}]}, "next.0.reply: String should match"),
        ({"next": [{"at": "mail", "do": "tls_alert"}]}, "next.0: 'tls_alert' happens at 'starttls' only"),
        (
            {"next": [{"at": "ehlo", "do": "drop", "mailbox": NOREPLY}]},
            "next.0: no mailbox is known at 'ehlo'",
        ),
        ({"next": [{"at": "mail", "do": "drop", "seconds": 1}]}, "next.0: 'seconds' belongs to 'silence'"),
        ({"next": [{"at": "mail", "do": "drop", "stored": True}]}, "next.0: 'stored' belongs to 'after_dot'"),
        ({"limits": {"connections": 0}}, "limits.connections: Input should be greater than 0"),
        ({"limits": {"speed": 1}}, "limits.speed: Extra inputs are not permitted"),
        (
            {"mailboxes": {"gone@contoso.com": {"full": True}}},
            "mailboxes.gone@contoso.com: there is no such mailbox",
        ),
        ({"auth_failure_form": "shrug"}, "auth_failure_form: Input should be 'direct' or 'challenge'"),
        ({"round_trip_ms": -1}, "round_trip_ms: Input should be greater than or equal to 0"),
    ],
)
def test_a_bad_change_is_refused_with_its_place(
    server: RunningExchange, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(ControlRefused) as refused:
        server.control(**changes)
    assert refused.value.problems[0].startswith(problem)


def test_every_problem_is_told_and_nothing_is_changed(server: RunningExchange) -> None:
    before = server.call(server.exchange.describe)
    with pytest.raises(ControlRefused) as refused:
        server.control(limits={"connections": 9}, round_trip_ms=-1, auth_failure_form="x", next=[{}])
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "next.0.at",
        "next.0.do",
        "auth_failure_form",
        "round_trip_ms",
    ]
    assert server.call(server.exchange.describe) == before


def test_what_is_changed_is_told(server: RunningExchange) -> None:
    server.control(
        limits={"messages_per_minute": 1_000_000, "inactivity_seconds": 1.5},
        mailboxes={NOREPLY: {"blocked": True, "limits": {"connections": 9}}},
        round_trip_ms=25,
        keep_messages=10,
        next=[{"at": "after_dot", "do": "drop", "times": 2}],
    )
    settings: dict[str, object] = server.call(server.exchange.describe)
    assert settings["round_trip_ms"] == 25
    assert settings["keep_messages"] == 10
    assert settings["next"] == [
        {
            "at": "after_dot",
            "do": "drop",
            "reply": None,
            "times": 2,
            "skip": 0,
            "mailbox": None,
            "seconds": None,
            "stored": None,
        }
    ]
    assert server.exchange.limits.messages_per_minute == 1_000_000
    mailboxes = settings["mailboxes"]
    assert isinstance(mailboxes, dict)
    assert mailboxes[NOREPLY]["blocked"] is True
    assert mailboxes[NOREPLY]["limits"] == {"connections": 9}


def test_a_limit_can_be_lifted_by_assignment(server: RunningExchange) -> None:
    server.exchange.limits.messages_per_minute = 1
    client = server.client().enter()
    assert client.submit().startswith("250 ")
    assert client.submit().startswith("421 4.4.2 ")


def test_a_new_mailbox_can_be_made(server: RunningExchange) -> None:
    server.control(mailboxes={"new@contoso.com": {"owners": ["new@contoso.com"]}})
    client = server.client().enter("new@contoso.com")
    assert client.submit(mail_from="new@contoso.com").startswith("250 ")


def test_everything_can_be_put_back(server: RunningExchange) -> None:
    before = server.call(server.exchange.describe)
    limits = server.exchange.limits
    server.control(
        limits={"connections": 1},
        mailboxes={NOREPLY: {"full": True, "limits": {"connections": 1}}, "b@contoso.com": {"owners": ["b"]}},
        smtp_auth_enabled=False,
        auth_failure_form="challenge",
        round_trip_ms=1,
        keep_bytes=5,
        next=[{"at": "connect", "do": "drop"}],
    )
    server.call(server.exchange.restore)
    assert server.call(server.exchange.describe) == before
    assert server.exchange.limits is limits


def test_a_session_lives_through_a_restore_under_the_settings_of_the_start(server: RunningExchange) -> None:
    server.control(mailboxes={NOREPLY: {"full": True}})
    client = server.client().enter()
    assert client.submit().startswith("554 5.2.2 ")
    server.call(server.exchange.restore)
    assert client.submit().startswith("250 ")
    server.control(mailboxes={NOREPLY: {"blocked": True}})
    assert client.submit().startswith("550 5.1.8 ")
    client.ask("QUIT")
    counters = server.counters()
    assert counters["sessions_now"] == 0
    assert counters["mailboxes"][NOREPLY]["connections_now"] == 0
    assert counters["mailboxes"][NOREPLY]["accepted"] == 1
