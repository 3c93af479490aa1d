"""
Services: the OAuth 2 registrations that mail.toml names, and Microsoft's clouds.

One access token is for one resource (Entra, ``AADSTS28000``), so the scopes for mail and for the profile are
kept apart; which they are follows the cloud, and nobody types them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

# OpenID Connect's own scopes and the one for refresh tokens: of no resource, and what a provider grants of
# them it need not repeat.
OF_NO_RESOURCE = frozenset({"openid", "profile", "email", "offline_access"})
# Exchange Online's well-known application id: some tokens name their audience by it.
EXCHANGE_APP_ID = "00000002-0000-0ff1-ce00-000000000000"


class GrantKind(enum.Enum):
    """Whose permission mail is sent with."""

    #: A person's, who consents once.
    DELEGATED = "delegated"
    #: The application's own (client credentials); nobody signs in.
    APP = "app"


class CredentialKind(enum.Enum):
    """What the application proves itself with."""

    #: A client secret in the vault.
    SECRET = "secret"  # noqa: S105 - the kind, not one
    #: A certificate with its key in the vault; a signed assertion goes over the wire.
    CERTIFICATE = "certificate"
    #: The app's managed identity, which the registration trusts (workload identity federation): no secret.
    MANAGED_IDENTITY = "managed_identity"


@dataclass(frozen=True, slots=True)
class Cloud:
    """
    One of Microsoft's clouds: its hosts and scopes.

    Sources: MicrosoftDocs, "National clouds" and "Microsoft Graph national cloud deployments" for sign-in and
    Graph; "Microsoft 365 U.S. Government GCC High/DoD endpoints" and "operated by 21Vianet" for Outlook and
    SMTP; "Configure an application to trust a managed identity" for the audience of an assertion.
    """

    name: str
    login_host: str
    smtp_host: str
    #: Resource of a delegated token for SMTP.
    outlook: str
    #: Resource of an application's token for SMTP; in the public cloud the documents write another host.
    outlook_of_apps: str
    graph: str
    #: Audience of a managed identity's token that stands in for a client secret.
    assertion_audience: str

    @property
    def smtp_scope(self) -> str:
        """What a person grants; a Graph token is refused by SMTP."""
        return f"{self.outlook}/SMTP.Send"

    @property
    def app_scope(self) -> str:
        """What an application asks for: all that it has been given at Outlook."""
        return f"{self.outlook_of_apps}/.default"

    @property
    def profile_scope(self) -> str:
        """What lets the page show the account's picture."""
        return f"{self.graph}/User.Read"

    @property
    def audiences(self) -> frozenset[str]:
        """The audiences that Exchange's SMTP takes, without a slash at their end."""
        return frozenset({self.outlook, self.outlook_of_apps, EXCHANGE_APP_ID})


PUBLIC = Cloud(
    "public",
    login_host="login.microsoftonline.com",
    smtp_host="smtp.office365.com",
    outlook="https://outlook.office.com",
    outlook_of_apps="https://outlook.office365.com",
    graph="https://graph.microsoft.com",
    assertion_audience="api://AzureADTokenExchange",
)
CLOUDS: Mapping[str, Cloud] = {
    "public": PUBLIC,
    "usgov": Cloud(
        "usgov",
        login_host="login.microsoftonline.us",
        smtp_host="smtp.office365.us",
        outlook="https://outlook.office365.us",
        outlook_of_apps="https://outlook.office365.us",
        graph="https://graph.microsoft.us",
        assertion_audience="api://AzureADTokenExchangeUSGov",
    ),
    "dod": Cloud(
        "dod",
        login_host="login.microsoftonline.us",
        smtp_host="outlook-dod.office365.us",
        outlook="https://outlook-dod.office365.us",
        outlook_of_apps="https://outlook-dod.office365.us",
        graph="https://dod-graph.microsoft.us",
        assertion_audience="api://AzureADTokenExchangeUSGov",
    ),
    "china": Cloud(
        "china",
        login_host="login.partner.microsoftonline.cn",
        smtp_host="smtp.partner.outlook.cn",
        outlook="https://partner.outlook.cn",
        outlook_of_apps="https://partner.outlook.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        assertion_audience="api://AzureADTokenExchangeChina",
    ),
}


@dataclass(frozen=True, slots=True)
class Microsoft:
    """
    Entra ID: a tenant in a cloud.

    ``authority_is_known`` is False where mail.toml writes the authority out (an emulator's, a proxy's):
    Microsoft must not be asked whether the host is one of theirs.
    """

    tenant: str
    authority: str
    cloud: Cloud = PUBLIC
    authority_is_known: bool = True


@dataclass(frozen=True, slots=True)
class Custom:
    """
    Any other OAuth 2 provider, by its endpoints.

    ``user_fields`` says where the userinfo endpoint's answer has what we call ``id``, ``email`` and
    ``display_name``; ``client_authentication`` is a method of RFC 7591 §2 (``token_endpoint_auth_method``).
    """

    authorization_endpoint: str
    token_endpoint: str
    login_scopes: tuple[str, ...] = ()
    offline_scopes: tuple[str, ...] = ()
    userinfo_endpoint: str = ""
    userpicture_endpoint: str = ""
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    user_fields: Mapping[str, str] = field(default_factory=dict)
    client_authentication: str = "client_secret_basic"


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of ``[services]`` in mail.toml: an OAuth 2 registration."""

    name: str
    client_id: str
    provider: Microsoft | Custom
    grant: GrantKind = GrantKind.DELEGATED
    credential: CredentialKind = CredentialKind.SECRET

    @property
    def is_app_only(self) -> bool:
        """Whether the application sends by itself, so that nobody consents by signing in."""
        return self.grant is GrantKind.APP

    @property
    def tenant(self) -> str:
        """The tenant, "" for a provider that has none."""
        return self.provider.tenant if isinstance(self.provider, Microsoft) else ""

    @property
    def client_secret_name(self) -> str:
        """Where the vault keeps the client secret."""
        return f"oauth-{self.name}-client-secret"

    @property
    def certificate_name(self) -> str:
        """Where the vault keeps the certificate with its key."""
        return f"oauth-{self.name}-certificate"

    @property
    def credential_name(self) -> str:
        """The vault's secret that this service proves itself with, "" where it needs none."""
        if self.credential is CredentialKind.SECRET:
            keyless = isinstance(self.provider, Custom) and self.provider.client_authentication == "none"
            return "" if keyless else self.client_secret_name
        return self.certificate_name if self.credential is CredentialKind.CERTIFICATE else ""

    @property
    def mail_scopes(self) -> tuple[str, ...]:
        """What must have been granted, or no mail can be sent."""
        if isinstance(self.provider, Microsoft):
            return () if self.is_app_only else (self.provider.cloud.smtp_scope,)
        return tuple(scope for scope in self.provider.offline_scopes if scope not in OF_NO_RESOURCE)

    def admin_consent_url(self, redirect_uri: str) -> str:
        """
        Return where an administrator consents for the whole tenant, "" where there is no such thing.

        Source: MicrosoftDocs, "v2-admin-consent".
        """
        if not isinstance(self.provider, Microsoft):
            return ""
        cloud = self.provider.cloud
        wanted = [cloud.app_scope] if self.is_app_only else [cloud.smtp_scope, cloud.profile_scope]
        query = {"client_id": self.client_id, "redirect_uri": redirect_uri, "scope": " ".join(wanted)}
        return f"{self.provider.authority}/v2.0/adminconsent?{urlencode(query)}"
