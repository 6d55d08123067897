"""The routes of the chat service, and their access rules."""

from lambdas.chat.models import (
    CreateAttachment,
    CreateRoom,
    EditMessage,
    Invite,
    MembersQuery,
    MessagesQuery,
    RoomsQuery,
    SendMessage,
    UpdateMember,
    UpdateRoom,
)
from lambdas.common.caller import CHAT_ANONYMOUS, READ, USER
from lambdas.common.validation import EmptyBody
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route

_READ = capability(READ)
_CHAT = capability(CHAT_ANONYMOUS)
_USER = role(USER)

_ROOM = "/v1/chat/rooms/{roomId}"
_MEMBER = f"{_ROOM}/members/{{userId}}"
_MESSAGE = f"{_ROOM}/messages/{{messageId}}"
_REACTION = f"{_MESSAGE}/reactions/{{emoji}}"

_READER = {"not_a_member": 403, "banned": 403, "room_not_found": 404}
"""The errors of routes that require the permission to read the room."""
_SPEAKER = _READER | {"muted": 403, "moderators_only": 403}
"""The errors of routes that require the permission to send messages to the room."""

ROUTES = (
    Route("GET", "/v1/chat/rooms", _READ, "list_rooms", query=RoomsQuery),
    Route("POST", "/v1/chat/rooms", _USER, "create_room", 201, CreateRoom, idempotent=True),
    Route("GET", _ROOM, _READ, "get_room", error_codes=_READER),
    Route(
        "PATCH",
        _ROOM,
        _USER,
        "update_room",
        body=UpdateRoom,
        conditional=True,
        error_codes=_READER | {"role_required": 403, "muted": 403, "room_full": 409},
    ),
    Route(
        "DELETE",
        _ROOM,
        _USER,
        "delete_room",
        204,
        error_codes=_READER | {"role_required": 403, "room_busy": 503},
    ),
    Route(
        "POST",
        f"{_ROOM}/join",
        _CHAT,
        "join_room",
        body=EmptyBody,
        error_codes={
            "banned": 403,
            "invitation_required": 403,
            "anonymous_not_allowed": 403,
            "room_not_found": 404,
            "room_full": 409,
        },
    ),
    Route(
        "DELETE",
        f"{_ROOM}/leave",
        _CHAT,
        "leave_room",
        204,
        error_codes={
            "room_not_found": 404,
            "not_a_member": 403,
            "banned": 403,
            "owner_cannot_leave": 409,
            "room_busy": 503,
        },
    ),
    Route(
        "GET",
        f"{_ROOM}/members",
        _READ,
        "list_members",
        query=MembersQuery,
        error_codes=_READER | {"role_required": 403},
    ),
    Route(
        "POST",
        f"{_ROOM}/members",
        _USER,
        "invite_member",
        201,
        Invite,
        idempotent=True,
        error_codes=_READER
        | {
            "role_required": 403,
            "direct_messages_refused": 403,
            "user_not_found": 404,
            "room_full": 409,
            "direct_room_exists": 409,
        },
    ),
    Route(
        "PATCH",
        _MEMBER,
        _USER,
        "update_member",
        body=UpdateMember,
        conditional=True,
        error_codes=_READER
        | {"role_required": 403, "anonymous_not_allowed": 403, "member_not_found": 404},
    ),
    Route(
        "DELETE",
        _MEMBER,
        _USER,
        "remove_member",
        204,
        error_codes=_READER
        | {"role_required": 403, "member_not_found": 404, "owner_cannot_leave": 409},
    ),
    Route(
        "GET", f"{_ROOM}/messages", _READ, "list_messages", query=MessagesQuery, error_codes=_READER
    ),
    Route(
        "POST",
        f"{_ROOM}/messages",
        _CHAT,
        "send_message",
        201,
        SendMessage,
        idempotent=True,
        anonymous=True,
        error_codes=_SPEAKER | {"room_busy": 503, "attachment_used": 409, "upload_changed": 409},
    ),
    Route(
        "PATCH",
        _MESSAGE,
        _CHAT,
        "update_message",
        body=EditMessage,
        conditional=True,
        anonymous=True,
        error_codes=_SPEAKER | {"not_the_author": 403, "message_not_found": 404},
    ),
    Route(
        "DELETE",
        _MESSAGE,
        _CHAT,
        "delete_message",
        204,
        conditional=True,
        anonymous=True,
        error_codes=_READER | {"not_the_author": 403, "message_not_found": 404},
    ),
    Route(
        "PUT",
        _REACTION,
        _CHAT,
        "add_reaction",
        204,
        EmptyBody,
        text_parameters=("emoji",),
        error_codes=_SPEAKER | {"message_not_found": 404, "too_many_reactions": 409},
    ),
    Route(
        "DELETE",
        _REACTION,
        _CHAT,
        "remove_reaction",
        204,
        text_parameters=("emoji",),
        error_codes=_READER | {"message_not_found": 404},
    ),
    Route(
        "POST",
        f"{_ROOM}/attachments",
        _USER,
        "create_attachment_upload",
        201,
        CreateAttachment,
        error_codes=_SPEAKER,
    ),
    Route(
        "GET",
        f"{_ROOM}/attachments/{{attachmentId}}",
        _READ,
        "get_attachment",
        302,
        error_codes=_READER | {"attachment_not_found": 404},
    ),
    Route("POST", "/v1/chat/tickets", _CHAT, "issue_ticket", 201, EmptyBody),
)
