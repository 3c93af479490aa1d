"""
The token endpoint: `POST /{tenant}/oauth2/v2.0/token` (RFC 6749 §3.2).

Three grant types. `authorization_code` and `refresh_token` give a token for one resource, a refresh token if
`offline_access` was asked for, an ID token if `openid` was; `client_credentials` gives an app-only token. How
the client proves itself is settled in `entra_client.py`, what can be wrong with a success in
`entra_mischief.py`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.microsoft import scopes
from local.microsoft.aadsts import Aadsts
from local.microsoft.directory import App, User
from local.microsoft.entra_authorize import client_info
from local.microsoft.entra_client import ClientAuthentication, basic
from local.microsoft.entra_error import EntraError
from local.microsoft.entra_mischief import OTHER_TENANT, SHRUNK_LENGTH, Mischief

if TYPE_CHECKING:
    from local.microsoft.entra import Entra


#: The permission without which no mail goes.
SEND = "SMTP.Send"


class TokenEndpoint:
    """The token endpoint of one identity provider."""

    def __init__(self, entra: "Entra") -> None:
        self.entra = entra
        self._client = ClientAuthentication(entra)

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
        basic_id, basic_secret = basic(request.headers.get("Authorization", ""))
        segment = request.match_info["tenant"]
        client_id = form.get("client_id") or basic_id
        for parameter, value in (("grant_type", form.get("grant_type")), ("client_id", client_id)):
            if not value:
                raise EntraError(Aadsts.MISSING, {"parameter": parameter})
        app = self.entra.app_for(segment, client_id)
        self._client.check(app, form, form.get("client_secret") or basic_secret)
        match form["grant_type"]:
            case "authorization_code":
                return self._by_code(app, form)
            case "refresh_token":
                return self._by_refresh(app, form)
            case "client_credentials":
                return self._for_app(segment, app, form)
            case other:
                raise EntraError(Aadsts.GRANT_TYPE, {"grant_type": other})

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
        document = self._delegated(app, self._user(code.oid), asked, nonce=code.nonce)
        if "offline_access" in asked.openid:
            self._add_refresh(document, code.oid, app, scope=code.scope)
        return document

    def _by_refresh(self, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        if not form.get("refresh_token"):
            raise EntraError(Aadsts.MISSING, {"parameter": "refresh_token"})
        refresh = self.entra.grants.use_refresh(form["refresh_token"], client_id=app.client_id)
        # RFC 6749 §6: without a scope it is that of the grant, and of several resources the first.
        scope = form.get("scope", "")
        asked = scopes.read(scope or refresh.scope, app, self.entra.tenant)
        if scope:
            _one_resource(asked, scope)
        document = self._delegated(
            app, self._user(refresh.oid), scopes.Asked(asked.openid, asked.targets[:1]), nonce=None
        )
        # Whoever holds a refresh token was granted offline access; Entra renews it without being asked.
        self._add_refresh(document, refresh.oid, app, scope=refresh.scope, family=refresh.family)
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
        audience, tenant_id = self._aim(target.uri)
        token, life = self.entra.tokens.app_only(app, audience=audience, roles=roles, tenant_id=tenant_id)
        return {
            "token_type": "Bearer",
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        }

    def _delegated(self, app: App, user: User, asked: scopes.Asked, *, nonce: str | None) -> dict[str, Any]:
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
        if SEND in granted and resource is scopes.EXCHANGE and self.entra.mischiefs.takes(Mischief.LESS):
            granted.discard(SEND)
            wanted -= {SEND}
        named = [f"{audience}/{permission}" for permission in sorted(wanted)]
        if resource is scopes.GRAPH:
            openid = asked.openid - {"offline_access"}
            granted |= openid
            named = sorted(openid) + named
        audience, tenant_id = self._aim(audience)
        token, life = self.entra.tokens.delegated(
            user, app, audience=audience, scopes=granted, tenant_id=tenant_id
        )
        document: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join(named),
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        }
        if "openid" in asked.openid:
            document["id_token"] = self.entra.tokens.id_token(
                user, app, issuer=self.entra.issuer, nonce=nonce
            )
        document["client_info"] = client_info(user, self.entra.tenant.id)
        return document

    def _add_refresh(
        self, document: dict[str, Any], oid: str, app: App, *, scope: str, family: str | None = None
    ) -> None:
        refresh = self.entra.grants.new_refresh(oid, app.client_id, family=family, scope=scope)
        if self.entra.mischiefs.takes(Mischief.NO_REFRESH_TOKEN):
            return
        shrunk = family is not None and self.entra.mischiefs.takes(Mischief.SHRUNK_REFRESH_TOKEN)
        document["refresh_token"] = refresh.value[:SHRUNK_LENGTH] if shrunk else refresh.value

    def _aim(self, audience: str) -> tuple[str, str | None]:
        """Return whom the access token is for and of which other tenant it is: as ordered, or as is right."""
        graph = scopes.GRAPH.uris[0]
        if audience != graph and self.entra.mischiefs.takes(Mischief.AUDIENCE):
            audience = graph
        return audience, OTHER_TENANT if self.entra.mischiefs.takes(Mischief.TENANT) else None

    def _user(self, oid: str) -> User:
        user = self.entra.tenant.user_by_oid(oid)
        if user is None:
            # Entra hides the name from whoever holds no more than a token.
            details = {"upn": "{EUII Hidden}", "domain": self.entra.tenant.display_name}
            raise EntraError(Aadsts.NO_USER, details)
        if not self.entra.may_sign_in(user):
            raise EntraError(Aadsts.DISABLED_USER)
        return user


def _one_resource(asked: scopes.Asked, scope: str) -> None:
    if len(asked.targets) > 1:
        raise EntraError(Aadsts.TWO_RESOURCES, {"scope": scope})
