from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from shared.core.certificate import read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

BEGINS = datetime(2026, 11, 24, tzinfo=UTC)
ENDS = datetime(2027, 11, 24, tzinfo=UTC)
PASSWORD = BestAvailableEncryption(b"c4n4ry")
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

NO_FORM = "it is neither PEM nor a PKCS #12 archive in base64 without a password"
NOT_BOTH = "it does not hold both a certificate and its private key"
NOT_RSA = "its key is not an RSA one, which is what Entra takes"
NOT_ITS_OWN = "its private key is not that of its certificate"


@dataclass(frozen=True)
class Made:
    """A key, and a certificate that another's key may have signed."""

    key: Key
    certificate: x509.Certificate

    def private(
        self,
        form: PrivateFormat = PrivateFormat.PKCS8,
        locked: KeySerializationEncryption | None = None,
    ) -> str:
        return self.key.private_bytes(Encoding.PEM, form, locked or NoEncryption()).decode()

    @property
    def public(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def archive(self, *chain: Made, locked: KeySerializationEncryption | None = None) -> str:
        others = [each.certificate for each in chain]
        octets = pkcs12.serialize_key_and_certificates(
            b"name", self.key, self.certificate, others, locked or NoEncryption()
        )
        return base64.b64encode(octets).decode()


def made(key: Key, issuer: Made | None = None, *, ends: datetime = ENDS) -> Made:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sendoff")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINS)
        .not_valid_after(ends)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Made(key, certificate)


# Keys take long to make, and none of the tests changes one.
@functools.cache
def authority() -> Made:
    return made(ec.generate_private_key(ec.SECP256R1()), ends=ENDS + timedelta(days=3650))


@functools.cache
def own(kind: str = "RSA") -> Made:
    key: Key = (
        rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    )
    return made(key, authority())


@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS8", "old"]
)
@pytest.mark.parametrize("key_first", [True, False], ids=["key first", "certificate first"])
def test_pem_is_read_in_whatever_order(form: PrivateFormat, *, key_first: bool) -> None:
    it = own()
    parts = [it.private(form), it.public]
    found, ends = read_certificate("".join(parts if key_first else reversed(parts)))
    assert (found.private_key, found.certificate) == (it.private(), it.public)
    assert ends == ENDS


def test_an_archive_in_base64_is_read() -> None:
    it = own()
    found, ends = read_certificate(it.archive())
    assert (found.private_key, found.certificate) == (it.private(), it.public)
    assert ends == ENDS


def test_both_forms_say_the_same() -> None:
    it = own()
    assert read_certificate(it.archive(authority())) == read_certificate(
        it.private() + it.public + authority().public
    )


@pytest.mark.parametrize(
    "secret",
    [
        own().private() + own().public + authority().public,
        authority().public + own().public + own().private(),
        own().archive(authority()),
    ],
    ids=["own first", "own last", "archive"],
)
def test_of_a_chain_the_own_certificate_comes_first_and_its_end_counts(secret: str) -> None:
    found, ends = read_certificate(secret)
    assert found.certificate == own().public + authority().public
    assert found.private_key == own().private()
    assert ends == ENDS


def test_windows_line_ends_and_words_around_the_pem_do_no_harm() -> None:
    it = own()
    text = f"Bag Attributes\n    friendlyName: x\n{it.private()}\nsubject=CN = x\n{it.public}\n"
    found, _ = read_certificate(text.replace("\n", "\r\n"))
    assert (found.private_key, found.certificate) == (it.private(), it.public)


def test_one_that_has_ended_is_read_and_says_so() -> None:
    old = made(own().key, ends=BEGINS + timedelta(days=1))
    assert read_certificate(old.private() + old.public)[1] == BEGINS + timedelta(days=1)


def public_key(it: Made) -> str:
    return it.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def only_certificates() -> str:
    octets = pkcs12.serialize_key_and_certificates(None, None, None, [own().certificate], NoEncryption())
    return base64.b64encode(octets).decode()


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "a password, PEM": (lambda: own().private(locked=PASSWORD) + own().public, NO_FORM),
    "a password, old PEM": (
        lambda: own().private(PrivateFormat.TraditionalOpenSSL, PASSWORD) + own().public,
        NO_FORM,
    ),
    "a password, archive": (lambda: own().archive(locked=PASSWORD), NO_FORM),
    "no key, PEM": (lambda: own().public, NOT_BOTH),
    "a public key, PEM": (lambda: own().public + public_key(own()), NOT_BOTH),
    "no key, archive": (only_certificates, NOT_BOTH),
    "no certificate": (lambda: own().private(), NOT_BOTH),
    "a key that Entra does not take": (lambda: own("EC").private() + own("EC").public, NOT_RSA),
    "the same in an archive": (lambda: own("EC").archive(), NOT_RSA),
    "the key of another of its kind": (
        lambda: made(rsa.generate_private_key(65537, 2048)).private() + own().public,
        NOT_ITS_OWN,
    ),
    "a key that is cut": (
        lambda: "".join(
            [
                *own().private().splitlines(keepends=True)[:9],
                *own().private().splitlines(keepends=True)[-1:],
                own().public,
            ]
        ),
        NO_FORM,
    ),
    "a certificate that is cut": (
        lambda: own().private() + own().public[:200] + "\n-----END CERTIFICATE-----\n",
        NO_FORM,
    ),
    "an archive that is cut": (lambda: own().archive()[:400], NO_FORM),
    "an archive that is not in base64": (lambda: f"{own().archive()[:-9]}********=", NO_FORM),
    "a client secret": (lambda: "c4n4ry8Q~c4n4ry", NO_FORM),
    "base64 of something": (lambda: base64.b64encode(b"c4n4ry").decode(), NO_FORM),
    "nothing": (lambda: "", NO_FORM),
    "a lone surrogate": (lambda: f"{own().private()}{own().public}\ud800", NO_FORM),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_certificate_is_refused_and_nothing_of_it_is_quoted(kind: str) -> None:
    make, said = REFUSED[kind]
    secret = make()
    with pytest.raises(ValueError, match=r"^it") as raised:
        read_certificate(secret)
    assert str(raised.value) == said
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_nothing_of_the_key_is_printed() -> None:
    it = own()
    found, _ = read_certificate(it.archive())
    inner = it.private().splitlines()[1]
    assert inner in found.private_key
    assert inner not in f"{found!r} {found}"
    assert load_pem_private_key(found.private_key.encode(), None).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    ) == it.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@given(st.text(max_size=80))
def test_any_text_is_a_certificate_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it (is neither|does not hold)"):
        read_certificate(text)


@given(st.binary(max_size=80))
def test_any_octets_in_base64_are_an_archive_or_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it (is neither|does not hold)"):
        read_certificate(base64.b64encode(octets).decode())
