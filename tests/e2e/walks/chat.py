"""The walk of the chat function: all operations on a room, by REST and WebSocket."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import redis
import urllib3
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lambdas.chat.broadcast import INLINE_LIMIT
from lambdas.common.storage.dynamodb import pack
from tests.e2e.support import User
from tests.e2e.walks.world import PNG, World

CHAT = "/v1/chat"
ROOMS = "/rooms"
PATIENCE = 5.0
"""Seconds to wait for a frame. Shorter than the delay until a missed message is resent."""


class Listener:
    """A WebSocket whose frames are read in order."""

    def __init__(self, world: World, ticket: str) -> None:
        try:
            self.socket: ClientConnection = connect(
                f"{world.platform.ws_url}?ticket={ticket}", proxy=None, legacy=True
            )
        except InvalidStatus as error:
            raise AssertionError(str(error)) from error

    def ask(self, action: str, **members: Any) -> Any:
        """Sends a frame and returns the response, which must be an ack."""
        self.socket.send(json.dumps({"action": action, "requestId": action, **members}))
        response = self.wait("ack", "error")
        assert response["type"] == "ack", response
        return response

    def wait(self, *types: str) -> Any:
        """Returns the next frame of one of these types."""
        try:
            while True:
                frame = json.loads(self.socket.recv(timeout=PATIENCE))
                if frame["type"] in types:
                    return frame
        except (TimeoutError, ConnectionClosed) as error:
            raise AssertionError(f"No frame of {types} arrived") from error


class Steps:
    """The steps of the walk, with its users and their room."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ann, self.bob, self.eve = (
            world.user(f"{name} Example") for name in ("Ann", "Bob", "Eve")
        )
        world.api.call("GET", "/v1/profile", token=self.eve.token).expect(
            200
        )  # creates her profile, so that she can be invited
        self.key = uuid.uuid4().hex
        self.room = ""

    @property
    def at(self) -> str:
        """The room's path."""
        return f"{ROOMS}/{self.room}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        who: User | None = None,
        once: str = "",
    ) -> Any:
        """Makes a call as Ann, or as `who`."""
        headers = {"Idempotency-Key": once} if once else {}
        token = (who or self.ann).token
        return self.world.api.call(method, CHAT + path, body, token=token, headers=headers).expect(
            status
        )

    def listener(self, who: User) -> Listener:
        """Opens a WebSocket as this user."""
        return Listener(
            self.world, self.call("POST", "/tickets", {}, status=201, who=who)["ticket"]
        )


def walk(world: World) -> Iterator[str]:
    steps = Steps(world)
    yield from meet(steps)
    first, second = steps.listener(steps.ann), steps.listener(steps.bob)
    yield f"POST {CHAT}/tickets"
    yield from talk(steps, first, second)
    yield from part(steps, second)
    first.socket.close()


def meet(steps: Steps) -> Iterator[str]:
    """Creates a room and adds members."""
    call, body = steps.call, {"name": "A walk", "type": "public"}
    call("POST", ROOMS, {}, status=422, once=steps.key)
    steps.room = call("POST", ROOMS, body, status=201, once=steps.key)["roomId"]
    assert call("POST", ROOMS, body, status=201, once=steps.key)["roomId"] == steps.room
    call("POST", ROOMS, body, status=201)
    yield f"POST {CHAT}{ROOMS}"
    page = call("GET", f"{ROOMS}?limit=1")
    call("GET", f"{ROOMS}?limit=1&cursor={page['nextCursor']}")
    call("GET", f"{ROOMS}?type=public", who=steps.eve)
    yield f"GET {CHAT}{ROOMS}"
    call("GET", steps.at)
    yield f"GET {CHAT}{ROOMS}/{{roomId}}"
    call("PATCH", steps.at, {"name": "A long walk", "maxMembers": 5})
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}"
    call("POST", f"{steps.at}/join", {}, who=steps.bob)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/join"
    call("POST", f"{steps.at}/members", {"userId": steps.eve.user_id}, status=201)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/members"
    call("GET", f"{steps.at}/members")
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/members"
    call("PATCH", f"{steps.at}/members/{steps.bob.user_id}", {"role": "moderator"})
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}/members/{{userId}}"


