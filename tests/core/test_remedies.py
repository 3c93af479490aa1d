from __future__ import annotations

import re
from string import Formatter

import pytest

from shared.core.address import Address
from shared.core.oauth import NO_GRANT, Service
from shared.core.remedies import CATALOGUE, Remedy, Who, explain, for_grant
from shared.core.reply import RULES, Verdict
from shared.core.sender import Sender, SmtpServer
from shared.errors import ConsentRequiredError, CredentialError, GrantError, TokenUnavailableError
from shared.log_words import Word

SENDER = Sender(
    name="reports",
    service="microsoft",
    mailbox="reports@contoso.com",
    from_address=Address("reports", "contoso.com"),
    smtp=SmtpServer("smtp.office365.com"),
    sign_in_as="svc-mail@contoso.com",
)
SERVICE = Service("microsoft", "contoso.com", "client-id", "https://login.microsoftonline.com/contoso.com")
CONSENT_URL = "https://mail.contoso.com/api/oauth/start/reports"
# What is wrong with a grant, rather than with a reply.
OF_PEOPLE = {"held-by-hand"}
OF_GRANTS = {"consent-missing", "consent-required", "credential-broken", "token-unavailable"}
NAMES = {"mailbox", "account", "tenant", "client_id", "secret_name", "consent_url"}
# Words that are written with a capital letter wherever they stand.
PROPER = ("AUTH", "Conditional", "Exchange", "Microsoft", "SMTP", "Set-", "Add-")

ALL = pytest.mark.parametrize("key", list(CATALOGUE))


def said(key: str) -> str:
    return explain(key, sender=SENDER, service=SERVICE, consent_url=CONSENT_URL)


def test_the_catalogue_has_what_the_rules_and_grants_name_and_nothing_else() -> None:
    assert set(CATALOGUE) == {rule.remedy for rule in RULES if rule.remedy} | OF_GRANTS | OF_PEOPLE


def test_nothing_went_wrong_needs_no_words() -> None:
    assert said("") == ""


def test_a_remedy_is_one_sentence_with_the_names_of_its_sender() -> None:
    assert said("send-as-denied") == (
        "svc-mail@contoso.com may not send as this From address; Add-RecipientPermission "
        "reports@contoso.com -Trustee svc-mail@contoso.com -AccessRights SendAs; "
        "it takes effect within the hour"
    )
    assert said("consent-missing") == (
        f"nobody has consented for reports@contoso.com yet; sign in as svc-mail@contoso.com at {CONSENT_URL}"
    )
    assert "--name oauth-microsoft-client-secret" in said("credential-broken")
    assert "client-id" in said("credential-broken")
    assert "contoso.com" in said("domain-not-registered")


@ALL
def test_every_template_can_be_filled_in(key: str) -> None:
    remedy = CATALOGUE[key]
    names = {name for _, name, _, _ in Formatter().parse(remedy.cause + remedy.action) if name is not None}
    assert names <= NAMES
    assert not re.search(r"[{}]", said(key))


@ALL
def test_every_remedy_is_worded_as_the_house_words_things(key: str) -> None:
    remedy = CATALOGUE[key]
    for sentence in (remedy.cause, remedy.action):
        assert not sentence.endswith((".", " ", ";"))
        assert "  " not in sentence
        assert sentence[:1].islower() or sentence.startswith(("{", *PROPER)) or not sentence
    assert remedy.cause


@ALL
def test_whoever_must_act_is_told_what_to_do(key: str) -> None:
    remedy = CATALOGUE[key]
    assert remedy.action or remedy.who is Who.NOBODY


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.verdict is Verdict.HOLD], ids=lambda r: r.name
)
def test_what_holds_a_sender_names_somebody_who_can_mend_it(rule: object) -> None:
    remedy: Remedy = CATALOGUE[rule.remedy]  # type: ignore[attr-defined]  # pytest passes what it was given
    assert remedy.who is not Who.NOBODY
    assert remedy.action


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.verdict is Verdict.THROTTLE], ids=lambda r: r.name
)
def test_what_is_throttled_needs_nobody(rule: object) -> None:
    assert CATALOGUE[rule.remedy].who is Who.NOBODY  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize(
    ("error", "key", "event"),
    [
        (ConsentRequiredError("no", code=NO_GRANT), "consent-missing", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="AADSTS700082"), "consent-required", Word.CONSENT_REQUIRED),
        (CredentialError("no", code="AADSTS7000222"), "credential-broken", Word.CREDENTIAL_BROKEN),
        (TokenUnavailableError("no"), "token-unavailable", Word.TOKEN_UNAVAILABLE),
        (GrantError("no"), "token-unavailable", Word.TOKEN_UNAVAILABLE),
    ],
)
def test_what_keeps_a_token_away_has_a_remedy_and_a_word(error: GrantError, key: str, event: Word) -> None:
    assert for_grant(error) == (key, event)
