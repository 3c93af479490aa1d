"""
The identity provider's control endpoint: how it shall misbehave, and what it has counted.

`GET /_control` returns the counters. `POST` takes a JSON object with any of these, and returns the counters
too (and `client_secret` after a rotation):

- `"fail_next": {"token": {"status": 503, "times": 2, "retry_after": 5}}`: the next calls of an operation
  (`authorize`, `token`, `keys`, `discovery`, `graph`, `managed_identity`, or `any`) fail. 503 and 429 have
  Entra's bodies; `"code": "70008"` answers as that AADSTS code would; `"status": 0` closes the connection
  unanswered; `"html": true` sends an HTML page instead of JSON.
- `"html_instead_of_json": 2`: short for that many `token` answers of a gateway's HTML page, 502.
- `"latency_ms": 250`: every answer waits so long; 0 ends it.
- `"token_lifetime_seconds": 120`: the life of new access tokens, also a negative one; null for Entra's own.
- `"revoke": "user@contoso.com"`: the person's refresh tokens are refused, AADSTS50173; or
  `{"upn": …, "code": "70008"}` for another of Entra's reasons.
- `"withdraw_consent": upn`: the consent is gone, AADSTS65001.
- `"block": upn`, `"unblock": upn`: the account cannot sign in, AADSTS50057.
- `"rotate_client_secret": true`: a new secret takes the place of all others.
- `"expire_client_secret": true`: the secrets are past their date, AADSTS7000222; false renews them.
- `"revoke_family_on_reuse": true`: a refresh token used twice ends its whole family.
- `"allow_redirect_uri": uri`: one more redirect URI for the app.
- `"hire": upn`: one more account that can sign in. Its mailbox is made at the mail server's own control.
- `"reset": true`: all of the misbehaviour above is over, blocked accounts may sign in. It comes first.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from local.microsoft import control
from local.microsoft.aadsts import Aadsts, by_code
from local.microsoft.directory import CLIENT_SECRET_LIFETIME, ClientSecret, User
from local.microsoft.entra import Entra

_INSTRUCTIONS = frozenset(
    {
        "allow_redirect_uri",
        "block",
        "expire_client_secret",
        "fail_next",
        "hire",
        "html_instead_of_json",
        "latency_ms",
        "reset",
        "revoke",
        "revoke_family_on_reuse",
        "rotate_client_secret",
        "token_lifetime_seconds",
        "unblock",
        "withdraw_consent",
    }
)


class EntraControl:
    """The control endpoint of one identity provider."""

    def __init__(self, entra: Entra) -> None:
        self.entra = entra

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/_control", self._counters), web.post("/_control", self._control)]

    async def _counters(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.counters())

    def counters(self) -> dict[str, Any]:
        """Return how often each operation was called, and the token endpoint's grant types and refusals."""
        return {
            "calls": dict(self.entra.faults.seen),
            "grant_types": dict(self.entra.grant_types),
            "refusals": {str(code): times for code, times in self.entra.refusals.items()},
        }

    async def _control(self, request: web.Request) -> web.Response:
        try:
            extra = self.instruct(await control.read_instructions(request))
        except (control.BadInstruction, TypeError, ValueError) as error:
            return control.refuse(error)
        return web.json_response(self.counters() | extra)

    def instruct(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is wished; return what the caller must know of it. Raises BadInstruction."""
        unknown = wishes.keys() - _INSTRUCTIONS
        if unknown:
            raise control.BadInstruction(f"no such instruction: {', '.join(sorted(unknown))}")
        if wishes.get("reset"):
            self._reset()
        self.entra.faults.order(wishes.get("fail_next", {}))
        if "html_instead_of_json" in wishes:
            times = int(wishes["html_instead_of_json"])
            self.entra.faults.order({"token": {"status": 502, "html": True, "times": times}})
        if "latency_ms" in wishes:
            self.entra.faults.latency_seconds = float(wishes["latency_ms"]) / 1000
        if "token_lifetime_seconds" in wishes:
            seconds = wishes["token_lifetime_seconds"]
            self.entra.tokens.lifetime = None if seconds is None else timedelta(seconds=float(seconds))
        if "revoke_family_on_reuse" in wishes:
            self.entra.grants.revoke_family_on_reuse = bool(wishes["revoke_family_on_reuse"])
        if "allow_redirect_uri" in wishes:
            for app in self.entra.tenant.apps:
                app.redirect_uris.append(str(wishes["allow_redirect_uri"]))
        self._instruct_people(wishes)
        return self._instruct_secrets(wishes)

    def _instruct_people(self, wishes: Mapping[str, Any]) -> None:
        if "hire" in wishes:
            self.entra.tenant.hire(str(wishes["hire"]))
        if "revoke" in wishes:
            wish = wishes["revoke"]
            upn, code = (
                (wish.get("upn"), str(wish.get("code"))) if isinstance(wish, dict) else (wish, "50173")
            )
            why = by_code(code)
            if why not in {Aadsts.REVOKED, Aadsts.EXPIRED, Aadsts.INACTIVE}:
                raise control.BadInstruction(f"revoke: code {code!r} is none of 50173, 70008, 700082")
            self.entra.grants.end_all(self._person(upn).oid, why)
        if "withdraw_consent" in wishes:
            self.entra.grants.withdraw_consent(self._person(wishes["withdraw_consent"]).oid)
        if "block" in wishes:
            self.entra.blocked.add(self._person(wishes["block"]).oid)
        if "unblock" in wishes:
            self.entra.blocked.discard(self._person(wishes["unblock"]).oid)

    def _instruct_secrets(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        for app in self.entra.tenant.apps:
            if wishes.get("rotate_client_secret"):
                app.secrets[:] = [ClientSecret.fresh()]
                extra["client_secret"] = app.secrets[0].value
            if "expire_client_secret" in wishes:
                now = datetime.now(UTC)
                until = (
                    now - timedelta(days=1)
                    if wishes["expire_client_secret"]
                    else now + CLIENT_SECRET_LIFETIME
                )
                app.secrets[:] = [replace(secret, expires_at=until) for secret in app.secrets]
        return extra

    def _reset(self) -> None:
        self.entra.faults.call_off()
        self.entra.tokens.lifetime = None
        self.entra.grants.revoke_family_on_reuse = False
        self.entra.blocked.clear()
        self._instruct_secrets({"expire_client_secret": False})

    def _person(self, upn: object) -> User:
        user = self.entra.tenant.user(str(upn))
        if user is None:
            raise control.BadInstruction(f"no account {upn!r} in {self.entra.tenant.domain}")
        return user
