"""
The part of the identity provider's control that is about the app registration: see `entra_control.py`.

What it makes for the app it also puts into the vault, as the administrator's script does.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from local.microsoft import control, managed_identity
from local.microsoft.certificates import CONTENT_TYPES, KeyPair
from local.microsoft.directory import CLIENT_SECRET_LIFETIME, SEND_AS_APP, App, ClientSecret, Federated
from local.microsoft.entra import Entra
from local.microsoft.vault_secrets import VaultSecrets

#: The name of a service in `mail.toml`, where the instruction names none.
SERVICE = "microsoft"
CERTIFICATE_DAYS = 365

#: The instructions that it takes.
INSTRUCTIONS = frozenset(
    {
        "allow_redirect_uri",
        "app_roles",
        "expire_client_secret",
        "federated_credential",
        "register_certificate",
        "retire_certificates",
        "rotate_client_secret",
    }
)


class AppControl:
    """What can be done to the app registrations of one identity provider."""

    def __init__(self, entra: Entra, vault: VaultSecrets) -> None:
        self.entra = entra
        self.vault = vault

    def instruct(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is wished; return what the caller must know of it. Raises BadInstruction."""
        extra: dict[str, Any] = {}
        for app in self.entra.tenant.apps:
            if "allow_redirect_uri" in wishes:
                app.redirect_uris.append(str(wishes["allow_redirect_uri"]))
            if "app_roles" in wishes:
                app.roles[:] = _roles(wishes["app_roles"])
            if "federated_credential" in wishes:
                app.federated[:] = [self._federated(wishes["federated_credential"])]
            extra |= self._instruct_secrets(app, wishes)
            if wishes.get("retire_certificates"):
                app.certificates.clear()
            if "register_certificate" in wishes:
                extra["certificate"] = self._register(app, wishes["register_certificate"])
        return extra

    def set_up(self) -> None:
        """Do what the administrator's script does once, after it registered the app."""
        app = self.entra.tenant.apps[0]
        secret = app.secrets[0]
        document = {"value": secret.value, "attributes": {"exp": int(secret.expires_at.timestamp())}}
        self.vault.set(f"oauth-{SERVICE}-client-secret", document)
        app.federated.append(self._federated(None))

    def reset(self) -> None:
        """Make the app registrations good again; certificates and redirect URIs stay."""
        for app in self.entra.tenant.apps:
            app.roles[:] = [SEND_AS_APP]
            app.federated[:] = [self._federated(None)]
        self.instruct({"expire_client_secret": False})

    def _instruct_secrets(self, app: App, wishes: Mapping[str, Any]) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        now = self.entra.clock()
        if wishes.get("rotate_client_secret"):
            app.secrets[:] = [ClientSecret.fresh(now)]
            extra["client_secret"] = app.secrets[0].value
        if "expire_client_secret" in wishes:
            until = (
                now - timedelta(days=1) if wishes["expire_client_secret"] else now + CLIENT_SECRET_LIFETIME
            )
            app.secrets[:] = [replace(secret, expires_at=until) for secret in app.secrets]
        return extra

    def _federated(self, wish: object) -> Federated:
        if not isinstance(wish, dict | None):
            raise control.BadInstruction(f"federated_credential: {wish!r} is not an object")
        right = {
            "issuer": self.entra.issuer,
            "subject": managed_identity.USER_ASSIGNED[1],
            "audience": managed_identity.FEDERATION_AUDIENCE,
        }
        unknown = (wish or {}).keys() - right.keys()
        if unknown:
            raise control.BadInstruction(f"federated_credential: knows no {sorted(unknown)}")
        return Federated(**{name: str(value) for name, value in (right | (wish or {})).items()})

    def _register(self, app: App, wish: object) -> dict[str, Any]:
        if not isinstance(wish, dict) or wish.keys() - {"service", "format", "days"}:
            raise control.BadInstruction(f"register_certificate: {wish!r} is not service, format and days")
        kind = wish.get("format", "pem")
        if kind not in CONTENT_TYPES:
            raise control.BadInstruction(f"register_certificate: {kind!r} is none of {sorted(CONTENT_TYPES)}")
        life = timedelta(days=float(wish.get("days", CERTIFICATE_DAYS)))
        made = KeyPair.make(app.display_name, self.entra.clock(), life)
        public = made.public
        app.certificates.append(public)
        name = f"oauth-{wish.get('service', SERVICE)}-certificate"
        ends = int(public.expires_at.timestamp())
        document = {
            "value": made.secret(kind),
            "contentType": CONTENT_TYPES[kind],
            "attributes": {
                "nbf": int(made.certificate.not_valid_before_utc.timestamp()),
                "exp": ends,
            },
        }
        _, version = self.vault.set(name, document)
        version.is_certificate = True
        return {"secret": name, "thumbprint": public.thumbprint("x5t#S256"), "expires": ends}


def _roles(wish: object) -> list[str]:
    if not isinstance(wish, list) or not all(isinstance(role, str) for role in wish):
        raise control.BadInstruction(f"app_roles: {wish!r} is not a list of names")
    return list(wish)
