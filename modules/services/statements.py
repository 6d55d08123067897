"""The permissions that functions of several services need, each in its narrowest form."""

from __future__ import annotations

from modules.base.bucket import Bucket
from modules.base.naming import Names
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.base.table import Table
from modules.secrets import Parameter
from modules.storage import UPLOADS


def table_access(sid: str, table: Table, *operations: str) -> Statement:
    """Operations on a table's items, such as `GetItem`, without its indexes."""
    return Statement(
        sid=sid,
        actions=[f"dynamodb:{operation}" for operation in operations],
        resources=[table.arn],
    )


def index_access(sid: str, table: Table) -> Statement:
    """Queries of a table's indexes."""
    return Statement(sid=sid, actions=["dynamodb:Query"], resources=table.index_arns)


def parameter_access(*parameters: Parameter) -> Statement:
    """Reading parameters, earlier versions included: a rotated key is asked for as `name:version`."""
    resources = [arn for parameter in parameters for arn in (parameter.arn, f"{parameter.arn}:*")]
    return Statement(sid="Parameters", actions=["ssm:GetParameter"], resources=resources)


def object_access(sid: str, bucket: Bucket, prefix: str, *operations: str) -> Statement:
    """Operations on the objects below a prefix (ending in `/`), such as `GetObject`."""
    actions = [f"s3:{operation}" for operation in operations]
    return Statement(sid=sid, actions=actions, resources=[f"{bucket.arn}/{prefix}*"])


def upload_access(bucket: Bucket, service: str) -> Statement:
    """A service's own corner of the upload prefix: it signs uploads, checks the bytes and copies them away. They expire by themselves."""
    return object_access("Uploads", bucket, f"{UPLOADS}{service}/", "GetObject", "PutObject")


def stream_reading(table: Table) -> Statement:
    """What Lambda does under a function's role to read a table's stream for it.

    Raises:
        ValueError: the table has no stream.
    """
    if table.stream_arn is None:
        raise ValueError(f"{table.name} has no stream")
    actions = [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ]
    return Statement(sid="StreamSource", actions=actions, resources=[table.stream_arn])


def queue_receiving(queue: Queue) -> Statement:
    """What Lambda does under a function's role to take messages from a queue for it; `queue_key` comes with it."""
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    return Statement(sid="QueueSource", actions=actions, resources=[queue.arn])


def queue_sending(sid: str, queue: Queue) -> Statement:
    """Sending to a queue; `queue_key` comes with it."""
    return Statement(sid=sid, actions=["sqs:SendMessage"], resources=[queue.arn])


def queue_key(names: Names, queue: Queue, *, sends: bool = False) -> Statement:
    """Using a queue's key through SQS, as its receiver or also as a sender."""
    return Statement(
        sid="QueueKey",
        actions=["kms:Decrypt", *(["kms:GenerateDataKey"] if sends else [])],
        resources=[queue.kms_key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": f"sqs.{names.environment.region}.amazonaws.com"}
        },
    )
