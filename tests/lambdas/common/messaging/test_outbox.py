"""Tests of the outbox writer, which stores events as part of a transaction."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack, unpack
from tests.lambdas.support import NOW, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def create_writer(logger: Logger, table: str = "outbox") -> OutboxWriter:
    logger.set_correlation_id("trace-1")
    return OutboxWriter(table, "post", logger, FakeClock())


def test_a_stored_event_has_the_format_of_the_contract(logger: Logger) -> None:
    entry = create_writer(logger).put("PostLiked", actor_id="u", data={"postId": "p"})
    item = unpack(entry["Put"]["Item"])
    assert (item["event_type"], item["stored_at"]) == ("PostLiked", NOW)
    assert json.loads(item["detail"]) == {
        "eventId": item["event_id"],
        "occurredAt": "2027-01-15T08:00:00.000Z",
        "correlationId": "trace-1",
        "actorId": "u",
        "data": {"postId": "p"},
    }


def test_event_ids_are_unique_and_start_with_the_service(logger: Logger) -> None:
    writer = create_writer(logger)
    entries = [writer.put("PostLiked", actor_id="u", data={}) for _ in range(50)]
    ids = {entry["Put"]["Item"]["event_id"]["S"] for entry in entries}
    assert len(ids) == 50
    assert all(event_id.startswith("post-") for event_id in ids)


def test_a_failed_transaction_stores_no_event(
    logger: Logger, dynamodb: "DynamoDBClient", table: Any
) -> None:
    events, things = table("event_id"), table("thing_id")
    writer = create_writer(logger, events)

    def write(thing: str) -> None:
        item: Any = {"TableName": things, "Item": pack({"thing_id": thing})}
        item["ConditionExpression"] = "attribute_not_exists(thing_id)"
        entries: Any = [
            {"Put": item},
            writer.put("PostCreated", actor_id="u", data={"postId": thing}),
        ]
        dynamodb.transact_write_items(TransactItems=entries)

    write("a")
    with pytest.raises(ClientError):
        write("a")
    assert dynamodb.scan(TableName=events)["Count"] == 1
