from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.holds import (
    ESCALATES_AFTER,
    ESCALATING,
    FIRST_PROBE,
    LONGEST_PROBE,
    TELL_AGAIN,
    Finding,
    Hold,
    Pause,
    Proof,
    SenderState,
    Trouble,
    after_finding,
    after_success,
    held,
    hold_of,
    new_hold,
    paused,
    resumed,
    returned,
    something_to_clear,
    throttled_for,
    told,
)
from shared.core.pacing import Pace, Place
from shared.core.reply import RULES, Judgement, Scope, Verdict
from shared.core.smtp import Phase

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ADDRESS = "billing@contoso.com"
FRESH = SenderState("noreply", pace=Pace(places=(Place("a", 1, NOW + MINUTE),)), version="v1")
BY_A_PERSON = Hold("held-by-person", "we move house", NOW, Proof.PERSON, None)


def finding(
    verdict: Verdict,
    *,
    rule: str = "a-rule",
    remedy: str = "a-remedy",
    scope: Scope = Scope.SENDER,
    phase: Phase = Phase.AUTH,
    at: datetime = NOW,
) -> Finding:
    return Finding(Judgement(verdict, rule, remedy, scope, doubt=False), phase, "the reason", ADDRESS, at)


# What each verdict does to its sender.


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REJECT])
def test_what_is_decided_about_a_message_says_nothing_about_its_sender(
    verdict: Verdict, scope: Scope
) -> None:
    assert after_finding(FRESH, finding(verdict, scope=scope)) is FRESH


@pytest.mark.parametrize("scope", [Scope.MESSAGE, Scope.ADDRESS])
def test_a_deferral_that_concerns_the_message_changes_nothing(scope: Scope) -> None:
    assert after_finding(FRESH, finding(Verdict.DEFER, scope=scope)) is FRESH


@pytest.mark.parametrize("verdict", [Verdict.HOLD, Verdict.REAUTHENTICATE])
def test_what_a_person_must_mend_holds_the_sender(verdict: Verdict) -> None:
    left = after_finding(FRESH, finding(verdict))
    hold = Hold("a-remedy", "the reason", NOW, Proof.SESSION, NOW + FIRST_PROBE)
    assert left == replace(FRESH, hold=hold)
    assert left.hold_for(ADDRESS) == left.hold_for("noreply@contoso.com") == hold


def test_what_concerns_an_address_holds_that_address_alone() -> None:
    left = after_finding(FRESH, finding(Verdict.HOLD, scope=Scope.ADDRESS, phase=Phase.END_OF_DATA))
    hold = Hold("a-remedy", "the reason", NOW, Proof.MESSAGE, NOW + FIRST_PROBE)
    assert left == replace(FRESH, address_holds={ADDRESS: hold})
    assert (left.hold_for(ADDRESS), left.hold_for("noreply@contoso.com")) == (hold, None)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_hold_is_proved_where_its_cause_showed(phase: Phase) -> None:
    before_a_message = {"connect", "greeting", "ehlo", "starttls", "tls", "certificate", "auth"}
    proof = Proof.SESSION if phase.value in before_a_message else Proof.MESSAGE
    assert hold_of(finding(Verdict.HOLD, phase=phase)).proof is proof


@pytest.mark.parametrize("remedy", ["message-rate", "recipients-per-day", "concurrent-connections"])
def test_a_throttle_pauses_the_sender_and_holds_nothing(remedy: str) -> None:
    left = after_finding(FRESH, finding(Verdict.THROTTLE, remedy=remedy))
    assert left == replace(
        FRESH,
        pause=Pause(NOW + throttled_for(remedy, 1), "the reason"),
        trouble=Trouble("a-rule", NOW, 1),
        line=True,  # what met it stands there
    )


