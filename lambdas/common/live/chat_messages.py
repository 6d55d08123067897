"""Chat messages as stored in the table, as JSON in responses, and as frames (WebSocket messages).

Also defines the keys of the other items in the messages table. The chat function writes these
items, and the delivery function deletes them.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id

Frame = dict[str, Any]
"""A message from the server over a WebSocket, before JSON encoding."""

FIRST_VERSION = 1

MEMBER_ROLES = frozenset({"owner", "admin", "moderator", "member"})
"""The roles of members. In the members table, items with other roles are not memberships."""

MESSAGES_INDEX = "room-messages-index"
"""The index of a room's messages by time, with the keys `room_id` and `timestamp`."""


class Attachment(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file attached to a message. `size` is in bytes."""

    attachment_id: str
    file_name: str
    content_type: str
    size: int


class MessageView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A message as responses and frames contain it. `reactions` are counts by emoji.

    An anonymous message has `alias_id` in place of `author_id`.
    """

    message_id: Id
    room_id: Id
    author_id: Id | UnsetType = UNSET
    alias_id: Id | UnsetType = UNSET
    author_name: str
    content: str
    type: str
    seq: int
    timestamp: Timestamp
    reactions: dict[str, int]
    reply_to: Id | None
    is_edited: bool
    is_deleted: bool
    is_anonymous: bool
    attachments: tuple[Attachment, ...]
    version: int


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored message.

    The id consists of the room's id and `seq`. The keys of consecutive messages are therefore
    known, and BatchGetItem can read these messages consistently.

    `timestamp` is RFC 3339 and increases with `seq`. An anonymous message has the alias in
    `author_name`, and `alias_id` in place of `author_id`. Otherwise `author_name` is shown only
    while the author has no profile. A deleted message keeps its `seq` but no content. `version`
    starts at 1 and increases with each change.
    """

    message_id: str
    room_id: str
    seq: int
    timestamp: str
    author_id: str | None = None
    alias_id: str | None = None
    author_name: str
    content: str
    type: str = "text"
    reply_to: str | None = None
    is_edited: bool = False
    is_deleted: bool = False
    is_anonymous: bool = False
    attachments: tuple[Attachment, ...] = ()
    version: int

    @property
    def delivery_name(self) -> str:
        """The name under which the cache records the delivery of this version."""
        return build_delivery_name(self.message_id, self.version)

    def view(self, author_name: str, reactions: Mapping[str, int] | None = None) -> MessageView:
        """Returns the message as responses and frames contain it.

        `author_name` is the author's current name or alias. `reactions` are counts by emoji.
        """
        return MessageView(
            message_id=self.message_id,
            room_id=self.room_id,
            author_id=UNSET if self.author_id is None else self.author_id,
            alias_id=UNSET if self.alias_id is None else self.alias_id,
            author_name=author_name,
            content=self.content,
            type=self.type,
            seq=self.seq,
            timestamp=self.timestamp,
            reactions=dict(reactions or {}),
            reply_to=self.reply_to,
            is_edited=self.is_edited,
            is_deleted=self.is_deleted,
            is_anonymous=self.is_anonymous,
            attachments=self.attachments,
            version=self.version,
        )

    def frame(
        self,
        author_name: str,
        reactions: Mapping[str, int] | None = None,
        *,
        as_new: bool | None = None,
    ) -> Frame:
        """Returns the frame that reports this version of the message.

        The type of the frame is `new_message` if `as_new` is True. If `as_new` is None, the type is
        `new_message` for the first version only.

        `author_name` is the name that everyone may see, because all listeners get the same frame.
        """
        if as_new or (as_new is None and self.version == FIRST_VERSION):
            kind = "new_message"
        else:
            kind = "message_deleted" if self.is_deleted else "message_updated"
        frame: Frame = {
            "type": kind,
            "roomId": self.room_id,
            "messageId": self.message_id,
            "seq": self.seq,
        }
        if kind == "message_deleted":
            return frame
        return {**frame, "message": self.view(author_name, reactions)}


def message_id(room_id: str, seq: int) -> str:
    """Returns the id of the message with number `seq` in a room."""
    return f"{room_id}-{seq}"


def counts_id(message_id: str) -> str:
    """Returns the key of the item with a message's reaction counts. No index contains this item."""
    return f"{message_id}#reactions"


def reactions_id(message_id: str, user_id: str) -> str:
    """Returns the key of one user's reactions to a message."""
    return f"{message_id}#reactions#{user_id}"


def reacted_message_id(room_id: str, key: str) -> str | None:
    """Returns the id of the message to which a user reacted.

    `key` is the key of a secondary item: the user's reactions, or an attachment. Returns None for
    an attachment.
    """
    return key.partition("#")[0] if key.startswith(f"{room_id}-") else None


def secondary_partition(room_id: str) -> str:
    """Returns the partition key of a room's reactions and attachments in MESSAGES_INDEX."""
    return f"{room_id}#beside"


def removal_marker_id(room_id: str) -> str:
    """Returns the key of a deleted room's marker, which exists until the room's data is removed."""
    return f"removed-room#{room_id}"


def removal_marker(room_id: str, seq: int, now: float) -> dict[str, Any]:
    """Returns a deleted room's marker. `seq` is the number of the room's last message.

    `now` is the current time in seconds since the epoch.
    """
    return {
        "message_id": removal_marker_id(room_id),
        "removed_room": room_id,
        "seq": seq,
        "removed_at": int(now),
    }


def attachment_prefix(room_id: str) -> str:
    """Returns the prefix of a room's attachments in their bucket."""
    return f"chat/{room_id}/"


def build_delivery_name(message_id: str, version: int) -> str:
    """Returns the name under which the cache records the delivery of a message's version."""
    return f"{message_id}:{version}"
