"""Tests of the relay function, with moto's DynamoDB and SQS and a fake event bus."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError

from lambdas.common.messaging import events
from lambdas.common.messaging.consumer import BatchFailedError, Consume
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack
from lambdas.relay import handler
from tests.lambdas.event_bus import UNAVAILABLE, FakeEventBridge
from tests.lambdas.support import NOW, REGION, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

SWEEP_AFTER = 15


class World:
    """An outbox table and the relay function, called with Lambda's events."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        sqs: "SQSClient",
        table: str,
        logger: Logger,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.dynamodb, self.sqs, self.table, self.bus = dynamodb, sqs, table, FakeEventBridge()
        self.queue_url = sqs.create_queue(QueueName="retries")["QueueUrl"]
        clients = SimpleNamespace(dynamodb=dynamodb, sqs=sqs, events=self.bus)
        patch.setattr(handler, "Clients", lambda _region: clients)
        patch.setattr(handler, "create_logger", lambda _settings: logger)
        self.consume: Consume = handler.build(
            {
                "STAGE": "local",
                "REGION": REGION,
                "DYNAMODB_TABLE_OUTBOX": table,
                "EVENT_BUS_NAME": "bus",
                "RETRY_QUEUE_URL": self.queue_url,
                "SWEEP_AFTER": str(SWEEP_AFTER),
            }
        )
        self._logger = logger

    def store(self, *types: str, at: float = NOW) -> list[str]:
        """Stores events and returns their ids."""
        outbox = OutboxWriter(self.table, "post", self._logger, FakeClock(at))
        entries: list[Any] = [outbox.put(kind, actor_id="u", data={}) for kind in types]
        self.dynamodb.transact_write_items(TransactItems=entries)
        return [entry["Put"]["Item"]["event_id"]["S"] for entry in entries]

    def handle_stream(self, ids: list[str]) -> None:
        records = [
            {"eventSource": "aws:dynamodb", "dynamodb": {"Keys": pack({"event_id": i})}}
            for i in ids
        ]
        assert self.consume({"Records": records}) is None

    def handle_messages(self, *bodies: str) -> list[str]:
        """Delivers the messages as one batch of the retry queue. Returns indexes of failed ones."""
        records = [
            {
                "eventSource": "aws:sqs",
                "messageId": str(n),
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for n, body in enumerate(bodies)
        ]
        return [
            failure["itemIdentifier"]
            for failure in self.consume({"Records": records})["batchItemFailures"]
        ]

    def stored_ids(self) -> set[str]:
        return {item["event_id"]["S"] for item in self.dynamodb.scan(TableName=self.table)["Items"]}

    def receive_retries(self) -> list[str]:
        """Receives all messages of the retry queue and returns their bodies."""
        bodies: list[str] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10
        ).get("Messages"):
            bodies += [message["Body"] for message in messages]
        return bodies


@pytest.fixture(autouse=True)
def declared_types() -> None:
    """Turns off the check of declared types, because these tests use invented event data."""