@pytest.mark.parametrize(
    ("remedy", "seconds"),
    [
        ("recipients-per-day", [3600, 3600, 3600]),
        ("tenant-recipients-per-day", [3600, 3600, 3600]),
        ("message-rate", [60, 60, 60]),
        ("concurrent-connections", [5, 10, 20, 40, 60, 60]),
        ("server-busy", [5, 10, 20, 40, 60, 60]),
    ],
)
def test_a_throttle_lasts_as_long_as_what_is_used_up(remedy: str, seconds: list[int]) -> None:
    state, lasted = FRESH, []
    for _ in seconds:
        state = after_finding(replace(state, pause=None), finding(Verdict.THROTTLE, remedy=remedy))
        assert state.pause is not None
        lasted.append((state.pause.until - NOW).total_seconds())
    assert lasted == seconds
    assert throttled_for(remedy, 10_000) == seconds[-1] * SECOND


def test_every_throttle_of_the_table_pauses_for_a_while_and_not_for_ever() -> None:
    for rule in RULES:
        if rule.verdict is Verdict.THROTTLE:
            assert 5 * SECOND <= throttled_for(rule.remedy, 1) <= HOUR


# Failures in a row.


def test_the_first_failure_pauses_nobody_and_those_after_it_ever_longer() -> None:
    state, pauses = FRESH, []
    for _ in range(10):
        state = after_finding(replace(state, pause=None), finding(Verdict.DEFER))
        pauses.append(state.pause and (state.pause.until - NOW).total_seconds())
    assert pauses == [None, 5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert state.trouble == Trouble("a-rule", NOW, 10)
    assert state.hold is None


def test_a_pause_has_the_line_looked_at_when_it_is_over() -> None:
    assert paused(FRESH, Pause(NOW + MINUTE, "too fast")).line


def test_another_answer_begins_hours_of_its_own_and_goes_on_counting() -> None:
    state = after_finding(after_finding(FRESH, finding(Verdict.DEFER)), finding(Verdict.DEFER))
    later = NOW + MINUTE
    left = after_finding(state, finding(Verdict.DEFER, rule="another", at=later))
    assert left.trouble == Trouble("another", later, 3)
    assert left.pause == Pause(later + 10 * SECOND, "the reason")


def test_a_longer_pause_is_not_cut_short() -> None:
    long = Pause(NOW + HOUR, "the day is full")
    state = replace(FRESH, pause=long)
    assert after_finding(state, finding(Verdict.THROTTLE)).pause == long
    assert paused(state, Pause(NOW + MINUTE, "short")).pause == long
    assert paused(state, Pause(NOW + 2 * HOUR, "longer")).pause == Pause(NOW + 2 * HOUR, "longer")


def test_a_pause_is_over_at_its_end() -> None:
    pause = Pause(NOW, "too fast")
    state = paused(FRESH, pause)
    assert state.paused(NOW - SECOND) == pause
    assert state.paused(NOW) is None
    assert FRESH.paused(NOW) is None


def test_what_escalates_is_in_the_table_of_replies() -> None:
    rules = {rule.name: rule for rule in RULES}
    assert set(rules) >= ESCALATING
    assert all(rules[name].verdict is Verdict.DEFER for name in ESCALATING)
    assert all(rules[name].scope is Scope.SENDER for name in ESCALATING)


@pytest.mark.parametrize("rule", sorted(ESCALATING))
def test_hours_of_the_same_answer_are_a_persons_business(rule: str) -> None:
    state = FRESH
    for minutes in range(0, 120, 10):
        at = NOW + minutes * MINUTE
        state = after_finding(state, finding(Verdict.DEFER, rule=rule, phase=Phase.END_OF_DATA, at=at))
        assert state.hold is None
    at = NOW + ESCALATES_AFTER
    state = after_finding(state, finding(Verdict.DEFER, rule=rule, phase=Phase.END_OF_DATA, at=at))
    assert state.hold == Hold(
        "a-remedy",
        "the reason; it has been so for 2 hours, which time alone does not mend",
        at,
        Proof.MESSAGE,
        at + FIRST_PROBE,
    )


def test_hours_of_another_answer_are_not() -> None:
    state = after_finding(FRESH, finding(Verdict.DEFER))
    left = after_finding(state, finding(Verdict.DEFER, at=NOW + 10 * ESCALATES_AFTER))
    assert left.hold is None


def test_a_success_in_between_begins_the_hours_anew() -> None:
    rule = min(ESCALATING)
    state = after_finding(FRESH, finding(Verdict.DEFER, rule=rule))
    state = after_success(state, ADDRESS)
    assert state.trouble is None
    left = after_finding(state, finding(Verdict.DEFER, rule=rule, at=NOW + ESCALATES_AFTER))
    assert left.hold is None


# Holds.


def test_probes_come_ever_more_seldom_up_to_an_hour() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    waits = [hold.probe_at]
    for _ in range(20):
        hold = hold.probed(NOW)
        waits.append(hold.probe_at)
    minutes = [(at - NOW) / MINUTE for at in waits if at]
    assert minutes[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert minutes[-1] == LONGEST_PROBE / MINUTE == 60
    assert hold.probes == 20
    assert replace(hold, trying=True).probed(NOW).trying is False


def test_a_persons_hold_is_not_probed() -> None:
    assert new_hold("a-remedy", "the reason", proof=Proof.PERSON, now=NOW).probe_at is None


def test_a_hold_for_the_same_cause_keeps_its_beginning_and_its_probes() -> None:
    first = replace(new_hold("a-remedy", "before", proof=Proof.SESSION, now=NOW).probed(NOW), trying=True)
    state = held(FRESH, first, "")
    again = new_hold("a-remedy", "after", proof=Proof.MESSAGE, now=NOW + HOUR)
    assert held(state, again, "").hold == Hold(
        "a-remedy", "after", NOW, Proof.MESSAGE, first.probe_at, probes=1, trying=False
    )


def test_a_hold_for_another_cause_takes_its_place() -> None:
    state = held(FRESH, new_hold("a-remedy", "before", proof=Proof.SESSION, now=NOW), "")
    other = new_hold("another", "after", proof=Proof.MESSAGE, now=NOW + HOUR)
    assert held(state, other, "").hold == other


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_a_hold_by_a_person_is_neither_replaced_nor_ended_by_success(address: str) -> None:
    state = held(FRESH, BY_A_PERSON, address)
    found = finding(Verdict.HOLD, scope=Scope.ADDRESS if address else Scope.SENDER)
    assert after_finding(state, found) is state
    left = after_success(state, ADDRESS)
    assert (left.address_holds.get(address) if address else left.hold) == BY_A_PERSON


def test_a_person_may_hold_what_is_held_already() -> None:
    state = held(FRESH, new_hold("a-remedy", "before", proof=Proof.SESSION, now=NOW), "")
    assert held(state, BY_A_PERSON, "").hold == BY_A_PERSON


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_a_hold_that_was_told_stays_told_while_its_cause_is_the_same(address: str) -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    state = told(held(FRESH, hold, address), address, NOW)
    assert told(state, address, NOW + HOUR) is state
    again = held(state, new_hold("a-remedy", "after", proof=Proof.SESSION, now=NOW + HOUR), address)
    assert told(again, address, NOW + HOUR) is again
    other = held(state, new_hold("another", "after", proof=Proof.SESSION, now=NOW + HOUR), address)
    assert told(other, address, NOW + HOUR) is not other
    assert told(FRESH, address, NOW) is FRESH


def test_a_hold_is_told_at_once_and_then_once_a_day() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    assert hold.is_to_be_told(NOW)
    once = replace(hold, told_at=NOW)
    assert not once.is_to_be_told(NOW)
    assert not once.is_to_be_told(NOW + TELL_AGAIN - SECOND)
    assert once.is_to_be_told(NOW + TELL_AGAIN)


def test_telling_again_is_noted_with_its_time() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    state = told(told(held(FRESH, hold, ""), "", NOW), "", NOW + TELL_AGAIN)
    assert state.hold == replace(hold, told_at=NOW + TELL_AGAIN)


def test_a_failure_found_again_makes_no_hold_untold() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    state = held(told(held(FRESH, hold, ""), "", NOW), replace(hold, since=NOW + HOUR), "")
    assert state.hold is not None
    assert (state.hold.since, state.hold.told_at) == (NOW, NOW)


def test_addresses_are_held_each_for_itself() -> None:
    one = new_hold("a-remedy", "one", proof=Proof.MESSAGE, now=NOW)
    two = new_hold("a-remedy", "two", proof=Proof.MESSAGE, now=NOW)
    state = held(held(FRESH, one, "one@contoso.com"), two, "two@contoso.com")
    assert state.address_holds == {"one@contoso.com": one, "two@contoso.com": two}
    assert resumed(state, "one@contoso.com").address_holds == {"two@contoso.com": two}
    assert after_success(state, "two@contoso.com").address_holds == {"one@contoso.com": one}
    assert held(state, one, "").hold_for("three@contoso.com") == one


# The way out.


def test_a_sender_that_is_resumed_has_its_line_served_and_nothing_against_it() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.SESSION, now=NOW)
    state = replace(FRESH, hold=hold, pause=Pause(NOW + HOUR, "too fast"), trouble=Trouble("r", NOW, 3))
    assert resumed(state, "") == replace(FRESH, line=True)


def test_an_address_that_is_resumed_leaves_the_sender_as_it_is() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.MESSAGE, now=NOW)
    state = replace(FRESH, hold=BY_A_PERSON, address_holds={ADDRESS: hold}, trouble=Trouble("r", NOW, 3))
    left = resumed(state, ADDRESS)
    assert left == replace(state, address_holds={}, returning=frozenset({ADDRESS}), line=True)
    # Its mail stood aside, and is known to come back until it has.
    assert returned(left, ADDRESS) == replace(left, returning=frozenset())


