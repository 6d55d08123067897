"""The outbox table as the relay sees it, and the queue of events that wait for another try."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lambdas.common.storage.dynamodb import pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Item = dict[str, Any]
"""An item of the table in plain values; whether it is an event is for the reader to see."""


class Outbox(Protocol):
    """What the logic needs of the table."""

    def read(self, event_ids: Sequence[str]) -> list[Item]:
        """Those of these events (10 at most) that are not published yet. Raises StoreBusyError."""

    def stored_before(self, seconds: int) -> Iterator[Item]:
        """Every event that was stored before a time (since the epoch) and is not published yet."""

    def remove(self, event_ids: Sequence[str]) -> list[str]:
        """Removes published events (10 at most); gives those that could not be removed now."""


class Retries(Protocol):
    """Where an event waits for its next try."""

    def add(self, event_ids: Sequence[str]) -> None:
        """Keeps these."""


class StoreBusyError(Exception):
    """The table did not give all that it was asked for; the same again later is right."""


class DynamoOutbox:
    """The table. It holds no more than what is not published yet, so that reading all of it is cheap."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self, event_ids: Sequence[str]) -> list[Item]:
        # Consistent: what the stream tells of may not have reached every replica yet.
        request: Any = {"Keys": [_key(event_id) for event_id in event_ids], "ConsistentRead": True}
        reply = self._dynamodb.batch_get_item(RequestItems={self._table: request})
        if reply["UnprocessedKeys"]:
            raise StoreBusyError("the outbox did not give all events")
        return [unpack(item) for item in reply["Responses"][self._table]]

    def stored_before(self, seconds: int) -> Iterator[Item]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table,
            ConsistentRead=True,
            FilterExpression="stored_at < :then",
            ExpressionAttributeValues=pack({":then": seconds}),
        )
        for page in pages:
            yield from (unpack(item) for item in page["Items"])

    def remove(self, event_ids: Sequence[str]) -> list[str]:
        requests: Any = [{"DeleteRequest": {"Key": _key(event_id)}} for event_id in event_ids]
        left: Any = self._dynamodb.batch_write_item(RequestItems={self._table: requests})[
            "UnprocessedItems"
        ]
        return [
            unpack(request["DeleteRequest"]["Key"])["event_id"]
            for request in left.get(self._table, [])
        ]


class SqsRetries:
    """The retry queue. A message is `{"eventId": ...}`: the event itself stays in the table until it is published."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def add(self, event_ids: Sequence[str]) -> None:
        for event_id in event_ids:
            body = msgspec.json.encode({"eventId": event_id}).decode()
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)


def _key(event_id: str) -> dict[str, Any]:
    return pack({"event_id": event_id})
