from __future__ import annotations

import re
from dataclasses import replace
from string import Formatter

import pytest

from shared.core import remedies_of_tokens
from shared.core.address import Address
from shared.core.oauth import NO_GRANT
from shared.core.remedies import (
    ABOUT_THE_GRANT,
    CATALOGUE,
    ENDED_BY_CONSENT,
    NEEDS_CONSENT,
    Names,
    Remedy,
    Who,
    explain,
    for_grant,
    of_code,
)
from shared.core.remedy_codes import BY_CODE
from shared.core.reply import RULES, Verdict
from shared.core.sender import Sender, SmtpServer
from shared.core.service import CLOUDS, Custom, GrantKind, Microsoft, Service
from shared.core.token_claims import Flaw
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    GrantError,
    TokenUnavailableError,
    UnsuitableTokenError,
)
from shared.log_words import Word

SENDER = Sender(
    name="reports",
    service="microsoft",
    mailbox="reports@contoso.com",
    from_address=Address("reports", "contoso.com"),
    smtp=SmtpServer("smtp.office365.com"),
    sign_in_as="svc-mail@contoso.com",
)
SERVICE = Service(
    "microsoft", "client-id", Microsoft("contoso.com", "https://login.microsoftonline.com/contoso.com")
)
APP_ONLY = replace(SERVICE, grant=GrantKind.APP)
OTHER = Service("other", "client-id", Custom("https://id.example/authorize", "https://id.example/token"))
CONSENT_URL = "https://mail.contoso.com/api/oauth/start/reports"
REDIRECT_URI = "https://mail.contoso.com/api/oauth/redirect"
ADMIN_CONSENT_URL = "https://login.microsoftonline.com/contoso.com/v2.0/adminconsent?client_id=client-id"
NAMES = Names(
    SENDER,
    SERVICE,
    CONSENT_URL,
    redirect_uri=REDIRECT_URI,
    vault="contoso-mail",
    admin_consent_url=ADMIN_CONSENT_URL,
)
OF_THE_APP = replace(NAMES, service=APP_ONLY)
BARE = Names(SENDER, OTHER, CONSENT_URL)
# What no reply and no code leads to: what people do, what is due, and what is said where a code says nothing.
GENERAL = {
    "held-by-hand",
    "credential-expiring",
    "consent-required",
    "credential-broken",
    "token-unavailable",
}
# Words that are written with a capital letter wherever they stand.
PROPER = ("AUTH", "Conditional", "Exchange", "Microsoft", "SMTP", "Set-", "Add-", "Update-")
# 4yz, and yet the same message to as many recipients, or the same fault of ours, would end the same way.
NOT_MENDED_BY_TIME = {"too-many-recipients", "protocol-fault"}

ALL = pytest.mark.parametrize("key", list(CATALOGUE))


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_there_is_an_entry_for_all_that_is_named_and_none_that_nothing_names() -> None:
    named = {rule.remedy for rule in RULES if rule.remedy} | {flaw.value for flaw in Flaw}
    assert set(CATALOGUE) == named | set(BY_CODE.values()) | GENERAL


def test_nothing_went_wrong_needs_no_words() -> None:
    assert explain("", NAMES) == ""


def test_a_remedy_is_one_sentence_with_the_names_of_its_sender() -> None:
    assert explain("send-as-denied", NAMES) == (
        "svc-mail@contoso.com may not send as this From address; Add-RecipientPermission "
        "reports@contoso.com -Trustee svc-mail@contoso.com -AccessRights SendAs; "
        "it takes effect within the hour"
    )
    assert explain("consent-missing", NAMES) == (
        f"nobody has consented for reports@contoso.com yet; sign in as svc-mail@contoso.com at {CONSENT_URL}"
    )
    assert explain("admin-consent-required", NAMES) == (
        "nobody who may has consented to the permissions of the app client-id; "
        f"open {ADMIN_CONSENT_URL} as an administrator and accept; "
        f"then sign in as svc-mail@contoso.com at {CONSENT_URL}"
    )
    assert explain("held-by-hand", NAMES).endswith("POST …/api/senders/reports/resume")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("client-secret-expired", "--vault-name contoso-mail --name oauth-microsoft-client-secret "),
        ("client-secret-wrong", "client-id"),
        ("certificate-not-registered", "--keyvault contoso-mail --cert oauth-microsoft-certificate "),
        ("redirect-uri-unknown", REDIRECT_URI),
        ("domain-not-registered", "contoso.com"),
        ("tenant-unknown", "[services.microsoft] in mail.toml"),
        ("federated-credential", "https://login.microsoftonline.com/<tenant id>/v2.0"),
        ("federated-credential", "audience api://AzureADTokenExchange;"),
    ],
)
def test_what_must_be_typed_has_the_names_of_this_deployment(key: str, name: str) -> None:
    assert name in explain(key, NAMES)


