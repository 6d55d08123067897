"""Functions that take their events from queues: each message by itself, and what failed is given back alone."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas.common.logs import Logger

Batch = dict[str, Any]
Consume = Callable[[Batch], Any]


def lazily(build: Callable[[Mapping[str, str]], Consume]) -> Callable[[Batch, object], Any]:
    """The function Lambda calls: builds the consumer from its environment at the first batch, and keeps it.

    A consumer that cannot be built raises, so that its messages stay where they are.
    """
    built: list[Consume] = []

    def handler(batch: Batch, _context: object) -> Any:
        if not built:
            built.append(build(os.environ))
        return built[0](batch)

    return handler


class QueueConsumer:
    """Hands over a batch's messages one by one; those that fail are reported to SQS, which gives them again or gives them up."""

    def __init__(self, handle: Callable[[bytes], None], logger: Logger) -> None:
        """`handle` takes a message's body and raises whatever keeps it from being done."""
        self._handle = handle
        self._logger = logger
        self._processor = BatchProcessor(EventType.SQS)

    def consume(self, batch: Batch) -> Any:
        """The answer for SQS. Raises BatchProcessingError when all of a batch failed, so that it counts as an error of the function."""
        return process_partial_response(batch, self._one, self._processor)

    def _one(self, record: SQSRecord) -> None:
        try:
            self._handle(record.body.encode())
        except Exception:
            self._logger.exception(
                "message not handled",
                message_id=record.message_id,
                receive_count=record.attributes.approximate_receive_count,
            )
            raise
