"""What a function takes its events from: a queue, or a table's stream."""

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
"""Tries after the first of a batch that makes its function fail; each halves the batch, so that 50 records are told apart."""


class QueueSource(LambdaEventSourceMapping):
    """Messages of a queue, in batches; the function reports which of them failed.

    The function's statements need `queue_receiving` and `queue_key`.

    Args:
        function: takes them, by its alias.
        queue: where they come from.
        batch_size: messages at once, at most.
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
    """Changes of a table, in batches. One that makes the function fail is halved and tried again, and given up in the end: what is
    left of it is told to a queue.

    The function's statements need `stream_reading`, and `queue_sending` and `queue_key` for that queue.

    Args:
        function: takes them, by its alias.
        table: has the stream.
        pattern: what a record must match; nothing else reaches the function.
        failures: hears of batches that were given up: shard and numbers, not the records themselves.
        batch_size: records at once, at most.

    Raises:
        ValueError: the table has no stream.
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
            raise ValueError(f"{table.name} has no stream")
        super().__init__(
            scope,
            id_,
            function_name=function.alias.arn,
            event_source_arn=table.stream_arn,
            # From the oldest record that there is: a source that is made anew misses nothing.
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
