"""
Every reply of the server, word for word as Exchange Online gives it.

A reply is a string without its last CRLF. The host names are made up, in the shape of the real ones. What
Exchange adds in square brackets (host, time, session) differs with each reply; clients must not compare it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from local.microsoft.exchange.limits import SIZE_BYTES

if TYPE_CHECKING:
    from datetime import timedelta

POD = "LO2P265CA0071.outlook.office365.com"
FRONT_END = "LO2P265CA0071.GBRP265.PROD.OUTLOOK.COM"
BACK_END = "LO4P265MB0042.GBRP265.PROD.OUTLOOK.COM"

STARTTLS_READY = "220 2.0.0 SMTP server ready"
CLOSING = "221 2.0.0 Service closing transmission channel"
AUTHENTICATED = "235 2.7.0 Authentication successful"
OK = "250 2.0.0 OK"
RESET = "250 2.0.0 Resetting"
SENDER_OK = "250 2.1.0 Sender OK"
RECIPIENT_OK = "250 2.1.5 Recipient OK"
CANNOT_VERIFY = "252 2.1.5 Cannot VRFY user"
HELP = (
    "214-This server supports the following commands:\r\n"
    "214 HELO EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT HELP VRFY"
)
EMPTY_CHALLENGE = "334 "
LOGIN_USERNAME = "334 VXNlcm5hbWU6"  # "Username:"
LOGIN_PASSWORD = "334 UGFzc3dvcmQ6"  # "Password:"
START_INPUT = "354 Start mail input; end with <CRLF>.<CRLF>"

SERVICE_STOPPING = "421 4.3.2 Service not available, closing transmission channel"
RATE_EXCEEDED = "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
TOO_MANY_ERRORS = "421 4.7.0 Too many errors on this connection, closing transmission channel"
IDLE = "451 4.7.0 Timeout waiting for client input"
TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients"

COMMAND_TOO_LONG = "500 5.5.2 Command too long"
BAD_ARGUMENTS = "501 5.5.4 Invalid arguments"
BAD_PARAMETER = "501 5.5.4 Unrecognized parameter"
BAD_BODY_TYPE = "501 5.5.4 Unsupported BODY type"
BAD_RECIPIENT = "501 5.1.3 Invalid address"
UTF8_REQUIRED = "501 5.1.6 SMTPUTF8 argument required"
BAD_SENDER = "501 5.1.7 Invalid address"
BAD_SASL = "501 5.5.124 Invalid XOAUTH2 authentication data"
BAD_SEQUENCE = "503 5.5.1 Bad sequence of commands"
TLS_FIRST = "530 5.7.0 Must issue a STARTTLS command first"

MULTIPLE_FROM = "550 5.1.20 Multiple From addresses are not allowed in From header"
BLOCKED = "550 5.1.8 Access denied, bad outbound sender AS(42004)"
BARE_LINEFEEDS = (
    "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; "
    "message contains bare linefeeds, which cannot be sent via DATA"
)
NO_FROM = "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant"
HEADER_TOO_LARGE = "552 5.3.4 Header size exceeds fixed maximum size"
MESSAGE_TOO_LARGE = "552 5.3.4 Message size exceeds fixed maximum message size"

_EXTENSIONS_BEFORE = f"SIZE {SIZE_BYTES}", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES"
_EXTENSIONS_AFTER = "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"


def trailer(session: str) -> str:
    """Return what ends a front-end refusal, in square brackets: host, time, session."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"[{FRONT_END} {now}Z {session}]"


def banner(session: str) -> str:
    """Greet a client that has just connected."""
    return f"220 {POD} Microsoft ESMTP MAIL Service ready at {format_datetime(datetime.now(UTC))} [{session}]"


def hello(peer: str) -> str:
    """Answer HELO."""
    return f"250 {POD} Hello [{peer}]"


