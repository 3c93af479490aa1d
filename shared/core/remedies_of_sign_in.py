"""
Remedies for what a provider says of a person: whether they consented, whether they may sign in, for how long.

Sources: MicrosoftDocs, "Microsoft Entra authentication and authorization error codes", "Refresh tokens",
"Admin consent", and what applications have logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.remedy import Remedy, Who

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGN_IN: Final = "sign in as {account} at {consent_url}"
_SIGN_IN_AGAIN: Final = "sign in again as {account} at {consent_url}"
# An application's permission is given in the whole tenant's name; the consent link is for people.
_FOR_THE_APP: Final = "open {admin_consent_url} as an administrator and accept"
_AS_AN_APP: Final = 'let the app send by itself (grant = "app")'
_LOG: Final = "the sign-in log of {account} names the policy"
_FROM_HERE: Final = (
    "a sign-in in a browser may pass where this app's own requests, from its outbound IP addresses, do not"
)

REMEDIES: Final[Mapping[str, Remedy]] = {
    # Consent.
    "consent-missing": Remedy(
        "nobody has consented for {mailbox} yet", Who.ACCOUNT, _SIGN_IN, app_action=_FOR_THE_APP
    ),
    "consent-required": Remedy(
        "the consent for {mailbox} is no longer valid",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=_FOR_THE_APP,
    ),
    "consent-declined": Remedy(
        "the consent for {mailbox} was declined on the provider's page",
        Who.ACCOUNT,
        f"{_SIGN_IN} and accept; where that page asks for an administrator's approval, an administrator "
        "gives it at {admin_consent_url}",
        app_action=_FOR_THE_APP,
    ),
    "admin-consent-required": Remedy(
        "nobody who may has consented to the permissions of the app {client_id}",
        Who.ADMINISTRATOR,
        f"{_FOR_THE_APP}; then {_SIGN_IN}",
        app_action=_FOR_THE_APP,
    ),
    "no-refresh-token": Remedy(
        "the provider gave no refresh token, so mail could be sent for an hour only",
        Who.ADMINISTRATOR,
        "allow offline access (offline_access) for the app {client_id}; then " + _SIGN_IN_AGAIN,
        app_action=_FOR_THE_APP,
    ),
    "other-account": Remedy(
        "another account than {account} signed in",
        Who.ACCOUNT,
        f"{_SIGN_IN}, in a private window of the browser where another account is signed in already",
        app_action=_FOR_THE_APP,
    ),
    # The way from the sign-in page back to the redirect.
    "code-used": Remedy(
        "this sign-in was used before: the page was loaded again, or opened twice",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=_FOR_THE_APP,
    ),
    "sign-in-mixed-up": Remedy(
        "the sign-in that came back is not the one that was begun",
        Who.ACCOUNT,
        f"{_SIGN_IN_AGAIN}, from beginning to end in one window of the browser",
        app_action=_FOR_THE_APP,
    ),
    # What ends a grant.
    "sign-in-revoked": Remedy(
        "the sign-in of {account} was revoked: its password was reset, or its sessions were ended",
        Who.ACCOUNT,
        f"{_SIGN_IN_AGAIN}; where this keeps happening, {_AS_AN_APP}",
        app_action=_FOR_THE_APP,
    ),
    "refresh-token-unused": Remedy(
        "the refresh token of {account} was not used for 90 days",
        Who.ACCOUNT,
        f"{_SIGN_IN_AGAIN}, and see that the function upkeep runs, which uses it every day",
        app_action=_FOR_THE_APP,
    ),
    "refresh-token-expired": Remedy(
        "the refresh token of {account} has expired or was revoked",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=_FOR_THE_APP,
    ),
    "refresh-token-not-valid": Remedy(
        "the stored refresh token of {account} is none that the provider knows: cut off, or another app's",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=_FOR_THE_APP,
    ),
    "sign-in-frequency": Remedy(
        "a Conditional Access policy ends the sign-in of {account} after a time (sign-in frequency)",
        Who.ADMINISTRATOR,
        f"exclude {{account}} or the app {{client_id}} from that policy, or {_AS_AN_APP}; then "
        f"{_SIGN_IN_AGAIN}",
        app_action="exclude the app {client_id} from that policy",
    ),
    "second-factor": Remedy(
        "a second factor is wanted of {account}",
        Who.ACCOUNT,
        f"{_SIGN_IN_AGAIN} and give it; where this keeps happening, exclude {{account}} from that policy, or "
        f"{_AS_AN_APP}",
        app_action="exclude the app {client_id} from that policy",
    ),
    # Who may not sign in at all.
    "sign-in-blocked": Remedy(
        "Conditional Access blocks the sign-in of {account} to the app {client_id}",
        Who.ADMINISTRATOR,
        "exclude {account} or the app {client_id} from that policy, or let its network or device conditions "
        f"pass: {_FROM_HERE}; {_LOG}",
        app_action="exclude the app {client_id} from that policy for workload identities, or add this app's "
        "outbound IP addresses to its trusted locations; the sign-in log of service principals names it",
    ),
    "sign-in-security-defaults": Remedy(
        "security defaults of the tenant block the sign-in of {account}",
        Who.ADMINISTRATOR,
        f"replace security defaults with Conditional Access policies that let {{account}} pass; then "
        f"{_SIGN_IN_AGAIN}",
        app_action="replace security defaults with Conditional Access policies that let {client_id} pass",
    ),
    "account-not-in-tenant": Remedy(
        "the account that signed in is none of the tenant {tenant}",
        Who.ACCOUNT,
        f"{_SIGN_IN}; if that is what you did, correct tenant of [services.{{service}}], or mailbox or "
        "sign_in_as of [senders.{sender}], in mail.toml",
        app_action="correct tenant of [services.{service}] in mail.toml",
    ),
    "account-disabled": Remedy(
        "{account} may not sign in: it is disabled, as the account of every shared mailbox is",
        Who.ADMINISTRATOR,
        "Update-MgUser -UserId {account} -AccountEnabled:$true, or for a shared mailbox set sign_in_as of "
        "[senders.{sender}] in mail.toml to an account that may send as {mailbox}; then sign in as that "
        "account at {consent_url}",
        app_action="Update-MgUser -UserId {account} -AccountEnabled:$true",
    ),
    "account-not-assigned": Remedy(
        "the app {client_id} is for assigned users only, and {account} is none of them",
        Who.ADMINISTRATOR,
        "assign {account} at Enterprise applications > Users and groups, or turn off Assignment required "
        f"under Properties; then {_SIGN_IN}",
        app_action="turn off Assignment required at Enterprise applications > Properties of {client_id}",
    ),
}
