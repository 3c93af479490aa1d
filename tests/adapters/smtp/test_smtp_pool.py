from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from shared.adapters.smtp_pool import Resting, Route, SmtpPool, choose
from shared.adapters.smtp_session import SmtpSession, Timeouts
from shared.core.reply import Verdict, judge
from shared.core.smtp import Envelope, Phase, Submission
from shared.core.xoauth2 import Credentials
from tests.adapters.smtp.conftest import CREDENTIALS, HASTY, PATIENT, Serve
from tests.adapters.smtp.scripted_server import Peer, Script, ScriptedServer, drop, reset, says, silence

if TYPE_CHECKING:
    import ssl

MIME = b"Subject: hello\r\n\r\nhello\r\n"
ENVELOPE = Envelope("noreply@contoso.com", ("one@example.com",))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pooled:
    """A pool with a clock that stands still until it is moved."""

    def __init__(
        self, context: ssl.SSLContext, *, timeouts: Timeouts = PATIENT, patience: float = 10
    ) -> None:
        self.clock = Clock()
        self.pool = SmtpPool(
            ehlo_name="sender.contoso.com",
            context_factory=lambda: context,
            clock=self.clock,
            timeouts=timeouts,
            patience_seconds=patience,
        )

    def submit(
        self,
        server: ScriptedServer,
        *,
        key: str = "noreply",
        connections: int = 3,
        credentials: Credentials = CREDENTIALS,
    ) -> Submission:
        route = Route("localhost", server.port, key, connections)
        return self.pool.submit(route, credentials, ENVELOPE, MIME)

    def knock(self, server: ScriptedServer, *, connections: int = 3) -> Submission | None:
        return self.pool.knock(Route("localhost", server.port, "noreply", connections), CREDENTIALS)


@pytest.fixture
def make_pool(context: ssl.SSLContext) -> Iterator[Callable[..., Pooled]]:
    pools: list[Pooled] = []

    def make(*, timeouts: Timeouts = PATIENT, patience: float = 10) -> Pooled:
        pools.append(Pooled(context, timeouts=timeouts, patience=patience))
        return pools[-1]

    yield make
    for pooled in pools:
        pooled.pool.close()


Make = Callable[..., Pooled]


