"""The embedded cloud's processes: one cloud for the module, killed, stopped and started again."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pg8000.native
import pytest
import redis
from hypercorn.config import Config

from ops.embedded import EmbeddedCloud
from ops.embedded.cloud import Addresses
from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import Processes, strays
from ops.embedded.services import ACCESS_KEY, SECRET_KEY, SERVER
from ops.root import Root, read_json
from tests.e2e.support import eventually

GO_IDLE_TIMEOUT = 90.0
"""Seconds for which Terraform's provider keeps an idle connection: the AWS SDK for Go's default."""
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
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    root = Root(tmp_path_factory.mktemp("embedded") / "root")
    root.prepare()
    yield root
    EmbeddedCloud(root).stop()


@pytest.fixture
def embedded(place: Root) -> EmbeddedCloud:
    cloud = EmbeddedCloud(place)
    cloud.start()
    return cloud


def addresses(cloud: EmbeddedCloud) -> Addresses:
    found = cloud.addresses()
    assert found
    return found


def client(cloud: EmbeddedCloud, service: Any) -> Any:
    keys: dict[str, Any] = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return boto3.client(service, region_name="us-east-1", endpoint_url=addresses(cloud).aws, **keys)


def database(cloud: EmbeddedCloud, user: str = "catalog") -> pg8000.native.Connection:
    host, port = addresses(cloud).database.split(":")
    return pg8000.native.Connection(user, host=host, port=int(port), database="multitask_local")


def cache(cloud: EmbeddedCloud) -> Any:
    host, port = addresses(cloud).cache.split(":")
    return redis.Redis(host=host, port=int(port))


def kill(place: Root, name: str) -> None:
    process = Processes(place).get(name)
    assert process
    os.kill(process.pid, 9)
    while process.find():
        pass


def test_starting_again_starts_nothing(embedded: EmbeddedCloud, place: Root) -> None:
    before = Processes(place).all()
    started = EmbeddedCloud(place).start()
    assert (Processes(place).all(), started.killed) == (before, False)


def test_the_aws_closes_no_connection_that_a_client_keeps(embedded: EmbeddedCloud) -> None:
    """A close crosses with a request now and then: that is carried out, unanswered, and sent a second time."""
    host, port = addresses(embedded).aws.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.connect()
    kept = connection.sock
    for _ in range(Config.keep_alive_max_requests + 1):
        connection.request("GET", "/_ministack/health")
        answer = connection.getresponse()
        answer.read()
        assert answer.getheader("connection") != "close"
    assert connection.sock is kept
    connection.close()

    script = f"import runpy; C = runpy.run_path({str(SERVER)!r})['Config']; c = C(); c.keep_alive_timeout = 75; print(c.keep_alive_timeout)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert float(said.stdout) > GO_IDLE_TIMEOUT


def test_a_call_that_is_sent_again_gets_the_first_answer(embedded: EmbeddedCloud) -> None:
    iam = client(embedded, "iam")
    invocation = "first"

    def name(request: Any, **_: Any) -> None:
        request.headers["amz-sdk-invocation-id"] = invocation

    iam.meta.events.register("before-send.iam.CreateUser", name)
    with ThreadPoolExecutor(8) as threads:
        made = list(
            threads.map(lambda _: iam.create_user(UserName="once")["User"]["UserId"], range(16))
        )
    assert len(set(made)) == 1
    invocation = "second"
    for _ in range(2):
        with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
            iam.create_user(UserName="once")
    iam.delete_user(UserName="once")
    assert iam.create_user(UserName="once")["User"]["UserId"] not in made


def test_it_enforces_iam_and_listens_on_loopback_only(embedded: EmbeddedCloud) -> None:
    iam = client(embedded, "iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=addresses(embedded).aws,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.list_buckets()
    assert addresses(embedded).aws.startswith(f"http://{LOOPBACK}:")


def test_the_databases_owner_has_the_rights_of_auroras_master_user(embedded: EmbeddedCloud) -> None:
    """It makes roles, which is what migrations begin with, and is no superuser."""
    connection = database(embedded, "multitask")
    rights = connection.run(
        "SELECT rolcreaterole, rolcreatedb, rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    owned = connection.run(
        "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
    )
    assert (rights, owned) == ([[True, True, False]], [["multitask"]])
    connection.close()


def test_stopping_keeps_everything(embedded: EmbeddedCloud, place: Root) -> None:
    client(embedded, "ssm").put_parameter(Name="/kept", Value="yes", Type="String")
    client(embedded, "s3").create_bucket(Bucket="kept")
    client(embedded, "s3").put_object(Bucket="kept", Key="a", Body=b"yes")
    cache(embedded).set("kept", "yes")
    owner = database(embedded, "postgres")
    owner.run("CREATE TABLE IF NOT EXISTS kept AS SELECT 'yes'::text AS word")
    owner.close()
    before = addresses(embedded)
    assert sorted(embedded.stop()) == ["aws", "cache", "database"]
    assert embedded.running() == {}
    assert strays(place) == []

    assert embedded.start().addresses == before
    assert client(embedded, "ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "yes"
    assert client(embedded, "s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"yes"
    assert cache(embedded).get("kept") == b"yes"
    owner = database(embedded, "postgres")
    assert owner.run("SELECT word FROM kept") == [["yes"]]
    owner.close()


def test_what_was_saved_outlives_a_kill(embedded: EmbeddedCloud, place: Root) -> None:
    queues = client(embedded, "sqs")
    queues.create_queue(QueueName="saved")
    embedded.save()
    queues.create_queue(QueueName="not-saved")
    kill(place, "aws")
    EmbeddedCloud(place).start()
    kept = client(embedded, "sqs").list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in kept if url.endswith("saved")] == ["saved"]


@pytest.mark.parametrize("name", ["cache", "database", "aws"])
def test_a_killed_service_is_started_again_and_named(
    embedded: EmbeddedCloud, place: Root, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {process.pid for process in Processes(place).all() if process.name != name}
    kill(place, name)
    assert embedded.addresses() is None
    started = EmbeddedCloud(place).start()
    assert f"{name} was not stopped but died" in capsys.readouterr().err
    assert started.killed is (name == "aws")
    assert others < {process.pid for process in Processes(place).all()}


def test_a_port_somebody_has_taken_is_chosen_anew_and_said(
    embedded: EmbeddedCloud, place: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.stop()
    port = read_json(place.path / "ports.json")["cache"]  # type: ignore[index]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        embedded.start()
        assert (
            f"Port {port} of cache has been taken by another program: using "
            in capsys.readouterr().err
        )
        assert cache(embedded).ping()


def test_emptying_the_aws_keeps_the_database(embedded: EmbeddedCloud) -> None:
    client(embedded, "s3").create_bucket(Bucket="gone")
    owner = database(embedded, "postgres")
    owner.run("CREATE TABLE IF NOT EXISTS stays (id int)")
    owner.close()
    embedded.reset_aws()
    assert client(embedded, "s3").list_buckets()["Buckets"] == []
    owner = database(embedded, "postgres")
    assert owner.run("SELECT count(*) FROM stays") == [[0]]
    owner.close()


def test_two_roots_do_not_know_each_other(embedded: EmbeddedCloud, tmp_path: Path) -> None:
    other = Root(tmp_path / "other")
    other.prepare()
    assert EmbeddedCloud(other).addresses() is None
    assert EmbeddedCloud(other).stop() == []
    assert embedded.addresses()


CONSUMER = """
import os

