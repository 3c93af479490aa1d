"""
What the identity provider signs, and how a service of the tenant checks it.

Access tokens for Exchange, Graph and Key Vault are of version 1.0, as those services' registrations ask of
Entra whichever endpoint the token came from: issuer `https://sts.windows.net/{tenant}/`, `appid`, `upn`. ID
tokens, and a managed identity's tokens for a federated credential, are of version 2.0. Everything is RS256.
"""

import enum
import secrets
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from local.microsoft.clock import Clock, machine_time
from local.microsoft.directory import App, Tenant, User

#: Entra gives access tokens a random life in this range; 75 minutes on average.
SHORTEST_LIFE = timedelta(minutes=60)
LONGEST_LIFE = timedelta(minutes=90)
#: Entra dates its tokens back, so that a service whose clock is behind takes them.
BACKDATED = timedelta(minutes=5)
#: App Service hands out day-long tokens for managed identities.
MANAGED_IDENTITY_LIFE = timedelta(hours=24)
#: What a managed identity's token has and no other: the resource that the identity belongs to.
_RESOURCE_CLAIM = "xms_mirid"
_RESOURCE = "/subscriptions/local/resourcegroups/sendoff/providers/Microsoft.Web/sites/sendoff"


class Refusal(enum.Enum):
    """Why a service does not take an access token."""

    #: It is not a JWT, or lacks a claim that every access token has.
    MALFORMED = "malformed"
    #: It was not signed by a key of this tenant's identity provider.
    SIGNATURE = "signature"
    #: It was issued by another tenant.
    ISSUER = "issuer"
    #: It was issued for another service.
    AUDIENCE = "audience"
    #: Its time has passed.
    EXPIRED = "expired"
    #: Its time has not come.
    NOT_YET_VALID = "not yet valid"


