"""Request and response models of the chat service."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.storage.uploads import AttachmentUpload, SignedForm, UploadKey
from lambdas.common.text import FILE_NAME, NAME, OPTIONAL_TEXT, TEXT
from lambdas.common.validation import Body
from lambdas.common.web.pagination import PageQuery

RoomType = Literal["public", "private", "direct", "group", "announcement"]
Role = Literal["owner", "admin", "moderator", "member"]
MessageType = Literal["text", "image", "file"]

GROUP_LIMIT = 50
DIRECT_LIMIT = 2
"""The maximum numbers of members of a group room and of a direct room, from the specification."""

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=NAME,
        description="must have 1 to 100 characters, no control characters, "
        "and no space at either end",
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=OPTIONAL_TEXT,
        description="must be empty, or have a visible character, at most 500 characters, "
        "and no control characters except tabs and line ends",
    ),
]
MaxMembers = Annotated[
    int, Meta(ge=2, le=100_000, description="must be a whole number from 2 to 100000")
]
Content = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=5000,
        pattern=TEXT,
        description="must have 1 to 5000 characters, not only spaces, "
        "and no control characters except tabs and line ends",
    ),
]
# Ids that clients choose must be short, so that a frame has enough space for the content. API
# Gateway limits a frame to 32 KB.
ClientId = Annotated[
    str, Meta(min_length=1, max_length=128, description="must have 1 to 128 characters")
]
FileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=FILE_NAME,
        description="must have 1 to 200 characters, no path, no control characters, "
        "and no space at either end",
    ),
]


class CreateRoom(Body, frozen=True, kw_only=True):
    name: Name
    description: Description = ""
    type: RoomType
    max_members: MaxMembers | None = None


class UpdateRoom(Body, frozen=True, kw_only=True):
    """The changes to make. If `max_members` is None, the limit of the room type applies."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    max_members: MaxMembers | UnsetType | None = UNSET


class Invite(Body, frozen=True, kw_only=True):
    user_id: Id


class UpdateMember(Body, frozen=True, kw_only=True):
    """The changes to make. None keeps the value."""

    role: Role | None = None
    mute: bool | None = None
    ban: bool | None = None


class SendMessage(Body, frozen=True, kw_only=True):
    content: Content
    type: MessageType = "text"
    reply_to: Id | None = None
    is_anonymous: bool = False
    attachments: Annotated[
        tuple[UploadKey, ...], Meta(max_length=10, description="must be at most 10 upload keys")
    ] = ()


class EditMessage(Body, frozen=True, kw_only=True):
    content: Content


class CreateAttachment(AttachmentUpload, frozen=True, kw_only=True):
    file_name: FileName


class RoomsQuery(PageQuery, frozen=True, kw_only=True):
    type: (
        Annotated[
            RoomType, Meta(description="must be public, private, direct, group or announcement")
        ]
        | None
    ) = None


class MembersQuery(PageQuery, frozen=True, kw_only=True):
    """Selects all members, or only the users with `role`.

    The role `banned` selects the banned users, who are not members.
    """

    role: (
        Annotated[
            Role | Literal["banned"],
            Meta(description="must be owner, admin, moderator, member or banned"),
        ]
        | None
    ) = None


class MessagesQuery(PageQuery, frozen=True, kw_only=True):
    """Selects a room's messages, newest first.

    With `afterSeq`, selects only messages with higher numbers, oldest first.
    """

    after_seq: Annotated[int, Meta(ge=0, description="must be a message's seq, or 0")] | None = None


class RoomView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A room as the caller sees it.

    `role` is None if the caller is not a member. `max_members` is None if the room has no limit.
    """

    room_id: Id
    name: str
    description: str
    type: RoomType
    created_by: Id
    created_at: Timestamp
    member_count: int
    max_members: int | None
    last_activity: Timestamp
    role: str | None
    version: int


class MemberView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A member or banned user (`role` is `banned`). `role` is None for a former member."""

    user_id: Id
    display_name: str
    role: str | None
    is_muted: bool
    joined_at: Timestamp
    version: int


class AttachmentForm(Struct, frozen=True, kw_only=True, rename="camel"):
    """A signed form for uploading an attachment, the upload's S3 key, and the attachment's id."""

    upload: SignedForm
    key: str
    attachment_id: Id


class TicketView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A ticket for one connection to the WebSocket API. `expires_in` is in seconds.

    `reconnect_seconds` is the time within which clients spread their attempts after a failure.
    """

    ticket: str
    expires_in: int
    reconnect_seconds: int | UnsetType = UNSET


class ClientFrame(Body, frozen=True, kw_only=True):
    """The fields of every frame that a client sends."""

    action: str
    request_id: ClientId | None = None


class RoomFrame(ClientFrame, frozen=True, kw_only=True):
    room_id: Id


class SendFrame(RoomFrame, frozen=True, kw_only=True):
    content: Content
    reply_to: Id | None = None
    is_anonymous: bool = False
    client_message_id: ClientId | None = None


class TypingFrame(RoomFrame, frozen=True, kw_only=True):
    """Reports to the room that the user starts or stops typing.

    If `is_anonymous` is True, the server sends no report, because it would reveal the author.
    """

    is_anonymous: bool = False


class ReadFrame(RoomFrame, frozen=True, kw_only=True):
    """Marks the messages up to `seq` as read."""

    seq: Annotated[int, Meta(ge=1, description="must be a message's seq")]


class PingFrame(ClientFrame, frozen=True, kw_only=True):
    """Keeps the connection open. With `room_id`, also checks that it is still in that room."""

    room_id: Id | None = None


FRAMES: dict[str, type[ClientFrame]] = {
    "join_room": RoomFrame,
    "leave_room": RoomFrame,
    "send_message": SendFrame,
    "typing_start": TypingFrame,
    "typing_stop": TypingFrame,
    "mark_read": ReadFrame,
    "ping": PingFrame,
}
"""The model of the frame for each action that a client can request (docs/api/websocket.md)."""
