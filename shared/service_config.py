"""
``[services.<name>]`` of mail.toml: the OAuth 2 registrations, Microsoft's and others'.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.core.service import CLOUDS, CredentialKind, Custom, GrantKind, Microsoft, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.config_tables import TableReader

#: It names secrets in the vault, ``oauth-<service>-client-secret`` and ``grant-<sender>``.
NAME = re.compile(r"[A-Za-z0-9-]{1,80}")
_TENANT = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SHARED = ("type", "client_id", "grant")
_MICROSOFT = (*_SHARED, "tenant", "credential", "cloud", "authority")
_CUSTOM = (
    *_SHARED,
    "credential",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "userpicture_endpoint",
    "login_scopes",
    "offline_scopes",
    "authorize_params",
    "user_fields",
    "client_authentication",
)
_USER_FIELDS = ("id", "email", "display_name")
# The flow's own parameters: whoever could write others could undo what binds a sign-in to its browser.
_OURS = frozenset(
    {
        "client_id",
        "redirect_uri",
        "request",
        "request_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "login_hint",
    }
)


def read_service(reader: TableReader, name: str, table: Any) -> Service | None:
    """Return what ``[services.<name>]`` says, None where something is wrong with it."""
    path = f"services.{name}"
    if not isinstance(table, dict) or not NAME.fullmatch(name):
        reader.wrong(path, "it is not a table whose name has letters, digits and - only")
        return None
    before = reader.count
    kind = reader.text(table, path, "type")
    if kind and kind not in ("microsoft", "custom"):
        reader.wrong(f"{path}.type", f'"{kind}" is not known here; write "microsoft" or "custom"')
    is_custom = kind == "custom"
    reader.only(table, path, _CUSTOM if is_custom else _MICROSOFT)
    grant = GrantKind(reader.choice(table, path, "grant", tuple(each.value for each in GrantKind)))
    client_id = reader.text(table, path, "client_id")
    provider = _custom(reader, path, table, grant) if is_custom else _microsoft(reader, path, table, grant)
    credential = CredentialKind(
        reader.choice(table, path, "credential", tuple(each.value for each in CredentialKind))
    )
    if is_custom and credential is CredentialKind.MANAGED_IDENTITY:
        reader.wrong(
            f"{path}.credential",
            'a managed identity proves itself to Microsoft alone; write "secret" or "certificate"',
        )
    if reader.count > before:
        return None
    return Service(name, client_id, provider, grant, credential)


def _microsoft(reader: TableReader, path: str, table: Mapping[str, Any], grant: GrantKind) -> Microsoft:
    tenant = reader.text(table, path, "tenant")
    if tenant and not _TENANT.fullmatch(tenant):
        reader.wrong(f"{path}.tenant", "it is neither a tenant id nor a domain")
    if grant is GrantKind.APP and tenant.casefold() in ("organizations", "common", "consumers"):
        reader.wrong(
            f"{path}.tenant", 'with grant = "app" it must be one tenant, by its id or a domain of it'
        )
    cloud = CLOUDS[reader.choice(table, path, "cloud", tuple(CLOUDS))]
    authority = reader.https(table, path, "authority", f"https://{cloud.login_host}/{tenant}").rstrip("/")
    return Microsoft(tenant, authority, cloud, authority_is_known="authority" not in table)


def _custom(reader: TableReader, path: str, table: Mapping[str, Any], grant: GrantKind) -> Custom:
    by_hand = grant is GrantKind.DELEGATED
    authorize_params = reader.words(table, path, "authorize_params")
    for key in authorize_params:
        if key in _OURS:
            reader.wrong(f"{path}.authorize_params.{key}", "it is Sendoff's own to fill in; leave it out")
    user_fields = reader.words(table, path, "user_fields")
    reader.only(user_fields, f"{path}.user_fields", _USER_FIELDS)
    methods = ("client_secret_basic", "client_secret_post", *(("none",) if by_hand else ()))
    return Custom(
        # An application that sends by itself sends nobody to sign in.
        authorization_endpoint=reader.https(table, path, "authorization_endpoint", None if by_hand else ""),
        token_endpoint=reader.https(table, path, "token_endpoint"),
        login_scopes=tuple(reader.text(table, path, "login_scopes", "").split()),
        offline_scopes=tuple(reader.text(table, path, "offline_scopes", None if by_hand else "").split()),
        userinfo_endpoint=reader.https(table, path, "userinfo_endpoint", ""),
        userpicture_endpoint=reader.https(table, path, "userpicture_endpoint", ""),
        authorize_params=authorize_params,
        user_fields=user_fields,
        client_authentication=reader.choice(table, path, "client_authentication", methods),
    )
