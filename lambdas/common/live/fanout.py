"""Sending frames to the connections of a room: all at once, as far as the threads reach, and none waiting for another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote

import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from msgspec import Struct

from lambdas.common.clients import CONNECT_TIMEOUT, READ_TIMEOUT
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.storage.cache import CacheUnavailableError

if TYPE_CHECKING:
    import boto3

POSTS = 32
"""Frames on their way to connections at once. More gain nothing: one processor signs and sends fewer than 2,000 a second."""

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
    """The management API of API Gateway.

    Requests are signed by botocore and sent by urllib3, without the client in between: for hundreds of posts of one frame that client
    took half of the processor's time (docs/benchmarks.md).
    """

    def __init__(self, session: "boto3.session.Session", endpoint: str, logger: Logger) -> None:
        """`endpoint` is the stage's address, without `/@connections`."""
        self._session = session
        self._endpoint = endpoint
        self._logger = logger
        # Whoever does not get a frame is told to look for what it misses: no post is repeated.
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=POSTS, block=True, retries=False, timeout=timeout
        )

    def post(self, connection_id: str, frame: bytes) -> Outcome:
        status = self._request("POST", connection_id, frame)
        if status == HTTPStatus.OK:
            return "sent"
        if status == HTTPStatus.GONE:
            return "gone"
        self._logger.warning("frame not sent", reason=status)
        return "failed"

    def close(self, connection_id: str) -> None:
        self._request("DELETE", connection_id, None)

    def _request(self, method: str, connection_id: str, body: bytes | None) -> int | str:
        """The answer's status, or what kept it from coming."""
        url = f"{self._endpoint}/@connections/{quote(connection_id, safe='')}"
        request = AWSRequest(method, url, data=body)
        credentials = self._session.get_credentials()
        assert credentials is not None, "a function has its role's credentials"
        SigV4Auth(
            credentials.get_frozen_credentials(), "execute-api", self._session.region_name
        ).add_auth(request)
        try:
            return self._pool.request(
                method, url, body=body, headers=dict(request.headers.items())
            ).status
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__


class Fanout:
    """Posts in parallel. A connection that is gone is forgotten at once; one that could not be reached is told to look for itself."""

    def __init__(
        self, gateway: Gateway, live: LiveRooms, logger: Logger, workers: int = POSTS
    ) -> None:
        self._gateway = gateway
        self._live = live
        self._logger = logger
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="post")

    def post(self, connection: Connection, frame: Frame) -> "Future[Outcome]":
        """Begins to send one frame to one connection. A connection that turns out to be gone is forgotten."""
        return self._pool.submit(self._post_alone, connection, msgspec.json.encode(frame))

    def deliver(
        self,
        deliveries: Sequence[Delivery],
        listeners: Mapping[str, Sequence[Connection]] | None = None,
    ) -> None:
        """Sends every delivery to every connection of its room; returns when all is done, and never waits for one before another.

        `listeners` are the rooms' connections where they are known already. Raises CacheUnavailableError when they cannot be found
        out; then nothing has been sent, and nothing is remembered as sent.
        """
        listeners = listeners or {
            room_id: self._live.connections(room_id)
            for room_id in dict.fromkeys(d.room_id for d in deliveries)
        }
        under_way: dict[Future[Outcome], tuple[Connection, Delivery]] = {}
        for delivery in deliveries:
            data = msgspec.json.encode(delivery.frame)
            for connection in listeners[delivery.room_id]:
                future = self._pool.submit(self._gateway.post, connection.connection_id, data)
                under_way[future] = (connection, delivery)
        wait(under_way)
        self._forget(
            connection for future, (connection, _) in under_way.items() if future.result() == "gone"
        )
        self._resync(
            (target for future, target in under_way.items() if future.result() == "failed")
        )
        self._remember([delivery.name for delivery in deliveries if delivery.name is not None])

    def _post_alone(self, connection: Connection, data: bytes) -> Outcome:
        outcome = self._gateway.post(connection.connection_id, data)
        if outcome == "gone":
            self._forget([connection])
        return outcome

    def _resync(self, failed: Iterable[tuple[Connection, Delivery]]) -> None:
        """Tells connections that missed a frame to fetch what they lack: a short frame, once for each room."""
        missed = dict.fromkeys((connection, delivery.room_id) for connection, delivery in failed)
        futures = [
            self.post(connection, {"type": "resync", "roomId": room_id})
            for connection, room_id in missed
        ]
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
