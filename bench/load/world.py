"""The users, rooms, posts and listings that the load uses."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import urllib3

from bench.scenarios import PNG, upload
from ops.capacity.model import Model
from ops.seed import delete_content
from ops.seed.client import Client
from tests.chat_client import ChatClient
from tests.e2e.support.api_client import Api
from tests.e2e.support.chat_users import ChatUser
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

WORDS = "Some words of a typical text. " * 10
THUMBS_UP = "%F0%9F%91%8D"
LISTING = {
    "title": "A bicycle",
    "description": WORDS,
    "category": "bicycles",
    "price": {"amount": 12_345, "currency": "EUR"},
}
PICTURE = {"contentType": "image/png", "contentLength": len(PNG)}
BATCH = 4
"""Number of sign-ups after which `build_world` resets the rate limits.

It must be at most 20, because the API allows 20 registrations per network address and hour.
"""


async def fetch_no_messages(_room: str, _after: int) -> list[dict[str, Any]]:
    """Returns no messages, so that clients send no requests that the load did not plan."""
    return []


@dataclass
class Room:
    """A chat room and its members, whose connections have joined it."""

    room_id: str
    members: list[ChatUser]
    message_id: str
    attachment_id: str
    seq: int = 1
    """The sequence number of its newest message."""


@dataclass
class World:
    """The users, rooms and items that the requests of the load read and change."""

    platform: Platform
    api: Api
    users: list[ChatUser]
    random: Random
    rooms: list[Room] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    """The share of all messages that each room receives."""
    posts: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    clients: dict[str, ChatClient] = field(default_factory=dict)
    """The open connection of each user that has one, by user id."""
    emails: list[str] = field(default_factory=list)
    """The email address of each registered account. The accounts are deleted at the end."""
    liked: deque[tuple[ChatUser, str]] = field(default_factory=deque)
    prepared: dict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    """The parts that `Requests.prepare` has prepared, by the name of the request."""
    empty_function: str = ""
    """Address of the function with which the report compares every route."""

    @property
    def user(self) -> ChatUser:
        """A random user."""
        return self.random.choice(self.users)

    @property
    def room(self) -> Room:
        """A random room. Its probability is the room's share of messages in the model."""
        return self.random.choices(self.rooms, self.weights)[0]

    @property
    def post(self) -> str:
        return self.random.choice(self.posts)

    @property
    def listing(self) -> str:
        return self.random.choice(self.listings)

    def sign_up(self) -> Person:
        """Returns a new signed-in user, which is deleted at the end."""
        person = Person(self.platform, self.api)
        self.emails.append(person.email)
        person.register()
        person.confirm()
        person.log_in()
        return person

    def new_room(self, owner: ChatUser, members: Sequence[ChatUser]) -> Room:
        """Creates a public room with a message and an attachment."""
        room = owner.create_room("public")
        for member in members:
            member.call("POST", f"/rooms/{room}/join", {}).expect(200)
        form = self.upload_attachment(owner, room)
        message = owner.send_message(room, "Look.", type="image", attachments=[form["key"]])
        return Room(room, [owner, *members], message["messageId"], form["attachmentId"])

    def upload_attachment(self, user: ChatUser, room: str) -> Any:
        """Uploads an attachment. Returns the form that the platform signed for the upload."""
        body = {**PICTURE, "fileName": "picture.png"}
        form = user.call("POST", f"/rooms/{room}/attachments", body).expect(201)
        upload(form["upload"])
        return form

    def rooms_of(self, user: ChatUser) -> list[Room]:
        return [room for room in self.rooms if user in room.members]

    async def connect(self, users: Sequence[ChatUser]) -> None:
        """Opens a WebSocket connection for each of the users, and joins the rooms of the user."""
        for user in users:
            client = ChatClient(user.create_address, fetch_no_messages)
            await client.open()
            self.clients[user.user_id] = client
            for room in self.rooms_of(user):
                await client.join(room.room_id)

    async def disconnect(self) -> list[BaseException]:
        """Closes all connections. Returns the errors of those that failed."""
        closed = await asyncio.gather(
            *(client.close() for client in self.clients.values()), return_exceptions=True
        )
        return [error for error in closed if error]


@contextmanager
def build_world(
    platform: Platform,
    model: Model,
    random: Random,
    *,
    people: int,
    page: int,
    rooms: int = 2,
    show: Callable[[str], None] = lambda _: None,
) -> Iterator[World]:
    """Creates users, rooms, posts and listings, and deletes all of them at the end.

    Args:
        people: Number of users, at least 2. No room has more members.
        page: Number of posts, of listings, of comments on the first post, and of messages in the
            first room.
        rooms: Number of rooms of each size.
        show: Receives a description of each step.
    """
    world = World(platform, Api(platform.api_url, connections=64), [], random)
    try:
        for number in range(people):
            if number % BATCH == 0:
                platform.reset_rate_limits()
            show(f"creating user {number + 1} of {people}")
            world.users.append(ChatUser(platform, world.sign_up()))
        show("creating rooms, posts and listings")
        _fill(world, model, page, rooms)
        yield world
    finally:
        show("deleting what the load created")
        _delete(world)


def _fill(world: World, model: Model, page: int, rooms: int) -> None:
    users = world.users
    shares: dict[int, float] = defaultdict(float)
    for room in model.rooms:
        shares[min(room.members, len(users))] += room.share
    for size, share in shares.items():
        for number in range(rooms):
            owner, *members = (users[(number + index) % len(users)] for index in range(size))
            world.rooms.append(world.new_room(owner, members))
            world.weights.append(share / rooms)
    for number in range(page):
        token = users[number % len(users)].person.access_token
        post = {"content": WORDS, "title": "A title", "tags": ["bench"]}
        world.posts.append(world.api.post("/v1/posts", post, token=token).expect(201)["postId"])
        created = world.api.post("/v1/catalog/listings", LISTING, token=token).expect(201)
        world.listings.append(created["listingId"])
    busy = world.rooms[0]
    for number in range(page):
        user = users[number % 2]
        path = f"/v1/posts/{world.posts[0]}/comments"
        world.api.post(path, {"content": WORDS}, token=user.person.access_token).expect(201)
        busy.seq = user.send_message(busy.room_id, WORDS)["seq"]


def _delete(world: World) -> None:
    platform = world.platform
    cognito, pool = platform.aws("cognito-idp"), platform.outputs["cognito_user_pool_id"]
    connections = urllib3.PoolManager(retries=False, maxsize=4, ca_certs=platform.cloud.authority)
    platform.reset_rate_limits()
    for user in world.users:
        user.person.log_in()
        client = Client(platform.api_url, connections, user.person.access_token)
        delete_content(client, user.user_id)
    for email in world.emails:
        try:
            cognito.admin_delete_user(UserPoolId=pool, Username=email)
        except cognito.exceptions.UserNotFoundException:
            continue  # the registration did not succeed
