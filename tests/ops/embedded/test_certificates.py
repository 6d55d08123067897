"""Tests the authority and the certificates of an embedded cloud, and their renewal."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ops.embedded.certificates import Certificates
from ops.embedded.signing import LIFETIME, RENEWAL, SERVER_LIFETIME
from ops.root import Root
from tests.tls import handshake


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def certificates(root: Root, age: timedelta = timedelta()) -> Certificates:
    """Returns the certificates in a root directory as if `age` had passed."""
    return Certificates(root, lambda: datetime.now(UTC) + age)


def test_the_private_keys_are_readable_by_their_owner_only(root: Root) -> None:
    assert certificates(root).renew()
    modes = {file.name: file.stat().st_mode & 0o777 for file in root.path.rglob("*.pem")}
    assert modes == dict.fromkeys(["authority.pem", "authority-key.pem", "server.pem"], 0o600)
    assert b"PRIVATE" not in certificates(root).authority.read_bytes()


def test_a_valid_certificate_is_kept(root: Root) -> None:
    certificates(root).renew()
    before = {file: file.read_bytes() for file in root.path.rglob("*.pem")}
    assert not certificates(root).renew()
    assert not certificates(root, SERVER_LIFETIME - RENEWAL - timedelta(days=1)).renew()
    assert {file: file.read_bytes() for file in root.path.rglob("*.pem")} == before


@pytest.mark.parametrize("remaining", [RENEWAL - timedelta(days=1), timedelta(days=-5)])
def test_a_certificate_that_expires_soon_or_has_expired_is_renewed(
    root: Root, remaining: timedelta
) -> None:
    old = certificates(root, remaining - SERVER_LIFETIME)
    old.renew()
    authority, server = old.authority.read_bytes(), old.server.read_bytes()
    new = certificates(root)
    assert new.renew()
    assert new.authority.read_bytes() == authority
    assert new.server.read_bytes() != server
    handshake(new.server, new.authority, "localhost")


def test_an_expired_certificate_is_refused_until_it_is_renewed(root: Root) -> None:
    old = certificates(root, -SERVER_LIFETIME - timedelta(days=1))
    old.renew()
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(old.server, old.authority, "localhost")


def test_the_authority_is_replaced_if_new_certificates_would_outlast_it(root: Root) -> None:
    old = certificates(root, SERVER_LIFETIME - LIFETIME)
    old.renew()
    authority = old.authority.read_bytes()
    new = certificates(root)
    assert new.renew()
    assert new.authority.read_bytes() != authority
    handshake(new.server, new.authority, "localhost")


@pytest.mark.parametrize("name", ["authority.pem", "server.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\n"])
def test_missing_and_damaged_files_are_replaced(
    root: Root, name: str, content: bytes | None
) -> None:
    files = certificates(root)
    files.renew()
    file = files.authority.with_name(name)
    file.unlink() if content is None else file.write_bytes(content)
    assert files.renew()
    handshake(files.server, files.authority, "localhost")
    assert not files.renew()


def test_an_authority_is_replaced_if_a_killed_start_wrote_only_its_key(
    root: Root, tmp_path: Path
) -> None:
    files = certificates(root)
    files.renew()
    other = certificates(Root(tmp_path / "other"))
    other.renew()
    files.authority.unlink()
    key = "authority-key.pem"
    files.authority.with_name(key).write_bytes(other.authority.with_name(key).read_bytes())
    assert files.renew()
    handshake(files.server, files.authority, "localhost")


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "127.0.0.1", "::1"),
        *("abc.cloudfront.localhost", "abc.execute-api.localhost", "bucket.s3.localhost"),
    ],
)
def test_the_certificate_is_valid_for_the_addresses_of_this_machine(root: Root, name: str) -> None:
    files = certificates(root)
    files.renew()
    handshake(files.server, files.authority, name)


@pytest.mark.parametrize("name", ["example.com", "127.0.0.2", "a.b.cloudfront.localhost"])
def test_the_certificate_is_invalid_for_other_names(root: Root, name: str) -> None:
    files = certificates(root)
    files.renew()
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch|not valid for"):
        handshake(files.server, files.authority, name)


def test_another_authority_does_not_verify_the_certificate(root: Root, tmp_path: Path) -> None:
    files, other = certificates(root), certificates(Root(tmp_path / "other"))
    files.renew()
    other.renew()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files.server, other.authority, "localhost")


def test_the_authority_cannot_certify_names_of_other_machines(root: Root) -> None:
    """Otherwise, people who trust the authority in a browser would have to protect its key."""
    files = certificates(root)
    files.renew()
    key = load_pem_private_key(files.authority.with_name("authority-key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    server_key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(server_key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake((forged, server_key), files.authority, "bank.example")
