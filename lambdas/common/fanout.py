"""Sending frames to the connections of a room: all at once, as far as the threads reach, and none waiting for another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from lambdas.common.cache import CacheUnavailableError
from lambdas.common.chat_messages import Frame
from lambdas.common.clients import POSTS
from lambdas.common.live import Connection, LiveRooms
from lambdas.common.logs import Logger

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

Outcome = Literal["sent", "gone", "failed"]


class Delivery(Struct, frozen=True, rename="camel"):
    """A frame for a room. `name` is remembered as sent afterwards; None: nobody asks."""

    room_id: str
    frame: Frame
    name: str | None = None


class Gateway(Protocol):
    """The WebSocket API's side of the connections. Its methods raise nothing."""

    def post(self, connection_id: str, frame: bytes) -> Outcome:
        """Sends a frame; `gone` when the connection is closed."""

    def close(self, connection_id: str) -> None:
        """Closes a connection; that it is closed already is fine."""


class ApiGateway:
    """The management API of API Gateway."""

    def __init__(self, client: "ApiGatewayManagementApiClient", logger: Logger) -> None:
        self._client = client
        self._logger = logger

    def post(self, connection_id: str, frame: bytes) -> Outcome:
        try:
            self._client.post_to_connection(ConnectionId=connection_id, Data=frame)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return "gone"
            self._logger.warning("frame not sent", reason=error.response["Error"]["Code"])
            return "failed"
        except BotoCoreError as error:
            self._logger.warning("frame not sent", reason=type(error).__name__)
            return "failed"
        return "sent"

    def close(self, connection_id: str) -> None:
        try:
            self._client.delete_connection(ConnectionId=connection_id)
        except (ClientError, BotoCoreError) as error:
            self._logger.info("connection not closed", reason=type(error).__name__)


_GONE = {"GoneException", "410"}


class Fanout:
    """Posts in parallel. A connection that is gone is forgotten at once; one that could not be reached is told to look for itself."""

    def __init__(self, gateway: Gateway, live: LiveRooms, logger: Logger, workers: int = POSTS) -> None:
        self._gateway = gateway
        self._live = live
        self._logger = logger
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="post")

    def post(self, connection: Connection, frame: Frame) -> "Future[Outcome]":
        """Begins to send one frame to one connection. A connection that turns out to be gone is forgotten."""
        return self._pool.submit(self._post_alone, connection, msgspec.json.encode(frame))

    def deliver(
        self, deliveries: Sequence[Delivery], listeners: Mapping[str, Sequence[Connection]] | None = None
    ) -> None:
        """Sends every delivery to every connection of its room; returns when all is done, and never waits for one before another.

        `listeners` are the rooms' connections where they are known already. Raises CacheUnavailableError when they cannot be found
        out; then nothing has been sent, and nothing is remembered as sent.
        """
        listeners = listeners or {
            room_id: self._live.connections(room_id) for room_id in dict.fromkeys(d.room_id for d in deliveries)
        }
        under_way: dict[Future[Outcome], tuple[Connection, Delivery]] = {}
        for delivery in deliveries:
            data = msgspec.json.encode(delivery.frame)
            for connection in listeners[delivery.room_id]:
                future = self._pool.submit(self._gateway.post, connection.connection_id, data)
                under_way[future] = (connection, delivery)
        wait(under_way)
        self._forget(connection for future, (connection, _) in under_way.items() if future.result() == "gone")
        self._resync((target for future, target in under_way.items() if future.result() == "failed"))
        self._remember([delivery.name for delivery in deliveries if delivery.name is not None])

    def _post_alone(self, connection: Connection, data: bytes) -> Outcome:
        outcome = self._gateway.post(connection.connection_id, data)
        if outcome == "gone":
            self._forget([connection])
        return outcome

    def _resync(self, failed: Iterable[tuple[Connection, Delivery]]) -> None:
        """Tells connections that missed a frame to fetch what they lack: a short frame, once for each room."""
        missed = dict.fromkeys((connection, delivery.room_id) for connection, delivery in failed)
        futures = [self.post(connection, {"type": "resync", "roomId": room_id}) for connection, room_id in missed]
        wait(futures)

    def _forget(self, connections: Iterable[Connection]) -> None:
        for connection in dict.fromkeys(connections):
            self._try(lambda gone=connection: self._live.disconnect(gone))  # type: ignore[misc]

    def _remember(self, names: Sequence[str]) -> None:
        if names:
            self._try(lambda: self._live.mark_sent(names))

    def _try(self, work: Callable[[], object]) -> None:
        """What may be left undone: a connection that stays gone is met again, and what is not remembered is sent again."""
        try:
            work()
        except CacheUnavailableError:
            self._logger.warning("the cache does not answer")
