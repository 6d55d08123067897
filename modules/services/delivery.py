"""The delivery function, which sends chat frames (WebSocket messages) to large rooms."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import Construct

from environments import Environment
from modules.api.websocket import WebSocketApi
from modules.base.access import Prefix, bucket_access, cache_access, queue_sending, table_access
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection
from modules.base.event_source import queue_source, stream_source
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.queue import Queue
from modules.base.table import Table

ATTACHMENTS_PREFIX = "chat/"
"""The prefix of validated chat attachments. Members download them with signed URLs."""

RETRY_DELAY = 10
"""Seconds after which a stored message is delivered again if its delivery is not recorded.

A normal delivery takes about 0.1 s in a small room, and less than 10 s in a room with thousands of
members.
"""

RETRY_RECEIVES = 20
"""The number of attempts before a message of the retry queue moves to the dead-letter queue.

The attempts are a minute apart, so no message is lost if the cache is down for 15 minutes.
"""

VISIBILITY_TIMEOUTS = 2
"""The visibility timeout of a received message, as a multiple of the function's timeout.

AWS recommends six, so that a message survives a throttled consumer. But if Lambda stops an
invocation, the messages of that invocation block their rooms in the FIFO queue until the visibility
timeout ends, so chat needs a short one. With two, no chat message is lost, because messages without
a recorded delivery are delivered through the retry queue (see docs/decisions/0042-fan-out.md).
"""


def room_variables(environment: Environment) -> dict[str, str]:
    """Returns the variables of the functions that send frames to rooms."""
    parts = environment.chat.room_parts
    return {"ROOM_PARTS": str(parts)} if parts > 1 else {}


class Delivery(Construct):
    """Delivers frames to the connections of rooms.

    The chat function sends the frames of large rooms to the FIFO queue, with the room as message
    group. The stream of the messages table invokes the delivery function for each stored message.
    If the delivery of a message is not recorded yet, the function sends it to the retry queue. The
    queue's delay is longer than a normal delivery. After the delay, the function delivers the
    message if its delivery is still not recorded. For each deleted room that the stream reports,
    the function also sends a message to the retry queue, and deletes the room's data when it
    receives that message. The chat function sends to both queues.

    Args:
        platform: The settings and resources that all functions share.
        websocket_api: The API to whose connections the function sends frames.
        tables: The DynamoDB tables, by name without environment. `chat-messages` has a stream.
        attachments: The bucket from which the files of deleted rooms are deleted.
        cache: The cache of the connections.
        network: The subnets and security group from which the function reaches the cache.
        kms_key_arn: The KMS key that encrypts the queues.

    Attributes:
        function: The function.
        deliveries, retries: The FIFO queue and the retry queue.
        queues: Queue names by purpose, including dead-letter queues.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        websocket_api: WebSocketApi,
        tables: Mapping[str, Table],
        attachments: Bucket,
        cache: CacheConnection,
        network: FunctionNetwork,
        kms_key_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        names = platform.names

        def queue(
            resource: str,
            *,
            fifo: bool = False,
            high_throughput: bool = False,
            delay: int | None = None,
            max_receives: int = 5,
        ) -> Queue:
            return Queue(
                self,
                resource,
                names=names,
                service="delivery",
                resource=resource,
                kms_key_arn=kms_key_arn,
                alerts_topic_arn=platform.alerts_topic_arn,
                visibility_timeout=VISIBILITY_TIMEOUTS
                * platform.environment.function("delivery").timeout,
                fifo=fifo,
                high_throughput=high_throughput,
                delay=delay,
                max_receives=max_receives,
            )

        has_parts = platform.environment.chat.room_parts > 1
        self.deliveries = queue("frames", fifo=True, high_throughput=has_parts)
        self.retries = queue("retries", delay=RETRY_DELAY, max_receives=RETRY_RECEIVES)
        self.queues = {
            "delivery-frames": self.deliveries.name,
            "delivery-frames-dlq": self.deliveries.dead_letter_queue.name,
            "delivery-retries": self.retries.name,
            "delivery-retries-dlq": self.retries.dead_letter_queue.name,
        }
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="delivery",
            variables=room_variables(platform.environment),
            description="Delivers chat frames to large rooms, repeats lost deliveries,"
            " and deletes the data of deleted rooms",
            access=[
                # GetItem reads a stored message whose delivery was lost. The batch operations
                # delete the data of deleted rooms.
                table_access(
                    tables["chat-messages"],
                    "GetItem",
                    "BatchGetItem",
                    "BatchWriteItem",
                    index_sid="BesideMessages",
                ),
                # BatchGetItem, here and in the next statement, determines which listeners may
                # receive a frame.
                table_access(tables["chat-members"], "BatchGetItem", "Query", "BatchWriteItem"),
                table_access(tables["auth-sessions"], "BatchGetItem"),
                table_access(tables["platform-authors"], "BatchWriteItem"),
                # Reads the current names of authors.
                table_access(tables["profile-profiles"], "BatchGetItem"),
                bucket_access(
                    "S3_BUCKET_ATTACHMENTS",
                    attachments,
                    Prefix(
                        "Attachments", ATTACHMENTS_PREFIX, ("DeleteObject",), "AttachmentsOfRoom"
                    ),
                ),
                websocket_api.connection_access(),
                # The function sends requests to itself: later checks of deliveries, and removals of
                # deleted rooms' data. Lambda sends reports of discarded batches.
                queue_sending("DELIVERY_RETRIES_QUEUE_URL", self.retries),
                stream_source(
                    "stream",
                    tables["chat-messages"],
                    # Of the table's items, only messages and markers of deleted rooms have `seq`.
                    pattern={
                        "eventName": ["INSERT", "MODIFY"],
                        "dynamodb": {"NewImage": {"seq": {"N": [{"exists": True}]}}},
                    },
                    failures=self.retries,
                ),
                # If rooms have several parts, each part has its own message with the same frame.
                # With larger batches, Lambda would pass the messages of all parts to one
                # invocation, which would handle them one after the other.
                queue_source("frames-source", self.deliveries, batch_size=1 if has_parts else 10),
                queue_source("retries-source", self.retries),
                cache_access(names, cache),
            ],
            network=network,
        )
