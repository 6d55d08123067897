"""Handlers for functions that consume SQS messages one by one."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from lambdas.common.logs import Logger

Batch = dict[str, Any]
Consume = Callable[[Batch], Any]


class BatchFailedError(Exception):
    """No message of a batch could be handled."""


def create_handler(build: Callable[[Mapping[str, str]], Consume]) -> Callable[[Batch, object], Any]:
    """Returns the Lambda handler, which builds the consumer on the first batch and reuses it.

    If `build` raises, the handler raises too, so that the messages stay in the queue.
    """
    built: list[Consume] = []

    def handler(batch: Batch, _context: object) -> Any:
        if not built:
            built.append(build(os.environ))
        return built[0](batch)

    return handler


def consume_messages(batch: Batch, handle: Callable[[bytes], None], logger: Logger) -> Batch:
    """Handles the messages of a batch one by one and returns the ids of the failed ones to SQS.

    `handle` processes a message's body, and raises an exception on failure. SQS redelivers only the
    failed messages. Raises BatchFailedError if all failed, so that Lambda counts an error.
    """
    failures = []
    for record in batch["Records"]:
        try:
            handle(record["body"].encode())
        except Exception:
            message_id = record["messageId"]
            receive_count = record["attributes"]["ApproximateReceiveCount"]
            logger.exception(
                "message not handled", message_id=message_id, receive_count=receive_count
            )
            failures.append({"itemIdentifier": message_id})
    if len(failures) == len(batch["Records"]):
        raise BatchFailedError(
            f"None of the {len(failures)} messages could be handled: see the log"
        )
    return {"batchItemFailures": failures}
