"""
The identity provider: Entra ID v2.0 as `https://localhost:{port}`, for one tenant.

Routes, where `{tenant}` is the tenant's id, a domain of it, `organizations` or `common`:

- `GET /{tenant}/v2.0/.well-known/openid-configuration`, `GET /{tenant}/discovery/v2.0/keys`,
  `GET /common/discovery/instance`
- `GET`, `POST /{tenant}/oauth2/v2.0/authorize`, and the forms behind it: see `entra_authorize.py`
- `GET /{tenant}/v2.0/adminconsent`, and the forms behind it: see `entra_consent.py`
- `POST /{tenant}/oauth2/v2.0/token`: see `entra_token.py`
- `GET /{tenant}/oauth2/v2.0/logout`
- Graph, on the same listener: see `graph.py`
- `/_control`: see `entra_control.py`
"""

from collections import Counter

from aiohttp import web

from local.microsoft import control
from local.microsoft.aadsts import Aadsts, by_code
from local.microsoft.directory import App, Tenant, User
from local.microsoft.entra_authorize import Authorize
from local.microsoft.entra_consent import AdminConsent
from local.microsoft.entra_error import EntraError
from local.microsoft.entra_mischief import Mischiefs
from local.microsoft.entra_token import TokenEndpoint
from local.microsoft.grants import Grants
from local.microsoft.tokens import Tokens

OPERATIONS = frozenset({"authorize", "token", "keys", "discovery", "graph", "managed_identity"})


