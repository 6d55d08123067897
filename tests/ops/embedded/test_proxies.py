"""Tests logins to the embedded database and cache, which require TLS and tokens that the embedded
IAM verifies.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pg8000.native
import pytest
import redis
from botocore.auth import SIGV4_TIMESTAMP

from lambdas.common.storage.cache import CacheSettings, create_cache
from lambdas.common.storage.database import (
    Credentials,
    DatabaseSettings,
    IamCredentials,
    SecretCredentials,
    connect,
)
from lambdas.common.storage.iam_tokens import rds_token
from ops.embedded import EmbeddedCloud
from ops.embedded.certificates import Certificates
from ops.embedded.cloud import Addresses
from ops.embedded.ports import LOOPBACK
from ops.embedded.proxies import cache as cache_proxy
from ops.embedded.proxies.proxy import Proxy
from ops.embedded.services import ACCESS_KEY, IAM_ROLE, SECRET_KEY, SUPERUSER
from ops.root import Root
from tests.waiting import wait_for

ACCOUNT, REGION = "000000000000", "us-east-1"
USER, GROUP = "catalog", "chat-cache"


@dataclass(frozen=True)
class World:
    """An embedded cloud with a cluster, a replication group, and a role for functions."""

    root: Root
    addresses: Addresses
    cluster: dict[str, Any]

    def client(self, service: Any) -> Any:
        return self.session().client(
            service, endpoint_url=self.addresses.aws, verify=self.addresses.authority
        )

    def session(
        self, key: str = ACCESS_KEY, secret: str = SECRET_KEY, token: str | None = None
    ) -> boto3.session.Session:
        return boto3.session.Session(key, secret, token, region_name=REGION)

    def function(self, *statements: tuple[str, str]) -> boto3.session.Session:
        """Allows the Lambda functions' role only these pairs of action and resource.

        Returns a session of the role.
        """
        policy = [
            {"Effect": "Allow", "Action": action, "Resource": resource}
            for action, resource in statements
        ]
        self.client("iam").put_role_policy(
            RoleName="function", PolicyName="policy", PolicyDocument=_document(*policy)
        )
        keys = self.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/function", RoleSessionName="test"
        )["Credentials"]
        return self.session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    def database_user(self, name: str) -> str:
        return (
            f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{self.cluster['DbClusterResourceId']}/{name}"
        )

    def cache_resources(self) -> list[str]:
        prefix = f"arn:aws:elasticache:{REGION}:{ACCOUNT}"
        return [f"{prefix}:replicationgroup:{GROUP}", f"{prefix}:user:{USER}"]

    def database(
        self, session: boto3.session.Session, user: str = USER
    ) -> pg8000.native.Connection:
        settings = DatabaseSettings(
            stage="local",
            region=REGION,
            rds_endpoint=self.addresses.database,
            rds_database="postgres",
            rds_username=user,
            rds_iam_auth=True,
        )
        return self.login(IamCredentials(settings, session))

    def login(self, get_credentials: Any, **options: Any) -> pg8000.native.Connection:
        files = {"ca_file": self.addresses.authority, **options}
        return connect(
            self.addresses.database,
            "postgres",
            get_credentials,
            timeout=10,
            application="test",
            **files,
        )

    def cache(self, session: boto3.session.Session, user: str = USER, group: str = GROUP) -> Any:
        settings = CacheSettings(
            stage="local",
            region=REGION,
            elasticache_cluster=self.addresses.cache,
            elasticache_username=user,
            elasticache_replication_group=group,
            elasticache_tls=True,
            elasticache_ca_file=self.addresses.authority,
        )
        return create_cache(settings, session, timeout=10)


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Root(Path(tempfile.mkdtemp(prefix="multitask-")))
    root.prepare()
    addresses = EmbeddedCloud(root).start().addresses
    try:
        empty = World(root, addresses, {})
        cluster = empty.client("rds").create_db_cluster(
            DBClusterIdentifier="catalog-aurora",
            Engine="aurora-postgresql",
            MasterUsername="multitask",
            ManageMasterUserPassword=True,
            EnableIAMDatabaseAuthentication=True,
        )["DBCluster"]
        _create_cache(empty.client("elasticache"))
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        empty.client("iam").create_role(
            RoleName="function", AssumeRolePolicyDocument=_document(trust)
        )
        with closing(server(addresses)) as connection:
            for name in (USER, "plain"):
                connection.run(f"CREATE ROLE {name} LOGIN")
            connection.run(f"GRANT {IAM_ROLE} TO {USER}")
        yield World(root, addresses, cluster)
    finally:
        EmbeddedCloud(root).stop()
        shutil.rmtree(root.path)


def _create_cache(elasticache: Any) -> None:
    for name, access, mode in (
        (USER, "on ~* +@all -@dangerous -@admin", "iam"),
        ("default", "off ~* -@all", "no-password-required"),
    ):
        elasticache.create_user(
            UserId=name,
            UserName=name,
            Engine="redis",
            AccessString=access,
            AuthenticationMode={"Type": mode},
        )
    elasticache.create_user_group(UserGroupId="g", Engine="redis", UserIds=[USER, "default"])
    elasticache.create_replication_group(
        ReplicationGroupId=GROUP,
        ReplicationGroupDescription="test",
        Engine="valkey",
        UserGroupIds=["g"],
        TransitEncryptionEnabled=True,
    )


def server(addresses: Addresses) -> pg8000.native.Connection:
    host, port = addresses.database_server.split(":")
    return pg8000.native.Connection(SUPERUSER, host=host, port=int(port), database="postgres")


def assert_refused(world: World, get_credentials: Any, message: str, **options: Any) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError, match=message):
        world.login(get_credentials, **options)


def test_a_function_connects_to_the_database_if_its_policy_allows_the_user(world: World) -> None:
    session = world.function(("rds-db:connect", world.database_user(USER)))
    with closing(world.database(session)) as connection:
        assert connection.run("SELECT current_user::text") == [[USER]]
    session = world.function(("rds-db:connect", world.database_user("health")))
    with pytest.raises(pg8000.exceptions.DatabaseError, match="PAM authentication failed"):
        world.database(session)


def test_a_database_role_that_is_not_a_member_of_rds_iam_cannot_connect(world: World) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError, match=r"no pg_hba\.conf entry"):
        world.database(world.session(), "plain")


@pytest.mark.parametrize("age", [timedelta(minutes=16), timedelta(minutes=-6)])
def test_a_token_is_valid_for_15_minutes(world: World, age: timedelta) -> None:
    signed = datetime.now(UTC) - age
    with mock.patch("botocore.auth.get_current_datetime", return_value=signed):
        old = rds_token(world.session(), world.addresses.database, USER)
    assert signed.strftime(SIGV4_TIMESTAMP) in old
    assert_refused(world, lambda: Credentials(USER, old), "PAM authentication failed")
    # A client retries with a new token after the old one was refused.
    new = rds_token(world.session(), world.addresses.database, USER)
    tokens = iter([old, new])
    world.login(lambda: Credentials(USER, next(tokens))).close()


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token.replace("DBUser=catalog", "DBUser=multitask"),
        lambda token: token.replace("Expires=900", "Expires=90000"),
        lambda token: token.replace("127.0.0.1", "127.0.0.2"),
        lambda _: "",
        lambda _: "password",
    ],
    ids=["signature", "user", "lifetime", "endpoint", "empty", "not-a-token"],
)
def test_a_changed_token_is_refused(world: World, change: Any) -> None:
    token = change(rds_token(world.session(), world.addresses.database, USER))
    assert_refused(world, lambda: Credentials(USER, token), "PAM authentication failed")


def test_a_token_is_refused_for_another_user(world: World) -> None:
    token = rds_token(world.session(), world.addresses.database, USER)
    assert_refused(world, lambda: Credentials("health", token), "PAM authentication failed")


def test_the_master_user_connects_with_its_current_secret(world: World) -> None:
    secrets, arn = world.client("secretsmanager"), world.cluster["MasterUserSecret"]["SecretArn"]
    with closing(world.login(SecretCredentials(lambda: secrets, arn))) as connection:
        assert connection.run("SELECT current_user::text") == [["multitask"]]
    assert_refused(world, lambda: Credentials("multitask", "wrong"), "authentication failed")


def test_connections_without_tls_are_refused(world: World) -> None:
    token = rds_token(world.session(), world.addresses.database, USER)
    assert_refused(world, lambda: Credentials(USER, token), "no encryption", ca_file=None)


def test_clients_that_trust_another_authority_refuse_the_proxies(
    world: World, tmp_path: Path
) -> None:
    other = Certificates(Root(tmp_path))
    other.renew()
    with pytest.raises(ssl.SSLCertVerificationError):
        world.login(lambda: Credentials(USER, ""), ca_file=str(other.authority))


def test_a_statement_can_be_cancelled_through_the_proxy(world: World) -> None:
    host, port = world.addresses.database.split(":")
    with closing(world.database(world.session())) as connection, ThreadPoolExecutor() as threads:
        slow = threads.submit(connection.run, "SELECT pg_sleep(60)")
        with closing(server(world.addresses)) as other:
            sleeping = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
            wait_for(lambda: other.run(sleeping))
        with socket.create_connection((host, int(port))) as cancelling:
            request = struct.pack("!II", 16, 80877102) + connection._backend_key_data
            cancelling.sendall(request)
        with pytest.raises(pg8000.exceptions.DatabaseError, match="57014"):
            slow.result(timeout=10)


def test_a_function_uses_the_cache_if_its_policy_allows_group_and_user(world: World) -> None:
    resources = world.cache_resources()
    with world.cache(
        world.function(*(("elasticache:Connect", name) for name in resources))
    ) as client:
        client.set("key", "value")
        assert client.get("key") == "value"
    for name in resources:
        with (
            world.cache(world.function(("elasticache:Connect", name))) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_the_access_string_limits_the_commands(world: World) -> None:
    with (
        world.cache(world.session()) as client,
        pytest.raises(redis.ResponseError, match="no permissions to run the 'flushall' command"),
    ):
        client.flushall()


@pytest.mark.parametrize(
    ("user", "group"), [("default", GROUP), ("unknown", GROUP), (USER, "other")]
)
def test_unknown_users_and_groups_of_the_cache_are_refused(
    world: World, user: str, group: str
) -> None:
    with (
        world.cache(world.session(), user, group) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_cache_requires_tls_and_a_login(world: World) -> None:
    host, port = world.addresses.cache.split(":")
    with (
        redis.Redis(host, int(port), socket_timeout=5) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()
    with (
        redis.Redis(
            host, int(port), ssl=True, ssl_ca_certs=world.addresses.authority, socket_timeout=5
        ) as client,
        pytest.raises(redis.AuthenticationError, match="Authentication required"),
    ):
        client.ping()


@contextmanager
def logged_problem(world: World, proxy: str, problem: str) -> Iterator[None]:
    """Fails unless the proxy logs the problem during the block, without a traceback."""
    log = world.root.logs / f"{proxy}.log"
    start = len(log.read_bytes())
    yield
    wait_for(lambda: problem in log.read_bytes()[start:].decode())
    assert "Traceback" not in log.read_text()


STARTUP = 196608
"""The request code of a startup message of PostgreSQL's protocol 3.0."""


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (struct.pack("!I", 4), "the first message has no request code"),
        (struct.pack("!I", 3), "invalid length 3"),
        (struct.pack("!II", 9, STARTUP) + b"\0", "names no user"),
        (struct.pack("!II", 16, STARTUP) + b"user\0\xff\0\0", "names no user in UTF-8"),
        (b"GET / HTTP/1.1\r\n\r\n", "invalid length"),
    ],
)
def test_the_database_proxy_logs_and_closes_connections_without_a_valid_startup_message(
    world: World, message: bytes, problem: str
) -> None:
    host, port = world.addresses.database.split(":")
    with (
        logged_problem(world, "database-proxy", problem),
        socket.create_connection((host, int(port)), timeout=5) as client,
    ):
        client.sendall(message)
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"GET / HTTP/1.1\r\n", "does not send RESP commands"),
        (b"*17\r\n", "a login has 17 words"),
        (b"*1\r\n$99999\r\n", "an argument of 99999 bytes"),
    ],
)
def test_the_cache_proxy_logs_and_closes_connections_without_a_valid_login(
    world: World, message: bytes, problem: str
) -> None:
    host, port = world.addresses.cache.split(":")
    context = ssl.create_default_context(cafile=world.addresses.authority)
    with (
        logged_problem(world, "cache-proxy", problem),
        socket.create_connection((host, int(port)), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=host) as client,
    ):
        client.sendall(message)
        assert client.recv(1) == b""


