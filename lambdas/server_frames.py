"""The frames that the WebSocket API sends. Only the API's description and tests import this module.

`lambdas.chat.models` defines the frames that clients send.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.live.chat_messages import MessageView
from lambdas.common.live.fanout import Departure
from lambdas.common.problems import FieldError


class ServerFrame(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type"):
    """A frame from the server. `type` is its kind."""


class Ack(ServerFrame, frozen=True, kw_only=True, tag="ack"):
    """The response to a frame that was accepted.

    `request_id` has the value of request_id in the client's frame.
    """

    request_id: str | None
    action: str


class JoinAck(Ack, frozen=True, kw_only=True, tag="ack"):
    """The connection listens to the room. `seq` is the number of the room's last message."""

    room_id: Id
    seq: int
    online: list[Id]


class RoomAck(Ack, frozen=True, kw_only=True, tag="ack"):
    """The response to an accepted frame that names a room."""

    room_id: Id


class SendAck(Ack, frozen=True, kw_only=True, tag="ack"):
    """The message is stored."""

    room_id: Id
    message_id: Id
    seq: int
    timestamp: Timestamp


class ReadAck(Ack, frozen=True, kw_only=True, tag="ack"):
    """The messages up to `seq` are marked as read."""

    room_id: Id
    seq: int


ACKS: Mapping[str, type[Ack]] = {
    "join_room": JoinAck,
    "leave_room": RoomAck,
    "send_message": SendAck,
    "typing_start": RoomAck,
    "typing_stop": RoomAck,
    "mark_read": ReadAck,
    "ping": Ack,
}
"""The type of the `ack` for each action that a client can request."""


ErrorCode = Literal[
    # Errors that every frame can cause
    "malformed_json",
    "unknown_action",
    "frame_too_large",
    "invalid_fields",
    "session_ended",
    "capability_required",
    "not_joined",
    "dependency_unavailable",
    "internal_error",
    # Errors that every frame with a roomId can cause
    "room_not_found",
    "not_a_member",
    "banned",
    # Errors of join_room
    "invitation_required",
    "anonymous_not_allowed",
    "room_full",
    "live_unavailable",
    # Errors of send_message and typing
    "muted",
    "moderators_only",
    "room_busy",
]


class Error(ServerFrame, frozen=True, kw_only=True, tag="error"):
    """A frame was refused, or the session has ended. `code` identifies the error for programs."""

    request_id: str | None
    code: ErrorCode
    message: str
    errors: list[FieldError] | UnsetType = UNSET


class NewMessage(ServerFrame, frozen=True, kw_only=True, tag="new_message"):
    """A message was sent to the room."""

    room_id: Id
    message_id: Id
    seq: int
    message: MessageView


class MessageUpdated(NewMessage, frozen=True, kw_only=True, tag="message_updated"):
    """A message was changed."""


class MessageDeleted(ServerFrame, frozen=True, kw_only=True, tag="message_deleted"):
    """A message was deleted."""

    room_id: Id
    message_id: Id
    seq: int


class Reaction(ServerFrame, frozen=True, kw_only=True, tag="reaction"):
    """A reaction was added or removed. `alias_id` replaces `user_id` for anonymous users."""

    room_id: Id
    message_id: Id
    seq: int
    emoji: str
    action: Literal["added", "removed"]
    count: int
    display_name: str
    user_id: Id | UnsetType = UNSET
    alias_id: Id | UnsetType = UNSET


class UserJoined(ServerFrame, frozen=True, kw_only=True, tag="user_joined"):
    """A user became a member of the room."""

    room_id: Id
    user_id: Id
    display_name: str


class UserLeft(UserJoined, frozen=True, kw_only=True, tag="user_left"):
    """A user's membership in the room ended."""


class Typing(ServerFrame, frozen=True, kw_only=True, tag="typing"):
    """A user starts or stops typing. `expires_in` is in seconds, and missing if the user stops."""

    room_id: Id
    user_id: Id
    display_name: str
    is_typing: bool
    expires_in: int | UnsetType = UNSET


class PresenceChanged(ServerFrame, frozen=True, kw_only=True, tag="presence"):
    """A user went online or offline."""

    room_id: Id
    user_id: Id
    status: Literal["online", "offline"]


class Read(ServerFrame, frozen=True, kw_only=True, tag="read"):
    """A user has read the messages up to `seq`."""

    room_id: Id
    user_id: Id
    seq: int


class RoomLeft(ServerFrame, frozen=True, kw_only=True, tag="room_left"):
    """This connection no longer listens to the room."""

    room_id: Id
    reason: Departure


class Resync(ServerFrame, frozen=True, kw_only=True, tag="resync"):
    """A frame was lost.

    The client must join the room again, or all of its rooms if `room_id` is missing.
    """

    room_id: Id | UnsetType = UNSET


SERVER_FRAMES: tuple[type[ServerFrame], ...] = (
    Error,
    NewMessage,
    MessageUpdated,
    MessageDeleted,
    Reaction,
    UserJoined,
    UserLeft,
    Typing,
    PresenceChanged,
    Read,
    RoomLeft,
    Resync,
)
"""The frames other than `ack`."""