class Entra:
    """
    The provider's state and what its endpoints share.

    `base_url` is without a slash at its end. Everything goes by the clock of `tokens`.
    """

    #: Path segments that name no one tenant.
    shared_segments = frozenset({"common", "organizations"})

    def __init__(self, tenant: Tenant, tokens: Tokens, base_url: str) -> None:
        self.tenant = tenant
        self.tokens = tokens
        self.base_url = base_url
        self.clock = tokens.clock
        self.grants = Grants(self.clock)
        self.faults = control.Faults(OPERATIONS)
        self.grant_types: Counter[str] = Counter()
        self.refusals: Counter[int] = Counter()
        #: Object ids of accounts that an administrator has blocked since the start.
        self.blocked: set[str] = set()
        #: Whether nobody but an administrator may consent.
        self.admin_consent_only = False
        #: Whether Graph says who somebody is to a token for Exchange too.
        self.userinfo_for_any_audience = False
        self.mischiefs = Mischiefs()

    @property
    def issuer(self) -> str:
        """The issuer of ID tokens, version 2.0."""
        return f"{self.base_url}/{self.tenant.id}/v2.0"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of discovery, sign-in and tokens."""
        authorize, token = Authorize(self), TokenEndpoint(self)
        return [
            *AdminConsent(self).routes(),
            web.get("/common/discovery/instance", self._instance),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
            web.get("/{tenant}/discovery/v2.0/keys", self._keys),
            web.get("/{tenant}/oauth2/v2.0/authorize", authorize.start),
            web.post("/{tenant}/oauth2/v2.0/authorize", authorize.start),
            web.post("/{tenant}/login", authorize.choose),
            web.post("/{tenant}/consent", authorize.consent),
            web.get("/{tenant}/oauth2/v2.0/logout", authorize.sign_out),
            web.post("/{tenant}/oauth2/v2.0/token", token.answer),
        ]

    def app_for(self, segment: str, client_id: str) -> App:
        """Return the app that may be used under this path segment. Raises EntraError."""
        shared = segment.lower() in self.shared_segments
        if not shared and not self.tenant.named(segment):
            raise EntraError(Aadsts.NO_TENANT, {"tenant": segment})
        app = self.tenant.app(client_id)
        if app is None:
            details = {"client_id": client_id, "domain": self.tenant.display_name}
            raise EntraError(Aadsts.NO_APP, details)
        if shared and not app.multi_tenant:
            details = {"client_id": app.client_id, "name": app.display_name}
            raise EntraError(Aadsts.SINGLE_TENANT, details)
        return app

    def may_sign_in(self, user: User) -> bool:
        """Tell whether an account is open for sign-in."""
        return user.can_sign_in and user.oid not in self.blocked

    def fail(self, request: web.Request, fault: control.Fault) -> web.Response:
        """Answer with a failure that was ordered."""
        if fault.status == 0:
            return control.drop(request)
        if fault.garbage is not None:
            return control.garble(fault)
        if fault.html:
            text = f"<html><body><h1>{fault.status}</h1><p>Our services aren't available right now</p></html>"
            return web.Response(
                status=fault.status, text=text, content_type="text/html", headers=fault.headers
            )
        kind = by_code(fault.code) if fault.code else None
        if kind is None:
            kind = Aadsts.THROTTLED if fault.status == 429 else Aadsts.TRANSIENT  # noqa: PLR2004 - HTTP's own
        # A sentence's places are filled in with what is known of any request.
        details = _Anything(tenant=self.tenant.id, domain=self.tenant.display_name)
        error = EntraError(kind, details, status=fault.status)
        self.refusals[kind.value.code] += 1
        return web.json_response(error.document(), status=error.http_status, headers=fault.headers)

    async def _discovery(self, request: web.Request) -> web.Response:
        fault = await self.faults.next("discovery")
        if fault:
            return self.fail(request, fault)
        segment = request.match_info["tenant"].lower()
        if segment in self.shared_segments:
            issuer = "{tenantid}"
        elif self.tenant.named(segment):
            issuer = segment = self.tenant.id
        else:
            error = EntraError(Aadsts.NO_TENANT, {"tenant": segment})
            return web.json_response(error.document() | {"error": "invalid_tenant"}, status=400)
        here = f"{self.base_url}/{segment}"
        return web.json_response(
            {
                "token_endpoint": f"{here}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{here}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{self.base_url}/{issuer}/v2.0",
                "request_uri_parameter_supported": False,
                "userinfo_endpoint": f"{self.base_url}/oidc/userinfo",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "http_logout_supported": True,
                "frontchannel_logout_supported": False,
                "end_session_endpoint": f"{here}/oauth2/v2.0/logout",
                "claims_supported": [
                    "sub",
                    "iss",
                    "aud",
                    "exp",
                    "iat",
                    "nonce",
                    "preferred_username",
                    "name",
                    "email",
                    "tid",
                    "ver",
                ],
                "code_challenge_methods_supported": ["plain", "S256"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": "localhost",
                "cloud_graph_host_name": self._host,
                "msgraph_host": self._host,
                "rbac_url": f"{self.base_url}/rbac",
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        fault = await self.faults.next("keys")
        if fault:
            return self.fail(request, fault)
        return web.json_response(self.tokens.key_set())

    async def _instance(self, request: web.Request) -> web.Response:
        asked = request.query.get("authorization_endpoint", "")
        if not asked.startswith(f"{self.base_url}/"):
            body = {
                "error": "invalid_instance",
                "error_description": f"AADSTS50049: Unknown instance: {asked}",
            }
            return web.json_response(body, status=400)
        segment = asked.removeprefix(f"{self.base_url}/").partition("/")[0]
        return web.json_response(
            {
                "tenant_discovery_endpoint": (
                    f"{self.base_url}/{segment}/v2.0/.well-known/openid-configuration"
                ),
                "api-version": "1.1",
                "metadata": [
                    {
                        "preferred_network": self._host,
                        "preferred_cache": self._host,
                        "aliases": [self._host],
                    }
                ],
            }
        )

    @property
    def _host(self) -> str:
        return self.base_url.removeprefix("https://")


class _Anything(dict[str, str]):
    """Details for an error that was ordered without a request behind it."""

    def __missing__(self, name: str) -> str:
        return f"({name})"
