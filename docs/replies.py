# noqa: INP001 - docs is a folder of words, with this script beside the page that it makes
"""
Makes docs/replies.md from the verdict table and the remedies: `.venv/bin/python -m docs.replies`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.core.outcomes import MOST_ATTEMPTS
from shared.core.remedies import CATALOGUE, Who
from shared.core.reply import RULES, Rule, Scope, Verdict
from shared.core.smtp import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).resolve().with_suffix(".md")

#: Where each part of the table begins, its heading, and what it has in common.
PARTS: Final = (
    ("accepted", "Accepted", "The one way a message is sent."),
    (
        "sessions-busy",
        "No reply",
        "The network, the server, or something on this side ended it without a word from the server.",
    ),
    (
        "starttls-not-offered",
        "A yes that is not enough",
        "The server answered EHLO, but what must be there is not in its list.",
    ),
    ("too-many-connections", "4yz: not now", "Nothing here is ever final, whatever the enhanced code says."),
    ("ehlo-name-refused", "5yz before AUTH", "A setting or the server, never the message."),
    (
        "smtp-auth-disabled-for-tenant",
        "5yz at AUTH, and 535 wherever it comes",
        "The account or a policy, never the message.",
    ),
    (
        "not-authenticated",
        "5yz in a message, about the sender",
        "The same would be said of the sender's next message, so its mail waits.",
    ),
    (
        "recipient-invalid",
        "5yz in a message, about that message or a recipient",
        "Most of these would be said of the same message again, so it ends here.",
    ),
    ("out-of-step", "What fits nowhere", "It says nothing against the message."),
)

_WHERE: Final = {
    Phase.BORROW: "waiting for a connection",
    Phase.CONNECT: "connecting",
    Phase.GREETING: "the greeting",
    Phase.EHLO: "EHLO",
    Phase.STARTTLS: "STARTTLS",
    Phase.TLS: "the TLS handshake",
    Phase.CERTIFICATE: "the server's certificate",
    Phase.AUTH: "AUTH",
    Phase.READY: "between messages",
    Phase.CHECK: "before MAIL",
    Phase.MAIL: "MAIL",
    Phase.RCPT: "RCPT",
    Phase.DATA: "DATA",
    Phase.BODY: "the message's bytes",
    Phase.END_OF_DATA: "the end of the message",
    # The answer that ends a message is the answer to its end.
    Phase.DONE: "the end of the message",
    Phase.QUIT: "QUIT",
}
_ANYWHERE: Final = frozenset(Phase)
_BEFORE_AUTH: Final = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS})
_IN_A_MESSAGE: Final = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY, Phase.END_OF_DATA})
_GROUPS: Final = {_ANYWHERE: "anywhere", _BEFORE_AUTH: "before AUTH", _IN_A_MESSAGE: "in a message"}

_THEN: Final = {
    Verdict.ACCEPTED: "`accepted`",
    Verdict.DEFER: "again later, counted",
    Verdict.THROTTLE: "again when the limit allows",
    Verdict.REAUTHENTICATE: "once more with a new token, then HOLD",
    Verdict.REJECT: "`rejected`",
}
_HELD: Final = {
    Scope.SENDER: "the sender's mail waits",
    Scope.ADDRESS: "mail from that address waits",
    Scope.MESSAGE: "the message waits",
}
_DOUBT: Final = "`on_doubt` decides"
_SCOPES: Final = {
    Scope.SENDER: "the sender",
    Scope.ADDRESS: "the From address",
    Scope.MESSAGE: "the message",
}

_VERDICTS: Final = {
    Verdict.ACCEPTED: "The server took responsibility; its reply is kept word for word",
    Verdict.DEFER: "Nothing is wrong with the message: again later, waiting longer each time, until "
    f"{MOST_ATTEMPTS} attempts or `expires_at`; counts an attempt",
    Verdict.THROTTLE: "Too fast, too many at once, or the day's recipients are used up: again when the limit "
    "allows; no attempt is counted",
    Verdict.REAUTHENTICATE: "The token was refused, not the message: once more with a new token, then HOLD",
    Verdict.HOLD: "A person must act. The mail waits and flows by itself once that is done; nothing is lost, "
    "no attempt is counted, `expires_at` still holds. What concerns one From address holds that alone",
    Verdict.REJECT: "The same message would be refused again: it ends as `rejected`, with the reply",
}

_LEAD: Final = """\
# What the mail server said, and what becomes of the message

<!-- Made by docs/replies.py from shared/core/reply.py and shared/core/remedies.py: change those. -->

