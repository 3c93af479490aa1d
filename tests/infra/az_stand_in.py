"""
What the Azure CLI does, as far as infra/app-registration.sh can tell: Entra and the vault, in a file.

Run by the real CLI's own Python, so that queries and the tsv form are the real ones: ``STATE`` names the JSON
file with what there is, ``LOG`` the file that takes down every command line. Where a secret is handed over it
looks through the machine's processes for whoever shows it.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jmespath  # type: ignore[import-not-found,import-untyped,unused-ignore]  # in the CLI's own environment
from knack.output import format_tsv  # type: ignore[import-not-found,unused-ignore]  # as above
from knack.util import CommandResultItem  # type: ignore[import-not-found,unused-ignore]  # as above

STATE = Path(os.environ["AZ_STAND_IN_STATE"])
LOG = Path(os.environ["AZ_STAND_IN_LOG"])


class RefusedError(Exception):
    """The service said no."""


def main(argv: list[str]) -> int:
    with LOG.open("a") as log:
        log.write(json.dumps(argv) + "\n")
    state = json.loads(STATE.read_text())
    first = next((at for at, word in enumerate(argv) if word.startswith("--")), len(argv))
    command, options = " ".join(argv[:first]), read(argv[first:])
    if command in state.get("refuses", []):
        sys.stderr.write(f"ERROR: {command}: (Forbidden)\n")
        return 1
    try:
        result = COMMANDS[command](state, options)
    except RefusedError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return 3
    STATE.write_text(json.dumps(state, indent=1))
    if options.get("--output") == ["none"]:
        return 0
    if "--query" in options:
        result = jmespath.search(options["--query"][0], result)
    if result is not None:
        sys.stdout.write(format_tsv(CommandResultItem(result)))
    return 0


def read(words: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    current: list[str] = []
    for word in words:
        if word.startswith("--"):
            current = options.setdefault(word, [])
        else:
            current.append(word)
    return options


def app(state: dict[str, Any], options: dict[str, list[str]]) -> dict[str, Any]:
    (wanted,) = options["--id"]
    for each in state["apps"]:
        if each["appId"] == wanted:
            found: dict[str, Any] = each
            return found
    raise RefusedError(f"Resource '{wanted}' does not exist")


def app_list(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    (wanted,) = options["--filter"]
    return [each for each in state["apps"] if wanted == f"displayName eq '{each['displayName']}'"]


def app_create(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    made = {
        "appId": str(uuid.uuid4()),
        "id": str(uuid.uuid4()),
        "displayName": options["--display-name"][0],
        "signInAudience": "AzureADMyOrg",
        "isFallbackPublicClient": None,
        "web": {
            "redirectUris": [],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
        },
        "spa": {"redirectUris": []},
        "publicClient": {"redirectUris": []},
        "requiredResourceAccess": json.loads(options["--required-resource-accesses"][0]),
        "passwords": [],
        "keys": [],
        "federated": [],
    }
    state["apps"].append(made)
    app_update(state, {**options, "--id": [str(made["appId"])]})
    return made


def app_update(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    if "--sign-in-audience" in options:
        it["signInAudience"] = options["--sign-in-audience"][0]
    if "--web-redirect-uris" in options:
        it["web"]["redirectUris"] = options["--web-redirect-uris"]
    if "--is-fallback-public-client" in options:
        it["isFallbackPublicClient"] = options["--is-fallback-public-client"][0] == "true"
    for option, key in (
        ("--enable-access-token-issuance", "enableAccessTokenIssuance"),
        ("--enable-id-token-issuance", "enableIdTokenIssuance"),
    ):
        if option in options:
            it["web"]["implicitGrantSettings"][key] = options[option][0] == "true"


def permission_add(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    (api,) = options["--api"]
    entry = next((each for each in it["requiredResourceAccess"] if each["resourceAppId"] == api), None)
    if entry is None:
        entry = {"resourceAppId": api, "resourceAccess": []}
        it["requiredResourceAccess"].append(entry)
    for permission in options["--api-permissions"]:
        identifier, _, kind = permission.partition("=")
        entry["resourceAccess"].append({"id": identifier, "type": kind})


def federated_update(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    (name,) = options["--federated-credential-id"]
    kept = [each for each in it["federated"] if each["name"] != name]
    it["federated"] = [*kept, json.loads(options["--parameters"][0])]


def federated_create(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    app(state, options)["federated"].append(json.loads(options["--parameters"][0]))


def credential_list(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    shown = it["keys"] if "--cert" in options else it["passwords"]
    return [{key: value for key, value in each.items() if key != "secretText"} for each in shown]


def credential_reset(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    if "--append" not in options:
        it["passwords"], it["keys"] = [], []
    if "--cert" in options:
        vault, name = options["--keyvault"][0], options["--cert"][0]
        found = state["vaults"][vault]["certificates"][name]
        it["keys"].append({"customKeyIdentifier": found["x509ThumbprintHex"], "keyId": str(uuid.uuid4())})
        return {"appId": it["appId"], "tenant": state["tenant"]}
    made = {
        "displayName": options["--display-name"][0],
        "endDateTime": options["--end-date"][0],
        "keyId": str(uuid.uuid4()),
        "secretText": f"S3cr~t-{uuid.uuid4().hex}",
    }
    it["passwords"].append(made)
    return {"appId": it["appId"], "password": made["secretText"], "tenant": state["tenant"]}


def credential_delete(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    it = app(state, options)
    it["passwords"] = [each for each in it["passwords"] if each["keyId"] != options["--key-id"][0]]


def sp_list(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    return [each for each in state["principals"] if options["--filter"] == [f"appId eq '{each['appId']}'"]]


def sp_create(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    made = {"id": str(uuid.uuid4()), "appId": app(state, options)["appId"]}
    state["principals"].append(made)
    return made


def vault_of(state: dict[str, Any], options: dict[str, list[str]]) -> dict[str, Any]:
    (name,) = options["--vault-name"]
    if name not in state["vaults"]:
        raise RefusedError(f"{name}: name or service not known")
    found: dict[str, Any] = state["vaults"][name]
    return found


def secret_list(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    secrets = vault_of(state, options)["secrets"].items()
    return [{"name": name, **{key: it[key] for key in ("attributes", "tags")}} for name, it in secrets]


def secret_set(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    value = Path(options["--file"][0]).read_text()
    if not value:
        raise RefusedError("the value is empty")
    if seen := who_shows(value):
        raise RefusedError(f"the secret can be seen: {seen}")
    vault_of(state, options)["secrets"][options["--name"][0]] = {
        "value": value,
        "contentType": options["--content-type"][0],
        "attributes": {"enabled": True, "expires": options["--expires"][0].replace("Z", "+00:00")},
        "tags": dict(tag.split("=", 1) for tag in options["--tags"]),
    }
    return {"value": value}


def who_shows(secret: str) -> list[str]:
    """Give the processes in whose arguments or environment a secret stands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if secret.encode() in (process / name).read_bytes():
                    found.append(f"{process / name}")
            except OSError:  # another's, or gone
                continue
    return found