def test_what_must_be_typed_follows_the_cloud() -> None:
    china = replace(SERVICE, provider=Microsoft("contoso.cn", "https://login.example", CLOUDS["china"]))
    said = explain("federated-credential", replace(NAMES, service=china))
    assert "https://login.partner.microsoftonline.cn/<tenant id>/v2.0" in said
    assert "api://AzureADTokenExchangeChina" in said


def test_where_the_app_sends_by_itself_exchange_is_told_of_the_app() -> None:
    refused = explain("token-refused", OF_THE_APP)
    assert (
        "New-ServicePrincipal -AppId client-id -ObjectId <object id of the enterprise application" in refused
    )
    assert "Add-MailboxPermission reports@contoso.com" in refused
    assert '-Role "Application SMTP.SendAsApp" -App client-id' in refused
    assert "Add-MailboxPermission reports@contoso.com" in explain("mailbox-logon-failed", OF_THE_APP)
    assert "-Trustee <object id of the enterprise application>" in explain("send-as-denied", OF_THE_APP)
    assert "Set-CASMailbox reports@contoso.com" in explain("smtp-auth-disabled", OF_THE_APP)


@ALL
def test_where_the_app_sends_by_itself_nobody_is_sent_to_the_consent_link(key: str) -> None:
    assert CONSENT_URL not in explain(key, OF_THE_APP)
    assert "svc-mail@contoso.com" not in explain(key, OF_THE_APP)


@ALL
@pytest.mark.parametrize("names", [NAMES, OF_THE_APP, BARE], ids=["microsoft", "app", "other provider"])
def test_every_blank_can_be_filled_in(key: str, names: Names) -> None:
    remedy = CATALOGUE[key]
    assert blanks(remedy.cause + remedy.action + remedy.app_action) <= set(names.blanks())
    said = explain(key, names)
    assert not re.search(r"[{}]|<>|None", said)
    assert said.count("<") == said.count(">") - said.count(" > ")


def test_a_name_that_is_not_known_is_put_in_words() -> None:
    assert "<redirect URI>" in explain("redirect-uri-unknown", BARE)
    assert "<admin consent URL>" in explain("admin-consent-required", BARE)
    assert "--vault-name <vault> " in explain("client-secret-wrong", BARE)
    assert "<tenant>" in explain("tenant-unknown", BARE)


def test_a_name_with_braces_is_left_as_it_is() -> None:
    odd = replace(NAMES, sender=replace(SENDER, mailbox="{vault}@contoso.com", sign_in_as=""))
    assert "{vault}@contoso.com" in explain("consent-missing", odd)


def test_every_blank_is_used_by_some_entry() -> None:
    texts = [each.cause + each.action + each.app_action for each in CATALOGUE.values()]
    assert set(NAMES.blanks()) == {name for text in texts for name in blanks(text)}


@ALL
def test_every_remedy_is_worded_as_the_house_words_things(key: str) -> None:
    remedy = CATALOGUE[key]
    assert remedy.cause
    for sentence in (remedy.cause, remedy.action, remedy.app_action):
        assert not sentence.endswith((".", " ", ";"))
        assert "  " not in sentence
        assert sentence[:1].islower() or sentence.startswith(("{", *PROPER)) or not sentence


@ALL
def test_whoever_must_act_is_told_what_to_do(key: str) -> None:
    assert CATALOGUE[key].action


@ALL
def test_what_needs_nobody_is_mended_by_time(key: str) -> None:
    remedy = CATALOGUE[key]
    assert remedy.retry or remedy.who is not Who.NOBODY
    assert not (remedy.retry and remedy.who in {Who.ACCOUNT, Who.ADMINISTRATOR})


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.verdict is Verdict.HOLD], ids=lambda r: r.name
)
def test_what_holds_a_sender_names_somebody_who_can_mend_it(rule: object) -> None:
    remedy: Remedy = CATALOGUE[rule.remedy]  # type: ignore[attr-defined]  # pytest passes what it was given
    assert remedy.who is not Who.NOBODY
    assert not remedy.retry


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.verdict is Verdict.THROTTLE], ids=lambda r: r.name
)
def test_what_is_throttled_needs_nobody(rule: object) -> None:
    assert CATALOGUE[rule.remedy].who is Who.NOBODY  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize(
    "key",
    sorted({rule.remedy for rule in RULES if rule.verdict is Verdict.DEFER} - NOT_MENDED_BY_TIME),
)
def test_what_is_tried_again_may_work_later(key: str) -> None:
    assert CATALOGUE[key].retry