def talk(steps: Steps, first: Listener, second: Listener) -> Iterator[str]:
    """Sends, edits, reacts to and deletes messages."""
    call, at, room = steps.call, steps.at, steps.room
    first.ask("join_room", roomId=room)
    second.ask("join_room", roomId=room)
    sent = first.ask("send_message", roomId=room, content="Hello", clientMessageId=steps.key)
    again = first.ask("send_message", roomId=room, content="Hello", clientMessageId=steps.key)
    assert again["seq"] == sent["seq"]
    second.wait("new_message")
    first.ask("ping")
    hidden = call("POST", f"{at}/messages", {"content": "Hush", "isAnonymous": True}, status=201)
    second.wait("new_message")
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/messages"
    call("GET", f"{at}/messages?limit=1")
    call("GET", f"{at}/messages?afterSeq=0")
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/messages"
    call("PATCH", f"{at}/messages/{hidden['messageId']}", {"content": "Hush!"})
    second.wait("message_updated")
    yield f"PATCH {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}"
    reaction = f"{at}/messages/{sent['messageId']}/reactions/%F0%9F%91%8D"
    call("PUT", reaction, {}, status=204)
    yield f"PUT {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}/reactions/{{emoji}}"
    call("DELETE", reaction, status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}/reactions/{{emoji}}"
    upload = {"fileName": "tea.png", "contentType": "image/png", "contentLength": len(PNG)}
    signed = call("POST", f"{at}/attachments", upload, status=201)
    attachment = steps.world.upload(signed)
    yield f"POST {CHAT}{ROOMS}/{{roomId}}/attachments"
    shown = call(
        "POST", f"{at}/messages", {"content": "See", "attachments": [attachment]}, status=201
    )
    path = f"{CHAT}{at}/attachments/{signed['attachmentId']}"
    response = steps.world.api.call("GET", path, token=steps.bob.token)
    response.expect(302)
    assert urllib3.request("GET", response.headers["Location"]).data == PNG
    yield f"GET {CHAT}{ROOMS}/{{roomId}}/attachments/{{attachmentId}}"
    call("DELETE", f"{at}/messages/{shown['messageId']}", status=204)
    second.wait("message_deleted")
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/messages/{{messageId}}"
    with crowd(steps.world, room):
        big = call("POST", f"{at}/messages", {"content": "To all"}, status=201)
        while second.wait("new_message")["seq"] != big["seq"]:
            pass


def part(steps: Steps, second: Listener) -> Iterator[str]:
    """Removes each member in a different way, then deletes the room."""
    call, at, dynamodb = steps.call, steps.at, steps.world.client("dynamodb")
    call("DELETE", f"{at}/leave", status=204, who=steps.eve)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/leave"
    call("DELETE", f"{at}/members/{steps.bob.user_id}", status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}/members/{{userId}}"
    session = pack({"session_id": steps.bob.session_id})
    kept = dynamodb.delete_item(
        TableName="auth-sessions-local", Key=session, ReturnValues="ALL_OLD"
    )["Attributes"]
    try:
        second.socket.send(json.dumps({"action": "ping"}))
        with contextlib.suppress(ConnectionClosed):
            while True:
                second.socket.recv(timeout=PATIENCE)
    except TimeoutError as error:
        raise AssertionError("The connection stayed open after its session ended") from error
    finally:
        dynamodb.put_item(TableName="auth-sessions-local", Item=kept)
    call("DELETE", at, status=204)
    yield f"DELETE {CHAT}{ROOMS}/{{roomId}}"


@contextlib.contextmanager
def crowd(world: World, room: str) -> Iterator[None]:
    """Adds closed connections until the room counts as large."""
    host, _, port = world.platform.outputs["cache_endpoint"].rpartition(":")
    with redis.Redis(host=host, port=int(port)) as cache:
        gone = {f"gone-{index}|nobody|0": 4e9 for index in range(INLINE_LIMIT)}
        cache.zadd(f"chat:room:{room}", gone)
        try:
            yield
        finally:
            cache.zrem(f"chat:room:{room}", *gone)
