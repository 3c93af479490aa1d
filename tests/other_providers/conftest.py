"""npm's oidc-provider in a process of its own, and a browser that signs in at its pages."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
import requests
import trustme
from joserfc.jwk import RSAKey

from local import environment, leash
from local.microsoft.certificates import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
PROGRAM = environment.Program(HERE / "oidc_provider", environment.FOLDER / "oidc-provider")

REDIRECT_URI = "https://app.example/api/oauth/redirect"
NOREPLY = "noreply@example.com"
# Each has a character that form-encoding changes.
BASIC_SECRET, POST_SECRET = "basic+secret/with=100%:", "post secret & more"

SCOPES = "openid email profile mail.send offline_access"  # that one client is held to

ACCOUNTS = {
    "42": {"email": NOREPLY, "name": "No Reply"},
    "43": {"email": "somebody@example.com", "name": "Somebody"},
}


def _client(client_id: str, method: str, **more: Any) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_method": method,
        **more,
    }


@dataclass(frozen=True)
class OidcProvider:
    """
    Two of them in one process, by their issuers.

    ``strict`` tells name and address at its userinfo endpoint alone, which is what OpenID Connect says of the
    code flow; ``generous`` has them in the id_token too.
    """

    strict: str
    generous: str
    ca_file: Path
    pair: KeyPair


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with environment.locked():
        PROGRAM.install()
    folder = tmp_path_factory.mktemp("oidc-provider")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    pair = KeyPair.make("ours", datetime.now(UTC), timedelta(days=1))
    clients = [
        _client("basic client", "client_secret_basic", client_secret=BASIC_SECRET),
        _client("post", "client_secret_post", client_secret=POST_SECRET, scope=SCOPES),
        _client("public", "none", grant_types=["authorization_code", "refresh_token"]),
        _client("certified", "private_key_jwt", jwks={"keys": [_public_jwk(pair)]}),
    ]
    (folder / "config.json").write_text(
        json.dumps(
            {
                "tls": {
                    "key": leaf.private_key_pem.bytes().decode(),
                    "cert": leaf.cert_chain_pems[0].bytes().decode(),
                },
                "accounts": ACCOUNTS,
                "providers": {
                    "strict": {"clients": clients},
                    "generous": {"clients": clients, "conformIdTokenClaims": False},
                },
            }
        )
    )
    command = [
        str(environment.node()),
        str(PROGRAM.source / "serve.mjs"),
        str(folder / "config.json"),
    ]
    process = leash.start(command, stdout=subprocess.PIPE, cwd=PROGRAM.folder)
    try:
        issuers = _issuers(process)
        yield OidcProvider(issuers["strict"], issuers["generous"], folder / "ca.pem", pair)
    finally:
        leash.stop(process)


def _public_jwk(pair: KeyPair) -> dict[str, Any]:
    return dict(RSAKey.import_key(pair.public.public_key).as_dict(private=False))


def _issuers(process: subprocess.Popen[str]) -> dict[str, str]:
    """Wait until it says where it listens; before that come its warnings of what a test may do."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        with contextlib.suppress(ValueError):
            return dict(json.loads(line)["issuers"])
    raise AssertionError(f"oidc-provider did not start: {''.join(said)}")


@pytest.fixture
def oidc_provider(_running: OidcProvider, monkeypatch: pytest.MonkeyPatch) -> OidcProvider:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(_running.ca_file))
    return _running


class _Page(HTMLParser):
    """The one form of a page with its hidden fields, and the links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values.get("value", "")
        elif tag == "a":
            self.links.append(values["href"])


class Browser:
    """Somebody who signs in and consents, or does not; keeps cookies, and stops at the app's door."""

    def __init__(self) -> None:
        self.http = requests.Session()
        self.pages: list[str] = []

    def sign_in(self, url: str, account: str, *, declines: bool = False) -> dict[str, str]:
        """Return what the app gets to see."""
        reply = self.http.get(url, allow_redirects=False)
        while True:
            if reply.is_redirect:
                target = urljoin(reply.url, reply.headers["Location"])
                if target.startswith(REDIRECT_URI):
                    return dict(parse_qsl(urlsplit(target).query))
                reply = self.http.get(target, allow_redirects=False)
                continue
            assert reply.ok, reply.text
            page = _Page(reply.text)
            prompt = page.fields["prompt"]
            self.pages.append(prompt)
            if prompt == "consent" and declines:
                (abort,) = (link for link in page.links if link.endswith("/abort"))
                reply = self.http.get(urljoin(reply.url, abort), allow_redirects=False)
                continue
            fields = page.fields | ({"login": account, "password": "any"} if prompt == "login" else {})
            reply = self.http.post(urljoin(reply.url, page.action), data=fields, allow_redirects=False)


@pytest.fixture
def browser(oidc_provider: OidcProvider) -> Iterator[Browser]:  # noqa: ARG001 - its CA is trusted by then
    someone = Browser()
    with someone.http:
        yield someone
