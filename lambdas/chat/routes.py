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

ROUTES = (
    Route("GET", "/v1/chat/rooms", _READ, "list_rooms", query=RoomsQuery),
    Route("POST", "/v1/chat/rooms", _USER, "create_room", 201, CreateRoom, idempotent=True),
    Route("GET", _ROOM, _READ, "get_room"),
    Route("PATCH", _ROOM, _USER, "update_room", body=UpdateRoom, conditional=True, refusals=(409,)),
    Route("DELETE", _ROOM, _USER, "delete_room", 204),
    Route("POST", f"{_ROOM}/join", _CHAT, "join_room", body=EmptyBody, refusals=(409,)),
    Route("DELETE", f"{_ROOM}/leave", _CHAT, "leave_room", 204, refusals=(409,)),
    Route("GET", f"{_ROOM}/members", _READ, "list_members", query=MembersQuery),
    Route("POST", f"{_ROOM}/members", _USER, "invite_member", 201, Invite, idempotent=True),
    Route("PATCH", _MEMBER, _USER, "update_member", body=UpdateMember, conditional=True),
    Route("DELETE", _MEMBER, _USER, "remove_member", 204, refusals=(409,)),
    Route("GET", f"{_ROOM}/messages", _READ, "list_messages", query=MessagesQuery),
    Route(
        "POST",
        f"{_ROOM}/messages",
        _CHAT,
        "send_message",
        201,
        SendMessage,
        idempotent=True,
        anonymous=True,
    ),
    Route(
        "PATCH",
        _MESSAGE,
        _CHAT,
        "update_message",
        body=EditMessage,
        conditional=True,
        anonymous=True,
    ),
    Route("DELETE", _MESSAGE, _CHAT, "delete_message", 204, conditional=True, anonymous=True),
    Route(
        "PUT", _REACTION, _CHAT, "add_reaction", 204, EmptyBody, texts=("emoji",), refusals=(409,)
    ),
    Route("DELETE", _REACTION, _CHAT, "remove_reaction", 204, texts=("emoji",)),
    Route("POST", f"{_ROOM}/attachments", _USER, "create_attachment_upload", 201, CreateAttachment),
    Route("GET", f"{_ROOM}/attachments/{{attachmentId}}", _READ, "get_attachment", 302),
    Route("POST", "/v1/chat/tickets", _CHAT, "issue_ticket", 201, EmptyBody),
)