def handler(event, context):
    with open(os.environ["SEEN"], "a") as file:
        file.writelines(record["dynamodb"]["Keys"]["id"]["S"] + "\\n" for record in event["Records"])
"""


def test_a_stream_is_read_on_after_a_stop(
    embedded: EmbeddedCloud, place: Root, tmp_path: Path
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
    eventually(lambda: seen.read_text().split() == ["one", "two"])
    embedded.stop()
    EmbeddedCloud(place).start()
    client(embedded, "dynamodb").put_item(TableName="streamed", Item={"id": {"S": "three"}})
    eventually(lambda: seen.read_text().split() == ["one", "two", "three"])


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def test_a_websockets_frames_are_served_by_the_version_that_the_alias_names() -> None:
    script = f"""
import runpy
runtime = runpy.run_path({str(SERVER)!r})["lambda_runtime"]
arn = "arn:aws:lambda:us-east-1:000000000000:function:chat"

def served_by(version):
    config = {{"FunctionName": "chat", "FunctionArn": arn, "Runtime": "python3.13", "Version": version}}
    return runtime.get_or_create_worker("chat", config, b"", qualifier="live")

first = served_by("1")
assert served_by("1") is first
print(served_by("2").config["Version"], len(runtime._workers), served_by("2") is served_by("2"))
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["2", "1", "True"]
