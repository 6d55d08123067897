"""The chat service's routes and who may call them."""

from lambdas.common.caller import CHAT_ANONYMOUS, READ, USER
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route

_READ = capability(READ)
_CHAT = capability(CHAT_ANONYMOUS)
_USER = role(USER)

ROUTES = (
    Route("GET", "/v1/chat/rooms", _READ, "list_rooms"),
    Route("POST", "/v1/chat/rooms", _USER, "create_room", idempotent=True),
    Route("GET", "/v1/chat/rooms/{roomId}", _READ, "get_room"),
    Route("PATCH", "/v1/chat/rooms/{roomId}", _USER, "update_room"),
    Route("DELETE", "/v1/chat/rooms/{roomId}", _USER, "delete_room"),
    Route("POST", "/v1/chat/rooms/{roomId}/join", _CHAT, "join_room"),
    Route("DELETE", "/v1/chat/rooms/{roomId}/leave", _CHAT, "leave_room"),
    Route("GET", "/v1/chat/rooms/{roomId}/members", _READ, "list_members"),
    Route("POST", "/v1/chat/rooms/{roomId}/members", _USER, "invite_member", idempotent=True),
    Route("PATCH", "/v1/chat/rooms/{roomId}/members/{userId}", _USER, "update_member"),
    Route("DELETE", "/v1/chat/rooms/{roomId}/members/{userId}", _USER, "remove_member"),
    Route("GET", "/v1/chat/rooms/{roomId}/messages", _READ, "list_messages"),
    Route(
        "POST",
        "/v1/chat/rooms/{roomId}/messages",
        _CHAT,
        "send_message",
        idempotent=True,
        anonymous=True,
    ),
    Route(
        "PATCH",
        "/v1/chat/rooms/{roomId}/messages/{messageId}",
        _CHAT,
        "update_message",
        anonymous=True,
    ),
    Route(
        "DELETE",
        "/v1/chat/rooms/{roomId}/messages/{messageId}",
        _CHAT,
        "delete_message",
        anonymous=True,
    ),
    Route(
        "PUT",
        "/v1/chat/rooms/{roomId}/messages/{messageId}/reactions/{emoji}",
        _CHAT,
        "add_reaction",
    ),
    Route(
        "DELETE",
        "/v1/chat/rooms/{roomId}/messages/{messageId}/reactions/{emoji}",
        _CHAT,
        "remove_reaction",
    ),
    Route("POST", "/v1/chat/rooms/{roomId}/attachments", _USER, "create_attachment_upload"),
    Route("GET", "/v1/chat/rooms/{roomId}/attachments/{attachmentId}", _READ, "get_attachment"),
    Route("POST", "/v1/chat/tickets", _CHAT, "issue_ticket"),
)