def certificate_list(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    return [{"name": name} for name in vault_of(state, options)["certificates"]]


def certificate_create(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    months = json.loads(options["--policy"][0])["x509CertificateProperties"]["validityInMonths"]
    vault_of(state, options)["certificates"][options["--name"][0]] = {
        "x509ThumbprintHex": uuid.uuid4().hex.upper(),
        "attributes": {"expires": (datetime.now(UTC) + timedelta(days=30 * months)).isoformat()},
    }


def certificate_show(state: dict[str, Any], options: dict[str, list[str]]) -> Any:
    return vault_of(state, options)["certificates"][options["--name"][0]]


COMMANDS = {
    "account show": lambda state, _: {"tenantId": state["tenant"]},
    "cloud show": lambda state, _: {"name": state["cloud"]},
    "ad app list": app_list,
    "ad app create": app_create,
    "ad app show": app,
    "ad app update": app_update,
    "ad app permission add": permission_add,
    "ad app federated-credential list": lambda state, options: app(state, options)["federated"],
    "ad app federated-credential create": federated_create,
    "ad app federated-credential update": federated_update,
    "ad app credential list": credential_list,
    "ad app credential reset": credential_reset,
    "ad app credential delete": credential_delete,
    "ad sp list": sp_list,
    "ad sp create": sp_create,
    "keyvault secret list": secret_list,
    "keyvault secret set": secret_set,
    "keyvault certificate list": certificate_list,
    "keyvault certificate create": certificate_create,
    "keyvault certificate show": certificate_show,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
