"""Tests that start, stop and kill an embedded cloud. All tests of this module share it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pg8000.native
import pytest
import redis
from hypercorn.config import Config

from ops.embedded import EmbeddedCloud
from ops.embedded.certificates import Certificates
from ops.embedded.cloud import Addresses
from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import Processes, base_environment, find_processes
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.embedded.signing import SERVER_LIFETIME
from ops.local.console_process import CONSOLE
from ops.root import Root, read_json
from tests.waiting import wait_for

GO_IDLE_TIMEOUT = 90.0
"""Seconds after which Terraform's provider closes idle connections (default of the SDK for Go)."""
LAMBDA_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


@pytest.fixture(scope="module")
def cloud_root() -> Iterator[Root]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Root(Path(tempfile.mkdtemp(prefix="multitask-")))
    root.prepare()
    yield root
    EmbeddedCloud(root).stop()
    shutil.rmtree(root.path)


@pytest.fixture
def embedded(cloud_root: Root) -> EmbeddedCloud:
    cloud = EmbeddedCloud(cloud_root)
    cloud.start()
    return cloud


def addresses(cloud: EmbeddedCloud) -> Addresses:
    result = cloud.addresses()
    assert result
    return result


def client(cloud: EmbeddedCloud, service: Any) -> Any:
    keys: dict[str, Any] = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return connect(cloud, service, **keys)


def connect(cloud: EmbeddedCloud, service: Any, **keys: Any) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=addresses(cloud).aws,
        verify=addresses(cloud).authority,
        **keys,
    )


def connect_http(cloud: EmbeddedCloud) -> http.client.HTTPSConnection:
    host, port = addresses(cloud).aws.removeprefix("https://").split(":")
    tls = ssl.create_default_context(cafile=addresses(cloud).authority)
    return http.client.HTTPSConnection(host, int(port), timeout=10, context=tls)


def database(cloud: EmbeddedCloud, user: str) -> pg8000.native.Connection:
    host, port = addresses(cloud).database_server.split(":")
    return pg8000.native.Connection(user, host=host, port=int(port), database="multitask_local")


def cache(cloud: EmbeddedCloud) -> Any:
    return redis.Redis(host=LOOPBACK, port=cloud.running()["cache"].port)


def kill(cloud_root: Root, name: str) -> None:
    process = Processes(cloud_root).get(name)
    assert process
    os.kill(process.pid, 9)
    while process.find():
        pass


def test_starting_a_running_cloud_starts_no_process(
    embedded: EmbeddedCloud, cloud_root: Root
) -> None:
    before = Processes(cloud_root).all()
    started = EmbeddedCloud(cloud_root).start()
    assert (Processes(cloud_root).all(), started.has_started_services) == (before, False)


def test_the_embedded_aws_keeps_idle_connections_longer_than_terraform(
    embedded: EmbeddedCloud,
) -> None:
    """Otherwise, a client would retry a request that the server executed before it closed the
    connection.
    """
    connection = connect_http(embedded)
    connection.connect()
    first_socket = connection.sock
    for _ in range(Config.keep_alive_max_requests + 1):
        connection.request("GET", "/_ministack/health")
        response = connection.getresponse()
        response.read()
        assert response.getheader("connection") != "close"
    assert connection.sock is first_socket
    connection.close()

    script = """
from hypercorn.config import Config
from ops.embedded.emulator.connections import manage_connections
manage_connections()
config = Config()
config.keep_alive_timeout = 75
print(config.keep_alive_timeout)
"""
    assert float(run_python(script)) > GO_IDLE_TIMEOUT


def test_connections_that_clients_closed_are_released(
    embedded: EmbeddedCloud, cloud_root: Root
) -> None:
    host, port = addresses(embedded).plain_aws.removeprefix("http://").split(":")
    process = Processes(cloud_root).get("aws")
    server = process.find() if process else None
    assert server

    def open_descriptors() -> int:
        return server.num_fds()

    before = open_descriptors()
    for _ in range(100):
        connection = connect_http(embedded)
        connection.request("GET", "/_ministack/health")
        connection.getresponse().read()
        connection.close()
    wait_for(lambda: open_descriptors() < before + 10, seconds=5)

    # These clients close their connections before the response arrives.
    for _ in range(20):
        with socket.create_connection((host, int(port))) as early:
            early.sendall(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: open_descriptors() < before + 10, seconds=5)


