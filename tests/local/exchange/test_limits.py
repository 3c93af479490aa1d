from local.microsoft.exchange.limits import RollingDay, SlidingMinute
from tests.local.exchange.running import NOREPLY, SVC, RunningExchange

RATE = "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
CONNECTIONS = "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending"


def test_the_thirty_first_message_in_a_minute_is_refused_and_the_connection_dropped(
    server: RunningExchange,
) -> None:
    client = server.client().enter()
    for _ in range(30):
        assert client.submit().startswith("250 ")
        server.clock.now += 1
    assert client.submit() == RATE
    assert client.is_closed()


def test_the_minute_slides(server: RunningExchange) -> None:
    client = server.client().enter()
    for _ in range(30):
        client.submit()
        server.clock.now += 1
    server.clock.now += 30  # the first message is sixty seconds old now, the second fifty-nine
    assert client.submit().startswith("250 ")
    assert client.submit() == RATE


def test_each_mailbox_has_its_own_rate(server: RunningExchange) -> None:
    server.control(limits={"messages_per_minute": 1})
    assert server.client().enter().submit().startswith("250 ")
    assert server.client().enter(SVC).submit(mail_from=SVC).startswith("250 ")
    assert server.client().enter().submit() == RATE


def test_a_fourth_connection_that_submits_is_refused(server: RunningExchange) -> None:
    clients = [server.client().enter() for _ in range(4)]
    answers = [client.submit() for client in clients]
    assert [answer[:3] for answer in answers] == ["250", "250", "250", "432"]
    assert answers[3].startswith(CONNECTIONS)


def test_a_connection_that_closes_makes_room(server: RunningExchange) -> None:
    clients = [server.client().enter() for _ in range(4)]
    assert [client.submit()[:3] for client in clients] == ["250", "250", "250", "432"]
    clients[0].ask("QUIT")
    assert clients[3].submit().startswith("250 ")


def test_connections_that_do_not_submit_need_no_room(server: RunningExchange) -> None:
    idle = [server.client().enter() for _ in range(5)]
    assert server.client().enter().submit().startswith("250 ")
    assert [client.ask("NOOP")[:3] for client in idle] == ["250"] * 5


def test_recipients_of_a_day_have_a_limit(server: RunningExchange) -> None:
    server.control(limits={"recipients_per_day": 3})
    client = server.client().enter()
    assert client.submit(to=("a@b", "c@d")).startswith("250 ")
    refusal = client.submit(to=("a@b", "c@d"))
    assert refusal.startswith("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException")
    assert client.submit(to=("a@b",)).startswith("250 ")
    server.clock.now += 24 * 60 * 60
    assert client.submit(to=("a@b", "c@d")).startswith("250 ")


def test_the_counters_tell_the_most_there_ever_was(server: RunningExchange) -> None:
    clients = [server.client().enter() for _ in range(2)]
    for client in clients:
        client.submit()
        client.submit()
    for client in clients:
        client.ask("QUIT")
    server.clock.now += 60
    counters = server.counters()
    assert (counters["sessions"], counters["most_sessions_at_once"], counters["accepted"]) == (2, 2, 4)
    assert (counters["messages_in_the_last_minute"], counters["most_messages_in_a_minute"]) == (0, 4)
    assert counters["replies"]["250 2.1.5"] == 4
    assert counters["replies"]["354"] == 4
    assert counters["mailboxes"][NOREPLY] == {
        "accepted": 4,
        "connections_now": 0,
        "most_connections_at_once": 2,
        "most_submitting_at_once": 2,
        "messages_in_the_last_minute": 0,
        "most_messages_in_a_minute": 4,
        "recipients_in_the_last_day": 4,
    }


def test_a_sliding_minute_forgets_after_sixty_seconds() -> None:
    minute = SlidingMinute()
    minute.add(0.0)
    minute.add(59.9)
    assert (minute.count(59.99), minute.count(60.0), minute.count(119.9), minute.most) == (2, 1, 0, 2)


def test_a_rolling_day_forgets_after_twenty_four_hours() -> None:
    day = RollingDay()
    day.add(0.0, 5)
    day.add(60.0, 7)
    assert [day.sum(24 * 3600 + seconds) for seconds in (-1.0, 0.0, 60.0)] == [12, 7, 0]
