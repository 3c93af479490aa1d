"""
The tenant: people who can sign in, and the app registrations that may ask them for consent.

The records are frozen; what an administrator changes while the stack runs stands in lists: the people of the
`Tenant`, and of an `App` its credentials, roles and allowed redirect URIs.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from local.microsoft import avatar
from local.microsoft.certificates import Certificate
from local.microsoft.clock import machine_time

TENANT_ID = "11111111-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

#: The application permission on Exchange Online to send by SMTP.
SEND_AS_APP = "SMTP.SendAsApp"
#: The portal's longest choice for a new client secret.
CLIENT_SECRET_LIFETIME = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class User:
    """
    One work account.

    `photo` is a PNG or JPEG, or None. An account that cannot sign in (a shared mailbox) is known but blocked.
    `send_as` are other mailboxes that it has the Send As right on. `app_access`: the app, without a person,
    may use the mailbox (`Add-MailboxPermission … FullAccess`). An administrator may consent for everybody.
    """

    oid: str
    upn: str
    display_name: str
    photo: bytes | None = field(default=None, repr=False)
    can_sign_in: bool = True
    job_title: str | None = None
    send_as: frozenset[str] = frozenset()
    app_access: bool = False
    is_administrator: bool = False


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One client secret of an app registration; a registration may have several at once."""

    value: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def fresh(cls, now: datetime, value: str | None = None) -> "ClientSecret":
        """Return a secret that lives as long as the portal allows; its value is random unless given."""
        return cls(value or new_client_secret(), now + CLIENT_SECRET_LIFETIME)


@dataclass(frozen=True, slots=True)
class Federated:
    """A federated identity credential: whose assertion proves the app. All three are case-sensitive."""

    issuer: str
    subject: str
    audience: str


@dataclass(frozen=True, slots=True)
class App:
    """
    One app registration and its enterprise application.

    It proves itself by any of its `secrets`, `certificates` and `federated` credentials. `redirect_uris` are
    matched whole and case-sensitively. `object_id` is the service principal's, which an app-only token
    carries as `oid`. `roles` are the application permissions that an administrator has granted on Exchange
    Online; where it is Exchange's own role-based access control that lets the app in, there are none.
    """

    client_id: str
    display_name: str
    object_id: str
    secrets: list[ClientSecret] = field(default_factory=list, repr=False)
    certificates: list[Certificate] = field(default_factory=list)
    federated: list[Federated] = field(default_factory=list)
    redirect_uris: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: [SEND_AS_APP])
    multi_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Tenant:
    """One Entra tenant. It is addressed by its id, its domain, or its initial `onmicrosoft.com` domain."""

    id: str
    domain: str
    display_name: str
    users: list[User]
    apps: tuple[App, ...]

    @property
    def initial_domain(self) -> str:
        """The domain that every tenant is born with."""
        return f"{self.domain.partition('.')[0]}.onmicrosoft.com"

    def named(self, name: str) -> bool:
        """Tell whether a path segment of a URL means this tenant (never true of `common` and its kin)."""
        return name.lower() in {self.id, self.domain, self.initial_domain}

    def user(self, upn: str) -> User | None:
        """Return the account with this user principal name, which has no case."""
        wanted = upn.strip().lower()
        return next((user for user in self.users if user.upn == wanted), None)

    def hire(self, upn: str) -> User:
        """Make an account that can sign in; ValueError for an address that the tenant cannot give."""
        name, _, domain = upn.strip().lower().partition("@")
        if not name or domain != self.domain or self.user(upn):
            raise ValueError(f"{upn!r} is taken, or no address of {self.domain}")
        user = User(oid=str(uuid.uuid4()), upn=f"{name}@{domain}", display_name=name.title())
        self.users.append(user)
        return user

    def rename(self, upn: str, new: str) -> User:
        """Give an account another name of the tenant; it stays the same account. ValueError as in `hire`."""
        wanted = new.strip().lower()
        name, _, domain = wanted.partition("@")
        if not name or domain != self.domain or self.user(wanted):
            raise ValueError(f"{new!r} is taken, or no address of {self.domain}")
        return self._replace(upn, lambda user: replace(user, upn=wanted))

    def rehire(self, upn: str) -> User:
        """Delete an account and make another of the same name. ValueError for one that is not there."""
        return self._replace(upn, lambda user: replace(user, oid=str(uuid.uuid4())))

    def _replace(self, upn: str, change: Callable[[User], User]) -> User:
        user = self.user(upn)
        if user is None:
            raise ValueError(f"no account {upn!r} in {self.domain}")
        changed = change(user)
        self.users[self.users.index(user)] = changed
        return changed

    def user_by_oid(self, oid: str) -> User | None:
        """Return the account with this object id."""
        return next((user for user in self.users if user.oid == oid), None)

    def app(self, client_id: str) -> App | None:
        """Return the app registration with this client id."""
        return next((app for app in self.apps if app.client_id == client_id.lower()), None)


def new_client_secret() -> str:
    """Return a value shaped like the portal's: three characters, a version mark, and 36 more."""
    return f"{secrets.token_urlsafe(6)[:3]}8Q~{secrets.token_urlsafe(36)[:34]}"


def default_tenant(*, client_secret: str | None = None, redirect_uris: tuple[str, ...] = ()) -> Tenant:
    """
    Return Contoso: four people, a shared mailbox, and the one app registration.

    Each call makes a tenant of its own, with a random client secret unless one is given.
    """
    return Tenant(
        id=TENANT_ID,
        domain="contoso.com",
        display_name="Contoso",
        users=[
            User(
                oid="10000000-0000-4000-8000-000000000001",
                upn="noreply@contoso.com",
                display_name="Contoso Notifications",
                photo=avatar.disc(0x1F, 0x6F, 0x8B),
                job_title="Notifications",
                app_access=True,
            ),
            User(
                oid="10000000-0000-4000-8000-000000000002",
                upn="billing@contoso.com",
                display_name="Contoso Billing",
                photo=avatar.disc(0x8A, 0x4B, 0x7D),
                job_title="Accounts receivable",
                app_access=True,
            ),
            User(
                oid="10000000-0000-4000-8000-000000000003",
                upn="svc-mail@contoso.com",
                display_name="Mail Service",
                send_as=frozenset({"reports@contoso.com"}),
            ),
            User(
                oid="10000000-0000-4000-8000-000000000004",
                upn="admin@contoso.com",
                display_name="Adele Admin",
                job_title="Global administrator",
                is_administrator=True,
            ),
            User(
                oid="10000000-0000-4000-8000-000000000005",
                upn="reports@contoso.com",
                display_name="Contoso Reports",
                can_sign_in=False,
                app_access=True,
            ),
        ],
        apps=(
            App(
                client_id=CLIENT_ID,
                display_name="Sendoff",
                object_id="20000000-0000-4000-8000-000000000001",
                secrets=[ClientSecret.fresh(machine_time(), client_secret)],
                redirect_uris=list(redirect_uris),
            ),
        ),
    )