def test_the_embedded_aws_raises_its_limit_of_open_files() -> None:
    script = """
import resource
from ops.embedded.emulator.connections import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
raise_descriptor_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    assert int(run_python(script)) > 1024


def run_python(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_retry_of_a_successful_call_receives_the_same_response(embedded: EmbeddedCloud) -> None:
    iam = client(embedded, "iam")
    invocation = "first"

    def set_invocation_id(request: Any, **_: Any) -> None:
        request.headers["amz-sdk-invocation-id"] = invocation

    iam.meta.events.register("before-send.iam.CreateUser", set_invocation_id)
    with ThreadPoolExecutor(8) as threads:
        user_ids = list(
            threads.map(lambda _: iam.create_user(UserName="once")["User"]["UserId"], range(16))
        )
    assert len(set(user_ids)) == 1
    invocation = "second"
    for _ in range(2):
        with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
            iam.create_user(UserName="once")
    iam.delete_user(UserName="once")
    assert iam.create_user(UserName="once")["User"]["UserId"] not in user_ids


def test_the_embedded_aws_enforces_iam_and_is_on_loopback_only(embedded: EmbeddedCloud) -> None:
    iam = client(embedded, "iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    s3 = connect(
        embedded,
        "s3",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.list_buckets()
    assert addresses(embedded).aws.startswith(f"https://{LOOPBACK}:")


def test_the_database_owner_has_the_rights_of_auroras_master_user(embedded: EmbeddedCloud) -> None:
    """The owner is not a superuser, but can create roles, as the first migration does."""
    connection = database(embedded, "multitask")
    rights = connection.run(
        "SELECT rolcreaterole, rolcreatedb, rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    owned = connection.run(
        "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
    )
    assert (rights, owned) == ([[True, True, False]], [["multitask"]])
    connection.close()


def test_a_start_replaces_an_expiring_certificate_and_restarts_its_servers(
    embedded: EmbeddedCloud, cloud_root: Root
) -> None:
    client(embedded, "ssm").put_parameter(Name="/renewed", Value="kept", Type="String")
    past = datetime.now(UTC) - SERVER_LIFETIME + timedelta(days=1)
    certificates = Certificates(cloud_root, lambda: past)
    certificates.server.unlink()
    certificates.renew()
    expiring, before = certificates.server.read_bytes(), embedded.running()
    started = EmbeddedCloud(cloud_root).start()
    assert certificates.server.read_bytes() != expiring
    after = embedded.running()
    restarted = {name for name in after if after[name] != before[name]}
    assert restarted == {"aws", "cache-proxy", "database-proxy"}
    assert not started.aws_may_lack_changes
    parameter = client(embedded, "ssm").get_parameter(Name="/renewed")["Parameter"]
    assert parameter["Value"] == "kept"


def test_stopping_keeps_all_data(embedded: EmbeddedCloud, cloud_root: Root) -> None:
    client(embedded, "ssm").put_parameter(Name="/kept", Value="yes", Type="String")
    client(embedded, "s3").create_bucket(Bucket="kept")
    client(embedded, "s3").put_object(Bucket="kept", Key="a", Body=b"yes")
    cache(embedded).set("kept", "yes")
    owner = database(embedded, "postgres")
    owner.run("CREATE TABLE IF NOT EXISTS kept AS SELECT 'yes'::text AS word")
    owner.close()
    before = addresses(embedded)
    assert sorted(embedded.stop()) == [
        *("aws", "cache", "cache-proxy", "database", "database-proxy")
    ]
    assert embedded.running() == {}
    assert find_processes(cloud_root) == []

    assert embedded.start().addresses == before
    assert client(embedded, "ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "yes"
    assert client(embedded, "s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"yes"
    assert cache(embedded).get("kept") == b"yes"
    owner = database(embedded, "postgres")
    assert owner.run("SELECT word FROM kept") == [["yes"]]
    owner.close()


@pytest.mark.parametrize("name", ["cache", "database", "aws", "cache-proxy", "database-proxy"])
def test_a_killed_service_is_restarted_and_reported(
    embedded: EmbeddedCloud, cloud_root: Root, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {process.pid for process in Processes(cloud_root).all() if process.name != name}
    kill(cloud_root, name)
    assert embedded.addresses() is None
    started = EmbeddedCloud(cloud_root).start()
    message = rf"{name} \(process \d+\) ended unexpectedly: restarting it"
    assert re.search(message, capsys.readouterr().err)
    assert (started.has_started_services, started.aws_may_lack_changes) == (True, False)
    assert others < {process.pid for process in Processes(cloud_root).all()}


def test_a_start_keeps_the_web_console(
    embedded: EmbeddedCloud, cloud_root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Processes(cloud_root).start(
        CONSOLE,
        ["sleep", "60"],
        port=0,
        environment=base_environment(cloud_root),
        cwd=cloud_root.path,
    )
    kill(cloud_root, "aws")
    EmbeddedCloud(cloud_root).start()
    assert Processes(cloud_root).get(CONSOLE) == console
    assert Processes(cloud_root).stop(console), "the start killed the console"
    assert CONSOLE not in capsys.readouterr().err


def test_a_port_that_another_program_uses_is_replaced(
    embedded: EmbeddedCloud, cloud_root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.stop()
    port = read_json(cloud_root.path / "ports.json")["cache"]  # type: ignore[index]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        embedded.start()
        message = f"Another program uses port {port} of cache: using "
        assert message in capsys.readouterr().err
        assert cache(embedded).ping()


def test_resetting_the_embedded_aws_keeps_the_database_and_a_copy_of_the_old_data(
    embedded: EmbeddedCloud, cloud_root: Root
) -> None:
    client(embedded, "s3").create_bucket(Bucket="gone")
    client(embedded, "s3").put_object(Bucket="gone", Key="key", Body=b"kept")
    owner = database(embedded, "postgres")
    owner.run("CREATE TABLE IF NOT EXISTS stays (id int)")
    owner.close()
    copy = embedded.reset_aws()
    assert client(embedded, "s3").list_buckets()["Buckets"] == []
    owner = database(embedded, "postgres")
    assert owner.run("SELECT count(*) FROM stays") == [[0]]
    owner.close()

    embedded.stop()
    shutil.rmtree(cloud_root.path / "aws")
    copy.rename(cloud_root.path / "aws")
    embedded.start()
    assert client(embedded, "s3").get_object(Bucket="gone", Key="key")["Body"].read() == b"kept"


def test_clouds_of_two_root_directories_are_independent(
    embedded: EmbeddedCloud, tmp_path: Path
) -> None:
    other = Root(tmp_path / "other")
    other.prepare()
    assert EmbeddedCloud(other).addresses() is None
    assert EmbeddedCloud(other).stop() == []
    assert embedded.addresses()


CONSUMER = """
import os

