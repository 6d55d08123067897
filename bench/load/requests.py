"""Sends the requests and frames of the capacity model with valid contents."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3
from websockets.exceptions import WebSocketException

from bench.load.mix import EMPTY_FUNCTION, SESSION
from bench.load.report import THROTTLED
from bench.load.runner import Attempt, RefusedError
from bench.load.world import LISTING, PICTURE, THUMBS_UP, WORDS, World, fetch_no_messages
from bench.scenarios import PNG
from ops.capacity.traffic import TICKET
from tests.chat_client import ChatClient, ChatError, GatewayError
from tests.e2e.support.api_client import ApiResponse
from tests.e2e.support.chat_users import ChatUser
from tests.e2e.support.users import PASSWORD

NO_CONCURRENCY = b"ConcurrentInvocationLimitExceeded"
"""Part of Lambda's error message if a function has reached its maximum of concurrent executions.

The embedded API Gateway returns Lambda's error unchanged.
"""
ROOM, MESSAGE = "/v1/chat/rooms/{roomId}", "/v1/chat/rooms/{roomId}/messages/{messageId}"
POST, LISTED = "/v1/posts/{postId}", "/v1/catalog/listings/{listingId}"
ATTACHED = f"POST {ROOM}/messages with an attachment"


@dataclass(frozen=True)
class Parts:
    """The parts of a request that its name does not contain.

    A name is a method and a path with parameters, such as `GET /v1/posts/{postId}`.
    """

    token: str | None = None
    body: object = None
    path: Mapping[str, str] = field(default_factory=dict)
    """Values of the path parameters."""
    query: str = ""


def by(user: ChatUser, body: object = None, query: str = "", **path: str) -> Parts:
    """Returns the parts of a request that the user sends."""
    return Parts(user.person.access_token, body, path, query)


def new_account(world: World) -> dict[str, str]:
    """Returns the fields of a registration. The account is deleted at the end."""
    email = f"bench-{uuid.uuid4().hex[:12]}@example.com"
    world.emails.append(email)
    return {"email": email, "password": PASSWORD, "displayName": "Ada Example"}


def _registered(world: World) -> str:
    account = new_account(world)
    world.platform.reset_rate_limits()
    world.api.post("/v1/auth/register", account).expect(201)
    return account["email"]


def _confirmation(world: World) -> Parts:
    email = _registered(world)
    return Parts(body={"email": email, "code": world.platform.read_mailed_code(email)})


def _reset(world: World) -> Parts:
    world.platform.reset_rate_limits()
    email = world.sign_up().email
    world.api.post("/v1/auth/forgot-password", {"email": email}).expect(202)
    code = world.platform.read_mailed_code(email)
    return Parts(body={"email": email, "code": code, "newPassword": PASSWORD})


def _anonymous_session(world: World) -> Parts:
    world.platform.reset_rate_limits()
    return Parts(world.api.post("/v1/auth/anonymous", {}).expect(201)["accessToken"], {})


def _refreshable_session(world: World) -> Parts:
    """Signs in, and returns the parts of a request that refreshes the token.

    Each refresh needs its own sign-in, because a refresh replaces the token.
    """
    tokens = world.user.person.try_log_in().expect(200)
    return Parts(body={"refreshToken": tokens["refreshToken"]})


def _uploaded_avatar(world: World) -> Parts:
    user = world.user
    key = world.api.upload("/v1/profile/avatar", PNG, token=user.person.access_token)
    return by(user, {"key": key})


def _attached(world: World) -> Parts:
    room = world.room
    user = world.random.choice(room.members)
    key = world.upload_attachment(user, room.room_id)["key"]
    body = {"content": "Look.", "type": "image", "attachments": [key]}
    return by(user, body, roomId=room.room_id)


def _joinable(world: World) -> Parts:
    owner, other = world.random.sample(world.users, 2)
    return by(other, {}, roomId=owner.create_room("public"))


def _new_listing(world: World) -> tuple[ChatUser, str]:
    """Creates a listing. Returns another user, and the listing's id."""
    seller, buyer = world.random.sample(world.users, 2)
    token = seller.person.access_token
    created = world.api.post("/v1/catalog/listings", LISTING, token=token).expect(201)
    return buyer, created["listingId"]


def _ratable(world: World) -> Parts:
    buyer, listing = _new_listing(world)
    return by(buyer, {"stars": 4}, listingId=listing)


def _contactable(world: World) -> Parts:
    buyer, listing = _new_listing(world)
    return by(buyer, {"message": "Is it still there?"}, listingId=listing)


