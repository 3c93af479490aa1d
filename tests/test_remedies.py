"""docs/remedies.md is the whole catalogue, and the catalogue knows what people have run into."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs import remedies as printed
from local.microsoft.aadsts import Aadsts
from shared.core.remedies import CATALOGUE, of_code
from shared.core.remedy_codes import BY_CODE, NUMBERS, WORDS
from shared.core.reply import RULES, judge_reply
from shared.core.smtp import Phase, Reply
from shared.core.token_claims import Flaw

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "remedies.md").read_text("utf-8")

# Numbers that Entra is known to give an application which sends mail (MicrosoftDocs, reference-error-codes).
KNOWN = """
70008 700082 50173 70043 50076 50079 50074 50078 53003 53000 530035 65001 65004 90094 7000215 7000222 7000218
700025 700016 700011 90002 50011 500113 900971 501481 54005 700022 70011 28000 50194 50196 90033 90006 90024
50033 90055 50034 50020 50057 50105 650053 650057 700027 700024 700229 70021 700211 700212 700213
"""
# What people have run into with XOAUTH2 at Microsoft 365: a reply as it came, or a code, and its remedy.
REPLIES = [
    (Phase.AUTH, 535, "5.7.139 SmtpClientAuthentication is disabled for the Tenant", "smtp-auth-disabled"),
    (Phase.AUTH, 535, "5.7.139 SmtpClientAuthentication is disabled for the Mailbox", "smtp-auth-disabled"),
    (Phase.AUTH, 535, "5.7.139 user is locked by the security defaults policy", "security-defaults"),
    (Phase.AUTH, 535, "5.7.3 Authentication unsuccessful", "token-refused"),
    (Phase.AUTH, 451, "4.7.0 Temporary server error. PRX4", "back-end-not-reached"),
    (Phase.AUTH, 501, "5.5.124 Invalid XOAUTH2 authentication data", "xoauth2-data-refused"),
    (Phase.AUTH, 501, "5.5.127 Token will expire soon", "token-refused"),
    (Phase.AUTH, 550, "5.7.30 Basic authentication is not supported", "basic-auth-disabled"),
    (Phase.END_OF_DATA, 554, "5.2.252 SendAsDenied; a not allowed to send as b", "send-as-denied"),
    (Phase.END_OF_DATA, 554, "5.2.0 STOREDRV; SendAsDeniedException", "send-as-denied"),
    (Phase.END_OF_DATA, 550, "5.7.60 Client does not have permissions to send as", "send-as-denied"),
    (Phase.END_OF_DATA, 432, "4.3.2 sender thread limit exceeded", "concurrent-connections"),
    (Phase.END_OF_DATA, 554, "5.2.0 SubmissionQuotaExceededException", "recipients-per-day"),
    (Phase.END_OF_DATA, 421, "4.4.2 Message submission rate exceeded", "message-rate"),
    (Phase.END_OF_DATA, 554, "5.2.2 mailbox full; QuotaExceededException", "mailbox-full"),
    (Phase.END_OF_DATA, 430, "4.2.0 STOREDRV; mailbox logon failure", "mailbox-logon-failed"),
    (Phase.END_OF_DATA, 451, "4.3.111 Temporary server error MRH1", "transient"),
    (Phase.END_OF_DATA, 550, "5.6.11 BareLinefeedsAreIllegal", "content-not-valid"),
]
CODES = [
    ("AADSTS700082", "refresh-token-unused"),
    ("AADSTS50173", "sign-in-revoked"),
    ("AADSTS70043", "sign-in-frequency"),
    ("AADSTS50076", "second-factor"),
    ("AADSTS7000222", "client-secret-expired"),
    ("AADSTS7000215", "client-secret-wrong"),
    ("other_account", "other-account"),
    ("AADSTS50194", "single-tenant"),
    ("AADSTS50020", "account-not-in-tenant"),
    ("AADSTS700016", "app-not-in-tenant"),
    ("AADSTS65001", "admin-consent-required"),
    ("AADSTS90094", "admin-consent-required"),
    ("consent_required", "admin-consent-required"),
    ("access_denied", "consent-declined"),
    ("AADSTS65004", "consent-declined"),
    ("AADSTS50011", "redirect-uri-unknown"),
    ("AADSTS54005", "code-used"),
    ("AADSTS28000", "scope-not-valid"),
    ("AADSTS70011", "scope-not-valid"),
    ("AADSTS650053", "scope-not-valid"),
    ("AADSTS7000218", "credential-missing"),
    ("AADSTS700025", "public-client"),
    ("AADSTS53003", "sign-in-blocked"),
    ("refresh_token_shrunk", "refresh-token-shrunk"),
    ("AADSTS50057", "account-disabled"),
]


def test_the_page_is_what_the_catalogue_makes_of_it_today() -> None:
    assert printed.page() == PAGE, "write it anew: .venv/bin/python -m docs.remedies"


def test_the_page_has_every_remedy_once_and_in_its_part() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| [^`]", PAGE, re.MULTILINE)
    assert [row for row in rows if row in CATALOGUE] == list(CATALOGUE)
    assert [key for _, _, remedies in printed.PARTS for key in remedies] == list(CATALOGUE)


def test_the_page_has_every_code() -> None:
    assert dict(re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", PAGE, re.MULTILINE)) == dict(BY_CODE)


def test_no_remedy_stands_in_two_parts() -> None:
    assert sum(len(remedies) for _, _, remedies in printed.PARTS) == len(CATALOGUE)


def test_the_page_leaves_no_blank() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert table
    for line in table:
        assert not re.search(r"[{}<]", line)
        assert line.count("*") % 2 == 0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_reply_leads_to_a_remedy_that_names_it(rule: object) -> None:
    remedy, name = rule.remedy, rule.name  # type: ignore[attr-defined]  # pytest passes what it was given
    assert not remedy or name in printed.said_at(remedy)


@pytest.mark.parametrize("number", KNOWN.split())
def test_a_number_that_entra_is_known_for_has_a_remedy_of_its_own(number: str) -> None:
    assert of_code(f"AADSTS{number}") in CATALOGUE


@pytest.mark.parametrize("kind", [kind for kind in Aadsts if kind is not Aadsts.NOT_SIGNED_IN])
def test_what_the_local_provider_refuses_with_has_a_remedy_of_its_own(kind: Aadsts) -> None:
    assert of_code(f"AADSTS{kind.value.code}") in CATALOGUE


@pytest.mark.parametrize(("phase", "code", "text", "key"), REPLIES)
def test_a_reply_that_people_ran_into_has_its_remedy(phase: Phase, code: int, text: str, key: str) -> None:
    assert judge_reply(phase, Reply(code, (text,))).remedy == key
    assert key in CATALOGUE


@pytest.mark.parametrize(("code", "key"), CODES)
def test_a_code_that_people_ran_into_has_its_remedy(code: str, key: str) -> None:
    assert of_code(code) == key
    assert key in CATALOGUE


def test_no_code_leads_to_two_remedies() -> None:
    written = [code for table in (NUMBERS, WORDS) for codes in table.values() for code in codes.split()]
    assert len(written) == len(set(written)) == len(BY_CODE)


def codes_of_our_own() -> set[str]:
    """Every word that one of our errors is given for its code."""
    found = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id.endswith("Error")
            ):
                found |= {
                    word.value.value
                    for word in node.keywords
                    if word.arg == "code" and isinstance(word.value, ast.Constant)
                }
    return {str(code) for code in found}


def test_a_code_that_is_ours_has_a_remedy_of_its_own() -> None:
    ours = codes_of_our_own()
    assert {"no_refresh_token", "other_account"} <= ours
    assert {code for code in ours if not of_code(code)} <= {flaw.value for flaw in Flaw}
