"""
What a person sees: the account chooser, the consent page, and the way back to the app.

No script is needed and no password is asked, so a browser and a small client walk the same way:

1. `GET {tenant}/oauth2/v2.0/authorize?…` answers with a page, or with the redirect of step 4 at once: under
   `prompt=none`, or when this browser is signed in already and has nothing left to consent to.
2. The chooser's form posts to `/{tenant}/login`: `ctx` (hidden; which sign-in this is) and `account` (a user
   principal name). Each account is a submit button with that name, and the id `account-{name before the @}`;
   the account of `login_hint` comes first and has the focus. A second form has the same fields with a text
   field `#other-account` and the button `#next`.
3. The consent page's form posts to `/{tenant}/consent`: `ctx`, and `decision` = `accept` or `cancel` (buttons
   `#accept` and `#cancel`). It is left out if all of it was consented to before, unless `prompt=consent`.
   Where only an administrator may consent, another person goes back to the app with AADSTS90094 instead.
4. 302 to the redirect URI with `code`, `state`, `session_state` (and `client_info` if it was asked for), or
   with `error` and `error_description`. Under `response_mode=form_post` a page with a form comes instead,
   which submits itself, or by its button `#continue`.

What is wrong before the redirect URI is known to be the app's own is said on a page and never redirected.
"""

import base64
import json
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from local.microsoft import pages, scopes
from local.microsoft.aadsts import Aadsts
from local.microsoft.directory import App, User
from local.microsoft.entra_error import EntraError
from local.microsoft.grants import Code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from local.microsoft.entra import Entra

#: Names the browser's signed-in accounts, as Entra's own session cookie does.
COOKIE = "LOCALSTSAUTH"
#: RFC 7636 §4.2.
CHALLENGE_LENGTHS = range(43, 129)


@dataclass(frozen=True, slots=True)
class SignIn:
    """An authorization request on its way through the pages."""

    app: App
    tenant_segment: str
    redirect_uri: str
    scope: str
    state: str | None
    nonce: str | None
    prompt: str
    login_hint: str
    response_mode: str
    challenge: str | None
    challenge_method: str
    wants_client_info: bool
    started_at: "datetime"
    user: User | None = None


