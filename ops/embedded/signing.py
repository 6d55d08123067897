"""Creates the certificate authority of an embedded cloud and the certificate of its servers."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.embedded.ports import LOOPBACK

LIFETIME = timedelta(days=3650)
"""Lifetime of the authority's certificate."""
SERVER_LIFETIME = timedelta(days=397)
"""Lifetime of the servers' certificate. Browsers accept at most 398 days."""
RENEWAL = timedelta(days=30)
"""The servers' certificate is renewed if it expires within this time."""
PEM = serialization.Encoding.PEM
HOSTS = ("localhost", "*.cloudfront.localhost", "*.execute-api.localhost", "*.s3.localhost")
"""Host names in the servers' certificate. Sites, APIs and buckets have separate host names."""
ADDRESSES = (LOOPBACK, "::1")
NETWORKS = ("127.0.0.0/8", "::1/128")
"""The networks of ADDRESSES. The authority cannot certify other addresses."""


class Signing:
    """Creates and renews certificates.

    Args:
        now: The current time.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now

    def renew(self, authority_file: Path, authority_key: Path, server_file: Path) -> bool:
        """Creates each certificate that is missing or invalid, or expires soon.

        Args:
            server_file: The file for the servers' certificate and key.

        Returns:
            True if the servers' certificate is new.
        """
        authority, server = _load(authority_file), _load(server_file)
        # The servers' certificates must not outlive the authority.
        if not _is_valid(authority, _constraints(), self._now + SERVER_LIFETIME + RENEWAL):
            authority = self._create_authority(authority_file, authority_key)
        assert authority
        until = self._now + RENEWAL
        if server and _is_valid(server, _names(), until) and _has_issued(authority, server):
            return False
        signer = serialization.load_pem_private_key(authority_key.read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder("localhost", authority.subject, key, SERVER_LIFETIME)
            .add_extension(_names(), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        _write(
            server_file,
            certificate.public_bytes(PEM) + _private(key) + authority.public_bytes(PEM),
        )
        return True

    def _create_authority(self, file: Path, key_file: Path) -> x509.Certificate:
        file.unlink(missing_ok=True)
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
            self._builder(name, _name(name), key, LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(_constraints(), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        # The certificate is written last, so that its existence means that both files exist.
        _write(key_file, _private(key))
        _write(file, certificate.public_bytes(PEM))
        return certificate

    def _builder(
        self, name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # The certificate stays valid if the clock is set back by less than a day.
            .not_valid_before(self._now - timedelta(days=1))
            .not_valid_after(self._now + lifetime)
        )


def _load(file: Path) -> x509.Certificate | None:
    """Returns the first certificate of a file, or None if the file is missing or damaged."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _is_valid(
    certificate: x509.Certificate | None, extension: x509.ExtensionType, until: datetime
) -> bool:
    """Returns True if a certificate has this extension and does not expire before `until`."""
    if certificate is None or certificate.not_valid_after_utc < until:
        return False
    try:
        return certificate.extensions.get_extension_for_class(type(extension)).value == extension
    except x509.ExtensionNotFound:
        return False


def _has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def _constraints() -> x509.NameConstraints:
    """Returns the constraints that allow the authority to certify only this machine.

    They protect a user who adds the authority to a browser.
    """
    networks = [x509.IPAddress(ip_network(network)) for network in NETWORKS]
    return x509.NameConstraints([x509.DNSName("localhost"), *networks], excluded_subtrees=None)


def _names() -> x509.SubjectAlternativeName:
    addresses = [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    return x509.SubjectAlternativeName([*addresses, *map(x509.DNSName, HOSTS)])


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
