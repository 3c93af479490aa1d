"""
The identity provider's control endpoint: how it shall misbehave, and what it has counted.

`GET /_control` returns the counters. `POST` takes a JSON object with any of these, and returns the counters
too.

Failures:

- `"fail_next": {"token": {"status": 503, "times": 2, "retry_after": 5}}`: the next calls of an operation
  (`authorize`, `token`, `keys`, `discovery`, `graph`, `managed_identity`, or `any`) fail. 503 and 429 have
  Entra's bodies; `"code": "70008"` answers as that AADSTS code would; `"status": 0` closes the connection
  unanswered; `"html": true` sends an HTML page instead of JSON; `"garbage": "[]"` is the body, word for word,
  and calls itself JSON: with status 200 too, and cut off where it pleases.
- `"html_instead_of_json": 2`: short for that many `token` answers of a gateway's HTML page, 502.
- `"latency_ms": 250`: every answer waits so long; 0 ends it.

Tokens and time:

- `"token_lifetime_seconds": 120`: the life of new access tokens, also a negative one; null for Entra's own.
- `"advance_seconds": 86400`: so much time passes at once at the provider (`clock.py` says for what); again
  adds to it.
- `"shrink_refresh_token": 1`: so many of the next answers to a refresh carry a refresh token cut to its first
  20 characters, which is good for nothing.
- `"omit_refresh_token": 1`: so many of the next answers that should carry a refresh token carry none.
- `"grant_less": 1`: so many of the next answers that would grant SMTP.Send on Exchange lack it, in `scope`
  and in the access token.
- `"wrong_audience": 1`: so many of the next access tokens, of those that are not for Graph, are for Graph.
- `"wrong_tenant": 1`: so many of the next access tokens are of another tenant, by `tid` and `iss`.
- `"revoke_family_on_reuse": true`: a refresh token used twice ends its whole family.
- `"userinfo_for_any_audience": true`: Graph's endpoints take an access token for Exchange as well. A client
  of any OAuth 2 provider has one access token for everything, which a token for one of Microsoft's services
  is not; with this the same provider can play such another one.

People:

- `"revoke": "user@contoso.com"`: the person's refresh tokens are refused, AADSTS50173; or
  `{"upn": …, "code": "70008"}` for another of Entra's reasons.
- `"withdraw_consent": upn`: the consent is gone, AADSTS65001; true: everybody's, the administrator's too.
- `"require_admin_consent": true`: nobody but an administrator may consent. Whoever else signs in goes back to
  the app with `access_denied`, AADSTS90094, and with `consent_required`, AADSTS65001, under `prompt=none`.
- `"block": upn`, `"unblock": upn`: the account cannot sign in, AADSTS50057.
- `"hire": upn`: one more account that can sign in. Its mailbox is made at the mail server's own control.
- `"rename": {"from": upn, "to": upn}`: the same account has another name from now on. So has its mailbox,
  which keeps its rights and settings, until the mail server is put back as it was at the start.
- `"rehire": upn`: the account is deleted and made anew: the same name, another object id. The old one's
  refresh tokens are refused, AADSTS50034.

The app registration:

- `"rotate_client_secret": true`: a new secret takes the place of all others. It comes back as `client_secret`
  and is not put into the vault.
- `"expire_client_secret": true`: the secrets are past their date, AADSTS7000222; false renews them.
- `"register_certificate": {"service": "microsoft", "format": "pem", "days": 365}`: makes a key and a
  self-signed certificate, registers it beside those that are there, and stores the whole in the vault as
  `oauth-{service}-certificate`, as Key Vault keeps a certificate's secret: `pem` or `pfx`, with its date.
  It comes back as `certificate`: `secret`, `thumbprint` (SHA-256), `expires` (Unix seconds).
- `"retire_certificates": true`: no certificate is registered any more, AADSTS700027. It comes before
  `register_certificate`. The vault keeps its secrets.
- `"federated_credential": {"subject": …}`: the federated credential trusts another `issuer`, `subject` or
  `audience` than the user-assigned identity's. What is left out is right; null: all of it.
- `"app_roles": []`: the application permissions that the app has on Exchange; without any its tokens have no
  `roles`, as where role-based access control lets it in.
- `"allow_redirect_uri": uri`: one more redirect URI for the app.

- `"reset": true`: all of the misbehaviour above is over, the clock is right, the federated credential and the
  roles are as at the start, blocked accounts may sign in. Consents, certificates and people stay as they are.
  It comes first.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from local.microsoft import app_control, control
from local.microsoft.aadsts import Aadsts, by_code
from local.microsoft.app_control import AppControl
from local.microsoft.directory import User
from local.microsoft.entra import Entra
from local.microsoft.entra_mischief import Mischief
from local.microsoft.vault_secrets import VaultSecrets

_MISCHIEFS = frozenset(mischief.value for mischief in Mischief)
_INSTRUCTIONS = (
    frozenset(
        {
            "advance_seconds",
            "block",
            "fail_next",
            "hire",
            "html_instead_of_json",
            "latency_ms",
            "rehire",
            "rename",
            "require_admin_consent",
            "reset",
            "revoke",
            "revoke_family_on_reuse",
            "token_lifetime_seconds",
            "unblock",
            "userinfo_for_any_audience",
            "withdraw_consent",
        }
    )
    | _MISCHIEFS
    | app_control.INSTRUCTIONS
)


class EntraControl:
    """
    The control endpoint of one identity provider.

    `vault` gets the certificates; `rename_mailbox` is told the old and the new name of an account.
    """

    def __init__(self, entra: Entra, vault: VaultSecrets, rename_mailbox: Callable[[str, str], None]) -> None:
        self.entra = entra
        self.apps = AppControl(entra, vault)
        self._rename_mailbox = rename_mailbox

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
        self._instruct_tokens(wishes)
        self._instruct_people(wishes)
        return self.apps.instruct(wishes)

    def _instruct_tokens(self, wishes: Mapping[str, Any]) -> None:
        if "advance_seconds" in wishes:
            self.entra.clock.advance(timedelta(seconds=float(wishes["advance_seconds"])))
        if "token_lifetime_seconds" in wishes:
            seconds = wishes["token_lifetime_seconds"]
            self.entra.tokens.lifetime = None if seconds is None else timedelta(seconds=float(seconds))
        if "revoke_family_on_reuse" in wishes:
            self.entra.grants.revoke_family_on_reuse = bool(wishes["revoke_family_on_reuse"])
        if "userinfo_for_any_audience" in wishes:
            self.entra.userinfo_for_any_audience = bool(wishes["userinfo_for_any_audience"])
        for name in wishes.keys() & _MISCHIEFS:
            self.entra.mischiefs.order(Mischief(name), int(wishes[name]))

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
            wish = wishes["withdraw_consent"]
            self.entra.grants.withdraw_consent(None if wish is True else self._person(wish).oid)
        if "require_admin_consent" in wishes:
            self.entra.admin_consent_only = bool(wishes["require_admin_consent"])
        if "rename" in wishes:
            self._rename(wishes["rename"])
        if "rehire" in wishes:
            self.entra.tenant.rehire(str(wishes["rehire"]))
        if "block" in wishes:
            self.entra.blocked.add(self._person(wishes["block"]).oid)
        if "unblock" in wishes:
            self.entra.blocked.discard(self._person(wishes["unblock"]).oid)

    def _rename(self, wish: object) -> None:
        if not isinstance(wish, dict) or wish.keys() != {"from", "to"}:
            raise control.BadInstruction(f"rename: {wish!r} is not from and to")
        old = self._person(wish["from"])
        new = self.entra.tenant.rename(old.upn, str(wish["to"]))
        self._rename_mailbox(old.upn, new.upn)

    def _reset(self) -> None:
        self.entra.faults.call_off()
        self.entra.mischiefs.call_off()
        self.entra.clock.restore()
        self.entra.tokens.lifetime = None
        self.entra.grants.revoke_family_on_reuse = False
        self.entra.userinfo_for_any_audience = False
        self.entra.admin_consent_only = False
        self.entra.blocked.clear()
        self.apps.reset()

    def _person(self, upn: object) -> User:
        user = self.entra.tenant.user(str(upn))
        if user is None:
            raise control.BadInstruction(f"no account {upn!r} in {self.entra.tenant.domain}")
        return user
