"""A chat message as it is stored, as answers show it, and as frames bring it: for the service and for the function that delivers.

And the keys of what lies beside messages in their table, by which the one writes and the other clears up.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, convert, to_builtins

from lambdas.common.storage.dynamodb import pack, unpack

Frame = dict[str, Any]
"""What the server sends through a WebSocket, as JSON."""

FIRST_VERSION = 1

MESSAGES_INDEX = "room-messages-index"
"""By `room_id` and `timestamp`: a room's messages in order of time; and, by another name, what lies beside them."""


class Attachment(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that belongs to a message; `size` in bytes."""

    attachment_id: str
    file_name: str
    content_type: str
    size: int


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored message.

    Its id is the room's and its `seq`, so that a range of a room's messages is read by their keys, consistently. `timestamp` is RFC
    3339 and rises with `seq`. An anonymous one has its alias in `author_name` and no `author_id`; a deleted one keeps its place and
    nothing of what it said. `version` counts its states from 1.
    """

    message_id: str
    room_id: str
    seq: int
    timestamp: str
    author_id: str | None = None
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
    def delivery(self) -> str:
        """What names the delivery of this state of the message."""
        return delivery_of(self.message_id, self.version)

    def item(self) -> dict[str, Any]:
        """As DynamoDB's client takes it."""
        return pack(to_builtins(self))

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Message":
        """From an item of DynamoDB's client."""
        return convert(unpack(item), cls)

    def view(self, reactions: Mapping[str, int] | None = None) -> dict[str, Any]:
        """As answers and frames show it; `reactions` are counts by emoji."""
        return {
            "messageId": self.message_id,
            "roomId": self.room_id,
            **({} if self.author_id is None else {"authorId": self.author_id}),
            "authorName": self.author_name,
            "content": self.content,
            "type": self.type,
            "seq": self.seq,
            "timestamp": self.timestamp,
            "reactions": dict(reactions or {}),
            "replyTo": self.reply_to,
            "isEdited": self.is_edited,
            "isDeleted": self.is_deleted,
            "isAnonymous": self.is_anonymous,
            "attachments": to_builtins(self.attachments),
            "version": self.version,
        }

    def frame(self, *, as_new: bool | None = None) -> Frame:
        """What tells listeners of this state. `as_new` tells of the message itself, whatever has become of it since."""
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
        return frame if kind == "message_deleted" else {**frame, "message": self.view()}


def message_id(room_id: str, seq: int) -> str:
    """The id of a room's message by its number."""
    return f"{room_id}-{seq}"


def counts_id(message_id: str) -> str:
    """The key of the item that counts a message's reactions. In no index: each reaction would rewrite it."""
    return f"{message_id}#reactions"


def reaction_id(message_id: str, emoji: str, user_id: str) -> str:
    """The key of the item that is a user's reaction to a message."""
    return f"{message_id}#{emoji}#{user_id}"


def reacted_to(room_id: str, key: str) -> str | None:
    """Which of the room's messages the reaction of that key is to; None: what has that key is no reaction."""
    return key.partition("#")[0] if key.startswith(f"{room_id}-") else None


def beside_messages(room_id: str) -> str:
    """The `room_id` under which MESSAGES_INDEX has what lies beside a room's messages: single reactions, and attachments' records."""
    return f"{room_id}#beside"


def marker_id(room_id: str) -> str:
    """The key of the item that tells of a room's deletion until nothing of the room is left."""
    return f"removed-room#{room_id}"


def marker(room_id: str, seq: int, now: float) -> dict[str, Any]:
    """That item: `seq` is the room's last number, which no other item has but messages; `now` is in seconds since the epoch."""
    return {
        "message_id": marker_id(room_id),
        "removed_room": room_id,
        "seq": seq,
        "removed_at": int(now),
    }


def attachment_prefix(room_id: str) -> str:
    """Where in their bucket a room's attachments are served from."""
    return f"chat/{room_id}/"


def delivery_of(message_id: str, version: int) -> str:
    """What names the delivery of one state of a message."""
    return f"{message_id}:{version}"
