"""Functions that consume SQS messages one by one, and report only failed messages as failed."""

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
    """Returns the Lambda handler, which builds the consumer on the first batch and reuses it.

    If building fails, it raises, so that the messages stay in the queue.
    """
    built: list[Consume] = []

    def handler(batch: Batch, _context: object) -> Any:
        if not built:
            built.append(build(os.environ))
        return built[0](batch)

    return handler


class QueueConsumer:
    """Handles the messages of a batch one by one and reports the failed ones to SQS for retry."""

    def __init__(self, handle: Callable[[bytes], None], logger: Logger) -> None:
        """`handle` gets a message's body and raises if it cannot process it."""
        self._handle = handle
        self._logger = logger
        self._processor = BatchProcessor(EventType.SQS)

    def consume(self, batch: Batch) -> Any:
        """Handles a batch and returns the response for SQS.

        Raises BatchProcessingError if all messages failed, so that Lambda counts an error.
        """
        return process_partial_response(batch, self._handle_record, self._processor)

    def _handle_record(self, record: SQSRecord) -> None:
        try:
            self._handle(record.body.encode())
        except Exception:
            self._logger.exception(
                "message not handled",
                message_id=record.message_id,
                receive_count=record.attributes.approximate_receive_count,
            )
            raise
