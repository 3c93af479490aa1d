# noqa: INP001 - docs is a folder of words, with this script beside the page that it makes
"""
Makes docs/remedies.md from the catalogue: `.venv/bin/python -m docs.remedies`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.core import (
    remedies_of_apps,
    remedies_of_mail,
    remedies_of_mailboxes,
    remedies_of_sign_in,
    remedies_of_tokens,
)
from shared.core.remedies import CATALOGUE, NEEDS_CONSENT
from shared.core.remedy import in_words
from shared.core.remedy_codes import BY_CODE
from shared.core.reply import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.remedy import Remedy

PAGE: Final = Path(__file__).resolve().with_suffix(".md")

#: Each part's heading, what it has in common, and its entries; together they are the catalogue in its order.
PARTS: Final[tuple[tuple[str, str, Mapping[str, Remedy]], ...]] = (
    (
        "A person's consent and sign-in",
        "No token, because of somebody who signs in. The sender is held until a new token can be had.",
        remedies_of_sign_in.REMEDIES,
    ),
    (
        "The app and what it proves itself with",
        "No token, because of the app's registration or its credential. The sender is held likewise.",
        remedies_of_apps.REMEDIES,
    ),
    ("What will come", "Said ahead of time, while mail flows.", remedies_of_apps.WARNINGS),
    (
        "A token that is of no use",
        "It came, and is not shown to the mail server, which would refuse it without a reason.",
        remedies_of_tokens.FLAWS,
    ),
    (
        "No token just now",
        "The sender's mail waits a little and goes by itself. Nothing is wrong with the consent.",
        remedies_of_tokens.DELAYS,
    ),
    (
        "The mailbox and its account",
        "What the mail server says of whoever signs in there.",
        remedies_of_mailboxes.REMEDIES,
    ),
    (
        "Limits, the network, and the message",
        "What is about neither account nor consent.",
        remedies_of_mail.REMEDIES,
    ),
)

_LEAD: Final = """\
# What went wrong, who must act, and what to type

<!-- Made by docs/remedies.py from shared/core/remedies_of_….py and remedy_codes.py: change those. -->

The ledger, the log, events and pages all say these sentences, with the names filled in; here they stand for
themselves. Look up the *remedy* that `GET /api/senders` or an event names, or
[the code](#the-codes-of-providers) that the sign-in page shows.

- Words in *italics* stand for names: ledger, log, events and pages fill them in. *account* is who signs in,
  `sign_in_as` or the mailbox itself; where the app sends by itself (`grant = "app"`) it is the mailbox.
- *with grant = "app"*: what to do instead where nobody signs in. An empty cell: the same. What falls to the
  sending account elsewhere is then an administrator's.
- *by itself*: **yes** says that the same thing works later, with nobody having done anything.
- *needs a sign-in*: the event `sender.consent_required` is told, for somebody must open the consent link.
- Commands with a capital letter (`Set-…`, `Add-…`, `New-…`) are for Exchange Online PowerShell, after
  `Connect-ExchangeOnline`; `Update-Mg…` for Microsoft Graph PowerShell; `az …` for the Azure CLI.

Nothing need be done to mail that waits: it goes by itself once the cause is gone. What each reply of a mail
server leads to is in [replies.md](replies.md).
"""

_CODES: Final = """\
Entra's numbers, OAuth's words, the numbers of HTTP and a few words of our own. What is done follows the kind
of the error, never this code: it only finds the sentence. Any other code ends at `consent-required`,
`credential-broken` or `token-unavailable`. Entra tells more of a number at
`https://login.microsoftonline.com/error?code=` and its digits."""

_HEADINGS: Final = (
    "remedy",
    "cause",
    "who acts",
    "what to do",
    'with grant = "app"',
    "by itself",
    "needs a sign-in",
    "said at",
)


def page() -> str:
    """Return the page, ending with a newline."""
    return "\n".join((_LEAD, *_parts(), *_codes()))


def _parts() -> Iterator[str]:
    for heading, intro, remedies in PARTS:
        yield from (
            f"## {heading}",
            "",
            intro,
            "",
            f"| {' | '.join(_HEADINGS)} |",
            "|---" * len(_HEADINGS) + "|",
        )
        yield from (f"| {' | '.join(_cells(key, remedy))} |" for key, remedy in remedies.items())
        yield ""


def _cells(key: str, remedy: Remedy) -> tuple[str, ...]:
    return (
        f"`{key}`",
        words(remedy.cause),
        remedy.who.value,
        words(remedy.action),
        words(remedy.app_action),
        "yes" if remedy.retry else "",
        "yes" if key in NEEDS_CONSENT else "",
        ", ".join(f"`{name}`" for name in said_at(key)),
    )


def said_at(key: str) -> Iterator[str]:
    """Give the rows of the table of replies, and the codes of providers, that lead to a remedy."""
    yield from (rule.name for rule in RULES if rule.remedy == key)
    yield from (code for code, of in BY_CODE.items() if of == key)


def _codes() -> Iterator[str]:
    yield from (
        "## The codes of providers",
        "",
        _CODES,
        "",
        "| code | remedy | cause |",
        "|---|---|---|",
    )
    for code, key in sorted(BY_CODE.items(), key=lambda entry: _order(entry[0])):
        yield f"| `{code}` | `{key}` | {words(CATALOGUE[key].cause)} |"
    yield ""


def _order(code: str) -> tuple[bool, int, str]:
    """Entra's numbers come first and by their size, words after them by the alphabet."""
    digits = code.removeprefix("AADSTS")
    return not code.startswith("AADSTS"), int(digits) if digits.isdigit() else 0, code


def words(text: str) -> str:
    """Write a sentence with the names that differ from sender to sender in italics."""
    named = re.sub(r"\{(\w+)\}", lambda blank: f"*{in_words(blank[1])}*", text)
    return re.sub(r"<([^<>]+)>", r"*\1*", named)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
