"""Holding a sender and letting it go on: told once, said once, and one way out whoever asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.delivery import State
from shared.core.holds import (
    ESCALATES_AFTER,
    FIRST_PROBE,
    Finding,
    Hold,
    Pause,
    Proof,
    new_hold,
)
from shared.core.intake import call_body
from shared.core.remedies import CATALOGUE
from shared.core.reply import judge_reply
from shared.core.smtp import Phase, Reply
from shared.core.waiting import line_of
from tests.twins import ACCEPTED, NOON, Crash
from tests.workflows.conftest import BILLING, NOREPLY, Bench, lines, message

if TYPE_CHECKING:
    from shared.core.smtp import Submission

SWITCHED_OFF = (Phase.AUTH, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled")
NOT_AS = (Phase.END_OF_DATA, "554 5.2.252 SendAsDenied; not allowed to send as it")
TOO_MANY = (Phase.MAIL, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded")
BUSY_BACK_END = (Phase.AUTH, "430 4.2.0 STOREDRV; mailbox logon failure")
SLOW = (Phase.MAIL, "451 4.7.500 Server busy. Please try again later")
UNKNOWN = (Phase.RCPT, "550 5.1.10 RecipientNotFound")


def found(bench: Bench, what: tuple[Phase, str], *, address: str = "noreply@contoso.com") -> None:
    phase, text = what
    code, _, rest = text.partition(" ")
    judgement = judge_reply(phase, Reply(int(code), (rest,)))
    bench.holds.found(NOREPLY, Finding(judgement, phase, f"the server says {code}", address, bench.clock()))


def by_hand(reason: str = "we move house") -> Hold:
    return new_hold("held-by-hand", reason, proof=Proof.PERSON, now=NOON)


def told(bench: Bench) -> list[str]:
    return [event.kind for event in bench.events.of_senders]


def words(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(level, word) for level, word, _ in lines(caplog)]


# Held.


def test_a_hold_is_told_once_with_cause_remedy_and_who_must_act(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        found(bench, SWITCHED_OFF)
        bench.clock.advance(timedelta(seconds=10))
    hold = bench.state.hold
    assert hold is not None
    assert (hold.remedy, hold.since, hold.probe_at) == ("smtp-auth-disabled", NOON, NOON + FIRST_PROBE)
    (event,) = bench.events.of_senders
    assert (event.kind, event.sender, event.at) == ("sender.held", "noreply", NOON)
    assert event.data == {
        "remedy": "smtp-auth-disabled",
        "reason": "the server says 535",
        "since": NOON.isoformat(),
        "who": "an administrator",
    }
    said = "noreply is held and its mail waits: the server says 535"
    assert lines(caplog) == [("ERROR", "sender-held", said)]


def test_a_second_instance_that_finds_the_same_tells_nothing_new(bench: Bench) -> None:
    found(bench, SWITCHED_OFF)
    found(bench.another(), SWITCHED_OFF)
    assert told(bench) == ["sender.held"]


def test_another_cause_is_told_too(bench: Bench) -> None:
    found(bench, SWITCHED_OFF)
    bench.holds.hold(NOREPLY, new_hold("mailbox-full", "it is full", proof=Proof.MESSAGE, now=NOON))
    assert [event.data["remedy"] for event in bench.events.of_senders] == [
        "smtp-auth-disabled",
        "mailbox-full",
    ]


def test_an_address_is_held_apart_and_named(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    found(bench, NOT_AS, address=BILLING)
    found(bench, NOT_AS, address=BILLING)
    assert bench.state.hold is None
    assert list(bench.state.address_holds) == [BILLING]
    (event,) = bench.events.of_senders
    assert (event.kind, event.data["address"], event.data["remedy"]) == (
        "sender.held",
        BILLING,
        "send-as-denied",
    )
    said = f"{BILLING} of noreply is held and its mail waits: the server says 554"
    assert lines(caplog) == [("ERROR", "sender-held", said)]


@pytest.mark.parametrize("remedy", ["consent-missing", "consent-required"])
def test_a_consent_that_is_wanted_is_an_event_of_its_own(
    bench: Bench, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        bench.holds.hold(NOREPLY, new_hold(remedy, "sign in at …", proof=Proof.SESSION, now=NOON))
    assert told(bench) == ["sender.held", "sender.consent_required"]
    assert all(event.data["reason"] == "sign in at …" for event in bench.events.of_senders)
    assert words(caplog) == [("ERROR", "consent-required")]


def test_a_hold_by_hand_is_not_replaced_by_what_the_server_says(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, by_hand())
    found(bench, SWITCHED_OFF)
    assert bench.state.hold == replace(by_hand(), told_at=NOON)
    assert [event.data["remedy"] for event in bench.events.of_senders] == ["held-by-hand"]


def test_a_failure_of_the_message_alone_changes_nothing_and_says_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    found(bench, UNKNOWN)
    assert bench.states.all() == []
    assert (bench.events.of_senders, lines(caplog)) == ([], [])


def test_what_time_should_have_mended_is_held_after_hours(bench: Bench) -> None:
    found(bench, BUSY_BACK_END)
    bench.clock.advance(ESCALATES_AFTER - timedelta(seconds=1))
    found(bench, BUSY_BACK_END)
    assert told(bench) == []
    bench.clock.advance(timedelta(seconds=1))
    found(bench, BUSY_BACK_END)
    (event,) = bench.events.of_senders
    assert event.data["remedy"] == "mailbox-logon-failed"
    assert "it has been so for 2 hours" in event.data["reason"]


def test_every_remedy_says_who_must_act() -> None:
    assert all(remedy.who.value for remedy in CATALOGUE.values())


def test_a_hold_whose_telling_broke_off_is_told_all_the_same(bench: Bench) -> None:
    def crash(_: str) -> None:
        bench.events.before = lambda _: None
        raise Crash

    bench.events.before = crash
    with pytest.raises(Crash):
        found(bench, SWITCHED_OFF)
    second = bench.another()
    found(second, SWITCHED_OFF)
    for _ in range(3):
        bench.clock.advance(timedelta(minutes=1))
        bench.mailer.doors = [_refusal(SWITCHED_OFF)]
        second.release()
    assert told(bench) == ["sender.held"]


def _refusal(what: tuple[Phase, str]) -> Submission:
    phase, text = what
    code, _, rest = text.partition(" ")
    return type(ACCEPTED)(phase, Reply(int(code), (rest,)))


# Paused.


def test_a_pause_is_said_with_its_end_and_called_then(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    found(bench, TOO_MANY)
    pause = bench.state.pause
    assert pause is not None
    assert (pause.until, bench.state.hold) == (NOON + timedelta(seconds=5), None)
    said = "mail of noreply waits until 2026-11-24T12:00:05+00:00: the server says 432"
    assert lines(caplog) == [("WARNING", "sender-paused", said)]
    assert [put.delay.total_seconds() for put in bench.calls] == [5]
    assert told(bench) == []


def test_pauses_grow_where_the_server_says_it_again(bench: Bench) -> None:
    waits = []
    for _ in range(6):
        found(bench, TOO_MANY)
        pause = bench.state.pause
        assert pause is not None
        waits.append((pause.until - bench.clock()).total_seconds())
        bench.clock.now = pause.until
    assert waits == [5, 10, 20, 40, 60, 60]


def test_a_failure_that_concerns_the_sender_pauses_it_from_the_second_on(bench: Bench) -> None:
    found(bench, SLOW)
    assert bench.state.pause is None
    found(bench, SLOW)
    assert bench.state.pause is not None


def test_a_pause_is_never_made_shorter(bench: Bench) -> None:
    long = Pause(NOON + timedelta(hours=1), "the day is full")
    bench.holds.wait(NOREPLY, long)
    bench.holds.wait(NOREPLY, Pause(NOON + timedelta(seconds=10), "no token"))
    found(bench, TOO_MANY)
    assert bench.state.pause == long


# On again.


def test_a_resumed_sender_is_called_told_and_said(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.holds.hold(NOREPLY, by_hand())
    caplog.clear()
    bench.events.of_senders.clear()
    assert bench.holds.resume(NOREPLY, why="a person resumed it")
    assert (bench.state.hold, bench.state.line) == (None, True)
    assert [put.text for put in bench.outbox.puts] == [call_body("noreply")]
    (event,) = bench.events.of_senders
    assert (event.kind, event.data, event.at) == ("sender.resumed", {"reason": "a person resumed it"}, NOON)
    said = "noreply is no longer held: a person resumed it; its mail flows"
    assert lines(caplog) == [("WARNING", "sender-resumed", said)]


def test_resuming_what_is_not_held_is_harmless(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert not bench.holds.resume(NOREPLY, why="a person resumed it")
    assert not bench.holds.resume(NOREPLY, address=BILLING, why="a person resumed it")
    assert (bench.events.of_senders, bench.outbox.puts, lines(caplog)) == ([], [], [])


def test_resuming_a_sender_leaves_an_addresss_hold(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, by_hand(), address=BILLING)
    bench.holds.hold(NOREPLY, by_hand())
    assert bench.holds.resume(NOREPLY, why="a person resumed it")
    state = bench.state
    assert (state.hold, list(state.address_holds)) == (None, [BILLING])


def test_a_resumed_address_brings_its_mail_back_in_its_order(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, by_hand(), address=BILLING)
    for name, priority in (("a", "normal"), ("b", "high"), ("c", "normal")):
        bench.clock.advance(timedelta(milliseconds=1))
        bench.send(message(id=name, priority=priority, **{"from": BILLING}), queue_id=name)
    bench.events.of_senders.clear()
    assert bench.holds.resume(NOREPLY, address=BILLING, why="a person resumed it")
    assert (bench.line, bench.room.ids_in(line_of("noreply", BILLING))) == (["b", "a", "c"], [])
    (event,) = bench.events.of_senders
    assert event.data == {"address": BILLING, "reason": "a person resumed it"}
    assert bench.serve(called=True) == 3


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("twin", "name"),
    [
        ("states", "save"),
        ("room", "join"),
        ("room", "leave"),
        ("outbox", "put"),
        ("events", "tell_of_sender"),
    ],
)
def test_a_crash_while_an_address_is_resumed_strands_no_mail(
    bench: Bench, twin: str, name: str, moment: str
) -> None:
    bench.holds.hold(NOREPLY, by_hand(), address=BILLING)
    for each in "ab":
        bench.send(message(id=each, **{"from": BILLING}), queue_id=each)
    where = getattr(bench, twin)

    def crash(called: str) -> None:
        if called == name:
            setattr(where, moment, lambda _: None)
            raise Crash

    setattr(where, moment, crash)
    resumed = 0
    for _ in range(2):  # whoever asked gets no answer, and asks again
        try:
            bench.holds.resume(NOREPLY, address=BILLING, why="a person resumed it")
            resumed += 1
        except Crash:
            bench = bench.another()
    assert resumed >= 1
    for _ in range(3):
        bench.clock.advance(timedelta(minutes=1))
        bench.release()
        bench.serve(called=True)
    assert bench.state_of("a") is bench.state_of("b") is State.ACCEPTED


def test_only_the_remedies_that_are_named_are_ended(bench: Bench) -> None:
    found(bench, SWITCHED_OFF)
    assert not bench.holds.resume(NOREPLY, why="signed in", only=frozenset({"consent-missing"}))
    assert bench.holds.resume(NOREPLY, why="signed in", only=frozenset({"smtp-auth-disabled"}))


def test_an_accepted_message_forgets_what_was_counted(bench: Bench) -> None:
    found(bench, SLOW)
    before = bench.state
    assert before.trouble is not None
    bench.send(message())
    after = bench.state
    assert after.trouble is None
    found(bench, SLOW)
    assert bench.state.pause is None


def test_an_accepted_message_ends_no_hold_by_hand(bench: Bench) -> None:
    bench.holds.hold(NOREPLY, by_hand())
    bench.holds.succeeded(NOREPLY, "noreply@contoso.com")
    assert bench.state.hold == replace(by_hand(), told_at=NOON)
    assert told(bench) == ["sender.held"]


def test_a_hold_that_comes_while_a_message_is_under_way_stays_for_those_after_it(bench: Bench) -> None:
    other = bench.another()
    bench.mailer.meanwhile = lambda: other.holds.hold(NOREPLY, by_hand())
    assert bench.send(message(id="a")) is State.ACCEPTED
    bench.mailer.meanwhile = lambda: None
    bench.clock.advance(timedelta(seconds=5))
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.HELD