def test_messages_in_a_row_share_one_session(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    assert all(pooled.submit(server).accepted for _ in range(5))
    assert len(server.peers) == 1
    assert "NOOP" not in server.lines


def test_a_new_access_token_keeps_the_session_and_a_new_user_does_not(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    pooled.submit(server)
    pooled.submit(server, credentials=Credentials(CREDENTIALS.user, "another-access-token"))
    assert len(server.peers) == 1
    pooled.submit(server, credentials=Credentials("billing@contoso.com", "another-access-token"))
    assert len(server.peers) == 2
    assert server.peers[0].lines[-1] == "QUIT"


def test_a_session_that_idled_is_asked_first(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    pooled.submit(server)
    pooled.clock.now += 16
    assert pooled.submit(server).accepted
    assert server.lines.count("NOOP") == 1
    assert len(server.peers) == 1


def test_a_session_that_does_not_answer_when_asked_is_replaced(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(Script({"noop": silence}), Script()), make_pool(timeouts=HASTY)
    pooled.submit(server)
    pooled.clock.now += 16
    assert pooled.submit(server).accepted
    assert len(server.peers) == 2


@pytest.mark.parametrize(("idle", "times"), [(61, 1), (59, 6)])
def test_a_session_that_idled_long_or_is_old_is_closed_politely(
    idle: int, times: int, make_pool: Make, serve: Serve
) -> None:
    server, pooled = serve(), make_pool()
    pooled.submit(server)
    for _ in range(times):
        pooled.clock.now += idle
        assert pooled.submit(server).accepted
    assert len(server.peers) == 2
    assert server.peers[0].lines[-1] == "QUIT"


@pytest.mark.parametrize("fault", [drop, reset, says("421 4.4.1 Connection timed out")])
def test_a_used_session_that_is_dead_at_mail_is_replaced_once(
    fault: Callable[[Peer], None], make_pool: Make, serve: Serve
) -> None:
    server, pooled = serve(_works_once(fault), Script()), make_pool()
    assert pooled.submit(server).accepted
    assert pooled.submit(server).accepted
    assert len(server.peers) == 2
    assert len(server.messages) == 2


def test_a_rate_limit_on_a_used_session_is_no_reason_to_connect_again(make_pool: Make, serve: Serve) -> None:
    limit = "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
    server, pooled = serve(_works_once(says(limit)), Script()), make_pool()
    pooled.submit(server)
    assert judge(pooled.submit(server)).verdict is Verdict.THROTTLE
    assert len(server.peers) == 1


def test_a_used_session_lost_after_mail_was_accepted_is_not_tried_again(
    make_pool: Make, serve: Serve
) -> None:
    def after_the_first(peer: Peer) -> None:
        if len(peer.messages) > 1:
            drop(peer)
        peer.say("250 2.0.0 OK\r\n")

    server, pooled = serve(Script({"dot": after_the_first}), Script()), make_pool()
    pooled.submit(server)
    submission = pooled.submit(server)
    assert (submission.phase, judge(submission).doubt) == (Phase.END_OF_DATA, True)
    assert len(server.peers) == 1


def test_a_fresh_session_that_dies_is_not_tried_again(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(Script({"mail": drop})), make_pool()
    assert pooled.submit(server).phase is Phase.MAIL
    assert len(server.peers) == 1


def test_a_refused_message_leaves_the_session_in_the_pool(make_pool: Make, serve: Serve) -> None:
    server, pooled = (
        serve(Script({"dot": says("550 5.7.60 SMTP; Client does not have permissions")})),
        make_pool(),
    )
    pooled.submit(server)
    assert judge(pooled.submit(server)).rule == "send-as-denied"
    assert len(server.peers) == 1


def test_a_refused_token_is_a_submission_and_frees_the_place(make_pool: Make, serve: Serve) -> None:
    refuse = Script({"auth": says("535 5.7.3 Authentication unsuccessful")})
    server, pooled = serve(refuse, Script()), make_pool()
    assert judge(pooled.submit(server, connections=1)).verdict is Verdict.REAUTHENTICATE
    assert pooled.submit(server, connections=1).accepted


def _works_once(fault: Callable[[Peer], None]) -> Script:
    def mail(peer: Peer) -> None:
        if peer.messages:
            fault(peer)
            drop(peer)
        peer.say("250 2.1.0 Sender OK\r\n")

    return Script({"mail": mail})


class Gate:
    """Lets the server hold back its last answer until the test has seen enough."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, peer: Peer) -> None:
        self.waiting.release()
        self.go.wait(10)
        peer.say("250 2.0.0 OK\r\n")


def in_threads(count: int, call: Callable[[], Submission]) -> tuple[list[threading.Thread], list[Submission]]:
    done: list[Submission] = []
    threads = [threading.Thread(target=lambda: done.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, done


def test_never_more_sessions_than_connections_and_the_rest_wait_their_turn(
    make_pool: Make, serve: Serve
) -> None:
    gate = Gate()
    server, pooled = serve(Script({"dot": gate})), make_pool()
    threads, done = in_threads(8, lambda: pooled.submit(server))
    for _ in range(3):
        assert gate.waiting.acquire(timeout=10)
    gate.go.set()
    for thread in threads:
        thread.join(10)
    assert [submission.accepted for submission in done] == [True] * 8
    assert len(server.peers) <= 3


def test_when_all_are_busy_too_long_the_message_is_given_back_and_throttled(
    make_pool: Make, serve: Serve
) -> None:
    gate = Gate()
    server, pooled = serve(Script({"dot": gate})), make_pool(patience=0.05)
    threads, _ = in_threads(1, lambda: pooled.submit(server, connections=1))
    assert gate.waiting.acquire(timeout=10)
    submission = pooled.submit(server, connections=1)
    gate.go.set()
    threads[0].join(10)
    assert submission.phase is Phase.BORROW
    assert submission.problem == "all 1 connections of this sender are busy"
    assert judge(submission).verdict is Verdict.THROTTLE


def test_senders_do_not_share_connections(make_pool: Make, serve: Serve) -> None:
    gate = Gate()
    server, other, pooled = serve(Script({"dot": gate})), serve(), make_pool(patience=0.05)
    threads, _ = in_threads(1, lambda: pooled.submit(server, connections=1))
    assert gate.waiting.acquire(timeout=10)
    assert pooled.submit(other, key="billing", connections=1).accepted
    gate.go.set()
    threads[0].join(10)


def test_stale_sessions_of_a_silent_sender_are_closed_by_others(make_pool: Make, serve: Serve) -> None:
    server, other, pooled = serve(), serve(), make_pool()
    pooled.submit(server)
    pooled.clock.now += 61
    pooled.submit(other, key="billing")
    server.close()
    assert server.lines[-1] == "QUIT"


def test_a_sender_can_be_told_to_close_its_idle_sessions(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    pooled.submit(server)
    pooled.pool.close_idle("noreply")
    assert server.lines[-1] == "QUIT"
    pooled.pool.close_idle("nobody")
    assert pooled.submit(server).accepted


def test_a_sender_can_be_told_how_many_connections_it_may_keep(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    other = serve()
    pooled.submit(other, key="billing")
    _open_three(pooled, server)
    pooled.pool.trim("noreply", 5)
    assert [peer.lines[-1] for peer in server.peers].count("QUIT") == 0
    pooled.pool.trim("noreply", 1)
    assert [peer.lines[-1] for peer in server.peers].count("QUIT") == 2
    assert pooled.submit(server).accepted
    assert len(server.peers) == 3  # over the one that was kept
    pooled.pool.trim("nobody", 0)
    assert other.peers[0].lines[-1] != "QUIT"


def test_a_connection_in_use_is_one_of_those_that_are_kept_and_is_not_closed(
    make_pool: Make, serve: Serve
) -> None:
    may_end, begun = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        begun.set()
        _answers_when(may_end)(peer)

    server, pooled = serve(Script({"dot": slow})), make_pool()
    _open_three(pooled, server)
    sent: list[Submission] = []
    busy = threading.Thread(target=lambda: sent.append(pooled.submit(server)))
    busy.start()
    begun.wait(10)
    pooled.pool.trim("noreply", 1)
    assert [peer.lines[-1] for peer in server.peers].count("QUIT") == 2
    may_end.set()
    busy.join(10)
    assert sent[0].accepted


def _open_three(pooled: Pooled, server: ScriptedServer) -> None:
    ready = threading.Barrier(3)

    def knock() -> None:
        ready.wait(10)
        pooled.knock(server)

    threads = [threading.Thread(target=knock) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(server.peers) == 3


def _answers_when(event: threading.Event) -> Callable[[Peer], None]:
    def answer(peer: Peer) -> None:
        event.wait(10)
        peer.say("250 2.0.0 OK\r\n")

    return answer


# Knocking.


def test_a_knock_signs_in_and_sends_nothing(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    assert pooled.knock(server) is None
    (peer,) = server.peers
    assert [line.partition(" ")[0] for line in peer.lines] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_the_session_of_a_knock_is_kept_for_the_next_message(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    pooled.knock(server)
    assert pooled.submit(server).accepted
    assert len(server.peers) == 1


def test_a_knock_opens_a_new_session_for_an_old_one_proves_nothing(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    assert pooled.submit(server).accepted
    assert pooled.knock(server, connections=1) is None
    assert len(server.peers) == 2
    assert server.peers[0].lines[-1] == "QUIT"


def test_a_knock_says_what_is_wrong_and_frees_its_place(make_pool: Make, serve: Serve) -> None:
    refusal = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox"
    server, pooled = serve(Script({"auth": says(refusal)}), Script()), make_pool(patience=0.1)
    wrong = pooled.knock(server, connections=1)
    assert wrong is not None
    assert judge(wrong).verdict is Verdict.HOLD
    assert pooled.knock(server, connections=1) is None


def test_a_knock_that_finds_every_connection_in_use_says_so(make_pool: Make, serve: Serve) -> None:
    may_end, begun = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        begun.set()
        _answers_when(may_end)(peer)

    server, pooled = serve(Script({"dot": slow})), make_pool(patience=0.1)
    busy = threading.Thread(target=pooled.submit, args=(server,), kwargs={"connections": 1})
    busy.start()
    begun.wait(10)
    wrong = pooled.knock(server, connections=1)
    may_end.set()
    busy.join(10)
    assert wrong is not None
    assert wrong.phase is Phase.BORROW
    assert len(server.peers) == 1


def test_a_closed_pool_says_quit_and_refuses(make_pool: Make, serve: Serve) -> None:
    server, pooled = serve(), make_pool()
    pooled.submit(server)
    pooled.pool.close()
    assert server.lines[-1] == "QUIT"
    submission = pooled.submit(server)
    assert (submission.phase, submission.problem) == (Phase.BORROW, "the pool is closed")
    assert judge(submission).verdict is Verdict.THROTTLE


def test_closing_wakes_those_who_wait_and_ends_the_busy_when_they_are_done(
    make_pool: Make, serve: Serve
) -> None:
    gate = Gate()
    server, pooled = serve(Script({"dot": gate})), make_pool()
    threads, done = in_threads(2, lambda: pooled.submit(server, connections=1))
    assert gate.waiting.acquire(timeout=10)
    pooled.pool.close()
    gate.go.set()
    for thread in threads:
        thread.join(10)
    assert sorted(submission.phase.value for submission in done) == ["borrow", "done"]
    assert server.lines[-1] == "QUIT"


def test_a_name_that_ehlo_cannot_carry_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="EHLO"):
        SmtpPool(ehlo_name="MacBook..")


IDENTITY = ("smtp.office365.com", 587, "noreply@contoso.com")


def resting(
    session: SmtpSession,
    *,
    idle_since: float,
    opened_at: float = 0,
    identity: tuple[str, int, str] = IDENTITY,
) -> Resting:
    return Resting(session, identity, opened_at=opened_at, idle_since=idle_since)


@pytest.fixture
def session(serve: Serve, context: ssl.SSLContext) -> Iterator[SmtpSession]:
    opened = SmtpSession.open("localhost", serve().port, CREDENTIALS, context=context)
    assert isinstance(opened, SmtpSession)
    yield opened
    opened.discard()


def test_the_choice_is_the_youngest_at_rest_and_what_is_stale_closes(session: SmtpSession) -> None:
    stale, old = resting(session, idle_since=39), resting(session, idle_since=99, opened_at=-201)
    other = resting(session, idle_since=99, identity=("smtp.office365.com", 587, "billing@contoso.com"))
    first, last = resting(session, idle_since=50), resting(session, idle_since=90)
    choice = choose((stale, last, old, other, first), identity=IDENTITY, busy=0, connections=5, now=100)
    assert choice.close == (stale, old, other)
    assert (choice.reuse, choice.keep) == (last, (first,))
    assert (choice.check, choice.wait) == (False, False)


def test_the_choice_is_to_wait_only_without_rest_and_room(session: SmtpSession) -> None:
    rest = resting(session, idle_since=80)
    empty = choose((), identity=IDENTITY, busy=2, connections=3, now=100)
    full = choose((), identity=IDENTITY, busy=3, connections=3, now=100)
    lowered = choose((rest,), identity=IDENTITY, busy=3, connections=3, now=100)
    checked = choose((rest,), identity=IDENTITY, busy=2, connections=3, now=100)
    assert [choice.wait for choice in (empty, full, lowered, checked)] == [False, True, True, False]
    assert (empty.reuse, checked.reuse, checked.check) == (None, rest, True)
