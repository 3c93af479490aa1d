"""
The catalogue: what went wrong → its cause, who must act, and what to type.

One entry for each key that ``core.reply`` or a grant names, used by the ledger, the log and the pages alike,
so that an operator reads the same sentence everywhere. Sources: Microsoft's pages on SMTP submission, on
OAuth for IMAP, POP and SMTP, and on Entra's error codes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.oauth import NO_GRANT
from shared.errors import ConsentRequiredError, CredentialError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.oauth import Service
    from shared.core.sender import Sender
    from shared.errors import GrantError


class Who(enum.Enum):
    """Who must act before things get better."""

    #: Nobody: time mends it.
    NOBODY = "nobody"
    #: Whoever wrote the app that put the message on the queue.
    APP = "the app"
    #: The person whose mailbox or account it is, by signing in.
    ACCOUNT = "the sending account"
    #: An administrator of Microsoft 365 or of this deployment.
    ADMINISTRATOR = "an administrator"
    #: Whoever maintains Sendoff.
    SENDOFF = "Sendoff's maintainers"


@dataclass(frozen=True, slots=True)
class Remedy:
    """
    A cause and what to do about it.

    ``cause`` and ``action`` may hold ``{mailbox}``, ``{account}``, ``{tenant}``, ``{client_id}``,
    ``{secret_name}`` and ``{consent_url}``.
    """

    cause: str
    who: Who
    action: str = ""


_SEND_AS = "Add-RecipientPermission {mailbox} -Trustee {account} -AccessRights SendAs"
_RESTRICTED = (
    "lift the block at https://security.microsoft.com/restrictedentities, after finding out what was sent"
)
_AGAIN = "it is tried again by itself"

CATALOGUE: Mapping[str, Remedy] = {
    "held-by-hand": Remedy(
        "a person held it", Who.ADMINISTRATOR, "resume it: POST …/api/senders/<sender>/resume"
    ),
    # The token and the account.
    "consent-missing": Remedy(
        "nobody has consented for {mailbox} yet", Who.ACCOUNT, "sign in as {account} at {consent_url}"
    ),
    "consent-required": Remedy(
        "the consent for {mailbox} is no longer valid",
        Who.ACCOUNT,
        "sign in again as {account} at {consent_url}",
    ),
    "credential-broken": Remedy(
        "the provider refuses this application's own credential",
        Who.ADMINISTRATOR,
        "make a new client secret for {client_id} and store its value (not its id) in the vault: "
        "az keyvault secret set --vault-name <vault> --name {secret_name} --value <client secret>",
    ),
    "token-unavailable": Remedy("an access token could not be had just now", Who.NOBODY, _AGAIN),
    "token-refused": Remedy(
        "Exchange refused the access token of {account}, and a new one too",
        Who.ADMINISTRATOR,
        "check that {account} has a licensed mailbox and that SMTP AUTH is on for it: "
        "Set-CASMailbox {account} -SmtpClientAuthenticationDisabled $false",
    ),
    "credentials-incorrect": Remedy(
        "Exchange says the credentials of {account} are incorrect",
        Who.ACCOUNT,
        "sign in again as {account} at {consent_url}",
    ),
    # Switches at Exchange and Entra.
    "smtp-auth-disabled": Remedy(
        "SMTP AUTH is switched off, which stops OAuth too",
        Who.ADMINISTRATOR,
        "Set-CASMailbox {account} -SmtpClientAuthenticationDisabled $false; it takes effect within the hour",
    ),
    "security-defaults": Remedy(
        "security defaults of the tenant forbid SMTP AUTH",
        Who.ADMINISTRATOR,
        "replace security defaults with Conditional Access policies, then "
        "Set-CASMailbox {account} -SmtpClientAuthenticationDisabled $false",
    ),
    "conditional-access": Remedy(
        "a Conditional Access or authentication policy refuses {account}",
        Who.ADMINISTRATOR,
        "exclude {account} or the app {client_id} from that policy; the sign-in log of {account} names it",
    ),
    "basic-auth-disabled": Remedy(
        "an authentication policy forbids SMTP for {account}",
        Who.ADMINISTRATOR,
        "Set-User {account} -AuthenticationPolicy <one with AllowBasicAuthSmtp>; "
        "it governs the protocol, not the password",
    ),
    "authentication-denied": Remedy(
        "Exchange will not let {account} authenticate",
        Who.ADMINISTRATOR,
        "look at the sign-in log of {account} in the Entra admin center for the policy that refused it",
    ),
    "federation-without-https": Remedy(
        "the tenant's federated sign-in service is not on https",
        Who.ADMINISTRATOR,
        "correct its address in the domain's federation settings",
    ),
    "federation-unreachable": Remedy(
        "the tenant's federated sign-in service did not answer", Who.NOBODY, _AGAIN
    ),
    "xoauth2-not-offered": Remedy(
        "the server offers no AUTH XOAUTH2",
        Who.ADMINISTRATOR,
        "check smtp.host and smtp.port of this sender in mail.toml",
    ),
    "xoauth2-data-refused": Remedy(
        "the server could not read the user of the grant",
        Who.ACCOUNT,
        "sign in again as {account} at {consent_url}",
    ),
    # The mailbox and what it may send.
    "send-as-denied": Remedy(
        "{account} may not send as this From address",
        Who.ADMINISTRATOR,
        f"{_SEND_AS}; it takes effect within the hour",
    ),
    "mailbox-full": Remedy(
        "the mailbox {account} is full: every submission leaves a copy in Sent Items",
        Who.ADMINISTRATOR,
        "empty it or give Sent Items a retention policy, or "
        "Set-Mailbox {account} -MessageCopyForSMTPClientSubmissionEnabled $false",
    ),
    "mailbox-logon-failed": Remedy(
        "Exchange could not open the mailbox",
        Who.NOBODY,
        f"{_AGAIN}; if it lasts for hours, the app lacks a permission on {{mailbox}}",
    ),
    "outbound-spam": Remedy("Exchange suspects {account} of sending spam", Who.ADMINISTRATOR, _RESTRICTED),
    "sender-blocked": Remedy(
        "{account} is on Microsoft's list of restricted users", Who.ADMINISTRATOR, _RESTRICTED
    ),
    "sender-banned": Remedy(
        "Microsoft has banned {account} from sending",
        Who.ADMINISTRATOR,
        "open a case with Microsoft 365 support",
    ),
    "tenant-blocked": Remedy(
        "the tenant is blocked for suspicious mail",
        Who.ADMINISTRATOR,
        "find what sent it, then open a case with Microsoft 365 support",
    ),
    "tenant-not-trusted-yet": Remedy(
        "Microsoft does not trust this new or trial tenant yet",
        Who.ADMINISTRATOR,
        "register a domain of your own and wait, or open a case with Microsoft 365 support",
    ),
    "domain-not-registered": Remedy(
        "the domain of the From address is not an accepted domain of {tenant}",
        Who.ADMINISTRATOR,
        "add it under Settings > Domains in the Microsoft 365 admin center",
    ),
    "sender-address-invalid": Remedy(
        "Exchange does not take the sender's address",
        Who.ADMINISTRATOR,
        "correct mailbox and from of this sender in mail.toml",
    ),
    # Limits.
    "connections-busy": Remedy("every connection that this mailbox may have is in use", Who.NOBODY, _AGAIN),
    "concurrent-connections": Remedy(
        "more than three submissions of one mailbox at once", Who.NOBODY, _AGAIN
    ),
    "message-rate": Remedy("more than thirty messages of one mailbox in a minute", Who.NOBODY, _AGAIN),
    "recipients-per-day": Remedy(
        "the mailbox has used up its 10,000 recipients in 24 hours", Who.NOBODY, _AGAIN
    ),
    "tenant-recipients-per-day": Remedy(
        "the tenant has used up its external recipients in 24 hours", Who.NOBODY, _AGAIN
    ),
    # The network and the server.
    "network": Remedy("the connection to the mail server failed", Who.NOBODY, _AGAIN),
    "transient": Remedy("the mail server cannot take it just now", Who.NOBODY, _AGAIN),
    "server-busy": Remedy("Exchange slows this address or tenant down", Who.NOBODY, _AGAIN),
    "organization-queue-full": Remedy("the organization's own queue at Exchange is full", Who.NOBODY, _AGAIN),
    "back-end-not-reached": Remedy("Exchange could not reach the mailbox's server", Who.NOBODY, _AGAIN),
    "in-doubt": Remedy(
        "the connection was lost after the end of the message; it may have been accepted",
        Who.NOBODY,
        "it is sent again with the same Message-ID and Date, by which receivers tell a duplicate",
    ),
    "certificate-not-trusted": Remedy(
        "the certificate of the mail server is not one to trust",
        Who.ADMINISTRATOR,
        "check smtp.host of this sender in mail.toml, and whether a proxy answers in its place",
    ),
    "starttls-not-offered": Remedy(
        "the mail server offers no STARTTLS, and there is no plaintext mode",
        Who.ADMINISTRATOR,
        "check smtp.host and smtp.port of this sender in mail.toml",
    ),
    "server-refuses-us": Remedy(
        "the mail server refuses this client",
        Who.ADMINISTRATOR,
        "check smtp.host and smtp.port of this sender in mail.toml",
    ),
    "ehlo-name": Remedy("the mail server does not take our name", Who.SENDOFF, "report this reply"),
    "protocol-fault": Remedy(
        "server and client were out of step", Who.SENDOFF, "report this reply if it comes again"
    ),
    # The message.
    "too-many-recipients": Remedy(
        "the server takes fewer recipients for one message", Who.APP, "send it in parts"
    ),
    "message-cannot-be-carried": Remedy(
        "the server does not offer what this message needs", Who.APP, "use ASCII addresses"
    ),
    "recipient-invalid": Remedy(
        "the server does not take a recipient's address", Who.APP, "correct it and send a new message"
    ),
    "recipient-unknown": Remedy("a recipient does not exist", Who.APP, "correct it and send a new message"),
    "recipient-hourly-limit": Remedy(
        "a recipient got too much mail this hour", Who.APP, "send it later, as a new message"
    ),
    "tenant-block-list": Remedy(
        "a recipient is on the organization's block list",
        Who.ADMINISTRATOR,
        "https://security.microsoft.com/tenantAllowBlockList",
    ),
    "smtputf8-needed": Remedy(
        "an address has letters that this way cannot carry", Who.APP, "use ASCII addresses"
    ),
    "message-too-large": Remedy(
        "the message is larger than the mailbox may send",
        Who.ADMINISTRATOR,
        "Set-Mailbox {mailbox} -MaxSendSize <up to 150MB>",
    ),
    "from-not-valid": Remedy("Exchange does not take the From header", Who.SENDOFF, "report this reply"),
    "content-not-valid": Remedy(
        "Exchange does not take the message's structure", Who.SENDOFF, "report this reply"
    ),
    "mail-loop": Remedy(
        "the message has gone round in circles",
        Who.ADMINISTRATOR,
        "look for forwarding rules at the recipient",
    ),
    "refused": Remedy("the server refuses this message", Who.APP, "the reply says why"),
}


#: What a new consent ends: holds whose cause is the token.
ENDED_BY_CONSENT = frozenset(
    {
        "consent-missing",
        "consent-required",
        "credential-broken",
        "token-refused",
        "credentials-incorrect",
        "xoauth2-data-refused",
    }
)


def for_grant(error: GrantError) -> tuple[str, Word]:
    """Return the key of the remedy for what keeps a token away, and the word for it in the log."""
    if isinstance(error, ConsentRequiredError):
        key = "consent-missing" if error.code == NO_GRANT else "consent-required"
        return key, Word.CONSENT_REQUIRED
    if isinstance(error, CredentialError):
        return "credential-broken", Word.CREDENTIAL_BROKEN
    return "token-unavailable", Word.TOKEN_UNAVAILABLE


def explain(key: str, *, sender: Sender, service: Service, consent_url: str) -> str:
    """
    Return cause and action of ``key`` in one sentence, "" for no key.

    The names of this sender and its service are filled in.
    """
    if not key:
        return ""
    remedy = CATALOGUE[key]
    said = f"{remedy.cause}; {remedy.action}" if remedy.action else remedy.cause
    return said.format(
        mailbox=sender.mailbox,
        account=sender.consenting_account,
        tenant=service.tenant,
        client_id=service.client_id,
        secret_name=service.client_secret_name,
        consent_url=consent_url,
    )
