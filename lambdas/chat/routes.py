"""The routes of the chat service, and their access rules."""

from lambdas.common.caller import CHAT_ANONYMOUS, READ, USER
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
    Route("GET", "/v1/chat/rooms", _READ, "list_rooms"),
    Route("POST", "/v1/chat/rooms", _USER, "create_room", idempotent=True),
    Route("GET", _ROOM, _READ, "get_room"),
    Route("PATCH", _ROOM, _USER, "update_room"),
    Route("DELETE", _ROOM, _USER, "delete_room"),
    Route("POST", f"{_ROOM}/join", _CHAT, "join_room"),
    Route("DELETE", f"{_ROOM}/leave", _CHAT, "leave_room"),
    Route("GET", f"{_ROOM}/members", _READ, "list_members"),
    Route("POST", f"{_ROOM}/members", _USER, "invite_member", idempotent=True),
    Route("PATCH", _MEMBER, _USER, "update_member"),
    Route("DELETE", _MEMBER, _USER, "remove_member"),
    Route("GET", f"{_ROOM}/messages", _READ, "list_messages"),
    Route("POST", f"{_ROOM}/messages", _CHAT, "send_message", idempotent=True, anonymous=True),
    Route("PATCH", _MESSAGE, _CHAT, "update_message", anonymous=True),
    Route("DELETE", _MESSAGE, _CHAT, "delete_message", anonymous=True),
    Route("PUT", _REACTION, _CHAT, "add_reaction", texts=("emoji",)),
    Route("DELETE", _REACTION, _CHAT, "remove_reaction", texts=("emoji",)),
    Route("POST", f"{_ROOM}/attachments", _USER, "create_attachment_upload"),
    Route("GET", f"{_ROOM}/attachments/{{attachmentId}}", _READ, "get_attachment"),
    Route("POST", "/v1/chat/tickets", _CHAT, "issue_ticket"),
)
