"""
The certificate that an application proves itself with, as Key Vault keeps it.

A certificate of the vault is readable as a secret with its private key: a PKCS #12 archive in base64, or PEM,
as its policy says ("About Azure Key Vault certificates"). One that was stored by hand is PEM.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from shared.core.grant import ClientCertificate

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def read_certificate(secret: str) -> tuple[ClientCertificate, datetime]:
    """
    Return the certificate with its key, and when it ends.

    Raises ``ValueError``, which says what is missing and quotes none of it.
    """
    try:
        key, chain = _of_pem(secret) if "-----BEGIN" in secret else _of_archive(secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("it is neither PEM nor a PKCS #12 archive in base64 without a password") from None
    if key is None or not chain:
        raise ValueError("it does not hold both a certificate and its private key")
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("its key is not an RSA one, which is what Entra takes")  # noqa: TRY004 - data, not a type
    own = next((each for each in chain if _belongs(each, key)), None)
    if own is None:
        raise ValueError("its private key is not that of its certificate")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    rest = [each for each in chain if each is not own]
    public = "".join(each.public_bytes(Encoding.PEM).decode() for each in (own, *rest))
    return ClientCertificate(private, public), own.not_valid_after_utc


def _belongs(certificate: x509.Certificate, key: RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False  # an authority's, whose kind of key is not known here


def _of_pem(text: str) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    octets = text.encode()
    if b"PRIVATE KEY-----" not in octets or b"BEGIN CERTIFICATE-----" not in octets:
        return None, []
    return load_pem_private_key(octets, None), x509.load_pem_x509_certificates(octets)


def _of_archive(text: str) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    key, own, others = pkcs12.load_key_and_certificates(
        base64.b64decode("".join(text.split()), validate=True), None
    )
    return key, [*([own] if own else []), *others]
