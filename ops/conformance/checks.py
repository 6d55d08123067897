"""Defines a conformance check, the list of all checks, and the resources that the checks share."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
TIMEOUT = 20.0
"""Seconds to wait for an effect, such as the delivery of an event, and for a response."""
CODE = """
import json
def handle(event, context):
    if event.get("raise"):
        raise ValueError("on purpose")
    return {"statusCode": 200, "body": json.dumps(event.get("body")), "version": "VERSION"}
"""


class ConformanceError(Exception):
    """The endpoint returned a different result than AWS. The message names the difference."""


class Aws:
    """The clients of an endpoint, and resources that several checks use."""

    def __init__(
        self, endpoint: str, session: boto3.session.Session, authority: str | None = None
    ) -> None:
        self._endpoint = endpoint
        self.authority = authority
        """Path of the endpoint's CA certificate. None to use the CA certificates of the system."""
        self._session = session
        self._clients: dict[str, Any] = {}
        self.resources = ExitStack()
        """Deletes the shared resources."""

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service. It does not retry."""
        if service not in self._clients:
            config = Config(
                retries={"total_max_attempts": 1},
                connect_timeout=TIMEOUT,
                read_timeout=TIMEOUT,
                s3={"addressing_style": "path"},
            )
            create: Any = self._session.client  # boto3's type stubs list only some services
            self._clients[service] = create(
                service,
                region_name=REGION,
                endpoint_url=self._endpoint,
                config=config,
                verify=self.authority,
            )
        return self._clients[service]

    @staticmethod
    def new_name() -> str:
        """Returns a unique name for a resource."""
        return f"conformance-{uuid.uuid4().hex[:12]}"

    @cached_property
    def table(self) -> str:
        """The name of a table with the keys `pk` and `sk`, an index on `owner_id`, and a stream."""
        name, dynamodb = self.new_name(), self.client("dynamodb")
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "owner_id")
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "owner-index",
                    "KeySchema": [{"AttributeName": "owner_id", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.resources.callback(dynamodb.delete_table, TableName=name)
        wait_until(
            lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE"
        )
        return name

    @cached_property
    def bucket(self) -> str:
        """The name of a bucket that keeps old versions of its objects."""
        name, s3 = self.new_name(), self.client("s3")
        s3.create_bucket(Bucket=name)
        self.resources.callback(delete_bucket, s3, name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    @cached_property
    def queue(self) -> str:
        """The URL of a queue that several checks use."""
        return self.create_queue()

    def create_queue(self, **attributes: str) -> str:
        """Returns the URL of a new queue."""
        sqs = self.client("sqs")
        url: str = sqs.create_queue(QueueName=self.new_name(), Attributes=attributes)["QueueUrl"]
        self.resources.callback(sqs.delete_queue, QueueUrl=url)
        return url

    def queue_arn(self, url: str) -> str:
        """Returns the ARN of a queue."""
        attributes = self.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["QueueArn"]
        )
        arn: str = attributes["Attributes"]["QueueArn"]
        return arn

    def receive(self, url: str) -> dict[str, Any]:
        """Waits for a message in a queue, and returns it."""
        sqs = self.client("sqs")
        message: dict[str, Any] = wait_until(
            lambda: sqs.receive_message(
                QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            ).get("Messages", [None])[0]
        )
        return message

    @cached_property
    def role(self) -> str:
        """The ARN of a role that Lambda may assume and that allows every action."""
        iam, name = self.client("iam"), self.new_name()
        trust = policy_document("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.resources.callback(iam.delete_role, RoleName=name)
        iam.put_role_policy(
            RoleName=name, PolicyName="all", PolicyDocument=policy_document("*", Resource="*")
        )
        self.resources.callback(iam.delete_role_policy, RoleName=name, PolicyName="all")
        return arn

    @cached_property
    def function(self) -> str:
        """The name of a Lambda function. Its alias `live` refers to its version 1."""
        lambda_, name = self.client("lambda"), self.new_name()
        lambda_.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=self.role,
            Handler="code.handle",
            Code={"ZipFile": package_code("1")},
            Publish=True,
        )
        self.resources.callback(self._delete_logs, name)
        self.resources.callback(lambda_.delete_function, FunctionName=name)
        lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        return name

    def _delete_logs(self, function: str) -> None:
        with suppress(ClientError):  # the group does not exist if no invocation wrote a log
            self.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{function}")

    def invoke(self, qualifier: str, event: dict[str, Any]) -> dict[str, Any]:
        """Invokes a version or an alias of the function, and returns its result."""
        response = self.client("lambda").invoke(
            FunctionName=self.function, Qualifier=qualifier, Payload=json.dumps(event)
        )
        result: dict[str, Any] = json.loads(response["Payload"].read())
        return result

    @cached_property
    def pool(self) -> str:
        """The id of a Cognito user pool whose users sign in with their email address."""
        cognito = self.client("cognito-idp")
        id_: str = cognito.create_user_pool(PoolName=self.new_name(), UsernameAttributes=["email"])[
            "UserPool"
        ]["Id"]
        self.resources.callback(cognito.delete_user_pool, UserPoolId=id_)
        return id_


def package_code(version: str) -> bytes:
    """Returns a zip with a function whose results contain `version`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # A fixed modification time makes the zip files of equal code equal.
        archive.writestr(zipfile.ZipInfo("code.py"), CODE.replace("VERSION", version))
    return content.getvalue()


def policy_document(action: str, **members: Any) -> str:
    """Returns a policy that allows an action."""
    statement = {"Effect": "Allow", "Action": action, **members}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def delete_bucket(s3: Any, name: str) -> None:
    """Deletes a bucket and all versions of its objects."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=name)


def wait_until(read: Callable[[], Any]) -> Any:
    """Calls `read` until it returns a true value, and returns the value.

    Raises:
        ConformanceError: `read` returned no true value within TIMEOUT.
    """
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if value := read():
            return value
        time.sleep(0.1)
    raise ConformanceError(f"The call had no effect within {TIMEOUT:.0f} s")


def expect(actual: Any, wanted: Any) -> None:
    """Checks that two values are equal.

    Raises:
        ConformanceError: The values differ.
    """
    if actual != wanted:
        raise ConformanceError(f"returned {actual!r:.200}, not {wanted!r:.200}")


@contextmanager
def expect_error(*codes: str) -> Iterator[None]:
    """Checks that the `with` block raises a ClientError with one of the codes.

    Raises:
        ConformanceError: There was no error.
        ClientError: The error has another code.
    """
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
    else:
        raise ConformanceError(f"returned no error, but AWS returns {codes[0]}")


@dataclass(frozen=True)
class Check:
    """A check: a call, or a sequence of calls, with the results that AWS returns."""

    service: str
    name: str
    run: Callable[[Aws], None]


CHECKS: list[Check] = []


def check(service: str, name: str) -> Callable[[Callable[[Aws], None]], Callable[[Aws], None]]:
    """Returns a decorator that adds a function to CHECKS.

    Args:
        service: The service's name in boto3.
        name: The behaviour of AWS that the function checks, as a sentence.
    """

    def add(run: Callable[[Aws], None]) -> Callable[[Aws], None]:
        CHECKS.append(Check(service, name, run))
        return run

    return add