PREPARED: Mapping[str, Callable[[World], Parts]] = {
    "POST /v1/auth/confirm": _confirmation,
    "POST /v1/auth/resend-confirmation": lambda world: Parts(body={"email": _registered(world)}),
    "POST /v1/auth/reset-password": _reset,
    "POST /v1/auth/logout": _anonymous_session,
    "POST /v1/auth/refresh": _refreshable_session,
    "PUT /v1/profile/avatar": _uploaded_avatar,
    ATTACHED: _attached,
    f"POST {ROOM}/join": _joinable,
    f"POST {LISTED}/ratings": _ratable,
    f"POST {LISTED}/contact": _contactable,
}
"""For each request that depends on earlier requests, a function that sends these earlier requests.

The functions run before the load. They return the parts of the request.
"""


def _of_room(world: World, body: object = None, query: str = "") -> Parts:
    room = world.room
    return by(world.random.choice(room.members), body, query, roomId=room.room_id)


def _attachment(world: World) -> Parts:
    room = world.room
    member = world.random.choice(room.members)
    return by(member, roomId=room.room_id, attachmentId=room.attachment_id)


def _reaction(world: World) -> Parts:
    room = world.room
    member = world.random.choice(room.members)
    return by(member, roomId=room.room_id, messageId=room.message_id, emoji=THUMBS_UP)


def _like(world: World) -> Parts:
    user, post = world.user, world.post
    world.liked.append((user, post))
    return by(user, postId=post)


def _unlike(world: World) -> Parts:
    user, post = world.liked.popleft() if world.liked else (world.user, world.post)
    return by(user, postId=post)


def _credentials(world: World) -> Parts:
    person = world.user.person
    return Parts(body={"email": person.email, "password": person.password})


PAGE = "?limit=20"
PLAIN: Mapping[str, Callable[[World], Parts]] = {
    "POST /v1/auth/register": lambda w: Parts(body=new_account(w)),
    "POST /v1/auth/forgot-password": lambda w: Parts(body={"email": w.user.person.email}),
    "POST /v1/auth/login": _credentials,
    "POST /v1/auth/anonymous": lambda _: Parts(body={}),
    "GET /v1/auth/me": lambda w: by(w.user),
    "GET /v1/profile": lambda w: by(w.user),
    "GET /v1/profile/{userId}": lambda w: by(w.user, userId=w.user.user_id),
    "PATCH /v1/profile": lambda w: by(w.user, {"bio": WORDS}),
    "POST /v1/profile/avatar": lambda w: by(w.user, PICTURE),
    "GET /v1/profile/alias": lambda w: by(w.user, query=f"?contextType=post&context={w.post}"),
    "GET /v1/posts": lambda w: by(w.user, query=PAGE),
    f"GET {POST}": lambda w: by(w.user, postId=w.post),
    "POST /v1/posts": lambda w: by(w.user, {"content": WORDS, "tags": ["bench"]}),
    "POST /v1/posts/uploads": lambda w: by(w.user, PICTURE),
    f"PUT {POST}/like": _like,
    f"DELETE {POST}/like": _unlike,
    f"GET {POST}/comments": lambda w: by(w.user, query=PAGE, postId=w.posts[0]),
    f"POST {POST}/comments": lambda w: by(w.user, {"content": WORDS}, postId=w.post),
    "GET /v1/chat/rooms": lambda w: by(w.user, query=PAGE),
    f"GET {ROOM}": _of_room,
    f"GET {ROOM}/messages": lambda w: _of_room(w, query=PAGE),
    f"GET {ROOM}/members": _of_room,
    "POST /v1/chat/rooms": lambda w: by(w.user, {"name": "A room", "type": "private"}),
    f"POST {ROOM}/attachments": lambda w: _of_room(w, {**PICTURE, "fileName": "picture.png"}),
    f"GET {ROOM}/attachments/{{attachmentId}}": _attachment,
    f"PUT {MESSAGE}/reactions/{{emoji}}": _reaction,
    TICKET: lambda w: by(w.user, {}),
    "GET /v1/catalog/listings": lambda w: by(w.user, query=PAGE),
    f"GET {LISTED}": lambda w: by(w.user, listingId=w.listing),
    "GET /v1/catalog/categories": lambda w: by(w.user),
    "POST /v1/catalog/listings": lambda w: by(w.user, LISTING),
    "POST /v1/catalog/uploads": lambda w: by(w.user, PICTURE),
    "PUT /v1/catalog/wishlist/{listingId}": lambda w: by(w.user, listingId=w.listing),
}
"""For each request that is not in PREPARED, a function that returns its parts. It sends nothing."""


