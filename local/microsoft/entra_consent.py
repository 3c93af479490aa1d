"""
Consent for everybody: what an administrator sees who follows the link that the app gave.

1. `GET /{tenant}/v2.0/adminconsent?client_id&redirect_uri&state&scope` answers with the chooser of
   `entra_authorize.py`, with the administrators only. Its form posts to `/{tenant}/adminconsent/account`.
   An account that is no administrator's leads back to the chooser, which says so.
2. The consent page's form posts to `/{tenant}/adminconsent/decision`: `ctx`, and `decision` = `accept` or
   `cancel` (buttons `#accept` and `#cancel`).
3. 302 to the redirect URI with `admin_consent=True`, `tenant`, `state` and `scope`, or with
   `admin_consent=True`, `error`, `error_description` and `state`.

From then on nobody in the tenant is asked for these permissions again.
"""

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from local.microsoft import pages, scopes
from local.microsoft.aadsts import Aadsts
from local.microsoft.directory import App, User
from local.microsoft.entra_error import EntraError
from local.microsoft.grants import EVERYBODY

if TYPE_CHECKING:
    from datetime import datetime

    from local.microsoft.entra import Entra


@dataclass(frozen=True, slots=True)
class Request:
    """A request for consent on its way through the pages."""

    app: App
    tenant_segment: str
    redirect_uri: str
    scope: str
    state: str | None
    started_at: "datetime"
    user: User | None = None


class AdminConsent:
    """The pages, for one identity provider."""

    def __init__(self, entra: "Entra") -> None:
        self.entra = entra
        self._requests: dict[str, Request] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/{tenant}/v2.0/adminconsent", self._start),
            web.post("/{tenant}/adminconsent/account", self._choose),
            web.post("/{tenant}/adminconsent/decision", self._decide),
        ]

    async def _start(self, http: web.Request) -> web.Response:
        fault = await self.entra.faults.next("authorize")
        if fault:
            return self.entra.fail(http, fault)
        try:
            request = self._read(http)
        except EntraError as error:
            return pages.error_page(error)
        try:
            scopes.read(request.scope, request.app, self.entra.tenant)
        except EntraError as error:
            return _back(request, {"error": error.error, "error_description": error.description})
        return self._chooser(self._remember(request), request)

    async def _choose(self, http: web.Request) -> web.Response:
        form = await http.post()
        context = str(form.get("ctx", ""))
        request = self._find(context)
        if request is None:
            return pages.gone_page()
        user = self.entra.tenant.user(str(form.get("account", "")))
        if user is None or not self.entra.may_sign_in(user) or not user.is_administrator:
            error = EntraError(Aadsts.NO_ADMINISTRATOR, {"name": request.app.display_name})
            return self._chooser(context, request, error.sentence)
        self._requests[context] = replace(request, user=user)
        return pages.page(
            "consent.html",
            action=f"/{request.tenant_segment}/adminconsent/decision",
            context=context,
            app=request.app,
            tenant=self.entra.tenant,
            user=user,
            everybody=True,
            photo=pages.data_uri(user.photo),
            permissions=scopes.sentences(scopes.read(request.scope, request.app, self.entra.tenant)),
        )

    async def _decide(self, http: web.Request) -> web.Response:
        form = await http.post()
        context = str(form.get("ctx", ""))
        request = self._find(context)
        if request is None or request.user is None:
            return pages.gone_page()
        del self._requests[context]
        if form.get("decision") != "accept":
            error = EntraError(Aadsts.DECLINED)
            return _back(request, {"error": error.error, "error_description": error.description})
        for target in scopes.read(request.scope, request.app, self.entra.tenant).targets:
            self.entra.grants.consent(
                EVERYBODY, request.app.client_id, target.resource.app_id, target.permissions
            )
        return _back(request, {"tenant": self.entra.tenant.id, "scope": request.scope})

    def _read(self, http: web.Request) -> Request:
        segment, query = http.match_info["tenant"], http.query
        app = self.entra.app_for(segment, query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        if redirect_uri not in app.redirect_uris:
            raise EntraError(Aadsts.REDIRECT_UNKNOWN, {"given": redirect_uri, "client_id": app.client_id})
        return Request(
            app, segment, redirect_uri, query.get("scope", ""), query.get("state"), self.entra.clock()
        )

    def _chooser(self, context: str, request: Request, problem: str = "") -> web.Response:
        people = [user for user in self.entra.tenant.users if self.entra.may_sign_in(user)]
        return pages.page(
            "chooser.html",
            action=f"/{request.tenant_segment}/adminconsent/account",
            context=context,
            app=request.app,
            tenant=self.entra.tenant,
            hint="",
            problem=problem,
            accounts=[
                (user, user.upn.partition("@")[0], pages.data_uri(user.photo))
                for user in people
                if user.is_administrator
            ],
        )

    def _remember(self, request: Request) -> str:
        for context in [one for one, known in self._requests.items() if self._is_over(known)]:
            del self._requests[context]
        context = secrets.token_urlsafe(24)
        self._requests[context] = request
        return context

    def _find(self, context: str) -> Request | None:
        request = self._requests.get(context)
        return None if request is None or self._is_over(request) else request

    def _is_over(self, request: Request) -> bool:
        return self.entra.clock() - request.started_at > pages.SIGN_IN_LIFETIME


def _back(request: Request, answer: dict[str, str]) -> web.Response:
    answer = {"admin_consent": "True"} | answer
    if request.state is not None:
        answer["state"] = request.state
    mark = "&" if "?" in request.redirect_uri else "?"
    location = f"{request.redirect_uri}{mark}{urlencode(answer)}"
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})
