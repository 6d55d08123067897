"""Computes the limits of single keys, such as one room or one post.

The load of a single key cannot be spread over partitions.
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
(common/live/audience.py).
"""
TRANSACTION = 2
"""Duration of a transaction, as a multiple of that of a plain call.

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

        They run one after the other.
        """
        return 1000 / (TRANSACTION * self._model.times.dynamodb_ms.value)

    def _room(self) -> Iterator[Limit]:
        inputs, units = self._inputs, self._rows[SEND].units
        delivery = inputs.stack.functions["delivery"]
        fan_out = setting("chat.room_parts")

        def posting(point: Point) -> float:
            """Returns the seconds that the delivery function takes to send a frame to its part of
            the busiest room.
            """
            listeners = self.room_listeners(point.users) / inputs.stack.room_parts
            return inputs.loads.posting("delivery", listeners)

        yield Limit(
            "hot room: time to post one frame to all listeners of a part",
            delivery.timeout,
            "s",
            "stack delivery/function timeout",
            posting,
            fan_out,
        )
        yield Limit(
            "hot room: time to deliver the frames of its message group, one after the other",
            1,
            "s/s",
            "stack delivery/frames-source, with lambdas.memory_size",
            lambda point: self.room_messages(point.users) * posting(point),
            fan_out,
        )
        batch_size = inputs.stack.event_sources["delivery/frames-source"].batch_size

        def batch(point: Point) -> float:
            """Returns the number of frames in a batch: those that arrive while the previous frame
            is sent.
            """
            return min(batch_size, max(1.0, self.room_messages(point.users) * posting(point)))

        yield Limit(
            "hot room: time to post the frames of a batch, which are posted again after a timeout",
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
            change=design("keep confirmed memberships of large rooms in the cache"),
        )
        yield inputs.by_quota(
            "hot room: its message number (chat-rooms)",
            WRITES,
            lambda point: self.room_messages(point.users) * units["chat-rooms writes"],
            change=design("number the messages of a large room in the cache"),
        )
        yield inputs.by_quota(
            "hot room: its messages in the index (room-messages-index)",
            WRITES,
            lambda point: (
                self.room_messages(point.users) * units["chat-messages/room-messages-index writes"]
            ),
            change=design("add a shard to the index's key"),
        )
        yield Limit(
            "hot room: messages stored one after the other",
            self._transactions(),
            "messages/s",
            "model times.dynamodb_ms",
            lambda point: self.room_messages(point.users),
            design("number the messages of a large room in the cache"),
        )

    def _post(self) -> Iterator[Limit]:
        inputs, units = self._inputs, self._rows[LIKE].units
        sharded = design("shard the counters of posts, and check the post without a transaction")
        keyed = [f"{table} writes" for table in ("post-posts", "post-counters", "post-likes")]
        yield inputs.by_quota(
            "hot post: writes of its likes (post-posts, post-counters, post-likes)",
            WRITES,
            lambda point: self.likes(point.users) * max(units[name] for name in keyed),
            change=sharded,
        )
        yield Limit(
            "hot post: likes stored one after the other",
            self._transactions(),
            "likes/s",
            "model times.dynamodb_ms",
            lambda point: self.likes(point.users),
            sharded,
        )
        yield Limit(
            "hot post: likes counted in its author's profile, one after the other",
            self._transactions(),
            "likes/s",
            "model times.dynamodb_ms",
            lambda point: self.likes(point.users),
            design("add up the likes of a batch before they are written"),
        )

    def _timeline(self) -> Iterator[Limit]:
        inputs, shards = self._inputs, self._inputs.stack.shards
        listed, created = self._rows[LIST].units, self._rows[CREATE].units
        index = "post-posts/timeline-index"
        cached = design("cache the newest page of the timeline for some seconds")

        def lists(point: Point) -> float:
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
            "timeline: reads of a shard (timeline-index); every list reads every shard",
            READS,
            lambda point: lists(point) * listed[f"{index} reads"] / MEASURED_SHARDS,
            change=cached,
        )
        yield inputs.by_quota(
            "timeline: reads of the newest post's counters (post-counters, post-likes)",
            READS,
            lambda point: (
                lists(point) * max(listed["post-counters reads"], listed["post-likes reads"]) / PAGE
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
            "one seller: ratings and contacts that wait for a listing's row",
            1000 / (statements * self._model.times.statement_ms.value),
            "transactions/s",
            "model times.statement_ms",
            lambda point: (
                hot.seller_share.value
                * sum(point.peak.traffic.rates.get(name, 0.0) for name in (RATE, CONTACT))
            ),
            design("add up the ratings of a listing outside of the request"),
            is_verified=False,
        )
        yield inputs.by_quota(
            "release ledger: writes of one service (platform-releases)",
            WRITES,
            lambda _: hot.releases_per_hour.value / 3600,
            change=design("write fewer records of a release"),
        )
        yield inputs.by_quota(
            "idempotency: repeats of one key (platform-idempotency)",
            WRITES,
            lambda _: (
                hot.repeats_per_second.value
                * self._rows[CREATE].units["platform-idempotency writes"]
            ),
            change=design("reject repeats of a running request without a write"),
        )