@pytest.mark.parametrize(
    ("error", "key", "event"),
    [
        (ConsentRequiredError("no", code=NO_GRANT), "consent-missing", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="AADSTS700082"), "refresh-token-unused", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="AADSTS53003"), "sign-in-blocked", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="no_refresh_token"), "no-refresh-token", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="other_account"), "other-account", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no", code="invalid_grant"), "consent-required", Word.CONSENT_REQUIRED),
        (ConsentRequiredError("no"), "consent-required", Word.CONSENT_REQUIRED),
        (CredentialError("no", code="AADSTS7000222"), "client-secret-expired", Word.CREDENTIAL_BROKEN),
        (CredentialError("no", code="AADSTS65001"), "admin-consent-required", Word.CREDENTIAL_BROKEN),
        (CredentialError("no", code="invalid_client"), "credential-broken", Word.CREDENTIAL_BROKEN),
        (UnsuitableTokenError("no", code="token-audience"), "token-audience", Word.CREDENTIAL_BROKEN),
        (UnsuitableTokenError("no", code="token-odd"), "credential-broken", Word.CREDENTIAL_BROKEN),
        (TokenUnavailableError("no", code="403"), "not-let-in", Word.TOKEN_UNAVAILABLE),
        (TokenUnavailableError("no", code="429"), "asked-too-often", Word.TOKEN_UNAVAILABLE),
        (TokenUnavailableError("no", code="503"), "token-unavailable", Word.TOKEN_UNAVAILABLE),
        (TokenUnavailableError("no", code="AADSTS90033"), "provider-unavailable", Word.TOKEN_UNAVAILABLE),
        (TokenUnavailableError("no"), "token-unavailable", Word.TOKEN_UNAVAILABLE),
        (GrantError("no"), "token-unavailable", Word.TOKEN_UNAVAILABLE),
    ],
)
def test_what_keeps_a_token_away_has_a_remedy_and_a_word(error: GrantError, key: str, event: Word) -> None:
    assert for_grant(error) == (key, event)


@pytest.mark.parametrize("kind", [ConsentRequiredError, CredentialError, UnsuitableTokenError])
@pytest.mark.parametrize("code", ["", "AADSTS1", *BY_CODE, *(flaw.value for flaw in Flaw)])
def test_no_code_makes_a_hold_look_like_a_delay(kind: type[GrantError], code: str) -> None:
    key, _ = for_grant(kind("no", code=code))
    assert key in ABOUT_THE_GRANT
    assert CATALOGUE[key].who is not Who.NOBODY


@pytest.mark.parametrize("code", ["", "AADSTS1", *BY_CODE])
def test_every_code_of_every_kind_of_error_ends_in_the_catalogue(code: str) -> None:
    assert for_grant(TokenUnavailableError("no", code=code))[0] in CATALOGUE


def test_a_code_without_a_sentence_of_its_own_has_no_remedy() -> None:
    assert of_code("AADSTS99999999") == of_code("invalid_grant") == of_code("") == ""


def test_a_new_consent_ends_what_is_about_the_token_and_nothing_else() -> None:
    assert ENDED_BY_CONSENT > ABOUT_THE_GRANT > NEEDS_CONSENT > {"consent-missing", "consent-required"}
    assert {flaw.value for flaw in Flaw} < ENDED_BY_CONSENT
    assert {"token-refused", "credentials-incorrect", "xoauth2-data-refused"} < ENDED_BY_CONSENT
    assert not ENDED_BY_CONSENT & {
        "held-by-hand",
        "mailbox-full",
        "send-as-denied",
        "smtp-auth-disabled",
        "credential-expiring",
    }


def test_what_only_delays_a_token_is_not_about_the_grant() -> None:
    assert not ABOUT_THE_GRANT & set(remedies_of_tokens.DELAYS)
    assert not NEEDS_CONSENT & set(remedies_of_tokens.DELAYS)


@pytest.mark.parametrize("key", sorted(NEEDS_CONSENT))
def test_who_must_sign_in_is_told_where(key: str) -> None:
    assert CONSENT_URL in explain(key, NAMES)
