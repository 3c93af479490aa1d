"""
How an application proves itself at the token endpoint of any provider (RFC 6749 §2.3, RFC 7523 §2.2).

What a certificate or a managed identity proves goes over the wire as an assertion, and no secret does.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc.jwk import RSAKey

from shared.core.grant import ClientAssertion, ClientCertificate, ClientSecret

if TYPE_CHECKING:
    from shared.core.grant import ClientCredential
    from shared.core.service import Custom

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 300  # it is used at once; what is left over allows for clocks that differ


def authentication(client_id: str, credential: ClientCredential, provider: Custom) -> Any:
    """
    Return Authlib's name of a method, or what adds the proof to a request.

    A certificate's key signs with RS256, which every provider that knows ``private_key_jwt`` takes (OpenID
    Connect Discovery, ``token_endpoint_auth_signing_alg_values_supported``).
    """
    match credential:
        case ClientCertificate(private_key, certificate):
            return _Assertion(
                private_key_jwt_sign(
                    RSAKey.import_key(private_key),
                    client_id,
                    provider.token_endpoint,
                    header={"x5t#S256": _thumbprint(certificate)},
                    expires_in=_ASSERTION_SECONDS,
                )
            )
        case ClientAssertion(value):
            return _Assertion(value)
        case ClientSecret() if provider.client_authentication == "client_secret_basic":
            return _basic
        case ClientSecret():
            return provider.client_authentication
    return "none"


def _basic(
    client: Any, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Add HTTP Basic; both halves are form-encoded first (RFC 6749 §2.3.1), which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"
    return uri, headers, body


@dataclass(frozen=True, slots=True)
class _Assertion:
    """Adds a signed assertion; beside it the client's id, which only RFC 7521 §4.2 calls optional."""

    value: str = field(repr=False)

    def __call__(
        self, client: Any, _method: str, uri: str, headers: dict[str, str], body: str
    ) -> tuple[str, dict[str, str], str]:
        proof = {
            "client_id": client.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self.value,
        }
        return uri, headers, f"{body}&{urlencode(proof)}"


def _thumbprint(certificate: str) -> str:
    """Return by what the provider finds the certificate (RFC 7515 §4.1.8)."""
    fingerprint = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256())
    return base64.urlsafe_b64encode(fingerprint).rstrip(b"=").decode("ascii")
