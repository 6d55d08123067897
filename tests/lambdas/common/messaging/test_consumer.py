"""Tests of the queue consumer. The functions' tests use it with their own messages."""

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
    [line] = logged()
    assert (line["message_id"], line["receive_count"]) == ("id-x", "2")


def test_a_batch_without_failures_returns_an_empty_list(logger: Logger) -> None:
    response = consume_messages(create_batch("1", "2"), handle_digits, logger)
    assert response == {"batchItemFailures": []}


def test_a_batch_that_fails_completely_raises(logger: Logger) -> None:
    with pytest.raises(BatchFailedError, match="None of the 2 messages"):
        consume_messages(create_batch("x", "y"), handle_digits, logger)
