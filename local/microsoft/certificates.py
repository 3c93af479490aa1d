"""
Certificates that an app proves itself with: the public half that is registered, and the whole as a secret.

The whole has the two shapes in which Key Vault keeps a certificate's secret: PEM with the key first, or PFX
without a password in base64.
"""

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

#: The content type of the secret, by the name of its format.
CONTENT_TYPES = {"pem": "application/x-pem-file", "pfx": "application/x-pkcs12"}

_NO_PASSWORD = serialization.NoEncryption()


@dataclass(frozen=True, slots=True)
class Certificate:
    """The public half of a certificate, as an app registration holds it."""

    pem: str
    expires_at: datetime

    @classmethod
    def read(cls, pem: str) -> "Certificate":
        """Return the certificate of this PEM; ValueError if it holds none."""
        return cls(pem, x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc)

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """The key that checks what the private half signed."""
        key = self._parsed().public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        return key

    def thumbprint(self, header: str) -> str:
        """Return what a JWT's header `x5t` or `x5t#S256` holds if this certificate signed it, in hex."""
        algorithm = hashes.SHA256() if header == "x5t#S256" else hashes.SHA1()  # noqa: S303 - RFC 7515 §4.1.7
        return self._parsed().fingerprint(algorithm).hex().upper()

    def _parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.encode())


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A self-signed certificate with its private key."""

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str, now: datetime, life: timedelta) -> "KeyPair":
        """Make one that ends so long after now; with a negative life it is over already."""
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ends = now + life
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # Key Vault dates a certificate ten minutes back.
            .not_valid_before(min(now - timedelta(minutes=10), ends - timedelta(days=1)))
            .not_valid_after(ends)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @property
    def public(self) -> Certificate:
        """The half that may be shown to anybody."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Certificate(pem, self.certificate.not_valid_after_utc)

    @property
    def private_pem(self) -> str:
        """The private key, in PKCS 8."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _NO_PASSWORD
        ).decode()

    def secret(self, kind: str) -> str:
        """Return the whole as the value of a secret, `pem` or `pfx`."""
        if kind == "pem":
            return self.private_pem + self.public.pem
        return base64.b64encode(
            pkcs12.serialize_key_and_certificates(None, self.key, self.certificate, None, _NO_PASSWORD)
        ).decode()
