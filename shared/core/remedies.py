"""
The catalogue: what went wrong → its cause, who must act, and what to type.

One entry for each key that ``core.reply``, a grant or a provider's code names, used by the ledger, the log,
events and pages alike, so that an operator reads the same sentence everywhere. The entries stand in
``remedies_of_…``, by what they are about; docs/remedies.md is made from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core import (
    remedies_of_apps,
    remedies_of_mail,
    remedies_of_mailboxes,
    remedies_of_sign_in,
    remedies_of_tokens,
)
from shared.core.oauth import NO_GRANT
from shared.core.remedy import Names, Remedy, Who
from shared.core.remedy_codes import BY_CODE
from shared.errors import ConsentRequiredError, CredentialError, UnsuitableTokenError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.errors import GrantError

__all__ = [
    "ABOUT_THE_GRANT",
    "CATALOGUE",
    "ENDED_BY_CONSENT",
    "NEEDS_CONSENT",
    "Names",
    "Remedy",
    "Who",
    "explain",
    "for_grant",
    "of_code",
    "why",
]

CATALOGUE: Final[Mapping[str, Remedy]] = {
    **remedies_of_sign_in.REMEDIES,
    **remedies_of_apps.REMEDIES,
    **remedies_of_apps.WARNINGS,
    **remedies_of_tokens.FLAWS,
    **remedies_of_tokens.DELAYS,
    **remedies_of_mailboxes.REMEDIES,
    **remedies_of_mail.REMEDIES,
}

#: What stands in the way of a token and is no matter of time: whether it is gone, only a new token shows.
ABOUT_THE_GRANT: Final = frozenset(
    {*remedies_of_sign_in.REMEDIES, *remedies_of_apps.REMEDIES, *remedies_of_tokens.FLAWS}
)

#: What a new consent ends: holds whose cause is the token. Whoever could sign in has shown that the
#: application's own credential works, too.
ENDED_BY_CONSENT: Final = ABOUT_THE_GRANT | {"token-refused", "credentials-incorrect", "xoauth2-data-refused"}

#: What a person must sign in for.
NEEDS_CONSENT: Final = frozenset(key for key in ABOUT_THE_GRANT if "{consent_url}" in CATALOGUE[key].action)


def of_code(code: str) -> str:
    """Return the key of the remedy for a provider's or an adapter's code, "" where it has none of its own."""
    return BY_CODE.get(code, "")


def for_grant(error: GrantError) -> tuple[str, Word]:
    """
    Return the key of the remedy for what keeps a token away, and the word for it in the log.

    The word follows the kind of the error, as what is done does; the code only finds a better sentence.
    """
    specific = of_code(error.code)
    if isinstance(error, UnsuitableTokenError):
        found = error.code in remedies_of_tokens.FLAWS
        return error.code if found else "credential-broken", Word.CREDENTIAL_BROKEN
    if isinstance(error, ConsentRequiredError):
        return specific if specific in ABOUT_THE_GRANT else "consent-required", Word.CONSENT_REQUIRED
    if isinstance(error, CredentialError):
        return specific if specific in ABOUT_THE_GRANT else "credential-broken", Word.CREDENTIAL_BROKEN
    return specific or "token-unavailable", Word.TOKEN_UNAVAILABLE


def why(error: GrantError, explain: Callable[[str], str]) -> str:
    """Return why there is no token: what was said, and what ``explain`` has for it."""
    explained = explain(for_grant(error)[0])
    return explained if error.code == NO_GRANT else f"{error}; {explained}"


def explain(key: str, names: Names) -> str:
    """Return cause and action of ``key`` in one sentence, with the names filled in; "" for no key."""
    if not key:
        return ""
    remedy = CATALOGUE[key]
    action = remedy.action_for(names.service)
    said = f"{remedy.cause}; {action}" if action else remedy.cause
    return said.format_map(names.blanks())
