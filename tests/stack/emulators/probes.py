"""Calls that AWS refuses according to its documentation. Emulators accept some of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.stack.conftest import ACCOUNT

Connect = Callable[[str], Any]
"""A function that returns the boto3 client of a service."""
Probe = Callable[[Connect], None]
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/probe"


def create_client(service: str, variables: Mapping[str, str]) -> Any:
    """Returns a boto3 client of an emulator's service."""
    session = boto3.Session(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=REGION
    )
    create: Any = session.client
    return create(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        # moto serves plain HTTP, so its variables do not include AWS_CA_BUNDLE.
        verify=variables.get("AWS_CA_BUNDLE"),
    )


def create_role(connect: Connect) -> None:
    """Creates the role that the probes use."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    connect("iam").create_role(
        RoleName="probe", AssumeRolePolicyDocument=policy(trust), MaxSessionDuration=3600
    )


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def create_function(connect: Connect, name: str, **settings: Any) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("module.py", "def handler(event, context): pass")
    connect("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=ROLE,
        Handler="module.handler",
        Code={"ZipFile": package.getvalue()},
        **settings,
    )


def assume_a_role_for_too_long(connect: Connect) -> None:
    connect("sts").assume_role(RoleArn=ROLE, RoleSessionName="probe", DurationSeconds=7200)


def trust_a_missing_role(connect: Connect) -> None:
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/missing"}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    connect("iam").create_role(RoleName="probe-trust", AssumeRolePolicyDocument=policy(trust))


def exceed_the_size_of_inline_policies(connect: Connect) -> None:
    for number in range(2):
        resources = [f"arn:aws:s3:::{index:0100d}" for index in range(60)]
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}
        connect("iam").put_role_policy(
            RoleName="probe", PolicyName=f"part-{number}", PolicyDocument=policy(statement)
        )


def reserve_all_concurrency(connect: Connect) -> None:
    create_function(connect, "reserved")
    connect("lambda").put_function_concurrency(
        FunctionName="reserved", ReservedConcurrentExecutions=950
    )


def exceed_the_size_of_variables(connect: Connect) -> None:
    create_function(connect, "variables", Environment={"Variables": {"NAME": "x" * 4_097}})


def hide_messages_shorter_than_the_function_runs(connect: Connect) -> None:
    create_function(connect, "slow", Timeout=60)
    sqs = connect("sqs")
    sqs.create_queue(QueueName="short", Attributes={"VisibilityTimeout": "30"})
    connect("lambda").create_event_source_mapping(
        FunctionName="slow", EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:short"
    )


def use_a_standard_dead_letter_queue_of_a_fifo_queue(connect: Connect) -> None:
    sqs = connect("sqs")
    sqs.create_queue(QueueName="dead-letters")
    redrive = {
        "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead-letters",
        "maxReceiveCount": 3,
    }
    sqs.create_queue(
        QueueName="first.fifo",
        Attributes={"FifoQueue": "true", "RedrivePolicy": json.dumps(redrive)},
    )


def schedule_a_rate_of_one_in_the_plural(connect: Connect) -> None:
    connect("events").put_rule(Name="plural", ScheduleExpression="rate(1 minutes)")


def create_21_indexes(connect: Connect) -> None:
    names = [f"a{number}" for number in range(22)]
    connect("dynamodb").create_table(
        TableName="indexes",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": names[0], "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"index-{name}",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for name in names[1:]
        ],
    )


def attach_11_managed_policies(connect: Connect) -> None:
    iam = connect("iam")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    for number in range(11):
        created = iam.create_policy(PolicyName=f"p{number}", PolicyDocument=policy(statement))
        iam.attach_role_policy(RoleName="probe", PolicyArn=created["Policy"]["Arn"])


PROBES: Mapping[str, Probe] = {
    probe.__name__.replace("_", " "): probe
    for probe in (
        assume_a_role_for_too_long,
        attach_11_managed_policies,
        create_21_indexes,
        exceed_the_size_of_inline_policies,
        exceed_the_size_of_variables,
        hide_messages_shorter_than_the_function_runs,
        reserve_all_concurrency,
        schedule_a_rate_of_one_in_the_plural,
        trust_a_missing_role,
        use_a_standard_dead_letter_queue_of_a_fifo_queue,
    )
}


def accepted_calls(variables: Mapping[str, str]) -> set[str]:
    """Returns the probes that an emulator accepts."""
    connect = partial(create_client, variables=variables)
    create_role(connect)
    accepted = set()
    for name, probe in PROBES.items():
        try:
            probe(connect)
        except ClientError:
            continue
        accepted.add(name)
    return accepted