def extensions(peer: str, *, over_tls: bool) -> str:
    """Answer EHLO. AUTH is offered over TLS only, STARTTLS before it only."""
    switch = "AUTH LOGIN XOAUTH2" if over_tls else "STARTTLS"
    lines = [f"{POD} Hello [{peer}]", *_EXTENSIONS_BEFORE, switch, *_EXTENSIONS_AFTER]
    return "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])


def unrecognized(session: str) -> str:
    """Refuse a command that is none."""
    return f"500 5.3.3 Unrecognized command {trailer(session)}"


def invalid_domain(session: str) -> str:
    """Refuse the name that a client gives itself."""
    return f"501 5.5.4 Invalid domain name {trailer(session)}"


def unrecognized_mechanism(session: str) -> str:
    """Refuse AUTH before TLS, or with a mechanism that is not offered."""
    return f"504 5.7.4 Unrecognized authentication type {trailer(session)}"


def not_authenticated(session: str) -> str:
    """Refuse MAIL before AUTH."""
    return f"530 5.7.57 Client not authenticated to send mail. {trailer(session)}"


def unsuccessful(session: str) -> str:
    """Refuse AUTH without a reason; the token's claims are all that a client has to find it."""
    return f"535 5.7.3 Authentication unsuccessful {trailer(session)}"


def _unsuccessful_because(reason: str, session: str) -> str:
    return f"535 5.7.139 Authentication unsuccessful, {reason} {trailer(session)}"


def smtp_auth_disabled(where: str, session: str) -> str:
    """Refuse AUTH because SMTP AUTH is switched off; `where` is `Tenant` or `Mailbox`."""
    return _unsuccessful_because(
        f"SmtpClientAuthentication is disabled for the {where}. "
        "Visit https://aka.ms/smtp_auth_disabled for more information.",
        session,
    )


def basic_authentication_disabled(session: str) -> str:
    """Refuse a password."""
    return _unsuccessful_because("basic authentication is disabled.", session)


def session_expired(lasted: timedelta) -> str:
    """End a session that has lasted too long."""
    hours, rest = divmod(int(lasted.total_seconds()), 3600)
    return (
        f"421 4.4.1 Connection timed out. Total session duration: {hours:02}:{rest // 60:02}:{rest % 60:02}"
    )


def accepted(message_id: str) -> str:
    """Take responsibility for a message. `message_id` comes with its angle brackets."""
    return f"250 2.0.0 OK {message_id} [Hostname={BACK_END}]"


def chunk_taken(octets: int) -> str:
    """Ask for the next chunk."""
    return f"250 2.6.0 Message received, {octets} octets"


def connections_exceeded() -> str:
    """Refuse a message on one connection too many."""
    return (
        "432 4.3.2 Concurrent connections limit exceeded. "
        f"Visit https://aka.ms/concurrent_sending for more information. [Hostname={BACK_END}]"
    )


def _permanent(what: str, mapi: str) -> str:
    return (
        f"STOREDRV.Submission.Exception:{what}.{mapi}; Failed to process message due to a permanent"
        f" exception with message Cannot submit message. [Hostname={BACK_END}]"
    )


def send_as_denied(user: str, address: str) -> str:
    """Refuse an address that the mailbox may not send as."""
    why = _permanent("SendAsDeniedException", "MapiExceptionSendAsDenied")
    return f"554 5.2.252 SendAsDenied; {user} not allowed to send as {address}; {why}"


def daily_quota_exceeded() -> str:
    """Refuse a message with too many recipients for one day."""
    return "554 5.2.0 " + _permanent(
        "SubmissionQuotaExceededException", "MapiExceptionSubmissionQuotaExceeded"
    )


def mailbox_full() -> str:
    """Refuse a message whose copy has no room in Sent Items."""
    return "554 5.2.2 mailbox full; " + _permanent(
        "QuotaExceededException", "MapiExceptionShutoffQuotaExceeded"
    )