class Authorize:
    """The pages, for one identity provider."""

    def __init__(self, entra: "Entra") -> None:
        self.entra = entra
        self._sign_ins: dict[str, SignIn] = {}
        self._browsers: dict[str, list[str]] = {}

    async def start(self, request: web.Request) -> web.Response:
        """Answer the authorization request, by GET or POST."""
        fault = await self.entra.faults.next("authorize")
        if fault:
            return self.entra.fail(request, fault)
        parameters = {**request.query, **{k: str(v) for k, v in (await request.post()).items()}}
        try:
            sign_in = self._read(request.match_info["tenant"], parameters)
        except EntraError as error:
            return pages.error_page(error)
        signed_in = self._signed_in(request)
        hinted = next((user for user in signed_in if user.upn == sign_in.login_hint), None)
        known = hinted or (signed_in[0] if len(signed_in) == 1 and not sign_in.login_hint else None)
        try:
            self._check(sign_in, parameters)
            if sign_in.prompt == "none":
                return self._silently(sign_in, known)
        except EntraError as error:
            return _back_with_error(sign_in, error)
        context = self._remember(sign_in)
        if known and sign_in.prompt not in {"select_account", "login"}:
            return self._chosen(context, replace(sign_in, user=known))
        return self._chooser(context, sign_in)

    async def choose(self, request: web.Request) -> web.Response:
        """Take the account that was chosen."""
        form = await request.post()
        context, sign_in = self._find(str(form.get("ctx", "")))
        if sign_in is None:
            return pages.gone_page()
        upn = str(form.get("account", ""))
        user = self.entra.tenant.user(upn)
        if user is None:
            details = {"upn": upn, "domain": self.entra.tenant.display_name}
            return self._chooser(context, sign_in, EntraError(Aadsts.NO_USER, details).sentence)
        if not self.entra.may_sign_in(user):
            return self._chooser(context, sign_in, EntraError(Aadsts.DISABLED_USER).sentence)
        response = self._chosen(context, replace(sign_in, user=user))
        browser = request.cookies.get(COOKIE)
        if browser not in self._browsers:
            browser = secrets.token_urlsafe(24)
        accounts = self._browsers.setdefault(browser, [])
        if user.oid not in accounts:
            accounts.append(user.oid)
        response.set_cookie(COOKIE, browser, path="/", secure=True, httponly=True, samesite="None")
        return response

    async def consent(self, request: web.Request) -> web.Response:
        """Take the answer of the consent page."""
        form = await request.post()
        context, sign_in = self._find(str(form.get("ctx", "")))
        if sign_in is None or sign_in.user is None:
            return pages.gone_page()
        del self._sign_ins[context]
        if form.get("decision") != "accept":
            return _back_with_error(sign_in, EntraError(Aadsts.DECLINED))
        for target in scopes.read(sign_in.scope, sign_in.app, self.entra.tenant).targets:
            self.entra.grants.consent(
                sign_in.user.oid, sign_in.app.client_id, target.resource.app_id, target.permissions
            )
        return self._back_with_code(sign_in, sign_in.user)

    async def sign_out(self, request: web.Request) -> web.Response:
        """Forget which accounts this browser is signed in with."""
        self._browsers.pop(request.cookies.get(COOKIE, ""), None)
        response = pages.page("message.html", title="You signed out of your account", lines=[], code="")
        response.del_cookie(COOKIE, path="/")
        return response

    def _read(self, tenant_segment: str, parameters: "Mapping[str, str]") -> SignIn:
        app = self.entra.app_for(tenant_segment, parameters.get("client_id", ""))
        redirect_uri = parameters.get("redirect_uri", "")
        if redirect_uri not in app.redirect_uris:
            raise EntraError(Aadsts.REDIRECT_UNKNOWN, {"given": redirect_uri, "client_id": app.client_id})
        return SignIn(
            app=app,
            tenant_segment=tenant_segment,
            redirect_uri=redirect_uri,
            scope=parameters.get("scope", ""),
            state=parameters.get("state"),
            nonce=parameters.get("nonce"),
            prompt=parameters.get("prompt", ""),
            login_hint=parameters.get("login_hint", "").strip().lower(),
            response_mode=parameters.get("response_mode", "query"),
            challenge=parameters.get("code_challenge"),
            challenge_method=parameters.get("code_challenge_method", "plain"),
            wants_client_info=parameters.get("client_info") == "1",
            started_at=self.entra.grants.clock(),
        )

    def _check(self, sign_in: SignIn, parameters: "Mapping[str, str]") -> None:
        response_type = parameters.get("response_type")
        if not response_type:
            raise EntraError(Aadsts.MISSING, {"parameter": "response_type"})
        if response_type != "code":
            raise EntraError(Aadsts.RESPONSE_TYPE, {"given": response_type})
        if sign_in.challenge is not None and (
            len(sign_in.challenge) not in CHALLENGE_LENGTHS
            or sign_in.challenge_method not in {"S256", "plain"}
        ):
            raise EntraError(Aadsts.CHALLENGE)
        scopes.read(sign_in.scope, sign_in.app, self.entra.tenant)

    def _signed_in(self, request: web.Request) -> list[User]:
        oids = self._browsers.get(request.cookies.get(COOKIE, ""), [])
        users = [self.entra.tenant.user_by_oid(oid) for oid in oids]
        return [user for user in users if user is not None and self.entra.may_sign_in(user)]

    def _remember(self, sign_in: SignIn) -> str:
        now = self.entra.grants.clock()
        for context in [c for c, s in self._sign_ins.items() if now - s.started_at > pages.SIGN_IN_LIFETIME]:
            del self._sign_ins[context]
        context = secrets.token_urlsafe(24)
        self._sign_ins[context] = sign_in
        return context

    def _find(self, context: str) -> tuple[str, SignIn | None]:
        sign_in = self._sign_ins.get(context)
        if sign_in and self.entra.grants.clock() - sign_in.started_at > pages.SIGN_IN_LIFETIME:
            return context, None
        return context, sign_in

    def _silently(self, sign_in: SignIn, user: User | None) -> web.Response:
        if user is None:
            raise EntraError(Aadsts.NOT_SIGNED_IN)
        if self._wants_consent(sign_in, user):
            details = {"client_id": sign_in.app.client_id, "name": sign_in.app.display_name}
            raise EntraError(Aadsts.NO_CONSENT, details)
        return self._back_with_code(sign_in, user)

    def _chooser(self, context: str, sign_in: SignIn, problem: str = "") -> web.Response:
        people = [user for user in self.entra.tenant.users if self.entra.may_sign_in(user)]
        people.sort(key=lambda user: user.upn != sign_in.login_hint)
        return pages.page(
            "chooser.html",
            status=200,
            action=f"/{sign_in.tenant_segment}/login",
            context=context,
            app=sign_in.app,
            tenant=self.entra.tenant,
            hint=sign_in.login_hint,
            problem=problem,
            accounts=[(user, user.upn.partition("@")[0], pages.data_uri(user.photo)) for user in people],
        )

    def _chosen(self, context: str, sign_in: SignIn) -> web.Response:
        self._sign_ins[context] = sign_in
        user = sign_in.user
        assert user is not None
        if sign_in.prompt != "consent" and not self._wants_consent(sign_in, user):
            del self._sign_ins[context]
            return self._back_with_code(sign_in, user)
        if self.entra.admin_consent_only and not user.is_administrator:
            del self._sign_ins[context]
            details = {"domain": self.entra.tenant.display_name, "name": sign_in.app.display_name}
            return _back_with_error(sign_in, EntraError(Aadsts.NO_ADMIN_CONSENT, details))
        return pages.page(
            "consent.html",
            action=f"/{sign_in.tenant_segment}/consent",
            context=context,
            app=sign_in.app,
            tenant=self.entra.tenant,
            user=user,
            everybody=False,
            photo=pages.data_uri(user.photo),
            permissions=scopes.sentences(scopes.read(sign_in.scope, sign_in.app, self.entra.tenant)),
        )

    def _wants_consent(self, sign_in: SignIn, user: User) -> bool:
        asked = scopes.read(sign_in.scope, sign_in.app, self.entra.tenant)
        return any(
            target.permissions
            - self.entra.grants.consented(user.oid, sign_in.app.client_id, target.resource.app_id)
            for target in asked.targets
        )

    def _back_with_code(self, sign_in: SignIn, user: User) -> web.Response:
        value = self.entra.grants.new_code(
            Code(
                oid=user.oid,
                client_id=sign_in.app.client_id,
                redirect_uri=sign_in.redirect_uri,
                scope=sign_in.scope,
                nonce=sign_in.nonce,
                challenge=sign_in.challenge,
                challenge_method=sign_in.challenge_method,
                issued_at=self.entra.grants.clock(),
            )
        )
        answer = {"code": value}
        if sign_in.wants_client_info:
            answer["client_info"] = client_info(user, self.entra.tenant.id)
        return _back(sign_in, answer | {"session_state": secrets.token_hex(16)})


def client_info(user: User, tenant_id: str) -> str:
    """Return whose token it is, as Entra tells MSAL outside the ID token."""
    document = json.dumps({"uid": user.oid, "utid": tenant_id}).encode()
    return base64.urlsafe_b64encode(document).rstrip(b"=").decode()


def _back(sign_in: SignIn, answer: dict[str, str]) -> web.Response:
    if sign_in.state is not None:
        answer["state"] = sign_in.state
    if sign_in.response_mode == "form_post":
        return pages.page("form_post.html", action=sign_in.redirect_uri, fields=answer, script=True)
    mark = "#" if sign_in.response_mode == "fragment" else "&" if "?" in sign_in.redirect_uri else "?"
    location = f"{sign_in.redirect_uri}{mark}{urlencode(answer)}"
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def _back_with_error(sign_in: SignIn, error: EntraError) -> web.Response:
    # At this endpoint a missing consent has a name of its own (OpenID Connect Core §3.1.2.6).
    name = "consent_required" if error.kind is Aadsts.NO_CONSENT else error.error
    return _back(sign_in, {"error": name, "error_description": error.description})
