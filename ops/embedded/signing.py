"""Creates the certificate authority of an embedded cloud and the certificate of its servers."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.embedded.ports import LOOPBACK

LIFETIME = timedelta(days=3650)
"""Lifetime of the authority's certificate, which is never renewed."""
SERVER_LIFETIME = timedelta(days=397)
"""Lifetime of the servers' certificate. Browsers accept at most 398 days. Each start renews it."""
PEM = serialization.Encoding.PEM


def sign_server(file: Path, authority_file: Path, authority_key: Path) -> None:
    """Writes a new certificate for the servers and its key to `file`."""
    authority = x509.load_pem_x509_certificate(authority_file.read_bytes())
    signer = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(ip_address(LOOPBACK)), x509.DNSName("localhost")]
    certificate = (
        _builder("localhost", authority.subject, key, SERVER_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    _write(file, certificate.public_bytes(PEM) + _private(key))


def create_authority(file: Path, key_file: Path) -> None:
    """Writes the certificate of a new authority to `file` and its key to `key_file`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Multitask Platform on this machine"
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, _name(name), key, LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The certificate is written last, because its existence means that both files exist.
    _write(key_file, _private(key))
    _write(file, certificate.public_bytes(PEM))


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Keeps the certificate valid if the clock is set back by less than a day.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lifetime)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(file: Path, content: bytes) -> None:
    """Replaces a file atomically. Only its owner can read it."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)
    partial.replace(file)
