"""The stack's certificate authority, made at start, and the one certificate that all its listeners show."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

#: What the server certificate is good for: how URLs name the services, and where they listen.
NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Trust:
    """
    A private root of trust.

    `ca_file` holds this CA alone, without the system's roots: what is given to a process as `SSL_CERT_FILE`
    and `REQUESTS_CA_BUNDLE` makes it trust the stack and nothing else, so a call that strays to the real
    internet fails instead of passing unseen.
    """

    ca_file: Path
    server_context: ssl.SSLContext
    client_context: ssl.SSLContext

    @classmethod
    def create(cls, folder: Path) -> "Trust":
        """Make a new CA and server certificate; the CA's goes into the folder as `ca.pem`."""
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="Sendoff local stack")
        leaf = authority.issue_cert(*NAMES)
        ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.minimum_version = ssl.TLSVersion.TLSv1_2
        leaf.configure_cert(server_context)
        return cls(ca_file, server_context, ssl.create_default_context(cafile=str(ca_file)))
