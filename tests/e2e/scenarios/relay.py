"""Stores events in the outbox that the relay must handle: a new, a missed and an invalid one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from aws_lambda_powertools.logging import Logger

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.faults import change_queue_attributes, disable_event_source

OUTBOX = "platform-outbox-local"
RETRIES = "relay-retries-queue-local"


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    dynamodb, sqs = context.client("dynamodb"), context.client("sqs")

    def store_event(at: float) -> str:
        entry = OutboxWriter(OUTBOX, "post", Logger("scenario"), lambda: at).put(
            "PostLiked", actor_id="scenario", data={}
        )
        dynamodb.transact_write_items(TransactItems=[entry])
        return str(entry["Put"]["Item"]["event_id"]["S"])

    def is_published(event_id: str) -> bool:
        key = pack({"event_id": event_id})
        return "Item" not in dynamodb.get_item(TableName=OUTBOX, Key=key, ConsistentRead=True)

    def count_delayed(url: str) -> int:
        name = "ApproximateNumberOfMessagesDelayed"
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
        return int(attributes[name])

    event_id = store_event(time.time())
    context.wait_for(lambda: is_published(event_id))
    yield "stream"
    with (
        disable_event_source(context.platform, "relay", ":dynamodb:"),
        change_queue_attributes(context.platform, RETRIES, DelaySeconds="0") as url,
    ):
        missed = store_event(time.time() - 86_400)
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        context.wait_for(lambda: is_published(missed))
    yield "sweep"
    with change_queue_attributes(context.platform, RETRIES, DelaySeconds="5") as url:
        before = count_delayed(url)
        incomplete = pack({"event_id": f"post-{uuid.uuid4().hex}", "stored_at": int(time.time())})
        dynamodb.put_item(TableName=OUTBOX, Item=incomplete)
        try:
            context.wait_for(lambda: count_delayed(url) > before)
        finally:
            dynamodb.delete_item(TableName=OUTBOX, Key={"event_id": incomplete["event_id"]})
    yield "retry"
