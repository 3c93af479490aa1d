"""
App Service's managed-identity endpoint: `GET /msi/token?resource=…&api-version=2019-08-01`.

Plain HTTP on loopback, as on App Service, where only the app's own sandbox reaches it; the header
`X-IDENTITY-HEADER` keeps out requests that the app was tricked into. The app has a system-assigned identity
and one that is user-assigned, named by `client_id`. It misbehaves by the identity provider's control
endpoint, under the operation `managed_identity`.
"""

import hmac
import time
import uuid

from aiohttp import web

from local.microsoft import control, scopes
from local.microsoft.entra import Entra

API_VERSION = "2019-08-01"
#: What a federated credential of an app registration asks a managed identity's token to be for.
FEDERATION_AUDIENCE = "api://AzureADTokenExchange"
#: The same in the clouds for the US government and China, to see an app ask for the wrong one.
FEDERATION_AUDIENCES = frozenset({FEDERATION_AUDIENCE + cloud for cloud in ("", "USGov", "China")})
#: What App Service says, in its own spelling, of an unknown resource and of any trouble behind it.
TOKEN_SERVICE_FAILED = "An unexpected error occured while fetching the AAD Token."

#: Client id and object id of the two identities.
SYSTEM_ASSIGNED = ("30000000-0000-4000-8000-000000000001", "30000000-0000-4000-8000-000000000002")
USER_ASSIGNED = ("30000000-0000-4000-8000-000000000003", "30000000-0000-4000-8000-000000000004")


class IdentityError(Exception):
    """The endpoint's refusal of a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ManagedIdentity:
    """The endpoint, guarded by one header value."""

    def __init__(self, entra: Entra, identity_header: str) -> None:
        self.entra = entra
        self.identity_header = identity_header

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.get("/msi/token", self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        fault = await self.entra.faults.next("managed_identity")
        if fault and fault.status == 0:
            return control.drop(request)
        if fault and fault.garbage is not None:
            return control.garble(fault)
        try:
            document = self._grant(request, fault)
        except IdentityError as error:
            body = {"statusCode": error.status, "message": str(error), "correlationId": str(uuid.uuid4())}
            return web.json_response(body, status=error.status, headers=fault.headers if fault else None)
        return web.json_response(document)

    def _grant(self, request: web.Request, fault: control.Fault | None) -> dict[str, str]:
        if fault:
            raise IdentityError(fault.status, TOKEN_SERVICE_FAILED)
        header = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(header.encode(), self.identity_header.encode()):
            raise IdentityError(401, "Unauthorized: the X-IDENTITY-HEADER is missing or wrong.")
        if request.query.get("api-version") != API_VERSION:
            version = request.query.get("api-version")
            raise IdentityError(400, f"The api-version '{version}' is not supported.")
        resource = request.query.get("resource", "")
        if not resource:
            raise IdentityError(400, "The parameter 'resource' is missing.")
        chosen = [request.query[name] for name in ("client_id", "object_id") if name in request.query]
        identity = SYSTEM_ASSIGNED
        if chosen:
            identity = USER_ASSIGNED
            if chosen[0].lower() not in USER_ASSIGNED:
                raise IdentityError(
                    400,
                    "No User Assigned or Delegated Managed Identity found for specified"
                    " ClientId/ResourceId/PrincipalId.",
                )
        client_id, object_id = identity
        tokens = self.entra.tokens
        if resource.rstrip("/") in FEDERATION_AUDIENCES:
            token, life = tokens.federation(
                client_id=client_id,
                object_id=object_id,
                audience=resource.rstrip("/"),
                issuer=self.entra.issuer,
            )
        elif scopes.resource_at(resource):
            token, life = tokens.managed_identity(client_id=client_id, object_id=object_id, audience=resource)
        else:
            raise IdentityError(500, TOKEN_SERVICE_FAILED)
        return {
            "access_token": token,
            "client_id": client_id,
            "expires_on": str(int(time.time()) + life),
            "resource": resource,
            "token_type": "Bearer",
        }
