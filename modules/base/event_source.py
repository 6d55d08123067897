"""Event sources of a function: a queue, or a table's stream."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cdktf_cdktf_provider_aws.lambda_event_source_mapping import (
    LambdaEventSourceMapping,
    LambdaEventSourceMappingDestinationConfig,
    LambdaEventSourceMappingDestinationConfigOnFailure,
    LambdaEventSourceMappingFilterCriteria,
    LambdaEventSourceMappingFilterCriteriaFilter,
)
from constructs import Construct

from modules.base.function import LambdaFunction
from modules.base.naming import service_tag
from modules.base.queue import Queue
from modules.base.table import Table

STREAM_RETRIES = 5
"""Retries of a failing batch. Each halves the batch, which isolates one record of 50."""


class QueueSource(LambdaEventSourceMapping):
    """Messages of a queue in batches. The function reports which of them failed.

    The function's role needs the statements `queue_receiving` and `queue_key`.

    Args:
        function: Receives the messages through its alias.
        queue: The queue.
        batch_size: The most messages per batch.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        function: LambdaFunction,
        queue: Queue,
        batch_size: int = 10,
    ) -> None:
        super().__init__(
            scope,
            id_,
            function_name=function.alias.arn,
            event_source_arn=queue.arn,
            batch_size=batch_size,
            function_response_types=["ReportBatchItemFailures"],
            tags=service_tag(function.service),
        )


class StreamSource(LambdaEventSourceMapping):
    """Changes of a table in batches. A failing batch is halved and retried, then discarded.

    Details of a discarded batch go to a queue. The function's role needs the statements
    `stream_reading`, and `queue_sending` and `queue_key` for that queue.

    Args:
        function: Receives the records through its alias.
        table: The table with the stream.
        pattern: The filter that a record must match to reach the function.
        failures: Receives shard and sequence numbers of discarded batches, not the records.
        batch_size: The most records per batch.

    Raises:
        ValueError: The table has no stream.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        function: LambdaFunction,
        table: Table,
        pattern: Mapping[str, object],
        failures: Queue,
        batch_size: int = 50,
    ) -> None:
        if table.stream_arn is None:
            raise ValueError(f"{table.name} has no stream: set `stream` in its definition")
        super().__init__(
            scope,
            id_,
            function_name=function.alias.arn,
            event_source_arn=table.stream_arn,
            # From the oldest record, so that a recreated source misses nothing.
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
            tags=service_tag(function.service),
        )
