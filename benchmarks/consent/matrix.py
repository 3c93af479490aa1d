"""
Services of every kind at one provider, each with a sender and a mailbox of its own: the rows of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.microsoft.directory import CLIENT_ID, TENANT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.microsoft.controls import Controls
    from local.ports import Ports

_DOMAIN = "contoso.com"
_SEND = "https://outlook.office.com/SMTP.Send"
_OF_APPS = "https://outlook.office365.com/.default"
#: Another permission than the one to send.
_OTHER_ROLE = "Mail.Read"
_SEND_ROLE = "SMTP.SendAsApp"


@dataclass(frozen=True, slots=True)
class Case:
    """One row; ``name`` is the service's and the sender's."""

    kind: str
    grant: str
    credential: str
    form: str = ""

    @property
    def name(self) -> str:
        """The name in mail.toml and in the vault."""
        return "-".join(filter(None, (self.kind, self.grant, self.credential.replace("_", "-"), self.form)))

    @property
    def title(self) -> str:
        """The name as the table has it."""
        return f"{self.kind:<10}{self.grant:<10}{f'{self.credential} {self.form}':<17}"

    @property
    def mailbox(self) -> str:
        """The mailbox that is sent from."""
        return f"{self.name}@{_DOMAIN}"

    @property
    def is_delegated(self) -> bool:
        """Whether a person consents."""
        return self.grant == "delegated"

    @property
    def remedy_of_credential(self) -> str:
        """What the sender is held for once its credential is good no more."""
        if self.kind == "custom":
            return "credential-broken"  # OAuth has one word for all of it: invalid_client
        return {
            "secret": "client-secret-expired",
            "certificate": "certificate-not-registered",
            "managed_identity": "federated-credential",
        }[self.credential]

    @property
    def remedies_of_revocation(self) -> tuple[str, ...]:
        """What it is held for once the permission is gone."""
        if not self.is_delegated:
            return ("token-refused", "credentials-incorrect")  # no one but Exchange says so
        return ("sign-in-revoked",) if self.kind == "microsoft" else ("consent-required",)

    def mail_toml(self, ports: Ports) -> str:
        """Return the service and its sender."""
        authority = f"https://localhost:{ports.identity}/{TENANT_ID}"
        if self.kind == "microsoft":
            own = f'tenant = "{TENANT_ID}"\nauthority = "{authority}"'
        elif self.is_delegated:
            own = (
                f'authorization_endpoint = "{authority}/oauth2/v2.0/authorize"\n'
                f'token_endpoint = "{authority}/oauth2/v2.0/token"\n'
                f'login_scopes = "openid profile email"\noffline_scopes = "offline_access {_SEND}"\n'
                'user_fields = { email = "preferred_username" }'
            )
        else:
            own = f'token_endpoint = "{authority}/oauth2/v2.0/token"\noffline_scopes = "{_OF_APPS}"'
        return f"""
[services.{self.name}]
type = "{self.kind}"
client_id = "{CLIENT_ID}"
grant = "{self.grant}"
credential = "{self.credential}"
{own}

[senders.{self.name}]
service = "{self.name}"
mailbox = "{self.mailbox}"
smtp = {{ host = "localhost", port = {ports.smtp} }}

[senders.{self.name}.limits]
messages_per_minute = 10_000
connections = 100
"""


#: Every combination that there is.
CASES = (
    *(
        Case("microsoft", grant, credential, form)
        for grant in ("delegated", "app")
        for credential, form in (
            ("secret", ""),
            ("certificate", "pem"),
            ("certificate", "pfx"),
            ("managed_identity", ""),
        )
    ),
    *(
        Case("custom", grant, credential, form)
        for grant in ("delegated", "app")
        for credential, form in (("secret", ""), ("certificate", "pem"))
    ),
)


class Registrations:
    """What an administrator does in Entra, in the vault and in Exchange for all cases at once."""

    def __init__(self, controls: Controls, cases: Iterable[Case]) -> None:
        self._controls = controls
        self._cases = tuple(cases)

    def open_mailboxes(self) -> None:
        """Make the people and the mailboxes, which the application may use too."""
        for case in self._cases:
            self._controls.identity({"hire": case.mailbox})
        self._controls.mail(
            {
                "mailboxes": {case.mailbox: {"owners": [case.mailbox, CLIENT_ID]} for case in self._cases},
                "limits": {"messages_per_minute": 10_000, "connections": 100},
            }
        )

    def new_credentials(self) -> None:
        """Make all credentials anew and put them into the vault; the old ones are refused from now on."""
        changes: dict[str, Any] = {"rotate_client_secret": True, "retire_certificates": True}
        secret = self._controls.identity(changes | {"federated_credential": None})["client_secret"]
        names = [case.name for case in self._cases if case.credential == "secret"]
        self._controls.vault({"set": {f"oauth-{name}-client-secret": secret for name in names}})
        for case in self._cases:
            if case.credential == "certificate":
                self._controls.identity({"register_certificate": {"service": case.name, "format": case.form}})

    def end_credentials(self) -> None:
        """Let every credential end, with nothing new in its place."""
        self._controls.identity(
            {
                "expire_client_secret": True,
                "retire_certificates": True,
                "federated_credential": {"subject": "somebody-else"},
            }
        )

    def revoke(self) -> None:
        """
        Take every permission away: the persons' and the application's.

        What Exchange lets an application do it looks up at AUTH alone, so the sessions that are open end too.
        """
        for case in self._cases:
            if case.is_delegated:
                self._controls.identity({"revoke": case.mailbox})
        self._controls.identity({"app_roles": [_OTHER_ROLE]})
        ends = [
            {"at": "mail", "do": "drop", "mailbox": case.mailbox}
            for case in self._cases
            if not case.is_delegated
        ]
        self._controls.mail({"next": ends})

    def give_role_back(self) -> None:
        """Give the application its permission again."""
        self._controls.identity({"app_roles": [_SEND_ROLE]})