@pytest.fixture
def world(
    dynamodb: "DynamoDBClient",
    table: Callable[..., str],
    logger: Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr(events, "RETRY_PAUSE", 0)
    return World(
        dynamodb, boto3.client("sqs", region_name=REGION), table("event_id"), logger, monkeypatch
    )


def retry_message(event_id: str) -> str:
    return f'{{"eventId":"{event_id}"}}'


def test_a_stored_event_is_published_with_its_services_source_and_deleted(world: World) -> None:
    [event_id] = world.store("PostLiked")
    world.handle_stream([event_id])
    [entry] = world.bus.accepted
    detail = json.loads(entry.pop("Detail"))
    assert detail["eventId"] == event_id
    assert entry == {
        "EventBusName": "bus",
        "Source": "multitask.post",
        "DetailType": "PostLiked",
    }
    assert not world.stored_ids()


def test_a_long_batch_is_published_in_calls_of_ten_entries(world: World) -> None:
    ids = world.store(*["PostLiked"] * 25)
    world.handle_stream(ids)
    assert [len(call) for call in world.bus.calls] == [10, 10, 5]
    assert sorted(world.bus.ids()) == sorted(ids)
    assert not world.stored_ids()


def test_a_published_event_is_not_published_again_when_lambda_repeats_a_batch(
    world: World,
) -> None:
    ids = world.store("PostLiked", "PostUnliked")
    world.handle_stream(ids)
    world.handle_stream(ids)
    assert world.handle_messages(retry_message(ids[0])) == []
    assert sorted(world.bus.ids()) == sorted(ids)


def test_only_failed_entries_of_a_call_are_retried(world: World) -> None:
    world.bus.failure = {"PostDeleted": "InternalFailure"}
    liked, deleted = world.store("PostLiked", "PostDeleted")
    world.handle_stream([liked, deleted])
    assert world.stored_ids() == {deleted}
    assert world.receive_retries() == [retry_message(deleted)]
    world.bus.failure = {}
    world.bus.accepted.clear()
    assert world.handle_messages(retry_message(deleted)) == []
    assert world.bus.ids() == [deleted]
    assert not world.stored_ids()


def test_events_stay_stored_while_the_bus_is_unavailable(world: World) -> None:
    world.bus.failure = UNAVAILABLE
    ids = world.store("PostLiked", "PostUnliked")
    world.handle_stream(ids)
    assert world.stored_ids() == set(ids)
    assert len(world.receive_retries()) == 2


def test_an_event_that_the_bus_rejects_does_not_fail_other_messages(world: World) -> None:
    world.bus.failure = {"PostDeleted": "InternalFailure"}
    liked, deleted = world.store("PostLiked", "PostDeleted")
    assert world.handle_messages(retry_message(liked), retry_message(deleted)) == ["1"]
    assert world.stored_ids() == {deleted}


def test_an_invalid_item_is_retried_and_does_not_block_other_events(world: World) -> None:
    world.dynamodb.put_item(
        TableName=world.table, Item=pack({"event_id": "post-odd", "stored_at": int(NOW)})
    )
    [liked] = world.store("PostLiked")
    world.handle_stream(["post-odd", liked])
    assert world.bus.ids() == [liked]
    assert world.stored_ids() == {"post-odd"}
    assert world.receive_retries() == ['{"eventId":"post-odd"}']


@pytest.mark.parametrize(
    "body", ["{}", json.dumps({"DDBStreamBatchInfo": {"batchSize": 3}, "requestContext": {}})]
)
def test_a_sweep_publishes_events_that_the_stream_missed(world: World, body: str) -> None:
    """The schedule's message and Lambda's report of a discarded batch both start a sweep."""
    missed = world.store(*["PostLiked"] * 12, at=1_000.0)
    assert world.handle_messages(body) == []
    assert sorted(world.bus.ids()) == sorted(missed)
    assert not world.stored_ids()


def test_a_sweep_skips_new_events_that_the_stream_will_deliver(world: World) -> None:
    fresh = world.store("PostLiked", at=time.time())
    world.handle_messages("{}")
    assert world.stored_ids() == set(fresh)


def test_an_invalid_message_does_not_fail_other_messages(world: World) -> None:
    [liked] = world.store("PostLiked")
    assert world.handle_messages("{", retry_message(liked)) == ["0"]


def test_a_batch_that_fails_completely_raises(world: World) -> None:
    with pytest.raises(BatchFailedError):
        world.handle_messages("{")


def test_a_stream_batch_raises_if_events_can_be_neither_published_nor_queued(
    world: World,
) -> None:
    world.bus.failure = UNAVAILABLE
    ids = world.store("PostLiked")
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    with pytest.raises(ClientError):
        world.handle_stream(ids)
    assert world.stored_ids() == set(ids)


def test_a_failure_is_logged_with_the_event_id_and_without_the_detail(
    world: World, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    world.bus.failure = {"PostDeleted": "InternalFailure"}
    [deleted] = world.store("PostDeleted")
    world.handle_stream([deleted])
    [line] = logged()
    assert (line["level"], line["event_id"], line["reason"]) == (
        "ERROR",
        deleted,
        "InternalFailure",
    )
    assert "detail" not in line
