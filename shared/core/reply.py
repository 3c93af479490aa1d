"""
From an SMTP reply to a verdict, by one table; the only code that compares reply codes.

The first digit decides first, then the enhanced code, and text only where nothing else tells: Exchange pairs
codes that disagree (`451 5.7.3`). The table is matched from top to bottom, and each block ends with its
default. Evidence for each row is a file in `tests/transcripts/`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.smtp import Phase, Reply

if TYPE_CHECKING:
    from shared.core.smtp import Submission


class Verdict(enum.Enum):
    """What a reply means for the message."""

    #: The server took responsibility: settle.
    ACCEPTED = "accepted"
    #: Nothing is wrong with the message: again later, and an attempt is counted.
    DEFER = "defer"
    #: Too fast or too many at once: again when the limit allows, and no attempt is counted.
    THROTTLE = "throttle"
    #: The token was refused, not the message: once more with a new token, then HOLD.
    REAUTHENTICATE = "reauthenticate"
    #: A person must act: the mail waits and flows by itself when that is done; no attempt is counted.
    HOLD = "hold"
    #: The same message would be refused again: settle, with the reply.
    REJECT = "reject"


class Scope(enum.Enum):
    """Whom a verdict concerns."""

    #: Everything that this sender sends.
    SENDER = "sender"
    #: What is sent from this one From address.
    ADDRESS = "address"
    #: This message alone.
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One row of the table.

    `codes` and `enhanced` are alternatives separated by spaces: "550", "5yz", "none" (no reply came), "any";
    "5.7.60", "5.7.501-503", "" (whatever it is). `text` is a regular expression, "" where it does not matter.
    """

    name: str
    phases: frozenset[Phase]
    codes: str
    enhanced: str
    text: str
    verdict: Verdict
    remedy: str
    scope: Scope
    note: str
    doubt: bool = False

    def matches(self, phase: Phase, reply: Reply | None) -> bool:
        """Tell whether this row speaks of such an end."""
        return (
            phase in self.phases
            and any(_is_code(pattern, reply) for pattern in self.codes.split())
            and (not self.enhanced or _is_enhanced(self.enhanced, reply))
            and (not self.text or (reply is not None and _contains(self.text, reply)))
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with the row it came from."""

    verdict: Verdict
    rule: str
    #: Key of the remedy in the catalogue; "" only where nothing went wrong.
    remedy: str
    scope: Scope
    #: Whether the message may have been accepted all the same: `on_doubt` decides.
    doubt: bool


def _is_code(pattern: str, reply: Reply | None) -> bool:
    if pattern == "any" or reply is None:
        return pattern in {"any", "none"}
    return str(reply.code) == pattern or (pattern.endswith("yz") and str(reply.code)[0] == pattern[0])


def _is_enhanced(patterns: str, reply: Reply | None) -> bool:
    found = reply.enhanced if reply is not None else ""
    subject, _, detail = found.rpartition(".")
    for pattern in patterns.split():
        wanted, _, details = pattern.rpartition(".")
        first, _, last = details.partition("-")
        if subject == wanted and int(first) <= int(detail) <= int(last or first):
            return True
    return False


def _contains(pattern: str, reply: Reply) -> bool:
    return re.search(pattern, reply.group_text, re.IGNORECASE) is not None


_SENDER, _ADDRESS, _MESSAGE = Scope.SENDER, Scope.ADDRESS, Scope.MESSAGE
_ACCEPTED, _DEFER, _THROTTLE = Verdict.ACCEPTED, Verdict.DEFER, Verdict.THROTTLE
_AGAIN, _HOLD, _REJECT = Verdict.REAUTHENTICATE, Verdict.HOLD, Verdict.REJECT

_ANY: Final = frozenset(Phase)
_BORROW, _CHECK = frozenset({Phase.BORROW}), frozenset({Phase.CHECK})
_CERTIFICATE, _EHLO, _STARTTLS = (frozenset({p}) for p in (Phase.CERTIFICATE, Phase.EHLO, Phase.STARTTLS))
_AUTH = frozenset({Phase.AUTH})
#: Before AUTH: nothing that happens here says anything about a message.
_LINK: Final = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS})
_ENVELOPE: Final = frozenset({Phase.MAIL, Phase.RCPT})
_RCPT, _NOT_RCPT = frozenset({Phase.RCPT}), frozenset({Phase.MAIL, Phase.DATA, Phase.BODY, Phase.END_OF_DATA})
_MAIL: Final = _ENVELOPE | _NOT_RCPT
_END: Final = frozenset({Phase.END_OF_DATA})
_DONE: Final = frozenset({Phase.END_OF_DATA, Phase.DONE})

# fmt: off
#: Two lines a row: name, phases, codes, enhanced codes, text / verdict, remedy, scope, note.
RULES: Final[tuple[Rule, ...]] = (
    # Accepted.
    Rule("accepted", _DONE, "2yz", "", "",
         _ACCEPTED, "", _MESSAGE, "responsibility taken"),

    # No reply at all.
    Rule("sessions-busy", _BORROW, "none", "", "",
         _THROTTLE, "connections-busy", _SENDER, "every allowed connection is in use"),
    Rule("cannot-be-carried", _CHECK, "none", "", "",
         _REJECT, "message-cannot-be-carried", _MESSAGE, "it needs what the server does not offer"),
    Rule("certificate-not-trusted", _CERTIFICATE, "none", "", "",
         _HOLD, "certificate-not-trusted", _SENDER, "another server, or a proxy, answers in its place"),
    Rule("lost-after-end-of-data", _END, "none 3yz", "", "",
         _DEFER, "in-doubt", _MESSAGE, "it may have been accepted", doubt=True),
    Rule("lost-while-sending", _MAIL, "none", "", "",
         _DEFER, "network", _MESSAGE, "the message was not complete, so it was not accepted"),
    Rule("no-connection", _ANY, "none", "", "",
         _DEFER, "network", _SENDER, "the network, or a server that does not answer"),

    # 2yz where that is not enough: the EHLO reply that lacks what must be there.
    Rule("starttls-not-offered", _STARTTLS, "2yz", "", "",
         _HOLD, "starttls-not-offered", _SENDER, "there is no plaintext mode"),
    Rule("xoauth2-not-offered", _AUTH, "2yz", "", "",
         _HOLD, "xoauth2-not-offered", _SENDER, "the server has no AUTH XOAUTH2 after TLS"),

    # 4yz: not now. Nothing here is ever final, whatever the enhanced code says.
    Rule("too-many-connections", _ANY, "432", "4.3.2", "",
         _THROTTLE, "concurrent-connections", _SENDER, "more than three submissions of one mailbox at once"),
    Rule("too-many-messages", _ANY, "421", "4.4.2", "submission rate",
         _THROTTLE, "message-rate", _SENDER, "more than thirty messages of one mailbox in a minute"),
    Rule("not-replicated", _END, "451", "4.4.0", "redundan|replicat",
         _DEFER, "in-doubt", _MESSAGE, "Exchange may deliver it although it says so", doubt=True),
    Rule("too-many-recipients", _ENVELOPE, "452", "4.5.3", "",
         _DEFER, "too-many-recipients", _MESSAGE, "more recipients than the mailbox takes"),
    Rule("mailbox-logon-failed", _ANY, "430", "4.2.0", "",
         _DEFER, "mailbox-logon-failed", _SENDER, "for hours: the app has no permission on the mailbox"),
    Rule("back-end-not-reached", _ANY, "451", "4.7.0", "PRX",
         _DEFER, "back-end-not-reached", _SENDER, "for hours: routing of the mailbox or of the client"),
    Rule("auth-not-now", _AUTH, "451 454", "4.7.0 4.7.3", "",
         _DEFER, "transient", _SENDER, "the token was not judged"),
    Rule("tls-rate", _STARTTLS, "454", "4.7.0", "",
         _DEFER, "transient", _SENDER, "the server opens no more TLS sessions just now"),
    Rule("organization-queue-full", _MAIL, "450", "4.7.0 4.7.3", "",
         _DEFER, "organization-queue-full", _SENDER, "the organization's own queue at Exchange is full"),
    Rule("server-busy", _ANY, "451", "4.7.500-699 4.7.850-899", "",
         _DEFER, "server-busy", _SENDER, "Exchange slows this address or tenant down"),
    Rule("too-many-errors", _ANY, "421", "4.7.0", "",
         _DEFER, "protocol-fault", _SENDER, "our fault if it ever comes"),
    Rule("closing", _ANY, "421", "", "",
         _DEFER, "transient", _SENDER, "the server closes the connection"),
    Rule("short-of-resources", _MAIL, "452", "4.3.1", "",
         _DEFER, "transient", _MESSAGE, "insufficient system resources"),
    Rule("temporary-server-error", _MAIL, "451", "4.3.2 4.3.111 4.4.3 4.4.4 4.7.0", "",
         _DEFER, "transient", _MESSAGE, "Exchange's own back ends"),
    Rule("not-now", _MAIL, "4yz", "", "",
         _DEFER, "transient", _MESSAGE, "default of 4yz once a message is being sent"),
    Rule("not-now-connecting", _ANY, "4yz", "", "",
         _DEFER, "transient", _SENDER, "default of 4yz before that"),

    # 5yz before AUTH: a setting or the server, never the message.
    Rule("ehlo-name-refused", _EHLO, "501", "5.5.4", "",
         _HOLD, "ehlo-name", _SENDER, "the name after EHLO is not a domain name"),
    Rule("starttls-required", _ANY, "530", "5.7.0", "",
         _HOLD, "protocol-fault", _SENDER, "the server saw no STARTTLS"),
    Rule("server-refuses-us", _LINK, "5yz", "", "",
         _HOLD, "server-refuses-us", _SENDER, "default of 5yz before AUTH"),

    # 5yz at AUTH, and 535 wherever it comes: the account, never the message.
    Rule("smtp-auth-disabled-for-tenant", _ANY, "535", "5.7.139", "disabled for the tenant",
         _HOLD, "smtp-auth-disabled", _SENDER, "SMTP AUTH is off for the organization; this stops OAuth too"),
    Rule("smtp-auth-disabled-for-mailbox", _ANY, "535", "5.7.139", "SmtpClientAuth\\w* is disabled",
         _HOLD, "smtp-auth-disabled", _SENDER, "SMTP AUTH is off for the mailbox; this stops OAuth too"),
    Rule("security-defaults", _ANY, "535", "5.7.139", "security defaults",
         _HOLD, "security-defaults", _SENDER, "security defaults forbid SMTP AUTH"),
    Rule("conditional-access", _ANY, "535", "5.7.139", "did not meet the criteria",
         _HOLD, "conditional-access", _SENDER, "Conditional Access or an authentication policy"),
    Rule("basic-auth-disabled", _ANY, "535", "5.7.139", "basic authentication is disabled",
         _HOLD, "basic-auth-disabled", _SENDER, "an authentication policy forbids the protocol"),
    Rule("credentials-incorrect", _ANY, "535", "5.7.139", "credentials were incorrect",
         _HOLD, "credentials-incorrect", _SENDER, "the account behind the token was refused"),
    Rule("federation-unreachable", _ANY, "535", "5.7.139", "STS service was unreachable",
         _DEFER, "federation-unreachable", _SENDER, "the organization's own sign-in service was down"),
    Rule("federation-without-https", _ANY, "535", "5.7.139", "STS URL does not support HTTPS",
         _HOLD, "federation-without-https", _SENDER, "the organization's own sign-in service is wrong"),
    Rule("authentication-denied", _ANY, "535", "5.7.139", "",
         _HOLD, "authentication-denied", _SENDER, "default of 5.7.139: a policy said no"),
    Rule("token-refused", _ANY, "535", "", "",
         _AGAIN, "token-refused", _SENDER, "expired, wrong audience, scope or user: it does not say which"),
    Rule("xoauth2-switched-off", _AUTH, "504", "", "",
         _HOLD, "xoauth2-not-offered", _SENDER, "the mechanism is not known or not allowed"),
    Rule("token-ends-soon", _AUTH, "501", "5.5.127", "",
         _AGAIN, "token-refused", _SENDER, "High Volume Email wants ten minutes left in a token"),
    Rule("xoauth2-data-refused", _AUTH, "501", "", "",
         _HOLD, "xoauth2-data-refused", _SENDER, "the user of the grant is empty or malformed"),
    Rule("basic-auth-retired", _ANY, "550", "5.7.30", "",
         _HOLD, "basic-auth-disabled", _SENDER, "the server took XOAUTH2 for a password"),
    Rule("authentication-refused", _AUTH, "5yz", "", "",
         _HOLD, "authentication-denied", _SENDER, "default of 5yz at AUTH"),

    # 5yz once a message is being sent: first what concerns the sender or its address ...
    Rule("not-authenticated", _MAIL, "530", "", "",
         _HOLD, "protocol-fault", _SENDER, "the server forgot that we signed in"),
    Rule("send-as-denied", _MAIL, "5yz", "5.7.60 5.2.252", "",
         _HOLD, "send-as-denied", _ADDRESS, "the account may not send as this From address"),
    Rule("send-as-denied-in-words", _MAIL, "5yz", "5.2.0 5.7.1", "SendAsDenied|permissions? to send as",
         _HOLD, "send-as-denied", _ADDRESS, "the same, as older servers say it"),
    Rule("daily-recipients-used-up", _MAIL, "5yz", "5.2.0 5.2.2", "SubmissionQuotaExceeded",
         _THROTTLE, "recipients-per-day", _SENDER, "10,000 recipients in 24 hours"),
    Rule("daily-recipients-used-up-by-code", _MAIL, "5yz", "5.1.90", "",
         _THROTTLE, "recipients-per-day", _SENDER, "the same, by its code"),
    Rule("tenant-recipients-used-up", _MAIL, "5yz", "5.7.233", "",
         _THROTTLE, "tenant-recipients-per-day", _SENDER, "the tenant's external recipients in 24 hours"),
    Rule("outbound-spam", _MAIL, "5yz", "5.2.0", "OutboundSpam|WASCL UserAction",
         _HOLD, "outbound-spam", _SENDER, "Exchange suspects this mailbox of sending spam"),
    Rule("mailbox-full", _NOT_RCPT, "5yz", "5.2.2", "",
         _HOLD, "mailbox-full", _SENDER, "no room for the copy in Sent Items"),
    Rule("sender-blocked-as-spam", _MAIL, "550", "5.1.8", "",
         _HOLD, "sender-blocked", _SENDER, "bad outbound sender: on Microsoft's list of restricted users"),
    Rule("sender-banned", _MAIL, "5yz", "5.7.501-503 5.7.511", "",
         _HOLD, "sender-banned", _SENDER, "banned sender or spam abuse; only Microsoft lifts it"),
    Rule("tenant-over-threshold", _MAIL, "5yz", "5.7.705", "",
         _HOLD, "tenant-blocked", _SENDER, "too much suspicious mail from the tenant"),
    Rule("tenant-not-trusted-yet", _MAIL, "5yz", "5.7.708", "",
         _HOLD, "tenant-not-trusted-yet", _SENDER, "a new or trial tenant"),
    Rule("domain-not-registered", _MAIL, "5yz", "5.7.750", "",
         _HOLD, "domain-not-registered", _ADDRESS, "the From domain is not an accepted domain of the tenant"),
    Rule("sender-address-invalid", _MAIL, "501", "5.1.7", "",
         _HOLD, "sender-address-invalid", _ADDRESS, "MAIL FROM is not an address to Exchange"),

    # ... then what concerns this message or a recipient.
    Rule("recipient-invalid", _MAIL, "501", "5.1.3", "",
         _REJECT, "recipient-invalid", _MESSAGE, "not an address"),
    Rule("smtputf8-needed", _MAIL, "501", "5.1.6 5.1.8 5.1.9", "",
         _REJECT, "smtputf8-needed", _MESSAGE, "letters outside ASCII that this way cannot carry"),
    Rule("recipient-unknown", _MAIL, "550", "5.1.10 5.1.1", "",
         _REJECT, "recipient-unknown", _MESSAGE, "no such recipient"),
    Rule("recipient-denied", _MAIL, "550", "5.4.1", "",
         _REJECT, "recipient-unknown", _MESSAGE, "access denied: mostly no such recipient"),
    Rule("recipient-on-block-list", _MAIL, "5yz", "5.7.703", "",
         _REJECT, "tenant-block-list", _MESSAGE, "the organization's Tenant Allow/Block List"),
    Rule("recipient-hourly-limit", _MAIL, "5yz", "5.2.121-122", "",
         _REJECT, "recipient-hourly-limit", _MESSAGE, "the recipient got too much mail this hour"),
    Rule("too-many-recipients-552", _RCPT, "552", "5.5.3", "",
         _DEFER, "too-many-recipients", _MESSAGE, "an older way to say 452 (RFC 5321 §4.5.3.1.10)"),
    Rule("message-too-large", _MAIL, "552", "5.3.4", "",
         _REJECT, "message-too-large", _MESSAGE, "over the mailbox's limit for a message or its header"),
    Rule("from-not-valid", _MAIL, "5yz", "5.7.512", "",
         _REJECT, "from-not-valid", _MESSAGE, "the From header is not RFC 5322"),
    Rule("from-not-single", _MAIL, "5yz", "5.1.20", "",
         _REJECT, "from-not-valid", _MESSAGE, "more than one From address"),
    Rule("bare-line-ends", _MAIL, "5yz", "5.6.0 5.6.11", "bare ?line ?feeds?",
         _REJECT, "content-not-valid", _MESSAGE, "our fault if it ever comes"),
    Rule("content-not-valid", _MAIL, "5yz", "5.6.0 5.6.11", "",
         _REJECT, "content-not-valid", _MESSAGE, "a malformed message"),
    Rule("mail-loop", _MAIL, "554", "5.4.6", "",
         _REJECT, "mail-loop", _MESSAGE, "it has gone round in circles"),
    Rule("command-refused", _MAIL, "500 501 503", "5.3.3 5.5.1-4", "",
         _REJECT, "protocol-fault", _MESSAGE, "our fault; the same command would be refused again"),
    Rule("refused", _MAIL, "5yz", "", "",
         _REJECT, "refused", _MESSAGE, "default of 5yz once a message is being sent"),

    # What fits nowhere says nothing against the message.
    Rule("out-of-step", _ANY, "any", "", "",
         _DEFER, "protocol-fault", _SENDER, "an answer that its question cannot have"),
)
# fmt: on


def judge(submission: Submission) -> Judgement:
    """Judge what became of a message; recipients refused while the rest went are judged by `judge_reply`."""
    return judge_reply(submission.phase, submission.reply)


def judge_reply(phase: Phase, reply: Reply | None) -> Judgement:
    """Judge one reply, or its absence, in the phase where it came."""
    rule = next(rule for rule in RULES if rule.matches(phase, reply))
    return Judgement(rule.verdict, rule.name, rule.remedy, rule.scope, rule.doubt)