class Requests:
    """Sends the requests and frames of a load.

    Args:
        joins: Number of rooms that a session joins, if the user is a member of that many.
    """

    def __init__(self, world: World, joins: int) -> None:
        self._world, self._joins = world, joins
        self._pool = urllib3.PoolManager(retries=False, timeout=30.0, maxsize=64)

    def prepare(self, counts: Mapping[str, int]) -> None:
        """Sends the earlier requests on which requests of the load depend.

        `counts` contains how often the load sends each request.
        """
        for name, prepare in PREPARED.items():
            for _ in range(counts.get(name, 0)):
                self._world.prepared[name].append(prepare(self._world))
        self._world.platform.reset_rate_limits()

    async def perform(self, attempt: Attempt) -> None:
        """Sends the requests or frames of an arrival.

        Raises:
            RefusedError: The platform did not accept one of them.
        """
        name = attempt.arrival.name
        if name == SESSION:
            await self._session(attempt)
            return
        with attempt.step(name):
            if name == EMPTY_FUNCTION:
                await self._call_empty_function()
            elif name.startswith("frame "):
                await self._send_frame(name.removeprefix("frame "))
            elif name in PREPARED:
                await self._send(name, self._world.prepared[name].popleft())
            else:
                await self._send(name, PLAIN[name](self._world))

    async def _send(self, name: str, parts: Parts) -> Any:
        method, path = name.removesuffix(" with an attachment").split(" ")
        address = path.format(**parts.path) + parts.query
        call = self._world.api.call
        return await _accepted(
            asyncio.to_thread(call, method, address, parts.body, token=parts.token)
        )

    async def _call_empty_function(self) -> None:
        response = await asyncio.to_thread(self._pool.request, "GET", self._world.empty_function)
        if response.status != 200:
            raise RefusedError(f"{response.status} from the empty function")

    async def _send_frame(self, action: str) -> None:
        room, client = self._connected_member()
        members: dict[str, Any] = {} if action == "ping" else {"roomId": room.room_id}
        if action == "send_message":
            members["content"] = WORDS
        if action == "mark_read":
            members["seq"] = room.seq
        ack = await _accepted_frame(client, action, members)
        if action == "send_message":
            room.seq = max(room.seq, ack["seq"])

    def _connected_member(self) -> Any:
        """Returns a random room, and the connection of one of its members."""
        world = self._world
        room = world.room
        connected = [member for member in room.members if member.user_id in world.clients]
        return room, world.clients[world.random.choice(connected).user_id]

    async def _session(self, attempt: Attempt) -> None:
        """Requests a ticket, connects, joins rooms and disconnects."""
        world = self._world
        user = world.user
        with attempt.step(TICKET):
            ticket = (await self._send(TICKET, by(user, {})))["ticket"]

        async def address() -> str:
            return f"{world.platform.ws_url}?ticket={ticket}"

        client = ChatClient(address, fetch_no_messages)
        with attempt.step("frame connect"):
            await _accepted(client.open())
        try:
            for room in world.rooms_of(user)[: self._joins]:
                with attempt.step("frame join_room"):
                    await _accepted_frame(client, "join_room", {"roomId": room.room_id})
        finally:
            with attempt.step("frame disconnect"):
                await _accepted(client.close())


async def _accepted_frame(client: ChatClient, action: str, members: Mapping[str, Any]) -> Any:
    if client.closed:
        await _accepted(client.open())
    return await _accepted(client.request(action, **members))


async def _accepted(response: Any) -> Any:
    """Waits for a response. Returns its JSON.

    Raises:
        RefusedError: The request got no response, or an error.
    """
    try:
        result = await response
    except ChatError as error:
        raise RefusedError(str(error)) from error
    except GatewayError as error:
        reason = json.loads(str(error)).get("message", "an error of API Gateway")
        is_throttled = NO_CONCURRENCY.decode() in str(error) or reason == "Too Many Requests"
        raise RefusedError(THROTTLED if is_throttled else reason) from error
    except (urllib3.exceptions.HTTPError, WebSocketException, OSError) as error:
        raise RefusedError(type(error).__name__) from error
    except AssertionError as error:
        raise RefusedError(f"an undocumented response: {error}"[:200]) from error
    if not isinstance(result, ApiResponse):
        return result
    if result.status == 429 or NO_CONCURRENCY in result.body:
        raise RefusedError(THROTTLED)
    if result.status >= 400:
        raise RefusedError(f"{result.status} {result.json.get('code', '')}".strip())
    return json.loads(result.body) if result.body else None