Where is the reply? In the ledger and in the log: [operations.md](operations.md#where-is-this-mail). Look it
up by its first digit, then its enhanced code, then its words. The table is read from top to bottom and **the
first row that matches decides**; each part ends with the row for all the rest of its kind. It is the very
table that the code goes by.

- *where*: what was being answered. *before AUTH* is any of: {before_auth}.
  *in a message* is any of: {in_a_message}.
- *reply code*: `5yz` is any code from 500 to 599. *no reply*: the connection was lost, the time ran out, or
  the fault was found on this side.
- *words looked for*: in capitals or not; what stands in brackets may be missing. The host, time and id that
  Exchange adds in square brackets count for nothing.
- *concerns*: what meets the same fate: all from this sender, from this From address, or this message alone.
- *what to do*: who, and what they type. Words in *italics* stand for names; ledger and log fill them in.
- An empty cell matches whatever stands there.

| verdict | what happens |
|---|---|
{verdicts}

Where some recipients are refused and others are not, the message goes to the others, and the history names
the refusals.

Some ends leave it open whether the message was accepted: {doubt}.
There the message's own `on_doubt` decides: `resend` sends it again with the same Message-ID and Date, `hold`
ends it as `in_doubt`.
"""

_HEADINGS: Final = ("row", "where", "reply code", "enhanced code", "words looked for", "verdict", "then")
_MORE_HEADINGS: Final = ("concerns", "it means", "what to do")


def page() -> str:
    """Return the page, ending with a newline."""
    return "\n".join((_lead(), *_table()))


def rows() -> Iterator[tuple[str, list[Rule]]]:
    """Give each part's heading with its rows; together they are the whole table in its order."""
    names = [rule.name for rule in RULES]
    starts = [names.index(first) for first, _, _ in PARTS]
    if starts[0] != 0 or starts != sorted(starts):
        raise ValueError("the parts do not stand in the order of the table")
    for (_, heading, _), start, end in zip(PARTS, starts, [*starts[1:], len(RULES)], strict=True):
        yield heading, list(RULES[start:end])


def _lead() -> str:
    return _LEAD.format(
        before_auth=_steps(_BEFORE_AUTH),
        in_a_message=_steps(_IN_A_MESSAGE),
        verdicts="\n".join(f"| {verdict.name} | {said} |" for verdict, said in _VERDICTS.items()),
        doubt=", ".join(f"`{rule.name}`" for rule in RULES if rule.doubt),
    )


def _table() -> Iterator[str]:
    intros = {heading: intro for _, heading, intro in PARTS}
    headings = (*_HEADINGS, *_MORE_HEADINGS)
    for heading, rules in rows():
        yield from (f"## {heading}", "", intros[heading], "")
        yield f"| {' | '.join(headings)} |"
        yield "|---" * len(headings) + "|"
        yield from (f"| {' | '.join(_cells(rule))} |" for rule in rules)
        yield ""


def _cells(rule: Rule) -> tuple[str, ...]:
    return (
        f"`{rule.name}`",
        _where(rule.phases),
        ", ".join(_code(pattern) for pattern in rule.codes.split()),
        ", ".join(_enhanced(pattern) for pattern in rule.enhanced.split()),
        " or ".join(f"“{words(pattern)}”" for pattern in rule.text.split("|") if pattern),
        rule.verdict.name,
        _then(rule),
        _SCOPES[rule.scope],
        rule.note,
        what_to_do(rule.remedy),
    )


def _then(rule: Rule) -> str:
    if rule.doubt:
        return _DOUBT
    return _HELD[rule.scope] if rule.verdict is Verdict.HOLD else _THEN[rule.verdict]


def _where(phases: frozenset[Phase]) -> str:
    return _GROUPS.get(phases) or _steps(phases)


def _steps(phases: frozenset[Phase]) -> str:
    """Name each step once, in the order in which they come."""
    return ", ".join(dict.fromkeys(_WHERE[phase] for phase in Phase if phase in phases))


def _code(pattern: str) -> str:
    return {"none": "no reply", "any": "any"}.get(pattern, f"`{pattern}`")


def _enhanced(pattern: str) -> str:
    first, _, last = pattern.partition("-")
    return f"`{first}` to `{first.rpartition('.')[0]}.{last}`" if last else f"`{first}`"


def words(pattern: str) -> str:
    """Write one alternative of a row's expression as a person reads it: "permission(s) to send as"."""
    said = re.sub(r"(.)\?", r"(\1)", pattern.replace(r"\w*", "…"))
    if re.search(r"[\\^$*+?\[\]{}|]", said):
        raise ValueError(f"an expression that this page cannot put in words: {pattern}")
    return said


def what_to_do(key: str) -> str:
    """Return the remedy's action, with who takes it; names that differ from sender to sender in italics."""
    if not key:
        return ""
    remedy = CATALOGUE[key]
    action = re.sub(r"<([^<>]+)>", r"*\1*", re.sub(r"\{(\w+)\}", _italic, remedy.action))
    return f"nothing: {action}" if remedy.who is Who.NOBODY else f"**{remedy.who.value}**: {action}"


def _italic(name: re.Match[str]) -> str:
    return f"*{name[1].replace('_', ' ').replace('url', 'URL')}*"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
