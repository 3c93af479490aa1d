from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.oauth import NO_GRANT, RefreshOutcome
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from shared.grants import Renewal
from shared.workflows.upkeep import UpkeepTools, upkeep
from tests.twins import NOON, Clock, ScriptedKeeper
from tests.workflows.conftest import SENDERS, SERVICES, consent_url, lines

DONE = "upkeep looked at 2 senders: noreply {}, reports still fresh"


def tools(clock: Clock, **renewals: Renewal) -> UpkeepTools:
    return UpkeepTools(
        keeper=ScriptedKeeper(renewals),
        senders=SENDERS,
        services=SERVICES,
        consent_url=consent_url,
        clock=clock,
    )


def failed(outcome: RefreshOutcome, error: GrantError) -> Renewal:
    return Renewal(outcome, NOON, error)


def test_every_sender_is_looked_after_and_has_a_line_of_its_own(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    refreshed = Renewal(RefreshOutcome.REFRESHED, NOON + timedelta(minutes=75))
    outcomes = upkeep(tools(clock, noreply=refreshed))
    assert outcomes == {"noreply": RefreshOutcome.REFRESHED, "reports": RefreshOutcome.STILL_FRESH}
    assert lines(caplog) == [
        ("INFO", "token-refreshed", "the token of noreply is refreshed: it lasts 75 minutes"),
        ("INFO", "token-refreshed", "the token of reports is still fresh: it lasts 60 minutes"),
        ("INFO", "upkeep-done", DONE.format("refreshed")),
    ]


UNREACHABLE = TokenUnavailableError("the provider could not be asked: ReadTimeout")
REVOKED = ConsentRequiredError("the provider refused: invalid_grant AADSTS50173", code="AADSTS50173")
NEVER = ConsentRequiredError("nobody has consented for noreply@contoso.com yet", code=NO_GRANT)
EXPIRED = CredentialError("the provider refused: invalid_client AADSTS7000222", code="AADSTS7000222")

LATER = """\
no token for noreply (transient): the provider could not be asked: ReadTimeout;
an access token could not be had just now; it is tried again by itself"""
SIGN_IN_AGAIN = """\
no token for noreply (consent required): the provider refused: invalid_grant AADSTS50173;
the consent for noreply@contoso.com is no longer valid;
sign in again as noreply@contoso.com at https://mail.contoso.com/api/oauth/start/noreply"""
SIGN_IN = """\
no token for noreply (consent required): nobody has consented for noreply@contoso.com yet;
sign in as noreply@contoso.com at https://mail.contoso.com/api/oauth/start/noreply"""
NEW_SECRET = """\
no token for noreply (credential broken): the provider refused: invalid_client AADSTS7000222;
the provider refuses this application's own credential;
make a new client secret for aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
and store its value (not its id) in the vault:
az keyvault secret set --vault-name <vault> --name oauth-microsoft-client-secret --value <client secret>"""


@pytest.mark.parametrize(
    ("renewal", "expected"),
    [
        (failed(RefreshOutcome.TRANSIENT, UNREACHABLE), ("WARNING", "token-unavailable", LATER)),
        (failed(RefreshOutcome.CONSENT_REQUIRED, REVOKED), ("ERROR", "consent-required", SIGN_IN_AGAIN)),
        (failed(RefreshOutcome.CONSENT_REQUIRED, NEVER), ("ERROR", "consent-required", SIGN_IN)),
        (failed(RefreshOutcome.CREDENTIAL_BROKEN, EXPIRED), ("ERROR", "credential-broken", NEW_SECRET)),
    ],
    ids=["transient", "consent gone", "never consented", "secret refused"],
)
def test_a_sender_without_a_token_gets_a_line_that_says_what_to_do(
    clock: Clock, caplog: pytest.LogCaptureFixture, renewal: Renewal, expected: tuple[str, str, str]
) -> None:
    assert upkeep(tools(clock, noreply=renewal))["noreply"] is renewal.outcome
    level, event, said = expected
    assert lines(caplog) == [
        (level, event, said.replace("\n", " ")),
        ("INFO", "token-refreshed", "the token of reports is still fresh: it lasts 60 minutes"),
        ("INFO", "upkeep-done", DONE.format(renewal.outcome.value)),
    ]
