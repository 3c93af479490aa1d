"""How an app without a client secret proves itself: MSAL asks, and what MSAL would never send by hand."""

import base64
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from local.microsoft.certificates import KeyPair
from local.microsoft.cloud import Cloud
from local.microsoft.entra_client import ASSERTION_TYPE
from local.microsoft.managed_identity import SYSTEM_ASSIGNED, USER_ASSIGNED
from tests.local.microsoft.token_client import APP_ONLY, APP_SCOPE, SMTP, ask, connect, msal_app


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair.make("Sendoff", datetime.now(UTC), timedelta(days=90))


def thumbprint(pair: KeyPair, header: str = "x5t#S256") -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(pair.public.thumbprint(header))).rstrip(b"=").decode()


def signed(
    cloud: Cloud,
    pair: KeyPair,
    algorithm: str = "PS256",
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> str:
    """An assertion as MSAL makes it, but for the changes."""
    now = time.time()
    claims = {
        "aud": f"{cloud.authority}/oauth2/v2.0/token",
        "iss": cloud.app.client_id,
        "sub": cloud.app.client_id,
        "exp": now + 600,
        "iat": now,
        "jti": str(uuid.uuid4()),
    } | changes
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        pair.key,
        algorithm=algorithm,
        headers={"x5t#S256": thumbprint(pair)} if headers is None else headers,
    )


def prove(cloud: Cloud, http: requests.Session, assertion: str) -> requests.Response:
    """Ask for an app-only token with this assertion."""
    return ask(
        cloud,
        http,
        **APP_ONLY,
        client_secret=None,
        client_assertion=assertion,
        client_assertion_type=ASSERTION_TYPE,
    )


def outcome(reply: requests.Response) -> tuple[int, str, int]:
    document = reply.json()
    return reply.status_code, document["error"], document["error_codes"][0]


def identity_token(cloud: Cloud, http: requests.Session, **query: str) -> str:
    """What the managed identity endpoint gives for a federated credential."""
    parameters = {
        "api-version": "2019-08-01",
        "resource": "api://AzureADTokenExchange",
        "client_id": USER_ASSIGNED[0],
    }
    reply = http.get(
        cloud.managed_identity_url,
        params=parameters | query,
        headers={"X-IDENTITY-HEADER": cloud.identity_header},
    )
    return str(reply.json()["access_token"])


def test_msal_uses_a_certificate_for_every_grant(cloud: Cloud, http: requests.Session, pair: KeyPair) -> None:
    cloud.app.certificates.append(pair.public)
    app = msal_app(cloud, http, {"private_key": pair.private_pem, "public_certificate": pair.public.pem})
    first = connect(app, http)
    assert first["scope"] == SMTP
    assert "access_token" in app.acquire_token_by_refresh_token(first["refresh_token"], [SMTP])
    assert "access_token" in app.acquire_token_for_client([APP_SCOPE])


def test_the_older_thumbprint_is_taken_with_the_older_algorithm(
    cloud: Cloud, http: requests.Session, pair: KeyPair
) -> None:
    cloud.app.certificates.append(pair.public)
    assertion = signed(cloud, pair, "RS256", {"x5t": thumbprint(pair, "x5t")})
    assert prove(cloud, http, assertion).status_code == 200


def test_one_of_several_certificates_is_enough(cloud: Cloud, http: requests.Session, pair: KeyPair) -> None:
    cloud.control.identity({"register_certificate": {}})
    cloud.app.certificates.append(pair.public)
    assert prove(cloud, http, signed(cloud, pair)).status_code == 200


def test_an_assertion_is_good_until_its_time_is_over(
    cloud: Cloud, http: requests.Session, pair: KeyPair
) -> None:
    cloud.app.certificates.append(pair.public)
    assertion = signed(cloud, pair)
    assert [prove(cloud, http, assertion).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 1}, 700024),
        ({"exp": None}, 700024),
        ({"exp": "soon"}, 700024),
        ({"nbf": time.time() + 3600}, 700024),
        ({"iss": "another"}, 700021),
        ({"sub": "another"}, 700021),
        ({"aud": "https://localhost/token"}, 700023),
        ({"aud": None}, 700023),
        ({"algorithm": "RS512"}, 700027),
        ({"headers": {}}, 700027),
        ({"headers": {"x5t#S256": "AAAA"}}, 700027),
        ({"headers": {"x5t": "!"}}, 700027),
    ],
)
def test_an_assertion_that_is_wrong_is_refused_for_what_is_wrong(
    cloud: Cloud, http: requests.Session, pair: KeyPair, changes: dict[str, Any], code: int
) -> None:
    cloud.app.certificates.append(pair.public)
    assert outcome(prove(cloud, http, signed(cloud, pair, **changes))) == (401, "invalid_client", code)


def test_another_key_under_a_registered_name_is_refused(
    cloud: Cloud, http: requests.Session, pair: KeyPair
) -> None:
    cloud.app.certificates.append(pair.public)
    other = KeyPair.make("Sendoff", datetime.now(UTC), timedelta(days=1))
    assertion = signed(cloud, other, headers={"x5t#S256": thumbprint(pair)})
    assert outcome(prove(cloud, http, assertion)) == (401, "invalid_client", 700027)


def test_a_certificate_that_is_not_registered_is_named(
    cloud: Cloud, http: requests.Session, pair: KeyPair
) -> None:
    reply = prove(cloud, http, signed(cloud, pair))
    assert outcome(reply) == (401, "invalid_client", 700027)
    assert "The key was not found." in reply.json()["error_description"]
    assert pair.public.thumbprint("x5t#S256") in reply.json()["error_description"]


