"""Permissions that several services use, each as narrow as possible."""

from __future__ import annotations

from modules.base.bucket import Bucket
from modules.base.naming import Names
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.base.table import Table
from modules.secrets import Parameter
from modules.storage import UPLOADS


def table_access(sid: str, table: Table, *operations: str) -> Statement:
    """Allows operations on a table's items, such as `GetItem`, without its indexes."""
    return Statement(
        sid=sid,
        actions=[f"dynamodb:{operation}" for operation in operations],
        resources=[table.arn],
    )


def index_access(sid: str, table: Table) -> Statement:
    """Allows queries of a table's indexes."""
    return Statement(sid=sid, actions=["dynamodb:Query"], resources=table.index_arns)


def parameter_access(*parameters: Parameter) -> Statement:
    """Allows reading parameters, including earlier versions of rotated keys (`name:version`)."""
    resources = [arn for parameter in parameters for arn in (parameter.arn, f"{parameter.arn}:*")]
    return Statement(sid="Parameters", actions=["ssm:GetParameter"], resources=resources)


def object_access(sid: str, bucket: Bucket, prefix: str, *operations: str) -> Statement:
    """Allows operations on objects below a prefix (with a trailing `/`), such as `GetObject`."""
    actions = [f"s3:{operation}" for operation in operations]
    return Statement(sid=sid, actions=actions, resources=[f"{bucket.arn}/{prefix}*"])


def upload_access(bucket: Bucket, service: str) -> Statement:
    """Allows a service to sign, check and copy uploads below its own prefix, where they expire."""
    return object_access("Uploads", bucket, f"{UPLOADS}{service}/", "GetObject", "PutObject")


def stream_reading(table: Table) -> Statement:
    """Allows Lambda to read a table's stream with the function's role.

    Raises:
        ValueError: The table has no stream.
    """
    if table.stream_arn is None:
        raise ValueError(f"{table.name} has no stream: set `stream` in its definition")
    actions = [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ]
    return Statement(sid="StreamSource", actions=actions, resources=[table.stream_arn])


def queue_receiving(queue: Queue) -> Statement:
    """Allows Lambda to receive from a queue with the function's role. Requires `queue_key`."""
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    return Statement(sid="QueueSource", actions=actions, resources=[queue.arn])


def queue_sending(sid: str, queue: Queue) -> Statement:
    """Allows sending to a queue. Requires `queue_key`."""
    return Statement(sid=sid, actions=["sqs:SendMessage"], resources=[queue.arn])


def queue_key(names: Names, queue: Queue, *, sends: bool = False) -> Statement:
    """Allows using a queue's key through SQS, to receive or also to send."""
    return Statement(
        sid="QueueKey",
        actions=["kms:Decrypt", *(["kms:GenerateDataKey"] if sends else [])],
        resources=[queue.kms_key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": f"sqs.{names.environment.region}.amazonaws.com"}
        },
    )
