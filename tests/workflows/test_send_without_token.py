"""Mail waits where there is no token: no attempt is counted, and the log says what a person must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.delivery import State
from shared.core.holds import LONGEST_PROBE, TOKEN_PAUSE
from shared.core.oauth import NO_GRANT
from shared.core.remedies import ENDED_BY_CONSENT
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError
from tests.twins import NOON, ScriptedTokens
from tests.workflows.conftest import NOREPLY, Bench, lines, message
from tests.workflows.test_send import BUSY, REFUSED

if TYPE_CHECKING:
    import pytest

NOBODY_CONSENTED = ConsentRequiredError("nobody has consented for noreply@contoso.com yet", code=NO_GRANT)
CONSENT_GONE = ConsentRequiredError("the provider refused: invalid_grant AADSTS700082", code="AADSTS700082")
SECRET_REFUSED = CredentialError("the provider refused: invalid_client AADSTS7000222", code="AADSTS7000222")
VAULT_DOWN = TokenUnavailableError(
    "cannot read the secret grant-noreply: HttpResponseError 503; it is tried again"
)


def test_mail_waits_for_the_first_consent(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    assert bench.send(message()) is State.HELD
    entry = bench.ledger.only()
    assert (entry.attempts, entry.waits, entry.reply, entry.due_at) == (0, 0, "", None)
    expected = (
        "nobody has consented for noreply@contoso.com yet; "
        "sign in as noreply@contoso.com at https://mail.contoso.com/api/oauth/start/noreply"
    )
    assert entry.reason == expected
    assert bench.mailer.submitted == []
    assert bench.line == ["order-17"]
    said = f"noreply is held and its mail waits: {expected}"
    assert lines(caplog)[0] == ("ERROR", "consent-required", said)


def test_those_who_listen_hear_once_that_somebody_must_sign_in(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(*[NOBODY_CONSENTED] * 3)
    for number in range(3):
        assert bench.send(message(id=f"order-{number}"), queue_id=f"queue-id-{number}") is State.HELD
    told = [(event.kind, event.sender) for event in bench.events.of_senders]
    assert told == [("sender.held", "noreply"), ("sender.consent_required", "noreply")]
    assert "https://mail.contoso.com/api/oauth/start/noreply" in bench.events.of_senders[1].data["reason"]
    assert bench.tokens.asked == 1


def test_it_is_sent_once_consent_is_there(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    bench.send(message())
    bench.send(message(id="order-18"), queue_id="queue-id-2")
    assert bench.holds.resume(NOREPLY, why="somebody has signed in", only=ENDED_BY_CONSENT)
    assert bench.serve(called=True) == 2
    assert bench.state_of("order-17") is bench.state_of("order-18") is State.ACCEPTED
    assert [entry.attempts for entry in bench.events.told if entry.state is State.ACCEPTED] == [1, 1]


def test_a_probe_finds_consent_that_nobody_spoke_of(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(*[NOBODY_CONSENTED] * 30)
    bench.send(message())
    for _ in range(29):
        bench.clock.advance(LONGEST_PROBE)
        bench.release()
        assert bench.state_of("order-17") is State.HELD
    assert bench.ledger.only().attempts == 0
    bench.clock.advance(LONGEST_PROBE)
    bench.release()
    bench.serve(called=True)
    assert bench.state_of("order-17") is State.ACCEPTED


def test_the_account_that_must_sign_in_is_the_senders_own(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    bench.send(message(sender="reports"))
    assert (
        "sign in as svc-mail@contoso.com at https://mail.contoso.com/api/oauth/start/reports" in caplog.text
    )


def test_a_sender_without_consent_stops_no_other(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    assert bench.send(message(id="a", sender="reports")) is State.HELD
    assert bench.send(message(id="b"), queue_id="queue-id-2") is State.ACCEPTED


def test_a_consent_that_is_gone_says_the_code_and_the_link(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(CONSENT_GONE)
    assert bench.send(message()) is State.HELD
    entry = bench.ledger.only()
    assert entry.attempts == 0
    assert entry.reason == (
        "the provider refused: invalid_grant AADSTS700082; the refresh token of noreply@contoso.com was not "
        "used for 90 days; sign in again as noreply@contoso.com at "
        "https://mail.contoso.com/api/oauth/start/noreply, and see that the function upkeep runs, which uses "
        "it every day"
    )
    assert lines(caplog)[0][1] == "consent-required"


def test_a_broken_client_secret_says_what_to_type(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.tokens = ScriptedTokens(SECRET_REFUSED)
    assert bench.send(message()) is State.HELD
    entry = bench.ledger.only()
    assert entry.attempts == 0
    assert "AADSTS7000222" in entry.reason
    assert "az keyvault secret set" in entry.reason
    assert "oauth-microsoft-client-secret" in entry.reason
    assert lines(caplog)[0][:2] == ("ERROR", "sender-held")
    (event,) = bench.events.of_senders
    assert (event.kind, event.data["remedy"]) == ("sender.held", "client-secret-expired")
    assert event.data["who"] == "an administrator"


# A token that cannot be had just now.


def test_a_vault_that_is_down_pauses_the_sender_and_nothing_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(VAULT_DOWN)
    assert bench.send(message()) is State.DEFERRED
    entry = bench.ledger.only()
    assert (entry.attempts, entry.due_at) == (0, None)
    pause = bench.state.pause
    assert pause is not None
    assert (pause.until, bench.state.hold) == (NOON + TOKEN_PAUSE, None)
    assert lines(caplog)[0][:2] == ("WARNING", "sender-paused")
    assert bench.events.of_senders == []


def test_mail_goes_when_the_vault_is_back(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(VAULT_DOWN, VAULT_DOWN)
    bench.send(message())
    assert bench.send(message(id="order-18"), queue_id="queue-id-2") is State.DEFERRED
    assert bench.tokens.asked == 1  # it waits with the sender, and asks nobody
    for _ in range(2):
        assert [put.delay for put in bench.calls] == [TOKEN_PAUSE]
        bench.outbox.puts.clear()
        bench.clock.advance(TOKEN_PAUSE)
        bench.serve(called=True)
    assert bench.state_of("order-17") is bench.state_of("order-18") is State.ACCEPTED
    assert [entry.attempts for entry in bench.events.told if entry.state is State.ACCEPTED] == [1, 1]


def test_a_refused_token_that_cannot_be_renewed_leaves_the_mail_waiting(bench: Bench) -> None:
    bench.mailer.script = [REFUSED]
    bench.tokens = ScriptedTokens(None, CONSENT_GONE)
    assert bench.send(message()) is State.HELD
    assert bench.ledger.only().attempts == 0
    assert len(bench.mailer.submitted) == 1


def test_waiting_for_a_token_forgets_no_attempt_that_was_made(bench: Bench) -> None:
    bench.mailer.script = [BUSY]
    bench.tokens = ScriptedTokens(None, VAULT_DOWN)
    bench.send(message())
    bench.send_what_waits()
    bench.clock.advance(TOKEN_PAUSE)
    bench.serve(called=True)
    changes = [(change.state.value, change.attempt) for change in bench.ledger.history("order-17")]
    assert changes == [
        ("sending", 1),
        ("deferred", 1),
        ("sending", 2),
        ("deferred", 1),
        ("sending", 2),
        ("accepted", 2),
    ]
