"""
Key Vault's REST API for secrets, as azure-keyvault-secrets 4.12.0 speaks it (api-version 2026-04-01).

Who may come in is settled in `vault_door.py`, what is kept and how in `vault_secrets.py`.

- `PUT /secrets/{name}`, `GET` and `PATCH /secrets/{name}[/{version}]`, `DELETE /secrets/{name}`
- `GET /secrets`, `GET /secrets/{name}/versions`, `GET /deletedsecrets`: pages of 25, with `nextLink`
- `GET` and `DELETE /deletedsecrets/{name}`, `POST /deletedsecrets/{name}/recover`
- `/_control`, without a token: see `vault_control.py`
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from local.microsoft import control
from local.microsoft.tokens import Tokens
from local.microsoft.vault_control import OPERATIONS, VaultControl
from local.microsoft.vault_door import VaultDoor, refuse
from local.microsoft.vault_secrets import Secret, VaultError, VaultSecrets, Version, purge_date

#: The most, and the usual number, that a page of a list holds.
PAGE = 25

_BY_STATUS = {
    403: ("Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac"),
    429: (
        "Throttled",
        (
            "Request was not processed because too many requests were received."
            " Reason: VaultRequestTypeLimitReached"
        ),
        None,
    ),
}


class KeyVault:
    """
    One vault at `base_url`, which is without a slash at its end.

    `authority` is the tenant's URL at the identity provider; `callers` are the object ids that have a role.
    """

    def __init__(self, tokens: Tokens, base_url: str, *, authority: str, callers: Collection[str]) -> None:
        self.base_url = base_url
        self.door = VaultDoor(tokens, authority=authority, callers=frozenset(callers))
        self.secrets = VaultSecrets()
        self.faults = control.Faults(OPERATIONS)

    def application(self) -> web.Application:
        """Return the web application of the vault."""
        app = web.Application(middlewares=[self.door.guard])
        app.add_routes(
            [
                *VaultControl(self.secrets, self.faults).routes(),
                web.get("/secrets", self._list),
                web.put("/secrets/{name}", self._set),
                web.delete("/secrets/{name}", self._delete),
                web.get("/secrets/{name}", self._get),
                web.get("/secrets/{name}/", self._get),
                web.get("/secrets/{name}/versions", self._list_versions),
                web.get("/secrets/{name}/{version}", self._get),
                web.patch("/secrets/{name}", self._update),
                web.patch("/secrets/{name}/", self._update),
                web.patch("/secrets/{name}/{version}", self._update),
                web.get("/deletedsecrets", self._list_deleted),
                web.get("/deletedsecrets/{name}", self._get_deleted),
                web.delete("/deletedsecrets/{name}", self._purge),
                web.post("/deletedsecrets/{name}/recover", self._recover),
            ]
        )
        return app

    async def _fault(self, request: web.Request, operation: str) -> web.Response | None:
        fault = await self.faults.next(operation)
        if fault is None:
            return None
        if fault.status == 0:
            return control.drop(request)
        if fault.garbage is not None:
            return control.garble(fault)
        code, message, inner = _BY_STATUS.get(
            fault.status, ("InternalServerError", "The service could not answer. Please try again.", None)
        )
        response = refuse(VaultError(fault.status, fault.code or code, message, inner))
        response.headers.update(fault.headers)
        return response

    async def _set(self, request: web.Request) -> web.Response:
        document = await _document(request)
        return await self._fault(request, "set") or web.json_response(
            self._bundle(*self.secrets.set(request.match_info["name"], document))
        )

    async def _get(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info.get("version")
        return await self._fault(request, "get") or web.json_response(
            self._bundle(*self.secrets.get(name, version))
        )

    async def _update(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info.get("version")
        document = await _document(request)
        if failed := await self._fault(request, "update"):
            return failed
        bundle = self._bundle(*self.secrets.update(name, version, document))
        del bundle["value"]
        return web.json_response(bundle)

    async def _list(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "list"):
            return failed
        items = [self._item(secret, secret.latest) for secret in self.secrets.all()]
        return self._page(request, items)

    async def _list_versions(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "list"):
            return failed
        secret, _ = self.secrets.find(request.match_info["name"])
        items = [self._item(secret, version, with_version=True) for version in secret.versions]
        return self._page(request, items)

    async def _delete(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "delete"):
            return failed
        return web.json_response(self._deleted(self.secrets.delete(request.match_info["name"])))

    async def _list_deleted(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "deleted"):
            return failed
        items = [
            self._item(secret, secret.latest) | self._tombstone(secret)
            for secret in self.secrets.all(deleted=True)
        ]
        return self._page(request, items)

    async def _get_deleted(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "deleted"):
            return failed
        return web.json_response(self._deleted(self.secrets.deleted(request.match_info["name"])))

    async def _recover(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "deleted"):
            return failed
        secret = self.secrets.recover(request.match_info["name"])
        bundle = self._bundle(secret, secret.latest)
        del bundle["value"]
        return web.json_response(bundle)

    async def _purge(self, request: web.Request) -> web.Response:
        if failed := await self._fault(request, "deleted"):
            return failed
        self.secrets.purge(request.match_info["name"])
        return web.Response(status=204)

    def _bundle(self, secret: Secret, version: Version) -> dict[str, Any]:
        return {"value": version.value, **self._item(secret, version, with_version=True)}

    def _item(self, secret: Secret, version: Version, *, with_version: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = {
            "id": f"{self.base_url}/secrets/{secret.name}" + (f"/{version.id}" if with_version else ""),
            "attributes": version.attributes(self.secrets.recovery_level),
            "tags": version.tags,
        }
        if version.is_certificate:
            document["managed"] = True
            if with_version:
                document["kid"] = f"{self.base_url}/keys/{secret.name}/{version.id}"
        if version.content_type is not None:
            document["contentType"] = version.content_type
        return document

    def _deleted(self, secret: Secret) -> dict[str, Any]:
        return self._item(secret, secret.latest, with_version=True) | self._tombstone(secret)

    def _tombstone(self, secret: Secret) -> dict[str, Any]:
        assert secret.deleted_at is not None
        return {
            "recoveryId": f"{self.base_url}/deletedsecrets/{secret.name}",
            "deletedDate": int(secret.deleted_at.timestamp()),
            "scheduledPurgeDate": int(purge_date(secret).timestamp()),
        }

    def _page(self, request: web.Request, items: Sequence[Mapping[str, Any]]) -> web.Response:
        try:
            size = int(request.query.get("maxresults", PAGE))
            start = int(base64.urlsafe_b64decode(request.query.get("$skiptoken", "MA==")))
        except (ValueError, binascii.Error) as error:
            raise VaultError(400, "BadParameter", "maxresults or $skiptoken is not valid.") from error
        if not 1 <= size <= PAGE:
            raise VaultError(400, "BadParameter", f"maxresults is not between 1 and {PAGE}.")
        end = start + size
        link = None
        if end < len(items):
            token = base64.urlsafe_b64encode(str(end).encode()).decode()
            query = {
                "api-version": request.query["api-version"],
                "$skiptoken": token,
                "maxresults": str(size),
            }
            link = f"{self.base_url}{request.path}?{urlencode(query)}"
        return web.json_response({"value": list(items[start:end]), "nextLink": link})


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = await request.json()
    except ValueError as error:
        raise VaultError(400, "BadParameter", "The request body is not JSON.") from error
    if not isinstance(document, dict):
        raise VaultError(400, "BadParameter", "The request body is not a JSON object.")
    return document
