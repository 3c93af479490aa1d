"""Mail waits where there is no token: no attempt is counted, and the log says what a person must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.delivery import State
from shared.core.oauth import NO_GRANT
from shared.errors import ConsentRequiredError, CredentialError, TokenUnavailableError
from tests.twins import ScriptedTokens
from tests.workflows.conftest import Bench, lines, message
from tests.workflows.test_send import REFUSED

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
    assert bench.send(message()) is State.DEFERRED
    entry = bench.ledger.only()
    assert (entry.attempts, entry.waits, entry.reply) == (0, 1, "")
    expected = (
        "nobody has consented for noreply@contoso.com yet; "
        "sign in as noreply@contoso.com at https://mail.contoso.com/api/oauth/start/noreply"
    )
    assert entry.reason == expected
    assert bench.mailer.submitted == []
    assert lines(caplog)[0] == ("WARNING", "consent-required", f"mail of noreply waits: {expected}")


def test_it_is_sent_once_consent_is_there(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED, NOBODY_CONSENTED)
    bench.send(message())
    assert bench.send_what_waits() is State.DEFERRED
    assert bench.send_what_waits() is State.ACCEPTED
    entry = bench.ledger.only()
    assert (entry.attempts, len(bench.mailer.submitted)) == (1, 1)


def test_it_looks_again_soon_and_then_every_minute_without_end(bench: Bench) -> None:
    bench.tokens = ScriptedTokens(*[NOBODY_CONSENTED] * 30)
    bench.send(message())
    for _ in range(29):
        assert bench.send_what_waits() is State.DEFERRED
    seconds = [put.delay.total_seconds() for put in bench.outbox.puts]
    assert seconds[:6] == [5, 10, 20, 40, 60, 60]
    assert seconds[-1] == 60
    assert bench.ledger.only().attempts == 0
    assert bench.send_what_waits() is State.ACCEPTED


def test_the_account_that_must_sign_in_is_the_senders_own(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(NOBODY_CONSENTED)
    bench.send(message(sender="reports"))
    assert (
        "sign in as svc-mail@contoso.com at https://mail.contoso.com/api/oauth/start/reports" in caplog.text
    )


def test_a_consent_that_is_gone_says_the_code_and_the_link(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(CONSENT_GONE)
    assert bench.send(message()) is State.DEFERRED
    entry = bench.ledger.only()
    assert entry.attempts == 0
    assert entry.reason == (
        "the provider refused: invalid_grant AADSTS700082; the consent for noreply@contoso.com is no longer "
        "valid; sign in again as noreply@contoso.com at https://mail.contoso.com/api/oauth/start/noreply"
    )
    assert lines(caplog)[0][1] == "consent-required"


def test_a_broken_client_secret_says_what_to_type(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.tokens = ScriptedTokens(SECRET_REFUSED)
    assert bench.send(message()) is State.DEFERRED
    entry = bench.ledger.only()
    assert entry.attempts == 0
    assert "AADSTS7000222" in entry.reason
    assert "az keyvault secret set" in entry.reason
    assert "oauth-microsoft-client-secret" in entry.reason
    assert lines(caplog)[0][1] == "credential-broken"


def test_a_vault_that_is_down_delays_mail_and_nothing_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.tokens = ScriptedTokens(VAULT_DOWN)
    assert bench.send(message()) is State.DEFERRED
    assert bench.ledger.only().attempts == 0
    assert lines(caplog)[0][1] == "token-unavailable"
    assert bench.send_what_waits() is State.ACCEPTED


def test_a_refused_token_that_cannot_be_renewed_leaves_the_mail_waiting(bench: Bench) -> None:
    bench.mailer.script = [REFUSED]
    bench.tokens = ScriptedTokens(None, CONSENT_GONE)
    assert bench.send(message()) is State.DEFERRED
    assert bench.ledger.only().attempts == 0
    assert len(bench.mailer.submitted) == 1


def test_waiting_for_a_token_forgets_no_attempt_that_was_made(bench: Bench) -> None:
    bench.mailer.script = [REFUSED, REFUSED]
    bench.tokens = ScriptedTokens(None, None, VAULT_DOWN)
    bench.send(message())
    bench.send_what_waits()
    bench.send_what_waits()
    states = [change.state.value for change in bench.ledger.history("order-17")]
    assert states == ["sending", "deferred", "sending", "deferred", "sending", "accepted"]
