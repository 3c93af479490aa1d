"""
Remedies for tokens that came and are of no use, and for those that could not be had just now.

The flaws are those that ``core.token_claims`` finds before a token is shown to the mail server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.remedy import AGAIN, Remedy, Who, later

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGN_IN_AGAIN: Final = "sign in again as {account} at {consent_url}"
_IN_MAIL_TOML: Final = "of [services.{service}] in mail.toml"
_PERMISSIONS: Final = "at App registrations > API permissions of {client_id}"

#: What is wrong with the token itself.
FLAWS: Final[Mapping[str, Remedy]] = {
    "token-audience": Remedy(
        "the access token is not for Outlook, so the mail server would refuse it",
        Who.ADMINISTRATOR,
        f"check cloud {_IN_MAIL_TOML}; then {_SIGN_IN_AGAIN}",
        app_action=f"check cloud {_IN_MAIL_TOML}; report it if that is right",
    ),
    "token-permission": Remedy(
        "the access token does not permit sending by SMTP",
        Who.ADMINISTRATOR,
        f"add the delegated permission SMTP.Send of Microsoft Graph {_PERMISSIONS}; then {_SIGN_IN_AGAIN} "
        "and accept",
        app_action="the token is a person's; give the app the application permission SMTP.SendAsApp of "
        f"Office 365 Exchange Online {_PERMISSIONS}, or the role Application SMTP.SendAsApp at Exchange",
    ),
    "token-expired": Remedy(
        "the access token that came has expired already, by this app's clock",
        Who.SENDOFF,
        f"{AGAIN}; report it if it lasts for an hour",
        retry=True,
    ),
    "token-tenant": Remedy(
        "the access token is of another tenant than the account that consented, or than {tenant}",
        Who.ADMINISTRATOR,
        f"correct tenant {_IN_MAIL_TOML}; then {_SIGN_IN_AGAIN}",
        app_action=f"correct tenant {_IN_MAIL_TOML}",
    ),
    "token-account": Remedy(
        "the access token is another account's or another application's",
        Who.ACCOUNT,
        _SIGN_IN_AGAIN,
        app_action=f"correct client_id {_IN_MAIL_TOML}",
    ),
}

#: What keeps a token away for a while; nothing is wrong with the grant.
DELAYS: Final[Mapping[str, Remedy]] = {
    "token-unavailable": later("an access token could not be had just now"),
    "provider-unavailable": later("the provider's sign-in service is not well just now"),
    "asked-too-often": later("the provider or the vault is asked too often just now"),
    "refresh-token-shrunk": later(
        "the provider's answer held a refresh token that is cut off; the last one is kept",
        f"{AGAIN}; if it lasts, look for a proxy that cuts answers off",
    ),
    "identity-unavailable": later("this app's managed identity gave no token just now"),
    "vault-denied": Remedy(
        "the vault does not let this app in (403)",
        Who.ADMINISTRATOR,
        'az role assignment create --role "Key Vault Secrets Officer" '
        "--assignee-principal-type ServicePrincipal "
        "--assignee-object-id <principal id of this app's identity> "
        "--scope $(az keyvault show --name {vault} --query id --output tsv), "
        "and the vault's firewall must let this app pass",
    ),
    "not-let-in": Remedy(
        "the provider does not let this app in (403)",
        Who.ADMINISTRATOR,
        f"check its endpoints {_IN_MAIL_TOML}, and whether a proxy answers in its place",
    ),
}
