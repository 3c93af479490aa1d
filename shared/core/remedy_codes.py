"""
From what a provider or an adapter calls its refusal to a remedy: the number picks a sentence, nothing else.

What is done about a refusal is decided by the kind of the error; Microsoft asks nobody to act on the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.oauth import NO_GRANT

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The numbers of Entra's AADSTS codes.
NUMBERS: Final[Mapping[str, str]] = {
    # Of a person.
    "admin-consent-required": "65001 90008 90093 90094 90095",
    "consent-declined": "65004",
    "code-used": "54005",
    "sign-in-mixed-up": "501481 501491 50147 700005",
    "sign-in-revoked": "50173 50132 50133",
    "refresh-token-unused": "700082",
    "refresh-token-expired": "70008 50089",
    "refresh-token-not-valid": "70000 9002313",
    "sign-in-frequency": "70043",
    "second-factor": "50072 50074 50076 50078 50079 50158",
    "sign-in-blocked": "53003 53000 53001 53002 53011 530032 50005 50097 50131",
    "sign-in-security-defaults": "530035",
    "account-not-in-tenant": "50020 50034 50014 51004 16000 16003 90072 500208",
    "account-disabled": "50057",
    "account-not-assigned": "50105",
    # Of the application.
    "client-secret-wrong": "7000215 70002",
    "client-secret-expired": "7000222",
    "credential-missing": "7000218",
    "public-client": "700025",
    "certificate-not-registered": "700027 700030 50012",
    "assertion-not-in-time": "700024 500133",
    "assertion-not-valid": "700021 700023 50013 50027 50048 900382 900432",
    "federated-credential": "70021 700211 700212 700213 7002138",
    "federated-token-of-person": "700229",
    "app-not-in-tenant": "700016 700011",
    "app-disabled": "70001 7000112",
    "tenant-unknown": "90002 50059 50128 90019 90038 50049",
    "single-tenant": "50194 9001023 90130 90124",
    "redirect-uri-unknown": "50011 500113 900971 500112 70004",
    "redirect-uri-of-page": "700084",
    "permission-not-registered": "650057 650056 65005",
    "exchange-not-in-tenant": "500011 650052 650054 50001",
    "scope-not-valid": "70011 700022 28000 28002 28003 650053 1002012",
    "request-not-understood": "900144 90014 90023 70003 70005",
    "asked-in-a-loop": "50196",
    # Of the moment.
    "provider-unavailable": "90033 90006 90024 50033 90012 50087 90090",
    "asked-too-often": "90055",
}

#: OAuth's own words (RFC 6749, OpenID Connect, and one of Google's), ours, and HTTP's numbers.
WORDS: Final[Mapping[str, str]] = {
    "admin-consent-required": "consent_required",
    "consent-declined": "access_denied",
    "consent-missing": NO_GRANT,
    "no-refresh-token": "no_refresh_token",
    "other-account": "other_account",
    "redirect-uri-unknown": "redirect_uri_mismatch",
    "exchange-not-in-tenant": "invalid_resource",
    "scope-not-valid": "invalid_scope",
    "provider-unavailable": "temporarily_unavailable server_error",
    "refresh-token-shrunk": "refresh_token_shrunk",
    "asked-too-often": "429",
    "not-let-in": "403",
    "vault-denied": "vault_401 vault_403",
    "credential-not-stored": "no_credential",
    "identity-missing": "no_managed_identity",
    "identity-unavailable": "managed_identity",
}

#: The remedy of each code, as errors and pages write it.
BY_CODE: Final[Mapping[str, str]] = {
    **{f"AADSTS{number}": key for key, numbers in NUMBERS.items() for number in numbers.split()},
    **{word: key for key, words in WORDS.items() for word in words.split()},
}
