"""Tests that `ops seed` creates the demonstration community, completes a partial one, and removes
it.
"""

from __future__ import annotations

import json
from typing import Any

from ops.seed.community import address, load_community
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import User

COMMUNITY = load_community()


class Reader:
    """Reads the posts, listings and rooms of the community's people as another user."""

    def __init__(self, platform: Platform) -> None:
        self._api = Api(platform.outputs["api_url"])
        self._token = User.create(platform, "Reader").token
        cognito = platform.aws("cognito-idp")
        pool = platform.outputs["cognito_user_pool_id"]
        self.ids = {
            person: {
                item["Name"]: item["Value"]
                for item in cognito.admin_get_user(UserPoolId=pool, Username=address(person))[
                    "UserAttributes"
                ]
            }["sub"]
            for person in COMMUNITY.people
        }

    def items(self, path: str) -> list[Any]:
        body = self._api.get(path, token=self._token).expect(200)
        assert body["nextCursor"] is None
        return list(body["items"])

    def posts(self) -> list[Any]:
        return [
            post
            for person in self.ids.values()
            for post in self.items(f"/v1/posts?limit=100&authorId={person}")
        ]

    def listings(self) -> list[Any]:
        return [
            listing
            for person in self.ids.values()
            for listing in self.items(f"/v1/catalog/listings?limit=100&sellerId={person}")
        ]

    def rooms(self) -> list[Any]:
        owners = set(self.ids.values())
        rooms = self.items("/v1/chat/rooms?limit=100")
        return [room for room in rooms if room["createdBy"] in owners]


def test_seed_creates_completes_and_removes_the_community(platform: Platform) -> None:
    result = json.loads(run_ops(platform.root, "seed", "local", "--json"))
    assert result["addresses"] == [address(person) for person in COMMUNITY.people]
    reader = Reader(platform)
    api = Api(platform.outputs["api_url"])
    credentials = {"email": result["addresses"][0], "password": result["password"]}
    token = api.post("/v1/auth/login", credentials).expect(200)["accessToken"]
    listing = next(item for item in reader.listings() if item["sellerId"] == reader.ids["ada"])
    api.call("DELETE", f"/v1/catalog/listings/{listing['listingId']}", token=token).expect(204)

    again = json.loads(run_ops(platform.root, "seed", "local", "--json"))
    assert again["password"] != result["password"]
    assert {post["content"] for post in reader.posts()} == {
        post.content for post in COMMUNITY.posts
    }
    assert len(reader.posts()) == len(COMMUNITY.posts)
    by_content = {post["content"]: post for post in reader.posts()}
    for post in COMMUNITY.posts:
        assert by_content[post.content]["likesCount"] == len(post.likes)
        assert by_content[post.content]["commentsCount"] == len(post.comments)
        assert len(by_content[post.content]["images"]) == (post.picture is not None)
    by_title = {listing["title"]: listing for listing in reader.listings()}
    assert sorted(by_title) == sorted(listing.title for listing in COMMUNITY.listings)
    for listing in COMMUNITY.listings:
        assert by_title[listing.title]["ratingCount"] == len(listing.ratings)
        assert len(by_title[listing.title]["images"]) == 1
    by_name = {room["name"]: room for room in reader.rooms()}
    open_rooms = [room for room in COMMUNITY.rooms if room.type == "public"]
    assert sorted(by_name) == sorted(room.name for room in open_rooms)
    for room in open_rooms:
        assert by_name[room.name]["memberCount"] == 1 + len(room.members)

    run_ops(platform.root, "seed", "local", "--remove")
    assert reader.posts() == reader.listings() == reader.rooms() == []
