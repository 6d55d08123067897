"""Tests that the embedded AWS loses no acknowledged change if it is killed."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from ops.embedded.services import SERVER
from ops.root import PROJECT
from tests.ops.embedded.servers import Server, running_server
from tests.waiting import wait_for

SAVE_SECONDS = 3.0
"""Seconds after which every change is saved. An idle machine needs less than 1."""
SLOW_ROLES = f"""
import runpy, time
server = runpy.run_path({str(SERVER)!r})
server["load"]("emulator")
from ministack.services import iam
handle = iam.handle_request

async def handle_slowly(*arguments, **options):
    response = await handle(*arguments, **options)
    time.sleep(1)
    return response

iam.handle_request = handle_slowly
server["main"]()
"""
"""A start script for the embedded AWS in which each IAM call blocks the event loop for a second."""


def slow_server(service: str) -> str:
    """Returns a start script for an embedded AWS that needs 3 s to save the state of a service."""
    return f"""
import runpy, time
server = runpy.run_path({str(SERVER)!r})
server["load"]("emulator")
from ministack.services import {service}
get_state = {service}.get_state

def get_state_slowly():
    time.sleep(3)
    return get_state()

{service}.get_state = get_state_slowly
server["main"]()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yields a running server. A test that kills the server restarts it.

    The tests share the server, so they use different resource names.
    """
    with running_server() as result:
        yield result


def create_table(server: Server, name: str) -> None:
    server.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def ids(server: Server, table: str) -> set[str]:
    pages = server.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return {item["id"]["S"] for page in pages for item in page["Items"]}


def bodies(server: Server, url: str) -> list[str]:
    received = server.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return sorted(message["Body"] for message in received.get("Messages", ()))


def call_until_killed(call: Callable[[int], object]) -> list[int]:
    """Calls the server with 0, 1, 2, … until it is killed. Returns the acknowledged numbers."""
    acknowledged: list[int] = []
    for number in range(10**6):
        try:
            call(number)
        except (BotoCoreError, ClientError):
            return acknowledged
        acknowledged.append(number)
    raise AssertionError


def test_every_acknowledged_item_and_message_survives_a_kill_under_load(server: Server) -> None:
    create_table(server, "loaded")
    queue = server.client("sqs").create_queue(QueueName="loaded")["QueueUrl"]
    time.sleep(SAVE_SECONDS)
    items, messages = server.client("dynamodb"), server.client("sqs")
    written: set[str] = set()
    sent: set[str] = set()
    for round_ in range(2):

        def write(number: int, prefix: str = f"{round_}-") -> None:
            items.put_item(TableName="loaded", Item={"id": {"S": prefix + str(number)}})

        def send(number: int, prefix: str = f"{round_}-") -> None:
            messages.send_message(QueueUrl=queue, MessageBody=prefix + str(number))

        with ThreadPoolExecutor() as threads:
            writes = threads.submit(call_until_killed, write)
            sends = threads.submit(call_until_killed, send)
            time.sleep(1.5)
            server.kill()
            written |= {f"{round_}-{number}" for number in writes.result()}
            sent |= {f"{round_}-{number}" for number in sends.result()}
        recovery = server.start()
        assert recovery
        assert recovery.lost == {}
        # `recovered` does not count stream records. A kill interrupts at most one call of each
        # kind.
        assert 0 < recovery.recovered <= len(written) + len(sent) + 2 * (round_ + 1)
        kept = ids(server, "loaded")
        # The server may have executed the call that the kill interrupted.
        assert written <= kept
        assert len(kept - written) <= round_ + 1
        attributes = messages.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        count = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
        assert len(sent) <= count <= len(sent) + round_ + 1


def test_deleted_items_and_messages_stay_deleted(server: Server) -> None:
    create_table(server, "emptied")
    items, messages = server.client("dynamodb"), server.client("sqs")
    queue = messages.create_queue(QueueName="emptied")["QueueUrl"]
    for id_ in ("kept", "gone"):
        items.put_item(TableName="emptied", Item={"id": {"S": id_}})
        messages.send_message(QueueUrl=queue, MessageBody=id_)
    server.aws.save(server.port)
    items.delete_item(TableName="emptied", Key={"id": {"S": "gone"}})
    for message in messages.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]:
        if message["Body"] == "gone":
            messages.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        else:
            messages.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
    server.kill()
    server.start()
    assert ids(server, "emptied") == {"kept"}
    wait_for(lambda: bodies(server, queue) == ["kept"], seconds=40)


def test_an_interrupted_transaction_is_kept_completely_or_not_at_all(server: Server) -> None:
    create_table(server, "first")
    create_table(server, "others")
    time.sleep(SAVE_SECONDS)
    items = server.client("dynamodb")

    def write_both(number: int) -> None:
        items.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": {"id": {"S": f"{number}-{part}"}}}}
                for part in range(10)
                for table in ("first", "others")
            ]
        )

    with ThreadPoolExecutor() as threads:
        writes = threads.submit(call_until_killed, write_both)
        time.sleep(1)
        server.kill()
        count = len(writes.result())
    # A kill during a write can leave an incomplete line.
    journal = max((server.aws.data / "journal").iterdir())
    with journal.open("ab") as file:
        file.write(journal.read_bytes().splitlines()[-1][:-20])
    server.start()
    assert ids(server, "first") == ids(server, "others")
    assert len(ids(server, "first")) in {count * 10, (count + 1) * 10}


CHANGES: dict[str, tuple[Callable[[Server], object], Callable[[Server], bool]]] = {
    "user": (
        lambda server: server.client("cognito-idp").admin_create_user(
            UserPoolId=pool(server), Username="someone"
        ),
        lambda server: bool(
            server.client("cognito-idp").list_users(UserPoolId=pool(server))["Users"]
        ),
    ),
    "parameter": (
        lambda server: server.client("ssm").put_parameter(Name="/p", Value="1", Type="String"),
        lambda server: server.client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "1",
    ),
    "secret": (
        lambda server: server.client("secretsmanager").create_secret(Name="s", SecretString="1"),
        lambda server: (
            server.client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "1"
        ),
    ),
    "bucket": (
        lambda server: server.client("s3").put_bucket_tagging(
            Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
        ),
        lambda server: bool(server.client("s3").get_bucket_tagging(Bucket="bucket")["TagSet"]),
    ),
    "table": (
        lambda server: create_table(server, "new"),
        lambda server: ids(server, "new") == set(),
    ),
    "queue": (
        lambda server: server.client("sqs").create_queue(QueueName="new"),
        lambda server: bool(server.client("sqs").get_queue_url(QueueName="new")),
    ),
    "role": (
        lambda server: server.client("iam").create_role(
            RoleName="role", AssumeRolePolicyDocument="{}"
        ),
        lambda server: bool(server.client("iam").get_role(RoleName="role")),
    ),
}


def pool(server: Server) -> str:
    cognito = server.client("cognito-idp")
    pools = cognito.list_user_pools(MaxResults=10)["UserPools"]
    id_: str = (pools[0] if pools else cognito.create_user_pool(PoolName="p")["UserPool"])["Id"]
    return id_


def test_changes_of_every_service_survive_a_kill_3_s_later(server: Server) -> None:
    pool(server)
    server.client("s3").create_bucket(Bucket="bucket")
    for change, _ in CHANGES.values():
        change(server)
    time.sleep(SAVE_SECONDS)
    server.kill()
    recovery = server.start()
    assert recovery is None or recovery.lost == {}
    assert [name for name, (_, is_kept) in CHANGES.items() if not is_kept(server)] == []


def test_a_change_that_is_lost_in_a_kill_is_reported(server: Server) -> None:
    server.client("ssm").put_parameter(Name="/lost", Value="1", Type="String")
    server.kill()
    recovery = server.start()
    assert recovery
    assert list(recovery.lost) == ["ssm"]
    assert [line.partition(" after ")[0] for line in recovery.lines()[1:]] == ["Changes of ssm"]
    assert server.aws.take_recovery() is None


def saved_modules(server: Server) -> set[str]:
    """Returns the names of the modules for which the journal contains a complete save."""
    records = [
        record
        for segment in (server.aws.data / "journal").iterdir()
        for line in segment.read_text().splitlines()
        for record in json.loads(line)
    ]
    return {module for kind, *rest in records if kind == "saved" for module in rest[0]}


def test_a_change_by_a_call_that_blocks_the_event_loop_is_not_reported_as_lost(
    tmp_path: Path,
) -> None:
    script = tmp_path / "server.py"
    script.write_text(SLOW_ROLES)
    with running_server(script) as server:
        parameters, roles = server.client("ssm"), server.client("iam")
        parameters.describe_parameters()
        roles.list_roles()
        # The parameter must be saved while the next call blocks the event loop.
        parameters.put_parameter(Name="/p", Value="1", Type="String")
        roles.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        wait_for(lambda: "iam" in saved_modules(server), interval=0.05)
        server.kill()
        recovery = server.start()
        assert recovery is None or recovery.lost == {}
        assert server.client("iam").get_role(RoleName="role")


def test_a_lost_change_is_reported_only_once(server: Server) -> None:
    server.client("ssm").put_parameter(Name="/lost", Value="2", Type="String")
    server.kill()
    first = server.start()
    assert first
    assert list(first.lost) == ["ssm"]
    server.kill()
    second = server.start()
    assert second is None or second.lost == {}


def test_a_stop_keeps_unread_stream_records_and_archived_events(server: Server) -> None:
    create_table(server, "streamed")
    events, items = server.client("events"), server.client("dynamodb")
    bus = events.create_event_bus(Name="bus")["EventBusArn"]
    events.create_archive(ArchiveName="archive", EventSourceArn=bus)
    for kill in (False, True):
        items.put_item(TableName="streamed", Item={"id": {"S": str(kill)}})
        entry = {"EventBusName": "bus", "Source": "a", "DetailType": "b", "Detail": "{}"}
        events.put_events(Entries=[entry])
        time.sleep(SAVE_SECONDS if kill else 0)
        (server.kill if kill else server.stop)()
        server.start()
    assert events.describe_archive(ArchiveName="archive")["EventCount"] == 2
    streams = server.client("dynamodbstreams")
    arn = streams.list_streams(TableName="streamed")["Streams"][0]["StreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    assert [record["dynamodb"]["Keys"]["id"]["S"] for record in records] == ["False", "True"]


def test_a_save_empties_the_journal(server: Server) -> None:
    create_table(server, "saved")
    server.client("dynamodb").put_item(TableName="saved", Item={"id": {"S": "1"}})
    server.aws.save(server.port)
    server.kill()
    assert server.start() is None
    assert ids(server, "saved") == {"1"}


def test_a_save_of_all_services_does_not_delay_the_save_of_a_change(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(slow_server("cloudwatch_logs"))
    with running_server(script) as server, ThreadPoolExecutor() as threads:
        parameters = server.client("ssm")
        parameters.put_parameter(Name="/p", Value="old", Type="String")
        server.client("logs").create_log_group(logGroupName="group")
        file = server.aws.data / "state" / "ssm.json"
        wait_for(lambda: file.exists() and '"old"' in file.read_text())
        saving = threads.submit(server.aws.save, server.port)
        wait_for(psutil.Process(server.process.pid).children, interval=0.01)
        parameters.put_parameter(Name="/p", Value="new", Type="String", Overwrite=True)
        wait_for(lambda: '"new"' in file.read_text(), interval=0.05)
        assert not saving.done()
        saving.result()
        server.kill()
        server.start()
        assert server.client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "new"


def test_a_slow_save_of_other_changes_does_not_delay_the_save_of_users(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(slow_server("ssm"))
    with running_server(script) as server:
        parameters, users = server.client("ssm"), server.client("cognito-idp")
        state = server.aws.data / "state"
        parameters.put_parameter(Name="/p", Value="1", Type="String")
        wait_for(psutil.Process(server.process.pid).children, interval=0.01)
        users.create_user_pool(PoolName="people")
        file = state / "cognito.json"
        wait_for(lambda: file.exists() and "people" in file.read_text(), interval=0.01)
        assert not (state / "ssm.json").exists()
        wait_for((state / "ssm.json").exists)
        server.kill()
        server.start()
        pools = users.list_user_pools(MaxResults=10)["UserPools"]
        assert [pool["Name"] for pool in pools] == ["people"]
        assert parameters.get_parameter(Name="/p")["Parameter"]["Value"] == "1"


def package(code: str) -> bytes:
    """Returns the zip file of a function whose code is in `handler.py`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("handler.py", code)
    return buffer.getvalue()


