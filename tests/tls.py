"""Performs TLS handshakes in memory."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def handshake(certificate: Path | Pair, authority: Path, name: str) -> None:
    """Performs a TLS handshake in memory. The client trusts one certificate authority.

    Args:
        certificate: The server's certificate and key, or a file with them.
        name: The name or address by which the client knows the server.

    Raises:
        ssl.SSLCertVerificationError: The client does not accept the certificate.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(certificate, Path):
        server_context.load_cert_chain(certificate)
    else:
        key = certificate[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate[0].public_bytes(Encoding.PEM) + key)
            file.flush()
            server_context.load_cert_chain(file.name)
    client_context = ssl.create_default_context(cafile=str(authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for peer in (client, server, client, server):
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            continue
