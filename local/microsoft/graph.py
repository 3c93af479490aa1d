"""
Microsoft Graph, as much of it as tells who somebody is: `/v1.0/me`, the photo, and OpenID Connect's userinfo.

A token must have Graph's audience and the delegated permission `User.Read` (`openid` for userinfo), unless
`userinfo_for_any_audience` makes one for Exchange do as well.
"""

import uuid
from datetime import UTC, datetime

from aiohttp import web

from local.microsoft.directory import User
from local.microsoft.entra import Entra
from local.microsoft.scopes import EXCHANGE, GRAPH
from local.microsoft.tokens import Refusal, TokenRefused

#: The sizes in which Graph offers a photo; this one keeps a single picture and gives it for each.
PHOTO_SIZES = frozenset({f"{side}x{side}" for side in (48, 64, 96, 120, 240, 360, 432, 504, 648)})


class GraphError(Exception):
    """Graph's refusal of a request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class Graph:
    """Graph's routes, on the identity provider's listener."""

    def __init__(self, entra: Entra) -> None:
        self.entra = entra

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1.0/me", self._me),
            web.get("/v1.0/me/photo/$value", self._photo),
            web.get("/v1.0/me/photos/{size}/$value", self._photo),
            web.get("/oidc/userinfo", self._userinfo),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        fault = await self.entra.faults.next("graph")
        if fault:
            return self.entra.fail(request, fault)
        try:
            user = self._caller(request, "User.Read")
        except GraphError as error:
            return _refuse(error)
        given, _, family = user.display_name.partition(" ")
        return web.json_response(
            {
                "@odata.context": f"{self.entra.base_url}/v1.0/$metadata#users/$entity",
                "businessPhones": [],
                "displayName": user.display_name,
                "givenName": given,
                "jobTitle": user.job_title,
                "mail": user.upn,
                "mobilePhone": None,
                "officeLocation": None,
                "preferredLanguage": "en-GB",
                "surname": family or None,
                "userPrincipalName": user.upn,
                "id": user.oid,
            }
        )

    async def _photo(self, request: web.Request) -> web.Response:
        fault = await self.entra.faults.next("graph")
        if fault:
            return self.entra.fail(request, fault)
        try:
            photo = self._picture(request)
        except GraphError as error:
            return _refuse(error)
        kind = "image/png" if photo.startswith(b"\x89PNG") else "image/jpeg"
        return web.Response(body=photo, content_type=kind)

    def _picture(self, request: web.Request) -> bytes:
        user = self._caller(request, "User.Read")
        size = request.match_info.get("size", "96x96")
        if size not in PHOTO_SIZES:
            raise GraphError(400, "ErrorInvalidImageSize", f"The size {size} is not supported.")
        if user.photo is None:
            kind = "Microsoft.Fast.Profile.Core.Exception.ImageNotFoundException"
            raise GraphError(404, "ImageNotFound", f"Exception of type '{kind}' was thrown.")
        return user.photo

    async def _userinfo(self, request: web.Request) -> web.Response:
        fault = await self.entra.faults.next("graph")
        if fault:
            return self.entra.fail(request, fault)
        try:
            user, app_id = self._caller_and_app(request, "openid")
        except GraphError as error:
            return _refuse(error)
        given, _, family = user.display_name.partition(" ")
        return web.json_response(
            {
                # The ID token's (OpenID Connect Core §5.3.2).
                "sub": self.entra.tokens.subject(user, app_id),
                "name": user.display_name,
                "family_name": family,
                "given_name": given,
                "picture": f"{self.entra.base_url}/v1.0/me/photo/$value",
                "email": user.upn,
            }
        )

    def _caller(self, request: web.Request, permission: str) -> User:
        return self._caller_and_app(request, permission)[0]

    def _caller_and_app(self, request: web.Request, permission: str) -> tuple[User, str]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
        others = EXCHANGE.uris if self.entra.userinfo_for_any_audience else ()
        try:
            claims = self.entra.tokens.verify_access_token(token, audience=set(GRAPH.uris + others))
        except TokenRefused as refused:
            message = {
                Refusal.AUDIENCE: "Access token validation failure. Invalid audience.",
                Refusal.EXPIRED: "Lifetime validation failed, the token is expired.",
                Refusal.MALFORMED: "IDX14100: JWT is not well formed, there are no dots (.).",
            }.get(refused.reason, "Access token validation failure.")
            raise GraphError(401, "InvalidAuthenticationToken", message) from refused
        # A token for Exchange has no permission of Graph's to show.
        is_foreign = str(claims["aud"]).rstrip("/") in others
        if not is_foreign and permission not in str(claims.get("scp", "")).split():
            message = "Insufficient privileges to complete the operation."
            raise GraphError(403, "Authorization_RequestDenied", message)
        user = self.entra.tenant.user_by_oid(str(claims["oid"]))
        if user is None:
            raise GraphError(404, "Request_ResourceNotFound", f"Resource '{claims['oid']}' does not exist.")
        return user, str(claims["appid"])


def _refuse(error: GraphError) -> web.Response:
    request_id = str(uuid.uuid4())
    headers = {"WWW-Authenticate": 'Bearer realm="", authorization_uri="", client_id=""'}
    return web.json_response(
        {
            "error": {
                "code": error.code,
                "message": error.message,
                "innerError": {
                    "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                    "request-id": request_id,
                    "client-request-id": request_id,
                },
            }
        },
        status=error.status,
        headers=headers if error.status == 401 else {},  # noqa: PLR2004 - HTTP's own
    )