def create_function(server: Server, name: str, code: str) -> None:
    role = server.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
    server.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=role["Arn"],
        Handler="handler.handler",
        Timeout=60,
        Code={"ZipFile": package(code)},
    )


def test_a_stop_ends_a_long_invocation_and_saves_all_services(server: Server) -> None:
    started = server.root.path / "started"
    code = f"""
import pathlib, time

def handler(event, context):
    pathlib.Path({str(started)!r}).touch()
    time.sleep(50)
"""
    create_function(server, "slow", code)
    server.client("logs").create_log_group(logGroupName="saved-only-at-the-stop")
    functions = server.client("lambda")
    with ThreadPoolExecutor() as threads:
        call = threads.submit(functions.invoke, FunctionName="slow")
        wait_for(started.exists)
        begun = time.monotonic()
        server.stop()
        # `Processes.stop` kills a server that does not stop within 30 s.
        assert time.monotonic() - begun < 20
        assert call.exception()
    server.start()
    groups = server.client("logs").describe_log_groups(logGroupNamePrefix="saved-only")
    assert groups["logGroups"]


def test_packages_of_functions_are_kept_while_a_saved_state_refers_to_them(server: Server) -> None:
    functions = server.client("lambda")
    packages = server.aws.data / "state" / "lambda-blobs"
    server.aws.save(server.port)
    before = len(list(packages.glob("*")))
    for name in ("used", "unused"):
        create_function(server, name, f"def handler(event, context): return {name!r}")
    server.aws.save(server.port)
    assert len(list(packages.iterdir())) == before + 2
    functions.delete_function(FunctionName="unused")
    server.aws.save(server.port)
    server.aws.save(server.port)
    # The server keeps two saves. A start uses the older save if the newer one is damaged. Now
    # neither of them refers to the package of `unused`, so the next save deletes this package.
    server.aws.save(server.port)
    assert len(list(packages.iterdir())) == before + 1
    server.kill()
    server.start()
    assert server.client("lambda").get_function(FunctionName="used")


def test_start_scripts_of_benchmarks_import_existing_modules_of_the_emulator() -> None:
    imports = re.compile(r"^from (emulator[\w.]*) import ([\w, ]+)$", re.MULTILINE)
    imported = {
        PROJECT.joinpath("ops", "embedded", *package.split("."), f"{module}.py")
        for file in (PROJECT / "bench").glob("*.py")
        for package, modules in imports.findall(file.read_text())
        for module in modules.split(", ")
    }
    assert imported
    assert [file for file in imported if not file.exists()] == []