def test_a_certificate_past_its_date_is_refused(cloud: Cloud, http: requests.Session, pair: KeyPair) -> None:
    cloud.app.certificates.append(pair.public)
    cloud.control.identity({"advance_seconds": 91 * 86400})
    reply = prove(cloud, http, signed(cloud, pair))
    assert outcome(reply) == (401, "invalid_client", 700027)
    assert "The key used is expired." in reply.json()["error_description"]


@pytest.mark.parametrize("kind", ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"])
def test_an_assertion_says_of_which_kind_it_is(
    cloud: Cloud, http: requests.Session, pair: KeyPair, kind: str
) -> None:
    cloud.app.certificates.append(pair.public)
    form = {"client_assertion": signed(cloud, pair), "client_assertion_type": kind}
    reply = ask(cloud, http, **APP_ONLY, client_secret=None, **form)
    assert outcome(reply) == (400, "invalid_request", 900144)


@pytest.mark.parametrize("assertion", ["x", "a.b.c"])
def test_what_is_no_token_is_malformed(cloud: Cloud, http: requests.Session, assertion: str) -> None:
    assert outcome(prove(cloud, http, assertion)) == (401, "invalid_client", 50027)


@pytest.mark.parametrize(
    ("kind", "content_type"), [("pem", "application/x-pem-file"), ("pfx", "application/x-pkcs12")]
)
def test_a_registered_certificate_is_in_the_vault_as_key_vault_keeps_it(
    cloud: Cloud, http: requests.Session, kind: str, content_type: str
) -> None:
    order = {"service": "app", "format": kind, "days": 30}
    said = cloud.control.identity({"register_certificate": order})["certificate"]
    _, version = cloud.vault.secrets.get("oauth-app-certificate")
    assert (version.content_type, version.exp) == (content_type, said["expires"])
    assert abs(said["expires"] - time.time() - 30 * 86400) < 60
    if kind == "pem":
        key: Any = load_pem_private_key(version.value.encode(), None)
        certificate = x509.load_pem_x509_certificate(version.value.encode())
    else:
        whole = pkcs12.load_pkcs12(base64.b64decode(version.value), None)
        assert whole.cert is not None
        key, certificate = whole.key, whole.cert.certificate
    assert prove(cloud, http, signed(cloud, KeyPair(key, certificate))).status_code == 200
    cloud.control.identity({"retire_certificates": True})
    assert outcome(prove(cloud, http, signed(cloud, KeyPair(key, certificate))))[2] == 700027


def test_a_certificate_may_be_over_from_the_start(cloud: Cloud) -> None:
    said = cloud.control.identity({"register_certificate": {"days": -2}})["certificate"]
    assert said["secret"] == "oauth-microsoft-certificate"
    assert said["expires"] < time.time()


def test_msal_uses_a_managed_identity_for_every_grant(cloud: Cloud, http: requests.Session) -> None:
    app = msal_app(cloud, http, {"client_assertion": lambda: identity_token(cloud, http)})
    first = connect(app, http)
    assert first["scope"] == SMTP
    assert "access_token" in app.acquire_token_by_refresh_token(first["refresh_token"], [SMTP])
    assert "access_token" in app.acquire_token_for_client([APP_SCOPE])


@pytest.mark.parametrize(
    ("query", "credential", "code"),
    [
        ({"client_id": USER_ASSIGNED[0]}, {"issuer": "https://localhost/v2.0"}, 700211),
        ({"resource": "api://AzureADTokenExchangeUSGov"}, {}, 700212),
        ({"resource": "https://vault.azure.net"}, {}, 700211),
        ({"client_id": USER_ASSIGNED[0]}, {"audience": "API://azureadtokenexchange"}, 700212),
        ({"client_id": USER_ASSIGNED[0]}, {"subject": SYSTEM_ASSIGNED[1]}, 700213),
    ],
)
def test_an_identity_that_the_app_does_not_trust_is_refused(
    cloud: Cloud, http: requests.Session, query: dict[str, str], credential: dict[str, str], code: int
) -> None:
    cloud.control.identity({"federated_credential": credential})
    assertion = identity_token(cloud, http, **query)
    assert outcome(prove(cloud, http, assertion)) == (401, "invalid_client", code)


def test_the_case_of_the_subject_counts(cloud: Cloud, http: requests.Session) -> None:
    token = identity_token(cloud, http)
    claims = jwt.decode(token, options={"verify_signature": False})
    assertion = jwt.encode(claims | {"sub": "AbC"}, "k" * 32, algorithm="HS256")
    cloud.control.identity({"federated_credential": {"subject": "abc"}})
    assert outcome(prove(cloud, http, assertion))[2] == 7002138


def test_a_token_that_somebody_else_signed_is_refused(
    cloud: Cloud, http: requests.Session, pair: KeyPair
) -> None:
    token = identity_token(cloud, http)
    claims = jwt.decode(token, options={"verify_signature": False})
    name = jwt.get_unverified_header(token)["kid"]
    for headers in ({"kid": name}, {"kid": "another"}):
        assertion = jwt.encode(claims, pair.key, algorithm="RS256", headers=headers)
        assert outcome(prove(cloud, http, assertion)) == (401, "invalid_client", 50013)


def test_an_identity_is_trusted_at_whatever_time_the_provider_has(
    cloud: Cloud, http: requests.Session
) -> None:
    assertion = identity_token(cloud, http)
    cloud.control.identity({"advance_seconds": 30 * 86400})
    assert prove(cloud, http, assertion).status_code == 200
