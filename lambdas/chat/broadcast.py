"""Sends frames (WebSocket messages) to a room's listeners, which are connections that joined it.

In small rooms, the chat function itself sends the frames. In large rooms, the delivery function
does, so that no sender waits until hundreds of frames are sent.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import structs

from lambdas.common.clock import new_id
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.fanout import Delivery, Departure, Fanout, Outcome
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.problems import Problem
from lambdas.common.storage.cache import CacheUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

INLINE_LIMIT = 100
"""The chat function itself sends frames to rooms with up to this number of connections. For larger
rooms, it queues frames for the delivery function, and sends no signals (see `signal`).

100 frames take 0.1 s (docs/benchmarks.md), about as long as a delivery through the queue.
"""


BATCH_SIZE = 5
"""Maximum SQS messages in one request. Each has the frame for one part of a room's connections.

SQS allows 10 messages and 256 KB per request. A frame with a text of 5,000 characters has up to
40 KB.
"""

UNAVAILABLE = (CacheUnavailableError, ClientError, BotoCoreError, Problem)
"""Errors raised if the cache or a table cannot be read to find a room's listeners."""


class DeliveryQueues:
    """The delivery function's queues: a FIFO queue for frames, a standard queue for retries.

    The methods return False on failure instead of raising an error.
    """

    def __init__(
        self,
        sqs: Callable[[], "SQSClient"],
        deliveries_url: str,
        retries_url: str,
        logger: Logger,
        parts: int = 1,
    ) -> None:
        """`sqs` returns the SQS client, and is called for the first message to a large room.

        `parts` is the number of parts into which the connections of a large room are divided. The
        parts receive frames in parallel.
        """
        self._sqs = sqs
        self._deliveries_url = deliveries_url
        self._retries_url = retries_url
        self._logger = logger
        self._parts = parts

    def deliver(self, delivery: Delivery) -> bool:
        """Queues a frame for the delivery function.

        The queue keeps the order of a room's frames. If the room's connections are divided into
        parts, the queue keeps the order within each part.
        """
        correlation_id = self._logger.get_correlation_id()
        delivery = structs.replace(delivery, correlation_id=correlation_id)
        if self._parts > 1:
            return self._deliver_parts(delivery.split(self._parts))
        return self._send(
            QueueUrl=self._deliveries_url,
            MessageBody=msgspec.json.encode(delivery).decode(),
            MessageGroupId=delivery.room_id,
            MessageDeduplicationId=delivery.name or new_id(),
        )

    def _deliver_parts(self, deliveries: list[Delivery]) -> bool:
        """Queues one delivery for each part of a room's connections, each part in its own message
        group.
        """
        deduplication_id = deliveries[0].name or new_id()
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(delivery.part),
                "MessageBody": msgspec.json.encode(delivery).decode(),
                "MessageGroupId": f"{delivery.room_id}:{delivery.part}",
                "MessageDeduplicationId": f"{deduplication_id}:{delivery.part}",
            }
            for delivery in deliveries
        ]
        failed: list[str] = []
        try:
            for start in range(0, len(entries), BATCH_SIZE):
                batch = entries[start : start + BATCH_SIZE]
                result = self._sqs().send_message_batch(
                    QueueUrl=self._deliveries_url, Entries=batch
                )
                failed += [failure["Code"] for failure in result.get("Failed", [])]
        except (ClientError, BotoCoreError) as error:
            failed.append(type(error).__name__)
        if failed:
            self._logger.error("delivery not queued", reason=failed[0], parts=len(failed))
        return not failed

    def evict(self, room_id: str, reason: Departure, user_id: str | None) -> bool:
        """Queues the removal of a user's connections from the room, or of all connections if
        `user_id` is None.
        """
        body = msgspec.json.encode({"roomId": room_id, "userId": user_id, "reason": reason})
        return self._send(QueueUrl=self._retries_url, MessageBody=body.decode())

    def _send(self, **message: str) -> bool:
        try:
            self._sqs().send_message(**message)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            self._logger.error("delivery not queued", reason=type(error).__name__)
            return False
        return True


class Broadcast:
    """Sends frames to rooms. Logs failures of the cache and the queue instead of raising them.

    The delivery function reads the message table's stream, and sends stored messages whose frames
    were not sent.
    """

    def __init__(
        self,
        fanout: Fanout,
        live: LiveRooms,
        queues: DeliveryQueues,
        logger: Logger,
        signal_limit: int = INLINE_LIMIT,
    ) -> None:
        """`signal_limit` is the maximum number of connections to which a signal (a presence, typing
        or read frame) is sent. A room with more connections receives no signals. A value above
        INLINE_LIMIT has the effect of INLINE_LIMIT.
        """
        self._signal_limit = signal_limit
        self._fanout = fanout
        self._live = live
        self._queues = queues
        self._logger = logger

    def send(self, delivery: Delivery) -> None:
        try:
            listeners = self._live.connections(delivery.room_id)
            if len(listeners) > INLINE_LIMIT:
                if self._queues.deliver(delivery) and delivery.name is not None:
                    self._live.mark_queued(delivery.name)
            else:
                self._fanout.deliver([delivery], {delivery.room_id: listeners})
        except UNAVAILABLE as error:
            self._logger.warning(
                "frame not delivered", room_id=delivery.room_id, reason=type(error).__name__
            )

    def signal(
        self, room_id: str, frame: Frame, *, exclude: Connection, registered_only: bool = False
    ) -> None:
        """Sends a presence, typing or read frame to the room's connections except `exclude`.

        If `registered_only` is True, anonymous users do not receive the frame. Sends nothing if the
        room has more than `signal_limit` connections besides `exclude`: each signal would cause
        too many frames.
        """
        try:
            listeners = [c for c in self._live.connections(room_id) if c != exclude]
            if len(listeners) <= min(self._signal_limit, INLINE_LIMIT):
                listeners = [c for c in listeners if c.visible or not registered_only]
                self._fanout.deliver([Delivery(room_id, frame)], {room_id: listeners})
        except UNAVAILABLE as error:
            self._logger.warning("signal not sent", room_id=room_id, reason=type(error).__name__)

    def send_to(self, connection: Connection, frame: Frame) -> "Future[Outcome]":
        """Starts to send a frame to one connection."""
        return self._fanout.post(connection, frame)

    def evict(self, room_id: str, reason: Departure, user_id: str | None = None) -> None:
        """Removes a user's connections from the room. Without `user_id`, removes all connections.

        Notifies the clients of these connections. If the cache is unavailable, the delivery
        function removes the connections later.
        """
        try:
            self._fanout.evict(room_id, reason, user_id)
        except CacheUnavailableError:
            self._queues.evict(room_id, reason, user_id)
