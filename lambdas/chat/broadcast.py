"""Telling a room's listeners: a small room at once, a big one by the delivery function, so that no sender waits for hundreds."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.common.clock import new_id
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.fanout import Delivery, Fanout, Outcome
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.storage.cache import CacheUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

INLINE_LIMIT = 100
"""Connections that the sender's own function still posts to: a tenth of a second of its time (docs/benchmarks.md), while the way
through the queue costs every listener about as much."""


class Handover(Protocol):
    """Takes deliveries for later. Its methods raise nothing; False: it was not taken."""

    def deliver(self, delivery: Delivery) -> bool:
        """In the order of the room's deliveries."""

    def evict(self, room_id: str, user_id: str) -> bool:
        """A member's connections are to leave the room as soon as that is possible."""


class Broadcast:
    """Sends frames to rooms; never raises for a listener's, the cache's or the queue's sake.

    A named delivery that is not made here is found by the messages' stream and made by the delivery function.
    """

    def __init__(self, fanout: Fanout, live: LiveRooms, handover: Handover, logger: Logger) -> None:
        self._fanout = fanout
        self._live = live
        self._handover = handover
        self._logger = logger

    def send(self, delivery: Delivery) -> None:
        """A frame that everybody in the room is to get."""
        try:
            listeners = self._live.connections(delivery.room_id)
            if len(listeners) > INLINE_LIMIT:
                if self._handover.deliver(delivery) and delivery.name is not None:
                    self._live.mark_queued(delivery.name)
            else:
                self._fanout.deliver([delivery], {delivery.room_id: listeners})
        except CacheUnavailableError:
            self._logger.warning("not delivered for want of the cache", room_id=delivery.room_id)

    def signal(
        self, room_id: str, frame: Frame, *, but: Connection, registered_only: bool = False
    ) -> None:
        """A frame of the moment (presence, typing, read marks) for everybody but the one it is about, or for registered users alone.

        Sent in rooms of up to INLINE_LIMIT connections: with hundreds, each of whom would cause hundreds of frames, nobody could follow
        them.
        """
        try:
            listeners = [c for c in self._live.connections(room_id) if c != but]
            if len(listeners) <= INLINE_LIMIT:
                listeners = [c for c in listeners if c.visible or not registered_only]
                self._fanout.deliver([Delivery(room_id, frame)], {room_id: listeners})
        except CacheUnavailableError:
            self._logger.warning("not signalled for want of the cache", room_id=room_id)

    def answer(self, connection: Connection, frame: Frame) -> "Future[Outcome]":
        """Begins to send a frame to one connection."""
        return self._fanout.post(connection, frame)

    def evict(self, room_id: str, user_id: str) -> None:
        """The user's connections get nothing of the room any more: from now on, or from when the cache is back."""
        try:
            self._live.evict(room_id, user_id)
        except CacheUnavailableError:
            self._handover.evict(room_id, user_id)

    def close(self, room_id: str) -> None:
        """Nobody is in the room any more."""
        try:
            self._live.close(room_id)
        except CacheUnavailableError:
            self._logger.warning("connections stay in a room that is gone", room_id=room_id)


class QueueHandover:
    """The delivery function's queues: the ordered one for frames, the other for what has to wait."""

    def __init__(
        self, sqs: Callable[[], "SQSClient"], deliveries_url: str, retries_url: str, logger: Logger
    ) -> None:
        """`sqs` gives the client when the first message is sent; small rooms need none."""
        self._sqs = sqs
        self._deliveries_url = deliveries_url
        self._retries_url = retries_url
        self._logger = logger

    def deliver(self, delivery: Delivery) -> bool:
        return self._send(
            QueueUrl=self._deliveries_url,
            MessageBody=msgspec.json.encode(delivery).decode(),
            MessageGroupId=delivery.room_id,
            MessageDeduplicationId=delivery.name or new_id(),
        )

    def evict(self, room_id: str, user_id: str) -> bool:
        body = msgspec.json.encode({"roomId": room_id, "userId": user_id}).decode()
        return self._send(QueueUrl=self._retries_url, MessageBody=body)

    def _send(self, **message: str) -> bool:
        try:
            self._sqs().send_message(**message)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            self._logger.error("not handed over", reason=type(error).__name__)
            return False
        return True
