"""Computes the limits of single database keys, such as one room or one post.

DynamoDB cannot spread the load of a single key over several partitions.
"""

from __future__ import annotations

from collections.abc import Iterator

from ops.capacity.limits import Inputs, Limit, Point, design, setting
from ops.capacity.model import DAY

PAGE = 20
"""Number of posts on a page of the timeline when calls.yml was measured."""
MEASURED_SHARDS = 4
"""Number of shards that the timeline had when calls.yml was measured."""
RECHECK = 2.0
"""Seconds for which the delivery function reuses the memberships that it has read
(lambdas/common/live/audience.py).
"""
TRANSACTION = 2
"""Duration of a transaction, as a multiple of the duration of a single write.

A transaction has two phases, prepare and commit.
"""
LIKE, LIST, CREATE = "PUT /v1/posts/{postId}/like", "GET /v1/posts", "POST /v1/posts"
SEND, ROOMS, CREATE_ROOM = "frame send_message", "GET /v1/chat/rooms", "POST /v1/chat/rooms"
RATE, CONTACT = (f"POST /v1/catalog/listings/{{listingId}}/{end}" for end in ("ratings", "contact"))
READS, WRITES = "dynamodb.partition_reads", "dynamodb.partition_writes"


class HotKeys:
    """Computes the load of the most used key of each kind, such as the busiest room."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._model, self._rows = inputs.model, inputs.rows

    def limits(self) -> Iterator[Limit]:
        yield from self._room()
        yield from self._post()
        yield from self._timeline()
        yield from self._others()

    def room_listeners(self, users: float) -> float:
        """Returns the number of listeners in the busiest room."""
        return min(self._model.hot.room_members.value, users) * self._model.online_share

    def room_messages(self, users: float) -> float:
        """Returns the messages per second in the busiest room."""
        hot, people = self._model.hot, self._model.population
        members = min(hot.room_members.value, users)
        return members * hot.room_messages_per_member.value * people.peak_to_mean.value / DAY

    def likes(self, users: float) -> float:
        """Returns the likes per second of the most liked post."""
        hot = self._model.hot
        return min(hot.post_likes.value, users) / (hot.post_hours.value * 3600)

    def _transactions(self) -> float:
        """Returns the maximum number of transactions per second on one item.

        Transactions on the same item run one after the other.
        """
        return 1000 / (TRANSACTION * self._model.times.dynamodb_ms.value)

    def _room(self) -> Iterator[Limit]:
        inputs, units = self._inputs, self._rows[SEND].units
        delivery = inputs.stack.functions["delivery"]
        fan_out = setting("chat.room_parts")

        def posting(point: Point) -> float:
            """Returns the seconds that the delivery function takes to send a frame to one part of
            the busiest room.
            """
            listeners = self.room_listeners(point.users) / inputs.stack.room_parts
            return inputs.loads.posting("delivery", listeners)

        yield Limit(
            "hot room: time to send one frame to all listeners of one part of the room",
            delivery.timeout,
            "s",
            "stack delivery/function timeout",
            posting,
            fan_out,
        )
        yield Limit(
            "hot room: time to deliver the frames of its message group in order",
            1,
            "s/s",
            "stack delivery/frames-source, with lambdas.memory_size",
            lambda point: self.room_messages(point.users) * posting(point),
            fan_out,
        )
        batch_size = inputs.stack.event_sources["delivery/frames-source"].batch_size

        def batch(point: Point) -> float:
            """Returns the number of frames that the delivery function receives in one batch.

            These frames arrive while the function sends the previous frame.
            """
            return min(batch_size, max(1.0, self.room_messages(point.users) * posting(point)))

        yield Limit(
            "hot room: time to send the frames of a batch (after a timeout, all are sent again)",
            delivery.timeout,
            "s",
            "stack delivery/frames-source batch_size and delivery/function timeout",
            lambda point: batch(point) * posting(point),
            fan_out,
        )
        yield inputs.by_quota(
            "hot room: reads of its memberships (chat-members)",
            READS,
            lambda point: (
                min(self.room_messages(point.users), 1 / RECHECK) * self.room_listeners(point.users)
            ),
            change=design("keep the memberships of large rooms in the cache after reading them"),
        )
        yield inputs.by_quota(
            "hot room: writes of its last message number (chat-rooms)",
            WRITES,
            lambda point: self.room_messages(point.users) * units["chat-rooms writes"],
            change=design("assign the message numbers of large rooms in the cache"),
        )
        yield inputs.by_quota(
            "hot room: index writes of its messages (room-messages-index)",
            WRITES,
            lambda point: (
                self.room_messages(point.users) * units["chat-messages/room-messages-index writes"]
            ),
            change=design("add a shard to the index's key"),
        )
        yield Limit(
            "hot room: sequential writes of its messages",
            self._transactions(),
            "messages/s",
            "model times.dynamodb_ms",
            lambda point: self.room_messages(point.users),
            design("assign the message numbers of large rooms in the cache"),
        )

    def _post(self) -> Iterator[Limit]:
        inputs, units = self._inputs, self._rows[LIKE].units
        sharded = design(
            "shard the counters of posts, and check before the transaction that the post exists"
        )
        keyed = [f"{table} writes" for table in ("post-posts", "post-counters", "post-likes")]
        yield inputs.by_quota(
            "hot post: writes of its likes (post-posts, post-counters, post-likes)",
            WRITES,
            lambda point: self.likes(point.users) * max(units[name] for name in keyed),
            change=sharded,
        )
        yield Limit(
            "hot post: sequential writes of its likes",
            self._transactions(),
            "likes/s",
            "model times.dynamodb_ms",
            lambda point: self.likes(point.users),
            sharded,
        )
        yield Limit(
            "hot post: sequential updates of the like count in its author's profile",
            self._transactions(),
            "likes/s",
            "model times.dynamodb_ms",
            lambda point: self.likes(point.users),
            design("add up the likes of a batch before writing them"),
        )

    def _timeline(self) -> Iterator[Limit]:
        inputs, shards = self._inputs, self._inputs.stack.shards
        listed, created = self._rows[LIST].units, self._rows[CREATE].units
        index = "post-posts/timeline-index"
        cached = design("cache the newest page of the timeline for some seconds")

        def list_requests(point: Point) -> float:
            return point.peak.traffic.rates.get(LIST, 0.0)

        yield inputs.by_quota(
            "timeline: writes of a shard (timeline-index)",
            WRITES,
            lambda point: (
                point.peak.traffic.rates.get(CREATE, 0.0) * created[f"{index} writes"] / shards
            ),
            change=setting("dynamodb.timeline_shards"),
        )
        yield inputs.by_quota(
            "timeline: reads of a shard (timeline-index; every list request reads all shards)",
            READS,
            lambda point: list_requests(point) * listed[f"{index} reads"] / MEASURED_SHARDS,
            change=cached,
        )
        yield inputs.by_quota(
            "timeline: reads of the newest post's counters (post-counters, post-likes)",
            READS,
            lambda point: (
                list_requests(point)
                * max(listed["post-counters reads"], listed["post-likes reads"])
                / PAGE
            ),
            change=cached,
        )

    def _others(self) -> Iterator[Limit]:
        inputs, hot = self._inputs, self._model.hot
        reads = self._rows[ROOMS].units["chat-rooms/room-type-index reads"]
        writes = self._rows[CREATE_ROOM].units["chat-rooms/room-type-index writes"]
        statements = max(self._rows[name].statements for name in (RATE, CONTACT))
        yield inputs.by_quota(
            "list of public rooms: reads (room-type-index)",
            READS,
            lambda point: point.peak.traffic.rates.get(ROOMS, 0.0) * reads,
            change=design("cache the list of public rooms"),
        )
        yield inputs.by_quota(
            "list of public rooms: writes (room-type-index)",
            WRITES,
            lambda point: point.peak.traffic.rates.get(CREATE_ROOM, 0.0) * writes,
            change=design("add a shard to the index's key"),
        )
        yield Limit(
            "one seller: ratings and contact requests that wait for the lock on a listing's row",
            1000 / (statements * self._model.times.statement_ms.value),
            "transactions/s",
            "model times.statement_ms",
            lambda point: (
                hot.seller_share.value
                * sum(point.peak.traffic.rates.get(name, 0.0) for name in (RATE, CONTACT))
            ),
            design("add up the ratings of a listing outside the request"),
            is_verified=False,
        )
        yield inputs.by_quota(
            "release ledger: writes of the records of one service (platform-releases)",
            WRITES,
            lambda _: hot.releases_per_hour.value / 3600,
            change=design("write fewer records per release"),
        )
        yield inputs.by_quota(
            "idempotency: retries with one key (platform-idempotency)",
            WRITES,
            lambda _: (
                hot.repeats_per_second.value
                * self._rows[CREATE].units["platform-idempotency writes"]
            ),
            change=design("reject the retry of a running request before writing to the table"),
        )
