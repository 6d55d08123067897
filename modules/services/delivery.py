"""Delivery of chat frames: the function behind big rooms, its queues, and its watch over the messages' stream."""

from __future__ import annotations

from constructs import Construct

from modules.api.websocket import WebSocketApi
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection
from modules.base.data_access import cache_access
from modules.base.event_source import QueueSource, StreamSource
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.base.table import Table
from modules.services.statements import (
    index_access,
    object_access,
    queue_key,
    queue_receiving,
    queue_sending,
    stream_reading,
    table_access,
)

ATTACHMENTS = "chat/"
"""Where in their bucket chat's attachments are once checked; members read them by signed addresses."""

PATIENCE = 10
"""Seconds that a stored message may be on its way before it is delivered again: a hundred times as long as a small room takes, and a
few times as long as one of thousands."""

OUTAGE = 20
"""How often the retry queue gives a message before it goes to the dead-letter queue: with a minute in between, an outage of the cache
of a quarter of an hour loses nothing."""

BATCH_TIME = 60
"""Seconds a message of the queues stays hidden while it is worked on: the function's own 30, twice."""


class Delivery(Construct):
    """Brings frames to the connections of rooms.

    The sender's function hands a big room's frame to the ordered queue, group = room. The stream tells of every stored message; what is
    not remembered as sent goes to the retry queue, whose delay is over long after an ordinary delivery, and is made good then. The same
    stream tells of deleted rooms, and what they leave is removed by way of the same queue.

    Args:
        platform: what it shares with the other functions.
        websocket_api: whose connections it posts to.
        messages: the messages' table, with its stream.
        members, authors: the tables, and
        attachments: the bucket, that deleted rooms are removed from.
        cache: knows the connections.
        network: where in the VPC it runs, to reach the cache.
        kms_key_arn: encrypts the queues.

    Attributes:
        function: the function.
        deliveries, retries: the queues; chat sends to both.
        queues: queue names by what they are, dead-letter queues included.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        websocket_api: WebSocketApi,
        messages: Table,
        members: Table,
        authors: Table,
        attachments: Bucket,
        cache: CacheConnection,
        network: FunctionNetwork,
        kms_key_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        names = platform.names

        def queue(
            resource: str, *, fifo: bool = False, delay: int | None = None, max_receives: int = 5
        ) -> Queue:
            return Queue(
                self,
                resource,
                names=names,
                service="delivery",
                resource=resource,
                kms_key_arn=kms_key_arn,
                alerts_topic_arn=platform.alerts_topic_arn,
                visibility_timeout=BATCH_TIME,
                fifo=fifo,
                delay=delay,
                max_receives=max_receives,
                tls_only=platform.environment.capabilities.queue_tls_policy,
            )

        self.deliveries = queue("frames", fifo=True)
        self.retries = queue("retries", delay=PATIENCE, max_receives=OUTAGE)
        self.queues = {
            "delivery-frames": self.deliveries.name,
            "delivery-frames-dlq": self.deliveries.dead_letter_queue.name,
            "delivery-retries": self.retries.name,
            "delivery-retries-dlq": self.retries.dead_letter_queue.name,
        }
        live = cache_access(names, cache)
        receiving = queue_receiving(self.deliveries)
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="delivery",
            description="Brings chat frames to big rooms, makes lost ones good, clears up after deleted rooms",
            variables={
                "DYNAMODB_TABLE_MESSAGES": messages.name,
                "DYNAMODB_TABLE_MEMBERS": members.name,
                "DYNAMODB_TABLE_AUTHORS": authors.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                "WEBSOCKET_API_ENDPOINT": websocket_api.management_endpoint,
                "DELIVERY_RETRIES_QUEUE_URL": self.retries.url,
                **live.variables,
            },
            statements=[
                # One at a time to deliver; in batches, here and below, what a deleted room leaves.
                table_access("Messages", messages, "GetItem", "BatchGetItem", "BatchWriteItem"),
                index_access("BesideMessages", messages),
                table_access("Members", members, "Query", "BatchWriteItem"),
                table_access("Authors", authors, "BatchWriteItem"),
                object_access("Attachments", attachments, ATTACHMENTS, "DeleteObject"),
                Statement(
                    sid="AttachmentsOfRoom",
                    actions=["s3:ListBucket"],
                    resources=[attachments.arn],
                    conditions={"StringLike": {"s3:prefix": f"{ATTACHMENTS}*"}},
                ),
                Statement(
                    sid="Connections",
                    actions=["execute-api:ManageConnections"],
                    resources=[websocket_api.posting_arn],
                ),
                # What is to be looked at later, and what Lambda tells of batches it has given up.
                queue_sending("Retries", self.retries),
                stream_reading(messages),
                Statement(
                    sid=receiving.sid,
                    actions=receiving.actions,
                    resources=[self.deliveries.arn, self.retries.arn],
                ),
                queue_key(names, self.retries, sends=True),
                *live.statements,
            ],
            network=network,
        )
        StreamSource(
            self,
            "stream",
            function=self.function,
            table=messages,
            # Of what is in the table, only messages, and the word of a deleted room, have a number.
            pattern={
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": {"NewImage": {"seq": {"N": [{"exists": True}]}}},
            },
            failures=self.retries,
        )
        QueueSource(self, "frames-source", function=self.function, queue=self.deliveries)
        QueueSource(self, "retries-source", function=self.function, queue=self.retries)
