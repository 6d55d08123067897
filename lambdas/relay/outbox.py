"""The relay's access to the outbox table and to the retry queue."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lambdas.common.storage.dynamodb import pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Item = dict[str, Any]
"""An item of the table in plain values, not yet validated as an event."""


class Outbox(Protocol):
    """Reads and removes unpublished events."""

    def read(self, event_ids: Sequence[str]) -> list[Item]:
        """Returns those of up to 10 events that are not yet published. Raises StoreBusyError."""

    def stored_before(self, seconds: int) -> Iterator[Item]:
        """Yields every unpublished event stored before a time (seconds since the epoch)."""

    def remove(self, event_ids: Sequence[str]) -> list[str]:
        """Removes up to 10 published events. Returns the ids of those not removed."""


class Retries(Protocol):
    """Queues events for a retry."""

    def add(self, event_ids: Sequence[str]) -> None:
        """Queues one retry message per event."""


class StoreBusyError(Exception):
    """The table did not return all requested events. Retry later."""


class DynamoOutbox:
    """The outbox in DynamoDB. It holds only unpublished events, so scans are cheap."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self, event_ids: Sequence[str]) -> list[Item]:
        # Consistent, because new events may not have reached every replica yet.
        request: Any = {"Keys": [_key(event_id) for event_id in event_ids], "ConsistentRead": True}
        result = self._dynamodb.batch_get_item(RequestItems={self._table: request})
        if result["UnprocessedKeys"]:
            raise StoreBusyError("the outbox table did not return all events")
        return [unpack(item) for item in result["Responses"][self._table]]

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
        unprocessed: Any = self._dynamodb.batch_write_item(RequestItems={self._table: requests})[
            "UnprocessedItems"
        ]
        return [
            unpack(request["DeleteRequest"]["Key"])["event_id"]
            for request in unprocessed.get(self._table, [])
        ]


class SqsRetries:
    """The retry queue. Messages are `{"eventId": ...}`; the event itself stays in the table."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def add(self, event_ids: Sequence[str]) -> None:
        for event_id in event_ids:
            body = msgspec.json.encode({"eventId": event_id}).decode()
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)


def _key(event_id: str) -> dict[str, Any]:
    return pack({"event_id": event_id})