class TokenRefused(Exception):  # noqa: N818 - a refusal is an answer here, not a fault of the program
    """An access token was checked and is not good for this service; `reason` says why."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"access token refused ({reason.value}): {detail}")
        self.reason = reason


class Tokens:
    """
    The tenant's signing keys and the claims that are signed with them.

    `lifetime` is None for Entra's random 60 to 90 minutes; tests set a fixed one, also one that is negative.
    `clock` dates the tokens and judges them; those of managed identities have the machine's time.
    """

    def __init__(self, tenant: Tenant, clock: Clock | None = None) -> None:
        self.tenant = tenant
        self.clock = clock or Clock()
        self.lifetime: timedelta | None = None
        self._keys = {uuid.uuid4().hex: rsa.generate_private_key(65537, 2048)}

    @property
    def issuer(self) -> str:
        """The issuer of the access tokens, version 1.0."""
        return f"https://sts.windows.net/{self.tenant.id}/"

    def key_set(self) -> dict[str, list[dict[str, Any]]]:
        """Return the public keys as a JSON Web Key Set (RFC 7517 §5)."""
        algorithm = jwt.algorithms.RSAAlgorithm
        return {
            "keys": [
                algorithm.to_jwk(key.public_key(), as_dict=True)
                | {"use": "sig", "kid": name, "x5t": name, "key_ops": ["verify"]}
                for name, key in self._keys.items()
            ]
        }

    def delegated(
        self, user: User, app: App, *, audience: str, scopes: Collection[str], tenant_id: str | None = None
    ) -> tuple[str, int]:
        """
        Return an access token for an app that acts for a person, and the seconds that it lives.

        `tenant_id` makes it one of another tenant, as if the person had signed in there.
        """
        claims = {
            "acr": "1",
            "amr": ["pwd", "mfa"],
            "app_displayname": app.display_name,
            "appid": app.client_id,
            "appidacr": "1",
            "idtyp": "user",
            "name": user.display_name,
            "oid": user.oid,
            "scp": " ".join(sorted(scopes)),
            "sub": self.subject(user, audience),
            "unique_name": user.upn,
            "upn": user.upn,
        }
        return self._access(audience, claims | self._home(tenant_id), self._life())

    def app_only(
        self, app: App, *, audience: str, roles: Collection[str], tenant_id: str | None = None
    ) -> tuple[str, int]:
        """Return an access token for an app that acts for itself, and the seconds that it lives."""
        claims: dict[str, Any] = {
            "app_displayname": app.display_name,
            "appid": app.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": app.object_id,
            "sub": app.object_id,
        }
        # An app without permissions on the resource gets a token without the claim, and no error.
        claims |= {"roles": sorted(roles)} if roles else {}
        return self._access(audience, claims | self._home(tenant_id), self._life())

    def managed_identity(self, *, client_id: str, object_id: str, audience: str) -> tuple[str, int]:
        """Return an access token for a managed identity, and the seconds that it lives."""
        claims = {
            "appid": client_id,
            "appidacr": "2",
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            _RESOURCE_CLAIM: _RESOURCE,
        }
        return self._access(audience, claims, MANAGED_IDENTITY_LIFE, machine_time())

    def federation(self, *, client_id: str, object_id: str, audience: str, issuer: str) -> tuple[str, int]:
        """Return a managed identity's token that proves an app with a federated credential, and its life."""
        claims = {
            "azp": client_id,
            "azpacr": "2",
            "idtyp": "app",
            "iss": issuer,
            "oid": object_id,
            "sub": object_id,
            "ver": "2.0",
            _RESOURCE_CLAIM: _RESOURCE,
        }
        return self._access(audience, claims, MANAGED_IDENTITY_LIFE, machine_time())

    def id_token(self, user: User, app: App, *, issuer: str, nonce: str | None) -> str:
        """Return an ID token, version 2.0, for the app that asked with this nonce."""
        now = self.clock()
        claims: dict[str, Any] = {
            "aud": app.client_id,
            "exp": now + SHORTEST_LIFE,
            "iat": now - BACKDATED,
            "iss": issuer,
            "name": user.display_name,
            "nbf": now - BACKDATED,
            "oid": user.oid,
            "preferred_username": user.upn,
            "rh": secrets.token_urlsafe(24),
            "sub": self.subject(user, app.client_id),
            "tid": self.tenant.id,
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return self._sign(claims)

    def verify_access_token(self, token: str, *, audience: Collection[str]) -> dict[str, Any]:
        """
        Return the claims of an access token meant for one of these audiences.

        An audience counts with and without a slash at its end. Raises TokenRefused.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.key_of(token),
                algorithms=["RS256"],
                audience=[
                    spelling for name in audience for spelling in (name.rstrip("/"), name.rstrip("/") + "/")
                ],
                issuer=self.issuer,
                # Whether its time is right is said below, by the right clock.
                options={
                    "require": ["aud", "exp", "iss", "nbf", "oid", "tid"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError as error:
            raise TokenRefused(Refusal.AUDIENCE, f"not for {' or '.join(sorted(audience))}") from error
        except jwt.InvalidIssuerError as error:
            raise TokenRefused(Refusal.ISSUER, str(error)) from error
        except jwt.InvalidSignatureError as error:
            raise TokenRefused(Refusal.SIGNATURE, str(error)) from error
        except jwt.InvalidTokenError as error:
            raise TokenRefused(Refusal.MALFORMED, str(error)) from error
        now = (machine_time() if _RESOURCE_CLAIM in claims else self.clock()).timestamp()
        if claims["exp"] <= now:
            raise TokenRefused(Refusal.EXPIRED, "Signature has expired")
        if claims["nbf"] > now:
            raise TokenRefused(Refusal.NOT_YET_VALID, "The token is not yet valid (nbf)")
        return claims

    def key_of(self, token: str) -> rsa.RSAPublicKey:
        """Return the key that a JWT says it was signed with. Raises TokenRefused, or PyJWT's own."""
        name = str(jwt.get_unverified_header(token).get("kid"))
        key = self._keys.get(name)
        if key is None:
            raise TokenRefused(Refusal.SIGNATURE, f"no key {name!r} in this tenant")
        return key.public_key()

    def subject(self, user: User, audience: str) -> str:
        """Return `sub`: it differs from app to app, as Entra's does, so nobody can come to lean on it."""
        return uuid.uuid5(uuid.UUID(user.oid), audience).hex

    def _life(self) -> timedelta:
        if self.lifetime is not None:
            return self.lifetime
        spread = int((LONGEST_LIFE - SHORTEST_LIFE).total_seconds())
        return SHORTEST_LIFE + timedelta(seconds=secrets.randbelow(spread + 1))

    def _access(
        self, audience: str, claims: Mapping[str, Any], life: timedelta, now: datetime | None = None
    ) -> tuple[str, int]:
        now = now or self.clock()
        token = self._sign(
            {
                "aud": audience,
                "exp": now + life,
                "iat": now - BACKDATED,
                "iss": self.issuer,
                "nbf": now - BACKDATED,
                "tid": self.tenant.id,
                "uti": secrets.token_urlsafe(16),
                "ver": "1.0",
                **claims,
            }
        )
        return token, int(life.total_seconds())

    def _home(self, tenant_id: str | None) -> dict[str, str]:
        return {} if tenant_id is None else {"tid": tenant_id, "iss": f"https://sts.windows.net/{tenant_id}/"}

    def _sign(self, claims: Mapping[str, Any]) -> str:
        name, key = next(iter(self._keys.items()))
        return jwt.encode(dict(claims), key, algorithm="RS256", headers={"kid": name, "x5t": name})
