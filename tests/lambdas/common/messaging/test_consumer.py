"""Tests of the queue consumer, with invented messages that belong to no Lambda function.

The tests of each Lambda function run the consumer with that function's messages.
"""

from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.common.messaging.consumer import BatchFailedError, consume_messages


def create_batch(*bodies: str) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "2"}
    return {
        "Records": [
            {"messageId": f"id-{body}", "body": body, "attributes": attributes} for body in bodies
        ]
    }


def handle_digits(body: bytes) -> None:
    int(body)


def test_only_failed_messages_are_reported_and_logged(
    logger: Logger, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    response = consume_messages(create_batch("1", "x", "2"), handle_digits, logger)
    assert response == {"batchItemFailures": [{"itemIdentifier": "id-x"}]}
    first, failed, last = logged()
    assert [line["message"] for line in (first, failed, last)] == [
        "message handled",
        "message not handled",
        "message handled",
    ]
    assert (failed["message_id"], failed["receive_count"]) == ("id-x", "2")


@pytest.mark.parametrize(
    "body", ['{"correlationId": "c-1"}', '{"detail": {"correlationId": "c-1"}}']
)
def test_a_message_is_logged_with_the_request_that_caused_it(
    body: str, logger: Logger, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    batch = create_batch(body, "[]")
    batch["Records"][0]["eventSourceARN"] = "arn:aws:sqs:us-east-1:123456789012:events"
    batch["Records"][0]["attributes"] = {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}
    consume_messages(batch, lambda _: logger.info("inside"), logger)
    inside, handled, *others = logged()
    assert (inside["correlation_id"], handled["correlation_id"]) == ("c-1", "c-1")
    assert (handled["queue"], handled["message_id"]) == ("events", f"id-{body}")
    assert handled["queued_ms"] > 0
    assert handled["duration_ms"] >= 0
    assert ["correlation_id" in line for line in others] == [False, False]


def test_a_batch_without_failures_returns_an_empty_list(logger: Logger) -> None:
    response = consume_messages(create_batch("1", "2"), handle_digits, logger)
    assert response == {"batchItemFailures": []}


def test_a_batch_that_fails_completely_raises(logger: Logger) -> None:
    with pytest.raises(BatchFailedError, match="all 2 messages of the batch failed"):
        consume_messages(create_batch("x", "y"), handle_digits, logger)