def test_what_is_not_held_stays_the_very_same_when_resumed() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.MESSAGE, now=NOW)
    assert resumed(FRESH, "") is FRESH
    assert resumed(FRESH, ADDRESS) is FRESH
    state = held(FRESH, hold, ADDRESS)
    assert resumed(state, "") is state


def test_a_person_ends_a_pause_too() -> None:
    assert resumed(replace(FRESH, pause=Pause(NOW + HOUR, "too fast")), "") == replace(FRESH, line=True)


def test_a_success_clears_all_that_a_message_can_disprove() -> None:
    hold = new_hold("a-remedy", "the reason", proof=Proof.MESSAGE, now=NOW)
    state = replace(
        FRESH, hold=hold, address_holds={ADDRESS: hold, "x@contoso.com": hold}, trouble=Trouble("r", NOW, 3)
    )
    assert something_to_clear(state, ADDRESS)
    assert after_success(state, ADDRESS) == replace(
        FRESH, address_holds={"x@contoso.com": hold}, returning=frozenset({ADDRESS}), line=True
    )


def test_a_success_with_nothing_to_clear_leaves_everything() -> None:
    assert not something_to_clear(FRESH, ADDRESS)
    assert after_success(FRESH, ADDRESS) == FRESH
    other = held(FRESH, BY_A_PERSON, "x@contoso.com")
    assert not something_to_clear(other, ADDRESS)


def test_a_persons_hold_alone_is_nothing_that_a_success_clears() -> None:
    state = held(FRESH, BY_A_PERSON, "")
    assert after_success(state, ADDRESS) == state


# Who serves.


def test_a_line_is_served_while_somebodys_promise_lasts() -> None:
    state = replace(FRESH, serving={"a": NOW, "b": NOW + SECOND})
    assert state.is_served(NOW)
    assert not state.is_served(NOW, beside="b")
    assert not state.is_served(NOW + SECOND)
