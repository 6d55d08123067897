"""Sends frames (WebSocket messages) to the connections of a room in parallel threads."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote
from zlib import crc32

import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from msgspec import Struct, structs

from lambdas.common.clients import CONNECT_TIMEOUT, READ_TIMEOUT
from lambdas.common.live.audience import Audience, AudienceReader
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.storage.cache import CacheUnavailableError

if TYPE_CHECKING:
    import boto3

PARALLEL_POSTS = 32
"""Maximum number of frames that are sent at the same time.

More threads would not send more frames per second, because the CPU is the limit. One CPU sends
fewer than 2,000 frames per second.
"""

Outcome = Literal["sent", "gone", "failed"]

Departure = Literal["left", "removed", "banned", "deleted"]
"""Why connections stop listening to a room: the user left, was removed or banned, or the room was
deleted."""

SESSION_ENDED = "session_ended"
"""The code of the error frame that a client receives when its session has ended."""


class Delivery(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A frame to send to a room, or to a part of its connections.

    If `name` is set, the cache records the delivery as sent under this name.

    `correlation_id` is the id of the request that caused the frame. It is set if the Lambda
    function that sends the frame is not the Lambda function that handled the request.

    `parts` is the number of parts into which the room's connections are divided. If it is more
    than 1, only the connections of the part with the number `part` receive the frame.
    """

    room_id: str
    frame: Frame
    name: str | None = None
    correlation_id: str | None = None
    part: int = 0
    parts: int = 1

    @property
    def record(self) -> str | None:
        """The name under which the cache records this delivery, or None if the cache does not
        record it.
        """
        if self.name is None or self.parts == 1:
            return self.name
        return part_name(self.name, self.part, self.parts)

    def is_for(self, connection: Connection) -> bool:
        """Returns True if this delivery must send its frame to the connection.

        The connections of a large room are divided among several deliveries.
        """
        # Each part has a separate message group, and the FIFO queue keeps the order only within a
        # group. Only the connection's id selects the part, so that all frames to a connection are
        # in one group.
        digest = crc32(connection.connection_id.encode()) if self.parts > 1 else 0
        return digest % self.parts == self.part

    def split(self, parts: int) -> "list[Delivery]":
        """Returns a delivery for each part of the room's connections."""
        return [structs.replace(self, part=part, parts=parts) for part in range(parts)]


def part_name(name: str, part: int, parts: int) -> str:
    """Returns the name under which the cache records the delivery of a part."""
    return f"{name}:{part}/{parts}"


class Gateway(Protocol):
    """Sends frames to WebSocket connections and closes them. The methods never raise."""

    def post(self, connection_id: str, frame: bytes) -> Outcome:
        """Sends a frame to a connection. Returns `gone` if the connection is closed."""

    def close(self, connection_id: str) -> None:
        """Closes a connection. Does nothing if it is already closed."""


