"""Every minute: what is due goes to the outbox, held senders are probed, lines that stand still called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.holds import LONGEST_PROBE, TELL_AGAIN, Pause, Proof, new_hold
from shared.core.intake import call_body, waiting_body
from shared.core.smtp import Phase, Reply, Submission
from shared.core.timing import BROUGHT_BACK_EARLY
from shared.core.waiting import Due, line_of
from shared.scribe import SOON
from tests.twins import NOON, Crash, ScriptedTokens
from tests.workflows.conftest import BILLING, NOREPLY, SENDERS, Bench, lines, message
from tests.workflows.test_send import BUSY, REFUSED
from tests.workflows.test_send_crashes import crash_at
from tests.workflows.test_send_without_token import NOBODY_CONSENTED, VAULT_DOWN
from tests.workflows.test_serve_line import named

if TYPE_CHECKING:
    from datetime import datetime

SWITCHED_OFF = Submission(
    Phase.AUTH, Reply(535, ("5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",))
)
FULL = Submission(Phase.DATA, Reply(552, ("5.2.2 Mailbox full",)))
SPAM = Submission(Phase.END_OF_DATA, Reply(550, ("5.1.8 Access denied, bad outbound sender",)))
UNKNOWN = Submission(Phase.RCPT, Reply(550, ("5.1.10 RecipientNotFound",)))
NOT_AS = Submission(Phase.END_OF_DATA, Reply(554, ("5.2.252 SendAsDenied; not allowed to send as it",)))
MINUTE = timedelta(minutes=1)


def minutes(*numbers: float) -> list[datetime]:
    return [NOON + number * MINUTE for number in numbers]


# What is due.


def waits(bench: Bench, name: str, *, seconds: float) -> None:
    """Let a message fail for now, so that it goes again after so many seconds."""
    bench.mailer.script = [BUSY]
    bench.send(message(id=name), queue_id=f"queue-id-of-{name}")
    entry = bench.ledger.find(name)
    assert entry is not None
    at = bench.clock() + timedelta(seconds=seconds)
    written = bench.ledger.update(replace(entry, due_at=at, changes=entry.changes + 1))
    assert written is not None
    bench.room.wait(Due("due-3", f"{int(at.timestamp() * 1_000_000):018d}-{name}", name, at))
    bench.outbox.puts.clear()


def test_what_is_due_soon_is_put_on_the_outbox_to_be_seen_a_moment_before_its_time(bench: Bench) -> None:
    for name, seconds in (("a", 74.9), ("b", 0.25), ("c", 30), ("d", -90), ("late", 75.1), ("later", 90_000)):
        waits(bench, name, seconds=seconds)
    assert bench.release() == 4
    put = {each.text: each.delay.total_seconds() for each in bench.outbox.puts}
    early = BROUGHT_BACK_EARLY.total_seconds()
    assert put == {
        waiting_body("a"): 74.9 - early,
        waiting_body("b"): 0,
        waiting_body("c"): 30 - early,
        waiting_body("d"): 0,
    }
    assert [due.message_id for due in bench.room.dues()] == ["late", "later"]
    assert bench.release() == 0
    assert len(bench.outbox.puts) == 4


def test_nothing_is_late_between_two_runs(bench: Bench) -> None:
    assert SOON > MINUTE
    waits(bench, "a", seconds=SOON.total_seconds() + 1)
    assert bench.release() == 0
    bench.clock.advance(MINUTE)
    assert bench.release() == 1
    assert bench.outbox.puts[0].delay == timedelta(seconds=16) - BROUGHT_BACK_EARLY
    assert bench.send_what_waits() is State.ACCEPTED


def test_a_back_off_that_is_far_off_waits_in_the_room_and_goes_at_its_time(bench: Bench) -> None:
    bench.mailer.script = [BUSY] * 3
    bench.send(message())
    bench.send_what_waits()
    bench.outbox.puts.clear()
    bench.clock.advance(timedelta(seconds=60))
    body = waiting_body("order-17").encode()
    assert bench.send(body, queue_id="queue-id-3") is State.DEFERRED
    (due,) = bench.room.dues()
    assert (due.message_id, due.at - bench.clock(), bench.outbox.puts) == ("order-17", 4 * MINUTE, [])
    for delays in ([], [], [], [60 - BROUGHT_BACK_EARLY.total_seconds()]):
        bench.release()
        assert [put.delay.total_seconds() for put in bench.outbox.puts] == delays
        bench.outbox.puts.clear()
        bench.clock.advance(MINUTE)
    assert bench.clock() == due.at
    assert bench.send(body, queue_id="queue-id-4") is State.ACCEPTED


@pytest.mark.parametrize("write", ["outbox before put", "room before forget", "room after forget"])
def test_a_crash_between_the_outbox_and_the_room_sends_everything_once(bench: Bench, write: str) -> None:
    for name in "abcde":
        waits(bench, name, seconds=10)
    sent_before = len(bench.mailer.submitted)
    twin, moment, name = write.split()
    setattr(getattr(bench, twin), moment, crash_at(name, 2))
    with pytest.raises(Crash):
        bench.release()
    bench.another().release()
    assert bench.room.dues() == []
    bench.clock.advance(timedelta(seconds=10))
    puts = list(bench.outbox.puts)
    for number, put in enumerate(puts):
        bench.send(put.text.encode(), queue_id=f"released-{number}")
    assert {bench.state_of(name) for name in "abcde"} == {State.ACCEPTED}
    assert len(bench.mailer.submitted) - sent_before == 5


def test_a_run_with_nothing_to_do_says_nothing_and_writes_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.send(message())
    caplog.clear()
    version = bench.state.version
    assert bench.release() == 0
    assert (bench.outbox.puts, lines(caplog), bench.state.version) == ([], [], version)


def test_a_run_says_what_it_did(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    waits(bench, "a", seconds=10)
    caplog.clear()
    bench.release()
    said = "released 1 messages that were due; probed 0 holds; had 0 lines served"
    assert lines(caplog) == [("INFO", "released", said)]


# Probes.


def run(bench: Bench, until: timedelta, *, serve: bool = False) -> list[datetime]:
    """Let a minute pass after another, and return when the mail server was knocked at or handed a message."""
    seen: list[datetime] = []
    end = bench.clock() + until
    while bench.clock() < end:
        bench.clock.advance(MINUTE)
        before = len(bench.mailer.knocked), len(bench.mailer.submitted)
        began = bench.clock()
        bench.release()
        if serve and bench.calls:
            bench.outbox.puts.clear()
            bench.serve(called=True)
        if (len(bench.mailer.knocked), len(bench.mailer.submitted)) != before:
            seen.append(began)
        bench.clock.now = began
    return seen


def test_a_held_sender_is_probed_farther_and_farther_apart_and_no_mail_is_sent(bench: Bench) -> None:
    bench.mailer.script = [SWITCHED_OFF]
    bench.mailer.doors = [SWITCHED_OFF] * 100
    assert bench.send(message()) is State.HELD
    assert run(bench, timedelta(hours=5)) == minutes(1, 3, 7, 15, 31, 63, 123, 183, 243)
    assert len(bench.mailer.submitted) == 1
    assert len(bench.mailer.knocked) == 9
    hold = bench.state.hold
    assert hold is not None
    assert (hold.probes, hold.since) == (9, NOON)
    assert hold.probe_at == NOON + 243 * MINUTE + LONGEST_PROBE
    assert len(bench.events.of_senders) == 1


def test_a_probe_that_fails_says_what_is_wrong(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.mailer.script = [SWITCHED_OFF]
    bench.mailer.doors = [SWITCHED_OFF]
    bench.send(message())
    caplog.clear()
    run(bench, MINUTE)
    level, word, said = lines(caplog)[0]
    assert (level, word) == ("WARNING", "probe-failed")
    assert said.startswith("probed noreply: ")
    assert "Set-CASMailbox noreply@contoso.com -SmtpClientAuthenticationDisabled $false" in said


def test_a_probe_that_passes_lets_the_mail_flow(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.mailer.script = [SWITCHED_OFF]
    bench.send(message(id="a"))
    bench.send(message(id="b"), queue_id="queue-id-2")
    caplog.clear()
    bench.clock.advance(MINUTE)
    bench.release()
    assert (bench.state.hold, bench.state.line) == (None, True)
    assert len(bench.mailer.submitted) == 1
    assert bench.calls
    event = bench.events.of_senders[-1]
    assert (event.kind, event.sender) == ("sender.resumed", "noreply")
    assert event.data == {"reason": "a probe could sign in again"}
    said = "noreply is no longer held: a probe could sign in again; its mail flows"
    assert ("WARNING", "sender-resumed", said) in lines(caplog)
    assert bench.serve(called=True) == 2
    assert bench.state_of("a") is bench.state_of("b") is State.ACCEPTED


def test_a_probe_asks_for_another_token_where_the_first_is_refused(bench: Bench) -> None:
    bench.mailer.script = [REFUSED, REFUSED]
    bench.send(message())
    bench.mailer.doors = [REFUSED]
    bench.clock.advance(MINUTE)
    bench.release()
    assert bench.state.hold is None
    assert [token.value[-1] for _, token in bench.mailer.knocked] == ["2", "3"]


@pytest.mark.parametrize("error", [NOBODY_CONSENTED, VAULT_DOWN], ids=["no consent", "vault down"])
def test_a_probe_without_a_token_changes_nothing(bench: Bench, error: Exception) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED, *[error] * 2)
    bench.send(message())
    run(bench, 3 * MINUTE)
    assert bench.state.hold is not None
    assert bench.mailer.knocked == []
    assert bench.state_of("order-17") is State.HELD


def test_a_hold_that_a_person_made_is_never_probed(bench: Bench) -> None:
    hold = new_hold("held-by-hand", "we move house", proof=Proof.PERSON, now=NOON)
    bench.holds.hold(NOREPLY, hold)
    bench.holds.hold(NOREPLY, hold, address=BILLING)
    bench.send(message())
    assert run(bench, timedelta(hours=30)) == []
    kept = replace(hold, told_at=NOON + TELL_AGAIN)
    assert (bench.state.hold, bench.state.address_holds) == (kept, {BILLING: kept})
    assert (bench.mailer.knocked, bench.calls) == ([], [])


def test_a_crash_in_a_probe_does_not_repeat_it_at_once(bench: Bench) -> None:
    bench.mailer.script = [SWITCHED_OFF]
    bench.send(message())
    bench.tokens = ScriptedTokens(Crash())
    bench.clock.advance(MINUTE)
    with pytest.raises(Crash):
        bench.release()
    second = bench.another()
    second.release()
    assert second.mailer.knocked == []
    assert run(second, 2 * MINUTE) == minutes(3)


def test_a_sender_that_mail_toml_does_not_have_is_neither_probed_nor_called(bench: Bench) -> None:
    bench.mailer.script = [SWITCHED_OFF]
    bench.send(message())
    bench.register.change("reports", lambda state: replace(state, line=True))
    bench.outbox.puts.clear()
    bench.senders = {}
    assert run(bench, timedelta(hours=1)) == []
    assert bench.outbox.puts == []


# What only a message can show.


def full(bench: Bench, *, times: int = 1) -> None:
    """Let the mailbox be full, which shows after a message only, with three that wait."""
    bench.mailer.script = [FULL] * times
    for number, name in enumerate("abc"):
        assert bench.send(named(name), queue_id=f"queue-id-{number}") is State.HELD
        bench.clock.advance(timedelta(milliseconds=1))
    bench.clock.now = NOON
    assert bench.subjects == ["a"]


def test_one_message_tries_what_no_probe_can_see_the_oldest_first(bench: Bench) -> None:
    full(bench, times=2)
    assert run(bench, 2 * MINUTE, serve=True) == minutes(1)
    assert bench.subjects == ["a", "a"]
    assert {bench.state_of(name) for name in "abc"} == {State.HELD}
    assert sorted(bench.line) == ["a", "b", "c"]
    entry = bench.ledger.find("a")
    assert entry is not None
    assert entry.attempts == 0


def test_a_trial_that_fails_holds_on_with_a_longer_interval(bench: Bench) -> None:
    full(bench, times=100)
    assert run(bench, timedelta(hours=3), serve=True) == minutes(1, 3, 7, 15, 31, 63, 123)
    assert len(bench.mailer.submitted) == 8
    assert [event.kind for event in bench.events.of_senders] == ["sender.held"]
    hold = bench.state.hold
    assert hold is not None
    assert (hold.since, hold.probes) == (NOON, 7)


def test_a_trial_that_succeeds_lets_everything_flow(bench: Bench) -> None:
    full(bench)
    run(bench, 3 * MINUTE, serve=True)
    assert bench.subjects == ["a", "a", "b", "c"]
    assert {bench.state_of(name) for name in "abc"} == {State.ACCEPTED}
    assert [event.kind for event in bench.events.of_senders] == ["sender.held", "sender.resumed"]
    assert bench.state.hold is None


def test_a_trial_of_a_message_that_is_refused_itself_is_followed_by_another(bench: Bench) -> None:
    full(bench)
    bench.mailer.script = [UNKNOWN]
    run(bench, MINUTE, serve=True)
    assert (bench.state_of("a"), bench.state_of("b")) == (State.REJECTED, State.HELD)
    run(bench, 4 * MINUTE, serve=True)
    assert bench.state_of("b") is bench.state_of("c") is State.ACCEPTED


def test_a_trial_that_shows_another_cause_is_told_as_such(bench: Bench) -> None:
    full(bench)
    bench.mailer.script = [SPAM]
    run(bench, MINUTE, serve=True)
    hold = bench.state.hold
    assert hold is not None
    assert (hold.remedy, hold.probes) == ("sender-blocked", 0)
    told = [(event.kind, event.data["remedy"]) for event in bench.events.of_senders]
    assert told == [("sender.held", "mailbox-full"), ("sender.held", "sender-blocked")]


def test_the_first_message_that_comes_tries_where_none_waits(bench: Bench) -> None:
    hold = new_hold("mailbox-full", "it is full", proof=Proof.MESSAGE, now=NOON)
    bench.holds.hold(NOREPLY, hold)
    run(bench, 2 * MINUTE, serve=True)
    assert bench.state.hold is not None
    bench.deliver(message())
    assert bench.state_of("order-17") is State.ACCEPTED
    assert bench.state.hold is None


def test_one_message_of_an_address_tries_and_the_others_go_on(bench: Bench) -> None:
    hold = new_hold("send-as-denied", "not as billing", proof=Proof.MESSAGE, now=NOON)
    bench.holds.hold(NOREPLY, hold, address=BILLING)
    for name in "abc":
        assert bench.send(named(name, **{"from": BILLING}), queue_id=name) is State.HELD
        bench.clock.advance(timedelta(milliseconds=1))
    bench.clock.now = NOON
    bench.mailer.script = [NOT_AS] * 2
    assert run(bench, 5 * MINUTE, serve=True) == minutes(1, 3)
    assert bench.subjects == ["a", "a"]
    assert bench.send(named("d"), queue_id="d") is State.ACCEPTED
    assert sorted(bench.room.ids_in(line_of("noreply", BILLING))) == ["a", "b", "c"]
    run(bench, 5 * MINUTE, serve=True)
    assert {bench.state_of(name) for name in "abc"} == {State.ACCEPTED}
    assert bench.state.address_holds == {}


# Lines that stand still.


def test_a_line_that_nobody_serves_is_called(bench: Bench) -> None:
    bench.queue_up(message())
    bench.release()
    assert [(put.text, put.delay) for put in bench.outbox.puts] == [(call_body("noreply"), timedelta())]
    sent = bench.run_send(bench.outbox.puts[0].text.encode(), queue_id="queue-id-9")
    assert (sent.state, sent.line, sent.called) == (None, "noreply", True)
    assert bench.serve(sent.line, called=sent.called) == 1


def test_a_line_that_is_served_is_not_called_and_one_whose_promise_is_over_is(bench: Bench) -> None:
    bench.queue_up(message())
    until = NOON + timedelta(seconds=30)
    bench.register.change("noreply", lambda state: replace(state, serving={"instance-9": until}))
    bench.release()
    assert bench.calls == []
    bench.clock.now = until
    bench.release()
    assert len(bench.calls) == 1


@pytest.mark.parametrize(("seconds", "delays"), [(0.5, [0.5]), (60, [60]), (61, []), (3600, [])])
def test_a_paused_line_is_called_at_the_end_of_its_pause(
    bench: Bench, seconds: float, delays: list[float]
) -> None:
    bench.queue_up(message())
    bench.holds.wait(NOREPLY, Pause(NOON + timedelta(seconds=seconds), "too many"))
    bench.outbox.puts.clear()
    bench.release()
    assert [put.delay.total_seconds() for put in bench.calls] == delays


def test_a_held_line_is_not_called(bench: Bench) -> None:
    bench.queue_up(message())
    bench.holds.hold(NOREPLY, new_hold("held-by-hand", "so", proof=Proof.PERSON, now=NOON))
    bench.release()
    assert bench.calls == []


def test_every_sender_is_seen_to(bench: Bench) -> None:
    for name in SENDERS:
        bench.register.change(name, lambda state: replace(state, line=True))
    bench.release()
    assert sorted(put.text for put in bench.outbox.puts) == sorted(map(call_body, SENDERS))
