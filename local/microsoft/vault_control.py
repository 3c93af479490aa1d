"""
The vault's control endpoint: how it shall misbehave, and what it has counted. It asks for no token.

`GET /_control` returns the calls by operation; of each secret the number of its versions, the latest
version's id and attributes, never a value; and in `versions` the number alone, by name, of the deleted ones
too. `POST` takes a JSON object with any of these, and returns the same:

- `"fail_next": {"get": {"status": 429, "times": 2, "retry_after": 1}}`: the next calls of an operation
  (`get`, `set`, `update`, `list`, `delete`, `deleted`, or `any`) fail with Key Vault's error for 403, 429 or
  5xx; `"status": 0` closes the connection unanswered; `"garbage": "[]"` is the body, word for word. The
  challenge comes first and is not counted.
- `"latency_ms": 100`: every answer waits so long; 0 ends it.
- `"set": {"oauth-microsoft-client-secret": "…"}`: sets secrets, as an administrator would. In place of the
  value there may be the whole document: `value`, `contentType`, `attributes`, `tags`.
- `"expires": {"oauth-microsoft-client-secret": 1893456000}`: when the latest version of a secret ends, in
  Unix seconds; null: it does not.
- `"delete": [name]`, `"recover": [name]`: deletes secrets softly, and brings them back.
- `"purge_protection": true`: a deleted secret cannot be purged, 403; false: it can.
- `"reset": true`: all of the misbehaviour is over, purge protection too. It comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.microsoft import control
from local.microsoft.vault_secrets import VaultError, VaultSecrets

_INSTRUCTIONS = frozenset(
    {"delete", "expires", "fail_next", "latency_ms", "purge_protection", "recover", "reset", "set"}
)
OPERATIONS = frozenset({"get", "set", "update", "list", "delete", "deleted"})


@dataclass(frozen=True, slots=True)
class VaultControl:
    """The control endpoint of one vault."""

    secrets: VaultSecrets
    faults: control.Faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/_control", self._counters), web.post("/_control", self._control)]

    def counters(self) -> dict[str, Any]:
        """Return the calls by operation, and what there is of each secret but its value."""
        return {
            "calls": dict(self.faults.seen),
            "secrets": {
                secret.name: {
                    "versions": len(secret.versions),
                    "latest": secret.latest.id,
                    "attributes": secret.latest.attributes(self.secrets.recovery_level),
                    "content_type": secret.latest.content_type,
                    "tags": secret.latest.tags,
                }
                for secret in self.secrets.all()
            },
            "versions": {
                secret.name: len(secret.versions)
                for secret in (*self.secrets.all(), *self.secrets.all(deleted=True))
            },
        }

    def instruct(self, wishes: Mapping[str, Any]) -> None:
        """Do what the control endpoint was told. Raises BadInstruction."""
        unknown = wishes.keys() - _INSTRUCTIONS
        if unknown:
            raise control.BadInstruction(f"no such instruction: {', '.join(sorted(unknown))}")
        if wishes.get("reset"):
            self.faults.call_off()
            self.secrets.purge_protection = False
        self.faults.order(wishes.get("fail_next", {}))
        if "latency_ms" in wishes:
            self.faults.latency_seconds = float(wishes["latency_ms"]) / 1000
        if "purge_protection" in wishes:
            self.secrets.purge_protection = bool(wishes["purge_protection"])
        try:
            self._change_secrets(wishes)
        except VaultError as error:
            raise control.BadInstruction(str(error)) from error

    def _change_secrets(self, wishes: Mapping[str, Any]) -> None:
        for name in wishes.get("recover", []):
            self.secrets.recover(name)
        for name, value in wishes.get("set", {}).items():
            self.secrets.set(name, value if isinstance(value, dict) else {"value": value})
        for name, when in wishes.get("expires", {}).items():
            self.secrets.expire(name, None if when is None else int(when))
        for name in wishes.get("delete", []):
            self.secrets.delete(name)

    async def _counters(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.counters())

    async def _control(self, request: web.Request) -> web.Response:
        try:
            self.instruct(await control.read_instructions(request))
        except (control.BadInstruction, TypeError, ValueError) as error:
            return control.refuse(error)
        return web.json_response(self.counters())