class ApiGateway:
    """Sends frames and closes connections through the management API of API Gateway.

    botocore signs the requests and urllib3 sends them, because boto3's own client would double the
    CPU time per frame (docs/benchmarks.md).
    """

    def __init__(
        self,
        session: "boto3.session.Session",
        endpoint: str,
        logger: Logger,
        ca_bundle: str | None = None,
    ) -> None:
        """`endpoint` is the URL of the API's stage, without `/@connections`.

        `ca_bundle` is the path of a file with the certificates of the trusted authorities. If it
        is None, those of the operating system are trusted.
        """
        self._session = session
        self._endpoint = endpoint
        self._logger = logger
        # No retries, because a client that misses a frame gets a `resync` frame.
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=PARALLEL_POSTS,
            block=True,
            retries=False,
            timeout=timeout,
            ca_certs=ca_bundle,
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
        """Returns the response's status, or the name of the error."""
        url = f"{self._endpoint}/@connections/{quote(connection_id, safe='')}"
        request = AWSRequest(method, url, data=body)
        credentials = self._session.get_credentials()
        assert credentials is not None, "no AWS credentials"
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
    """Sends frames in parallel, only to members of the room whose session has not ended.

    Removes closed connections. If a frame cannot be sent, sends `resync` to the connection, so that
    its client reads the missed messages.
    """

    def __init__(
        self,
        gateway: Gateway,
        live: LiveRooms,
        audience: AudienceReader,
        logger: Logger,
        workers: int = PARALLEL_POSTS,
    ) -> None:
        self._gateway = gateway
        self._live = live
        self._audience = audience
        self._logger = logger
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="post")

    def post(self, connection: Connection, frame: Frame) -> "Future[Outcome]":
        """Starts sending a frame to a connection, and removes the connection if it is closed."""
        return self._pool.submit(self._post_or_remove, connection, msgspec.json.encode(frame))

    def deliver(
        self,
        deliveries: Sequence[Delivery],
        listeners: Mapping[str, Sequence[Connection]] | None = None,
    ) -> None:
        """Sends the frame of each delivery to the connections of its room, and waits until all
        frames are sent. If a room is divided into parts, each delivery is for only one part.

        Then removes connections whose session or membership has ended.

        `listeners` contains the connections by room. If it is None, reads them from the cache.

        Raises CacheUnavailableError if the cache cannot be read, and DynamoDB errors if sessions or
        memberships cannot be read. After such an error, no frame was sent, and no delivery was
        recorded as sent.
        """
        if listeners is None:
            listeners = self._read_listeners(deliveries)
        started = perf_counter()
        audience = self._audience.check(listeners)
        pending: dict[Future[Outcome], tuple[Connection, Delivery]] = {}
        for delivery in deliveries:
            data = msgspec.json.encode(delivery.frame)
            for connection in filter(delivery.is_for, audience.admitted[delivery.room_id]):
                future = self._pool.submit(self._gateway.post, connection.connection_id, data)
                pending[future] = (connection, delivery)
        wait(pending)
        self._log(deliveries, pending, round((perf_counter() - started) * 1000, 1))
        self._disconnect(
            connection for future, (connection, _) in pending.items() if future.result() == "gone"
        )
        self._resync((target for future, target in pending.items() if future.result() == "failed"))
        self._record_sent([delivery.record for delivery in deliveries if delivery.record])
        self._expel(audience)

    def _read_listeners(self, deliveries: Sequence[Delivery]) -> dict[str, list[Connection]]:
        """Returns the connections that receive at least one of the deliveries, by room."""
        rooms: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            rooms.setdefault(delivery.room_id, []).append(delivery)
        return {
            room_id: [c for c in self._live.connections(room_id) if any(d.is_for(c) for d in group)]
            for room_id, group in rooms.items()
        }

    def _log(
        self,
        deliveries: Sequence[Delivery],
        posts: Mapping["Future[Outcome]", tuple[Connection, Delivery]],
        duration_ms: float,
    ) -> None:
        """Logs the number of connections per outcome for each delivery.

        Omits deliveries that had no connection.
        """
        outcomes: dict[int, Counter[Outcome]] = {}
        for future, (_, delivery) in posts.items():
            outcomes.setdefault(id(delivery), Counter())[future.result()] += 1
        for delivery in deliveries:
            if counts := outcomes.get(id(delivery)):
                self._logger.info(
                    "frames sent",
                    room_id=delivery.room_id,
                    frame_type=delivery.frame["type"],
                    correlation_id=delivery.correlation_id or self._logger.get_correlation_id(),
                    sent=counts["sent"],
                    gone=counts["gone"],
                    failed=counts["failed"],
                    duration_ms=duration_ms,
                )

    def evict(self, room_id: str, reason: Departure, user_id: str | None = None) -> None:
        """Removes a user's connections from the room. Without `user_id`, removes all connections.

        Notifies the clients of these connections. Raises CacheUnavailableError.
        """
        listeners = self._live.connections(room_id)
        self._remove(room_id, [c for c in listeners if user_id in {None, c.user_id}], reason)

    def end_session(self, connection: Connection) -> None:
        """Notifies the client that its session has ended, and closes the connection."""
        frame = {
            "type": "error",
            "requestId": None,
            "code": SESSION_ENDED,
            "message": "The session has ended.",
        }
        self._gateway.post(connection.connection_id, msgspec.json.encode(frame))
        # The disconnect event then removes the connection. If the user has no other connection in a
        # room, the event also notifies this room that the user is offline.
        self._gateway.close(connection.connection_id)

    def _expel(self, audience: Audience) -> None:
        """Removes listeners who may not receive frames. If this fails, the next delivery removes
        them.
        """
        for room_id, connections in audience.removed.items():
            self._ignore_outage(partial(self._remove, room_id, connections, "removed"))
        wait([self._pool.submit(self.end_session, connection) for connection in audience.ended])

    def _remove(self, room_id: str, connections: Sequence[Connection], reason: Departure) -> None:
        self._live.remove(room_id, connections)
        frame: Frame = {"type": "room_left", "roomId": room_id, "reason": reason}
        wait([self.post(connection, frame) for connection in connections])

    def _post_or_remove(self, connection: Connection, data: bytes) -> Outcome:
        outcome = self._gateway.post(connection.connection_id, data)
        if outcome == "gone":
            self._disconnect([connection])
        return outcome

    def _resync(self, failed: Iterable[tuple[Connection, Delivery]]) -> None:
        """Sends a `resync` frame to connections that missed frames, once per room."""
        missed = dict.fromkeys((connection, delivery.room_id) for connection, delivery in failed)
        futures = [
            self.post(connection, {"type": "resync", "roomId": room_id})
            for connection, room_id in missed
        ]
        wait(futures)

    def _disconnect(self, connections: Iterable[Connection]) -> None:
        for connection in dict.fromkeys(connections):
            self._ignore_outage(partial(self._live.disconnect, connection))

    def _record_sent(self, names: Sequence[str]) -> None:
        if names:
            self._ignore_outage(lambda: self._live.mark_sent(names))

    def _ignore_outage(self, work: Callable[[], object]) -> None:
        """Runs `work`, which changes the cache. Only logs a warning if the cache is down.

        A later delivery repeats the change.
        """
        try:
            work()
        except CacheUnavailableError:
            self._logger.warning("cache unavailable")
