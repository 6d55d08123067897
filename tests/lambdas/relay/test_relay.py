"""The relay, from its events to the bus, on an AWS in the process."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdas.common.messaging.consumer import Consume
from lambdas.common.messaging.outbox import Outbox, StoredEvent
from lambdas.common.storage.dynamodb import pack
from lambdas.relay import handler
from lambdas.relay.bus import EventBridgeBus
from lambdas.relay.outbox import DynamoOutbox, StoreBusyError
from tests.lambdas.support import NOW, REGION, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

SETTLE = 15


class FakeEvents:
    """Keeps what is sent; refuses those of some types, or every call."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []
        self.refused: set[str] = set()
        self.down = False

    @property
    def sent(self) -> list[Any]:
        return [
            entry
            for call in self.calls
            for entry in call
            if entry["DetailType"] not in self.refused
        ]

    @property
    def ids(self) -> list[str]:
        return [json.loads(entry["Detail"])["eventId"] for entry in self.sent]

    def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 (the client's own name)
        if self.down:
            raise EndpointConnectionError(endpoint_url="https://events")
        self.calls.append(Entries)
        results = [
            {"ErrorCode": "InternalFailure"} if e["DetailType"] in self.refused else {}
            for e in Entries
        ]
        return {"FailedEntryCount": sum(map(len, results)), "Entries": results}


class World:
    """An outbox with a relay, driven as Lambda drives it."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        sqs: "SQSClient",
        table: str,
        logger: Logger,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.dynamodb, self.sqs, self.table, self.bus = dynamodb, sqs, table, FakeEvents()
        self.queue_url = sqs.create_queue(QueueName="retries")["QueueUrl"]
        clients = SimpleNamespace(dynamodb=dynamodb, sqs=sqs, events=self.bus)
        patch.setattr(handler, "Clients", lambda _region: clients)
        patch.setattr(handler, "create_logger", lambda _settings: logger)
        self.consume: Consume = handler.build(
            {
                "STAGE": "local",
                "REGION": REGION,
                "DYNAMODB_TABLE_OUTBOX": table,
                "EVENT_BUS_NAME": "the-bus",
                "RETRY_QUEUE_URL": self.queue_url,
                "SWEEP_AFTER": str(SETTLE),
            }
        )
        self._logger = logger

    def store(self, *types: str, at: float = NOW) -> list[str]:
        """Stores events; gives their ids."""
        outbox = Outbox(self.table, "post", self._logger, FakeClock(at))
        entries: list[Any] = [outbox.put(kind, actor_id="u", data={}) for kind in types]
        self.dynamodb.transact_write_items(TransactItems=entries)
        return [entry["Put"]["Item"]["event_id"]["S"] for entry in entries]

    def stream(self, ids: list[str]) -> None:
        records = [
            {"eventSource": "aws:dynamodb", "dynamodb": {"Keys": pack({"event_id": i})}}
            for i in ids
        ]
        assert self.consume({"Records": records}) is None

    def message(self, *bodies: str) -> list[str]:
        """A batch of the retry queue; gives which of its messages failed, by their place in it."""
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

    def waiting(self) -> set[str]:
        return {item["event_id"]["S"] for item in self.dynamodb.scan(TableName=self.table)["Items"]}

    def retries(self) -> list[str]:
        """What is in the retry queue; it stays hidden from then on."""
        found: list[str] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10
        ).get("Messages"):
            found += [message["Body"] for message in messages]
        return found


@pytest.fixture
def world(
    dynamodb: "DynamoDBClient",
    table: Callable[..., str],
    logger: Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    return World(
        dynamodb, boto3.client("sqs", region_name=REGION), table("event_id"), logger, monkeypatch
    )


def asked_again(event_id: str) -> str:
    return json.dumps({"eventId": event_id})


def test_a_stored_event_is_published_as_its_service_and_removed(world: World) -> None:
    [event_id] = world.store("PostLiked")
    world.stream([event_id])
    [entry] = world.bus.sent
    detail = json.loads(entry.pop("Detail"))
    assert detail["eventId"] == event_id
    assert entry == {
        "EventBusName": "the-bus",
        "Source": "multitask.post",
        "DetailType": "PostLiked",
    }
    assert not world.waiting()


def test_a_long_batch_is_sent_in_calls_of_ten(world: World) -> None:
    ids = world.store(*["PostLiked"] * 25)
    world.stream(ids)
    assert [len(call) for call in world.bus.calls] == [10, 10, 5]
    assert sorted(world.bus.ids) == sorted(ids)
    assert not world.waiting()


def test_what_is_published_already_is_not_published_again(world: World) -> None:
    """A batch that is repeated, or a stream that is read anew."""
    ids = world.store("PostLiked", "PostUnliked")
    world.stream(ids)
    world.stream(ids)
    assert world.message(asked_again(ids[0])) == []
    assert sorted(world.bus.ids) == sorted(ids)


def test_of_a_call_that_failed_in_part_only_that_part_is_tried_again(world: World) -> None:
    world.bus.refused = {"PostDeleted"}
    liked, deleted = world.store("PostLiked", "PostDeleted")
    world.stream([liked, deleted])
    assert world.waiting() == {deleted}
    assert world.retries() == [asked_again(deleted).replace(" ", "")]
    world.bus.refused = set()
    world.bus.calls.clear()
    assert world.message(asked_again(deleted)) == []
    assert world.bus.ids == [deleted]
    assert not world.waiting()


def test_while_the_bus_is_down_everything_waits(world: World) -> None:
    world.bus.down = True
    ids = world.store("PostLiked", "PostUnliked")
    world.stream(ids)
    assert world.waiting() == set(ids)
    assert len(world.retries()) == 2


def test_one_that_cannot_be_published_fails_alone(world: World) -> None:
    world.bus.refused = {"PostDeleted"}
    liked, deleted = world.store("PostLiked", "PostDeleted")
    assert world.message(asked_again(liked), asked_again(deleted)) == ["1"]
    assert world.waiting() == {deleted}


def test_an_item_that_is_no_event_keeps_no_other_from_being_published(world: World) -> None:
    world.dynamodb.put_item(
        TableName=world.table, Item=pack({"event_id": "post-odd", "stored_at": int(NOW)})
    )
    [liked] = world.store("PostLiked")
    world.stream(["post-odd", liked])
    assert world.bus.ids == [liked]
    assert world.waiting() == {"post-odd"}
    assert world.retries() == ['{"eventId":"post-odd"}']


@pytest.mark.parametrize(
    "body", ["{}", json.dumps({"DDBStreamBatchInfo": {"batchSize": 3}, "requestContext": {}})]
)
def test_what_has_waited_is_found_without_the_stream(world: World, body: str) -> None:
    """Upon the schedule's message, and upon Lambda's own about a batch it has given up."""
    left = world.store(*["PostLiked"] * 12, at=1_000.0)
    assert world.message(body) == []
    assert sorted(world.bus.ids) == sorted(left)
    assert not world.waiting()


def test_a_sweep_leaves_alone_what_the_stream_is_about_to_bring(world: World) -> None:
    fresh = world.store("PostLiked", at=time.time())
    world.message("{}")
    assert world.waiting() == set(fresh)


def test_a_message_that_is_none_is_given_back(world: World) -> None:
    [liked] = world.store("PostLiked")
    assert world.message("{", asked_again(liked)) == ["0"]


def test_a_batch_of_which_nothing_succeeds_counts_as_an_error(world: World) -> None:
    with pytest.raises(BatchProcessingError):
        world.message("{")


def test_what_neither_goes_to_the_bus_nor_to_the_queue_fails_the_batch(world: World) -> None:
    """So that Lambda gives it again."""
    world.bus.down = True
    ids = world.store("PostLiked")
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    with pytest.raises(ClientError):
        world.stream(ids)
    assert world.waiting() == set(ids)


def test_failures_are_logged_by_id_and_without_content(
    world: World, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    world.bus.refused = {"PostDeleted"}
    [deleted] = world.store("PostDeleted")
    world.stream([deleted])
    [line] = logged()
    assert (line["level"], line["event_id"], line["reason"]) == (
        "ERROR",
        deleted,
        "InternalFailure",
    )
    assert "detail" not in line


class Busy:
    """A client that never takes everything."""

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803
        return {"Responses": {"t": []}, "UnprocessedKeys": RequestItems}

    def batch_write_item(self, RequestItems: Any) -> Any:  # noqa: N803
        return {"UnprocessedItems": {"t": RequestItems["t"][1:]}}


def test_what_a_busy_table_leaves_over_is_tried_again() -> None:
    busy: Any = Busy()
    with pytest.raises(StoreBusyError):
        DynamoOutbox(busy, "t").read(["a"])
    assert DynamoOutbox(busy, "t").remove(["a", "b"]) == ["b"]


def test_why_a_whole_call_failed_is_told_by_its_code() -> None:
    class Refusing:
        def put_events(self, **_arguments: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutEvents")

    events: Any = Refusing()
    stored = StoredEvent(event_id="post-1", event_type="PostLiked", detail="{}", stored_at=1)
    assert EventBridgeBus(events, "b").publish([stored]) == {"post-1": "AccessDeniedException"}


def test_nothing_to_publish_is_no_call() -> None:
    events: Any = FakeEvents()
    assert EventBridgeBus(events, "b").publish([]) == {}
    assert not events.calls
