"""
Who may talk to the vault.

A request without a token, or with one that is not good, is answered 401 with the challenge that names the
authority and the resource; the client then comes back with a token for `https://vault.azure.net`. Of the
callers only those with a role on the vault may go on: the app's managed identities.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from local.microsoft.tokens import Refusal, TokenRefused, Tokens
from local.microsoft.vault_secrets import VaultError

RESOURCE = "https://vault.azure.net"
API_VERSIONS = frozenset(
    {"2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"}
)


@dataclass(frozen=True, slots=True)
class VaultDoor:
    """
    The check that stands before every request but the control endpoint's.

    `authority` is the tenant's URL at the identity provider; `callers` are the object ids that have a role.
    """

    tokens: Tokens
    authority: str
    callers: frozenset[str]

    @property
    def challenge(self) -> str:
        """What tells a client where to get a token, and for what."""
        return f'Bearer authorization="{self.authority}", resource="{RESOURCE}"'

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a good request through; turn every refusal behind the door into Key Vault's JSON."""
        if request.path == "/_control":
            return await handler(request)
        response: web.StreamResponse
        try:
            self._admit(request)
            response = await handler(request)
        except VaultError as error:
            response = refuse(error)
            if error.status == 401:  # noqa: PLR2004 - HTTP's own
                response.headers["WWW-Authenticate"] = self.challenge
        response.headers["x-ms-request-id"] = str(uuid.uuid4())
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _admit(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            claims = self.tokens.verify_access_token(token, audience={RESOURCE})
        except TokenRefused as refused:
            message = {
                Refusal.AUDIENCE: f"AKV10022: Invalid audience. Expected {RESOURCE}, found another.",
                Refusal.ISSUER: f"AKV10032: Invalid issuer. Expected {self.tokens.issuer}, found another.",
                Refusal.EXPIRED: "AKV10064: The token is expired.",
            }.get(refused.reason, "AKV10001: Unable to validate the token.")
            raise VaultError(401, "Unauthorized", message) from refused
        if claims["oid"] not in self.callers:
            message = (
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny"
                " assignments or role definitions were changed recently, please observe propagation time.\r\n"
                f"Caller: appid={claims.get('appid')};oid={claims['oid']};iss={self.tokens.issuer}"
            )
            raise VaultError(403, "Forbidden", message, "ForbiddenByRbac")
        version = request.query.get("api-version", "")
        if version not in API_VERSIONS:
            raise VaultError(400, "BadParameter", f"The specified version ({version}) is not recognized.")


def refuse(error: VaultError) -> web.Response:
    """Answer with Key Vault's error body."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.inner:
        body["innererror"] = {"code": error.inner}
    return web.json_response({"error": body}, status=error.status)
