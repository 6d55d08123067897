"""Event sources of a function (a queue or a table's stream), with the permissions they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cdktf_cdktf_provider_aws.lambda_event_source_mapping import (
    LambdaEventSourceMapping,
    LambdaEventSourceMappingDestinationConfig,
    LambdaEventSourceMappingDestinationConfigOnFailure,
    LambdaEventSourceMappingFilterCriteria,
    LambdaEventSourceMappingFilterCriteriaFilter,
)
from constructs import Construct

from modules.base.access import Access, queue_key, sending_statements
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.base.table import Table

STREAM_RETRIES = 5
"""How many times Lambda retries a failing batch before it discards the batch.

Between the attempts, Lambda halves the batch, to isolate the failing record.
"""


def queue_source(id_: str, queue: Queue, *, batch_size: int = 10) -> Access:
    """Makes Lambda invoke the function with a queue's messages.

    Only messages that the function reports as failed return to the queue.

    Args:
        id_: The construct id of the event source.
        queue: The queue.
        batch_size: The maximum number of messages per invocation.
    """
    receive = Statement(
        sid="QueueSource",
        actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        resources=[queue.arn],
    )
    return _event_source(
        id_,
        [receive, queue_key(queue, encrypts=False)],
        event_source_arn=queue.arn,
        batch_size=batch_size,
        function_response_types=["ReportBatchItemFailures"],
    )


def stream_source(
    id_: str,
    table: Table,
    *,
    pattern: Mapping[str, object],
    failures: Queue,
    batch_size: int = 50,
) -> Access:
    """Makes Lambda invoke the function with a table's changes.

    Lambda halves a failing batch and retries both halves.

    Args:
        id_: The construct id of the event source.
        table: The table with the stream.
        pattern: The filter that a record must match to reach the function.
        failures: The queue that receives a report of each discarded batch. The report contains
            shard and sequence numbers, not records.
        batch_size: The maximum number of records per invocation.

    Raises:
        ValueError: The table has no stream.
    """
    if table.stream_arn is None:
        raise ValueError(f"{table.name} has no stream: set `stream` in its definition")
    report, encrypt = sending_statements(failures)
    read = Statement(
        sid="StreamSource",
        actions=[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        resources=[table.stream_arn],
    )
    return _event_source(
        id_,
        [report, read, encrypt],
        event_source_arn=table.stream_arn,
        # Starts with the oldest record, so that a recreated event source misses nothing.
        starting_position="TRIM_HORIZON",
        batch_size=batch_size,
        filter_criteria=LambdaEventSourceMappingFilterCriteria(
            filter=[LambdaEventSourceMappingFilterCriteriaFilter(pattern=json.dumps(pattern))]
        ),
        bisect_batch_on_function_error=True,
        maximum_retry_attempts=STREAM_RETRIES,
        destination_config=LambdaEventSourceMappingDestinationConfig(
            on_failure=LambdaEventSourceMappingDestinationConfigOnFailure(
                destination_arn=failures.arn
            )
        ),
    )


def _event_source(id_: str, statements: list[Statement], **arguments: Any) -> Access:
    def connect(scope: Construct, alias_arn: str, service: str) -> None:
        LambdaEventSourceMapping(
            scope, id_, function_name=alias_arn, tags=service_tag(service), **arguments
        )

    return Access(statements=statements, connect=connect)