def handler(event, context):
    with open(os.environ["SEEN"], "a") as file:
        for record in event["Records"]:
            file.write(record["dynamodb"]["Keys"]["id"]["S"] + "\\n")
"""


def test_a_function_receives_new_stream_records_after_a_restart(
    embedded: EmbeddedCloud, cloud_root: Root, tmp_path: Path
) -> None:
    role = client(embedded, "iam").create_role(
        RoleName="consumer", AssumeRolePolicyDocument=LAMBDA_TRUST
    )["Role"]["Arn"]
    seen = tmp_path / "seen"
    seen.touch()
    functions = client(embedded, "lambda")
    functions.create_function(
        FunctionName="consumer",
        Runtime=f"python3.{sys.version_info.minor}",
        Role=role,
        Handler="consumer.handler",
        Code={"ZipFile": zipped("consumer.py", CONSUMER)},
        Environment={"Variables": {"SEEN": str(seen)}},
    )
    table = client(embedded, "dynamodb").create_table(
        TableName="streamed",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]
    functions.create_event_source_mapping(
        FunctionName="consumer",
        EventSourceArn=table["LatestStreamArn"],
        StartingPosition="TRIM_HORIZON",
    )
    for id_ in ("one", "two"):
        client(embedded, "dynamodb").put_item(TableName="streamed", Item={"id": {"S": id_}})
    wait_for(lambda: seen.read_text().split() == ["one", "two"], seconds=60)
    embedded.stop()
    EmbeddedCloud(cloud_root).start()
    client(embedded, "dynamodb").put_item(TableName="streamed", Item={"id": {"S": "three"}})
    wait_for(lambda: seen.read_text().split() == ["one", "two", "three"], seconds=60)


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def test_websocket_frames_invoke_the_version_of_the_alias() -> None:
    script = """
from ministack.core import lambda_runtime as runtime
from ops.embedded.emulator.corrections import follow_alias_of_websockets
follow_alias_of_websockets()
arn = "arn:aws:lambda:us-east-1:000000000000:function:chat"

def served_by(version):
    config = {"FunctionName": "chat", "FunctionArn": arn, "Version": version}
    config["Runtime"] = "python3.13"
    return runtime.get_or_create_worker("chat", config, b"", qualifier="live")

first = served_by("1")
assert served_by("1") is first
print(served_by("2").config["Version"], len(runtime._workers), served_by("2") is served_by("2"))
"""
    assert run_python(script).split() == ["2", "1", "True"]
