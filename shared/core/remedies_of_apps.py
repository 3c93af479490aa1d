"""
Remedies for what a provider says of the application: its registration, and what it proves itself with.

Sources: MicrosoftDocs, "Microsoft Entra authentication and authorization error codes", "Configure an
application to trust a managed identity", "Redirect URI restrictions"; the Azure CLI's reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.remedy import AGAIN, Remedy, Who

if TYPE_CHECKING:
    from collections.abc import Mapping

_RENEW: Final = (
    "make a new client secret for {client_id} and store its value (not its id) in the vault: "
    "az keyvault secret set --vault-name {vault} --name {secret_name} --value <client secret> "
    "--expires <its end, as YYYY-MM-DDThh:mm:ssZ>"
)
_CERTIFICATE: Final = (
    "az ad app credential reset --id {client_id} --keyvault {vault} --cert {certificate_name} --append"
)
_IN_MAIL_TOML: Final = "of [services.{service}] in mail.toml"
_WEB: Final = "at App registrations > Authentication of {client_id}, under Web"
_PERMISSIONS: Final = "at App registrations > API permissions of {client_id}"
_SIGN_IN: Final = "sign in as {account} at {consent_url}"
_APP_PERMISSION: Final = (
    f"add the application permission SMTP.SendAsApp of Office 365 Exchange Online {_PERMISSIONS}, then open "
    "{admin_consent_url} as an administrator and accept"
)

REMEDIES: Final[Mapping[str, Remedy]] = {
    # What the application proves itself with.
    "credential-broken": Remedy(
        "the provider refuses this application's own credential",
        Who.ADMINISTRATOR,
        f"{_RENEW}; where the service has a certificate or a managed identity instead, check that the app is "
        "registered with it",
    ),
    "client-secret-wrong": Remedy(
        "the client secret in the vault is not one of the app {client_id}; often it is the secret's id",
        Who.ADMINISTRATOR,
        _RENEW,
    ),
    "client-secret-expired": Remedy(
        "the client secret of the app {client_id} has expired",
        Who.ADMINISTRATOR,
        f"{_RENEW}; it is read without a restart",
    ),
    "credential-missing": Remedy(
        "the provider wants a client secret or an assertion of the app {client_id}, and got none",
        Who.ADMINISTRATOR,
        f"check credential {_IN_MAIL_TOML} and that the vault has it; for a secret, {_RENEW}",
    ),
    "credential-not-stored": Remedy(
        "the vault has nothing that the app {client_id} can prove itself with",
        Who.ADMINISTRATOR,
        f"{_RENEW}; for a certificate with its key: az keyvault certificate import --vault-name {{vault}} "
        "--name {certificate_name} --file <file>",
    ),
    "identity-missing": Remedy(
        "this app has no user-assigned managed identity to prove itself with",
        Who.ADMINISTRATOR,
        "az functionapp identity assign --name <function app> --resource-group <its group> --identities "
        "<identity>, and write the client id of that identity in the app setting AZURE_CLIENT_ID, or "
        f"choose another credential {_IN_MAIL_TOML}",
    ),
    "public-client": Remedy(
        "the app {client_id} is registered as a public client, which may have no credential",
        Who.ADMINISTRATOR,
        f"register {{redirect_uri}} {_WEB}, remove it from every other platform there, and turn off Allow "
        "public client flows",
        app_action="turn off Allow public client flows at App registrations > Authentication of {client_id}",
    ),
    "certificate-not-registered": Remedy(
        "the app {client_id} is not registered with the certificate it signs with, or that has expired",
        Who.ADMINISTRATOR,
        f"register the one in the vault: {_CERTIFICATE}",
    ),
    "assertion-not-in-time": Remedy(
        "what the app {client_id} proves itself with is of another time: clocks differ, or it was kept too "
        "long",
        Who.SENDOFF,
        f"{AGAIN}; report it if it lasts for an hour",
        retry=True,
    ),
    "assertion-not-valid": Remedy(
        "what the app {client_id} proves itself with is not for this app, tenant or cloud",
        Who.ADMINISTRATOR,
        f"check client_id, tenant, cloud and credential {_IN_MAIL_TOML}; report it if they are right",
    ),
    "federated-credential": Remedy(
        "no federated credential of the app {client_id} names this app's managed identity",
        Who.ADMINISTRATOR,
        "set it right at App registrations > Certificates & secrets > Federated credentials: issuer "
        "https://{login_host}/<tenant id>/v2.0, subject the principal id of the identity (not its client id: "
        "az identity show --ids <identity> --query principalId), audience {assertion_audience}; capitals "
        "count",
    ),
    "federated-token-of-person": Remedy(
        "a federated credential takes the token of a managed identity alone, and got a person's",
        Who.ADMINISTRATOR,
        "let this app run with its user-assigned managed identity (AZURE_CLIENT_ID), not as a person",
    ),
    # Its registration.
    "app-not-in-tenant": Remedy(
        "the tenant {tenant} has no app {client_id}",
        Who.ADMINISTRATOR,
        f"correct client_id and tenant {_IN_MAIL_TOML}; an app of another tenant must be let in first: open "
        "{admin_consent_url} as an administrator and accept",
    ),
    "app-disabled": Remedy(
        "the app {client_id} is disabled in the tenant {tenant}",
        Who.ADMINISTRATOR,
        "turn on Enabled for users to sign in at Enterprise applications > Properties of {client_id}",
    ),
    "tenant-unknown": Remedy(
        "there is no tenant {tenant} in this cloud",
        Who.ADMINISTRATOR,
        f"correct tenant and cloud {_IN_MAIL_TOML}",
    ),
    "single-tenant": Remedy(
        "the app {client_id} is of a single tenant, and {tenant} names none",
        Who.ADMINISTRATOR,
        f"write the directory id of its own tenant as tenant {_IN_MAIL_TOML}",
    ),
    "redirect-uri-unknown": Remedy(
        "the address that a sign-in comes back to is not registered",
        Who.ADMINISTRATOR,
        f"add {{redirect_uri}}, letter by letter, {_WEB}; then {_SIGN_IN}",
        app_action=f"add {{redirect_uri}}, letter by letter, {_WEB}; then open {{admin_consent_url}} again",
    ),
    "redirect-uri-of-page": Remedy(
        "the redirect URI is registered for a single-page application, whose refresh tokens last a day",
        Who.ADMINISTRATOR,
        f"register {{redirect_uri}} {_WEB}, and remove it under Single-page application; then {_SIGN_IN}",
        app_action=f"register {{redirect_uri}} {_WEB}",
    ),
    "permission-not-registered": Remedy(
        "the app {client_id} does not list the permission that was asked for",
        Who.ADMINISTRATOR,
        f"add the delegated permissions SMTP.Send and User.Read of Microsoft Graph {_PERMISSIONS}; then "
        f"{_SIGN_IN}",
        app_action=_APP_PERMISSION,
    ),
    "exchange-not-in-tenant": Remedy(
        "the tenant {tenant} does not know the service that a token was asked for",
        Who.ADMINISTRATOR,
        f"check that it has Exchange Online, and tenant and cloud {_IN_MAIL_TOML}",
    ),
    "scope-not-valid": Remedy(
        "the provider does not take the permissions (scopes) as they were asked for",
        Who.ADMINISTRATOR,
        f"check cloud, or login_scopes and offline_scopes, {_IN_MAIL_TOML}; report it if they are right",
    ),
    "request-not-understood": Remedy(
        "the provider cannot make sense of the request", Who.SENDOFF, "report this code"
    ),
    "asked-in-a-loop": Remedy(
        "the provider takes this app's requests for a loop, and refuses them for some minutes",
        Who.SENDOFF,
        f"{AGAIN}; report it if it comes again",
        retry=True,
    ),
}

#: What is still well, and will not be.
WARNINGS: Final[Mapping[str, Remedy]] = {
    "credential-expiring": Remedy(
        "what the app {client_id} proves itself with expires soon",
        Who.ADMINISTRATOR,
        f"{_RENEW}; for a certificate, put a new one in the vault and register it: {_CERTIFICATE}; it is "
        "read without a restart",
    ),
}
