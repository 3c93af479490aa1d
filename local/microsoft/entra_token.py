"""
The token endpoint: `POST /{tenant}/oauth2/v2.0/token` (RFC 6749 §3.2).

Three grant types. `authorization_code` and `refresh_token` give a token for one resource, a refresh token if
`offline_access` was asked for, an ID token if `openid` was; `client_credentials` gives an app-only token. The
client proves itself with a client secret, in the body or as HTTP Basic.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from aiohttp import web

from local.microsoft import scopes
from local.microsoft.aadsts import Aadsts, EntraError
from local.microsoft.directory import App, User
from local.microsoft.entra_authorize import client_info

if TYPE_CHECKING:
    from local.microsoft.entra import Entra


class TokenEndpoint:
    """The token endpoint of one identity provider."""

    def __init__(self, entra: "Entra") -> None:
        self.entra = entra

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a token request, with a token or with Entra's error."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.entra.grant_types[form.get("grant_type", "")] += 1
        fault = await self.entra.faults.next("token")
        if fault:
            return self.entra.fail(request, fault)
        headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        try:
            document = self._grant(request, form)
        except EntraError as error:
            error.correlation_id = request.headers.get("client-request-id", error.correlation_id)
            self.entra.refusals[error.kind.value.code] += 1
            return web.json_response(error.document(), status=error.http_status, headers=headers)
        return web.json_response(document, headers=headers)

    def _grant(self, request: web.Request, form: Mapping[str, str]) -> dict[str, Any]:
        basic_id, basic_secret = _basic(request.headers.get("Authorization", ""))
        segment = request.match_info["tenant"]
        client_id = form.get("client_id") or basic_id
        for parameter, value in (("grant_type", form.get("grant_type")), ("client_id", client_id)):
            if not value:
                raise EntraError(Aadsts.MISSING, {"parameter": parameter})
        app = self.entra.app_for(segment, client_id)
        self._authenticate(app, form, form.get("client_secret") or basic_secret)
        match form["grant_type"]:
            case "authorization_code":
                return self._by_code(app, form)
            case "refresh_token":
                return self._by_refresh(app, form)
            case "client_credentials":
                return self._for_app(segment, app, form)
            case other:
                raise EntraError(Aadsts.GRANT_TYPE, {"grant_type": other})

    def _authenticate(self, app: App, form: Mapping[str, str], secret: str) -> None:
        details = {"client_id": app.client_id}
        if form.get("client_assertion"):
            raise EntraError(Aadsts.ASSERTION)
        if not secret:
            raise EntraError(Aadsts.NO_SECRET)
        known = next(
            (one for one in app.secrets if hmac.compare_digest(one.value.encode(), secret.encode())), None
        )
        if known is None:
            raise EntraError(Aadsts.WRONG_SECRET, details)
        if known.expires_at <= self.entra.grants.clock():
            raise EntraError(Aadsts.EXPIRED_SECRET, details)

    def _by_code(self, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        for parameter in ("code", "redirect_uri"):
            if not form.get(parameter):
                raise EntraError(Aadsts.MISSING, {"parameter": parameter})
        # The scope is read first: a request that cannot be meant does not use up the code.
        if form.get("scope"):
            _one_resource(scopes.read(form["scope"], app, self.entra.tenant), form["scope"])
        code = self.entra.grants.redeem(
            form["code"],
            client_id=app.client_id,
            redirect_uri=form["redirect_uri"],
            verifier=form.get("code_verifier"),
        )
        # `openid` and `offline_access` are settled by the authorization request (OpenID Connect Core §3.1.3).
        agreed = scopes.read(code.scope, app, self.entra.tenant)
        if form.get("scope"):
            asked = scopes.read(form["scope"], app, self.entra.tenant)
            asked = scopes.Asked(asked.openid | agreed.openid, asked.targets)
        else:
            asked = scopes.Asked(agreed.openid, agreed.targets[:1])
        family = None
        return self._delegated(app, self._user(code.oid), asked, family=family, nonce=code.nonce)

    def _by_refresh(self, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        if not form.get("refresh_token"):
            raise EntraError(Aadsts.MISSING, {"parameter": "refresh_token"})
        refresh = self.entra.grants.use_refresh(form["refresh_token"], client_id=app.client_id)
        scope = form.get("scope", "")
        asked = scopes.read(scope, app, self.entra.tenant)
        _one_resource(asked, scope)
        user = self._user(refresh.oid)
        # Whoever holds a refresh token was granted offline access; Entra renews it without being asked.
        asked = scopes.Asked(asked.openid | {"offline_access"}, asked.targets)
        document = self._delegated(app, user, asked, family=refresh.family, nonce=None)
        refresh.used = True
        return document

    def _for_app(self, segment: str, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        if segment.lower() in self.entra.shared_segments:
            raise EntraError(Aadsts.NO_TENANT_NAMED)
        scope = form.get("scope", "")
        asked = scopes.read(scope, app, self.entra.tenant)
        _one_resource(asked, scope)
        if not asked.targets or not asked.targets[0].is_default:
            raise EntraError(Aadsts.NOT_DEFAULT, {"scope": scope})
        target = asked.targets[0]
        roles = app.roles if target.resource is scopes.EXCHANGE else ()
        token, life = self.entra.tokens.app_only(app, audience=target.uri, roles=roles)
        return {
            "token_type": "Bearer",
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        }

    def _delegated(
        self, app: App, user: User, asked: scopes.Asked, *, family: str | None, nonce: str | None
    ) -> dict[str, Any]:
        target = asked.targets[0] if asked.targets else None
        # A request for OpenID's scopes alone gets a token for Graph's userinfo.
        resource, audience = (target.resource, target.uri) if target else (scopes.GRAPH, scopes.GRAPH.uris[0])
        consented = self.entra.grants.consented(user.oid, app.client_id, resource.app_id)
        wanted = target.permissions if target else frozenset()
        if target and target.is_default:
            wanted = consented
        if (target and not consented) or wanted - consented:
            raise EntraError(Aadsts.NO_CONSENT, {"client_id": app.client_id, "name": app.display_name})
        # The token carries everything that was consented to on the resource, not only what was asked now.
        granted = set(consented)
        named = [f"{audience}/{permission}" for permission in sorted(wanted)]
        if resource is scopes.GRAPH:
            openid = asked.openid - {"offline_access"}
            granted |= openid
            named = sorted(openid) + named
        token, life = self.entra.tokens.delegated(user, app, audience=audience, scopes=granted)
        document: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join(named),
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        }
        if "offline_access" in asked.openid:
            refresh = self.entra.grants.new_refresh(user.oid, app.client_id, family=family)
            document["refresh_token"] = refresh.value
        if "openid" in asked.openid:
            document["id_token"] = self.entra.tokens.id_token(
                user, app, issuer=self.entra.issuer, nonce=nonce
            )
        document["client_info"] = client_info(user, self.entra.tenant.id)
        return document

    def _user(self, oid: str) -> User:
        user = self.entra.tenant.user_by_oid(oid)
        if user is None or not self.entra.may_sign_in(user):
            raise EntraError(Aadsts.DISABLED_USER)
        return user


def _one_resource(asked: scopes.Asked, scope: str) -> None:
    if len(asked.targets) > 1:
        raise EntraError(Aadsts.TWO_RESOURCES, {"scope": scope})


def _basic(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)  # RFC 6749 §2.3.1: both are form-encoded first