def test_a_service_reconnects_after_the_cache_has_closed_its_connection(world: World) -> None:
    """ElastiCache closes connections after 12 hours. This test sets the proxy's limit to 0.5 s."""
    ports = world.root.path / "ports.json"
    proxy = Proxy(0, "cache", ports, Certificates(world.root).server, "/_embedded/login")

    async def scenario() -> list[str]:
        ended: list[str] = []

        async def serve(reader: Any, writer: Any) -> None:
            await cache_proxy.serve(proxy, reader, writer, max_session=0.5)
            ended.append("session")
            writer.close()

        listener = await asyncio.start_server(serve, LOOPBACK, 0, ssl=proxy.tls())
        port = listener.sockets[0].getsockname()[1]
        addresses = world.addresses.__class__(
            **{**vars(world.addresses), "cache": f"{LOOPBACK}:{port}"}
        )
        client = World(world.root, addresses, world.cluster).cache(world.session())
        await asyncio.to_thread(client.set, "session", "first")
        while not ended:
            await asyncio.sleep(0.05)
        value = await asyncio.to_thread(client.get, "session")
        listener.close()
        return [value, *ended]

    assert asyncio.run(scenario()) == ["first", "session"]


def test_logs_of_the_proxies_contain_no_token(world: World) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError):
        world.database(world.function(("rds-db:connect", world.database_user("health"))))
    log = world.root.logs / "database-proxy.log"
    wait_for(lambda: f"{USER}: no policy allows rds-db:connect" in log.read_text())
    assert "X-Amz" not in log.read_text()
