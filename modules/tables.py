"""The definitions of all DynamoDB tables."""

from __future__ import annotations

from modules.base.table import Index, TableDefinition

TABLES: tuple[TableDefinition, ...] = (
    TableDefinition(
        service="auth",
        resource="sessions",
        hash_key="session_id",
        indexes=[Index(name="user-id-index", hash_key="user_id")],
        ttl=True,
        stream=True,
        always_recoverable=True,
    ),
    TableDefinition(
        service="auth", resource="rate-limits", hash_key="limit_key", ttl=True, transient=True
    ),
    TableDefinition(
        service="profile",
        resource="profiles",
        hash_key="user_id",
        stream=True,
        always_recoverable=True,
    ),
    # Aliases of anonymous authors. The key is a hash of the user and the room or post.
    TableDefinition(service="profile", resource="aliases", hash_key="alias_key"),
    # The ids of the events that the statistics function has counted, to recognize repeated events.
    TableDefinition(service="profile", resource="counted-events", hash_key="event_id", ttl=True),
    TableDefinition(
        service="chat",
        resource="messages",
        hash_key="message_id",
        indexes=[Index(name="room-messages-index", hash_key="room_id", range_key="timestamp")],
        stream=True,
    ),
    TableDefinition(
        service="chat",
        resource="rooms",
        hash_key="room_id",
        indexes=[Index(name="room-type-index", hash_key="type")],
    ),
    TableDefinition(
        service="chat",
        resource="members",
        hash_key="room_id",
        range_key="user_id",
        indexes=[Index(name="user-rooms-index", hash_key="user_id")],
    ),
    TableDefinition(
        service="chat", resource="tickets", hash_key="ticket_hash", ttl=True, transient=True
    ),
    TableDefinition(
        service="post",
        resource="posts",
        hash_key="post_id",
        indexes=[
            # A query needs the exact hash key, and can select only a range of the range key. The
            # hash key therefore contains the month and a shard, and the time is the range key.
            Index(name="timeline-index", hash_key="timeline_bucket", range_key="created_at"),
            Index(name="author-posts-index", hash_key="author_id", range_key="created_at"),
        ],
        stream=True,
    ),
    TableDefinition(
        service="post",
        resource="comments",
        hash_key="comment_id",
        indexes=[Index(name="post-comments-index", hash_key="post_id", range_key="created_at")],
        stream=True,
    ),
    TableDefinition(service="post", resource="likes", hash_key="post_id", range_key="user_id"),
    # The table has one item per tag of a post. An index on the posts table could contain a post
    # under one tag only.
    TableDefinition(service="post", resource="tags", hash_key="tag", range_key="created_at"),
    # Counters are in a separate table, because each change of a post rewrites its entries in the
    # indexes.
    TableDefinition(service="post", resource="counters", hash_key="item_id"),
    TableDefinition(
        service="ai",
        resource="conversations",
        hash_key="user_id",
        range_key="conversation_id",
        ttl=True,
    ),
    TableDefinition(service="ai", resource="usage", hash_key="user_id", range_key="day", ttl=True),
    TableDefinition(
        service="platform",
        resource="idempotency",
        hash_key="idempotency_key",
        ttl=True,
        transient=True,
    ),
    # The authors of anonymous posts, comments and messages. Only permission checks read them.
    TableDefinition(service="platform", resource="authors", hash_key="item_id"),
    # Events that are not published yet. The table has no TTL, because these events must not expire.
    TableDefinition(service="platform", resource="outbox", hash_key="event_id", stream=True),
    TableDefinition(
        service="platform", resource="releases", hash_key="service", range_key="released_at"
    ),
    TableDefinition(service="migration", resource="state", hash_key="migration_id"),
)
