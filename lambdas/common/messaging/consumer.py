"""Handlers for functions that consume SQS messages one by one."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambdas.common.logs import Logger

Batch = dict[str, Any]
Consume = Callable[[Batch], Any]


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    correlation_id: str | None = None


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """The parts of a message's body that may contain a correlation id.

    An event has it in `detail`, other messages have it at the top level.
    """

    detail: _Detail = _Detail()
    correlation_id: str | None = None


class BatchFailedError(Exception):
    """All messages of a batch failed."""


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
    """Handles the messages of an SQS batch one by one. Returns the partial batch response.

    `handle` processes a message's body, and raises an exception on failure. The response contains
    the ids of the failed messages, and SQS redelivers only these. Raises BatchFailedError if all
    messages failed, so that Lambda counts an error.
    """
    failures = []
    for record in batch["Records"]:
        started, body = time.time(), record["body"].encode()
        logger.set_correlation_id(_correlation_id(body))
        fields = {
            "message_id": record["messageId"],
            "receive_count": record["attributes"]["ApproximateReceiveCount"],
            "queue": record.get("eventSourceARN", "").rpartition(":")[2],
        }
        if sent := record["attributes"].get("SentTimestamp"):
            fields["queued_ms"] = round(started * 1000) - int(sent)
        try:
            handle(body)
        except Exception:
            logger.exception("message not handled", duration_ms=_since(started), **fields)
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            logger.info("message handled", duration_ms=_since(started), **fields)
    if len(failures) == len(batch["Records"]):
        raise BatchFailedError(
            f"all {len(failures)} messages of the batch failed: see the errors in the log"
        )
    return {"batchItemFailures": failures}


def _correlation_id(body: bytes) -> str | None:
    """Returns the correlation id of the request that caused a message, or None if the message does
    not contain it.
    """
    try:
        message = msgspec.json.decode(body, type=_Body)
    except msgspec.MsgspecError:
        return None
    return message.detail.correlation_id or message.correlation_id


def _since(started: float) -> float:
    return round((time.time() - started) * 1000, 1)
