"""The outbox: events as part of a transaction."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError
from msgspec import convert

from lambdas.common.messaging.outbox import Outbox, StoredEvent
from lambdas.common.storage.dynamodb import pack, unpack
from tests.lambdas.support import NOW, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def outbox(logger: Logger, table: str = "outbox") -> Outbox:
    logger.set_correlation_id("trace-1")
    return Outbox(table, "post", logger, FakeClock())


def stored(entry: dict[str, Any]) -> StoredEvent:
    return convert(unpack(entry["Put"]["Item"]), StoredEvent)


def test_a_stored_event_has_the_contracts_envelope(logger: Logger) -> None:
    event = stored(outbox(logger).put("PostLiked", actor_id="u", data={"postId": "p"}))
    assert (event.source, event.event_type, event.stored_at) == ("multitask.post", "PostLiked", NOW)
    assert json.loads(event.detail) == {
        "eventId": event.event_id,
        "occurredAt": "2027-01-15T08:00:00.000Z",
        "correlationId": "trace-1",
        "actorId": "u",
        "data": {"postId": "p"},
    }


def test_no_two_events_share_an_id(logger: Logger) -> None:
    made = outbox(logger)
    ids = {stored(made.put("PostLiked", actor_id="u", data={})).event_id for _ in range(50)}
    assert len(ids) == 50
    assert all(event_id.startswith("post-") for event_id in ids)


def test_an_event_is_stored_with_its_write_or_not_at_all(
    logger: Logger, dynamodb: "DynamoDBClient", table: Any
) -> None:
    events, things = table("event_id"), table("thing_id")
    made = outbox(logger, events)

    def write(thing: str) -> None:
        item: Any = {"TableName": things, "Item": pack({"thing_id": thing})}
        item["ConditionExpression"] = "attribute_not_exists(thing_id)"
        entries: Any = [
            {"Put": item},
            made.put("PostCreated", actor_id="u", data={"postId": thing}),
        ]
        dynamodb.transact_write_items(TransactItems=entries)

    write("a")
    with pytest.raises(ClientError):
        write("a")
    assert dynamodb.scan(TableName=events)["Count"] == 1
