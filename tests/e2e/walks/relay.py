"""The walk of the relay: an event in the stream, a missed one, and an unpublishable one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from aws_lambda_powertools.logging import Logger

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack
from tests.e2e.faults import queue_attributes, without_source
from tests.e2e.walks.world import World

OUTBOX = "platform-outbox-local"
RETRIES = "relay-retries-queue-local"


def walk(world: World) -> Iterator[str]:
    dynamodb, sqs = world.client("dynamodb"), world.client("sqs")

    def stored(at: float) -> str:
        entry = OutboxWriter(OUTBOX, "post", Logger("walk"), lambda: at).put(
            "PostLiked", actor_id="walk", data={}
        )
        dynamodb.transact_write_items(TransactItems=[entry])
        return str(entry["Put"]["Item"]["event_id"]["S"])

    def published(event_id: str) -> bool:
        key = pack({"event_id": event_id})
        return "Item" not in dynamodb.get_item(TableName=OUTBOX, Key=key, ConsistentRead=True)

    def waiting(url: str) -> int:
        name = "ApproximateNumberOfMessagesDelayed"
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
        return int(found[name])

    event_id = stored(time.time())
    world.eventually(lambda: published(event_id))
    yield "stream"
    with (
        without_source(world.platform, "relay", ":dynamodb:"),
        queue_attributes(world.platform, RETRIES, DelaySeconds="0") as url,
    ):
        forgotten = stored(time.time() - 86_400)
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        world.eventually(lambda: published(forgotten))
    yield "sweep"
    with queue_attributes(world.platform, RETRIES, DelaySeconds="5") as url:
        before, odd = (
            waiting(url),
            pack({"event_id": f"post-{uuid.uuid4().hex}", "stored_at": int(time.time())}),
        )
        dynamodb.put_item(TableName=OUTBOX, Item=odd)
        try:
            world.eventually(lambda: waiting(url) > before)
        finally:
            dynamodb.delete_item(TableName=OUTBOX, Key={"event_id": odd["event_id"]})
    yield "retry"
