"""Creates the missing parts of the community, so it is safe to repeat an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ops.seed.client import Client
from ops.seed.community import Community, Listing, Post, Room, read_picture


class CommunityWriter:
    """Creates profiles, posts, rooms and listings through the API.

    Args:
        clients: Each person's client.
        ids: Each person's user id.
        progress: Called with a description of each step.
    """

    def __init__(
        self,
        clients: Mapping[str, Client],
        ids: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        self._clients, self._ids, self._progress = clients, ids, progress

    def write(self, community: Community) -> None:
        """Creates everything that does not exist yet, and overwrites the profiles."""
        for person, profile in community.people.items():
            self._progress(f"profile of {profile['displayName']}")
            self._clients[person].call("PATCH", "/v1/profile", profile)
        for room in community.rooms:
            self._progress(f"room {room.name}")
            self._room(room)
        for post in community.posts:
            self._progress(f"post {post.title or post.content[:30]}")
            self._post(post)
        for listing in community.listings:
            self._progress(f"listing {listing.title}")
            self._listing(listing)

    def _room(self, room: Room) -> None:
        owner = self._clients[room.owner]
        stored_room = next(
            (
                item
                for item in owner.list_items("/v1/chat/rooms", type=room.type)
                if item["name"] == room.name and item["createdBy"] == self._ids[room.owner]
            ),
            None,
        )
        if stored_room is None:
            body = room.model_dump(include={"name", "description", "type"})
            stored_room = owner.call("POST", "/v1/chat/rooms", body)
        path = f"/v1/chat/rooms/{stored_room['roomId']}"
        for member in room.members:
            self._clients[member].call("POST", f"{path}/join", {}, allow=409)
        stored = {
            (item.get("authorId"), item["content"]): item["messageId"]
            for item in owner.list_items(f"{path}/messages")
        }
        for message in room.messages:
            author = self._clients[message.author]
            message_id = stored.get((self._ids[message.author], message.content))
            if message_id is None:
                created = author.call("POST", f"{path}/messages", {"content": message.content})
                message_id = created["messageId"]
            for person, emoji in message.reactions.items():
                reaction = f"{path}/messages/{message_id}/reactions/{quote(emoji)}"
                self._clients[person].call("PUT", reaction)

    def _post(self, post: Post) -> None:
        author = self._clients[post.author]
        stored_post = next(
            (
                item
                for item in author.list_items("/v1/posts", authorId=self._ids[post.author])
                if item["content"] == post.content
            ),
            None,
        )
        if stored_post is None:
            body: dict[str, Any] = post.model_dump(include={"title", "content", "tags"})
            if post.picture:
                body["images"] = [author.upload("/v1/posts/uploads", read_picture(post.picture))]
            stored_post = author.call("POST", "/v1/posts", body)
        path = f"/v1/posts/{stored_post['postId']}"
        for person in post.likes:
            self._clients[person].call("PUT", f"{path}/like")
        stored = {
            (item.get("authorId"), item["content"])
            for item in author.list_items(f"{path}/comments")
        }
        for comment in post.comments:
            if (self._ids[comment.author], comment.content) not in stored:
                body = {"content": comment.content}
                self._clients[comment.author].call("POST", f"{path}/comments", body)

    def _listing(self, listing: Listing) -> None:
        seller = self._clients[listing.seller]
        stored_listing = next(
            (
                item
                for item in seller.list_items(
                    "/v1/catalog/listings", sellerId=self._ids[listing.seller]
                )
                if item["title"] == listing.title
            ),
            None,
        )
        if stored_listing is None:
            body = listing.model_dump(
                include={"title", "description", "price", "category", "condition", "tags"}
            )
            body["images"] = [seller.upload("/v1/catalog/uploads", read_picture(listing.picture))]
            stored_listing = seller.call("POST", "/v1/catalog/listings", body)
        listing_id = stored_listing["listingId"]
        for person in listing.wishlists:
            self._clients[person].call("PUT", f"/v1/catalog/wishlist/{listing_id}")
        for rating in listing.ratings:
            self._clients[rating.author].call(
                "POST",
                f"/v1/catalog/listings/{listing_id}/ratings",
                {"stars": rating.stars, "comment": rating.comment},
                allow=409,  # the person has already rated the listing
            )
