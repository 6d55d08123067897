"""Tests TLS and plain HTTP in front of the embedded AWS, and policies that require TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError, SSLError

from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.root import Root
from tests.ops.embedded.servers import Server, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def user(server: Server) -> boto3.Session:
    """Returns a session of a user with all permissions.

    The embedded AWS does not apply bucket policies to the root user.
    """
    iam = server.client("iam")
    iam.create_user(UserName="user")
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="user")["AccessKey"]
    return boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")


def plain_client(server: Server, user: boto3.Session, service: Any, **headers: str) -> Any:
    """Returns a client that uses no TLS and adds the headers to its requests."""
    client = user.client(service, endpoint_url=f"http://{LOOPBACK}:{server.plain_port}")

    def add_headers(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.register("before-send", add_headers)
    return client


def document(resource: str, action: str, *statements: dict[str, Any]) -> str:
    """Returns a policy that denies requests without TLS, with these additional statements."""
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [tls_only, *statements]})


@pytest.fixture(scope="module")
def bucket(server: Server) -> str:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="tls-only")
    policy = document("arn:aws:s3:::tls-only/*", "s3:*")
    s3.put_bucket_policy(Bucket="tls-only", Policy=policy)
    return "tls-only"


@pytest.fixture(scope="module")
def queue(server: Server) -> str:
    sqs = server.client("sqs")
    url: str = sqs.create_queue(QueueName="tls-only")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document("*", "sqs:*")})
    return url


@pytest.mark.parametrize("claims", [{}, {"X-Forwarded-Proto": "https"}])
def test_a_bucket_that_requires_tls_refuses_plain_requests(
    server: Server, user: boto3.Session, bucket: str, claims: dict[str, str]
) -> None:
    secure = user.client(
        "s3", endpoint_url=f"https://{LOOPBACK}:{server.port}", verify=server.authority
    )
    secure.put_object(Bucket=bucket, Key="a", Body=b"secure")
    plain = plain_client(server, user, "s3", **claims)
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.put_object(Bucket=bucket, Key="a", Body=b"plain")
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.get_object(Bucket=bucket, Key="a")
    assert secure.get_object(Bucket=bucket, Key="a")["Body"].read() == b"secure"


@pytest.mark.parametrize("claims", [{}, {"X-Forwarded-Proto": "https"}])
def test_a_queue_that_requires_tls_refuses_plain_requests(
    server: Server, user: boto3.Session, queue: str, claims: dict[str, str]
) -> None:
    plain = plain_client(server, user, "sqs", **claims)
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.send_message(QueueUrl=queue, MessageBody="plain")
    server.client("sqs").send_message(QueueUrl=queue, MessageBody="secure")
    [message] = server.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "secure"


def test_plain_requests_succeed_where_no_policy_requires_tls(
    server: Server, user: boto3.Session
) -> None:
    plain = plain_client(server, user, "s3")
    plain.create_bucket(Bucket="open")
    plain.put_object(Bucket="open", Key="a", Body=b"plain")


def test_calls_between_services_count_as_encrypted(server: Server, user: boto3.Session) -> None:
    """A topic delivers a message to a queue that requires TLS, even if the message was sent without
    TLS.
    """
    sqs, sns = server.client("sqs"), server.client("sns")
    topic = sns.create_topic(Name="events")["TopicArn"]
    url = sqs.create_queue(QueueName="subscribed")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:subscribed"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = document(arn, "sqs:*", allowed)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    plain_client(server, user, "sns").publish(TopicArn=topic, Message="delivered")
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["Message"] == "delivered"


def test_the_embedded_aws_negotiates_http_1(server: Server) -> None:
    """Go's HTTP client prefers HTTP/2, which is slower in this server."""
    context = ssl.create_default_context(cafile=server.authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((LOOPBACK, server.port)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        assert tls.selected_alpn_protocol() == "http/1.1"


def test_a_client_that_trusts_another_authority_refuses_the_embedded_aws(
    server: Server, tmp_path: Path
) -> None:
    other = Certificates(Root(tmp_path))
    other.renew()
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"https://{LOOPBACK}:{server.port}",
        verify=str(other.authority),
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client.list_buckets()


def test_the_port_with_tls_refuses_plain_http(server: Server) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        urllib3.request("GET", f"http://{LOOPBACK}:{server.port}/", retries=False)
