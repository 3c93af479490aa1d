"""
Remedies for what Exchange says of an account, its mailbox and what it may send.

Sources: Microsoft's pages on SMTP client submission, on OAuth for IMAP, POP and SMTP, on SMTP with roles for
applications ("SMTP Onboarding to App RBAC"), and on the cmdlets that are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.remedy import AGAIN, Remedy, Who, later

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOON: Final = "it takes effect within the hour"
_SIGN_IN_AGAIN: Final = "sign in again as {account} at {consent_url}"
_SWITCH_ON: Final = "Set-CASMailbox {account} -SmtpClientAuthenticationDisabled $false"
_RESTRICTED: Final = (
    "lift the block at https://security.microsoft.com/restrictedentities, after finding out what was sent"
)
_SUPPORT: Final = "open a case with Microsoft 365 support"
_SERVER: Final = "check smtp.host and smtp.port of this sender in mail.toml"
# The commonest mistake of all is the other object id, which the registration's own page shows.
_OBJECT_ID: Final = "<object id of the enterprise application, not of the app registration>"
_LET_THE_APP_IN: Final = (
    "let the app use the mailbox: give it the application permission SMTP.SendAsApp of Office 365 Exchange "
    f"Online, then New-ServicePrincipal -AppId {{client_id}} -ObjectId {_OBJECT_ID} and "
    "Add-MailboxPermission {mailbox} -User <the same object id> -AccessRights FullAccess; or, with no such "
    'permission at all, New-ManagementRoleAssignment -Role "Application SMTP.SendAsApp" -App {client_id} '
    "-CustomResourceScope <management scope with the mailbox in it>"
)

REMEDIES: Final[Mapping[str, Remedy]] = {
    # The token, as the mail server sees it.
    "token-refused": Remedy(
        "Exchange refused the access token of {account}, and a new one too",
        Who.ADMINISTRATOR,
        f"check that {{account}} has a licensed mailbox and that SMTP AUTH is on for it: {_SWITCH_ON}",
        app_action=f"{_LET_THE_APP_IN}; {_SOON}; SMTP AUTH must be on too: {_SWITCH_ON}",
    ),
    "credentials-incorrect": Remedy(
        "Exchange says the credentials of {account} are incorrect",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=f"{_LET_THE_APP_IN}; {_SOON}",
    ),
    "xoauth2-not-offered": Remedy("the server offers no AUTH XOAUTH2", Who.ADMINISTRATOR, _SERVER),
    "xoauth2-data-refused": Remedy(
        "the server could not use the user and the token of the grant",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action="correct mailbox of [senders.{sender}] in mail.toml: it is what the app signs in with",
    ),
    # Switches at Exchange and Entra.
    "smtp-auth-disabled": Remedy(
        "SMTP AUTH is switched off, which stops OAuth too",
        Who.ADMINISTRATOR,
        f"{_SWITCH_ON}; {_SOON}",
    ),
    "security-defaults": Remedy(
        "security defaults of the tenant forbid SMTP AUTH",
        Who.ADMINISTRATOR,
        f"replace security defaults with Conditional Access policies, then {_SWITCH_ON}",
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
        app_action=f"{_LET_THE_APP_IN}; {_SOON}",
    ),
    "federation-without-https": Remedy(
        "the tenant's federated sign-in service is not on https",
        Who.ADMINISTRATOR,
        "correct its address in the domain's federation settings",
    ),
    "federation-unreachable": later("the tenant's federated sign-in service did not answer"),
    # The mailbox and what it may send.
    "send-as-denied": Remedy(
        "{account} may not send as this From address",
        Who.ADMINISTRATOR,
        f"Add-RecipientPermission {{mailbox}} -Trustee {{account}} -AccessRights SendAs; {_SOON}",
        app_action="Add-RecipientPermission <this From address> -Trustee <object id of the enterprise "
        f"application> -AccessRights SendAs; {_SOON}",
    ),
    "mailbox-full": Remedy(
        "the mailbox {account} is full: every submission leaves a copy in Sent Items",
        Who.ADMINISTRATOR,
        "empty it or give Sent Items a retention policy, or "
        "Set-Mailbox {account} -MessageCopyForSMTPClientSubmissionEnabled $false",
    ),
    "mailbox-logon-failed": later(
        "Exchange could not open the mailbox",
        f"{AGAIN}; if it lasts for hours, {{account}} has no mailbox that works, or lacks a permission on "
        "{mailbox}",
        app_action=f"{AGAIN}; if it lasts for an hour, {_LET_THE_APP_IN}",
    ),
    "outbound-spam": Remedy("Exchange suspects {account} of sending spam", Who.ADMINISTRATOR, _RESTRICTED),
    "sender-blocked": Remedy(
        "{account} is on Microsoft's list of restricted users", Who.ADMINISTRATOR, _RESTRICTED
    ),
    "sender-banned": Remedy("Microsoft has banned {account} from sending", Who.ADMINISTRATOR, _SUPPORT),
    "tenant-blocked": Remedy(
        "the tenant is blocked for suspicious mail",
        Who.ADMINISTRATOR,
        f"find what sent it, then {_SUPPORT}",
    ),
    "tenant-not-trusted-yet": Remedy(
        "Microsoft does not trust this new or trial tenant yet",
        Who.ADMINISTRATOR,
        f"register a domain of your own and wait, or {_SUPPORT}",
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
}
