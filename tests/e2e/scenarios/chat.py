"""Calls every route of the chat function, and sends WebSocket frames to it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import urllib3
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lambdas.chat.broadcast import INLINE_LIMIT
from lambdas.common.storage.dynamodb import pack
from tests.e2e.scenarios.context import PNG, ScenarioContext
from tests.e2e.support.users import User

CHAT = "/v1/chat"
ROOMS = "/rooms"
CHECK_INTERVAL = 0.5
"""Seconds between checks for a missing permission while waiting for a frame."""
FRAME_TIMEOUT = 5.0
"""Seconds to wait for a frame. The delivery function resends missed messages only later."""


class Listener:
    """A WebSocket whose frames are read in order."""

    def __init__(self, context: ScenarioContext, ticket: str) -> None:
        self._context = context
        try:
            self.socket: ClientConnection = connect(
                f"{context.platform.ws_url}?ticket={ticket}",
                proxy=None,
                legacy=True,
                ping_interval=None,
            )
        except InvalidStatus as error:
            raise AssertionError(str(error)) from error

    def request(self, action: str, **members: Any) -> Any:
        """Sends a frame and returns the response, which must be an ack."""
        self.socket.send(json.dumps({"action": action, "requestId": action, **members}))
        response = self.wait_for_frame("ack", "error")
        assert response["type"] == "ack", response
        return response

    def wait_for_frame(self, *types: str) -> Any:
        """Returns the next frame whose type is one of `types`.

        Raises:
            AssertionError: no such frame arrived within FRAME_TIMEOUT, the connection was closed,
                or a permission is missing.
        """
        deadline = time.monotonic() + FRAME_TIMEOUT
        while time.monotonic() < deadline:
            try:
                frame = json.loads(self.socket.recv(timeout=CHECK_INTERVAL))
            except TimeoutError:
                assert not self._context.find_refusals(), "a permission is missing"
            except ConnectionClosed as error:
                raise AssertionError("the connection was closed") from error
            else:
                if frame.get("type") in types:  # errors of API Gateway itself have no type
                    return frame
        expected = " or ".join(types)
        raise AssertionError(f"no {expected} frame arrived within {FRAME_TIMEOUT:.0f} s")


class RoomCalls:
    """Calls the chat service as three users. Ann creates a room, Bob joins it, and Ann adds Eve."""

    def __init__(self, context: ScenarioContext) -> None:
        self.context = context
        self.ann, self.bob, self.eve = (
            context.get_user(f"{name} Example") for name in ("Ann", "Bob", "Eve")
        )
        # Creates Eve's profile, because only users with a profile can be invited.
        context.api.call("GET", "/v1/profile", token=self.eve.token).expect(200)
        self.key = uuid.uuid4().hex
        self.room = ""

    @property
    def room_path(self) -> str:
        """The path of the room."""
        return f"{ROOMS}/{self.room}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: User | None = None,
        **options: Any,
    ) -> Any:
        """Sends a request as Ann, or as `user`."""
        return self.context.call(user or self.ann, method, CHAT + path, body, **options)

    def open_socket(self, user: User) -> Listener:
        """Opens a WebSocket as `user`."""
        return Listener(
            self.context, self.call("POST", "/tickets", {}, status=201, user=user)["ticket"]
        )


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    calls = RoomCalls(context)
    yield from create_room(calls)
    first, second = calls.open_socket(calls.ann), calls.open_socket(calls.bob)
    yield f"POST {CHAT}/tickets"
    yield from exchange_messages(calls, first, second)
    yield from remove_members_and_room(calls, second)
    first.socket.close()


def create_room(calls: RoomCalls) -> Iterator[str]:
    """Creates a room and adds members."""
    call, body = calls.call, {"name": "A room", "type": "public"}
    call("POST", ROOMS, {}, status=422, key=calls.key)
    calls.room = call("POST", ROOMS, body, status=201, key=calls.key)["roomId"]
    assert call("POST", ROOMS, body, status=201, key=calls.key)["roomId"] == calls.room
    call("POST", ROOMS, body, status=201)
    yield f"POST {CHAT}{ROOMS}"
    page = call("GET", f"{ROOMS}?limit=1")
    call("GET", f"{ROOMS}?limit=1&cursor={page['nextCursor']}")
    call("GET", f"{ROOMS}?type=public", user=calls.eve)
    yield f"GET {CHAT}{ROOMS}"
    call("GET", calls.room_path)
    yield f"GET {CHAT}{ROOMS}/{{roomId}}"
    call("PATCH", calls.room_path, {"name": "A renamed room", "maxMembers": 5})
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}"
    call("POST", f"{calls.room_path}/join", {}, user=calls.bob)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/join"
    call("POST", f"{calls.room_path}/members", {"userId": calls.eve.user_id}, status=201)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/members"
    call("GET", f"{calls.room_path}/members")
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/members"
    call("PATCH", f"{calls.room_path}/members/{calls.bob.user_id}", {"role": "moderator"})
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}/members/{{userId}}"


def exchange_messages(calls: RoomCalls, first: Listener, second: Listener) -> Iterator[str]:
    """Sends, edits, reacts to and deletes messages."""
    call, room_path, room = calls.call, calls.room_path, calls.room
    first.request("join_room", roomId=room)
    second.request("join_room", roomId=room)
    sent = first.request("send_message", roomId=room, content="Hello", clientMessageId=calls.key)
    again = first.request("send_message", roomId=room, content="Hello", clientMessageId=calls.key)
    assert again["seq"] == sent["seq"]
    second.wait_for_frame("new_message")
    first.request("ping")
    hidden = call(
        "POST", f"{room_path}/messages", {"content": "Hush", "isAnonymous": True}, status=201
    )
    second.wait_for_frame("new_message")
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/messages"
    call("GET", f"{room_path}/messages?limit=1")
    call("GET", f"{room_path}/messages?afterSeq=0")
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/messages"
    call("PATCH", f"{room_path}/messages/{hidden['messageId']}", {"content": "Hush!"})
    second.wait_for_frame("message_updated")
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}"
    reaction = f"{room_path}/messages/{sent['messageId']}/reactions/%F0%9F%91%8D"
    call("PUT", reaction, {}, status=204)
    yield f"PUT {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}/reactions/{{emoji}}"
    call("DELETE", reaction, status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}/reactions/{{emoji}}"
    upload = {"fileName": "tea.png", "contentType": "image/png", "contentLength": len(PNG)}
    signed = call("POST", f"{room_path}/attachments", upload, status=201)
    attachment = calls.context.upload(signed)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/attachments"
    shown = call(
        "POST", f"{room_path}/messages", {"content": "See", "attachments": [attachment]}, status=201
    )
    path = f"{CHAT}{room_path}/attachments/{signed['attachmentId']}"
    response = calls.context.api.call("GET", path, token=calls.bob.token)
    response.expect(302)
    assert urllib3.request("GET", response.headers["Location"]).data == PNG
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/attachments/{{attachmentId}}"
    call("DELETE", f"{room_path}/messages/{shown['messageId']}", status=204)
    second.wait_for_frame("message_deleted")
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}"
    with fill_room(calls.context, room):
        big = call("POST", f"{room_path}/messages", {"content": "To all"}, status=201)
        while second.wait_for_frame("new_message")["seq"] != big["seq"]:
            pass


def remove_members_and_room(calls: RoomCalls, second: Listener) -> Iterator[str]:
    """Removes each member in a different way, then deletes the room."""
    call, room_path, dynamodb = calls.call, calls.room_path, calls.context.client("dynamodb")
    call("DELETE", f"{room_path}/leave", status=204, user=calls.eve)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/leave"
    call("DELETE", f"{room_path}/members/{calls.bob.user_id}", status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/members/{{userId}}"
    session = pack({"session_id": calls.bob.session_id})
    session_item = dynamodb.delete_item(
        TableName="auth-sessions-local", Key=session, ReturnValues="ALL_OLD"
    )["Attributes"]
    try:
        second.socket.send(json.dumps({"action": "ping"}))
        with contextlib.suppress(ConnectionClosed):
            while True:
                second.socket.recv(timeout=FRAME_TIMEOUT)
    except TimeoutError as error:
        raise AssertionError("The connection stayed open after its session ended") from error
    finally:
        dynamodb.put_item(TableName="auth-sessions-local", Item=session_item)
    call("DELETE", room_path, status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}"


@contextlib.contextmanager
def fill_room(context: ScenarioContext, room: str) -> Iterator[None]:
    """Adds so many closed connections to a room that chat treats the room as large."""
    with context.platform.cache() as cache:
        closed = {f"gone-{index}|nobody|0": 4e9 for index in range(INLINE_LIMIT)}
        cache.zadd(f"chat:room:{room}", closed)
        try:
            yield
        finally:
            cache.zrem(f"chat:room:{room}", *closed)
